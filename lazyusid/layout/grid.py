"""How the points of one side fill a box: raster, permuted, partial or scattered.

A raster numbers its points as C order numbers the cells of the box, slowest dimension first. For
everything else that fills a box, `lookup` says which point lies in a cell. Points are placed by the
rank of their index in each dimension, never by the order of the rows nor by their values.
"""

from dataclasses import dataclass, replace
from math import prod
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lazyusid.errors import LayoutError
from lazyusid.layout.tables import Table, find_strides, learn_cycles
from lazyusid.protocols import Array, Region, extent

GridKind = Literal["raster", "permuted", "partial", "scattered"]
Points = slice | NDArray[np.int64]
"""Numbers of points: a run, or one number a cell with -1 where no point was measured."""

MAX_FORCED_BOX = 1 << 28


@dataclass(frozen=True, eq=False)
class Grid:
    """The box that the points of one side fill.

    Attributes
    ----------
    shape
        Steps of each dimension, slowest first; ``()`` for a placeholder side of one point.
    columns
        The table's column for each axis of `shape`; empty for a scattered side.
    points
        Number of points in the table.
    kind, reason
        How they fill the box, and why that was decided, in words.
    lookup
        Number of the point in each cell, in C order, -1 where there is none; None where cell k
        holds point k.
    """

    shape: tuple[int, ...]
    columns: tuple[int, ...]
    points: int
    kind: GridKind
    reason: str
    lookup: NDArray[np.signedinteger] | None = None

    @property
    def missing(self) -> bool:
        """Whether any cell holds no measured point."""
        return self.lookup is not None and bool((self.lookup < 0).any())

    def find(self, region: Region) -> Points:
        """Return the points in the cells of `region`, in C order."""
        if self.lookup is not None:
            cells = self.lookup.reshape(self.shape)[region].ravel()
            return _as_run(cells.astype(np.int64))
        return _raster_points(self.shape, region)

    def masked(self, done: NDArray[np.bool_]) -> "Grid":
        """Return the grid without the points that are not `done` (one flag a point)."""
        cells = np.arange(self.points) if self.lookup is None else self.lookup.astype(np.int64)
        kept = np.where((cells >= 0) & done[cells], cells, -1)
        return replace(self, lookup=kept.astype(_smallest_int(self.points)))

    def placeholder(self) -> "Grid":
        """Return the same side of one point without its axis."""
        return replace(self, shape=(), columns=())


def raster(shape: tuple[int, ...], reason: str = "sizes given by the caller") -> Grid:
    """Return the grid whose points are the cells of `shape` in C order."""
    return Grid(shape, tuple(range(len(shape))), prod(shape), "raster", reason)


def scattered(points: int, reason: str) -> Grid:
    """Return the grid that is a plain list of `points`."""
    return Grid((points,), (), points, "scattered", reason)


def find_grid(table: Table, incomplete: tuple[str, ...] = ()) -> Grid:
    """Return the grid that an index table describes.

    Parameters
    ----------
    table
        Index table; integers, in an integer or a float dtype.
    incomplete
        Dimensions of this side that the file marks as having no N-D form.

    Raises
    ------
    LayoutError
        Where an index is not an integer.
    """
    if incomplete:
        return scattered(table.points, f"incomplete_dimensions names {', '.join(incomplete)}")
    return _find_raster(table) or _find_placement(table)


def force_grid(table: Table) -> Grid:
    """Return the box that the table's indices span, however few of its cells are filled.

    Raises
    ------
    LayoutError
        Where two points have the same indices, or the box has over 2**28 cells.
    """
    found = _find_raster(table)
    if found:
        return found
    placement = _place(table)
    if placement.cells > MAX_FORCED_BOX:
        raise LayoutError(
            f"a {_box(placement.shape)} box has {placement.cells:,} cells for {table.points:,} "
            f"points; at most {MAX_FORCED_BOX:,} are filled up. Use 'points'.",
            rule="grid-size",
        )
    lookup = placement.lookup()
    if np.count_nonzero(lookup >= 0) < table.points:
        raise LayoutError(
            f"{table.points - np.count_nonzero(lookup >= 0):,} of {table.points:,} points repeat "
            "the indices of another; a grid holds one point a cell. Use 'points'.",
            rule="grid-unique",
        )
    return placement.grid(lookup)


def _find_raster(table: Table) -> Grid | None:
    """Return the raster that the table proves to be, in one pass over it, or None."""
    strides = find_strides(table)
    order = sorted(range(table.columns), key=lambda column: (-strides[column], -column))
    sizes, outer = dict.fromkeys(order, 0), table.points
    for column in order:
        if not strides[column]:
            break
        sizes[column], rest = divmod(outer, strides[column])
        if rest:
            return None
        outer = strides[column]
    if outer not in (0, 1):
        return None
    by_column = tuple(sizes[column] for column in range(table.columns))
    for levels in learn_cycles(table, by_column, tuple(strides)):
        if levels is None or not _is_ascending(levels):
            return None
    shape = tuple(sizes[column] for column in order)
    return Grid(
        shape, tuple(order), table.points, "raster", f"{_box(shape)} points in raster order"
    )


