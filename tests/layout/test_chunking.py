"""Blocks: they add up to the array, fit memory, and read no storage chunk twice if that can be."""

import re
import time
from itertools import product
from math import ceil, prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazyusid.layout.chunking import (
    DEFAULT_BYTES,
    MAX_TASKS,
    BlockPlan,
    Blocks,
    format_bytes,
    plan_blocks,
    plan_source,
)
from lazyusid.layout.folding import Folding
from lazyusid.layout.grid import find_grid, raster
from lazyusid.layout.sources import MemorySource
from tests.builders import grid_side, placeholder_side, random_side
from tests.sources import folding_of, index_table

NAMES = tuple("abcdefgh")
seeds = st.integers(0, 2**32 - 1)
kinds = st.sampled_from(["raster", "permuted", "partial", "scattered", "placeholder"])
requests = st.sampled_from(["auto", "spectra", "images"])

EXAMPLE = Folding(raster((300, 300)), raster((5, 64)))
EXAMPLE_DIMS = ("Y", "X", "Cycle", "Bias")
EXAMPLE_CHUNKS = (1000, 32)


def plan_of(
    position: tuple[int, ...],
    spectroscopic: tuple[int, ...],
    itemsize: int,
    chunks: tuple[int, int] | None,
    request: Any = "auto",
) -> BlockPlan:
    """The plan of a raster on both sides."""
    folding = Folding(raster(position), raster(spectroscopic))
    return plan_blocks(folding, NAMES[: len(folding.shape)], itemsize, chunks, request)


def plan_example(request: Any, **options: Any) -> BlockPlan:
    """Blocks of the design's own example."""
    return plan_blocks(EXAMPLE, EXAMPLE_DIMS, 4, EXAMPLE_CHUNKS, request, **options)


def regions_of(blocks: Blocks) -> list[tuple[slice, ...]]:
    """One region a block."""
    axes = []
    for edges in blocks:
        stops = np.cumsum(edges).tolist()
        axes.append([slice(stop - edge, stop) for stop, edge in zip(stops, edges, strict=True)])
    return list(product(*axes))


