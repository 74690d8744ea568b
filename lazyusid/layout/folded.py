"""The adapters between a 2-D matrix and its N-D form; each is a source like any other."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lazyusid.errors import LayoutError
from lazyusid.layout.folding import Folding
from lazyusid.layout.grid import Points
from lazyusid.layout.sources import MemorySource
from lazyusid.protocols import Array, BlockSource, Region, extent, whole

Fill = Any
"""A scalar that stands in for points which were not measured; None lets the dtype decide."""


@dataclass(frozen=True)
class FoldedSource:
    """The N-D form of a 2-D source.

    Attributes
    ----------
    source
        The matrix, positions x spectroscopic steps.
    folding
        Where its rows and columns belong.
    fill
        What stands where no point was measured, in the matrix's own dtype. None: NaN, for which
        integers and bools become the smallest float that holds them exactly.
    """

    source: BlockSource
    folding: Folding
    fill: Fill = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes, slowest first, positions then spectroscopic."""
        return self.folding.shape

    @cached_property
    def filled(self) -> Array:
        """The fill value, 0-D, in the dtype that `read` gives."""
        if self.folding.missing:
            return filling(self.source.dtype, self.fill)
        return np.zeros((), self.source.dtype)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The matrix's dtype, or what it becomes where points are missing."""
        return self.filled.dtype

    @property
    def chunks(self) -> None:
        """None: what storage reads as a unit is no box in N dimensions."""
        return None

    @cached_property
    def token(self) -> str:
        """Digest of the matrix's token, the folding and the fill."""
        digest = hashlib.sha256(repr((self.source.token, self.shape, self.fill)).encode())
        for side, grid in zip(self.folding._fields, self.folding, strict=True):
            digest.update(side.encode())
            digest.update(b"" if grid.lookup is None else grid.lookup.tobytes())
        return digest.hexdigest()

    def read(self, region: Region) -> Array:
        """Return the elements of an N-D region.

        Raises
        ------
        SourceError
            Where the matrix cannot be read.
        LayoutError
            Where 64-bit integers beside missing points do not fit a float.
        """
        out = np.empty(extent(region), self.dtype)
        self.read_into(region, out)
        return out

    def read_into(self, region: Region, out: Array) -> None:
        """Fill `out` with the elements of an N-D region; errors as `read`."""
        rows, columns = self.folding.find(region)
        block = out.reshape(_count(rows), _count(columns))
        if not isinstance(rows, slice) or not isinstance(columns, slice):
            self._gather(rows, columns, block)
        elif self.source.dtype == self.dtype:
            self.source.read_into((rows, columns), block)
        else:
            block[...] = exactly(self.source.read((rows, columns)), self.dtype)

    def _gather(self, rows: Points, columns: Points, block: Array) -> None:
        block[...] = self.filled
        units = self.source.chunks or (1, 1)
        pieces = list(split(columns, units[1]))
        for row in split(rows, units[0]):
            for column in pieces:
                part = self.source.read((row.run, column.run))
                if not isinstance(row.take, slice):
                    part = part[row.take]
                if not isinstance(column.take, slice):
                    part = part[:, column.take]
                block[_outer(row.put, column.put)] = exactly(part, self.dtype)


@dataclass(frozen=True)
class MeasuredSource:
    """Which elements of the N-D form were measured, as bools."""

    folding: Folding
    token: str
    chunks: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes, slowest first, positions then spectroscopic."""
        return self.folding.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Bool."""
        return np.dtype(bool)

    def read(self, region: Region) -> Array:
        """Return True where a point was measured."""
        rows, columns = map(_numbers, self.folding.find(region))
        return np.logical_and.outer(rows >= 0, columns >= 0).reshape(extent(region))

    def read_into(self, region: Region, out: Array) -> None:
        """Fill `out` with what `read` returns."""
        out[...] = self.read(region)


class Piece(NamedTuple):
    """A run of points to read at once, which of it to take, and where in the block to put it."""

    run: slice
    take: slice | NDArray[np.intp]
    put: slice | NDArray[np.intp]


