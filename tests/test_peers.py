"""What today's readers get wrong, and ours must not; one test for each line of peers.md on reading.

The names begin with the line's number there (S silent wrong data, L load failures, R resources).
"""

import inspect
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import dask.array as da
import h5py
import numpy as np
import pytest
from distributed import Client, LocalCluster
from numpy.testing import assert_allclose, assert_array_equal

import lazyusid
from lazyusid import NotMainError
from lazyusid.hdf5.handles import lent_count
from tests.builders import (
    PERMUTED,
    TABLES,
    Side,
    dependent_values,
    example_4d,
    fixed_text,
    grid_side,
    placeholder_side,
    scattered_side,
    take_points,
    write_results,
    write_usid,
)
from tests.opening import (
    LINES,
    NUMBERS,
    SPECTRUM,
    assert_small,
    count_reads,
    found,
    open_quietly,
    open_with,
    write_small,
)
from tests.oracle import fold

CHANNEL = "/Measurement_000/Channel_000"
MAIN = f"{CHANNEL}/Raw_Data"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.h5"


def open_one(path: Path, matrix: Any, position: Side, steps: Side, **options: Any):
    """Write a Main and open it."""
    write_usid(path, matrix, position, steps, **options)
    return open_with(path).main


# ---------------------------------------------------------------------------- silent wrong data


@pytest.mark.parametrize("order", ["slowest_first", "fastest_first"])
@pytest.mark.parametrize("scan", PERMUTED)
def test_s1_scans_that_are_no_raster_are_placed_by_their_indices(
    path: Path, scan: str, order: str
) -> None:
    side = grid_side((64, 64), ["Y", "X"], scan=scan, order=order)
    image = np.arange(4096.0).reshape(64, 64)
    columns = [side.labels.index(name) for name in ("Y", "X")]
    matrix = image[tuple(side.indices[:, columns].T)][:, np.newaxis]
    main = open_one(path, matrix, side, placeholder_side())
    # a shuffled table does not tell which dimension is the slower one
    expected = image if main.dims == ("Y", "X") else image.T
    assert {*main.dims} == {"Y", "X"}
    assert scan == "shuffled" or main.dims == ("Y", "X")
    assert_array_equal(main.read(), expected)
    assert_array_equal(main.data.compute(), expected)


def test_s1_steps_that_are_no_raster_are_placed_by_their_indices(path: Path) -> None:
    steps = grid_side((4, 16), ["Cycle", "Bias"], scan="serpentine")
    matrix = np.arange(128).reshape(2, 64)
    main = open_one(path, matrix, grid_side((2,), ["X"]), steps)
    assert_array_equal(main.read()[:, 1::2, ::-1], matrix.reshape(2, 4, 16)[:, 1::2])
    assert_array_equal(main.read()[:, ::2], matrix.reshape(2, 4, 16)[:, ::2])


def test_s2_a_descending_axis_that_is_not_uniform_keeps_its_values(path: Path) -> None:
    energy = 1239.84 / np.linspace(400, 900, 51)
    steps = grid_side((51,), ["Energy"], ["eV"], [energy])
    main = open_one(path, np.zeros((2, 51)), grid_side((2,), ["X"]), steps)
    axis = main.dimensions[1]
    assert (axis.uniform, axis.line) == (False, None)
    assert_allclose(axis.values[[0, -1]], [3.0996, 1.3776], rtol=1e-6)
    assert_array_equal(main.coords["Energy"], energy.astype("f4"))


def test_s3_a_uniform_axis_has_its_mean_step(path: Path) -> None:
    exact = np.linspace(100.0, 101.0, 4096)
    steps = grid_side((4096,), ["V"], ["V"], [exact])
    axis = open_one(path, np.zeros((1, 4096), "u1"), placeholder_side(), steps).dimensions[1]
    assert axis.uniform
    offset, scale = axis.line
    drift = np.abs(offset + scale * np.arange(4096) - exact).max() / (1 / 4095)
    assert drift < 0.02  # in pixels; the largest step drifts by more than one


