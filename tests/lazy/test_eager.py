"""Reading now: in blocks, in threads, and always what the source holds."""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from lazyusid.layout.folded import FoldedSource
from lazyusid.layout.sources import MemorySource
from lazyusid.lazy import eager
from lazyusid.lazy.eager import ParallelSource
from lazyusid.protocols import Region, whole
from tests.builders import grid_side
from tests.sources import CountingSource, folding_of

ARRAY = np.arange(7 * 5 * 6).reshape(7, 5, 6)


@pytest.fixture(autouse=True, params=[1, 3])
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager, "cores", lambda: request.param)


@st.composite
def regions(draw: st.DrawFn) -> Region:
    ends = [sorted(draw(st.tuples(*[st.integers(0, size)] * 2))) for size in ARRAY.shape]
    return tuple(slice(start, stop) for start, stop in ends)


edges = st.tuples(st.integers(0, 8), st.integers(1, 8), st.integers(1, 8))


def test_any_region_in_any_blocks_is_what_the_source_holds_there() -> None:
    @settings(deadline=None, max_examples=60)
    @given(region=regions(), block=edges)
    def law(region: Region, block: tuple[int, ...]) -> None:
        source = CountingSource(MemorySource(ARRAY))
        found = ParallelSource(source, block).read(region)
        assert_array_equal(found, ARRAY[region], strict=True)
        assert source.elements == found.size

    law()


def test_blocks_lie_on_the_grid_of_the_whole_array() -> None:
    source = CountingSource(MemorySource(ARRAY))
    ParallelSource(source, (3, 5, 6)).read((slice(2, 7), slice(0, 5), slice(0, 6)))
    rows = sorted((region[0].start, region[0].stop) for region in source.regions)
    assert rows == [(2, 3), (3, 6), (6, 7)]


def test_a_fold_reads_the_same_in_blocks() -> None:
    folding = folding_of(grid_side((7, 5), scan="serpentine"), grid_side((6,)))
    folded = FoldedSource(MemorySource(ARRAY.reshape(35, 6)), folding)
    found = ParallelSource(folded, (2, 3, 4)).read(whole((7, 5, 6)))
    assert_array_equal(found, folded.read(whole((7, 5, 6))), strict=True)


def test_what_the_source_says_of_itself_stays() -> None:
    source = MemorySource(ARRAY, "token", (1, 5, 6))
    parallel = ParallelSource(source, (2, 5, 6))
    assert (parallel.shape, parallel.dtype) == (source.shape, source.dtype)
    assert (parallel.token, parallel.chunks) == ("token", (1, 5, 6))


@dataclass(frozen=True)
class Torn(MemorySource):
    """A source that cannot be read from row 4 on."""

    def read(self, region: Region) -> NDArray[Any]:
        if region[0].stop > 4:
            raise OSError("no row 4")
        return super().read(region)

    def read_into(self, region: Region, out: NDArray[Any]) -> None:
        out[...] = self.read(region)


def test_an_error_in_any_block_is_raised() -> None:
    source = ParallelSource(Torn(ARRAY), (1, 5, 6))
    assert_array_equal(source.read((slice(0, 4), slice(0, 5), slice(0, 6))), ARRAY[:4])
    with pytest.raises(OSError, match="no row 4"):
        source.read(whole(ARRAY.shape))


def test_within_a_schedulers_thread_no_further_threads_start() -> None:
    """Else a dask worker of 8 threads would start 64."""
    names: set[str] = set()

    @dataclass(frozen=True)
    class Named(MemorySource):
        def read_into(self, region: Region, out: NDArray[Any]) -> None:
            names.add(threading.current_thread().name)
            super().read_into(region, out)

    source = ParallelSource(Named(ARRAY), (1, 5, 6))
    worker = threading.Thread(target=source.read, args=(whole(ARRAY.shape),), name="worker")
    worker.start()
    worker.join()
    assert names == {"worker"}
