"""A file system where every request takes a while."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from dask.system import CPU_COUNT

from tests.benchmarks import contestants, files, limit
from tests.benchmarks.cases import Case, find
from tests.benchmarks.contestants import Lazyusid
from tests.benchmarks.hooks import Requests, slowed
from tests.benchmarks.race import race, say
from tests.benchmarks.settings import Settings
from tests.benchmarks.tables import Table, megabytes, ratio, seconds

FILES = ("contiguous", "gzip 64x2048", "gzip 100x1000", "gzip 8kB", "contiguous complex64")
WORKS = ("sum", "spectrum", "image")
ROUNDS = 3


def tables(settings: Settings) -> list[Table]:
    """Return the table of slow requests."""
    told = f"{1000 * settings.latency:g} ms"
    table = Table(
        f"Each request for stored bytes takes {told} more",
        ["file", "work", "lazyusid", "requests", "fetched", "naive", "requests", "x", "equal"],
        notes=[
            "naive: the limit's loop; a request for every chunk, or row of a contiguous matrix.",
            "What HDF5 itself reads, to open the file and to find chunks, is not slowed.",
        ],
    )
    for name in FILES:
        case = find(settings.folder, name)
        for work in WORKS:
            if settings.wants("latency", name, work):
                say(f"latency: {name}, {work}")
                files.make(case)
                _add(table, case, work, settings.latency)
    return [table] if table.rows else []


def _add(table: Table, case: Case, work: str, latency: float) -> None:
    counted = Requests()
    naive = limit.list_pieces(case, band_rows=1).touching(work)
    jobs: dict[str, Callable[[], Any]] = {
        "lazyusid": lambda: _slow(case, work, latency, counted),
        "naive": lambda: _naive(naive, work, latency),
    }
    wanted = contestants.expected(case, work)
    outcome = race(jobs, ROUNDS, lambda found: contestants.same(work, found, wanted))
    faster = outcome.ratio("naive", "lazyusid")
    table.add(
        [
            case.name,
            work,
            seconds(outcome.median("lazyusid")),
            f"{counted.count:,}",
            megabytes(counted.nbytes),
            seconds(outcome.median("naive")),
            f"{len(naive.pieces):,}",
            ratio(faster),
            "yes" if not outcome.wrong else f"{outcome.wrong}",
        ],
        file=case.name,
        work=work,
        times=outcome.times,
        requests=counted.count,
        fetched=counted.nbytes,
        naive_requests=len(naive.pieces),
    )


def _slow(case: Case, work: str, latency: float, counted: Requests) -> Any:
    job = Lazyusid().job(case, work)
    with slowed(latency) as requests:
        result = job()
    counted.count, counted.nbytes = requests.count, requests.nbytes
    return result


def _naive(listed: limit.Listed, work: str, latency: float) -> Any:
    def slow(fd: int, offset: int, out: np.ndarray[Any, Any]) -> None:
        time.sleep(latency)
        limit.fetch(fd, offset, out)

    if work == "sum":
        return limit.total(listed, CPU_COUNT, slow)
    return limit.gather(listed, work, CPU_COUNT, slow)