def test_s4_a_square_spectroscopic_table_is_not_turned(path: Path) -> None:
    steps = grid_side((1, 1, 3), ["A", "B", "C"], values=[[7], [8], [1, 2, 4]])
    assert steps.indices.shape == (3, 3)
    main = open_one(path, np.arange(6).reshape(2, 3), grid_side((2,), ["X"]), steps)
    assert main.shape == (2, 1, 1, 3)
    assert main.coords["C"].tolist() == [1, 2, 4]
    assert (main.coords["A"].tolist(), main.coords["B"].tolist()) == ([7], [8])
    assert_array_equal(main.read().reshape(2, 3), np.arange(6).reshape(2, 3))


def test_s4_a_square_position_table_is_not_turned(path: Path) -> None:
    side = grid_side((2, 1), ["Y", "X"], values=[(5, 6), [7]])
    assert side.indices.shape == (2, 2)
    main = open_one(path, np.arange(4).reshape(2, 2), side, SPECTRUM)
    assert main.coords["Y"].tolist() == [5, 6]
    assert main.coords["X"].tolist() == [7]
    assert sorted(main.shape) == [1, 2, 2]
    assert_array_equal(main.read().reshape(2, 2), np.arange(4).reshape(2, 2))


def test_s5_values_that_are_not_uniform_are_kept(path: Path) -> None:
    values = [0, 1, 1, 0.5, -3]
    steps = grid_side((5,), ["Z"], ["m"], [values])
    main = open_one(path, np.zeros((2, 5)), grid_side((2,), ["X"]), steps)
    assert main.coords["Z"].tolist() == values
    assert not main.dimensions[1].uniform


def test_s6_values_that_depend_on_another_dimension_are_all_kept(path: Path) -> None:
    bias = dependent_values((3, 4), axis=1, on=[0], base=[-1, 0, 1, 2])
    steps = grid_side((3, 4), ["Cycle", "Bias"], ["", "V"], [range(3), bias], "fastest_first")
    drift = dependent_values((2, 5), axis=1, on=[0], base=np.arange(5.0))
    side = grid_side((2, 5), ["Y", "X"], ["nm", "nm"], [range(2), drift])
    main = open_one(path, np.zeros((10, 12)), side, steps)
    assert main.coord_dims["Bias"] == ("Cycle", "Bias")
    assert main.coord_dims["X"] == ("Y", "X")
    assert_array_equal(main.coords["Bias"], bias)
    assert_array_equal(main.coords["X"], drift)
    assert main.shape == (2, 5, 3, 4)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_s8_unsigned_values_may_descend(path: Path, dtype: str) -> None:
    steps = grid_side((5,), ["V"], values=[[40, 30, 20, 10, 0]])
    main = open_one(path, np.zeros((2, 5)), grid_side((2,), ["X"]), steps, value_dtype=dtype)
    assert main.tables["Spectroscopic_Values"].dtype == dtype
    assert_allclose(main.dimensions[1].line, (40, -10))
    assert main.coords["V"].tolist() == [40, 30, 20, 10, 0]


def test_s8_unsigned_indices_may_descend(path: Path) -> None:
    side = grid_side((300,), ["X"], scan="reversed")
    main = open_one(path, np.arange(300)[:, None], side, placeholder_side(), index_dtype="u2")
    assert_array_equal(main.read(), np.arange(300)[::-1])


@pytest.mark.parametrize("units", ["A/(m^2)", "a. u.", "(", "", "1/(s) (approx)"])
def test_s9_quantity_and_units_are_two_things(path: Path, units: str) -> None:
    main = open_one(
        path, np.zeros((6, 2)), LINES, SPECTRUM, quantity="Current (forward)", units=units
    )
    assert (main.quantity, main.units) == ("Current (forward)", units)


