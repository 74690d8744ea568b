"""Coordinates: the values of every point are kept, over the fewest dimensions that decide them."""

import tracemalloc
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import DTypeLike, NDArray

from lazyusid.layout import tables
from lazyusid.layout.coordinates import Naming, find_dimensions
from lazyusid.layout.dimension import Coordinate, Dimension
from lazyusid.layout.grid import Grid, find_grid
from lazyusid.layout.tables import Table
from lazyusid.protocols import Region
from tests import oracle
from tests.builders import (
    Side,
    dependent_values,
    grid_side,
    placeholder_side,
    random_side,
    scattered_side,
    take_points,
)
from tests.sources import CountingSource, RasterTable, index_table, value_table

NAN = np.nan
SIDES = ("raster", "permuted", "partial", "scattered")


def naming_of(side: Side) -> Naming:
    return Naming("position", side.labels, side.units, "position")


def dimensions_of(side: Side, dtype: DTypeLike = "f8") -> tuple[Dimension, ...]:
    """The dimensions that the tables of a side describe."""
    grid = find_grid(index_table(side), side.incomplete)
    return find_dimensions(grid, value_table(side, dtype), naming_of(side))


def coordinates_of(dimensions: tuple[Dimension, ...]) -> dict[str, Coordinate]:
    """By name: those that hang on a dimension, or the dimension's own values."""
    found = {}
    for dimension in dimensions:
        own = Coordinate(dimension.name, dimension.units, (dimension.name,), dimension.values)
        found.update({one.name: one for one in dimension.coordinates or (own,)})
    return found


# ---------------------------------------------------------------------------- the law


@settings(deadline=None, max_examples=300)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(SIDES), slab=st.integers(1, 60))
def test_coordinates_equal_the_oracles_over_the_same_dimensions(
    seed: int, kind: Any, slab: int
) -> None:
    side = random_side(np.random.default_rng(seed), kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "SLAB_ROWS", slab)
        found = coordinates_of(dimensions_of(side))
    folded = oracle.fold_side(side, side.labels, "position")
    assert {name: one.dims for name, one in found.items()} == folded.coord_dims
    for name, one in found.items():
        assert one.values.dtype == np.float64
        assert_array_equal(one.values, folded.coords[name])
        assert one.units == side.units[side.labels.index(name)]


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(SIDES))
def test_the_value_of_every_point_can_be_read_back_from_its_cell(seed: int, kind: Any) -> None:
    side = random_side(np.random.default_rng(seed), kind)
    dimensions = dimensions_of(side)
    names = [dimension.name for dimension in dimensions]
    grid = find_grid(index_table(side), side.incomplete)
    cell = np.arange(side.points) if grid.lookup is None else _inverse(grid, side.points)
    place = dict(zip(names, np.unravel_index(cell, grid.shape), strict=True))
    for name, one in coordinates_of(dimensions).items():
        back = one.values[tuple(place[dim] for dim in one.dims)]
        assert_array_equal(back, side.values[:, side.labels.index(name)])


def _inverse(grid: Grid, points: int) -> NDArray[np.int64]:
    """The cell of each point."""
    assert grid.lookup is not None
    cell = np.empty(points, np.int64)
    measured = np.flatnonzero(grid.lookup >= 0)
    cell[grid.lookup[measured]] = measured
    return cell


# ---------------------------------------------------------------------------- own values


@pytest.mark.parametrize("scan", ["raster", "serpentine", "reversed", "shuffled", "partial"])
@pytest.mark.parametrize("order", ["slowest_first", "fastest_first"])
def test_values_of_a_dimension_follow_its_steps_whatever_the_scan(scan: str, order: Any) -> None:
    values = [(30, 10, 20, 10), (1, 2, 4, 8, 16)]
    side = grid_side((4, 5), ["Y", "X"], ["nm", "um"], values, order, scan)
    found = coordinates_of(dimensions_of(side))
    assert {name: one.values.tolist() for name, one in found.items()} == {
        "Y": [30, 10, 20, 10],
        "X": [1, 2, 4, 8, 16],
    }
    assert {name: one.units for name, one in found.items()} == {"Y": "nm", "X": "um"}


def test_values_that_are_no_line_are_there_all_the_same() -> None:
    """peers.md S5: the values of non-uniform axes were nowhere."""
    energy = 1239.84 / np.linspace(400, 900, 20)
    (dimension,) = dimensions_of(grid_side((20,), ["Energy"], ["eV"], [energy]))
    assert_array_equal(dimension.values, energy)
    assert not dimension.uniform


