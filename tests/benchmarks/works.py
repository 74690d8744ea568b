"""Open, and read once: everything, one spectrum, one image, into memory; everybody in turns."""

from collections.abc import Callable, Sequence
from math import nan
from typing import Any

import lazyusid
from tests.benchmarks import contestants, files, memory
from tests.benchmarks.cases import Case, cases
from tests.benchmarks.contestants import WORKS, Contestant
from tests.benchmarks.race import Outcome, race, say
from tests.benchmarks.settings import Settings
from tests.benchmarks.tables import Table, megabytes, ratio, seconds

SHORT, SHORT_TIMES = ("open", "spectrum"), 3
"""What takes milliseconds has so many times more rounds."""

TARGETS: dict[tuple[str, str], dict[str, float]] = {
    ("gzip 64x2048", "sum"): {"RosettaSciIO": 5, "limit": 0.7},
    ("gzip+shuffle 64x2048", "sum"): {"RosettaSciIO": 4, "limit": 0.7},
    ("contiguous", "sum"): {"RosettaSciIO": 5, "limit": 0.6},
    ("plain 64x2048", "sum"): {"RosettaSciIO": 4, "limit": 0.6},
    ("gzip 100x1000", "sum"): {"RosettaSciIO": 6, "limit": 0.6},
    ("gzip 64x2048", "spectrum"): {"RosettaSciIO": 10},
    ("gzip 64x2048", "image"): {"RosettaSciIO": 2.5, "limit": 0.6},
    ("gzip 64x2048", "eager"): {"RosettaSciIO": 5, "limit": 0.7, "hidefix": 1},
    ("contiguous", "eager"): {"hidefix": 3},
    ("gzip 8kB", "sum"): {"RosettaSciIO": 4},
    ("gzip 8kB", "image"): {"RosettaSciIO": 4},
    ("contiguous complex64", "sum"): {"RosettaSciIO": 4},
    ("contiguous complex64", "image"): {"RosettaSciIO": 4},
}
"""(file, work) -> by how much lazyusid should beat whom."""

EAGER_MEMORY = 1.15
"""Bytes at most of an eager read, for each byte of the array."""

NOTES = [
    "Medians; `best` is the shortest. x: how many times longer the other takes, the median of the "
    "rounds' ratios; in brackets what it should be at least, ! where it is less.",
    "Every call opens the file and lets it go; files are in the page cache. For the limit, where "
    "chunks lie was listed beforehand; contiguous data is read in bands of 4 MiB.",
    "hidefix and pyfive have no lazy arrays: their sum is over an eager one.",
    "CPU x: the limit's seconds of CPU over lazyusid's, which other programs' load hardly changes.",
    "memory: what lazyusid's process takes at most above what it had before, in a fresh process.",
]


def tables(settings: Settings) -> list[Table]:
    """Return the table of all files and works, and how lazyusid cuts the files into blocks."""
    who = contestants.contestants(settings.peers)
    others = [contestant.name for contestant in who[1:]]
    columns = ["file", "work", "lazyusid", "best"]
    columns += [heading for name in others for heading in (name, "x")]
    table = Table("Works", [*columns, "CPU x", "memory", "equal"], notes=list(NOTES))
    blocks = Table("Blocks", ["file", "block", "bytes", "tasks", "amplification"])
    for case in cases(settings.folder):
        wanted = [work for work in WORKS if settings.wants("works", case.name, work)]
        if not wanted:
            continue
        files.make(case)
        files.warm(case.path)
        _add_plan(blocks, case)
        for work in wanted:
            _add(table, case, work, who, settings.repeat)
            say(f"works: {'  '.join(table.rows[-1])}")
    return [table, blocks] if table.rows else []


def _add(table: Table, case: Case, work: str, who: Sequence[Contestant], repeat: int) -> None:
    outcome = _race(case, work, who, repeat)
    grown = memory.use_of(case, work).growth
    targets = TARGETS.get((case.name, work), {})
    times, best = outcome.median("lazyusid"), outcome.best("lazyusid")
    row = [case.name, work, seconds(times), seconds(best)]
    ratios = {}
    for contestant in who[1:]:
        name = contestant.name
        ratios[name] = outcome.ratio(name, "lazyusid")
        row += [seconds(outcome.median(name)), ratio(ratios[name], targets.get(name))]
    failed = [(name, why) for name, why in outcome.failed.items() if why]
    table.notes += [f"{case.name}, {work}: {name}: {why}" for name, why in failed]
    cpu = outcome.ratio("limit", "lazyusid", "cpu")
    equal = f"not {', '.join(outcome.wrong)}" if outcome.wrong else "yes"
    table.add(
        [*row, ratio(cpu), _told_memory(grown, case, work), equal],
        file=case.name,
        work=work,
        times=outcome.times,
        cpu=outcome.cpu,
        ratios=ratios,
        targets=targets,
        memory=grown,
        wrong=outcome.wrong,
        failed=outcome.failed,
    )


def _race(case: Case, work: str, who: Sequence[Contestant], repeat: int) -> Outcome:
    wanted = contestants.expected(case, work)
    jobs: dict[str, Callable[[], Any]] = {}
    failed = {}
    for contestant in who:
        try:
            jobs[contestant.name] = contestant.job(case, work)
        except NotImplementedError as error:
            failed[contestant.name] = str(error)
    if work in SHORT:
        for name in jobs:
            jobs[name]()  # the first call of a file pays for imports and thread pools
    rounds = repeat * SHORT_TIMES if work in SHORT else repeat
    outcome = race(jobs, rounds, lambda result: contestants.same(work, result, wanted))
    outcome.failed.update(failed)
    return outcome


def _told_memory(grown: float, case: Case, work: str) -> str:
    if work != "eager" or grown != grown:
        return megabytes(grown)
    share = grown / case.nbytes
    return f"{share:.2f} arrays (<{EAGER_MEMORY}){'' if share <= EAGER_MEMORY else '!'}"


def _add_plan(table: Table, case: Case) -> None:
    plan = lazyusid.open(case.path).main.plan
    amplification = getattr(plan, "amplification", nan)
    table.add(
        [
            case.name,
            " x ".join(map(str, plan.block)),
            megabytes(plan.block_bytes),
            f"{plan.tasks:,}",
            f"{amplification:.2f}",
        ],
        file=case.name,
        block=plan.block,
        tasks=plan.tasks,
        amplification=amplification,
    )