def test_s10_every_dimension_knows_its_side(path: Path) -> None:
    example_4d(path)
    assert [dimension.kind for dimension in open_with(path).main.dimensions] == [
        "position",
        "position",
        "spectroscopic",
        "spectroscopic",
    ]


Spoil = Callable[[h5py.File], None]


def one_element_texts(file: h5py.File) -> None:
    file["Bad/Raw_Data"].attrs.update({"quantity": fixed_text(["Current"]), "units": ["nA"]})


def scalar_labels(file: h5py.File) -> None:
    for what in ("Indices", "Values"):
        file[f"Bad/Spectroscopic_{what}"].attrs["labels"] = "Bias"


def units_that_differ(file: h5py.File) -> None:
    file["Bad/Position_Values"].attrs["units"] = fixed_text(["m", "m"])


def latin1_labels(file: h5py.File) -> None:
    for what in ("Indices", "Values"):
        labels = np.array(["Höhe".encode("latin-1"), b"X"])
        file[f"Bad/Position_{what}"].attrs["labels"] = labels


S11 = {
    one_element_texts: ("quantity-kind", "units-kind"),
    scalar_labels: ("labels-kind",),
    units_that_differ: ("units-differ",),
    latin1_labels: (),
}


def write_good_and_bad(path: Path, spoil: Spoil) -> None:
    write_small(path, "/Good")
    write_small(path, "/Bad", mode="a")
    with h5py.File(path, "r+") as file:
        spoil(file)


@pytest.mark.parametrize("spoil", S11)
def test_s11_mains_that_others_lose_are_read(path: Path, spoil: Spoil) -> None:
    write_good_and_bad(path, spoil)
    file = open_with(path, *S11[spoil])
    assert {*found(file)} == {("/Bad/Raw_Data", rule, "warning") for rule in S11[spoil]}
    bad = file["/Bad/Raw_Data"]
    assert_array_equal(bad.read(), NUMBERS)
    assert (bad.quantity, bad.units) == ("Current", "nA")
    assert bad.dims == (("Höhe", "X", "Bias") if spoil is latin1_labels else ("Y", "X", "Bias"))


def test_s11_a_dangling_reference_is_a_finding(path: Path) -> None:
    def spoil(file: h5py.File) -> None:
        del file["Bad/Position_Values"]

    write_good_and_bad(path, spoil)
    file = open_with(path, "reference-dangling")
    assert found(file) == [("/Bad/Raw_Data", "reference-dangling", "error")]
    assert list(file) == ["/Good/Raw_Data"]


# ---------------------------------------------------------------------------- load failures


def missing_labels(file: h5py.File) -> None:
    for name in TABLES:
        del file["Bad"][name].attrs["labels"]


def a_reference_to_a_group(file: h5py.File) -> None:
    file["Bad/Raw_Data"].attrs["Position_Indices"] = file["Bad"].ref


def a_table_of_one_axis(file: h5py.File) -> None:
    for what in ("Indices", "Values"):
        del file[f"Bad/Spectroscopic_{what}"]
        file[f"Bad/Spectroscopic_{what}"] = np.arange(2)
        reference = file[f"Bad/Spectroscopic_{what}"].ref
        file["Bad/Raw_Data"].attrs[f"Spectroscopic_{what}"] = reference


def empty_units(file: h5py.File) -> None:
    file["Bad/Raw_Data"].attrs["units"] = h5py.Empty("f4")


def empty_labels(file: h5py.File) -> None:
    file["Bad/Position_Indices"].attrs["labels"] = h5py.Empty("S1")


def empty_reference(file: h5py.File) -> None:
    file["Bad/Raw_Data"].attrs["Position_Values"] = h5py.Empty("f4")


def a_completed_positions_group(file: h5py.File) -> None:
    file["Bad"].create_group("completed_positions")


