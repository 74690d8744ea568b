"""Grids: every point at the rank of its indices, whatever order the rows come in."""

import re
import tracemalloc
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from lazyusid.errors import LayoutError
from lazyusid.layout import tables
from lazyusid.layout.grid import Grid, Points, find_grid, force_grid, raster, scattered
from lazyusid.layout.tables import Table
from lazyusid.protocols import Region, whole
from tests import oracle
from tests.builders import (
    PERMUTED,
    Side,
    grid_side,
    placeholder_side,
    random_side,
    scattered_side,
    take_points,
)
from tests.sources import CountingSource, RasterTable, index_table, table_of

seeds = st.integers(0, 2**32 - 1)
KINDS = ("raster", "permuted", "partial", "scattered", "placeholder")


def numbers(points: Points) -> np.ndarray:
    """One number a cell, of points that may be given as a run."""
    return np.arange(points.start, points.stop) if isinstance(points, slice) else points


def cells(grid: Grid) -> np.ndarray:
    """The number of the point in each cell, -1 where there is none."""
    return numbers(grid.find(whole(grid.shape))).reshape(grid.shape)


def placed_by_indices(side: Side) -> np.ndarray:
    """The same by brute force: each point at the ranks of its indices."""
    order = oracle.slowest_first(side)
    box = np.full([oracle.box_shape(side)[column] for column in order], -1)
    for point, place in enumerate(oracle.grid_places(side)):
        box[place] = point
    return box


def random_region(rng: np.random.Generator, shape: tuple[int, ...]) -> Region:
    """Any region, empty ones among them."""
    ends = [np.sort(rng.integers(0, size + 1, 2)) for size in shape]
    return tuple(slice(int(start), int(stop)) for start, stop in ends)


def random_cut(rng: np.random.Generator, shape: tuple[int, ...]) -> list[Region]:
    """The regions of any cut of a box into blocks."""
    axes = []
    for size in shape:
        inner = np.sort(rng.choice(np.arange(1, size), rng.integers(0, size), replace=False))
        edges = [0, *inner.tolist(), size]
        axes.append([slice(*pair) for pair in pairwise(edges)])
    return list(product(*axes))


# ---------------------------------------------------------------------------- placement


@settings(deadline=None, max_examples=300)
@given(seed=seeds, kind=st.sampled_from(KINDS), transposed=st.booleans())
def test_every_point_lies_at_the_rank_of_its_indices(
    seed: int, kind: Any, transposed: bool
) -> None:
    side = random_side(np.random.default_rng(seed), kind)
    grid = find_grid(index_table(side, transposed=transposed), side.incomplete)
    assert grid.kind == oracle.kind_of(side)
    assert grid.points == side.points
    if grid.kind == "scattered":
        assert (grid.shape, grid.columns) == ((side.points,), ())
        assert_array_equal(cells(grid), np.arange(side.points))
    else:
        assert grid.columns == tuple(oracle.slowest_first(side))
        assert_array_equal(cells(grid), placed_by_indices(side))


@settings(deadline=None, max_examples=200)
@given(seed=seeds, kind=st.sampled_from(KINDS))
def test_runs_of_all_blocks_cover_each_point_exactly_once(seed: int, kind: Any) -> None:
    rng = np.random.default_rng(seed)
    side = random_side(rng, kind)
    grid = find_grid(index_table(side), side.incomplete)
    found = np.concatenate([numbers(grid.find(block)) for block in random_cut(rng, grid.shape)])
    assert len(found) == np.prod(grid.shape)
    assert sorted(found[found >= 0]) == list(range(side.points))


@settings(deadline=None, max_examples=200)
@given(seed=seeds, kind=st.sampled_from(KINDS))
def test_the_points_of_a_region_are_those_of_its_cells(seed: int, kind: Any) -> None:
    rng = np.random.default_rng(seed)
    side = random_side(rng, kind)
    grid = find_grid(index_table(side), side.incomplete)
    region = random_region(rng, grid.shape)
    assert_array_equal(numbers(grid.find(region)), cells(grid)[region].ravel())