def test_dimensions_know_their_side_and_the_precision_of_the_table() -> None:
    side = grid_side((300,), ["X"], values=[np.linspace(0, 1, 300).astype("f2")])
    (rough,) = dimensions_of(side, "f2")
    (fine,) = dimensions_of(side, "f8")
    assert rough.kind == fine.kind == "position"
    assert (rough.uniform, fine.uniform) == (True, False)


@pytest.mark.parametrize("dtype", ["u1", "i8", ">f4", "f2"])
def test_values_of_any_dtype_become_float64(dtype: str) -> None:
    side = grid_side((3, 2), values=[(3, 2, 1), dependent_values((3, 2), 1, on=[0])])
    for one in coordinates_of(dimensions_of(side, dtype)).values():
        assert one.values.dtype == np.float64
        assert one.values.dtype.isnative


def test_descending_unsigned_values_stay_a_line() -> None:
    """peers.md S8."""
    (dimension,) = dimensions_of(grid_side((5,), values=[(9, 7, 5, 3, 1)]), "u1")
    assert dimension.line == pytest.approx((9, -2))


def test_a_placeholder_keeps_its_value() -> None:
    (dimension,) = dimensions_of(placeholder_side("Height", "m", 0.25))
    assert (dimension.name, dimension.units, dimension.values.tolist()) == ("Height", "m", [0.25])


def test_dimensions_of_size_1_keep_their_values() -> None:
    side = grid_side((1, 3, 1), ["Field", "Bias", "Cycle"], values=[(7,), (1, 2, 3), (5,)])
    found = coordinates_of(dimensions_of(side))
    assert found["Field"].values.tolist() == [7]
    assert found["Cycle"].values.tolist() == [5]


def test_a_value_that_is_no_number_is_a_value() -> None:
    side = grid_side((2, 3), ["Y", "X"], values=[(0, 1), (1, NAN, 3)])
    x = coordinates_of(dimensions_of(side))["X"]
    assert x.dims == ("X",)
    assert_array_equal(x.values, [1, NAN, 3])


# ---------------------------------------------------------------------------- dependent values


def test_a_bias_that_grows_with_the_cycle_is_two_dimensional() -> None:
    """peers.md S6: only the first repeat was kept."""
    bias = dependent_values((3, 4), 1, on=[0], base=[-1, 0, 1, 2])
    side = grid_side((3, 4), ["Cycle", "Bias"], ["", "V"], [(0, 1, 2), bias])
    cycle, own = dimensions_of(side)
    assert cycle.values.tolist() == [0, 1, 2]
    assert cycle.coordinates == ()
    assert own.values.tolist() == [0, 1, 2, 3]
    assert own.units == ""
    (coordinate,) = own.coordinates
    assert (coordinate.name, coordinate.units) == ("Bias", "V")
    assert coordinate.dims == ("Cycle", "Bias")
    assert coordinate.values.tolist() == [[-1, 0, 1, 2], [-2, 0, 2, 4], [-3, 0, 3, 6]]


def test_a_stage_that_drifts_is_kept_for_every_point() -> None:
    """peers.md S6."""
    drift = np.random.default_rng(0).random((4, 5))
    side = grid_side((4, 5), ["Y", "X"], values=[drift, (0, 1, 2, 3, 4)], scan="serpentine")
    found = coordinates_of(dimensions_of(side))
    assert found["Y"].dims == ("Y", "X")
    assert_array_equal(found["Y"].values, drift)
    assert found["X"].dims == ("X",)


@pytest.mark.parametrize("scan", ["raster", "shuffled"])
@pytest.mark.parametrize("on", [[1], [2], [1, 2]])
def test_a_coordinate_runs_over_just_the_dimensions_it_depends_on(on: list[int], scan: str) -> None:
    values = dependent_values((3, 2, 4), 0, on, base=[1, 2, 3])
    side = grid_side((3, 2, 4), ["A", "B", "C"], values=[values, (0, 1), range(4)], scan=scan)
    a = coordinates_of(dimensions_of(side))["A"]
    assert set(a.dims) == {"A", *("ABC"[axis] for axis in on)}
    expected = np.array([1, 2, 3])
    for step in on:
        expected = np.multiply.outer(expected, 1 + np.arange((3, 2, 4)[step]))
    order = np.argsort(["ABC".index(name) for name in a.dims])
    assert_array_equal(a.values.transpose(order), expected)


