"""What a Main must fold to: section 2 of the issue, taken literally, one element at a time.

Slow on purpose. Nothing here comes from lazyusid; where the two differ, one of them is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tests.builders import FloatArray, Side

Place = tuple[int, ...]
EXACT_FLOATS = {"b1": "f2", "i1": "f2", "u1": "f2", "i2": "f4", "u2": "f4"}


@dataclass(frozen=True, eq=False)
class Folded:
    """One side: where each of its points goes, and the coordinates of its dimensions."""

    dims: tuple[str, ...]
    shape: Place
    places: list[Place]
    coords: dict[str, FloatArray]
    coord_dims: dict[str, tuple[str, ...]]


def fold(
    matrix: ArrayLike, position: Side, spectroscopic: Side
) -> tuple[NDArray[Any], tuple[str, ...], dict[str, FloatArray], dict[str, tuple[str, ...]]]:
    """Fold a matrix (positions, steps): the N-D array, its dims, its coords, their dims."""
    stored = np.asarray(matrix)
    names = unique_names([*position.labels, *spectroscopic.labels])
    split = len(position.labels)
    rows, columns = leave_out(), leave_out()
    if not is_placeholder(position):
        rows = fold_side(position, names[:split], free_name("position", names))
    if not is_placeholder(spectroscopic) or stored.shape == (1, 1):
        columns = fold_side(spectroscopic, names[split:], free_name("spectroscopic", names))
    return (
        place_elements(stored, rows, columns),
        rows.dims + columns.dims,
        rows.coords | columns.coords,
        rows.coord_dims | columns.coord_dims,
    )


def place_elements(matrix: NDArray[Any], rows: Folded, columns: Folded) -> NDArray[Any]:
    """Every element at the place of its row and its column, NaN where none goes."""
    shape = rows.shape + columns.shape
    if product(shape) == matrix.size:
        folded = np.zeros(shape, matrix.dtype)
    else:
        folded = np.full(shape, missing_value(matrix.dtype))
    for i, row in enumerate(rows.places):
        for j, column in enumerate(columns.places):
            folded[row + column] = matrix[i, j]
    return folded


def missing_value(dtype: np.dtype[Any]) -> Any:
    """NaN, of the dtype that a Main of `dtype` takes when points are missing.

    Compounds keep their dtype: their floats are NaN, the rest zero.
    """
    if dtype.kind in "fc":
        return np.array(np.nan, dtype)
    if dtype.kind in "biu":
        return np.dtype(EXACT_FLOATS.get(dtype.str[1:], "f8")).type(np.nan)
    blank = np.zeros((), dtype)
    for field in dtype.names or ():
        if dtype[field].base.kind in "fcV":
            blank[field] = missing_value(dtype[field].base)
    return blank


# ---------------------------------------------------------------------------- one side


def is_placeholder(side: Side) -> bool:
    """Exactly one column and exactly one point."""
    return side.indices.shape == (1, 1)


def kind_of(side: Side) -> str:
    """Raster, permuted, partial or scattered."""
    points = [tuple(row) for row in side.indices.tolist()]
    box = product(box_shape(side))
    if is_scattered_at_once(side):
        return "scattered"
    if len(points) == box:
        return "raster" if in_raster_order(side) else "permuted"
    return "partial" if 2 * len(points) >= box else "scattered"


def is_scattered_at_once(side: Side) -> bool:
    """Marked incomplete, twin columns, or a tuple that repeats."""
    points = [tuple(row) for row in side.indices.tolist()]
    varied = [column for column in columns_of(side) if len(set(column)) > 1]
    twins = any(one == other for one, other in combinations(varied, 2))
    marked = any(label in side.labels for label in side.incomplete)
    return marked or twins or len(set(points)) < len(points)


def in_raster_order(side: Side) -> bool:
    """Whether the points come slowest first, one after the other."""
    shape = tuple(box_shape(side)[column] for column in slowest_first(side))
    return grid_places(side) == list(np.ndindex(shape))


def fold_side(side: Side, names: Sequence[str], point: str) -> Folded:
    """Fold one side; `names` by column, `point` the name of the dimension of scattered points."""
    if kind_of(side) == "scattered":
        return fold_points(side, names, point)
    return fold_grid(side, names)


def leave_out() -> Folded:
    """Fold a placeholder: one point, no dimension."""
    return Folded((), (), [()], {}, {})


def fold_points(side: Side, names: Sequence[str], point: str) -> Folded:
    """Fold a scattered side: one dimension, with every column of the values along it."""
    count = len(side.indices)
    coords = {name: side.values[:, column] for column, name in enumerate(names)}
    return Folded(
        (point,), (count,), [(i,) for i in range(count)], coords, dict.fromkeys(names, (point,))
    )


def fold_grid(side: Side, names: Sequence[str]) -> Folded:
    """Fold a side into its box: each point at the ranks of its indices."""
    order = slowest_first(side)
    dims = tuple(names[column] for column in order)
    shape = tuple(box_shape(side)[column] for column in order)
    places = grid_places(side)
    coords, coord_dims = {}, {}
    for axis, column in enumerate(order):
        values = side.values[:, column].tolist()
        axes = smallest_axes(values, places, axis, len(shape))
        coords[dims[axis]] = coordinate(values, places, axes, shape)
        coord_dims[dims[axis]] = tuple(dims[a] for a in axes)
    return Folded(dims, shape, places, coords, coord_dims)


def columns_of(side: Side) -> list[list[int]]:
    """The index columns."""
    return [column.tolist() for column in side.indices.T]


def box_shape(side: Side) -> Place:
    """How many different indices each column has."""
    return tuple(len(set(column)) for column in columns_of(side))


def slowest_first(side: Side) -> list[int]:
    """The columns, slowest first: by how often they change; of equals the first is the faster."""
    changes = [sum(a != b for a, b in pairwise(column)) for column in columns_of(side)]
    return sorted(range(len(changes)), key=lambda column: (changes[column], -column))


def grid_places(side: Side) -> list[Place]:
    """The place of each point in the box: ranks of its indices, slowest dimension first."""
    columns = columns_of(side)
    ranks = []
    for column in slowest_first(side):
        rank = {index: place for place, index in enumerate(sorted(set(columns[column])))}
        ranks.append([rank[index] for index in columns[column]])
    return list(zip(*ranks, strict=True))


def product(shape: Place) -> int:
    """How many cells a box has."""
    cells = 1
    for size in shape:
        cells *= size
    return cells


# ---------------------------------------------------------------------------- coordinates


def smallest_axes(values: list[float], places: list[Place], own: int, dims: int) -> Place:
    """The fewest axes, `own` among them, that settle the value of every point.

    Of equally few, which only a partial grid can have, the slower ones.
    """
    others = [axis for axis in range(dims) if axis != own]
    for count in range(dims):
        for chosen in combinations(others, count):
            axes = tuple(sorted((own, *chosen)))
            if settles(values, places, axes):
                return axes
    raise AssertionError("all axes together always settle a value")


def settles(values: list[float], places: list[Place], axes: Place) -> bool:
    """Whether points that agree on these axes have the same value."""
    known: dict[Place, float] = {}
    for value, place in zip(values, places, strict=True):
        before = known.setdefault(tuple(place[axis] for axis in axes), value)
        if before != value and not (np.isnan(before) and np.isnan(value)):
            return False
    return True


def coordinate(values: list[float], places: list[Place], axes: Place, shape: Place) -> FloatArray:
    """The values over these axes, NaN where no point was measured."""
    table = np.full([shape[axis] for axis in axes], np.nan)
    for value, place in zip(values, places, strict=True):
        table[tuple(place[axis] for axis in axes)] = value
    return table


# ---------------------------------------------------------------------------- names


def unique_names(labels: Sequence[str]) -> list[str]:
    """The labels of both tables, made unique in their order: X, X_2, X_3; an empty one is dim."""
    names: list[str] = []
    for label in labels:
        names.append(free_name(label or "dim", names))
    return names


def free_name(name: str, taken: Sequence[str]) -> str:
    """The name, or the first of name_2, name_3, ... that is not taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


# ---------------------------------------------------------------------------- files


def read_main(dset: h5py.Dataset) -> tuple[NDArray[Any], Side, Side]:
    """Read a Main whole: what `fold` takes."""
    return dset[()], read_side(dset, "Position"), read_side(dset, "Spectroscopic")


def read_side(dset: h5py.Dataset, role: str) -> Side:
    """Read the two tables a Main refers to, point-major. Texts must be UTF-8 |S arrays."""
    indices, values = (dset.file[dset.attrs[f"{role}_{what}"]] for what in ("Indices", "Values"))
    turn = role == "Spectroscopic"
    marked = {*texts(indices, "incomplete_dimensions"), *texts(values, "incomplete_dimensions")}
    return Side(
        (indices[()].T if turn else indices[()]).astype(np.int64),
        (values[()].T if turn else values[()]).astype(np.float64),
        texts(indices, "labels"),
        texts(indices, "units"),
        tuple(sorted(marked)),
    )


def texts(dset: h5py.Dataset, attribute: str) -> tuple[str, ...]:
    """Strings of an attribute, stripped; none where it is absent."""
    return tuple(text.decode().strip() for text in np.ravel(dset.attrs.get(attribute, [])))
