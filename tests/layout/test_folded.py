"""The adapters: reading a fold is reading the matrix, each element from its place."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from lazyusid.errors import LayoutError
from lazyusid.layout.folded import (
    FoldedSource,
    MeasuredSource,
    filling,
    fold,
    split,
    unfold,
)
from lazyusid.layout.folding import Folding
from lazyusid.layout.grid import find_grid, raster, scattered
from lazyusid.layout.sources import MemorySource, TransposedSource
from lazyusid.protocols import Region, extent, whole
from tests import oracle
from tests.builders import Side, grid_side, random_side, scattered_side, take_points
from tests.sources import CountingSource, folding_of, index_table

KINDS = ("raster", "permuted", "partial", "scattered", "placeholder")
seeds = st.integers(0, 2**32 - 1)
kinds = st.sampled_from(KINDS)
dtypes = st.sampled_from(["f2", "f4", "f8", "c8", "c16", "?", "i1", "u1", "i2", "u2", "i4", "u8"])


@dataclass(frozen=True)
class Case:
    """A random Main in memory, and what it folds to."""

    position: Side
    spectroscopic: Side
    matrix: NDArray[Any]
    folded: NDArray[Any]
    folding: Folding
    chunks: tuple[int, int]


def random_case(seed: int, kind: Any, other: Any, dtype: str = "f4") -> Case:
    """Sides of these kinds under a small matrix of all-different numbers, where those fit."""
    rng = np.random.default_rng(seed)
    position = random_side(rng, kind, max_size=4)
    spectroscopic = random_side(rng, other, max_dims=3, max_size=3)
    shape = position.points, spectroscopic.points
    numbers = np.arange(shape[0] * shape[1]).reshape(shape)
    matrix = (numbers * (1 + 1j) if dtype.startswith("c") else numbers % 251).astype(dtype)
    rows, columns = (
        oracle.fold_side(side, side.labels, "point") for side in (position, spectroscopic)
    )
    return Case(
        position,
        spectroscopic,
        matrix,
        oracle.place_elements(matrix, rows, columns),
        folding_of(position, spectroscopic),
        (int(rng.integers(1, shape[0] + 1)), int(rng.integers(1, shape[1] + 1))),
    )


def random_region(seed: int, shape: tuple[int, ...]) -> Region:
    rng = np.random.default_rng(seed)
    ends = [np.sort(rng.integers(0, size + 1, 2)) for size in shape]
    return tuple(slice(int(start), int(stop)) for start, stop in ends)


# ---------------------------------------------------------------------------- fold and unfold


@settings(deadline=None, max_examples=200)
@given(seed=seeds, kind=kinds, other=kinds, dtype=dtypes)
def test_a_fold_equals_the_oracles(seed: int, kind: Any, other: Any, dtype: str) -> None:
    case = random_case(seed, kind, other, dtype)
    folded = fold(case.matrix, case.folding)
    assert folded.dtype == case.folded.dtype
    assert_array_equal(folded, case.folded)


@settings(deadline=None, max_examples=200)
@given(seed=seeds, kind=kinds, other=kinds, dtype=dtypes)
def test_unfolding_a_fold_gives_the_matrix(seed: int, kind: Any, other: Any, dtype: str) -> None:
    case = random_case(seed, kind, other, dtype)
    matrix = unfold(fold(case.matrix, case.folding), case.folding)
    assert_array_equal(matrix, case.matrix)
    if not case.folding.missing:
        assert matrix.dtype == case.matrix.dtype


@settings(deadline=None)
@given(seed=seeds, kind=kinds, other=kinds)
def test_folding_an_unfolded_array_gives_it_back_where_points_were_measured(
    seed: int, kind: Any, other: Any
) -> None:
    case = random_case(seed, kind, other)
    array = np.random.default_rng(seed).random(case.folding.shape)
    measured = MeasuredSource(case.folding, "").read(whole(case.folding.shape))
    again = fold(unfold(array, case.folding), case.folding)
    assert_array_equal(again, np.where(measured, array, np.nan))


@settings(deadline=None)
@given(seed=seeds, kind=kinds, other=kinds, dtype=dtypes)
def test_with_a_fill_the_fold_keeps_the_dtype_and_unfolds_to_the_matrix(
    seed: int, kind: Any, other: Any, dtype: str
) -> None:
    case = random_case(seed, kind, other, dtype)
    folded = fold(case.matrix, case.folding, fill=1)
    measured = MeasuredSource(case.folding, "").read(whole(case.folding.shape))
    assert folded.dtype == case.matrix.dtype
    assert_array_equal(folded[measured], case.folded[measured].astype(case.matrix.dtype))
    assert (folded[~measured] == 1).all()
    assert_array_equal(unfold(folded, case.folding, fill=1), case.matrix)


@settings(deadline=None)
@given(seed=seeds, kind=kinds)
def test_rows_that_are_not_done_are_missing_in_the_fold_and_filled_in_the_matrix(
    seed: int, kind: Any
) -> None:
    case = random_case(seed, kind, "raster")
    done = np.random.default_rng(seed).random(len(case.matrix)) < 0.5
    folding = case.folding._replace(position=case.folding.position.masked(done))
    folded = fold(case.matrix, folding)
    blanked = np.where(done[:, np.newaxis], case.matrix, np.nan)
    assert_array_equal(folded, fold(blanked, case.folding))
    assert_array_equal(unfold(folded, folding), blanked)


@pytest.mark.parametrize("shape", [(5, 4), (4, 5, 1), (20,)])
def test_an_array_of_another_shape_is_not_unfolded(shape: tuple[int, ...]) -> None:
    folding = Folding(raster((4,)), raster((5,)))
    with pytest.raises(LayoutError, match=re.escape(f"has shape {shape}, the folding (4, 5)")):
        unfold(np.zeros(shape), folding)


# ---------------------------------------------------------------------------- reading


@settings(deadline=None, max_examples=300)
@given(seed=seeds, kind=kinds, other=kinds, chunked=st.booleans())
def test_a_region_is_the_same_slice_of_the_whole_and_no_chunk_is_read_twice(
    seed: int, kind: Any, other: Any, chunked: bool
) -> None:
    case = random_case(seed, kind, other)
    chunks = case.chunks if chunked else None
    source = CountingSource(MemorySource(case.matrix, chunks=chunks))
    folded = FoldedSource(source, case.folding)
    region = random_region(seed, folded.shape)
    found = folded.read(region)
    assert found.dtype == folded.dtype
    assert_array_equal(found, case.folded[region])
    assert max(source.chunk_reads().values(), default=0) <= 1


@settings(deadline=None)
@given(seed=seeds, kind=kinds, other=kinds, dtype=dtypes)
def test_reading_into_an_array_fills_all_of_it_with_what_reading_gives(
    seed: int, kind: Any, other: Any, dtype: str
) -> None:
    case = random_case(seed, kind, other, dtype)
    mask = MeasuredSource(case.folding, "")
    for source in (FoldedSource(MemorySource(case.matrix), case.folding), mask):
        region = random_region(seed, source.shape)
        out = np.full(extent(region), 99).astype(source.dtype)
        source.read_into(region, out)
        assert_array_equal(out, source.read(region), strict=True)


@settings(deadline=None)
@given(seed=seeds, kind=kinds, other=kinds)
def test_from_contiguous_storage_only_the_elements_asked_for_are_read(
    seed: int, kind: Any, other: Any
) -> None:
    case = random_case(seed, kind, other)
    source = CountingSource(MemorySource(case.matrix))
    region = random_region(seed, case.folding.shape)
    FoldedSource(source, case.folding).read(region)
    measured = MeasuredSource(case.folding, "").read(region)
    assert source.elements == np.count_nonzero(measured)


@settings(deadline=None)
@given(seed=seeds, kind=kinds, other=kinds)
def test_only_chunks_that_hold_elements_asked_for_are_read(
    seed: int, kind: Any, other: Any
) -> None:
    case = random_case(seed, kind, other)
    source = CountingSource(MemorySource(case.matrix, chunks=case.chunks))
    region = random_region(seed, case.folding.shape)
    FoldedSource(source, case.folding).read(region)
    rows, columns = (
        np.arange(found.start, found.stop) if isinstance(found, slice) else found[found >= 0]
        for found in case.folding.find(region)
    )
    needed = {
        (row // case.chunks[0], column // case.chunks[1]) for row in rows for column in columns
    }
    assert set(source.chunk_reads()) == needed


def test_a_block_of_whole_lines_is_one_read_of_just_its_rows() -> None:
    source = CountingSource(MemorySource(np.arange(240.0).reshape(24, 10)))
    folded = FoldedSource(source, Folding(raster((2, 3, 4)), raster((2, 5))))
    folded.read((slice(1, 2), slice(1, 3), slice(0, 4), slice(0, 2), slice(0, 5)))
    assert source.regions == [(slice(16, 24), slice(0, 10))]


@pytest.mark.parametrize("scan", ["raster", "reversed", "serpentine", "interleaved", "partial"])
def test_one_element_is_one_read_of_one_element_whatever_the_scan(scan: str) -> None:
    side = grid_side((5, 6), scan=scan)
    matrix = np.arange(4.0 * side.points).reshape(-1, 4)
    source = CountingSource(MemorySource(matrix, chunks=(10, 4)))
    folded = FoldedSource(source, folding_of(side, grid_side((4,))))
    value = folded.read(tuple(slice(at, at + 1) for at in (3, 2, 1))).item()
    assert source.elements == 1
    row = side.indices.tolist().index([3, 2])
    assert value == 4 * row + 1


def test_a_region_of_missing_points_reads_nothing() -> None:
    source = CountingSource(MemorySource(np.ones((31, 3))))
    folded = FoldedSource(source, folding_of(grid_side((5, 7), keep=31), grid_side((3,))))
    block = folded.read((slice(4, 5), slice(3, 7), slice(0, 3)))
    assert np.isnan(block).all()
    assert source.elements == 0


def test_what_is_read_belongs_to_the_caller() -> None:
    matrix = np.arange(12.0).reshape(4, 3)
    for source in (MemorySource(matrix), FoldedSource(MemorySource(matrix), _two_by_two())):
        block = source.read(whole(source.shape))
        block[...] = -1
    assert matrix.min() == 0


def _two_by_two() -> Folding:
    return Folding(raster((2, 2)), raster((3,)))


@settings(deadline=None)
@given(
    order=st.permutations(range(40)),
    count=st.integers(0, 40),
    gone=st.sets(st.integers(0, 39)),
    unit=st.integers(1, 12),
)
def test_pieces_read_each_point_once_and_no_unit_twice(
    order: list[int], count: int, gone: set[int], unit: int
) -> None:
    points = np.array([-1 if point in gone else point for point in order[:count]], np.int64)
    block = np.full(count, -1)
    units: list[int] = []
    for run, take, put in split(points, unit):
        assert run.start < run.stop
        block[put] = np.arange(run.start, run.stop)[take]
        units += range(run.start // unit, (run.stop - 1) // unit + 1)
    assert_array_equal(block, points)
    assert units == sorted({point // unit for point in points.tolist() if point >= 0})


def test_a_run_is_one_piece() -> None:
    (piece,) = split(slice(3, 9), 4)
    assert (piece.run, piece.take, piece.put) == (slice(3, 9), slice(None), slice(0, 6))


# ---------------------------------------------------------------------------- missing elements


@pytest.mark.parametrize(
    ("stored", "given_as"),
    [
        ("?", "f2"),
        ("i1", "f2"),
        ("u1", "f2"),
        ("i2", "f4"),
        ("u2", "f4"),
        ("i4", "f8"),
        ("u4", "f8"),
        ("i8", "f8"),
        ("f2", "f2"),
        ("f4", "f4"),
        (">f4", ">f4"),
        ("f8", "f8"),
        ("c8", "c8"),
        ("c16", "c16"),
    ],
)
def test_missing_elements_are_nan_in_the_smallest_float_that_is_exact(
    stored: str, given_as: str
) -> None:
    value = filling(np.dtype(stored))
    assert value.dtype == np.dtype(given_as)
    assert np.isnan(value)
    if np.dtype(stored).kind in "iu" and np.dtype(stored).itemsize < 8:
        ends = [np.iinfo(stored).min, np.iinfo(stored).max]
        assert np.array(ends, stored).astype(given_as).tolist() == ends


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [("i2", -1), ("u1", 0), ("?", False), ("f4", 0.5), ("f4", np.nan), ("c8", 1j)],
)
def test_a_given_fill_keeps_the_dtype(dtype: str, fill: Any) -> None:
    value = filling(np.dtype(dtype), fill)
    assert value.dtype == np.dtype(dtype)
    assert_array_equal(value, np.array(fill, dtype))


@pytest.mark.parametrize(("dtype", "fill"), [("i2", 0.5), ("u1", 2.7), ("?", 2)])
def test_a_fill_that_the_dtype_cannot_hold_is_refused(dtype: str, fill: Any) -> None:
    with pytest.raises(LayoutError, match=re.escape(f"fill={fill!r}")):
        filling(np.dtype(dtype), fill)


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        ("i2", np.nan),
        ("u1", -1),
        ("u1", 256),
        ("i2", 2**40),
        ("i2", "x"),
        ("f4", "x"),
        ("f4", 1e300),
        ("f8", 1j),
    ],
)
def test_a_fill_far_out_of_range_is_refused_as_clearly(dtype: str, fill: Any) -> None:
    with pytest.raises(LayoutError, match="fill="):
        filling(np.dtype(dtype), fill)


def test_missing_compounds_have_nan_floats_and_zero_integers() -> None:
    dtype = np.dtype([("A", "f4"), ("n", "i4"), ("z", "c8")])
    value = filling(dtype)
    assert value.dtype == dtype
    assert np.isnan(value["A"])
    assert np.isnan(value["z"])
    assert value["n"] == 0


def test_missing_compounds_have_nan_floats_at_any_depth() -> None:
    dtype = np.dtype([("pair", "f4", (2,)), ("inner", [("A", "f8"), ("n", "u1")])])
    value = filling(dtype)
    assert np.isnan(value["pair"]).all()
    assert np.isnan(value["inner"]["A"])
    assert value["inner"]["n"] == 0


@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_64_bit_integers_that_a_float_would_round_are_refused_beside_missing_points(
    dtype: str,
) -> None:
    folding = folding_of(grid_side((2, 2), keep=3), grid_side((1,)))
    exact = np.array([[2**53], [1], [2]], dtype)
    assert fold(exact, folding)[0, 0, 0] == 2**53
    inexact = exact + np.array(1, dtype)
    with pytest.raises(LayoutError, match=r"2\*\*53.*fill="):
        fold(inexact, folding)
    assert fold(inexact, folding, fill=0)[0, 0, 0] == 2**53 + 1


def test_the_smallest_64_bit_integer_is_checked_for_its_size_too() -> None:
    folding = folding_of(grid_side((2, 2), keep=3), grid_side((1,)))
    with pytest.raises(LayoutError, match=re.escape("2**53")):
        fold(np.array([[-(2**53) - 1], [1], [2]]), folding)


def test_without_missing_points_integers_stay_integers() -> None:
    folding = folding_of(grid_side((3, 4), scan="reversed"), grid_side((2,)))
    matrix = np.full((12, 2), 2**63 - 1)
    assert fold(matrix, folding).dtype == np.int64
    assert (fold(matrix, folding) == 2**63 - 1).all()


@settings(deadline=None)
@given(seed=seeds, kind=kinds, other=kinds)
def test_measured_elements_are_those_that_the_matrix_fills(
    seed: int, kind: Any, other: Any
) -> None:
    case = random_case(seed, kind, other)
    mask = MeasuredSource(case.folding, "token")
    region = random_region(seed, mask.shape)
    assert (mask.dtype, mask.shape) == (np.dtype(bool), case.folded.shape)
    assert_array_equal(mask.read(region), ~np.isnan(case.folded)[region])


# ---------------------------------------------------------------------------- names


def test_equal_folds_of_equal_sources_have_equal_tokens() -> None:
    matrix = np.zeros((12, 6))
    side = grid_side((3, 4), scan="serpentine")
    one, two = (
        FoldedSource(MemorySource(matrix, "same"), folding_of(side, grid_side((6,))))
        for _ in range(2)
    )
    assert one.token == two.token


def test_whatever_changes_the_fold_changes_its_token() -> None:
    matrix = np.zeros((4, 4))
    square, line = grid_side((2, 2)), grid_side((4,))
    turned = grid_side((2, 2), scan="reversed")
    source = FoldedSource(MemorySource(matrix, "a"), folding_of(square, line))
    done = np.array([True, False, True, True])
    others = [
        replace(source, source=MemorySource(matrix, "b")),
        replace(source, fill=0),
        replace(source, fill=1),
        replace(source, folding=folding_of(line, square)),
        replace(source, folding=folding_of(turned, line)),
        replace(source, folding=source.folding._replace(position=raster((4,)))),
        replace(
            source, folding=source.folding._replace(position=source.folding.position.masked(done))
        ),
        FoldedSource(TransposedSource(source.source, (1, 0)), source.folding),
    ]
    tokens = [source.token, *(other.token for other in others)]
    assert len(set(tokens)) == len(tokens)


def test_the_token_knows_which_side_is_permuted() -> None:
    turned = find_grid(index_table(grid_side((4,), scan="reversed")))
    plain = raster((4,))
    source = MemorySource(np.arange(16).reshape(4, 4))
    rows = FoldedSource(source, Folding(turned, plain))
    columns = FoldedSource(source, Folding(plain, turned))
    assert not np.array_equal(rows.read(whole((4, 4))), columns.read(whole((4, 4))))
    assert rows.token != columns.token


def test_scattered_points_are_read_as_they_stand() -> None:
    side = take_points(scattered_side(6, 2, np.random.default_rng(0)), range(6))
    folding = folding_of(side, grid_side((3,)))
    matrix = np.arange(18).reshape(6, 3)
    source = CountingSource(MemorySource(matrix))
    assert_array_equal(FoldedSource(source, folding).read((slice(2, 5), slice(0, 3))), matrix[2:5])
    assert len(source.regions) == 1
    assert folding.position.shape == scattered(6, "").shape
