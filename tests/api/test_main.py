"""`MainDataset`: a Main as its users hold it."""

import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import lazyusid
from lazyusid import Dimension, LayoutError
from lazyusid.hdf5.handles import lent_count
from tests.builders import (
    Side,
    example_4d,
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
    open_quietly,
    open_with,
    write_small,
)
from tests.oracle import fold

CHANNEL = "/Measurement_000/Channel_000"
MAIN = f"{CHANNEL}/Raw_Data"
NAN = np.nan


@pytest.fixture
def small(tmp_path: Path) -> lazyusid.MainDataset:
    """The Main of dims Y, X, Bias that holds `NUMBERS`."""
    write_small(path := tmp_path / "scan.h5", attrs={"Bin": 3})
    return open_with(path).main


def write(tmp_path: Path, matrix: Any, position: Side, steps: Side = SPECTRUM, **options: Any):
    path = tmp_path / "scan.h5"
    write_usid(path, matrix, position, steps, **options)
    return path


# ---------------------------------------------------------------------------- what it is


def test_a_main_says_what_it_is(small: lazyusid.MainDataset, tmp_path: Path) -> None:
    assert (small.file, small.path, small.name) == (str(tmp_path / "scan.h5"), MAIN, "Raw_Data")
    assert (small.quantity, small.units) == ("Current", "nA")
    assert (small.dims, small.shape, small.dtype) == (("Y", "X", "Bias"), (2, 3, 2), np.dtype("f4"))
    assert str(small.layout.position).startswith("raster: 2 x 3")
    assert small.storage.layout == "contiguous"
    assert (small.measured, small.complete) == (None, 1.0)


def test_dimensions_are_what_write_will_take_back(small: lazyusid.MainDataset) -> None:
    y, x, bias = small.dimensions
    assert (y.name, y.units, y.values.tolist(), y.kind) == ("Y", "nm", [0, 10], "position")
    assert (x.name, x.units, x.values.tolist(), x.uniform) == ("X", "um", [1, 2, 4], False)
    assert (bias.name, bias.units, bias.kind) == ("Bias", "V", "spectroscopic")


def test_coordinates_have_values_dims_and_units(small: lazyusid.MainDataset) -> None:
    assert {name: values.tolist() for name, values in small.coords.items()} == {
        "Y": [0, 10],
        "X": [1, 2, 4],
        "Bias": [-1, 1],
    }
    assert small.coord_dims == {"Y": ("Y",), "X": ("X",), "Bias": ("Bias",)}
    assert small.coord_units == {"Y": "nm", "X": "um", "Bias": "V"}
    assert all(values.dtype == np.float64 for values in small.coords.values())


@pytest.mark.parametrize("what", ["coords", "coord_dims", "attrs", "metadata", "params", "tables"])
def test_changing_what_a_main_gave_changes_no_main(small: lazyusid.MainDataset, what: str) -> None:
    before = dict(getattr(small, what))
    with suppress(TypeError):
        getattr(small, what)["x"] = 1
    assert dict(getattr(small, what)).keys() == before.keys()


def test_coordinates_are_read_only(small: lazyusid.MainDataset) -> None:
    for values in small.coords.values():
        assert not values.flags.writeable


def test_the_repr_says_what_a_person_wants_to_know(small: lazyusid.MainDataset) -> None:
    told = repr(small)
    for word in (MAIN, "Current", "nA", "float32", "contiguous"):
        assert word in told
    for axis in ("Y  ", "X  ", "Bias", "0 .. 10 nm", "1 .. 4 um", "not uniform"):
        assert axis in told
    assert len(told.splitlines()) < 12


def test_the_plan_prints_blocks_and_costs(tmp_path: Path) -> None:
    example_4d(path := tmp_path / "scan.h5")
    plan = open_with(path, chunks=(2, -1, -1, -1)).main.plan
    assert plan.tasks == 3
    for word in ("42 x 32", "7 x 32", "Y 6 / 2", "X 7 / 7", "amplification  1.00"):
        assert word in repr(plan)


# ---------------------------------------------------------------------------- data