@pytest.mark.parametrize(
    "spoil",
    [
        missing_labels,
        a_reference_to_a_group,
        a_table_of_one_axis,
        empty_units,
        empty_labels,
        empty_reference,
        a_completed_positions_group,
    ],
)
def test_l1_one_bad_main_costs_no_other(path: Path, spoil: Spoil) -> None:
    write_good_and_bad(path, spoil)
    file = open_quietly(path)
    assert_small(file["/Good/Raw_Data"])
    assert {where for where, _, _ in found(file)} == {"/Bad/Raw_Data"}


BAD_SIDES = {
    "an aborted scan": grid_side((5, 7), ["Y", "X"], keep=31),
    "sparse data": scattered_side(31, 2, np.random.default_rng(0), False),
    "repeated points": take_points(grid_side((5, 6), ["Y", "X"]), [*range(30), 3]),
}


@pytest.mark.parametrize("kind", BAD_SIDES)
def test_l1_l2_what_has_no_full_grid_is_read(path: Path, kind: str) -> None:
    side = BAD_SIDES[kind]
    matrix = np.arange(62).reshape(31, 2)
    write_small(path, "/Good")
    write_usid(path, matrix, side, SPECTRUM, group="/Bad", mode="a")
    file = open_with(path)
    expected, dims, *_ = fold(matrix, side, SPECTRUM)
    assert_small(file["/Good/Raw_Data"])
    assert file["/Bad/Raw_Data"].dims == dims
    assert_array_equal(file["/Bad/Raw_Data"].read(), expected)
    assert_array_equal(file["/Bad/Raw_Data"].data.compute(), expected)


@pytest.mark.parametrize("labels", [("X", "X", "Bias"), ("Y", "Bias", "Bias"), ("A", "A", "A")])
def test_l3_a_dimension_name_used_twice_is_made_unique(
    path: Path, labels: tuple[str, str, str]
) -> None:
    side, steps = grid_side((2, 3), labels[:2]), grid_side((2,), labels[2:])
    write_usid(path, NUMBERS.reshape(6, 2), side, steps)
    main = open_with(path, "labels-unique").main
    assert len({*main.dims}) == 3
    assert list(main.coords) == list(main.dims)
    assert_array_equal(main.read(), NUMBERS)


def test_l4_one_position_with_two_dimensions_is_read(path: Path) -> None:
    main = open_one(path, np.arange(2)[None], grid_side((1, 1), ["Y", "X"]), SPECTRUM)
    assert ({*main.dims}, main.shape) == ({"Y", "X", "Bias"}, (1, 1, 2))
    assert main.read().tolist() == [[[0, 1]]]


def test_l5_dimensions_of_size_one_are_kept(path: Path) -> None:
    steps = grid_side((2, 1), ["Bias", "Field"], values=[(0, 1), [3]])
    main = open_one(path, np.arange(4).reshape(2, 2), grid_side((2,), ["X"]), steps)
    assert dict(zip(main.dims, main.shape, strict=True)) == {"X": 2, "Bias": 2, "Field": 1}
    assert main.coords["Field"].tolist() == [3]


def test_l5_a_one_by_one_main_has_an_axis(path: Path) -> None:
    main = open_one(path, [[5.0]], placeholder_side("P"), placeholder_side("S"))
    assert (main.dims, main.read().tolist()) == (("S",), [5])


def test_l6_l7_metadata_of_every_place_is_read(path: Path) -> None:
    source, _ = example_4d(path)
    fit = write_results(
        path, source, matrix=np.zeros((42, 1)), spectroscopic=placeholder_side(), attrs={"bins": 7}
    )
    main = open_with(path)[fit]
    group = f"{CHANNEL}/Raw_Data-SHO_Fit_000"
    assert list(main.metadata) == ["/", "/Measurement_000", CHANNEL, group]
    assert main.metadata["/"]["sample_name"] == "PZT thin film"
    assert main.metadata["/Measurement_000"]["VS_mode"] == "DC modulation mode"
    assert main.metadata[CHANNEL]["channel_type"] == "BE"
    assert main.metadata[group]["num_source_dsets"] == 1
    assert main.attrs["bins"] == 7
    assert (main.tool, main.source.path) == ("SHO_Fit", source)
    assert main.params["IO_rate_[Hz]"] == 4000000


