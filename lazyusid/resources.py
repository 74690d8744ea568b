"""What this process was given: cores by affinity, control group and batch system."""

import os
from pathlib import Path

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores() -> int:
    """Return how many threads this process may keep busy, at least 1.

    The least of its CPU affinity, its control group's quota and Slurm's ``SLURM_CPUS_PER_TASK``.
    """
    found = [_affinity()]
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if slurm.isdigit():
        found.append(int(slurm))
    if CGROUP_QUOTA.exists():
        quota, _, period = CGROUP_QUOTA.read_text("ascii").partition(" ")
        if quota.isdigit():
            found.append(-(-int(quota) // int(period)))
    return max(1, min(found))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