def test_data_matrix_and_read_agree(tmp_path: Path) -> None:
    name, expected = example_4d(path := tmp_path / "scan.h5")
    main = open_with(path)[name]
    for whole in (main.data.compute(), main.read()):
        assert whole.dtype == expected.dtype
        assert_array_equal(whole, expected)
    assert_array_equal(main.matrix.compute(), expected.reshape(42, 32))
    for key in (
        np.s_[2, 5, 0, 7],
        np.s_[1:3, ..., ::4],
        np.s_[-1],
        np.s_[..., -1],
        np.s_[4:1:-1, 0, :, 3],
        np.s_[0:0],
    ):
        assert_array_equal(main.read(key), expected[key])
        assert_array_equal(main.data[key].compute(), expected[key])


@pytest.mark.parametrize("key", [6, (0, 0, 0, 0, 0), (..., ...), (0, 7), -7])
def test_an_index_beyond_the_data_is_an_index_error(tmp_path: Path, key: Any) -> None:
    example_4d(path := tmp_path / "scan.h5")
    with pytest.raises(IndexError):
        open_with(path).main.read(key)


def test_what_was_read_may_be_changed(small: lazyusid.MainDataset) -> None:
    whole = small.read()
    whole[:] = -1
    assert_small(small)


def test_data_is_one_layer_with_a_name_that_stays(small: lazyusid.MainDataset) -> None:
    again = open_with(small.file).main
    assert small.data.name == again.data.name
    assert len(small.data.dask.layers) == 1
    assert small.data.name != open_with(small.file, chunks=(1, 1, 1)).main.data.name
    assert small.data.name != small.refold(position="points").data.name
    assert small.data.dtype == small.dtype


def test_a_slice_reads_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example_4d(path := tmp_path / "scan.h5", chunks=None, compression=None)
    main = open_with(path).main
    log = count_reads(monkeypatch)
    main.data[2, 5, 0, 7].compute()
    main.read((2, 5, 0, 7))
    assert log == [(MAIN, np.s_[19:20, 7:8])] * 2


@pytest.mark.parametrize("scan", ["reversed", "serpentine", "interleaved", "shuffled", "swapped"])
def test_a_permuted_scan_is_put_in_order(tmp_path: Path, scan: str) -> None:
    side = grid_side((4, 5), ["Y", "X"], scan=scan, order="fastest_first")
    matrix = np.random.default_rng(1).normal(size=(20, 2))
    path = write(tmp_path, matrix, side, chunks=(3, 1), compression="gzip")
    main = open_with(path, chunks=(2, 3, 1)).main
    expected, dims, *_ = fold(matrix, side, SPECTRUM)
    assert (main.dims, main.layout.position.kind) == (dims, "permuted")
    assert_array_equal(main.data.compute(), expected)
    assert_array_equal(main.read(), expected)
    assert main.measured is None


# ---------------------------------------------------------------------------- missing points

PARTIAL = grid_side((2, 3), ["Y", "X"], scan="partial")


def integers(dtype: str) -> np.ndarray:
    return (np.arange(10) % 2).reshape(5, 2).astype(dtype)


@pytest.mark.parametrize(
    ("stored", "folded"),
    [
        ("?", "f2"),
        ("i1", "f2"),
        ("u1", "f2"),
        ("i2", "f4"),
        ("u2", "f4"),
        ("i4", "f8"),
        ("u4", "f8"),
        ("i8", "f8"),
        ("u8", "f8"),
        ("f2", "f2"),
        ("f4", "f4"),
        ("c8", "c8"),
    ],
)
def test_missing_points_are_nan(tmp_path: Path, stored: str, folded: str) -> None:
    main = open_with(write(tmp_path, integers(stored), PARTIAL)).main
    expected, *_ = fold(integers(stored), PARTIAL, SPECTRUM)
    for whole in (main.read(), main.data.compute()):
        assert whole.dtype == main.dtype == main.data.dtype == np.dtype(folded)
        assert_array_equal(whole, expected)
    assert np.isnan(main.read((1, 2))).all()
    assert main.measured.dtype == bool
    assert_array_equal(main.measured.compute(), np.isfinite(expected))
    assert main.measured.chunks == main.data.chunks
    assert main.layout.position.kind == "partial"
    assert "5 points in a 2 x 3 box, 83 %" in main.layout.position.reason


@pytest.mark.parametrize(("stored", "fill"), [("i2", -1), ("u1", 255), ("?", True), ("f4", 0.0)])
def test_a_fill_value_keeps_the_dtype(tmp_path: Path, stored: str, fill: Any) -> None:
    main = open_with(write(tmp_path, integers(stored), PARTIAL), fill=fill).main
    assert main.dtype == main.data.dtype == np.dtype(stored)
    assert (main.read((1, 2)) == fill).all()
    assert_array_equal(main.read().reshape(6, 2)[:5], integers(stored))
    assert main.measured.compute().sum() == 10


