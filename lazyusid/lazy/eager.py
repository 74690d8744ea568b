"""Reading now, on all cores, straight into one array; without dask."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from lazyusid.protocols import Array, BlockSource, Region, extent
from lazyusid.resources import cores


@dataclass(frozen=True)
class ParallelSource:
    """A source whose large regions are read block by block in threads.

    Attributes
    ----------
    source
        What to read.
    block
        Edges of the blocks, aligned with what storage reads as a unit.
    """

    source: BlockSource
    block: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the source."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the source."""
        return self.source.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Chunks of the source."""
        return self.source.chunks

    @property
    def token(self) -> str:
        """Token of the source."""
        return self.source.token

    def read(self, region: Region) -> Array:
        """Return the elements of `region`."""
        out = np.empty(extent(region), self.dtype)
        self.read_into(region, out)
        return out

    def read_into(self, region: Region, out: Array) -> None:
        """Fill `out` with the elements of `region`, a block a thread."""
        if out.size <= prod(self.block):
            self.source.read_into(region, out)
            return
        blocks = list(self._blocks(region))
        threads = min(len(blocks), _threads())
        if threads < 2:
            for block in blocks:
                self._read_block(region, block, out)
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="lazyusid") as pool:
            for _ in pool.map(lambda block: self._read_block(region, block, out), blocks):
                pass

    def _blocks(self, region: Region) -> "product[tuple[slice, ...]]":
        """Return the parts of `region` on the grid of blocks."""
        axes = []
        for part, edge in zip(region, self.block, strict=True):
            edge = max(edge, 1)
            starts = range(part.start // edge * edge, part.stop, edge)
            axes.append([slice(max(part.start, s), min(part.stop, s + edge)) for s in starts])
        return product(*axes)

    def _read_block(self, region: Region, block: Region, out: Array) -> None:
        place = tuple(
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(block, region, strict=True)
        )
        target = out[place]
        if target.flags.c_contiguous:
            self.source.read_into(block, target)
        else:
            target[...] = self.source.read(block)


def _threads() -> int:
    """Return how many threads to start: the cores, but none below a scheduler's own threads."""
    return cores() if threading.current_thread() is threading.main_thread() else 1
