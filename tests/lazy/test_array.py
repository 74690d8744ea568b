"""The lazy array: one layer that holds no data, and slices that reach the source."""

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import lazyusid
from lazyusid.layout.chunking import DEFAULT_BYTES, Blocks
from lazyusid.layout.dimension import Dimension
from lazyusid.layout.folded import FoldedSource
from lazyusid.layout.folding import Folding
from lazyusid.layout.grid import raster
from lazyusid.layout.sources import MemorySource
from lazyusid.lazy.array import DASK_DEFAULT, Indexable, block_bytes, to_dask
from tests.builders import Side, grid_side, placeholder_side, write_results, write_usid
from tests.sources import CountingSource, folding_of

SHAPE = (6, 8, 4, 20)
BLOCKS = ((2, 2, 2), (8,), (4,), (20,))


def counted(scan: str = "raster", chunks: tuple[int, int] | None = (8, 40)) -> CountingSource:
    """An N-D fold of a counted matrix of 48 x 80; the count is of the matrix."""
    matrix = np.arange(48 * 80, dtype="f4").reshape(48, 80)
    return CountingSource(MemorySource(matrix, f"matrix-{scan}", chunks))


def folded(source: CountingSource, scan: str = "raster") -> FoldedSource:
    return FoldedSource(source, folding_of(grid_side(SHAPE[:2], scan=scan), grid_side(SHAPE[2:])))


def write_4d(path: Path, **options: Any) -> NDArray[np.float32]:
    """Write a Main of shape `SHAPE`; its N-D form."""
    data = np.random.default_rng(0).random(SHAPE).astype("f4")
    position = grid_side(SHAPE[:2], ["Y", "X"])
    spectroscopic = grid_side(SHAPE[2:], ["Cycle", "Bias"])
    write_usid(path, data.reshape(48, 80), position, spectroscopic, **options)
    return data


# ---------------------------------------------------------------------------- the graph


@pytest.mark.parametrize("scan", ["raster", "serpentine", "partial"])
def test_the_graph_is_one_layer_that_is_not_materialised(scan: str) -> None:
    array = to_dask(folded(counted(scan), scan), BLOCKS)
    assert len(array.dask.layers) == 1
    (layer,) = array.dask.layers.values()
    assert not layer.is_materialized()


def test_data_matrix_measured_and_fields_of_a_file_are_one_layer_each(tmp_path: Path) -> None:
    write_usid(
        tmp_path / "a.h5", np.ones((31, 4)), grid_side((5, 7), keep=31), grid_side((4,), ["B"])
    )
    main = lazyusid.open(tmp_path / "a.h5").main
    assert main.measured is not None
    for array in (main.data, main.matrix, main.measured):
        assert len(array.dask.layers) == 1
        (layer,) = array.dask.layers.values()
        assert not layer.is_materialized()


def test_nothing_is_read_before_something_is_computed() -> None:
    source = counted()
    array = to_dask(folded(source), BLOCKS)
    later = array[0].mean() + array.T[3, 2]
    assert later.dtype == np.float32
    assert repr(array)
    assert array._repr_html_()
    assert source.regions == []


def test_the_array_is_what_the_source_says(tmp_path: Path) -> None:
    source = folded(counted())
    array = to_dask(source, BLOCKS)
    assert (array.shape, array.dtype, array.chunks) == (SHAPE, np.dtype("f4"), BLOCKS)
    assert isinstance(array._meta, np.ndarray)
    assert array._meta.shape == (0, 0, 0, 0)
    assert_array_equal(array.compute(), np.arange(48 * 80).reshape(SHAPE))


@pytest.mark.parametrize("dtype", ["?", "u1", ">f4", "c8", "f2", [("A", "f4"), ("n", "i4")]])
def test_any_dtype_computes_as_it_is(dtype: Any) -> None:
    matrix = np.zeros((4, 3), dtype)
    array = to_dask(MemorySource(matrix), ((2, 2), (3,)))
    assert array.dtype == matrix.dtype
    assert array.compute().dtype == matrix.dtype


def test_every_block_reads_its_own_rows_once() -> None:
    source = counted()
    to_dask(folded(source), BLOCKS).compute(scheduler="synchronous")
    assert sorted(region[0].start for region in source.regions) == [0, 16, 32]
    assert source.elements == 48 * 80
    assert max(source.chunk_reads().values()) == 1


