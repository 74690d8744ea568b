"""Every object of a file is found once, along hard links only, however deep or broad the file."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from lazyusid.hdf5.walk import address, walk


@pytest.fixture
def file() -> Iterator[h5py.File]:
    """A file in memory."""
    with h5py.File("memory.h5", "w", driver="core", backing_store=False) as memory:
        yield memory


def test_groups_list_their_members_and_datasets_their_paths(file: h5py.File) -> None:
    file.create_dataset("M/C/Raw_Data", data=[1])
    file.create_dataset("M/Values", data=[1])
    file.create_group("empty")
    found = walk(file)
    assert found.groups == {
        "/": ("M", "empty"),
        "/M": ("C", "Values"),
        "/M/C": ("Raw_Data",),
        "/empty": (),
    }
    assert found.datasets == ["/M/C/Raw_Data", "/M/Values"]


def test_an_empty_file_has_its_root(file: h5py.File) -> None:
    found = walk(file)
    assert (found.groups, found.datasets) == ({"/": ()}, [])


def test_an_object_with_two_names_is_found_once(file: h5py.File) -> None:
    file["a"] = np.zeros(2)
    file["group/b"] = file["a"]
    file["other"] = file["group"]
    found = walk(file)
    assert found.datasets == ["/a"]
    assert [path for path in found.groups if path in ("/group", "/other")] == ["/group"]
    assert found.addresses[address(file["group/b"].id)] == "/a"


def test_cycles_of_hard_links_end(file: h5py.File) -> None:
    inner = file.create_group("outer/inner")
    inner["up"] = file["outer"]
    inner["itself"] = inner
    inner["root"] = file["/"]
    inner["data"] = np.zeros(2)
    found = walk(file)
    assert set(found.groups) == {"/", "/outer", "/outer/inner"}
    assert found.datasets == ["/outer/inner/data"]


def test_soft_and_external_links_are_not_followed(file: h5py.File, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = [1]
    file["real/data"] = [1]
    file["soft group"] = h5py.SoftLink("/real")
    file["soft data"] = h5py.SoftLink("/real/data")
    file["dangling"] = h5py.SoftLink("/nowhere")
    file["external"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/secret")
    found = walk(file)
    assert found.groups == {"/": ("real",), "/real": ("data",)}
    assert found.datasets == ["/real/data"]


def test_a_named_type_is_neither_group_nor_dataset(file: h5py.File) -> None:
    file["type"] = np.dtype("f8")
    found = walk(file)
    assert (set(found.groups), found.datasets) == ({"/"}, [])
    assert found.addresses[address(file["type"].id)] == "/type"


def test_names_may_be_latin1(file: h5py.File) -> None:
    group = h5py.h5g.create(file.id, "Höhe".encode("latin-1"))
    h5py.Group(group)["µ"] = [1]
    found = walk(file)
    assert found.groups["/Höhe"] == ("µ",)
    assert found.datasets == ["/Höhe/µ"]


def test_five_thousand_nested_groups(file: h5py.File) -> None:
    group = file["/"]
    for _ in range(5000):
        group = group.create_group("g")
    group["bottom"] = [1]
    found = walk(file)
    assert len(found.groups) == 5001
    assert found.datasets == ["/g" * 5000 + "/bottom"]


def test_twenty_thousand_members(file: h5py.File) -> None:
    space, kind = h5py.h5s.create(h5py.h5s.SCALAR), h5py.h5t.NATIVE_INT8
    for number in range(20_000):
        if number % 2:
            h5py.h5g.create(file.id, b"g%05d" % number)
        else:
            h5py.h5d.create(file.id, b"d%05d" % number, kind, space)
    found = walk(file)
    assert (len(found.groups), len(found.datasets)) == (10_001, 10_000)
    assert found.datasets[:2] == ["/d00000", "/d00002"]
    assert len(found.groups["/"]) == 20_000


# ---------------------------------------------------------------------------- references


def test_references_resolve_to_the_path_that_the_walk_found(file: h5py.File) -> None:
    dataset = file.create_dataset("a/data", data=[1])
    file["a/other"] = dataset
    found = walk(file)
    assert found.datasets == ["/a/data"]
    assert found.resolve(file, file["a/other"].ref) == "/a/data"
    assert found.resolve(file, file["a"].ref) == "/a"
    assert found.resolve(file, file.ref) == "/"
    assert found.resolve(file, dataset.regionref[:1]) == "/a/data"


def test_references_to_nothing_resolve_to_nothing(file: h5py.File) -> None:
    gone, unnamed = file.create_dataset("gone", data=[1]).ref, file.create_dataset(None, data=[1])
    del file["gone"]
    found = walk(file)
    assert found.resolve(file, h5py.Reference()) == ""
    assert found.resolve(file, h5py.RegionReference()) == ""
    assert found.resolve(file, gone) == ""
    assert found.resolve(file, unnamed.ref) == ""
