"""Peak memory of one piece of work, in a fresh process.

A child's peak is read from its own ``/proc/self/status``: what ``getrusage`` reports for a child
starts with the peak of the process that started it. NaN where there is no such file.

``python -m tests.benchmarks.memory FOLDER FILE WORK`` is that child.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from math import nan
from pathlib import Path

from tests.benchmarks.cases import ROOT, Case, find


@dataclass(frozen=True)
class Use:
    """What one piece of work took: seconds, bytes at most, bytes above what was there before."""

    seconds: float
    peak: float
    growth: float


def status(field: str) -> float:
    """Return a field of this process's status in bytes: "VmHWM" (peak), "VmRSS" (now)."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    found = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return 1024.0 * int(found[0]) if found else nan


def use_of(case: Case, work: str) -> Use:
    """Return what lazyusid takes for a piece of work, with dask's threads, in a fresh process."""
    arguments = [str(case.folder), case.name, work]
    command = [sys.executable, "-m", "tests.benchmarks.memory", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")
    return Use(**json.loads(done.stdout.splitlines()[-1]))


def _measure(case: Case, work: str) -> Use:
    from tests.benchmarks.contestants import Lazyusid

    job = Lazyusid().job(case, work)
    before = status("VmRSS")
    begin = time.perf_counter()
    result = job()
    seconds = time.perf_counter() - begin
    peak = status("VmHWM")
    del result
    return Use(seconds, peak, peak - before)


if __name__ == "__main__":
    folder, name, work = sys.argv[1:]
    print(json.dumps(vars(_measure(find(Path(folder), name), work))))
