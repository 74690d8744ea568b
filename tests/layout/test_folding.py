"""Foldings: two grids side by side, positions then spectroscopic steps."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from lazyusid.layout.folding import Folding
from lazyusid.layout.grid import Points, raster
from lazyusid.protocols import whole
from tests.builders import grid_side, placeholder_side, random_side
from tests.sources import folding_of

KINDS = ("raster", "permuted", "partial", "scattered", "placeholder")


def numbers(points: Points) -> np.ndarray:
    return np.arange(points.start, points.stop) if isinstance(points, slice) else points


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(KINDS), other=st.sampled_from(KINDS))
def test_a_folding_is_its_position_grid_then_its_spectroscopic_grid(
    seed: int, kind: Any, other: Any
) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = random_side(rng, kind), random_side(rng, other)
    folding = folding_of(rows, columns)
    assert folding.matrix_shape == (rows.points, columns.points)
    assert folding.shape == folding.position.shape + folding.spectroscopic.shape
    assert folding.missing == (folding.position.missing or folding.spectroscopic.missing)
    region = tuple(slice(size // 3, size) for size in folding.shape)
    found = folding.find(region)
    axes = len(folding.position.shape)
    assert_array_equal(numbers(found[0]), numbers(folding.position.find(region[:axes])))
    assert_array_equal(numbers(found[1]), numbers(folding.spectroscopic.find(region[axes:])))


def test_a_raster_folds_in_c_order() -> None:
    folding = Folding(raster((3, 4)), raster((2, 5)))
    matrix = np.arange(120).reshape(12, 10)
    for place in np.ndindex(folding.shape):
        row, column = folding.find(tuple(slice(at, at + 1) for at in place))
        assert matrix[row, column].item() == matrix.reshape(folding.shape)[place]


def test_the_designs_element_is_found_at_row_605_column_17() -> None:
    folding = Folding(raster((300, 300)), raster((5, 64)))
    region = tuple(slice(at, at + 1) for at in (2, 5, 0, 17))
    assert folding.find(region) == (slice(605, 606), slice(17, 18))


@pytest.mark.parametrize("side", [0, 1])
def test_a_side_without_an_axis_still_gives_its_one_point(side: int) -> None:
    sides = [grid_side((2, 3)), grid_side((2, 3))]
    sides[side] = placeholder_side()
    grids = list(folding_of(*sides))
    grids[side] = grids[side].placeholder()
    folding = Folding(*grids)
    assert folding.shape == (2, 3)
    assert folding.split(whole((2, 3)))[side] == ()
    assert folding.find(whole((2, 3)))[side] == slice(0, 1)
    assert folding.find(whole((2, 3)))[1 - side] == slice(0, 6)


def test_as_many_dimensions_as_columns_still_fold_by_their_indices() -> None:
    """peers.md S4: a square spectroscopic table was read transposed."""
    folding = folding_of(placeholder_side(), grid_side((3, 1, 1), scan="reversed"))
    assert folding.shape == (1, 1, 1, 3)
    assert numbers(folding.find(whole(folding.shape))[1]).tolist() == [2, 1, 0]


def test_missing_points_on_either_side_are_missing_elements() -> None:
    full, part = grid_side((3, 4)), grid_side((3, 4), scan="partial")
    assert not folding_of(full, full).missing
    assert folding_of(full, part).missing
    assert folding_of(part, full).missing