@pytest.mark.parametrize(("stored", "fill"), [("u1", -1), ("u1", 256), ("i2", 0.5), ("i2", NAN)])
def test_a_fill_value_that_the_dtype_cannot_hold_is_refused(
    tmp_path: Path, stored: str, fill: float
) -> None:
    main = open_with(write(tmp_path, integers(stored), PARTIAL), fill=fill).main
    with pytest.raises((LayoutError, ValueError, OverflowError), match=r"fill|bounds|NaN"):
        main.read()


@pytest.mark.parametrize("stored", ["i8", "u8"])
def test_large_integers_beside_missing_points_are_refused(tmp_path: Path, stored: str) -> None:
    matrix = np.zeros((5, 2), stored)
    matrix[3, 1] = 2**53 + 1
    path = write(tmp_path, matrix, PARTIAL)
    main = open_with(path).main
    assert_array_equal(main.read((0, 0)), [0, 0])
    for read in (main.read, main.data.compute):
        with pytest.raises(LayoutError, match=r"2\*\*53.*fill="):
            read()
    kept = open_with(path, fill=0).main
    assert kept.read((1, 0, 1)) == 2**53 + 1
    assert kept.dtype == stored


def test_large_integers_of_a_complete_scan_are_kept(tmp_path: Path) -> None:
    matrix = np.full((6, 2), 2**62 + 1)
    main = open_with(write(tmp_path, matrix, LINES)).main
    assert main.dtype == "i8"
    assert (main.data.compute() == 2**62 + 1).all()


def test_a_complete_scan_keeps_integers_and_ignores_the_fill(tmp_path: Path) -> None:
    matrix = np.arange(12, dtype="u1").reshape(6, 2)
    main = open_with(write(tmp_path, matrix, LINES), fill=7).main
    assert main.dtype == "u1"
    assert_array_equal(main.read().ravel(), np.arange(12))


def test_missing_points_of_a_compound_are_nan_and_zero(tmp_path: Path) -> None:
    dtype = np.dtype([("height", "f4"), ("count", "i4")])
    path = write(tmp_path, np.ones((5, 2), dtype), PARTIAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lazyusid.UsidWarning)
        main = lazyusid.open(path).main
        whole = main.read()
    assert whole.dtype == main.dtype == dtype
    assert np.isnan(whole["height"][1, 2]).all()
    assert whole["count"][1, 2].tolist() == [0, 0]
    assert whole["count"].sum() == 10


def test_zeros_for_missing_points_of_a_compound_warn_at_every_open(tmp_path: Path) -> None:
    path = write(tmp_path, np.ones((5, 2), [("height", "f4"), ("count", "i4")]), PARTIAL)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            main = lazyusid.open(path).main
            main.read()
            main.data.compute()
    assert [warning.category for warning in caught] == [lazyusid.UsidWarning] * 2
    assert all("count" in str(warning.message) for warning in caught)


def test_a_field_that_has_nan_warns_of_no_zeros(tmp_path: Path) -> None:
    path = write(tmp_path, np.ones((5, 2), [("height", "f4"), ("count", "i4")]), PARTIAL)
    field = open_quietly(path).main.field("count")
    assert np.isnan(field.data[1, 2].compute()).all()


def test_both_sides_may_have_missing_points(tmp_path: Path) -> None:
    steps = grid_side((2, 2), ["Cycle", "Bias"], scan="partial")
    matrix = np.arange(15).reshape(5, 3)
    main = open_with(write(tmp_path, matrix, PARTIAL, steps)).main
    expected, *_ = fold(matrix, PARTIAL, steps)
    assert_array_equal(main.read(), expected)
    assert_array_equal(main.measured.compute(), np.isfinite(expected))
    assert main.data.sum().compute() is not None
    assert da.nansum(main.data).compute() == matrix.sum()


# ---------------------------------------------------------------------------- placeholders