def split(points: Points, unit: int) -> Iterator[Piece]:
    """Yield the runs of points to read, in storage order; no storage unit is read twice.

    Neighbouring points are one run; points with others between them are one run only where they
    share a storage unit of `unit` points, which has to be read whole anyhow.

    Examples
    --------
    >>> for piece in split(np.array([7, 6, -1, 2, 0]), 4):
    ...     print(piece)
    Piece(run=slice(0, 3, None), take=array([0, 2]), put=array([4, 3]))
    Piece(run=slice(6, 8, None), take=array([0, 1]), put=array([1, 0]))
    """
    if isinstance(points, slice):
        yield Piece(points, slice(None), slice(0, points.stop - points.start))
        return
    order = np.argsort(points, kind="stable")
    order = order[np.searchsorted(points[order], 0) :]
    ordered = points[order]
    apart = (np.diff(ordered) > 1) & (np.diff(ordered // unit) > 0)
    edges = [0, *(np.flatnonzero(apart) + 1).tolist(), len(ordered)]
    for first, last in pairwise(edges):
        if first < last:
            run = slice(int(ordered[first]), int(ordered[last - 1]) + 1)
            yield Piece(run, ordered[first:last] - run.start, order[first:last])


def _count(points: Points) -> int:
    return points.stop - points.start if isinstance(points, slice) else len(points)


def _outer(rows: slice | NDArray[np.intp], columns: slice | NDArray[np.intp]) -> Any:
    if isinstance(rows, slice) or isinstance(columns, slice):
        return rows, columns
    return np.ix_(rows, columns)


def filling(dtype: np.dtype[Any], fill: Fill = None) -> Array:
    """Return what stands for missing elements of `dtype`, 0-D, in the dtype they are given in.

    Examples
    --------
    >>> filling(np.dtype("i2"))
    array(nan, dtype=float32)
    >>> filling(np.dtype("i2"), -1)
    array(-1, dtype=int16)
    """
    if fill is not None:
        return _given_fill(dtype, fill)
    if dtype.kind in "fc":
        return np.full((), np.nan, dtype)
    if dtype.kind in "biu":
        wider = {1: np.float16, 2: np.float32}.get(dtype.itemsize, np.float64)
        return np.full((), np.nan, wider)
    value = np.zeros((), dtype)
    for name in dtype.names or ():
        if dtype[name].base.kind in "fcV":
            value[name] = filling(dtype[name].base)
    return value


def _given_fill(dtype: np.dtype[Any], fill: Fill) -> Array:
    try:
        with np.errstate(all="ignore"):
            given = np.asarray(fill)
            loses = given.dtype.kind == "c" and dtype.kind != "c"
            value = np.zeros((), dtype) if loses else np.full((), fill, dtype)
        if dtype.kind in "biu":
            loses = loses or value.item() != fill
        elif dtype.kind in "fc":
            loses = loses or bool(np.isinf(value) and not np.isinf(given))
    except (ValueError, TypeError, OverflowError):
        loses = True
    if loses:
        raise LayoutError(f"fill={fill!r} is no {dtype}; give a value of the data's own dtype.")
    return value


def exactly(values: Array, dtype: np.dtype[Any]) -> Array:
    """Return `values` as `dtype`, refusing integers that a float would round.

    Raises
    ------
    LayoutError
        Where a 64-bit integer changes its value.
    """
    if values.dtype == dtype:
        return values
    cast = values.astype(dtype)
    wide = values.dtype.kind in "iu" and values.dtype.itemsize == 8
    if wide and values.size and max(int(values.max()), -int(values.min())) > 2**53:
        raise LayoutError(
            f"{values.dtype} values beyond 2**53 beside missing points do not fit float64, which "
            "NaN needs; pass fill= to keep the dtype."
        )
    return cast


def fold(matrix: Array, folding: Folding, fill: Fill = None) -> Array:
    """Return the N-D form of a matrix in memory."""
    return FoldedSource(MemorySource(matrix), folding, fill).read(whole(folding.shape))


def unfold(array: Array, folding: Folding, fill: Fill = None) -> Array:
    """Return the matrix whose N-D form is `array`; points that have no cell are filled.

    Raises
    ------
    LayoutError
        Where `array` has another shape than the folding.
    """
    if array.shape != folding.shape:
        raise LayoutError(
            f"the array has shape {array.shape}, the folding {folding.shape}; they must match.",
            rule="fold-shape",
        )
    rows, columns = map(_numbers, folding.find(whole(folding.shape)))
    measured = np.ix_(rows >= 0, columns >= 0)
    complete = measured[0].size * measured[1].size == np.prod(folding.matrix_shape)
    value = np.zeros((), array.dtype) if complete else filling(array.dtype, fill)
    matrix = np.full(folding.matrix_shape, value)
    cells = array.reshape(len(rows), len(columns))
    matrix[np.ix_(rows[rows >= 0], columns[columns >= 0])] = cells[measured]
    return matrix


def _numbers(points: Points) -> NDArray[np.int64]:
    return np.arange(points.start, points.stop) if isinstance(points, slice) else points