def test_two_threads_compute_the_same() -> None:
    array = to_dask(folded(counted("serpentine"), "serpentine"), ((1,) * 6, (8,), (4,), (20,)))
    once = array.compute(scheduler="synchronous")
    assert_array_equal(array.compute(scheduler="threads", num_workers=2), once)


def test_arrays_without_elements_compute() -> None:
    array = to_dask(MemorySource(np.empty((0, 3))), ((0,), (3,)))
    assert array.compute().shape == (0, 3)


# ---------------------------------------------------------------------------- slices


@pytest.mark.parametrize(
    ("key", "elements"),
    [
        ((2, 5, 0, 17), 1),
        ((-1, -1, -1, -1), 1),
        ((2, 5), 80),
        ((..., 17), 48 * 4),
        ((2, ..., 17), 8 * 4),
        ((slice(1, 3), 4), 160),
        ((slice(0, 2), slice(2, 4), 1, slice(3, 6)), 2 * 2 * 3),
        ((0, 0, 0, slice(3, None, 4)), 17),
        ((0, slice(2, 7, 3)), 4 * 80),
        ((slice(3, 3),), 0),
    ],
    ids=repr,
)
def test_a_basic_slice_reads_no_more_than_it_selects(key: Any, elements: int) -> None:
    source = counted(chunks=None)
    array = to_dask(folded(source), BLOCKS)
    found = array[key].compute(scheduler="synchronous")
    assert_array_equal(found, np.arange(48 * 80).reshape(SHAPE)[key])
    assert source.elements == elements


@pytest.mark.parametrize(
    "key",
    [(0, 0, 0, slice(None, None, -1)), (3, slice(7, 2, -2)), (slice(1, None, -1), 4, ..., 2)],
    ids=repr,
)
def test_a_slice_that_steps_back_reads_no_more_than_its_blocks(key: Any) -> None:
    """dask fuses no slice that steps back, so it reaches the source as its block."""
    source = counted(chunks=None)
    array = to_dask(folded(source), BLOCKS)
    found = array[key].compute(scheduler="synchronous")
    assert_array_equal(found, np.arange(48 * 80).reshape(SHAPE)[key])
    assert source.elements <= 2 * 8 * 80


def test_a_slice_of_a_slice_reads_no_more_than_the_first_selects() -> None:
    """dask fuses the first slice of a chain only."""
    source = counted(chunks=None)
    array = to_dask(folded(source), BLOCKS)
    found = array[2, 5][1, 3:9][::2].compute(scheduler="synchronous")
    assert_array_equal(found, np.arange(48 * 80).reshape(SHAPE)[2, 5, 1, 3:9:2])
    assert source.elements <= 80


def test_one_element_of_a_serpentine_scan_is_one_element_read() -> None:
    source = counted("serpentine", chunks=None)
    array = to_dask(folded(source, "serpentine"), BLOCKS)
    assert array[3, 0, 1, 2].compute(scheduler="synchronous") == 31 * 80 + 22
    assert source.elements == 1


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_index_of_the_array_gives_what_numpy_gives(data: st.DataObject) -> None:
    key: tuple[Any, ...] = ()
    for size in SHAPE[: data.draw(st.integers(0, 4))]:
        ends = st.none() | st.integers(-size, size)  # dask errs beyond, stepping back
        steps = st.none() | st.sampled_from([-3, -1, 1, 2])
        key += (data.draw(st.integers(-size, size - 1) | st.builds(slice, ends, ends, steps)),)
    expected = np.arange(48 * 80, dtype="f4").reshape(SHAPE)
    array = to_dask(folded(counted()), BLOCKS)
    assert_array_equal(array[key].compute(scheduler="synchronous"), expected[key], strict=True)


