"""Values tables -> the dimensions and coordinates of one side of a Main.

Values stand in one row a point. Where those of a dimension depend on its own index alone they
become its values; where they depend on further dimensions they become an N-D coordinate over just
these, and the dimension counts 0, 1, 2, ... Nothing is averaged and nothing is dropped.
"""

from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np
from numpy.typing import NDArray

from lazyusid.layout.dimension import Coordinate, Dimension, Kind, epsilon
from lazyusid.layout.grid import Grid
from lazyusid.layout.tables import Table, learn_cycles
from lazyusid.protocols import Array


@dataclass(frozen=True)
class Naming:
    """What the columns of a side's tables are called.

    Attributes
    ----------
    kind
        The side.
    labels, units
        One a column; labels unique over both sides.
    points
        Name for the one dimension of a scattered side.
    """

    kind: Kind
    labels: tuple[str, ...]
    units: tuple[str, ...]
    points: str


def find_dimensions(grid: Grid, values: Table, naming: Naming) -> tuple[Dimension, ...]:
    """Return the dimensions of a side, in the order of the grid's axes.

    Parameters
    ----------
    grid
        How the points of the side fill a box; with all its axes, a placeholder's too.
    values
        The side's values table, read in slabs; once, or twice where values depend on more than
        their own dimension.
    naming
        Names and units of the table's columns.
    """
    if grid.kind == "scattered":
        return (_scattered_dimension(values, naming),)
    found = _along_axes(grid, values)
    names = tuple(naming.labels[column] for column in grid.columns)
    precision = epsilon(values.dtype)
    dimensions = []
    for axis, (column, over) in enumerate(found):
        name, units = names[axis], naming.units[grid.columns[axis]]
        if over == (axis,):
            dimension = Dimension(name, units, column, naming.kind, precision=precision)
        else:
            dims = tuple(names[other] for other in over)
            coordinate = Coordinate(name, units, dims, column.astype(np.float64))
            dimension = Dimension(
                name, "", grid.shape[axis], naming.kind, coordinates=(coordinate,)
            )
        dimensions.append(dimension)
    return tuple(dimensions)


def _scattered_dimension(values: Table, naming: Naming) -> Dimension:
    columns = _columns(values, range(values.columns))
    coordinates = tuple(
        Coordinate(label, units, (naming.points,), column.astype(np.float64))
        for label, units, column in zip(naming.labels, naming.units, columns, strict=True)
    )
    return Dimension(naming.points, "", values.points, naming.kind, coordinates=coordinates)


def _along_axes(grid: Grid, values: Table) -> list[tuple[Array, tuple[int, ...]]]:
    """Return for each axis its values and the axes they run over."""
    levels: list[Array | None] = [None] * len(grid.shape)
    if grid.lookup is None and grid.columns:
        levels = _raster_levels(grid, values)
    unexplained = [axis for axis, found in enumerate(levels) if found is None]
    columns = _columns(values, [grid.columns[axis] for axis in unexplained])
    placed = {
        axis: _reduce(*_place(grid, column), axis)
        for axis, column in zip(unexplained, columns, strict=True)
    }
    return [
        placed[axis] if found is None else (found, (axis,)) for axis, found in enumerate(levels)
    ]


def _raster_levels(grid: Grid, values: Table) -> list[Array | None]:
    sizes, strides = [1] * values.columns, [1] * values.columns
    for axis, column in enumerate(grid.columns):
        sizes[column] = grid.shape[axis]
        strides[column] = prod(grid.shape[axis + 1 :])
    levels = learn_cycles(values, tuple(sizes), tuple(strides))
    return [levels[column] for column in grid.columns]


def _columns(table: Table, wanted: list[int] | range) -> list[Array]:
    if not wanted:
        return []
    slabs = [rows[:, list(wanted)] for _, rows in table.slabs()]
    if not slabs:
        return [np.empty(0, table.dtype)] * len(wanted)
    return list(np.concatenate(slabs).T)


def _place(grid: Grid, column: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return a column in the box, NaN where no point was measured, and where one was."""
    if grid.lookup is None:
        return column.reshape(grid.shape), np.ones(grid.shape, bool)
    measured = grid.lookup >= 0
    placed = column[grid.lookup].astype(np.float64)
    placed[~measured] = np.nan
    return placed.reshape(grid.shape), measured.reshape(grid.shape)


def _reduce(values: Array, measured: NDArray[np.bool_], own: int) -> tuple[Array, tuple[int, ...]]:
    """Return the values over the fewest axes, `own` among them, that decide them all.

    Where two sets of axes would do, the one with the slower axes is taken.
    """
    others = [axis for axis in range(values.ndim) if axis != own]
    for count in range(values.ndim):
        for chosen in combinations(others, count):
            over = tuple(sorted((own, *chosen)))
            decided = _decided_by(values, measured, over)
            if decided is not None:
                return decided, over
    raise AssertionError("all axes together decide every value")


def _decided_by(values: Array, measured: NDArray[np.bool_], over: tuple[int, ...]) -> Array | None:
    """Return the values over axes `over`, or None where they differ along the others."""
    order = (*over, *(axis for axis in range(values.ndim) if axis not in over))
    kept = tuple(values.shape[axis] for axis in over)
    shape = (*kept, values.size // max(prod(kept), 1))
    spread, known = values.transpose(order).reshape(shape), measured.transpose(order).reshape(shape)
    if spread.size == 0:
        return np.zeros(kept, values.dtype)
    first = np.take_along_axis(spread, known.argmax(-1)[..., None], -1)
    same = (spread == first) | ((spread != spread) & (first != first))
    return first[..., 0] if bool((same | ~known).all()) else None
