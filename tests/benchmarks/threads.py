"""The gzip sum on one thread, on two, and on a cluster of two processes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, LocalCluster

import lazyusid
from tests.benchmarks import files, limit
from tests.benchmarks.cases import Case, find
from tests.benchmarks.race import race, say
from tests.benchmarks.settings import Settings
from tests.benchmarks.tables import Table, ratio, seconds

FILES = ("gzip 64x2048", "gzip 8kB")


def tables(settings: Settings) -> list[Table]:
    """Return the table of sums by threads and processes."""
    wanted = [name for name in FILES if settings.wants("threads cluster", name)]
    if not wanted:
        return []
    table = Table(
        "Sum by threads and processes",
        ["file", "reader", "threads", "median", "best", "MB/s", "x one thread"],
        notes=["The cluster (two processes of one thread) runs already. MB/s of elements."],
    )
    with _cluster() as client:
        for name in wanted:
            say(f"threads: {name}")
            case = find(settings.folder, name)
            files.make(case)
            files.warm(case.path)
            _add(table, case, client, settings.repeat)
    return [table]


@contextmanager
def _cluster() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.run(lambda: __import__("lazyusid").open)
        yield client


def _add(table: Table, case: Case, client: Client, repeat: int) -> None:
    listed = limit.list_pieces(case)
    jobs: dict[str, Callable[[], Any]] = {
        "lazyusid, 1": lambda: _threaded(case, 1),
        "lazyusid, 2": lambda: _threaded(case, 2),
        "lazyusid, 2 processes": lambda: client.compute(_total(case)).result(),
        "limit, 1": lambda: limit.total(listed, 1),
        "limit, 2": lambda: limit.total(listed, 2),
    }
    jobs["lazyusid, 2 processes"]()
    outcome = race(jobs, repeat)
    for name in jobs:
        who, _, threads = name.partition(", ")
        faster = outcome.ratio(f"{who}, 1", name)
        rate = case.nbytes / outcome.median(name) / 1e6
        times = (seconds(outcome.median(name)), seconds(outcome.best(name)))
        table.add(
            [case.name, who, threads, *times, f"{rate:.0f}", ratio(faster)],
            file=case.name,
            reader=name,
            times=outcome.times[name],
            faster=faster,
        )


def _total(case: Case) -> Any:
    return lazyusid.open(case.path).main.data.sum()


def _threaded(case: Case, threads: int) -> Any:
    with dask.config.set(scheduler="threads", num_workers=threads):
        return _total(case).compute()
