"""What the command line asks for, and the machine it runs on."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dask.system import CPU_COUNT

PACKAGES = (
    *("lazyusid", "numpy", "h5py", "dask", "distributed", "imagecodecs"),
    *("rosettasciio", "pyUSID", "hidefix", "pyfive"),
)


@dataclass(frozen=True)
class Settings:
    """What to run.

    Attributes
    ----------
    folder
        Where the files are.
    peers
        Whether others read as well.
    only
        What the name of a piece of work must contain, or "".
    repeat
        Rounds of each.
    latency
        Seconds that a request takes in the table for slow file systems.
    """

    folder: Path
    peers: bool
    only: str
    repeat: int
    latency: float

    def wants(self, *names: str) -> bool:
        """Return whether a piece of work is to be run."""
        return self.only.lower() in " ".join(names).lower()


def machine() -> str:
    """Return cores, memory and versions in a line each."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{CPU_COUNT} cores of {_processor()}, {memory:.0f} GiB, {platform.platform()}\n"
        f"Python {platform.python_version()}, {_versions(PACKAGES)}"
    )


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _versions(packages: Sequence[str]) -> str:
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} -")
    return ", ".join(found)
