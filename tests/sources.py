"""Sources for tests: tables in memory, a source that keeps count, a table made while it is read."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from lazyusid.layout.folding import Folding
from lazyusid.layout.grid import find_grid
from lazyusid.layout.sources import MemorySource
from lazyusid.layout.tables import Table
from lazyusid.protocols import BlockSource, Region, extent
from tests.builders import Side


def table_of(rows: ArrayLike, dtype: DTypeLike | None = None, *, transposed: bool = False) -> Table:
    """A table in memory; `rows` are point-major however it is stored."""
    given = np.asarray(rows, dtype)
    return Table(MemorySource(given.T if transposed else given), transposed)


def index_table(side: Side, dtype: DTypeLike = "u4", *, transposed: bool = False) -> Table:
    """The index table of a side."""
    return table_of(side.indices, dtype, transposed=transposed)


def value_table(side: Side, dtype: DTypeLike = "f8", *, transposed: bool = False) -> Table:
    """The values table of a side."""
    return table_of(side.values, dtype, transposed=transposed)


def folding_of(position: Side, spectroscopic: Side) -> Folding:
    """The folding that the tables of both sides describe."""
    return Folding(
        find_grid(index_table(position), position.incomplete),
        find_grid(index_table(spectroscopic, transposed=True), spectroscopic.incomplete),
    )


@dataclass
class CountingSource:
    """A source that remembers which regions were read."""

    source: BlockSource
    regions: list[Region] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        return self.source.chunks

    @property
    def token(self) -> str:
        return self.source.token

    def read(self, region: Region) -> NDArray[Any]:
        self.regions.append(region)
        return self.source.read(region)

    def read_into(self, region: Region, out: NDArray[Any]) -> None:
        self.regions.append(region)
        self.source.read_into(region, out)

    @property
    def elements(self) -> int:
        """How many elements were read, those read twice counted twice."""
        return sum(int(np.prod(extent(region))) for region in self.regions)

    @property
    def rows(self) -> int:
        """How many rows were read, those read twice counted twice."""
        return sum(extent(region)[0] for region in self.regions)

    def chunk_reads(self) -> Counter[tuple[int, ...]]:
        """How many of the reads touched each chunk."""
        edges = self.chunks or (1,) * len(self.shape)
        return Counter(
            chunk
            for region in self.regions
            if all(extent(region))
            for chunk in product(
                *(
                    range(part.start // edge, (part.stop - 1) // edge + 1)
                    for part, edge in zip(region, edges, strict=True)
                )
            )
        )


@dataclass
class RasterTable:
    """The index table of a raster of `sizes`, slowest first, made while it is read."""

    sizes: tuple[int, ...]
    stored: str = "u4"
    chunks: None = None
    token: str = "raster"

    @property
    def shape(self) -> tuple[int, ...]:
        return prod(self.sizes), len(self.sizes)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.stored)

    def read(self, region: Region) -> NDArray[Any]:
        points = np.arange(region[0].start, region[0].stop)
        rows = np.empty((len(points), len(self.sizes)), self.dtype)
        for column in range(len(self.sizes) - 1, -1, -1):
            points, rows[:, column] = np.divmod(points, self.sizes[column])
        return rows[:, region[1]]

    def read_into(self, region: Region, out: NDArray[Any]) -> None:
        out[...] = self.read(region)