def test_lists_and_masks_select_what_numpy_selects() -> None:
    expected = np.arange(48 * 80, dtype="f4").reshape(SHAPE)
    array = to_dask(folded(counted()), BLOCKS)
    assert_array_equal(array[[4, 0, 4]].compute(), expected[[4, 0, 4]])
    assert_array_equal(array[[]].compute(), expected[[]])
    assert_array_equal(array[3, [2, 0], 1].compute(), expected[3, [2, 0], 1])
    assert_array_equal(array[1:5][:, ::2][[3, 0]].compute(), expected[1:5][:, ::2][[3, 0]])
    mask = np.arange(20) % 3 == 0
    assert_array_equal(array[..., mask].compute(), expected[..., mask])
    assert_array_equal(array[array > 3000].compute(), expected[expected > 3000])


def test_an_array_of_a_file_is_sliced_like_the_fold(tmp_path: Path) -> None:
    data = write_4d(tmp_path / "a.h5", chunks=(8, 40), compression="gzip")
    main = lazyusid.open(tmp_path / "a.h5", chunks={"Y": 1}).main
    for key in [(2, 5, 0, 17), (..., slice(None, None, -3)), (slice(1, 5, 2), -1), (0, ..., 3)]:
        assert_array_equal(main.data[key].compute(), data[key])
        assert_array_equal(main.read(key), data[key])


# ---------------------------------------------------------------------------- names


def name_of(path: Path, **options: Any) -> str:
    return str(lazyusid.open(path, **options).main.data.name)


def test_two_opens_of_a_file_give_the_same_names(tmp_path: Path) -> None:
    write_4d(tmp_path / "a.h5")
    assert name_of(tmp_path / "a.h5") == name_of(tmp_path / "a.h5")
    one, two = (lazyusid.open(tmp_path / "a.h5").main for _ in range(2))
    assert one.matrix.name == two.matrix.name
    assert len((one.data + two.data).dask.layers) == 2  # the array once, and the sum


def test_another_process_gives_the_same_name(tmp_path: Path) -> None:
    write_4d(tmp_path / "a.h5")
    script = f"import lazyusid; print(lazyusid.open({str(tmp_path / 'a.h5')!r}).main.data.name)"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert told.stdout.strip() == name_of(tmp_path / "a.h5")


def test_whatever_changes_the_array_changes_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    position = grid_side((5, 7), ["Y", "X"], keep=31)
    write_usid(path, np.ones((31, 4), "i2"), position, grid_side((4,), ["B"]))
    names = [
        name_of(path, chunks=chunks, fill=fill)
        for chunks in ("auto", {"Y": 2}, {"Y": 3}, (5, 7, 2))
        for fill in (None, 0, 1)
    ]
    main = lazyusid.open(path).main
    assert main.measured is not None
    names += [main.matrix.name, main.measured.name, main.refold(position="points").data.name]
    assert len(set(names)) == len(names)


def test_masking_unfinished_rows_changes_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    source = write_usid(path, np.ones((6, 4)), grid_side((2, 3)), grid_side((4,), ["B"]))
    matrix, done = np.ones((6, 1), "f4"), np.arange(6) < 4
    write_results(path, source, matrix=matrix, spectroscopic=placeholder_side(), completed=done)
    with pytest.warns(lazyusid.UsidWarning, match="4 of 6"):
        masked, bare = (lazyusid.open(path, mask_unfinished=mask)["Fit"] for mask in (True, False))
    assert masked.data.name != bare.data.name
    assert np.count_nonzero(np.isnan(masked.data.compute())) == 2
    assert_array_equal(bare.data.compute(), 1)


def test_a_file_that_was_written_anew_gives_another_name(tmp_path: Path) -> None:
    write_4d(tmp_path / "a.h5")
    before = name_of(tmp_path / "a.h5")
    write_4d(tmp_path / "b.h5")
    os.replace(tmp_path / "b.h5", tmp_path / "a.h5")
    assert name_of(tmp_path / "a.h5") != before


@pytest.mark.parametrize("scan", ["raster", "reversed"])
def test_two_datasets_of_a_file_have_different_names(tmp_path: Path, scan: str) -> None:
    sides = grid_side((3, 4), ["Y", "X"], scan=scan), grid_side((2,), ["B"])
    for channel in range(2):
        write_usid(
            tmp_path / "a.h5",
            np.full((12, 2), channel),
            *sides,
            group=f"/Measurement_000/Channel_00{channel}",
            tables_in="/Measurement_000",
            mode="a",
        )
    one, two = lazyusid.open(tmp_path / "a.h5").values()
    assert one.data.name != two.data.name
    assert (two.data - one.data).sum().compute() == 24