def test_an_image_has_no_spectroscopic_axis(tmp_path: Path) -> None:
    main = open_with(write(tmp_path, np.arange(6)[:, None], LINES, placeholder_side())).main
    assert (main.dims, main.shape) == (("Y", "X"), (2, 3))
    assert [dimension.name for dimension in main.dimensions] == ["Y", "X", "arb"]
    assert list(main.coords) == ["Y", "X"]
    assert main.matrix.shape == (6, 1)
    assert_array_equal(main.read(), [[0, 1, 2], [3, 4, 5]])


def test_a_spectrum_has_no_position_axis(tmp_path: Path) -> None:
    main = open_with(write(tmp_path, np.arange(2)[None], placeholder_side("X"))).main
    assert (main.dims, main.shape) == (("Bias",), (2,))
    assert main.read().tolist() == [0, 1]


def test_a_one_by_one_main_keeps_its_spectroscopic_axis(tmp_path: Path) -> None:
    sides = placeholder_side("X", value=5), placeholder_side("Z", "m", value=3)
    main = open_with(write(tmp_path, [[7.0]], *sides)).main
    assert (main.dims, main.shape) == (("Z",), (1,))
    assert main.coords["Z"].tolist() == [3]
    assert main.read().tolist() == main.data.compute().tolist() == [7]
    assert main.matrix.compute().tolist() == [[7]]


def test_a_real_dimension_of_size_one_is_kept(tmp_path: Path) -> None:
    position = grid_side((1, 3), ["Y", "X"])
    steps = grid_side((2, 1), ["Bias", "Field"])
    main = open_with(write(tmp_path, np.arange(6).reshape(3, 2), position, steps)).main
    assert {*main.dims} == {"Y", "X", "Bias", "Field"}
    assert sorted(main.shape) == [1, 1, 2, 3]
    main = open_with(write(tmp_path, np.zeros((1, 2)), grid_side((1, 1), ["Y", "X"]))).main
    assert ({*main.dims}, main.shape) == ({"Y", "X", "Bias"}, (1, 1, 2))


@pytest.mark.parametrize("shape", [(6, 1), (1, 2), (1, 1)])
def test_placeholders_are_kept_on_request(tmp_path: Path, shape: tuple[int, int]) -> None:
    position = LINES if shape[0] == 6 else placeholder_side("P")
    steps = SPECTRUM if shape[1] == 2 else placeholder_side("S")
    path = write(tmp_path, np.arange(shape[0] * shape[1]).reshape(shape), position, steps)
    main = open_with(path, keep_placeholders=True).main
    assert main.dims == (("Y", "X") if shape[0] == 6 else ("P",)) + (
        ("Bias",) if shape[1] == 2 else ("S",)
    )
    assert main.shape == main.data.shape == ((2, 3) if shape[0] == 6 else (1,)) + shape[1:]
    assert list(main.coords) == list(main.dims)
    assert_array_equal(main.read().reshape(shape), main.matrix.compute())


# ---------------------------------------------------------------------------- fold and unfold


@pytest.mark.parametrize("scan", ["raster", "serpentine", "partial"])
def test_fold_and_unfold_are_inverse(tmp_path: Path, scan: str) -> None:
    side = grid_side((2, 3), ["Y", "X"], scan=scan)
    matrix = np.arange(2.0 * side.points).reshape(-1, 2)
    main = open_with(write(tmp_path, matrix, side)).main
    assert_array_equal(main.fold(matrix), main.read())
    assert_array_equal(main.unfold(main.read()), matrix)
    other = -matrix.astype("c8")
    assert main.fold(other).dtype == "c8"
    assert_array_equal(main.unfold(main.fold(other)), other)


def test_unfold_marks_rows_that_have_no_cell(tmp_path: Path) -> None:
    source = write_small(path := tmp_path / "scan.h5")
    done = [1, 1, 1, 1, 0, 1]
    fit = write_results(path, source, matrix=np.ones((6, 1)), spectroscopic=placeholder_side(),
                        completed=done)  # fmt: skip
    main = open_with(path, "unfinished")[fit]
    matrix = main.unfold(np.ones((2, 3)))
    assert_array_equal(matrix[:, 0], [1, 1, 1, 1, NAN, 1])


@pytest.mark.parametrize("shape", [(6, 3), (2, 6), (12,), (2, 3, 2)])
def test_fold_refuses_another_shape(small: lazyusid.MainDataset, shape: tuple[int, ...]) -> None:
    with pytest.raises(LayoutError, match=r"\(6, 2\)"):
        small.fold(np.zeros(shape))