@settings(deadline=None)
@given(seed=seeds)
def test_points_that_follow_each_other_are_one_run(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = raster(tuple(rng.integers(1, 5, rng.integers(1, 5)).tolist()))
    region = random_region(rng, grid.shape)
    expected = cells(grid)[region].ravel()
    run = bool((np.diff(expected) == 1).all()) and len(expected) > 0
    assert not run or isinstance(grid.find(region), slice)


def test_lines_of_a_serpentine_that_run_forward_are_one_run() -> None:
    grid = find_grid(index_table(grid_side((4, 5), scan="serpentine")))
    assert grid.find((slice(2, 3), slice(1, 4))) == slice(11, 14)
    assert numbers(grid.find((slice(1, 2), slice(0, 5)))).tolist() == [9, 8, 7, 6, 5]


@pytest.mark.parametrize("scan", PERMUTED)
@pytest.mark.parametrize("order", ["slowest_first", "fastest_first"])
def test_a_complete_scan_in_any_order_is_a_grid(scan: str, order: Any) -> None:
    """peers.md S1: 2048 of 4096 pixels of a serpentine scan were wrong."""
    side = grid_side((16, 12), ["Y", "X"], scan=scan, order=order)
    grid = find_grid(index_table(side))
    assert grid.kind == "permuted"
    assert grid.shape == (16, 12) or scan in ("shuffled", "swapped")
    assert_array_equal(cells(grid), placed_by_indices(side))


@settings(deadline=None)
@given(seed=seeds, kind=st.sampled_from(["raster", "permuted", "partial"]))
def test_the_order_of_columns_changes_names_of_axes_and_nothing_else(seed: int, kind: Any) -> None:
    rng = np.random.default_rng(seed)
    side = random_side(rng, kind)
    changes = [np.count_nonzero(np.diff(column)) for column in side.indices.T]
    if len(set(changes)) < len(changes):  # ties go by the order of columns
        return
    grid = find_grid(index_table(side))
    order = rng.permutation(len(side.labels))
    turned = find_grid(table_of(side.indices[:, order]))
    assert_array_equal(cells(turned), cells(grid))
    assert tuple(order[list(turned.columns)]) == grid.columns


def test_dimensions_that_change_as_often_go_as_if_the_fastest_were_first() -> None:
    diagonal = find_grid(table_of([[0, 0], [1, 1], [0, 1], [1, 0]]))
    assert diagonal.columns == (1, 0)
    assert find_grid(table_of([[0, 5, 0]])).columns == (2, 1, 0)


def test_offsets_and_gaps_count_as_ranks() -> None:
    side = grid_side((3, 4), counters=[(2, 5, 9), (1, 2, 4, 70000)])
    grid = find_grid(index_table(side))
    assert (grid.kind, grid.shape) == ("raster", (3, 4))


def test_size_1_dimensions_are_kept() -> None:
    grid = find_grid(index_table(grid_side((1, 3, 1, 2, 1))))
    assert (grid.kind, sorted(grid.shape)) == ("raster", [1, 1, 1, 2, 3])


def test_one_point_may_have_several_dimensions() -> None:
    """peers.md L4: one position with two position dimensions raised."""
    grid = find_grid(table_of([[4, 7]]))
    assert (grid.kind, grid.shape, grid.columns) == ("raster", (1, 1), (1, 0))


def test_a_square_spectroscopic_table_keeps_its_orientation() -> None:
    """peers.md S4: as many dimensions as columns, read transposed."""
    grid = find_grid(index_table(grid_side((2, 1)), transposed=True))
    assert (grid.kind, grid.shape, grid.columns) == ("raster", (1, 2), (1, 0))
    grid = find_grid(index_table(grid_side((3, 1, 1)), transposed=True))
    assert (grid.kind, grid.shape, grid.columns) == ("raster", (1, 1, 3), (2, 1, 0))


def test_a_table_without_points_is_an_empty_raster() -> None:
    grid = find_grid(table_of(np.empty((0, 2)), "u4"))
    assert (grid.kind, grid.shape, grid.points) == ("raster", (0, 0), 0)
    assert not grid.missing
    assert numbers(grid.find(whole(grid.shape))).tolist() == []


# ---------------------------------------------------------------------------- kinds


def test_half_a_box_is_partial_and_less_is_scattered() -> None:
    whole_side = grid_side((4, 6))
    corners = [0, 5, 23, 18]  # so that the box stays 4 x 6
    half = take_points(whole_side, [*corners, 7, 8, 9, 10, 13, 14, 15, 16])
    assert find_grid(index_table(half)).kind == "partial"
    less = take_points(whole_side, [*corners, 7, 8, 9, 13, 14, 15, 16])
    assert find_grid(index_table(less)).kind == "scattered"


@pytest.mark.parametrize("scan", ["raster", "serpentine", "shuffled"])
def test_a_truncated_scan_is_a_grid_with_missing_points(scan: str) -> None:
    side = grid_side((5, 7), scan=scan, keep=31)
    grid = find_grid(index_table(side))
    assert (grid.kind, grid.missing) == ("partial", True)
    assert np.count_nonzero(cells(grid) < 0) == 4


def test_incomplete_dimensions_decide_without_a_look_at_the_table() -> None:
    source = CountingSource(RasterTable((4, 5)))
    grid = find_grid(Table(source, False), ("X", "Y"))
    assert (grid.kind, grid.shape) == ("scattered", (20,))
    assert grid.reason == "incomplete_dimensions names X, Y"
    assert source.regions == []


def test_two_columns_that_are_the_same_are_scattered_points() -> None:
    side = scattered_side(9, 2, np.random.default_rng(0), mark_incomplete=False)
    grid = find_grid(index_table(side))
    assert (grid.kind, grid.reason) == ("scattered", "columns 0 and 1 are identical")


def test_columns_of_one_value_each_may_be_the_same() -> None:
    assert find_grid(table_of([[0, 0, 0], [0, 0, 1]])).kind == "raster"


def test_columns_that_run_alike_on_other_numbers_are_not_the_same() -> None:
    grid = find_grid(table_of([[0, 5], [1, 6]]))
    assert (grid.kind, grid.shape) == ("partial", (2, 2))


def test_a_tuple_that_repeats_makes_points_scattered() -> None:
    side = take_points(grid_side((3, 4)), [*range(12), 5])
    grid = find_grid(index_table(side))
    assert grid.kind == "scattered"
    assert grid.reason == "1 of 13 points repeat the indices of another"


@pytest.mark.parametrize(
    ("side", "reason"),
    [
        (grid_side((3, 4)), "3 x 4 points in raster order"),
        (grid_side((3, 4), scan="reversed"), "12 points in a 3 x 4 box, not in raster order"),
        (grid_side((50, 40), keep=1990), r"1,990 points in a 50 x 40 box, (99|100) ?%"),
    ],
)
def test_the_reason_says_what_was_found(side: Side, reason: str) -> None:
    found = find_grid(index_table(side)).reason
    assert found == reason or re.fullmatch(reason, found)


def test_the_reason_for_a_thin_box_gives_its_share_in_percent() -> None:
    """The issue's own words: 160 points in a 16 x 5 x 10 box, 20 %."""
    point = np.arange(160)
    grid = find_grid(table_of(np.stack([point // 10, point // 5 % 5, point % 10], axis=1)))
    assert grid.kind == "scattered"
    assert re.fullmatch(r"160 points in a 16 x 5 x 10 box, 20 ?%", grid.reason)


# ---------------------------------------------------------------------------- index dtypes


@pytest.mark.parametrize("scan", ["raster", "shuffled", "partial"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "u8", ">u4", "f4", "f8"])
def test_indices_of_any_dtype_give_the_same_grid(dtype: str, scan: str) -> None:
    side = grid_side((5, 7), scan=scan)
    assert_array_equal(cells(find_grid(index_table(side, dtype))), placed_by_indices(side))


@pytest.mark.parametrize("bad", [0.5, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1, 5])
@pytest.mark.parametrize("sizes", [(6,), (2, 3), (1, 6)])
def test_an_index_that_is_no_integer_is_refused(
    bad: float, place: int, sizes: tuple[int, ...]
) -> None:
    indices = grid_side(sizes).indices.astype(float)
    indices[place, -1] = bad
    with pytest.raises(LayoutError, match=r"no integers") as caught:
        find_grid(table_of(indices))
    assert caught.value.rule == "index-integer"


def test_an_index_beyond_63_bits_is_refused_where_it_must_be_ranked() -> None:
    huge = np.array([[2**63 + 1], [0]], "u8")
    with pytest.raises(LayoutError, match=re.escape("2**63")):
        find_grid(table_of(huge))


# ---------------------------------------------------------------------------- memory and reads


def test_a_raster_is_proved_by_one_pass_that_holds_no_table() -> None:
    source = CountingSource(RasterTable((2500, 4000)))
    tracemalloc.start()
    try:
        grid = find_grid(Table(source, False))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (grid.kind, grid.shape, grid.lookup) == ("raster", (2500, 4000), None)
    assert peak < 60e6
    slabs = [region[0] for region in source.regions if region[0].start % tables.SLAB_ROWS == 0]
    assert source.rows <= 10**7 + tables.SLAB_ROWS + 64
    assert {part.start for part in slabs} == set(range(0, 10**7, tables.SLAB_ROWS))


@pytest.mark.parametrize("scan", ["raster", *PERMUTED, "partial", "holes"])
def test_no_table_is_read_more_than_twice(scan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "SLAB_ROWS", 10)
    source = CountingSource(index_table(grid_side((20, 50), scan=scan)).source)
    grid = find_grid(Table(source, False))
    passes = 1 if grid.kind == "raster" else 2
    assert source.rows <= passes * source.shape[0] + 10 + 2 * 16


@pytest.mark.parametrize(
    ("points", "dtype"), [(128, "i1"), (129, "i2"), (32768, "i2"), (32769, "i4")]
)
def test_the_lookup_has_the_smallest_integers_that_hold_the_points(points: int, dtype: str) -> None:
    side = grid_side((points,), scan="reversed")
    grid = find_grid(index_table(side))
    assert grid.lookup is not None
    assert grid.lookup.dtype == np.dtype(dtype)
    assert_array_equal(cells(grid), np.arange(points)[::-1])


@settings(deadline=None)
@given(seed=seeds, kind=st.sampled_from(["raster", "permuted", "partial"]), slab=st.integers(1, 30))
def test_the_grid_does_not_depend_on_the_slabs(seed: int, kind: Any, slab: int) -> None:
    side = random_side(np.random.default_rng(seed), kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "SLAB_ROWS", slab)
        grid = find_grid(index_table(side))
    assert grid.kind == oracle.kind_of(side)
    assert_array_equal(cells(grid), placed_by_indices(side))


# ---------------------------------------------------------------------------- other grids


@settings(deadline=None)
@given(seed=seeds, kind=st.sampled_from(["raster", "permuted", "partial", "scattered"]))
def test_points_that_are_not_done_are_missing_and_the_others_stay(seed: int, kind: Any) -> None:
    rng = np.random.default_rng(seed)
    side = random_side(rng, kind)
    grid = find_grid(index_table(side), side.incomplete)
    done = rng.random(side.points) < 0.6
    before, after = cells(grid), cells(grid.masked(done))
    gone = (before < 0) | ~done[before]
    assert_array_equal(after, np.where(gone, -1, before))
    assert grid.masked(done).missing == bool(gone.any())


def test_a_placeholder_side_has_no_axis_and_one_point() -> None:
    grid = find_grid(index_table(placeholder_side())).placeholder()
    assert (grid.shape, grid.columns, grid.points) == ((), (), 1)
    assert grid.find(()) == slice(0, 1)


def test_a_raster_by_sizes_and_plain_points_say_so() -> None:
    assert raster((3, 4)).points == 12
    assert raster((3, 4)).find((slice(1, 3), slice(0, 4))) == slice(4, 12)
    points = scattered(5, "asked for")
    assert (points.kind, points.shape, points.columns) == ("scattered", (5,), ())
    assert points.reason == "asked for"


def test_a_box_can_be_forced_however_thin_it_is_filled() -> None:
    thin = table_of([[0, 3], [9, 0], [5, 5]])
    assert find_grid(thin).kind == "scattered"
    grid = force_grid(thin)
    assert (grid.kind, grid.shape, grid.missing) == ("partial", (3, 3), True)
    assert sorted(cells(grid).ravel()) == [-1] * 6 + [0, 1, 2]


@settings(deadline=None)
@given(seed=seeds, kind=st.sampled_from(["raster", "permuted", "partial"]))
def test_forcing_a_grid_changes_none_that_is_one(seed: int, kind: Any) -> None:
    table = index_table(random_side(np.random.default_rng(seed), kind))
    found, forced = find_grid(table), force_grid(table)
    assert (found.kind, found.shape, found.columns) == (forced.kind, forced.shape, forced.columns)
    assert_array_equal(cells(found), cells(forced))


def test_a_box_cannot_hold_two_points_in_a_cell() -> None:
    side = take_points(grid_side((3, 4)), [*range(12), 5, 6])
    with pytest.raises(LayoutError, match=r"2 of 14 points repeat.*'points'") as caught:
        force_grid(index_table(side))
    assert caught.value.rule == "grid-unique"


def test_a_box_that_is_too_large_is_not_allocated() -> None:
    diagonal = np.repeat(np.arange(40_000)[:, np.newaxis], 2, axis=1)
    with pytest.raises(LayoutError, match=r"40000 x 40000 box has 1,600,000,000 cells") as caught:
        force_grid(table_of(diagonal))
    assert caught.value.rule == "grid-size"
