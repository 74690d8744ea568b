"""Import, open and one spectrum, each time in a fresh process: seconds and peak memory."""

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median

from tests.benchmarks import files
from tests.benchmarks.cases import MAIN, ROOT, Case, find
from tests.benchmarks.race import race, say
from tests.benchmarks.settings import Settings
from tests.benchmarks.tables import Table, at_most, megabytes, ratio, seconds

PEAK = """
import pathlib
lines = pathlib.Path("/proc/self/status").read_text().splitlines()
print([line.split()[1] for line in lines if line.startswith("VmHWM")][0])
"""
"""What a child says at its end; see `memory` for why not `getrusage`."""

PROGRAMS = {
    "lazyusid, m.read": "import lazyusid; lazyusid.open({path!r}).main.read({pixel})",
    "lazyusid, m.data": "import lazyusid; lazyusid.open({path!r}).main.data[{pixel}].compute()",
    "RosettaSciIO": "import warnings; warnings.simplefilter('ignore'); import numpy; "
    "numpy.product = numpy.prod; from rsciio.usid import file_reader; "
    "file_reader({path!r}, lazy=True)[0]['data'][{pixel}].compute()",
    "import h5py": "import h5py; h5py.File({path!r})[{main!r}][{row}]",
    "import dask.array": "import dask.array",
    "nothing": "pass",
}
READ_TARGET, READ_MEMORY = 5.0, 120e6
DATA_TARGET, DATA_MEMORY = 3.0, 30e6


def tables(settings: Settings) -> list[Table]:
    """Return the table of fresh processes."""
    case = find(settings.folder, "gzip 64x2048")
    if not settings.wants("fresh", case.name):
        return []
    say("fresh processes")
    files.make(case)
    peaks: dict[str, list[float]] = {}
    jobs = {
        name: _job(program, case, peaks.setdefault(name, []))
        for name, program in PROGRAMS.items()
        if name != "RosettaSciIO" or (settings.peers and find_spec("rsciio"))
    }
    outcome = race(jobs, settings.repeat)
    table = Table(
        "Fresh process: import, open, one spectrum (gzip 64x2048)",
        ["program", "median", "best", "RosettaSciIO x", "peak memory", "above import dask.array"],
        notes=["`import h5py` reads the matrix row as well; `nothing` is Python alone."],
    )
    targets = {"lazyusid, m.read": READ_TARGET, "lazyusid, m.data": DATA_TARGET}
    dask_alone = median(peaks["import dask.array"])
    for name in jobs:
        peak = median(peaks[name])
        faster = outcome.ratio("RosettaSciIO", name)
        table.add(
            [
                name,
                seconds(outcome.median(name)),
                seconds(outcome.best(name)),
                ratio(faster, targets.get(name)),
                _told(peak, name == "lazyusid, m.read", READ_MEMORY),
                _told(peak - dask_alone, name == "lazyusid, m.data", DATA_MEMORY),
            ],
            program=name,
            times=outcome.times[name],
            ratio=faster,
            peak=peak,
        )
    return [table]


def _told(count: float, has_target: bool, target: float) -> str:
    return at_most(count / 1e6, target / 1e6, "MB") if has_target else megabytes(count)


def _job(program: str, case: Case, peaks: list[float]) -> Callable[[], None]:
    y, x = case.place[:2]
    code = program.format(path=case.path, main=MAIN, row=case.row, pixel=(y, x)) + PEAK

    def run() -> None:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        peaks.append(1024.0 * int(done.stdout.split()[-1]))

    return run
