"""Every dataset that is no Main is a lazy record of its own."""

import os
import pickle
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import lazyusid
from lazyusid import SourceError
from lazyusid.hdf5.handles import lent_count
from tests.opening import count_reads, open_quietly, open_with, write_small

CUBE = np.arange(24, dtype="i2").reshape(2, 3, 4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A scan with other datasets of every rank and kind."""
    write_small(path := tmp_path / "scan.h5")
    with h5py.File(path, "r+") as file:
        file["cube"] = CUBE
        file["cube"].attrs.update({"mode": "DC", "gain": np.float32(0.5)})
        file["cube"].attrs["link"] = file["Measurement_000"].ref
        file.create_dataset("packed", data=CUBE, chunks=(1, 2, 4), compression="gzip")
        file["number"] = 3.5
        file["text"] = "measured at night"
        file["texts"] = ["a", "µ"]
        file["fixed"] = np.array([b"a", b"b"])
        file["pairs"] = np.zeros(3, "f4,i2")
        file["nothing"] = h5py.Empty("f4")
        file["none"] = np.zeros((0, 3))
        file.create_dataset("never", (5, 2), "f8", fillvalue=-1)
    return path


def dataset(path: Path, name: str) -> lazyusid.api.datasets.Dataset:
    return open_with(path).datasets[name]


@pytest.mark.parametrize("name", ["/cube", "/packed"])
def test_a_dataset_says_what_it_is_and_reads(path: Path, name: str) -> None:
    cube = dataset(path, name)
    assert (cube.path, cube.file) == (name, str(path))
    assert (cube.shape, cube.dtype) == ((2, 3, 4), np.dtype("i2"))
    assert_array_equal(cube.read(), CUBE)
    assert_array_equal(cube.data.compute(), CUBE)
    assert cube.data.dtype == cube.dtype
    for key in (np.s_[1], np.s_[..., 2], np.s_[0, 1:, ::-2], np.s_[-1, -1, -1]):
        assert_array_equal(cube[key], CUBE[key])
        assert_array_equal(cube.data[key].compute(), CUBE[key])
    assert lent_count() == 0


def test_attributes_are_plain(path: Path) -> None:
    attrs = dataset(path, "/cube").attrs
    assert (attrs["mode"], attrs["gain"]) == ("DC", 0.5)
    assert attrs["link"].path == "/Measurement_000"


def test_nothing_is_read_before_it_is_asked_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = open_with(path)
    log = count_reads(monkeypatch)
    cube = file.datasets["/cube"]
    _ = cube.data, cube.shape, cube.attrs, repr(cube), cube.data[0].sum()
    assert log == []
    cube.read(0)
    assert log == [("/cube", np.s_[0:1, 0:3, 0:4])]


def test_scalars_are_read(path: Path) -> None:
    number = dataset(path, "/number")
    assert (number.shape, number.read()) == ((), 3.5)
    assert number.data.compute() == 3.5


def test_text_is_read(path: Path) -> None:
    def plain(found: np.ndarray) -> list[str]:
        return [part.decode() if isinstance(part, bytes) else part for part in found.ravel()]

    assert plain(dataset(path, "/text").read()) == ["measured at night"]
    assert plain(dataset(path, "/texts").read()) == ["a", "µ"]
    assert plain(dataset(path, "/fixed").read()) == ["a", "b"]
    assert plain(dataset(path, "/texts").data.compute()) == ["a", "µ"]


def test_compounds_and_empty_and_unwritten_data_are_read(path: Path) -> None:
    assert dataset(path, "/pairs").read().dtype.names == ("f0", "f1")
    none = dataset(path, "/none")
    assert (none.shape, none.read().shape, none.data.compute().shape) == ((0, 3), (0, 3), (0, 3))
    assert (dataset(path, "/never").read() == -1).all()


def test_a_dataset_of_nothing_is_empty_or_says_so(path: Path) -> None:
    nothing = dataset(path, "/nothing")
    assert "/nothing" in repr(nothing)
    assert nothing.attrs == {}
    with suppress(SourceError):
        assert np.size(nothing.read()) == 0


def test_a_type_that_numpy_has_not_is_a_source_error_when_it_is_read(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(file.id, b"times", h5py.h5t.UNIX_D32LE, space)
        file["times"].attrs["mode"] = "DC"
    times = dataset(path, "/times")
    assert "/times" in repr(times)
    assert times.attrs == {"mode": "DC"}
    with pytest.raises(SourceError, match="times"):
        times.read()


def test_damaged_attributes_are_a_source_error(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["cube"].attrs["to_be_damaged"] = 1
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"to_be_damaged") - 8] = 99  # the version of the attribute's header
    path.write_bytes(raw)
    cube = open_quietly(path).datasets["/cube"]
    with pytest.raises(SourceError, match="/cube"):
        _ = cube.attrs
    assert_array_equal(cube.read(), CUBE)


def test_a_dataset_that_is_gone_is_a_source_error(path: Path) -> None:
    known, unknown = dataset(path, "/cube"), dataset(path, "/packed")
    assert known.shape == (2, 3, 4)
    os.unlink(path)
    for read in (known.read, unknown.read):
        with pytest.raises(SourceError, match="no such file"):
            read()
    write_small(path)
    with pytest.raises(SourceError, match="no such dataset"):
        unknown.read()
    with pytest.raises(SourceError, match="open it again"):
        known.read()


def test_an_index_beyond_the_data_is_an_index_error(path: Path) -> None:
    with pytest.raises(IndexError, match="2"):
        dataset(path, "/cube").read(2)


def test_datasets_and_their_arrays_pickle(path: Path) -> None:
    cube = dataset(path, "/cube")
    cube.data.sum().compute()
    _ = cube.attrs
    carried = pickle.loads(pickle.dumps(cube))
    assert_array_equal(carried.read(), CUBE)
    assert_array_equal(pickle.loads(pickle.dumps(cube.data)).compute(), CUBE)
    assert carried.data.name == cube.data.name


def test_datasets_are_equal_where_file_and_path_are(path: Path) -> None:
    assert dataset(path, "/cube") == dataset(path, "/cube")
    assert dataset(path, "/cube") != dataset(path, "/packed")


def test_the_repr_names_path_shape_and_dtype(path: Path) -> None:
    assert repr(dataset(path, "/cube")) == "<lazyusid.Dataset '/cube' (2, 3, 4) int16>"
