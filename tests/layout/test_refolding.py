"""Refolding: the same points under the dimensions that their owner knows better."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from lazyusid.errors import LayoutError
from lazyusid.layout.coordinates import Naming
from lazyusid.layout.dimension import Dimension
from lazyusid.layout.grid import Grid
from lazyusid.layout.refolding import Refold, refold
from lazyusid.layout.tables import Table
from tests.builders import Side, grid_side, scattered_side, take_points
from tests.sources import CountingSource, index_table, value_table


def refold_side(side: Side, wanted: Refold) -> tuple[Grid, tuple[Dimension, ...]]:
    naming = Naming("spectroscopic", side.labels, side.units, "points")
    return refold(naming, index_table(side), value_table(side), wanted)


def test_dimensions_given_are_filled_in_order_whatever_the_tables_say() -> None:
    """Indices that rise monotonically over cycles, as cKPFM files have."""
    side = grid_side((12,), ["Bias"], ["V"], [np.tile([-1, 0, 1, 0], 3)])
    wanted = [Dimension("Cycle", "", 3), Dimension("Bias", "V", [-1, 0, 1, 0], "position")]
    grid, dimensions = refold_side(side, wanted)
    assert (grid.kind, grid.shape, grid.points, grid.lookup) == ("raster", (3, 4), 12, None)
    assert [(one.name, one.units, one.kind) for one in dimensions] == [
        ("Cycle", "", "spectroscopic"),
        ("Bias", "V", "spectroscopic"),
    ]
    assert dimensions[1].values.tolist() == [-1, 0, 1, 0]


def test_sizes_that_make_another_number_of_points_are_refused_with_both_numbers() -> None:
    wanted = [Dimension("A", "", 5), Dimension("B", "", 2)]
    with pytest.raises(LayoutError, match=r"\(5, 2\) make 10 points.*spectroscopic side has 12"):
        refold_side(grid_side((12,)), wanted)


@pytest.mark.parametrize("wanted", ["raster", "", "Grid"])
def test_a_word_that_is_none_of_ours_is_refused_with_ours(wanted: Any) -> None:
    with pytest.raises(LayoutError, match="'grid' or 'points'"):
        refold_side(grid_side((12,)), wanted)


def test_points_are_a_plain_list_with_the_columns_as_coordinates() -> None:
    side = grid_side((3, 4), ["Y", "X"], ["nm", "um"], scan="serpentine")
    grid, (dimension,) = refold_side(side, "points")
    assert (grid.kind, grid.shape, grid.lookup) == ("scattered", (12,), None)
    assert (dimension.name, dimension.size) == ("points", 12)
    assert [(one.name, one.units) for one in dimension.coordinates] == [("Y", "nm"), ("X", "um")]
    for column, one in enumerate(dimension.coordinates):
        assert_array_equal(one.values, side.values[:, column])


def test_a_random_quarter_of_a_grid_can_be_forced_into_its_box() -> None:
    chosen = np.sort(np.random.default_rng(0).permutation(80)[:20])
    side = take_points(grid_side((8, 10), ["Y", "X"]), chosen)
    grid, dimensions = refold_side(side, "grid")
    assert grid.kind == "partial"
    assert grid.shape == tuple(one.size for one in dimensions)
    assert grid.lookup is not None
    assert sorted(grid.lookup[grid.lookup >= 0]) == list(range(20))
    place = np.unravel_index(np.flatnonzero(grid.lookup >= 0), grid.shape)
    point = grid.lookup[grid.lookup >= 0]
    for axis, one in enumerate(dimensions):
        column = side.labels.index(one.name)
        assert_array_equal(one.values[place[axis]], side.values[point, column])


def test_points_that_share_a_cell_fit_no_grid() -> None:
    side = take_points(grid_side((3, 4)), [0, 1, 2, 1])
    with pytest.raises(LayoutError, match="repeat"):
        refold_side(side, "grid")


def test_neither_dimensions_nor_points_need_the_index_table() -> None:
    side = scattered_side(12, 2, np.random.default_rng(0))
    source = CountingSource(index_table(side).source)
    naming = Naming("position", side.labels, side.units, "points")
    for wanted in ("points", [Dimension("A", "", 12)]):
        refold(naming, Table(source, False), value_table(side), wanted)  # type: ignore[arg-type]
    assert source.regions == []
