"""Cores are those the process was given."""

import os

import pytest

from lazyusid import resources


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no affinity")
def test_cores_are_the_least_of_affinity_quota_and_slurm(monkeypatch, tmp_path):
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(resources, "CGROUP_QUOTA", quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    assert resources.cores() == 8
    quota.write_text("max 100000\n")
    assert resources.cores() == 8
    quota.write_text("250000 100000\n")
    assert resources.cores() == 3
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "2")
    assert resources.cores() == 2


def test_without_affinity_all_processors_count(monkeypatch, tmp_path):
    monkeypatch.setattr(resources, "CGROUP_QUOTA", tmp_path / "none")
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert resources.cores() == (os.cpu_count() or 1)