def test_refolds_that_permute_different_sides_do_not_get_each_others_data(tmp_path: Path) -> None:
    matrix = np.arange(16.0).reshape(4, 4)
    turned = grid_side((4,), ["X"], scan="reversed"), grid_side((4,), ["B"], scan="reversed")
    write_usid(tmp_path / "a.h5", matrix, *turned)
    main = lazyusid.open(tmp_path / "a.h5").main
    columns = main.refold(position=[Dimension("X", "", 4)])
    rows = main.refold(spectroscopic=[Dimension("B", "", 4)])
    both = da.stack([columns.data, rows.data]).compute()
    assert_array_equal(both[0], matrix[:, ::-1])
    assert_array_equal(both[1], matrix[::-1])


def test_fields_of_a_compound_share_its_reads(tmp_path: Path) -> None:
    matrix = np.zeros((12, 1), [("Amplitude [V]", "f4"), ("Phase [rad]", "f4")])
    matrix["Phase [rad]"][:, 0] = np.arange(12)
    write_usid(tmp_path / "a.h5", matrix, grid_side((3, 4), ["Y", "X"]), placeholder_side())
    main = lazyusid.open(tmp_path / "a.h5").main
    amplitude, phase = (main.field(name).data for name in main.fields)
    assert amplitude.name != phase.name
    together = amplitude + phase
    assert main.data.name in together.dask.layers
    assert_array_equal(together.compute(), np.arange(12).reshape(3, 4))


# ---------------------------------------------------------------------------- pickles


@pytest.mark.parametrize("module", [pickle, cloudpickle])
@pytest.mark.parametrize("scan", ["raster", "serpentine", "partial"])
def test_a_pickled_array_computes_the_same(tmp_path: Path, module: Any, scan: str) -> None:
    position = grid_side((5, 7), ["Y", "X"], scan=scan)
    matrix = np.random.default_rng(0).random((position.points, 6))
    write_usid(tmp_path / "a.h5", matrix, position, grid_side((6,), ["B"]), chunks=(3, 2))
    main = lazyusid.open(tmp_path / "a.h5").main
    again = pickle.loads(module.dumps(main.data))
    assert again.name == main.data.name
    assert_array_equal(again.compute(), main.read())
    assert len(again.dask.layers) == 1


def write_blocks_100_x_100(path: Path) -> lazyusid.MainDataset:
    write_usid(path, np.zeros((400, 400), "f4"), _line(400, "X"), _line(400, "Bias"))
    return lazyusid.open(path, chunks={"X": 4, "Bias": 4}).main


def _line(size: int, label: str) -> Side:
    return grid_side((size,), [label])


@pytest.mark.parametrize("module", [pickle, cloudpickle])
@pytest.mark.parametrize("used", [False, True])
def test_a_raster_of_10_000_blocks_pickles_below_10_kb(
    tmp_path: Path, module: Any, used: bool
) -> None:
    main = write_blocks_100_x_100(tmp_path / "a.h5")
    assert main.plan.tasks == main.data.npartitions == 10_000
    if used:
        main.data[0].sum().compute()
    assert len(module.dumps(main.data)) < 10_000


@pytest.mark.parametrize("module", [pickle, cloudpickle])
def test_10_000_blocks_along_one_axis_pickle_below_10_kb(tmp_path: Path, module: Any) -> None:
    write_usid(tmp_path / "a.h5", np.ones((10_000, 2), "f4"), _line(10_000, "X"), _line(2, "B"))
    main = lazyusid.open(tmp_path / "a.h5", chunks={"X": 1}).main
    assert main.data.npartitions == 10_000
    parcel = module.dumps(main.data)
    assert len(parcel) < 10_000
    again = pickle.loads(parcel)
    assert again.chunks == main.data.chunks
    assert again[9990:].sum().compute() == 20


