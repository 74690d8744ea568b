"""Index and value tables, read in slabs, point-major whatever the side.

A table has one row for each point of a side and one column for each dimension; the file stores
the spectroscopic ones the other way round, and `Table` is the only place that knows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lazyusid.protocols import Array, BlockSource

SLAB_ROWS = 1 << 18


@dataclass(frozen=True)
class Table:
    """An index or value table, point-major.

    Attributes
    ----------
    source
        The stored 2-D dataset.
    transposed
        True where points run along the second axis, as in spectroscopic tables.
    """

    source: BlockSource
    transposed: bool

    @property
    def points(self) -> int:
        """Number of points."""
        return self.source.shape[1 if self.transposed else 0]

    @property
    def columns(self) -> int:
        """Number of dimensions."""
        return self.source.shape[0 if self.transposed else 1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Stored dtype."""
        return self.source.dtype

    def rows(self, start: int, stop: int) -> Array:
        """Return the points `start` to `stop`, shape (stop - start, columns)."""
        region = (slice(start, stop), slice(0, self.columns))
        if self.transposed:
            return self.source.read(region[::-1]).T
        return self.source.read(region)

    def slabs(self) -> Iterator[tuple[int, Array]]:
        """Yield the number of the first point and the rows of one slab after another."""
        for start in range(0, self.points, SLAB_ROWS):
            yield start, self.rows(start, min(start + SLAB_ROWS, self.points))


def cycle(levels: Array, stride: int, start: int, stop: int) -> Array:
    """Return points `start` to `stop` of a column that runs through `levels` again and again.

    Examples
    --------
    >>> cycle(np.array([7, 8, 9]), 2, 1, 8)
    array([7, 8, 8, 9, 9, 7, 7])
    """
    period = len(levels) * stride
    if period <= stop - start:
        skip = start % period
        repeats = -(-(skip + stop - start) // period)
        return np.tile(np.repeat(levels, stride), repeats)[skip : skip + stop - start]
    runs = np.arange(start // stride, -(-stop // stride))
    lengths = np.minimum((runs + 1) * stride, stop) - np.maximum(runs * stride, start)
    return np.repeat(levels[runs % len(levels)], lengths)


class Cycle:
    """The hypothesis that a column runs through `size` levels, each `stride` points long.

    The levels are learnt where they first occur, so a table can be checked in one pass.
    """

    def __init__(self, size: int, stride: int, dtype: np.dtype[Any]) -> None:
        self.levels: Array = np.empty(size, dtype)
        self.stride = stride

    def explains(self, start: int, column: Array) -> bool:
        """Return whether `column`, whose first point is number `start`, fits what came before."""
        stop = start + len(column)
        first, last = -(-start // self.stride), min(-(-stop // self.stride), len(self.levels))
        if first < last:
            fresh = slice(first * self.stride - start, (last - 1) * self.stride - start + 1)
            self.levels[first:last] = column[fresh][:: self.stride]
        expected = cycle(self.levels, self.stride, start, stop)
        if np.array_equal(column, expected):
            return True
        return column.dtype.kind == "f" and np.array_equal(column, expected, equal_nan=True)


def learn_cycles(
    table: Table, sizes: tuple[int, ...], strides: tuple[int, ...]
) -> list[Array | None]:
    """Return for each column its levels, or None where it does not cycle as stated.

    Reads the table once, in slabs.
    """
    cycles: list[Cycle | None] = [
        Cycle(size, stride, table.dtype) for size, stride in zip(sizes, strides, strict=True)
    ]
    for start, rows in table.slabs():
        for column, hypothesis in enumerate(cycles):
            if hypothesis and not hypothesis.explains(start, rows[:, column]):
                cycles[column] = None
        if not any(cycles):
            break
    return [hypothesis.levels if hypothesis else None for hypothesis in cycles]


def find_strides(table: Table) -> list[int]:
    """Return for each column the first point at which it differs from point 0, else `points`.

    Assumes what a raster table obeys (a column keeps each level for `stride` points): then the
    change lies between the last unchanged and the first changed power of two, and the tail of a
    long table need not be read.
    """
    if table.points == 0:
        return [0] * table.columns
    head = table.rows(0, min(SLAB_ROWS, table.points))
    changed = head != head[0]
    return [
        int(np.argmax(column)) if column.any() else _gallop(table, number, len(head))
        for number, column in enumerate(changed.T)
    ]


def _gallop(table: Table, column: int, unchanged: int) -> int:
    origin = table.rows(0, 1)[0, column]
    low, high = unchanged - 1, unchanged
    while high < table.points and table.rows(high, high + 1)[0, column] == origin:
        low, high = high, 2 * high
    if high >= table.points:
        high = table.points
        if table.rows(high - 1, high)[0, column] == origin:
            return high
    while high - low > 1:
        middle = (low + high) // 2
        if table.rows(middle, middle + 1)[0, column] == origin:
            low = middle
        else:
            high = middle
    return high