def count_chunk_reads(plan: BlockPlan, chunks: tuple[int, int]) -> int:
    """How many chunks are read when every block is, element by element."""
    count = 0
    for region in regions_of(plan.blocks):
        touched = set()
        rows, columns = (
            range(found.start, found.stop) if isinstance(found, slice) else found.tolist()
            for found in plan.folding.find(region)
        )
        for row, column in product(rows, columns):
            if row >= 0 and column >= 0:
                touched.add((row // chunks[0], column // chunks[1]))
        count += len(touched)
    return count


# ---------------------------------------------------------------------------- known files


def test_the_designs_example_is_cut_into_whole_chunk_rows() -> None:
    plan = plan_example("auto")
    assert plan.amplification == 1.0
    assert plan.block[1:] == (300, 5, 64)
    assert plan.block[0] * 300 % 1000 == 0
    assert plan.tasks == len(plan.blocks[0]) <= 90
    assert 1 << 20 <= plan.block_bytes <= DEFAULT_BYTES


def test_an_8_gb_main_in_small_square_chunks_has_few_blocks_and_reads_little_twice() -> None:
    """peers.md R4: 2.27 million tasks, 153 s to open."""
    start = time.process_time()
    plan = plan_of((10, 100, 100), (2, 50, 100), 8, (64, 64))
    assert time.process_time() - start < 5
    assert plan.nbytes == 8 * 10**9
    assert plan.tasks <= MAX_TASKS
    assert plan.amplification < 1.5


def test_contiguous_rows_are_read_in_runs() -> None:
    """peers.md R4: one spectrum of a contiguous file read a 131 MB block."""
    plan = plan_of((256, 256), (4, 500), 8, None)
    assert plan.block[1:] == (256, 4, 500)
    assert plan.block_bytes <= 16 << 20
    assert plan.amplification == 1.0


@pytest.mark.parametrize("chunks", [None, (1, 10_000), (1000, 10_000), (10**6, 1), (1000, 100)])
def test_a_large_array_has_few_blocks_of_modest_size_whatever_its_chunks(
    chunks: tuple[int, int] | None,
) -> None:
    plan = plan_of((1000, 1000), (10_000,), 4, chunks)
    assert plan.tasks <= MAX_TASKS
    assert plan.amplification == 1.0
    assert plan.block_bytes <= 16 * max(DEFAULT_BYTES, 4 * prod(chunks or (1,)))


def test_a_small_array_is_one_block() -> None:
    assert plan_of((32, 32), (64,), 4, (16, 64)).tasks == 1


@pytest.mark.parametrize("size", [10**9, 10**11])
def test_a_long_list_of_points_is_planned_without_counting_them(size: int) -> None:
    start = time.process_time()
    plan = plan_of((size,), (16,), 4, (5000, 16))
    assert time.process_time() - start < 5
    assert plan.tasks <= MAX_TASKS
    assert plan.amplification < 1.1


# ---------------------------------------------------------------------------- requests


def test_spectra_keep_spectroscopic_axes_whole() -> None:
    plan = plan_example("spectra")
    assert plan.block[2:] == (5, 64)
    assert plan.tasks > 1


def test_images_keep_position_axes_whole() -> None:
    plan = plan_example("images")
    assert plan.block[:2] == (300, 300)
    assert plan.tasks == 10  # the columns of chunks
    assert plan.amplification == 1.0


def test_axes_that_are_named_are_cut_so_and_the_others_to_fit() -> None:
    plan = plan_example({"X": 32}, max_bytes=1 << 20)
    assert plan.blocks[1] == (32,) * 9 + (12,)
    assert plan.block_bytes <= 1 << 20
    assert plan.block[2:] == (5, 64)


@pytest.mark.parametrize("edge", [-1, 300, 1000])
def test_a_named_edge_of_the_axis_or_more_is_the_axis(edge: int) -> None:
    assert plan_example({"Y": edge, "X": 10}).blocks[0] == (300,)


def test_nothing_named_cuts_the_slowest_axis_to_fit() -> None:
    plan = plan_example({})
    assert plan.block[1:] == (300, 5, 64)
    assert plan.block_bytes <= DEFAULT_BYTES


def test_a_tuple_gives_an_edge_or_all_edges_of_each_axis() -> None:
    plan = plan_example((150, (100, 200), -1, 60))
    assert plan.blocks == ((150, 150), (100, 200), (5,), (60, 4))
    assert plan_example([150, [100, 200], -1, 60]).blocks == plan.blocks


def test_edges_may_be_numpys_integers_and_make_the_same_blocks() -> None:
    named = plan_example({"Y": np.int64(7), "X": np.int32(9)}).blocks
    listed = plan_example((np.int64(7), tuple(np.array([100, 200])), -1, 64)).blocks
    assert repr(named) == repr(plan_example({"Y": 7, "X": 9}).blocks)
    assert repr(listed) == repr(plan_example((7, (100, 200), -1, 64)).blocks)


def test_any_edge_of_a_request_may_exceed_its_axis() -> None:
    assert plan_example((1000, 1000, 1000, 1000)).blocks == ((300,), (300,), (5,), (64,))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ("spectrum", r"chunks='spectrum'.*'spectra'"),
        ("", r"chunks=''"),
        ({"Z": 3}, r"no dimension \['Z'\].*'Cycle'"),
        ({"X": 3, "Q": 1, "A": 1}, r"\['A', 'Q'\]"),
        ((10, 10), r"4 axes need 4"),
        ((10,) * 5, r"4 axes need 4"),
        ((10, (100, 100), -1, -1), r"add up to the shape \(300, 300, 5, 64\)"),
        (((300, 300), -1, -1, -1), r"add up"),
        (((), -1, -1, -1), r"add up"),
    ],
)
def test_a_request_that_fits_no_array_is_refused_in_words(request_: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plan_example(request_)


@pytest.mark.parametrize(
    "request_",
    [
        (0, -1, -1, -1),
        (-2, -1, -1, -1),
        ((305, -5), -1, -1, -1),
        (2.5, -1, -1, -1),
        {"X": 0},
        {"X": -2},
        {"X": 2.5},
        {"X": "auto"},
        5,
        None,
    ],
    ids=repr,
)
def test_an_edge_that_is_no_positive_integer_is_refused_in_words(request_: Any) -> None:
    with pytest.raises(ValueError, match="chunks"):
        plan_example(request_)


# ---------------------------------------------------------------------------- laws


@settings(deadline=None, max_examples=200)
@given(
    seed=seeds,
    kind=kinds,
    other=kinds,
    request_=requests,
    chunked=st.booleans(),
    max_bytes=st.sampled_from([1, 100, 10_000, DEFAULT_BYTES]),
)
def test_blocks_add_up_to_the_shape_and_can_be_asked_for_again(
    seed: int, kind: Any, other: Any, request_: str, chunked: bool, max_bytes: int
) -> None:
    rng = np.random.default_rng(seed)
    folding = folding_of(random_side(rng, kind), random_side(rng, other))
    rows, columns = (int(rng.integers(1, points + 1)) for points in folding.matrix_shape)
    chunks = (rows, columns) if chunked else None
    dims = tuple(f"D{axis}" for axis in range(len(folding.shape)))
    plan = plan_blocks(folding, dims, 4, chunks, request_, max_bytes)
    assert tuple(map(sum, plan.blocks)) == folding.shape == plan.shape
    assert plan_blocks(folding, dims, 4, chunks, plan.blocks).blocks == plan.blocks
    assert plan.tasks == len(regions_of(plan.blocks))
    assert plan.block_bytes <= plan.nbytes
    assert all(edge > 0 for edges in plan.blocks for edge in edges)
    axes = len(folding.position.shape)
    if request_ == "spectra":
        assert plan.block[axes:] == folding.spectroscopic.shape
    if request_ == "images":
        assert plan.block[:axes] == folding.position.shape


@settings(deadline=None, max_examples=200)
@given(seed=seeds, kind=kinds, other=kinds, request_=requests)
def test_the_amplification_is_the_chunks_read_over_the_chunks_there_are(
    seed: int, kind: Any, other: Any, request_: str
) -> None:
    rng = np.random.default_rng(seed)
    sides = random_side(rng, kind, max_size=4), random_side(rng, other, max_dims=3, max_size=3)
    folding = folding_of(*sides)
    chunks = tuple(int(rng.integers(1, points + 1)) for points in folding.matrix_shape)
    dims = tuple(f"D{axis}" for axis in range(len(folding.shape)))
    edges = tuple(int(rng.integers(1, size + 1)) for size in folding.shape)
    stored = prod(ceil(p / c) for p, c in zip(folding.matrix_shape, chunks, strict=True))
    for asked in (request_, edges):
        plan = plan_blocks(folding, dims, 4, (chunks[0], chunks[1]), asked, 1000)
        reads = count_chunk_reads(plan, (chunks[0], chunks[1]))
        assert plan.amplification == pytest.approx(reads / stored)


@settings(deadline=None, max_examples=200)
@given(seed=seeds, kind=kinds, other=kinds)
def test_storage_gets_no_more_requests_than_the_plan_says(seed: int, kind: Any, other: Any) -> None:
    rng = np.random.default_rng(seed)
    sides = random_side(rng, kind, max_size=4), random_side(rng, other, max_dims=3, max_size=3)
    folding = folding_of(*sides)
    rows, columns = (int(rng.integers(1, points + 1)) for points in folding.matrix_shape)
    dims = tuple(f"D{axis}" for axis in range(len(folding.shape)))
    edges = tuple(int(rng.integers(1, size + 1)) for size in folding.shape)
    plan = plan_blocks(folding, dims, 4, (rows, columns), edges, stored=1000)
    reads = count_chunk_reads(plan, (rows, columns))
    assert reads <= plan.requests <= reads + 1
    assert plan.disk_bytes == round(1000 * plan.amplification)


@pytest.mark.parametrize(
    ("spectrum", "request_", "amplification"),
    [
        ((1000,), (10, 1000), 1),
        ((1000,), (10, 500), 2),  # gaps of 4 kB are read over
        ((1000,), (10, 250), 4),
        ((100_000,), (10, 50_000), 1),  # gaps of 400 kB are not
        ((10, 100), (10, 5, 50), 4),
    ],
)
def test_short_gaps_in_contiguous_rows_are_read_with_each_block(
    spectrum: tuple[int, ...], request_: Any, amplification: int
) -> None:
    plan = plan_of((100,), spectrum, 8, None, request_)
    assert plan.amplification == amplification


def test_the_amplification_of_a_side_without_an_axis_counts_its_one_point() -> None:
    position, spectroscopic = folding_of(grid_side((4, 5)), placeholder_side())
    folding = Folding(position, spectroscopic.placeholder())
    plan = plan_blocks(folding, ("Y", "X"), 4, (10, 1), (1, 5))
    assert plan.blocks == ((1, 1, 1, 1), (5,))
    assert plan.amplification == pytest.approx(count_chunk_reads(plan, (10, 1)) / 2) == 2.0


def test_rows_that_are_masked_are_not_read() -> None:
    position, spectroscopic = folding_of(grid_side((4, 5)), grid_side((3,)))
    folding = Folding(position.masked(np.arange(20) < 5), spectroscopic)
    plan = plan_blocks(folding, ("Y", "X", "B"), 4, (5, 3), (1, 5, 3))
    assert plan.amplification == 0.25


boxes = st.lists(st.integers(1, 2000), min_size=1, max_size=3).map(tuple)


@settings(deadline=None, max_examples=200)
@given(
    position=boxes,
    spectroscopic=boxes,
    itemsize=st.sampled_from([1, 2, 4, 8, 16]),
    rows=st.integers(1, 10**6),
    columns=st.integers(1, 10**6),
    chunked=st.booleans(),
)
def test_blocks_are_few_and_stay_within_16_times_the_budget_or_the_chunk(
    position: tuple[int, ...],
    spectroscopic: tuple[int, ...],
    itemsize: int,
    rows: int,
    columns: int,
    chunked: bool,
) -> None:
    rows, columns = min(rows, prod(position)), min(columns, prod(spectroscopic))
    plan = plan_of(position, spectroscopic, itemsize, (rows, columns) if chunked else None)
    chunk = rows * columns * itemsize if chunked else 1
    assert plan.tasks <= MAX_TASKS
    assert plan.block_bytes <= 16 * max(DEFAULT_BYTES, plan.nbytes // MAX_TASKS, chunk)


@pytest.mark.parametrize("chunks", [None, (1, 1000), (1000, 1000), (10**6, 1), (64, 64)], ids=repr)
@pytest.mark.parametrize("request_", ["spectra", "images"])
def test_spectra_and_images_of_8_gb_stay_within_16_times_the_budget(
    request_: str, chunks: tuple[int, int] | None
) -> None:
    """One image is 8 MB and one spectrum 8 kB; however much is read twice, memory is not all."""
    plan = plan_of((1000, 1000), (1000,), 8, chunks, request_)
    chunk = 8 * prod(chunks or (1,))
    assert plan.block_bytes <= 16 * max(DEFAULT_BYTES, chunk)


@pytest.mark.parametrize("chunks", [(1000, 1000), (100, 1000), None], ids=repr)
@pytest.mark.parametrize("scan", ["serpentine", "interleaved", "shuffled"])
def test_blocks_of_scans_that_are_no_raster_stay_within_16_times_the_budget(
    scan: str, chunks: tuple[int, int] | None
) -> None:
    """However much is read twice: a terabyte file never has to fit in memory."""
    position = find_grid(index_table(grid_side((300, 300), scan=scan)))
    folding = Folding(position, raster((1000,)))
    plan = plan_blocks(folding, ("Y", "X", "Bias"), 8, chunks)
    assert plan.nbytes > 40 * DEFAULT_BYTES
    assert plan.block_bytes <= 16 * DEFAULT_BYTES


def test_a_serpentine_costs_no_more_than_a_raster() -> None:
    position = find_grid(index_table(grid_side((300, 300), scan="serpentine")))
    folding = Folding(position, EXAMPLE.spectroscopic)
    plan = plan_blocks(folding, EXAMPLE_DIMS, 4, EXAMPLE_CHUNKS)
    assert plan.blocks == plan_example("auto").blocks
    assert plan.amplification == 1.0


@pytest.mark.parametrize("scan", ["serpentine", "shuffled"])
def test_a_million_points_that_are_no_raster_are_planned_in_seconds(scan: str) -> None:
    position = find_grid(index_table(grid_side((1000, 1000), scan=scan)))
    start = time.process_time()
    plan_blocks(Folding(position, raster((64,))), ("Y", "X", "Bias"), 4, (1000, 64))
    assert time.process_time() - start < 5


@pytest.mark.parametrize("request_", ["auto", "spectra", "images", {"a": 2}, (-1, -1, -1)])
@pytest.mark.parametrize("chunks", [None, (2, 2)])
@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_arrays_without_elements_have_a_plan_all_the_same(
    shape: tuple[int, ...], chunks: tuple[int, int] | None, request_: Any
) -> None:
    plan = plan_of(shape[:2], shape[2:], 4, chunks, request_)
    assert tuple(map(sum, plan.blocks)) == shape
    assert plan.nbytes == plan.block_bytes == 0
    assert plan.tasks >= 1
    assert plan.amplification >= 0
    assert "0 B" in repr(plan)


def test_blocks_of_an_array_without_elements_can_be_asked_for_again() -> None:
    plan = plan_of((0, 3), (4,), 4, None)
    assert plan.blocks == ((0,), (3,), (4,))
    assert plan_of((0, 3), (4,), 4, None, plan.blocks).blocks == plan.blocks


# ---------------------------------------------------------------------------- words


def test_the_plan_says_what_it_will_do() -> None:
    plan = plan_example((10, 300, 5, 64), stored=50 << 20, engine="raw chunks")
    assert repr(plan).splitlines() == [
        "storage        90,000 x 320, chunks of 1,000 x 32",
        "blocks         Y 300 / 10, X 300 / 300, Cycle 5 / 5, Bias 64 / 64",
        "block          3.7 MiB",
        "tasks          30 for 109.9 MiB",
        "disk           50.0 MiB by raw chunks, at most 900 requests",
        "amplification  1.00",
    ]
    assert "90,000 x 320, contiguous" in repr(plan_blocks(EXAMPLE, EXAMPLE_DIMS, 4, None))


def test_a_plan_that_reads_much_twice_says_what_would_help() -> None:
    little, much = plan_example((4, 300, 5, 64)), plan_example((1, 30, 5, 64))
    assert 1 < little.amplification < 4 < much.amplification
    assert "raster order" not in repr(little)
    assert "raster order, or other chunks" in repr(much)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1 << 20, "1.0 MiB"),
        (3 << 29, "1.5 GiB"),
        (1 << 40, "1.0 TiB"),
        (1 << 50, "1.0 PiB"),
        (1 << 60, "1024.0 PiB"),
    ],
)
def test_bytes_are_said_for_people(count: int, words: str) -> None:
    assert format_bytes(count) == words


