"""Sources of memory and of other sources, and numpy's basic indexing over any of them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from lazyusid.layout.sources import (
    FieldSource,
    MemorySource,
    TransposedSource,
    expand,
    read_at,
)
from lazyusid.protocols import BlockSource, Region, extent
from tests.sources import CountingSource

seeds = st.integers(0, 2**32 - 1)


def random_region(seed: int, shape: tuple[int, ...]) -> Region:
    rng = np.random.default_rng(seed)
    ends = [np.sort(rng.integers(0, size + 1, 2)) for size in shape]
    return tuple(slice(int(start), int(stop)) for start, stop in ends)


# ---------------------------------------------------------------------------- adapters


@settings(deadline=None)
@given(seed=seeds, order=st.permutations(range(3)))
def test_a_transposed_source_reads_as_the_transposed_array(seed: int, order: list[int]) -> None:
    array = np.arange(60).reshape(3, 4, 5)
    source = TransposedSource(MemorySource(array), tuple(order))
    turned = array.transpose(order)
    region = random_region(seed, turned.shape)
    assert (source.shape, source.dtype) == (turned.shape, turned.dtype)
    assert_array_equal(source.read(region), turned[region])


def test_a_field_reads_as_the_field_of_the_array() -> None:
    array = np.zeros((3, 4), [("A", "f4"), ("n", "i2")])
    array["n"] = np.arange(12).reshape(3, 4)
    source = FieldSource(MemorySource(array, chunks=(2, 2)), "n")
    assert (source.shape, source.dtype, source.chunks) == ((3, 4), np.dtype("i2"), (2, 2))
    found = source.read((slice(1, 3), slice(0, 2)))
    assert found.flags.c_contiguous
    assert_array_equal(found, array["n"][1:3, :2])


# ---------------------------------------------------------------------------- basic indexing

ends = st.none() | st.integers(-8, 8)
slices = st.builds(slice, ends, ends, st.none() | st.sampled_from([-3, -2, -1, 1, 2, 3]))


@st.composite
def keys(draw: st.DrawFn) -> tuple[Any, ...]:
    """Basic indices of an array of shape (4, 5, 6), some with an ellipsis."""
    parts = [draw(slices | st.integers(-size, size - 1)) for size in (4, 5, 6)]
    kept = draw(st.integers(0, 3))
    dots = draw(st.booleans())
    if not dots:
        return tuple(parts[:kept])
    tail = draw(st.integers(0, 3 - kept))
    return (*parts[:kept], ..., *parts[3 - tail :])


@settings(deadline=None, max_examples=300)
@given(key=keys())
def test_any_basic_index_gives_what_numpy_gives(key: tuple[Any, ...]) -> None:
    array = np.arange(120).reshape(4, 5, 6)
    source = CountingSource(MemorySource(array))
    found = read_at(source, key)
    assert isinstance(found, np.ndarray)
    assert_array_equal(found, array[key], strict=True)
    assert len(source.regions) == 1
    for part, size in zip(source.regions[0], array.shape, strict=True):
        assert 0 <= part.start <= part.stop <= size
        assert part.step is None


@settings(deadline=None)
@given(start=ends, stop=ends, step=st.sampled_from([-3, -2, 2, 3]))
def test_a_stepped_slice_reads_from_its_first_to_its_last_element(
    start: int | None, stop: int | None, step: int
) -> None:
    source = CountingSource(MemorySource(np.arange(7)))
    key = slice(start, stop, step)
    read_at(source, key)
    chosen = np.arange(7)[key]
    expected = int(np.ptp(chosen)) + 1 if len(chosen) else 0
    assert source.elements == expected


@pytest.mark.parametrize("key", [..., (), slice(None), np.int64(-1), (np.uint8(2), ...)])
def test_what_is_not_named_is_taken_whole(key: Any) -> None:
    array = np.arange(12).reshape(3, 4)
    assert_array_equal(read_at(MemorySource(array), key), array[key])


@pytest.mark.parametrize("key", [3, -4, (0, 4), (0, -5), (..., 4)])
def test_an_index_out_of_bounds_is_an_index_error(key: Any) -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        read_at(MemorySource(np.zeros((3, 4))), key)


@pytest.mark.parametrize("key", [(0, 0, 0), (..., 0, ...), (slice(None),) * 3, (0, 0, 0, ...)])
def test_too_many_indices_are_an_index_error(key: Any) -> None:
    with pytest.raises(IndexError, match="too many indices"):
        expand(key, (3, 4))


@pytest.mark.parametrize("key", ["X", 1.5, None, True, [0.5], np.array([0, 1]) > 0])
def test_an_index_that_is_neither_basic_nor_a_list_is_refused(key: Any) -> None:
    with pytest.raises((TypeError, IndexError)):
        read_at(MemorySource(np.zeros((3, 4))), key)


axis_keys = st.one_of(
    slices,
    st.lists(st.integers(-4, 3), max_size=5),
    st.lists(st.integers(-4, 3), max_size=5).map(lambda found: np.array(found, np.int64)),
)


@settings(deadline=None, max_examples=200)
@given(key=st.lists(axis_keys, max_size=3).map(tuple))
def test_a_list_selects_along_its_own_axis(key: tuple[Any, ...]) -> None:
    array = np.arange(120).reshape(4, 5, 6)
    expected = array
    for axis, part in enumerate(key):
        chosen = np.arange(array.shape[axis])[
            np.array(part, int) if isinstance(part, list) else part
        ]
        expected = expected.take(chosen, axis)
    assert_array_equal(read_at(MemorySource(array), key), expected, strict=True)


def test_a_list_reads_from_its_lowest_to_its_highest_element() -> None:
    source = CountingSource(MemorySource(np.arange(20)))
    assert read_at(source, [7, -15, 7]).tolist() == [7, 5, 7]
    assert source.regions == [(slice(5, 8),)]


@pytest.mark.parametrize("key", [[0, 3], [-4], (0, [1, 4])])
def test_a_list_out_of_bounds_is_an_index_error(key: Any) -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        read_at(MemorySource(np.zeros((3, 4))), key)


# ---------------------------------------------------------------------------- all of them


def test_tokens_of_fields_and_transposes_differ_from_their_sources() -> None:
    source = MemorySource(np.zeros((2, 2), [("A", "f4"), ("B", "f4")]), "t")
    tokens = [
        source.token,
        FieldSource(source, "A").token,
        FieldSource(source, "B").token,
        TransposedSource(source, (1, 0)).token,
        TransposedSource(source, (0, 1)).token,
    ]
    assert len(set(tokens)) == 5


def _compound() -> np.ndarray:
    array = np.zeros((3, 4), [("A", "f4"), ("n", "i2")])
    array["n"] = np.arange(12).reshape(3, 4)
    return array


@settings(deadline=None)
@given(
    seed=seeds,
    source=st.sampled_from(
        [
            MemorySource(np.arange(12).reshape(3, 4)),
            TransposedSource(MemorySource(np.arange(12).reshape(3, 4)), (1, 0)),
            FieldSource(MemorySource(_compound()), "n"),
        ]
    ),
)
def test_reading_into_an_array_gives_what_reading_gives(seed: int, source: BlockSource) -> None:
    region = random_region(seed, source.shape)
    out = np.full(extent(region), -1, source.dtype)
    source.read_into(region, out)
    assert_array_equal(out, source.read(region), strict=True)