@pytest.mark.parametrize("shape", [(6, 2), (2, 3), (3, 2, 2)])
def test_unfold_refuses_another_shape(small: lazyusid.MainDataset, shape: tuple[int, ...]) -> None:
    with pytest.raises(LayoutError, match=r"\(2, 3, 2\)"):
        small.unfold(np.zeros(shape))


# ---------------------------------------------------------------------------- refold


def test_refold_takes_dimensions_slowest_first(tmp_path: Path) -> None:
    rising = grid_side((12,), ["Step"])
    matrix = np.arange(24).reshape(2, 12)
    main = open_with(write(tmp_path, matrix, grid_side((2,), ["X"]), rising)).main
    assert main.dims == ("X", "Step")
    cycles = [Dimension("Cycle", "", 3), Dimension("Bias", "V", [-1, 0, 1, 2])]
    again = main.refold(spectroscopic=cycles)
    assert (again.dims, again.shape) == (("X", "Cycle", "Bias"), (2, 3, 4))
    assert_array_equal(again.data.compute(), np.arange(24).reshape(2, 3, 4))
    assert again.coords["Bias"].tolist() == [-1, 0, 1, 2]
    assert again.coord_units["Bias"] == "V"
    assert [dimension.kind for dimension in again.dimensions] == [
        "position",
        "spectroscopic",
        "spectroscopic",
    ]
    assert_array_equal(again.unfold(again.read()), matrix)
    assert main.dims == ("X", "Step")
    assert again.path == main.path


def test_refold_touches_no_byte(small: lazyusid.MainDataset) -> None:
    before = Path(small.file).read_bytes()
    small.refold(position="points").data.compute()
    assert Path(small.file).read_bytes() == before


def thin_side() -> Side:
    """A random quarter of a known box, that therefore is scattered."""
    points = np.sort(np.random.default_rng(2).permutation(64)[:16])
    return take_points(grid_side((8, 8), ["Y", "X"]), points)


def test_refold_forces_a_grid(tmp_path: Path) -> None:
    side = thin_side()
    matrix = np.arange(32).reshape(16, 2)
    main = open_with(write(tmp_path, matrix, side)).main
    assert main.dims == ("position", "Bias")
    grid = main.refold(position="grid")
    ranks = [np.unique(column, return_inverse=True) for column in side.indices.T]
    expected = np.full((len(ranks[0][0]), len(ranks[1][0]), 2), NAN)
    expected[ranks[0][1], ranks[1][1]] = matrix
    assert grid.dims == ("Y", "X", "Bias")
    assert_array_equal(grid.read(), expected)
    assert grid.measured.compute().sum() == 32
    assert_array_equal(grid.coords["Y"], ranks[0][0])


def test_refold_forces_a_grid_where_dimensions_are_marked_incomplete(tmp_path: Path) -> None:
    side = grid_side((2, 3), ["Y", "X"], incomplete=["X"])
    main = open_with(write(tmp_path, NUMBERS.reshape(6, 2), side)).main
    assert main.dims == ("position", "Bias")
    assert_array_equal(main.refold(position="grid").read(), NUMBERS)


def test_refold_as_points_keeps_every_column(small: lazyusid.MainDataset) -> None:
    points = small.refold(position="points")
    assert (points.dims, points.shape) == (("position", "Bias"), (6, 2))
    assert points.coords["X"].tolist() == [1, 2, 4, 1, 2, 4]
    assert points.coord_dims["Y"] == ("position",)
    assert points.layout.position.kind == "scattered"
    assert_array_equal(points.read(), NUMBERS.reshape(6, 2))
    both = small.refold(position="points", spectroscopic="points")
    assert both.dims == ("position", "spectroscopic")
    assert_array_equal(both.refold(position="grid", spectroscopic="grid").read(), NUMBERS)


def test_refold_of_nothing_changes_nothing(small: lazyusid.MainDataset) -> None:
    assert_small(small.refold())


def test_refold_keeps_names_unique(small: lazyusid.MainDataset) -> None:
    again = small.refold(position=[Dimension("Bias", "", 2), Dimension("X", "", 3)])
    assert len({*again.dims}) == 3
    assert list(again.coords) == list(again.dims)
    assert again.dims[1] == "X"