def test_l8_a_pathlib_path_is_taken(path: Path) -> None:
    write_small(path)
    assert isinstance(path, Path)
    assert_small(open_with(path).main)


@pytest.mark.parametrize("rows", [0, 6])
def test_l9_an_empty_main_costs_no_other(path: Path, rows: int) -> None:
    none = take_points(grid_side((2,), ["Z"]), np.zeros(0, int))
    position = take_points(LINES, np.arange(rows))
    steps = SPECTRUM if rows == 0 else none
    write_small(path, "/Good")
    write_usid(path, np.zeros((rows, steps.points)), position, steps, group="/Empty", mode="a")
    file = open_quietly(path)
    assert_small(file["/Good/Raw_Data"])
    empty = file["/Empty/Raw_Data"]
    assert empty.data.size == 0
    assert empty.data.compute().shape == empty.read().shape == empty.shape
    assert empty.matrix.compute().shape == (rows, steps.points)
    assert repr(empty)
    assert repr(empty.plan)
    assert empty.data.sum().compute() == 0


@pytest.mark.parametrize("order", ["slowest_first", "fastest_first"])
def test_l10_axes_run_slowest_first_whatever_the_files_order(path: Path, order: str) -> None:
    side = grid_side((4, 3), ["Y", "X"], values=[range(4), range(3)], order=order)
    steps = grid_side((2, 5), ["Cycle", "Bias"], order=order)
    matrix = np.arange(120).reshape(12, 10)
    main = open_one(path, matrix, side, steps)
    assert main.dims == ("Y", "X", "Cycle", "Bias")
    assert_array_equal(main.read(), matrix.reshape(4, 3, 2, 5))


def test_l11_a_wrong_name_leaves_nothing_open(path: Path) -> None:
    write_small(path)
    file = open_with(path)
    with pytest.raises(NotMainError):
        _ = file["/Measurement_000/Nothing"]
    assert lent_count() == 0
    with h5py.File(path, "r+") as writable:
        writable.attrs["written"] = True


# ---------------------------------------------------------------------------- resources


def test_r1_a_file_can_be_appended_to_while_a_lazy_array_is_alive(path: Path) -> None:
    source = write_small(path)
    lazy = open_with(path).main.data
    for number in range(3):
        write_results(
            path, source, index=number, matrix=np.ones((6, 1)), spectroscopic=placeholder_side()
        )
        assert lazy.sum().compute() == 66
        assert len(open_with(path)) == number + 2


def test_r1_a_failed_load_leaks_no_handle(path: Path) -> None:
    write_good_and_bad(path, a_reference_to_a_group)
    open_quietly(path)
    with pytest.raises(lazyusid.UsidWarning):
        open_as_error(path)
    assert lent_count() == 0
    with h5py.File(path, "r+") as file:
        file.attrs["written"] = True


def open_as_error(path: Path) -> None:
    lazyusid.open(path)  # warnings are errors in these tests


@pytest.mark.parametrize("scan", ["raster", "shuffled", "partial"])
@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_r2_graphs_pickle_and_hold_no_handle(path: Path, pickler: Any, scan: str) -> None:
    side = grid_side((4, 6), ["Y", "X"], scan=scan)
    matrix = np.arange(2.0 * side.points).reshape(-1, 2)
    main = open_one(path, matrix, side, SPECTRUM)
    carried = pickle.loads(pickler.dumps(main.data))
    assert_array_equal(carried.compute(), main.read())
    assert_array_equal(pickle.loads(pickler.dumps(main.matrix)).compute(), matrix)
    assert lent_count() == 0


