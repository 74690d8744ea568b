"""What a scan over 100,000 small chunks spends its time on, on one thread."""

import cProfile
import pstats
import time
from pathlib import Path
from typing import Any

import dask

from tests.benchmarks import files, limit
from tests.benchmarks.cases import Case, many_chunks
from tests.benchmarks.contestants import Lazyusid
from tests.benchmarks.hooks import clocked
from tests.benchmarks.race import say
from tests.benchmarks.settings import Settings
from tests.benchmarks.tables import Table, seconds

TARGET = 0.15
SHOWN = 12


def tables(settings: Settings) -> list[Table]:
    """Return where the time goes, and which functions take it."""
    case = many_chunks(settings.folder)
    if not settings.wants("overhead", case.name):
        return []
    say(f"overhead: {case.name}")
    files.make(case)
    files.warm(case.path)
    with dask.config.set(scheduler="synchronous"):
        return [_shares(case), _functions(case)]


def _shares(case: Case) -> Table:
    job = Lazyusid().job(case, "sum")
    with clocked() as clock:
        begin = time.perf_counter()
        job()
        total = time.perf_counter() - begin
    bare = _bare(case)
    outside = 1 - (clock.seconds.get("read", 0) + clock.seconds.get("decode", 0)) / total
    told = f"{outside:.1%} outside read and decode (<{TARGET:.0%}){'' if outside < TARGET else '!'}"
    table = Table(
        f"Sum of 100,000 gzip chunks of 64 KiB, one thread: {told}",
        ["spent on", "seconds", "calls", "share"],
        notes=["The limit is one thread with one request a chunk; its sum is part of the rest."],
        measured=[{"outside": outside, "total": total, **clock.seconds}],
    )
    for label, spent in clock.seconds.items():
        table.rows.append(
            [label, seconds(spent), f"{clock.calls[label]:,}", f"{spent / total:.1%}"]
        )
    rest = total - sum(clock.seconds.values())
    table.rows.append(["the rest", seconds(rest), "", f"{rest / total:.1%}"])
    table.rows.append(["all", seconds(total), "", ""])
    table.rows.append(["the limit", seconds(bare), "", f"{bare / total:.1%}"])
    return table


def _bare(case: Case) -> float:
    listed = limit.list_pieces(case)
    begin = time.perf_counter()
    limit.total(listed, 1)
    return time.perf_counter() - begin


def _functions(case: Case) -> Table:
    """Return the functions that take most time themselves; the profiler slows small ones."""
    profile = cProfile.Profile()
    profile.runcall(Lazyusid().job(case, "sum"))
    found: dict[Any, Any] = vars(pstats.Stats(profile))["stats"]
    total = sum(own for _, _, own, _, _ in found.values())
    table = Table("The same, by cProfile", ["function", "seconds", "calls", "share"])
    for where, (_, calls, own, _, _) in sorted(found.items(), key=lambda item: -item[1][2])[:SHOWN]:
        name = f"{Path(where[0]).name}:{where[1]} {where[2]}" if where[1] else where[2]
        table.add([name, seconds(own), f"{calls:,}", f"{own / total:.1%}"], name=name, seconds=own)
    return table
