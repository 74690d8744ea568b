"""Tables: point-major whatever the side, read in slabs, learnt in one pass."""

from math import prod

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from lazyusid.layout import tables
from lazyusid.layout.sources import MemorySource
from lazyusid.layout.tables import Table, cycle, find_strides, learn_cycles
from tests.builders import grid_side
from tests.sources import CountingSource, RasterTable, index_table, table_of

quick = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
sizes_of_a_box = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


def strides_of(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Points that each dimension stays at a step, slowest first."""
    return tuple(prod(sizes[axis + 1 :]) for axis in range(len(sizes)))


# ---------------------------------------------------------------------------- tables


@pytest.mark.parametrize("transposed", [False, True])
def test_a_table_is_point_major_however_it_is_stored(transposed: bool) -> None:
    rows = np.arange(21).reshape(7, 3)
    table = table_of(rows, "u2", transposed=transposed)
    assert (table.points, table.columns, table.dtype) == (7, 3, np.dtype("u2"))
    assert_array_equal(table.rows(2, 5), rows[2:5])


def test_a_square_spectroscopic_table_is_not_read_transposed() -> None:
    """peers.md S4: as many dimensions as columns."""
    side = grid_side((2, 1))
    table = index_table(side, transposed=True)
    assert table.source.shape == (2, 2)
    assert_array_equal(table.rows(0, 2), side.indices)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("points", [0, 1, 6, 7, 8, 20])
def test_slabs_hold_every_point_once_and_in_order(
    points: int, transposed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "SLAB_ROWS", 7)
    rows = np.arange(2 * points).reshape(points, 2)
    slabs = list(table_of(rows, transposed=transposed).slabs())
    assert [start for start, _ in slabs] == list(range(0, points, 7))
    assert all(len(slab) <= 7 for _, slab in slabs)
    assert_array_equal(np.concatenate([np.empty((0, 2)), *(slab for _, slab in slabs)]), rows)


# ---------------------------------------------------------------------------- cycles


@quick
@given(
    size=st.integers(1, 9),
    stride=st.integers(1, 9),
    start=st.integers(0, 200),
    count=st.integers(0, 200),
)
def test_a_cycle_gives_each_point_the_level_of_its_number(
    size: int, stride: int, start: int, count: int
) -> None:
    levels = np.arange(size) * 10
    expected = [levels[point // stride % size] for point in range(start, start + count)]
    assert cycle(levels, stride, start, start + count).tolist() == expected


def test_a_short_stretch_of_a_long_cycle_takes_little_memory() -> None:
    levels = np.arange(4)
    assert cycle(levels, 10**12, 3 * 10**12 - 2, 3 * 10**12 + 2).tolist() == [2, 2, 3, 3]


@quick
@given(sizes=sizes_of_a_box, slab=st.integers(1, 40), transposed=st.booleans())
def test_the_levels_of_any_raster_are_learnt_whatever_the_slabs(
    sizes: tuple[int, ...], slab: int, transposed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "SLAB_ROWS", slab)
    counters = [np.arange(size) * 3 + 1 for size in sizes]
    table = index_table(grid_side(sizes, counters=counters), transposed=transposed)
    for levels, counter in zip(
        learn_cycles(table, sizes, strides_of(sizes)), counters, strict=True
    ):
        assert_array_equal(levels, counter)


@quick
@given(sizes=sizes_of_a_box, slab=st.integers(1, 40), data=st.data())
def test_a_single_wrong_element_spoils_its_own_column_alone(
    sizes: tuple[int, ...], slab: int, data: st.DataObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "SLAB_ROWS", slab)
    indices = grid_side(sizes).indices.copy()
    row = data.draw(st.integers(0, len(indices) - 1))
    column = data.draw(st.integers(0, len(sizes) - 1))
    strides = strides_of(sizes)
    indices[row, column] += 9
    learnt = learn_cycles(table_of(indices), sizes, strides)
    spoilt = len(indices) > sizes[column] or strides[column] > 1
    for number, levels in enumerate(learnt):
        assert (levels is None) == (number == column and spoilt)


def test_a_level_that_is_no_number_cycles_like_any_other() -> None:
    rows = np.tile([1.0, np.nan, 3.0], 2)[:, np.newaxis]
    (levels,) = learn_cycles(table_of(rows), (3,), (1,))
    assert levels is not None
    assert_array_equal(levels, [1, np.nan, 3])
    rows[4] = 2
    assert learn_cycles(table_of(rows), (3,), (1,)) == [None]
    rows[1] = 2
    rows[4] = np.nan
    assert learn_cycles(table_of(rows), (3,), (1,)) == [None]


def test_learning_reads_each_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "SLAB_ROWS", 16)
    source = CountingSource(RasterTable((10, 10)))
    learn_cycles(Table(source, False), (10, 10), (10, 1))
    assert source.rows == 100
    assert max(source.chunk_reads().values()) == 1


def test_learning_stops_where_no_column_is_left_to_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "SLAB_ROWS", 16)
    source = CountingSource(MemorySource(np.random.default_rng(0).random((1000, 2))))
    assert learn_cycles(Table(source, False), (2, 2), (2, 1)) == [None, None]
    assert source.rows == 16


# ---------------------------------------------------------------------------- strides


@quick
@given(sizes=sizes_of_a_box, slab=st.integers(1, 40), transposed=st.booleans())
def test_the_stride_is_the_first_point_that_differs(
    sizes: tuple[int, ...], slab: int, transposed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "SLAB_ROWS", slab)
    side = grid_side(sizes)
    differs = [np.flatnonzero(column != column[0]) for column in side.indices.T]
    expected = [int(found[0]) if len(found) else side.points for found in differs]
    assert find_strides(index_table(side, transposed=transposed)) == expected


def test_strides_of_an_empty_table_are_zero() -> None:
    assert find_strides(table_of(np.empty((0, 3)))) == [0, 0, 0]


@pytest.mark.parametrize("sizes", [(10**10,), (3, 10**9), (10**5, 10**5), (1, 2, 2**40)])
def test_the_strides_of_a_long_table_take_a_head_and_a_few_rows(sizes: tuple[int, ...]) -> None:
    source = CountingSource(RasterTable(sizes, "u8"))
    strides = find_strides(Table(source, False))
    expected = zip(strides_of(sizes), sizes, strict=True)
    assert strides == [source.shape[0] if size == 1 else stride for stride, size in expected]
    assert source.rows <= tables.SLAB_ROWS + 2 * 64 * len(sizes)