def _is_ascending(levels: Array) -> bool:
    whole = np.isfinite(levels).all() and (levels == np.rint(levels)).all()
    return bool(whole and (levels[1:] > levels[:-1]).all())


class _Placement(NamedTuple):
    """Where the points of a table lie in the box their indices span."""

    shape: tuple[int, ...]
    columns: tuple[int, ...]
    levels: list[NDArray[np.int64]]
    ranks: list[NDArray[np.int64]]

    @property
    def cells(self) -> int:
        return prod(self.shape)

    @property
    def points(self) -> int:
        return len(self.ranks[0])

    def lookup(self) -> NDArray[np.signedinteger]:
        cell = np.ravel_multi_index(tuple(self.ranks), self.shape)
        lookup = np.full(self.cells, -1, _smallest_int(self.points))
        lookup[cell] = np.arange(self.points)
        return lookup

    def grid(self, lookup: NDArray[np.signedinteger]) -> Grid:
        filled = f"{self.points:,} points in a {_box(self.shape)} box"
        if self.points < self.cells:
            reason = f"{filled}, {_percent(self.points / self.cells)}"
            return Grid(self.shape, self.columns, self.points, "partial", reason, lookup)
        reason = f"{filled}, not in raster order"
        return Grid(self.shape, self.columns, self.points, "permuted", reason, lookup)


def _find_placement(table: Table) -> Grid:
    placement = _place(table)
    identical = _identical_columns(placement)
    if identical:
        return scattered(table.points, "columns {} and {} are identical".format(*identical))
    if 2 * table.points < placement.cells:
        share = table.points / placement.cells
        box = _box(placement.shape)
        reason = f"{table.points:,} points in a {box} box, {_percent(share)}"
        return scattered(table.points, reason)
    lookup = placement.lookup()
    repeated = table.points - np.count_nonzero(lookup >= 0)
    if repeated:
        reason = f"{repeated:,} of {table.points:,} points repeat the indices of another"
        return scattered(table.points, reason)
    return placement.grid(lookup)


def _place(table: Table) -> _Placement:
    """Return the rank of each point in each dimension, dimensions slowest first."""
    indices = np.concatenate([_integers(rows) for _, rows in table.slabs()])
    changes = np.count_nonzero(indices[1:] != indices[:-1], axis=0)
    order = sorted(range(table.columns), key=lambda column: (changes[column], -column))
    ranked = [np.unique(indices[:, column], return_inverse=True) for column in order]
    return _Placement(
        tuple(len(levels) for levels, _ in ranked),
        tuple(order),
        [levels for levels, _ in ranked],
        [ranks.astype(np.int64, copy=False) for _, ranks in ranked],
    )


def _integers(rows: Array) -> NDArray[np.int64]:
    if rows.dtype.kind == "f" and not (np.isfinite(rows) & (rows == np.rint(rows))).all():
        raise LayoutError(
            "the index table holds numbers that are no integers; indices must count 0, 1, 2, ...",
            rule="index-integer",
        )
    if rows.dtype.kind in "uf" and rows.size and rows.max() >= 2**63:
        raise LayoutError("the index table counts beyond 2**63.", rule="index-integer")
    return rows.astype(np.int64)


def _identical_columns(placement: _Placement) -> tuple[int, int] | None:
    for first, ranks in enumerate(placement.ranks):
        for second in range(first + 1, len(placement.ranks)):
            same = placement.shape[first] > 1 and np.array_equal(
                placement.levels[first], placement.levels[second]
            )
            if same and np.array_equal(ranks, placement.ranks[second]):
                pair = sorted((placement.columns[first], placement.columns[second]))
                return pair[0], pair[1]
    return None


def _raster_points(shape: tuple[int, ...], region: Region) -> Points:
    strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    sizes = extent(region)
    first = sum(part.start * stride for part, stride in zip(region, strides, strict=True))
    long = [axis for axis, size in enumerate(sizes) if size != 1]
    inner = long[0] + 1 if long else len(shape)
    if sizes[inner:] == shape[inner:]:
        return slice(first, first + prod(sizes))
    points: NDArray[np.int64] = np.zeros(1, np.int64)
    for size, stride in zip(sizes, strides, strict=True):
        points = np.add.outer(points, np.arange(size) * stride).ravel()
    points += first
    return points


def _as_run(points: NDArray[np.int64]) -> Points:
    if len(points) and points[0] >= 0 and (np.diff(points) == 1).all():
        return slice(int(points[0]), int(points[-1]) + 1)
    return points


def _smallest_int(points: int) -> np.dtype[np.signedinteger]:
    return np.min_scalar_type(-max(points, 1))


def _percent(share: float) -> str:
    return f"{min(100 * share, 99):.0f} %" if share >= 0.01 else f"{100 * share:.2g} %"


def _box(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