def test_refold_masks_unfinished_rows_too(tmp_path: Path) -> None:
    source = write_small(path := tmp_path / "scan.h5")
    fit = write_results(path, source, matrix=np.arange(6.0)[:, None],
                        spectroscopic=placeholder_side(), completed=[1, 1, 1, 1, 0, 0])  # fmt: skip
    main = open_with(path, "unfinished")[fit]
    again = main.refold(position=[Dimension("A", "", 3), Dimension("B", "", 2)])
    assert_array_equal(again.read(), [[0, 1], [2, 3], [NAN, NAN]])


@pytest.mark.parametrize("side", ["position", "spectroscopic"])
def test_refold_refuses_sizes_that_do_not_multiply(small: lazyusid.MainDataset, side: str) -> None:
    with pytest.raises(LayoutError, match="35 points") as refused:
        small.refold(**{side: [Dimension("A", "", 5), Dimension("B", "", 7)]})
    assert side in str(refused.value)
    assert refused.value.path == MAIN


def test_refold_refuses_an_unknown_word(small: lazyusid.MainDataset) -> None:
    with pytest.raises(LayoutError, match="'box'"):
        small.refold(position="box")


def test_refold_refuses_a_grid_where_points_repeat(tmp_path: Path) -> None:
    side = take_points(grid_side((2, 2), ["Y", "X"]), [0, 1, 2, 3, 3])
    main = open_with(write(tmp_path, np.zeros((5, 2)), side)).main
    with pytest.raises(LayoutError, match="1 of 5 points repeat"):
        main.refold(position="grid")


# ---------------------------------------------------------------------------- compounds

COMPOUND = np.dtype([("Amplitude [V]", "f8"), ("Phase (rad)", "f4"), ("Count", "i4")])


def compound(points: int) -> np.ndarray:
    matrix = np.zeros((points, 2), COMPOUND)
    for number, name in enumerate(COMPOUND.names):
        matrix[name] = np.arange(2 * points).reshape(points, 2) + 100 * number
    return matrix


def test_a_compound_main_is_a_structured_array(tmp_path: Path) -> None:
    main = open_with(write(tmp_path, compound(6), LINES)).main
    assert main.fields == COMPOUND.names
    assert main.dtype == main.data.dtype == COMPOUND
    assert_array_equal(main.data.compute(), compound(6).reshape(2, 3, 2))
    assert_array_equal(main.read((0, 0)), compound(6)[0])


def test_fields_are_mains_with_name_and_units_of_their_own(tmp_path: Path) -> None:
    main = open_with(write(tmp_path, compound(6), LINES)).main
    told = [(main.field(name).quantity, main.field(name).units) for name in main.fields]
    assert told == [("Amplitude", "V"), ("Phase", "rad"), ("Count", "")]
    for number, name in enumerate(main.fields):
        field = main.field(name)
        assert isinstance(field, lazyusid.MainDataset)
        assert (field.dims, field.shape, field.dtype) == (main.dims, main.shape, COMPOUND[name])
        expected = np.arange(12).reshape(2, 3, 2) + 100 * number
        for whole in (field.data.compute(), field.read()):
            assert whole.dtype == COMPOUND[name]
            assert_array_equal(whole, expected)
        assert_array_equal(field.matrix.compute(), expected.reshape(6, 2))
        assert field.fields == ()
        assert_array_equal(field.refold(position="points").read(), expected.reshape(6, 2))


def test_an_unknown_field_lists_those_there_are(tmp_path: Path) -> None:
    main = open_with(write(tmp_path, compound(6), LINES)).main
    with pytest.raises(KeyError) as refused:
        main.field("Amplitude")
    assert all(name in str(refused.value) for name in COMPOUND.names)


def test_a_main_that_is_no_compound_has_no_fields(small: lazyusid.MainDataset) -> None:
    assert small.fields == ()
    with pytest.raises(KeyError):
        small.field("height")


def test_fields_that_are_computed_together_share_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, compound(6), LINES)
    main = open_with(path, chunks=(1, -1, -1)).main
    amplitude, phase, count = (main.field(name).data for name in main.fields)
    log = count_reads(monkeypatch)
    found = dask.compute(amplitude, phase, (amplitude * phase).sum())
    assert sorted(log) == [(MAIN, np.s_[0:3, 0:2]), (MAIN, np.s_[3:6, 0:2])]
    assert_array_equal(found[0].ravel(), np.arange(12))
    assert_array_equal(found[1].ravel(), np.arange(12) + 100)
    log.clear()
    dask.compute(count)
    assert len(log) == 2