@settings(deadline=None, max_examples=60)
@given(
    edges=st.tuples(
        st.lists(st.integers(1, 4), min_size=1, max_size=9).map(tuple),
        st.lists(st.integers(1, 4), min_size=1, max_size=9).map(tuple),
    )
)
def test_blocks_of_any_edges_compute_after_a_pickle(edges: Blocks) -> None:
    matrix = np.random.default_rng(0).random(tuple(map(sum, edges)))
    again = pickle.loads(pickle.dumps(to_dask(MemorySource(matrix), edges)))
    assert again.chunks == edges
    assert_array_equal(again.compute(scheduler="synchronous"), matrix, strict=True)
    assert_array_equal((again + 1)[::2].compute(scheduler="synchronous"), matrix[::2] + 1)


def test_a_task_of_10_000_blocks_carries_no_graph(tmp_path: Path) -> None:
    main = write_blocks_100_x_100(tmp_path / "a.h5")
    assert len(cloudpickle.dumps(main.data[:8, :8].sum())) < 20_000


def test_what_travels_is_an_address_and_no_handle(tmp_path: Path) -> None:
    write_4d(tmp_path / "a.h5")
    array = lazyusid.open(tmp_path / "a.h5").main.data
    parcel = cloudpickle.dumps(array)
    assert b"h5py" not in parcel
    assert str(tmp_path / "a.h5").encode() in parcel


# ---------------------------------------------------------------------------- block sizes


def test_dasks_own_default_is_not_a_users_choice() -> None:
    assert dask.config.get("array.chunk-size") == DASK_DEFAULT
    assert block_bytes() == DEFAULT_BYTES


@pytest.mark.parametrize(
    ("wish", "count"), [("1MiB", 1 << 20), ("300 kB", 300_000), (12345, 12345), ("1GiB", 1 << 30)]
)
def test_a_chunk_size_that_the_user_set_is_honoured(wish: Any, count: int) -> None:
    with dask.config.set({"array.chunk-size": wish}):
        assert block_bytes() == count
    assert block_bytes() == DEFAULT_BYTES


def test_the_users_chunk_size_decides_the_blocks_of_a_file(tmp_path: Path) -> None:
    matrix = np.zeros((1024, 1024))
    write_usid(tmp_path / "a.h5", matrix, grid_side((32, 32), ["Y", "X"]), _line(1024, "Bias"))
    assert lazyusid.open(tmp_path / "a.h5").main.data.npartitions <= 4
    with dask.config.set({"array.chunk-size": "512KiB"}):
        main = lazyusid.open(tmp_path / "a.h5").main
        assert main.data.npartitions >= 8
        assert main.plan.block_bytes <= 1 << 20


@pytest.mark.parametrize("request_", ["auto", "spectra", "images", {"X": 3}, (1, 8, 2, 5)])
def test_the_arrays_blocks_are_the_plans(tmp_path: Path, request_: Any) -> None:
    data = write_4d(tmp_path / "a.h5", chunks=(8, 40))
    main = lazyusid.open(tmp_path / "a.h5", chunks=request_).main
    assert main.data.chunks == main.plan.blocks
    assert main.data.npartitions == main.plan.tasks
    assert_array_equal(main.data.compute(), data)


# ---------------------------------------------------------------------------- the source's face


@settings(deadline=None)
@given(start=st.integers(0, 6), stop=st.integers(0, 6))
def test_an_indexable_is_its_source_under_basic_indexing(start: int, stop: int) -> None:
    array = np.arange(24).reshape(6, 4)
    source = Indexable(MemorySource(array))
    assert (source.shape, source.dtype, source.ndim) == ((6, 4), array.dtype, 2)
    assert_array_equal(source[start:stop, 1], array[start:stop, 1])


def test_sources_that_differ_in_token_dtype_shape_or_blocks_differ_in_name() -> None:
    matrix = np.zeros((4, 4), "f4")
    plain = MemorySource(matrix, "a")
    cut: Blocks = ((2, 2), (4,))
    names = [
        to_dask(source, blocks).name
        for source, blocks in [
            (plain, cut),
            (plain, ((4,), (4,))),
            (replace(plain, token="b"), cut),
            (replace(plain, array=matrix.astype("f8")), cut),
            (replace(plain, array=np.zeros((4, 5), "f4")), ((2, 2), (5,))),
            (FoldedSource(plain, Folding(raster((4,)), raster((4,)))), cut),
        ]
    ]
    assert len(set(names)) == len(names)
    assert to_dask(plain, cut).name == names[0]
