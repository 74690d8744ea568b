"""Peak memory of a reduction over more data than should ever be held."""

from tests.benchmarks import files, memory
from tests.benchmarks.cases import huge, many_chunks
from tests.benchmarks.race import say
from tests.benchmarks.settings import Settings
from tests.benchmarks.tables import Table, at_most, megabytes, seconds

TARGET = 600e6


def tables(settings: Settings) -> list[Table]:
    """Return the table of peak memory."""
    table = Table(
        "Full-scan sum of large Mains, dask's threads, fresh process",
        ["file", "bytes", "seconds", "peak memory", "above the imports"],
        notes=[
            "never written: 32,768 gzip chunks of which one was written; contiguous 16GiB: a "
            "sparse file; many chunks: 100,000 gzip chunks of 64 KiB that are really read.",
        ],
    )
    for case in (many_chunks(settings.folder), *huge(settings.folder)):
        if not settings.wants("memory", case.name):
            continue
        say(f"memory: {case.name}")
        files.make(case)
        use = memory.use_of(case, "sum")
        if case.name.endswith("16GiB"):
            files.forget(case.path)  # reading a hole fills the page cache with zeros
        table.add(
            [
                case.name,
                f"{case.nbytes / 2**30:.1f} GiB",
                seconds(use.seconds),
                at_most(use.peak / 1e6, TARGET / 1e6, "MB"),
                megabytes(use.growth),
            ],
            file=case.name,
            **vars(use),
        )
    return [table] if table.rows else []