@pytest.mark.filterwarnings("ignore::lazyusid.UsidWarning")
def test_fields_of_a_partial_scan_are_promoted_like_any_main(tmp_path: Path) -> None:
    main = open_quietly(write(tmp_path, compound(5), PARTIAL)).main
    for name, folded in (("Amplitude [V]", "f8"), ("Phase (rad)", "f4"), ("Count", "f8")):
        field = main.field(name)
        assert field.data.dtype == field.dtype == np.dtype(folded)
        assert np.isnan(field.read((1, 2))).all()
        assert_array_equal(field.data.compute(), field.read())


def test_colours_are_a_compound_of_bytes(tmp_path: Path) -> None:
    matrix = np.zeros((6, 1), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    matrix["G"][:, 0] = range(6)
    main = open_with(write(tmp_path, matrix, LINES, placeholder_side())).main
    assert main.field("G").data.compute().tolist() == [[0, 1, 2], [3, 4, 5]]


# ---------------------------------------------------------------------------- around it


@pytest.fixture
def rich(tmp_path: Path) -> lazyusid.MainDataset:
    """A Main with parameters in every place and datasets around it."""
    name = write_small(path := tmp_path / "scan.h5", attrs={"own": 1, "everywhere": "main"})
    with h5py.File(path, "r+") as file:
        for place, group in {"channel": CHANNEL, "measurement": "/Measurement_000"}.items():
            file[group].attrs.update({"everywhere": place, "groups": place, place: True})
        file.attrs.update({"everywhere": "root", "groups": "root", "root": 1.5})
        file[CHANNEL]["Noise"] = [1.0]
        file["Measurement_000/Noise"] = [2.0]
        file["Measurement_000/Bins"] = np.arange(3)
        file["Far"] = [3.0]
        dset = file[name]
        dset.attrs["Bin_Frequencies"] = file["Measurement_000/Bins"].ref
        dset.attrs["Itself"] = dset.ref
        dset.attrs["A_Group"] = file[CHANNEL].ref
        dset.attrs["Gone"] = h5py.Reference()
        dset.attrs["even_rows"] = dset.regionref[0:6:2, :]
    return open_with(path).main


def test_metadata_is_nested_by_group(rich: lazyusid.MainDataset) -> None:
    assert {path: dict(attrs) for path, attrs in rich.metadata.items()} == {
        "/": {"everywhere": "root", "groups": "root", "root": 1.5},
        "/Measurement_000": {
            "everywhere": "measurement",
            "groups": "measurement",
            "measurement": True,
        },
        CHANNEL: {"everywhere": "channel", "groups": "channel", "channel": True},
    }
    assert list(rich.metadata) == ["/", "/Measurement_000", CHANNEL]


def test_parameters_come_from_the_nearest_place(rich: lazyusid.MainDataset) -> None:
    assert rich.params["everywhere"] == "main"
    assert rich.params["groups"] == "channel"
    assert rich.params["measurement"] is True
    assert (rich.params["root"], rich.params["own"]) == (1.5, 1)
    with pytest.raises(KeyError, match="VS_mode"):
        _ = rich.params["VS_mode"]


def test_parameters_of_a_result_come_from_its_source_last(
    rich: lazyusid.MainDataset, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "other.h5"
    source = write_small(elsewhere, attrs={"own": 1, "mode": "source"})
    write_small(elsewhere, "/Results/Fit_000", mode="a", attrs={"own": 2})
    with h5py.File(elsewhere, "r+") as file:
        group = file["/Results/Fit_000"]
        group.attrs.update({"tool": "Fit", "source_000": file[source].ref})
        file[CHANNEL].attrs["channel"] = "of the source"
    fit = open_with(elsewhere)["/Results/Fit_000/Raw_Data"]
    assert fit.params["own"] == 2
    assert fit.params["mode"] == "source"
    assert fit.params["channel"] == "of the source"


def test_attributes_are_plain(rich: lazyusid.MainDataset) -> None:
    assert (rich.attrs["own"], rich.attrs["quantity"]) == (1, "Current")
    assert rich.attrs["Bin_Frequencies"].path == "/Measurement_000/Bins"


def test_linked_datasets_are_those_that_attributes_point_at(rich: lazyusid.MainDataset) -> None:
    assert {name: dataset.path for name, dataset in rich.linked.items()} == {
        "Bin_Frequencies": "/Measurement_000/Bins",
        "Itself": MAIN,
    }
    assert rich.linked["Bin_Frequencies"].read().tolist() == [0, 1, 2]


def test_region_references_are_rows_and_columns(rich: lazyusid.MainDataset) -> None:
    region = rich.attrs["even_rows"]
    assert region.rows.tolist() == [0, 2, 4]
    assert region.columns.tolist() == [0, 1]
    assert_array_equal(rich.matrix[region.rows].compute(), NUMBERS.reshape(6, 2)[::2])


def test_nearby_datasets_are_those_of_the_nearest_group(rich: lazyusid.MainDataset) -> None:
    assert rich.nearby["Noise"].path == f"{CHANNEL}/Noise"
    assert rich.nearby["Bins"].path == "/Measurement_000/Bins"
    with pytest.raises(KeyError, match="Nothing"):
        _ = rich.nearby["Nothing"]


def test_nearby_datasets_of_a_result_include_its_channels(rich: lazyusid.MainDataset) -> None:
    fit = write_results(rich.file, MAIN, matrix=np.zeros((6, 1)), spectroscopic=placeholder_side())
    with h5py.File(rich.file, "r+") as file:
        file[fit].parent["Own"] = [5]
    nearby = open_with(rich.file)[fit].nearby
    assert nearby["Own"].read().tolist() == [5]
    assert nearby["Noise"].path == f"{CHANNEL}/Noise"
    assert nearby["Spectroscopic_Values"].path.startswith(f"{CHANNEL}/Raw_Data-SHO_Fit_000")


def test_tables_are_given_as_they_lie_in_the_file(tmp_path: Path) -> None:
    side = grid_side((2, 3), ["Y", "X"], scan="serpentine", order="fastest_first")
    steps = grid_side((2, 2), ["Cycle", "Bias"])
    main = open_with(write(tmp_path, np.zeros((6, 4)), side, steps)).main
    assert list(main.tables) == [
        "Position_Indices",
        "Position_Values",
        "Spectroscopic_Indices",
        "Spectroscopic_Values",
    ]
    assert_array_equal(main.tables["Position_Indices"].read(), side.indices)
    assert_array_equal(main.tables["Spectroscopic_Indices"].data.compute(), steps.indices.T)
    assert main.tables["Position_Values"].attrs["labels"] == ["X", "Y"]


def test_h5_lends_the_dataset_and_takes_it_back(small: lazyusid.MainDataset) -> None:
    with small.h5() as dataset:
        assert isinstance(dataset, h5py.Dataset)
        assert (dataset.name, dataset.shape) == (MAIN, (6, 2))
        assert dataset.file[dataset.attrs["Position_Values"]].shape == (6, 2)
        assert lent_count() == 1
        with pytest.raises((OSError, ValueError, RuntimeError)):
            dataset[0, 0] = 1
    assert not dataset
    assert lent_count() == 0


# ---------------------------------------------------------------------------- engines and sparse


def test_scattered_points_have_their_columns_as_coordinates(tmp_path: Path) -> None:
    side = scattered_side(5, 2, np.random.default_rng(3), False, ["X", "Y"], ["nm", "um"])
    matrix = np.arange(10).reshape(5, 2)
    main = open_with(write(tmp_path, matrix, side)).main
    assert (main.dims, main.shape) == (("position", "Bias"), (5, 2))
    assert main.coord_dims == {"X": ("position",), "Y": ("position",), "Bias": ("Bias",)}
    assert_array_equal(main.coords["Y"], side.values[:, 1])
    assert main.coord_units["Y"] == "um"
    assert main.dimensions[0].values.tolist() == [0, 1, 2, 3, 4]
    assert main.layout.position.reason
    assert_array_equal(main.data.compute(), matrix)


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u8", "f2", "f4", "f8", ">f4", ">i2", "c8", "c16", "f4,i2"]
)
@pytest.mark.parametrize("chunks", [None, (4, 1)])
def test_every_dtype_is_read_as_stored(
    tmp_path: Path, dtype: str, chunks: tuple[int, int] | None
) -> None:
    matrix = np.arange(12).reshape(6, 2).astype(dtype)
    main = open_with(write(tmp_path, matrix, LINES, chunks=chunks)).main
    for whole in (main.read(), main.data.compute()):
        assert whole.dtype == matrix.dtype
        assert_array_equal(whole, matrix.reshape(2, 3, 2))