@pytest.fixture(scope="module")
def workers() -> Iterator[Client]:
    """Two worker processes on this machine."""
    options: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with (
        LocalCluster(**options, dashboard_address=None, host="127.0.0.1") as started,
        Client(started, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def cluster(workers: Client) -> Iterator[Client]:
    """The workers, computing whatever is computed in this test."""
    with workers.as_current():
        yield workers


@pytest.mark.parametrize("scan", ["raster", "shuffled", "partial"])
def test_r2_processes_of_a_cluster_compute(path: Path, cluster: Client, scan: str) -> None:
    side = grid_side((6, 8), ["Y", "X"], scan=scan, order="fastest_first")
    matrix = np.arange(16.0 * side.points).reshape(-1, 16)
    write_usid(path, matrix, side, grid_side((16,), ["Bias"]), chunks=(5, 8), compression="gzip")
    data = open_with(path, chunks=(2, -1, -1)).main.data
    assert data.npartitions >= 3
    assert da.nansum(data).compute() == matrix.sum()
    assert_array_equal(data.compute(), open_with(path).main.read())
    scale = 3
    tripled = data.map_blocks(lambda block: block * scale, dtype=data.dtype)
    assert da.nansum(tripled).compute() == 3 * matrix.sum()
    processes = data.map_blocks(lambda block: block * 0 + os.getpid(), dtype="f8")
    assert os.getpid() not in processes.compute()
    assert lent_count() == 0


def test_r2_a_cluster_computes_while_the_file_is_written(path: Path, cluster: Client) -> None:
    write_small(path)
    lazy = open_with(path).main.data.sum()
    assert lazy.compute() == 66
    with h5py.File(path, "r+") as file:
        file.attrs["written"] = True
    assert lazy.compute() == 66


def test_r2_mains_travel_to_a_cluster(path: Path, cluster: Client) -> None:
    write_small(path)
    main = open_with(path).main
    assert cluster.submit(lambda main: float(main.read().sum()), main).result() == 66
    assert main.coords["X"].tolist() == [1, 2, 4]
    blocks = main.data.map_blocks(lambda block: block * main.coords["X"].max(), dtype="f4")
    assert blocks.sum().compute() == 4 * 66


def test_r3_tables_that_mains_share_are_read_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    position, group = grid_side((128, 128), ["Y", "X"]), "/Measurement_000"
    for number in range(50):
        write_usid(
            path,
            np.zeros((16384, 1), "u1"),
            position,
            placeholder_side(),
            group=f"{group}/Channel_{number:03d}",
            tables_in=group,
            mode="a",
        )
    log = count_reads(monkeypatch)
    file = open_with(path)
    assert len(file) == 50
    read: dict[str, int] = {}
    for name, (rows, columns) in log:
        size = (rows.stop - rows.start) * (columns.stop - columns.start)
        read[name] = read.get(name, 0) + size
    assert {*read} == {f"{group}/{table}" for table in TABLES}
    assert all(size <= 2 * 16384 * 2 for size in read.values()), read


def test_r3_a_long_table_is_read_in_few_and_large_pieces(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = grid_side((1000, 1000), ["Y", "X"])
    write_usid(path, np.zeros((1_000_000, 1), "u1"), side, placeholder_side())
    log = count_reads(monkeypatch)
    main = open_with(path).main
    assert (main.shape, main.layout.position.kind) == ((1000, 1000), "raster")
    assert len(log) < 40
    rows = sum(rows.stop - rows.start for name, (rows, _) in log if name.endswith("on_Indices"))
    assert rows <= 2.5e6


def write_eight_gigabytes(path: Path) -> None:
    """A Main of 100,000 x 10,000 float64 that was never written, so the file is small."""
    write_usid(
        path,
        np.zeros((1, 1)),
        grid_side((10, 100, 100), ["Z", "Y", "X"]),
        grid_side((2, 50, 100), ["A", "B", "C"]),
        value_dtype="f4",
    )
    with h5py.File(path, "r+") as file:
        attrs = dict(file[MAIN].attrs)
        del file[MAIN]
        made = file.create_dataset(MAIN, (100_000, 10_000), "f8", chunks=(64, 64), fillvalue=1)
        made.attrs.update(attrs)


def test_r4_eight_gigabytes_of_small_chunks_are_few_blocks(path: Path) -> None:
    write_eight_gigabytes(path)
    assert path.stat().st_size < 20e6
    main = open_with(path).main
    data = main.data
    assert (data.shape, data.nbytes) == ((10, 100, 100, 2, 50, 100), 8_000_000_000)
    assert data.npartitions == main.plan.tasks <= 10_000
    assert main.plan.amplification < 1.5
    assert main.plan.block_bytes < 100e6
    assert len(data.dask.layers) == 1
    assert not data.dask.layers[data.name].is_materialized()
    assert len(pickle.dumps(data)) < 20_000
    assert main.read((5, 50, 50, 1, 25, 50)) == 1


def test_r4_the_users_chunks_are_taken(path: Path) -> None:
    write_eight_gigabytes(path)
    for chunks, edges in (
        ("spectra", {3: 2, 4: 50, 5: 100}),
        ("images", {0: 10, 1: 100, 2: 100}),
        ({"C": 10}, {5: 10}),
    ):
        blocks = open_with(path, chunks=chunks).main.data.chunksize
        assert {axis: blocks[axis] for axis in edges} == edges


def test_r4_one_spectrum_reads_one_row(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_eight_gigabytes(path)
    main = open_with(path).main
    log = count_reads(monkeypatch)
    for read in (main.read, lambda key: main.data[key].compute()):
        log.clear()
        assert (read((1, 2, 3)) == np.ones((2, 50, 100))).all()
        assert all((name, rows) == (MAIN, np.s_[10_203:10_204]) for name, (rows, _) in log)
        assert sum(columns.stop - columns.start for _, (_, columns) in log) == 10_000
        assert len(log) <= 20


def test_r5_threads_read_at_the_same_time(path: Path) -> None:
    name, expected = example_4d(path)
    main = open_with(path, chunks=(1, -1, -1, -1))[name]
    with dask.config.set(scheduler="threads", num_workers=8):
        for _ in range(5):
            assert_array_equal(main.data.compute(), expected)
    assert "raw chunks" in main.storage.engine
    assert lent_count() == 0


# ---------------------------------------------------------------------------- clusters and lists


def test_clusters_an_array_is_one_layer_that_nothing_has_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example_4d(path)
    file = open_with(path)
    log = count_reads(monkeypatch)
    data = file.main.data
    assert len(data.dask.layers) == 1
    assert not data.dask.layers[data.name].is_materialized()
    assert isinstance(data._meta, np.ndarray)
    data.mean(axis=0)
    data[0].sum()
    assert log == []


def test_clusters_a_reader_beside_a_handle_without_locks_reads(path: Path) -> None:
    write_small(path)
    for locking in (False, True, None):
        with h5py.File(path, "r", locking=locking):
            assert_small(open_with(path).main)


LINES_ON_READING = {
    *("s1", "s2", "s3", "s4", "s5", "s6", "s8", "s9", "s10", "s11"),
    *("l1", "l2", "l3", "l4", "l5", "l6", "l7", "l8", "l9", "l10", "l11"),
    *("r1", "r2", "r3", "r4", "r5", "clusters"),
}


def test_every_line_on_reading_has_a_test() -> None:
    functions = [name for name, thing in globals().items() if inspect.isfunction(thing)]
    words = {word for name in functions if name.startswith("test_") for word in name.split("_")}
    assert words >= LINES_ON_READING
