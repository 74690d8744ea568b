"""One walk over a file gives everything it says: Mains folded, groups, datasets, findings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from lazyusid.errors import FilterError, SourceError
from lazyusid.hdf5.handles import lent_count
from lazyusid.hdf5.reader import open_dataset, read_contents, read_item_attributes
from lazyusid.model import ObjectReference
from tests.builders import (
    TABLES,
    dependent_values,
    fixed_text,
    grid_side,
    placeholder_side,
    scattered_side,
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
    run_python,
    write_small,
)
from tests.oracle import fold

CHANNEL = "/Measurement_000/Channel_000"
MAIN = f"{CHANNEL}/Raw_Data"


def test_contents_hold_everything_and_no_handle(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        file["Notes/plan"] = [1, 2]
        file.attrs["sample_name"] = "PZT"
        file["Measurement_000"].attrs["VS_mode"] = "DC"
    contents = read_contents(path)
    assert contents.file == str(path)
    assert list(contents.mains) == [MAIN]
    assert {*contents.groups} == {"/", "/Measurement_000", CHANNEL}
    assert contents.groups["/"].attrs == {"sample_name": "PZT"}
    assert contents.groups["/Measurement_000"].attrs == {"VS_mode": "DC"}
    assert {*contents.tree} == {*contents.groups, "/Notes"}
    assert {*contents.datasets} == {"/Notes/plan", *(f"{CHANNEL}/{name}" for name in TABLES)}
    assert contents.findings == ()
    assert lent_count() == 0


def test_a_main_tells_where_its_tables_lie(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5", tables_in="/Measurement_000")
    main = read_contents(path).mains[MAIN]
    assert main.table_paths == {name: f"/Measurement_000/{name}" for name in TABLES}
    assert (main.quantity, main.units) == ("Current", "nA")
    assert main.attrs["Position_Indices"] == ObjectReference("/Measurement_000/Position_Indices")


def test_tables_may_have_any_name_and_place(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        for number, name in enumerate(TABLES):
            file.move(f"{CHANNEL}/{name}", f"/elsewhere/deep/table {number}")
        file.move(MAIN, "/Cluster_Labels")
    assert_small(open_with(path)["/Cluster_Labels"])


def test_a_main_may_lie_in_the_root(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5", group="/")
    file = open_with(path)
    assert list(file) == ["/Raw_Data"]
    assert_small(file.main)
    assert dict(file.main.metadata) == {"/": {}}


def test_a_file_without_mains_is_empty(tmp_path: Path) -> None:
    with h5py.File(path := tmp_path / "other.h5", "w") as file:
        file["matrix"] = np.zeros((3, 4))
    file = open_with(path)
    assert (len(file), file.findings, list(file.datasets)) == (0, [], ["/matrix"])


# ---------------------------------------------------------------------------- text


def as_vlen(texts: list[str]) -> Any:
    return texts


def as_vlen_latin1(texts: list[str]) -> Any:
    raw = [text.encode("latin-1") for text in texts]
    return np.array(raw, dtype=h5py.string_dtype("ascii"))


def as_fixed(texts: list[str]) -> Any:
    return fixed_text(texts)


def as_fixed_latin1(texts: list[str]) -> Any:
    return np.array([text.encode("latin-1") for text in texts])


def as_padded(texts: list[str]) -> Any:
    return fixed_text([f" {text} \n" for text in texts])


@pytest.mark.parametrize("written", [as_vlen, as_vlen_latin1, as_fixed, as_fixed_latin1, as_padded])
def test_labels_and_units_are_read_however_they_are_written(
    tmp_path: Path, written: Callable[[list[str]], Any]
) -> None:
    name = write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        for table in ("Position_Indices", "Position_Values"):
            attrs = file[CHANNEL][table].attrs
            attrs["labels"], attrs["units"] = written(["Höhe", "X"]), written(["µm", "°"])
        one = written(["µA"])[0]
        file[name].attrs["units"] = one
    main = open_with(path).main
    assert main.dims == ("Höhe", "X", "Bias")
    assert [dimension.units for dimension in main.dimensions] == ["µm", "°", "V"]
    assert main.units == "µA"


def test_one_element_arrays_are_one_text(tmp_path: Path) -> None:
    name = write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        file[name].attrs["quantity"] = fixed_text(["Current"])
        file[name].attrs["units"] = ["nA"]
    main = open_with(path, "quantity-kind", "units-kind").main
    assert (main.quantity, main.units) == ("Current", "nA")


def test_empty_text_is_no_units(tmp_path: Path) -> None:
    name = write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        file[name].attrs["units"] = h5py.Empty("S1")
    assert open_with(path).main.units == ""


def test_quantity_and_units_are_stripped(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5", quantity=" Topography\n", units=" m\n")
    main = open_with(path).main
    assert (main.quantity, main.units) == ("Topography", "m")


# ---------------------------------------------------------------------------- names


def test_names_are_unique_over_both_sides(tmp_path: Path) -> None:
    position = grid_side((2, 3), ["X", "X"])
    steps = grid_side((2, 2), ["X", ""])
    matrix = np.arange(24).reshape(6, 4)
    write_usid(path := tmp_path / "scan.h5", matrix, position, steps)
    file = open_with(path, "labels-unique", "labels-empty")
    assert file.main.dims == ("X", "X_2", "X_3", "dim")
    assert_array_equal(file.main.read().ravel(), np.arange(24))
    assert "'X'" in file.findings[0].message


def test_dimensions_without_labels_are_called_dim(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        for name in TABLES:
            del file[CHANNEL][name].attrs["labels"]
    main = open_with(path, "labels-missing").main
    assert main.dims == ("dim", "dim_2", "dim_3")
    assert_array_equal(main.read(), NUMBERS)


def test_scattered_points_get_a_free_name(tmp_path: Path) -> None:
    side = scattered_side(4, 2, np.random.default_rng(0), labels=["position", "X"])
    write_usid(path := tmp_path / "scan.h5", np.zeros((4, 2)), side, SPECTRUM)
    main = open_with(path).main
    assert main.dims == ("position_2", "Bias")
    assert main.coord_dims["position"] == ("position_2",)


# ---------------------------------------------------------------------------- layouts


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i2", "i8", "f4", "f8"])
def test_indices_may_have_any_real_dtype(tmp_path: Path, dtype: str) -> None:
    side = grid_side((3, 4), ["Y", "X"], scan="reversed")
    matrix = np.arange(24).reshape(12, 2)
    write_usid(path := tmp_path / "scan.h5", matrix, side, SPECTRUM, index_dtype=dtype)
    main = open_with(path).main
    assert main.layout.position.kind == "permuted"
    assert_array_equal(main.read(), matrix[::-1].reshape(3, 4, 2))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "u2"])
def test_values_may_have_any_real_dtype(tmp_path: Path, dtype: str) -> None:
    write_small(path := tmp_path / "scan.h5", value_dtype=dtype if dtype != "u2" else "f4")
    if dtype == "u2":
        with h5py.File(path, "r+") as file:
            table = file[CHANNEL]["Position_Values"]
            values, attrs = table[()], dict(table.attrs)
            del file[CHANNEL]["Position_Values"]
            made = file[CHANNEL].create_dataset("Position_Values", data=values.astype("u2"))
            made.attrs.update(attrs)
            file[MAIN].attrs["Position_Values"] = made.ref
    main = open_with(path).main
    assert main.coords["Y"].tolist() == [0, 10]
    assert main.coords["Y"].dtype == np.float64


@pytest.mark.parametrize("table", ["Position_Indices", "Position_Values"])
def test_incomplete_dimensions_are_scattered(tmp_path: Path, table: str) -> None:
    write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        file[CHANNEL][table].attrs["incomplete_dimensions"] = fixed_text(["X"])
    main = open_with(path).main
    assert (main.dims, main.shape) == (("position", "Bias"), (6, 2))
    assert main.layout.position.kind == "scattered"
    assert "incomplete_dimensions" in main.layout.position.reason
    assert main.coords["X"].tolist() == [1, 2, 4, 1, 2, 4]
    assert main.coords["Y"].tolist() == [0, 0, 0, 10, 10, 10]
    assert main.coord_dims == {"Y": ("position",), "X": ("position",), "Bias": ("Bias",)}


@pytest.mark.parametrize("marked", ["X", ["X"], ["Other", "X"]])
def test_incomplete_dimensions_may_be_one_text_or_name_others(
    tmp_path: Path, marked: str | list[str]
) -> None:
    write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        file[CHANNEL]["Position_Indices"].attrs["incomplete_dimensions"] = marked
    assert open_with(path).main.dims == ("position", "Bias")


def test_incomplete_dimensions_of_one_side_leave_the_other(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        file[CHANNEL]["Spectroscopic_Indices"].attrs["incomplete_dimensions"] = ["Bias"]
    assert open_with(path).main.dims == ("Y", "X", "spectroscopic")


def test_incomplete_dimensions_of_another_name_say_nothing(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        file[CHANNEL]["Position_Indices"].attrs["incomplete_dimensions"] = ["Bias"]
    assert_small(open_with(path).main)


def test_dependent_values_stay_over_what_they_depend_on(tmp_path: Path) -> None:
    bias = dependent_values((2, 3), axis=1, on=[0], base=[-1, 0, 1])
    steps = grid_side((2, 3), ["Cycle", "Bias"], ["", "V"], [(0, 1), bias])
    matrix = np.arange(36).reshape(6, 6)
    write_usid(path := tmp_path / "scan.h5", matrix, LINES, steps)
    main = open_with(path).main
    data, dims, coords, coord_dims = fold(matrix, LINES, steps)
    assert (main.dims, dict(main.coord_dims)) == (dims, coord_dims)
    assert main.coord_dims["Bias"] == ("Cycle", "Bias")
    assert_array_equal(main.coords["Bias"], [[-1, 0, 1], [-2, 0, 2]])
    assert main.coord_units["Bias"] == "V"
    assert main.dimensions[-1].values.tolist() == [0, 1, 2]
    assert_array_equal(main.read(), data)
    assert {name: values.tolist() for name, values in main.coords.items()} == {
        name: values.tolist() for name, values in coords.items()
    }


# ---------------------------------------------------------------------------- LabView


def drop_references(path: Path, name: str) -> None:
    with h5py.File(path, "r+") as file:
        for table in TABLES:
            del file[name].attrs[table]


@pytest.mark.parametrize("tables_in", [CHANNEL, "/Measurement_000"])
def test_tables_are_found_by_name_beside_a_main_or_above(tmp_path: Path, tables_in: str) -> None:
    name = write_small(path := tmp_path / "scan.h5", tables_in=tables_in)
    drop_references(path, name)
    file = open_with(path, "references-missing")
    assert found(file) == [(MAIN, "references-missing", "warning")]
    assert_small(file.main)
    assert {str(Path(table.path).parent) for table in file.main.tables.values()} == {tables_in}


def test_tables_by_name_need_no_quantity(tmp_path: Path) -> None:
    name = write_small(path := tmp_path / "scan.h5")
    drop_references(path, name)
    with h5py.File(path, "r+") as file:
        del file[name].attrs["quantity"]
        del file[name].attrs["units"]
    assert_small(open_with(path, "references-missing", "quantity-missing", "units-missing").main)


def test_tables_by_name_that_do_not_fit_are_not_taken(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        file[CHANNEL]["other"] = np.zeros((5, 2))
        file[CHANNEL]["list"] = np.zeros(6)
        file[CHANNEL]["cube"] = np.zeros((6, 2, 1))
    file = open_with(path)
    assert list(file) == [MAIN]
    assert {f"{CHANNEL}/other", f"{CHANNEL}/list", f"{CHANNEL}/cube"} <= set(file.datasets)


def test_tables_by_name_two_groups_above_are_not_taken(tmp_path: Path) -> None:
    name = write_small(path := tmp_path / "scan.h5", tables_in="/")
    drop_references(path, name)
    file = open_with(path, "reference-missing")
    assert {*found(file)} == {(MAIN, "reference-missing", "error")}
    assert len(file) == 0


# ---------------------------------------------------------------------------- what looks like one


def test_what_has_a_quantity_only_is_a_finding(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        file["Noise"] = np.zeros((3, 3))
        file["Noise"].attrs.update({"quantity": "Noise", "units": "V"})
    file = open_with(path, "reference-missing")
    assert {*found(file)} == {("/Noise", "reference-missing", "error")}
    assert list(file) == [MAIN]
    assert "/Noise" in file.datasets


def test_what_has_neither_quantity_nor_reference_is_no_finding(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        file["Notes"] = np.zeros((6, 2))
        file["Notes"].attrs["units"] = "nm"
    file = open_with(path)
    assert (file.findings, list(file)) == ([], [MAIN])


def test_an_attribute_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    name = write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        space, kind = h5py.h5s.create(h5py.h5s.SCALAR), h5py.h5t.UNIX_D32LE
        for place in (name, CHANNEL, "/Measurement_000"):
            h5py.h5a.create(file[place].id, b"when", kind, space)
        file[name].attrs["mode"] = "DC"
    file = open_with(path, "attribute")
    assert {*found(file)} == {
        (place, "attribute", "warning") for place in (name, CHANNEL, "/Measurement_000")
    }
    assert "when" in file.findings[0].message
    assert_small(file.main)
    assert file.main.attrs["mode"] == "DC"


def test_a_main_behind_an_unknown_filter_is_a_finding_and_costs_no_other(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5", "/Good")
    name = write_small(path, "/Bad", mode="a")
    with h5py.File(path, "r+") as file:
        attrs = dict(file[name].attrs)
        del file[name]
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((6, 2))
        properties.set_filter(300, h5py.h5z.FLAG_OPTIONAL, ())
        space, kind = h5py.h5s.create_simple((6, 2)), h5py.h5t.IEEE_F32LE
        made = h5py.h5d.create(file["Bad"].id, b"Raw_Data", kind, space, properties)
        made.write_direct_chunk((0, 0), b"x" * 48)
        file[name].attrs.update(attrs)
    file = open_with(path, "filter")
    assert found(file) == [(name, "filter", "error")]
    assert "300" in file.findings[0].message
    assert_small(file["/Good/Raw_Data"])
    with pytest.raises(FilterError, match="300"):
        file[name].read()


def test_a_timestamp_that_cannot_be_read_costs_no_main(tmp_path: Path) -> None:
    name = write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        space, kind = h5py.h5s.create(h5py.h5s.SCALAR), h5py.h5t.UNIX_D32LE
        h5py.h5a.create(file[name].id, b"timestamp", kind, space)
    file = open_with(path, "attribute")
    assert found(file) == [(name, "attribute", "warning")]
    assert_small(file.main)


def damage_attribute(path: Path, name: str) -> None:
    """Spoil the version number in the header of an attribute of this name."""
    raw = bytearray(path.read_bytes())
    assert raw.count(name.encode()) == 1
    raw[raw.index(name.encode()) - 8] = 99
    path.write_bytes(raw)


@pytest.mark.parametrize("place", ["/", "/Measurement_000", CHANNEL])
def test_a_damaged_attribute_of_a_group_costs_no_main(tmp_path: Path, place: str) -> None:
    write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        file[place].attrs["to_be_damaged"] = 1
    damage_attribute(path, "to_be_damaged")
    file = open_with(path, "attribute")
    assert found(file) == [(place, "attribute", "warning")]
    assert_small(file.main)
    assert place in file.main.metadata


def test_a_damaged_attribute_of_a_main_costs_no_other(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5", "/Good")
    write_small(path, "/Bad", mode="a", attrs={"to_be_damaged": 1})
    damage_attribute(path, "to_be_damaged")
    file = open_quietly(path)
    assert {where for where, _, _ in found(file)} == {"/Bad/Raw_Data"}
    assert_small(file["/Good/Raw_Data"])


def test_a_table_that_cannot_be_decoded_costs_its_main_only(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5", "/Good")
    write_small(path, "/Bad", mode="a", table_chunks=4, table_compression="gzip")
    with h5py.File(path) as file:
        chunk = file["/Bad/Position_Indices"].id.get_chunk_info(0)
    with open(path, "r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * chunk.size)
    file = open_with(path, "main-read")
    assert found(file) == [("/Bad/Raw_Data", "main-read", "error")]
    assert_small(file["/Good/Raw_Data"])


def test_objects_with_latin1_names_are_read(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    write_small(path)
    with h5py.File(path, "r+") as file:
        file.move("/Measurement_000", b"Messung_\xb5")
    file = open_with(path)
    assert list(file) == ["/Messung_µ/Channel_000/Raw_Data"]
    assert_small(file.main)


# ---------------------------------------------------------------------------- unfinished rows

DONE = np.array([True, True, True, False, True, False])
ONE_STEP = placeholder_side()


def write_fit(path: Path, **progress: Any) -> str:
    source = write_small(path)
    matrix = np.arange(12, dtype="f4").reshape(6, 2)
    return write_results(path, source, matrix=matrix, spectroscopic=SPECTRUM, **progress)


def test_rows_that_are_not_completed_are_missing(tmp_path: Path) -> None:
    fit = write_fit(path := tmp_path / "scan.h5", completed=DONE)
    file = open_with(path, "unfinished")
    assert found(file) == [(fit, "unfinished", "warning")]
    assert "4 of 6 positions complete" in file.findings[0].message
    main = file[fit]
    expected = np.where(DONE[:, np.newaxis], np.arange(12).reshape(6, 2), np.nan)
    assert_array_equal(main.read(), expected.reshape(2, 3, 2))
    assert_array_equal(main.data.compute(), main.read())
    assert_array_equal(main.measured.compute(), np.isfinite(expected).reshape(2, 3, 2))
    assert main.complete == pytest.approx(4 / 6)
    assert_array_equal(main.matrix.compute(), np.arange(12).reshape(6, 2))
    assert main.layout.position.kind == "raster"


def test_rows_behind_the_last_pixel_are_missing(tmp_path: Path) -> None:
    fit = write_fit(path := tmp_path / "scan.h5", last_pixel=4)
    main = open_with(path, "unfinished")[fit]
    assert np.isnan(main.read()).reshape(6, 2).all(axis=1).tolist() == [False] * 4 + [True] * 2
    assert main.complete == pytest.approx(4 / 6)


def test_completed_positions_are_trusted_more_than_the_last_pixel(tmp_path: Path) -> None:
    fit = write_fit(path := tmp_path / "scan.h5", completed=DONE, last_pixel=1)
    assert open_with(path, "unfinished")[fit].complete == pytest.approx(4 / 6)


def test_unfinished_rows_are_given_as_they_are_when_asked_for(tmp_path: Path) -> None:
    fit = write_fit(path := tmp_path / "scan.h5", completed=DONE)
    main = open_with(path, "unfinished", mask_unfinished=False)[fit]
    assert_array_equal(main.read(), NUMBERS)
    assert main.measured is None
    assert main.complete == pytest.approx(4 / 6)


@pytest.mark.parametrize("progress", [{"completed": np.ones(6)}, {"last_pixel": 6}, {}])
def test_finished_results_are_complete(tmp_path: Path, progress: dict[str, Any]) -> None:
    fit = write_fit(path := tmp_path / "scan.h5", **progress)
    file = open_with(path)
    assert file.findings == []
    assert (file[fit].complete, file[fit].measured) == (1.0, None)


def test_results_that_never_began_are_all_missing(tmp_path: Path) -> None:
    fit = write_fit(path := tmp_path / "scan.h5", completed=np.zeros(6))
    main = open_with(path, "unfinished")[fit]
    assert np.isnan(main.read()).all()
    assert (main.complete, main.measured.any().compute()) == (0.0, False)


def test_unfinished_rows_of_a_permuted_scan_are_masked_by_row(tmp_path: Path) -> None:
    side = grid_side((2, 3), ["Y", "X"], scan="serpentine")
    path = tmp_path / "scan.h5"
    source = write_usid(path, np.zeros((6, 2)), side, SPECTRUM)
    rows = np.arange(6, dtype="f4")[:, np.newaxis]
    fit = write_results(path, source, matrix=rows, spectroscopic=ONE_STEP, completed=DONE)
    main = open_with(path, "unfinished")[fit]
    assert_array_equal(main.read(), [[0, 1, 2], [np.nan, 4, np.nan]])


def test_unfinished_rows_of_scattered_points_are_masked(tmp_path: Path) -> None:
    side = scattered_side(6, 2, np.random.default_rng(0))
    path = tmp_path / "scan.h5"
    source = write_usid(path, np.zeros((6, 2)), side, SPECTRUM)
    rows = np.arange(6, dtype="i2")[:, np.newaxis]
    fit = write_results(path, source, matrix=rows, spectroscopic=ONE_STEP, completed=DONE)
    main = open_with(path, "unfinished")[fit]
    assert_array_equal(main.read(), [0, 1, 2, np.nan, 4, np.nan])
    assert main.dtype == "f4"


def test_the_one_unfinished_position_of_a_spectrum_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    source = write_usid(path, np.zeros((1, 3)), placeholder_side(), grid_side((3,), ["Z"]))
    fit = write_results(
        path, source, matrix=np.zeros((1, 2)), spectroscopic=SPECTRUM, completed=[0]
    )
    main = open_with(path, "unfinished")[fit]
    assert main.dims == ("Bias",)
    assert np.isnan(main.read()).all()
    assert np.isnan(main.data.compute()).all()


def test_completed_positions_of_another_length_are_not_silently_ignored(tmp_path: Path) -> None:
    fit = write_fit(path := tmp_path / "scan.h5", completed=np.ones(5))
    file = open_quietly(path)
    assert [(where, severity) for where, _, severity in found(file)] == [(fit, "warning")]
    assert_array_equal(file[fit].read(), NUMBERS)


@pytest.mark.parametrize("last_pixel", [np.array([4]), 4.0, np.float32(4)])
def test_the_last_pixel_may_be_written_as_any_number(tmp_path: Path, last_pixel: Any) -> None:
    fit = write_fit(path := tmp_path / "scan.h5", last_pixel=last_pixel)
    assert open_with(path, "unfinished")[fit].complete == pytest.approx(4 / 6)


def put_group(group: h5py.Group) -> None:
    group.create_group("completed_positions")


def put_type(group: h5py.Group) -> None:
    group["completed_positions"] = np.dtype("u1")


def put_pairs(group: h5py.Group) -> None:
    group["completed_positions"] = np.zeros(6, "u1,u1")


@pytest.mark.parametrize("put", [put_group, put_type, put_pairs])
def test_odd_completed_positions_cost_no_other_main(
    tmp_path: Path, put: Callable[[h5py.Group], None]
) -> None:
    fit = write_fit(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        put(file[fit].parent)
    file = open_quietly(path)
    assert_small(file[MAIN])
    assert {where for where, _, _ in found(file)} == {fit}


# ---------------------------------------------------------------------------- large files


def test_shared_tables_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scan.h5"
    for number, mode in enumerate("waa"):
        group = f"/Measurement_000/Channel_{number:03d}"
        write_small(path, group, mode=mode, tables_in="/Measurement_000")
    log = count_reads(monkeypatch)
    write_small(alone := tmp_path / "alone.h5")
    open_with(alone)
    alone_reads, _ = len(log), log.clear()
    file = open_with(path)
    assert len(file) == 3
    assert len(log) == alone_reads
    assert {Path(name).parent.as_posix() for name, _ in log} == {"/Measurement_000"}


def test_nothing_of_a_main_is_read_by_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small(path := tmp_path / "scan.h5")
    log = count_reads(monkeypatch)
    main = open_with(path).main
    _ = main.data, main.plan, main.matrix, main.coords, main.layout, repr(main), main.measured
    assert {name for name, _ in log} <= {f"{CHANNEL}/{table}" for table in TABLES}
    main.read()
    assert log[-1] == (MAIN, np.s_[0:6, 0:2])


def test_a_main_at_the_bottom_of_thousands_of_groups(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        group = file["/"]
        for _ in range(2000):
            group = group.create_group("g")
        file.move("/Measurement_000", f"{group.name}/bottom")
    file = open_with(path)
    assert list(file) == ["/g" * 2000 + "/bottom/Channel_000/Raw_Data"]
    assert_small(file.main)
    assert len(file.main.metadata) == 2003


def test_a_main_among_twenty_thousand_members(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5", group="/")
    with h5py.File(path, "r+") as file:
        space, kind = h5py.h5s.create(h5py.h5s.SCALAR), h5py.h5t.NATIVE_INT8
        for number in range(20_000):
            h5py.h5d.create(file.id, b"d%05d" % number, kind, space)
    file = open_with(path)
    assert_small(file.main)
    assert len(file.datasets) == 20_004


def test_a_long_region_reference_does_not_hold_up_open(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    side = grid_side((100_000,), ["X"])
    name = write_usid(path, np.zeros((100_000, 1), "u1"), side, placeholder_side())
    with h5py.File(path, "r+") as file:
        file[name].attrs["even_rows"] = file[name].regionref[0:100_000:2, :]
    script = "import sys, lazyusid; print(lazyusid.open(sys.argv[1]).main.shape)"
    assert run_python(script, path, timeout=20) == "(100000,)\n"


# ---------------------------------------------------------------------------- links


def test_cycles_and_soft_links_give_each_main_once(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        file[f"{CHANNEL}/up"] = file["Measurement_000"]
        file["soft"] = h5py.SoftLink(MAIN)
        file["Alias"] = file["Measurement_000"]
        file["external"] = h5py.ExternalLink("elsewhere.h5", "/Raw_Data")
    file = open_with(path)
    assert len(file) == 1
    assert_small(file.main)


# ---------------------------------------------------------------------------- helpers


def test_any_dataset_can_be_opened(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5")
    source = open_dataset(str(path), f"{CHANNEL}/Position_Indices")
    assert (source.shape, source.dtype) == ((6, 2), np.dtype("u4"))
    for nothing in (CHANNEL, "/nowhere"):
        with pytest.raises(SourceError, match="no such dataset"):
            open_dataset(str(path), nothing)
    assert lent_count() == 0


def test_attributes_of_any_object_can_be_read(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5")
    attrs = read_item_attributes(str(path), MAIN)
    assert attrs["quantity"] == "Current"
    assert attrs["Position_Values"] == ObjectReference(f"{CHANNEL}/Position_Values")
    assert read_item_attributes(str(path), CHANNEL) == {}