def test_where_the_slowest_dimension_depends_on_the_others_dims_stay_slowest_first() -> None:
    values = dependent_values((2, 3), 0, on=[1])
    side = grid_side((2, 3), ["Y", "X"], values=[values, (0, 1, 2)], order="fastest_first")
    assert coordinates_of(dimensions_of(side))["Y"].dims == ("Y", "X")


def test_one_deviating_value_is_neither_averaged_nor_dropped() -> None:
    values = np.tile([1.0, 2.0, 3.0], (4, 1))
    values[3, 2] = 3.0000001
    side = grid_side((4, 3), ["Y", "X"], values=[(0, 1, 2, 3), values])
    x = coordinates_of(dimensions_of(side))["X"]
    assert x.dims == ("Y", "X")
    assert_array_equal(x.values, values)


# ---------------------------------------------------------------------------- missing points


def test_steps_that_no_point_decides_are_not_a_number() -> None:
    values = dependent_values((2, 3), 1, on=[0], base=[1, 2, 3])
    side = grid_side((2, 3), ["Y", "X"], values=[(0, 1), values], keep=5)
    x = coordinates_of(dimensions_of(side))["X"]
    assert_array_equal(x.values, [[1, 2, 3], [2, 4, NAN]])


def test_values_of_a_truncated_scan_stay_one_dimensional() -> None:
    side = grid_side((5, 7), ["Y", "X"], values=[range(5), range(7)], keep=31)
    assert {one.dims for one in coordinates_of(dimensions_of(side)).values()} == {("Y",), ("X",)}


def test_of_equally_few_dimensions_the_slower_ones_decide() -> None:
    """B and C alike tell the two values of A's first step apart; B is the slower."""
    indices = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 1, 0]])
    values = np.array([[5.0, 0, 0], [6, 1, 1], [7, 0, 0], [7, 0, 1], [7, 1, 0]])
    side = Side(indices, values, ("A", "B", "C"), ("", "", ""))
    grid = find_grid(index_table(side))
    assert (grid.kind, grid.columns) == ("partial", (0, 1, 2))
    a = coordinates_of(dimensions_of(side))["A"]
    assert a.dims == ("A", "B")
    assert_array_equal(a.values, [[5, 6], [7, 7]])


# ---------------------------------------------------------------------------- scattered points


@pytest.mark.parametrize("marked", [True, False])
def test_scattered_points_have_every_column_as_a_coordinate(marked: bool) -> None:
    side = scattered_side(9, 2, np.random.default_rng(0), marked, ["X", "Y"], ["nm", "um"])
    (dimension,) = dimensions_of(side)
    assert (dimension.name, dimension.units, dimension.size) == ("position", "", 9)
    assert dimension.values.tolist() == list(range(9))
    assert [one.name for one in dimension.coordinates] == ["X", "Y"]
    assert [one.units for one in dimension.coordinates] == ["nm", "um"]
    for column, one in enumerate(dimension.coordinates):
        assert one.dims == ("position",)
        assert_array_equal(one.values, side.values[:, column])


def test_a_point_that_was_measured_twice_keeps_both_values() -> None:
    side = take_points(grid_side((3,), ["X"], values=[(1, 2, 3)]), [0, 1, 2, 1])
    (dimension,) = dimensions_of(side)
    assert dimension.coordinates[0].values.tolist() == [1, 2, 3, 2]


def test_a_side_without_points_has_dimensions_without_values() -> None:
    side = take_points(grid_side((3, 2), ["Y", "X"]), [])
    assert {(one.name, one.size) for one in dimensions_of(side)} == {("Y", 0), ("X", 0)}


# ---------------------------------------------------------------------------- reads


@dataclass
class _Scaled:
    """Values of a raster: half its indices."""

    table: RasterTable
    dtype = np.dtype("f4")
    chunks = None
    token = "scaled"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.table.shape

    def read(self, region: Region) -> NDArray[Any]:
        return (self.table.read(region) / 2).astype("f4")

    def read_into(self, region: Region, out: NDArray[Any]) -> None:
        out[...] = self.read(region)


def test_values_of_a_raster_are_read_once_and_the_table_is_never_held() -> None:
    table = RasterTable((2500, 4000))
    grid = Grid((2500, 4000), (0, 1), 10**7, "raster", "")
    source = CountingSource(_Scaled(table))
    naming = Naming("position", ("Y", "X"), ("m", "m"), "position")
    tracemalloc.start()
    try:
        y, x = find_dimensions(grid, Table(source, False), naming)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert_array_equal(y.values, np.arange(2500) / 2)
    assert_array_equal(x.values, np.arange(4000) / 2)
    assert source.rows == 10**7
    assert peak < 60e6