@given(st.integers(1, 1 << 62))
def test_bytes_in_words_are_right_to_their_last_digit(count: int) -> None:
    number, unit = format_bytes(count).split()
    assert re.fullmatch(r"\d+(\.\d)?", number)
    scale = 1024 ** ("BKMGTP".index(unit[0]))
    assert abs(float(number) * scale - count) <= 0.051 * scale


# ---------------------------------------------------------------------------- any source


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(0, 60), min_size=1, max_size=3).map(tuple),
    units=st.lists(st.integers(1, 20), min_size=3, max_size=3),
    chunked=st.booleans(),
    max_bytes=st.integers(1, 100_000),
)
def test_blocks_of_any_source_are_whole_chunks_within_the_budget(
    shape: tuple[int, ...], units: list[int], chunked: bool, max_bytes: int
) -> None:
    chunks = tuple(units[: len(shape)]) if chunked else None
    source = MemorySource(np.zeros(shape, "f4"), chunks=chunks)
    blocks = plan_source(source, max_bytes)
    assert tuple(map(sum, blocks)) == shape
    edges = chunks or (1,) * len(shape)
    for sizes_, edge in zip(blocks, edges, strict=True):
        assert all(size % edge == 0 for size in sizes_[:-1])
    smallest = 4 * prod(min(edge, size) for edge, size in zip(edges, shape, strict=True))
    largest = 4 * prod(max(sizes_) for sizes_ in blocks)
    assert largest <= max(max_bytes, smallest)
