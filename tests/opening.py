"""What tests of reading share: a small Main, opening with expected warnings, counted reads."""

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import lazyusid
from lazyusid.errors import UsidWarning
from lazyusid.hdf5.source import HDF5Source
from lazyusid.protocols import Region
from tests.builders import PathLike, grid_side, write_usid

LINES = grid_side((2, 3), ["Y", "X"], ["nm", "um"], [(0, 10), (1, 2, 4)])
SPECTRUM = grid_side((2,), ["Bias"], ["V"], [(-1, 1)])
NUMBERS = np.arange(12, dtype="f4").reshape(2, 3, 2)


def write_small(path: PathLike, group: str = "/Measurement_000/Channel_000", **options: Any) -> str:
    """Write the Main that folds to `NUMBERS`, dims Y, X and Bias; its path."""
    return write_usid(path, NUMBERS.reshape(6, 2), LINES, SPECTRUM, group=group, **options)


def assert_small(main: lazyusid.MainDataset) -> None:
    """Check that a Main is the one that `write_small` wrote."""
    assert main.dims == ("Y", "X", "Bias")
    assert_array_equal(main.read(), NUMBERS)
    assert main.coords["X"].tolist() == [1, 2, 4]


def open_with(path: PathLike, *rules: str, **options: Any) -> lazyusid.UsidFile:
    """Open a file; it must warn once for each of these rules, and of nothing else."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        file = lazyusid.open(path, **options)
    messages = [str(warning.message) for warning in caught]
    told = ["".join(re.findall(r"\[([a-z-]+)\]$", message)) for message in messages]
    assert {warning.category for warning in caught} <= {UsidWarning}, caught
    assert sorted(told) == sorted(rules), messages
    return file


def open_quietly(path: PathLike, **options: Any) -> lazyusid.UsidFile:
    """Open a file, whatever it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsidWarning)
        return lazyusid.open(path, **options)


def found(file: lazyusid.UsidFile) -> list[tuple[str, str, str]]:
    """Path, rule and severity of each finding."""
    return [(finding.path, finding.rule, finding.severity) for finding in file.findings]


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Region]]:
    """Begin to note what is read of HDF5: the dataset's path and the region."""
    log: list[tuple[str, Region]] = []
    read_into = HDF5Source.read_into

    def noted(self: HDF5Source, region: Region, out: NDArray[Any]) -> None:
        log.append((self.name, region))
        read_into(self, region, out)

    monkeypatch.setattr(HDF5Source, "read_into", noted)
    return log


def open_descriptors(path: PathLike) -> int:
    """How many descriptors of this process are open on a file. Linux only."""
    wanted, count = os.path.realpath(path), 0
    for entry in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{entry}") == wanted
        except FileNotFoundError:  # the listing's own descriptor
            continue
    return count


def run_python(script: str, *arguments: PathLike, timeout: float = 120) -> str:
    """Run a script in a fresh interpreter that must succeed; what it printed."""
    root = Path(__file__).parents[1]
    command: Sequence[str] = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
