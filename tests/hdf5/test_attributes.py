"""HDF5 attributes become plain Python, whoever wrote them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from lazyusid.hdf5.attributes import read_attributes
from lazyusid.hdf5.walk import walk
from lazyusid.model import ObjectReference, RegionReference

UTF8, LATIN1 = "µm".encode(), "µm".encode("latin-1")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[h5py.File]:
    """A file that is open for writing."""
    with h5py.File(tmp_path / "attributes.h5", "w") as made:
        yield made


def read(item: h5py.HLObject) -> dict[str, Any]:
    """All attributes, of which none may fail."""
    values, failed = read_attributes(item, lambda ref: walk(item.file).resolve(item.file, ref))
    assert failed == []
    return values


def put(item: h5py.HLObject, name: bytes, kind: h5py.h5t.TypeID, raw: bytes) -> None:
    """Write a scalar attribute in an HDF5 type that h5py would not choose, byte for byte."""
    made = h5py.h5a.create(item.id, name, kind, h5py.h5s.create(h5py.h5s.SCALAR))
    made.write(np.frombuffer(raw, dtype=f"V{len(raw)}").reshape(()), mtype=kind)


TEXTS = {
    "str": ("µm", h5py.string_dtype()),
    "vlen utf-8": (UTF8, h5py.string_dtype("utf-8")),
    "vlen utf-8 with latin-1 in it": (LATIN1, h5py.string_dtype("utf-8")),
    "vlen ascii with utf-8 in it": (UTF8, h5py.string_dtype("ascii")),
    "vlen ascii with latin-1 in it": (LATIN1, h5py.string_dtype("ascii")),
    "fixed utf-8": (UTF8, h5py.string_dtype("utf-8", 5)),
    "fixed utf-8 with latin-1 in it": (LATIN1, h5py.string_dtype("utf-8", 5)),
    "fixed ascii with utf-8 in it": (UTF8, "S3"),
    "fixed ascii with latin-1 in it": (LATIN1, "S2"),
    "fixed and padded": (LATIN1, "S9"),
}


@pytest.mark.parametrize("form", TEXTS)
def test_text_is_utf8_or_latin1_in_every_storage(file: h5py.File, form: str) -> None:
    written, dtype = TEXTS[form]
    file.attrs.create("one", written, dtype=dtype)
    file.attrs.create("list", [written], dtype=dtype)
    assert read(file) == {"one": "µm", "list": ["µm"]}


def test_lists_of_text_are_lists_of_str(file: h5py.File) -> None:
    file.attrs["vlen"] = ["Bias", "µm", ""]
    file.attrs["fixed"] = np.array([b"Bias", UTF8, b""])
    file.attrs["objects"] = np.array(["Bias", "µm", ""], dtype=h5py.string_dtype())
    file.attrs["none"] = np.array([], dtype="S4")
    file.attrs["square"] = np.array([[b"a", b"b"], [b"c", b"d"]])
    assert read(file) == {
        "vlen": ["Bias", "µm", ""],
        "fixed": ["Bias", "µm", ""],
        "objects": ["Bias", "µm", ""],
        "none": [],
        "square": [["a", "b"], ["c", "d"]],
    }


def test_padding_of_fixed_text_is_stripped(file: h5py.File) -> None:
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(6)
    for name, padding in ((b"nulls", h5py.h5t.STR_NULLPAD), (b"ended", h5py.h5t.STR_NULLTERM)):
        kind.set_strpad(padding)
        put(file, name, kind, b"nA\0\0\0\0")
    kind.set_strpad(h5py.h5t.STR_SPACEPAD)
    put(file, b"spaces", kind, b"nA    ")
    assert read(file) == {"nulls": "nA", "ended": "nA", "spaces": "nA"}


def test_empty_is_no_text_or_none(file: h5py.File) -> None:
    file.attrs["fixed"] = h5py.Empty("S1")
    file.attrs["vlen"] = h5py.Empty(h5py.string_dtype())
    file.attrs["number"] = h5py.Empty("f4")
    assert read(file) == {"fixed": "", "vlen": "", "number": None}


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        (np.uint16(7), 7),
        (np.int64(-3), -3),
        (np.float16(0.5), 0.5),
        (np.inf, np.inf),
        (np.complex64(1 + 2j), 1 + 2j),
        (True, True),
    ],
)
def test_numbers_are_plain(file: h5py.File, written: Any, plain: Any) -> None:
    file.attrs["number"] = written
    value = read(file)["number"]
    assert (value, type(value)) == (plain, type(plain))


def test_enumerations_are_plain_ints(file: h5py.File) -> None:
    file.attrs.create("mode", 2, dtype=h5py.enum_dtype({"off": 0, "on": 2}, basetype="u1"))
    value = read(file)["mode"]
    assert (value, type(value)) == (2, int)


def test_arrays_of_numbers_stay_arrays(file: h5py.File) -> None:
    file.attrs["grid"] = np.arange(6, dtype="i2").reshape(2, 3)
    file.attrs["one"] = np.array([1.5])
    values = read(file)
    assert_array_equal(values["grid"], [[0, 1, 2], [3, 4, 5]])
    assert values["grid"].dtype == "i2"
    assert_array_equal(values["one"], [1.5])


def test_compounds_keep_their_fields(file: h5py.File) -> None:
    file.attrs["pair"] = np.array((1, 2.5), dtype=[("count", "i4"), ("height", "f4")])
    pair = read(file)["pair"]
    assert (pair["count"], pair["height"]) == (1, 2.5)


def test_an_attribute_without_numpy_type_costs_no_other(file: h5py.File) -> None:
    put(file, b"when", h5py.h5t.UNIX_D32LE, b"\0\0\0\1")
    file.attrs["mode"] = "DC"
    values, failed = read_attributes(file, lambda reference: "")
    assert values == {"mode": "DC"}
    assert [name for name, _ in failed] == ["when"]
    assert failed[0][1]


def test_names_may_be_latin1_too(file: h5py.File) -> None:
    put(file, LATIN1, h5py.h5t.STD_I32LE, b"\7\0\0\0")
    file.attrs["°C"] = 20
    assert read(file) == {"µm": 7, "°C": 20}


# ---------------------------------------------------------------------------- references


def test_object_references_become_paths(file: h5py.File) -> None:
    target = file.create_dataset("/group/target", data=[1])
    gone = file.create_dataset("gone", data=[1])
    file.attrs["dataset"] = target.ref
    file.attrs["group"] = file["group"].ref
    file.attrs["root"] = file.ref
    file.attrs["null"] = h5py.Reference()
    file.attrs["deleted"] = gone.ref
    file.attrs.create("several", [target.ref, file.ref], dtype=h5py.ref_dtype)
    del file["gone"]
    assert read(file) == {
        "dataset": ObjectReference("/group/target"),
        "group": ObjectReference("/group"),
        "root": ObjectReference("/"),
        "null": ObjectReference(""),
        "deleted": ObjectReference(""),
        "several": [ObjectReference("/group/target"), ObjectReference("/")],
    }


ROWS, COLUMNS = np.arange(8), np.arange(5)
MASK = np.zeros((8, 5), bool)
MASK[[1, 1, 6], [0, 3, 3]] = True
SELECTIONS = {
    "rectangle": (np.s_[2:4, 1:3], [2, 3], [1, 2]),
    "rows": (np.s_[0:8:2, :], [0, 2, 4, 6], [0, 1, 2, 3, 4]),
    "columns": (np.s_[:, 1:5:3], ROWS, [1, 4]),
    "both strided": (np.s_[1:8:3, 0:5:2], [1, 4, 7], [0, 2, 4]),
    "one element": (np.s_[3, 4], [3], [4]),
    "list of rows": (np.s_[[1, 2, 6], :], [1, 2, 6], COLUMNS),
    "all": (np.s_[...], ROWS, COLUMNS),
    "points": (MASK, [1, 6], [0, 3]),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_region_references_become_rows_and_columns(file: h5py.File, name: str) -> None:
    selection, rows, columns = SELECTIONS[name]
    table = file.create_dataset("table", data=np.zeros((8, 5)))
    table.attrs["region"] = table.regionref[selection]
    region = read(table)["region"]
    assert isinstance(region, RegionReference)
    assert region.path == "/table"
    assert_array_equal(region.rows, rows)
    assert_array_equal(region.columns, columns)
    assert region.rows.dtype == region.columns.dtype == np.int64


def test_a_region_of_many_blocks_is_exact(file: h5py.File) -> None:
    table = file.create_dataset("table", (4000, 3), "u1")
    table.attrs["region"] = table.regionref[0:4000:2, 1:2]
    region = read(table)["region"]
    assert_array_equal(region.rows, np.arange(0, 4000, 2))
    assert region.columns.tolist() == [1]


def test_a_region_of_a_list_has_no_rows_and_columns(file: h5py.File) -> None:
    numbers = file.create_dataset("numbers", data=np.zeros(8))
    numbers.attrs["region"] = numbers.regionref[2:4]
    region = read(numbers)["region"]
    assert (region.path, len(region.rows), len(region.columns)) == ("/numbers", 0, 0)


def test_a_region_of_a_deleted_dataset_points_nowhere(file: h5py.File) -> None:
    table = file.create_dataset("table", data=np.zeros((8, 5)))
    file.attrs["region"] = table.regionref[2:4]
    del file["table"]
    assert read(file) == {"region": ObjectReference("")}
