"""A source carries an address and knows its dataset again; it reads regions and nothing else."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from lazyusid.errors import FilterError, SourceError
from lazyusid.hdf5.handles import lend, lent_count
from lazyusid.hdf5.source import HDF5Source, layout_of, open_source, storage_of
from tests.builders import PathLike, grid_side, write_usid
from tests.opening import LINES, NUMBERS, SPECTRUM, assert_small, open_with, run_python, write_small

MAIN = "/Measurement_000/Channel_000/Raw_Data"
TABLE = "/Measurement_000/Channel_000/Position_Values"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A small h5USID file."""
    path = str(tmp_path / "scan.h5")
    write_small(path, chunks=(2, 2), compression="gzip")
    return path


def source_of(path: str, name: str = MAIN) -> HDF5Source:
    with lend(path) as loan:
        return open_source(loan.file, name)


# ---------------------------------------------------------------------------- reading


def test_a_source_tells_what_it_is(path: str) -> None:
    source = source_of(path)
    assert (source.path, source.name) == (path, MAIN)
    assert (source.shape, source.dtype, source.chunks) == ((6, 2), np.dtype("f4"), (2, 2))
    assert source_of(path, TABLE).chunks is None


def test_a_source_reads_regions(path: str) -> None:
    source, matrix = source_of(path), NUMBERS.reshape(6, 2)
    for region in (np.s_[0:6, 0:2], np.s_[1:4, 1:2], np.s_[5:6, 0:1], np.s_[3:3, 0:2]):
        assert_array_equal(source.read(region), matrix[region])
    assert lent_count() == 0


def test_what_was_read_may_be_changed(path: str) -> None:
    source = source_of(path)
    block = source.read(np.s_[0:1, 0:2])
    block[:] = -1
    assert_array_equal(source.read(np.s_[0:1, 0:2]), NUMBERS.reshape(6, 2)[:1])


def test_a_source_pickles_and_stays_small(path: str) -> None:
    source = source_of(path)
    for pickler in (pickle, cloudpickle):
        carried = pickler.dumps(source)
        assert len(carried) < 2000
        assert_array_equal(pickle.loads(carried).read(np.s_[0:6, 0:2]), NUMBERS.reshape(6, 2))


def test_a_token_names_content(path: str, tmp_path: Path) -> None:
    token = source_of(path).token
    assert source_of(path).token == token
    assert source_of(path, TABLE).token != token
    copy = shutil.copy(path, tmp_path / "copy.h5")
    assert source_of(str(copy)).token != token
    with h5py.File(path, "r+") as file:
        file[MAIN][0, 0] = -1
    os.utime(path, ns=(0, 0))
    assert source_of(path).token != token


def test_a_region_that_cannot_be_decoded_is_named(path: str) -> None:
    with h5py.File(path) as file:
        chunk = file[MAIN].id.get_chunk_info_by_coord((2, 0))
    with open(path, "r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * chunk.size)
    source = source_of(path)
    assert_array_equal(source.read(np.s_[0:2, 0:2]), NUMBERS.reshape(6, 2)[:2])
    with pytest.raises(SourceError, match=r"cannot read \[1:3, 0:2\]") as failed:
        source.read(np.s_[1:3, 0:2])
    assert f"{path}:{MAIN}" in str(failed.value)
    assert failed.value.__cause__ is not None
    assert lent_count() == 0


def test_an_unknown_filter_is_named_when_it_is_needed(path: str) -> None:
    with h5py.File(path, "r+") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((2,))
        properties.set_filter(300, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((2,))
        made = h5py.h5d.create(file.id, b"odd", h5py.h5t.IEEE_F32LE, space, properties)
        made.write_direct_chunk((0,), b"x" * 8)
        assert storage_of(file["odd"]).filters == ("filter 300",)
    with pytest.raises(FilterError, match=r"odd.*300"):
        source_of(path, "/odd").read((slice(0, 2),))


NEVER_WRITTEN = """
import sys
from concurrent.futures import ThreadPoolExecutor
import h5py, numpy as np
from lazyusid.hdf5.reader import open_dataset

with h5py.File(sys.argv[1], "w") as file:
    for name in ("never", "partly"):
        file.create_dataset(name, (100_000, 10_000), "f8", chunks=(64, 64), fillvalue=7)
    file["partly"][64, 64] = 1
source = open_dataset(sys.argv[1], sys.argv[2])

def read(place):
    return bool((source.read(np.s_[64 * place : 64 * place + 1, 0:200]) == 7).all())

assert all(read(place) for place in range(20, 120))
with ThreadPoolExecutor(4) as threads:
    assert all(threads.map(read, range(300, 700)))
print(source.read(np.s_[64:65, 63:66]).tolist())
"""


@pytest.mark.parametrize(("name", "expected"), [("never", [7, 7, 7]), ("partly", [7, 1, 7])])
def test_chunks_that_were_never_written_are_the_fill_value(
    tmp_path: Path, name: str, expected: list[float]
) -> None:
    # in a fresh process: what h5py makes of such a chunk depends on what memory held before
    told = run_python(NEVER_WRITTEN, tmp_path / "data.h5", name)
    assert json.loads(told) == [expected]


# ---------------------------------------------------------------------------- identity


def rewrite(path: PathLike, **options: Any) -> None:
    """Put another file at the path, of the same Main but for what the options say."""
    os.unlink(path)
    write_small(path, **{"chunks": (2, 2), "compression": "gzip", **options})


def other_shape(path: str) -> None:
    os.unlink(path)
    write_usid(path, np.zeros((8, 2)), grid_side((2, 4), ["Y", "X"]), SPECTRUM, chunks=(2, 2))


def other_dtype(path: str) -> None:
    os.unlink(path)
    write_usid(path, NUMBERS.reshape(6, 2).astype("i4"), LINES, SPECTRUM, chunks=(2, 2))


def other_layout(path: str) -> None:
    rewrite(path, chunks=None, compression=None)


def other_chunks(path: str) -> None:
    rewrite(path, chunks=(3, 2))


def other_tables(path: str) -> None:
    with h5py.File(path, "r+") as file:
        file["/Measurement_000/Channel_000/Position_Indices"][...] = LINES.indices[::-1]


def other_timestamp(path: str) -> None:
    with h5py.File(path, "r+") as file:
        file[MAIN].attrs["timestamp"] = "2020_01_01-00_00_00"


def other_file(path: str) -> None:
    shutil.copy(path, f"{path}.copy")
    os.replace(f"{path}.copy", path)


def other_place(path: str) -> None:
    with h5py.File(path, "r+") as file:
        matrix, attrs = file[MAIN][()], dict(file[MAIN].attrs)
        del file[MAIN]
        for number in range(8):  # takes the room of the old header
            file.create_dataset(f"filler {number}", data=np.zeros(4))
        made = file.create_dataset(MAIN, data=matrix, chunks=(2, 2), compression="gzip")
        made.attrs.update(attrs)


def no_dataset(path: str) -> None:
    with h5py.File(path, "r+") as file:
        del file[MAIN]


def no_tables(path: str) -> None:
    with h5py.File(path, "r+") as file:
        for name in list(file[MAIN].parent):
            if name != "Raw_Data":
                del file[MAIN].parent[name]


@pytest.mark.parametrize(
    "replace",
    [
        other_shape,
        other_dtype,
        other_layout,
        other_chunks,
        other_tables,
        other_timestamp,
        other_file,
        other_place,
        no_dataset,
        no_tables,
    ],
)
def test_what_took_the_place_of_a_main_is_not_read(
    path: str, replace: Callable[[str], None]
) -> None:
    main = open_with(path).main
    lazy = main.data.sum()
    assert lazy.compute() == 66
    replace(path)
    for read in (main.read, lazy.compute, main.matrix.compute):
        with pytest.raises(SourceError, match="open it again") as refused:
            read()
        assert (refused.value.path, refused.value.rule) == (MAIN, "identity")
        assert path in str(refused.value)
    assert lent_count() == 0


def test_a_file_that_is_gone_is_a_source_error(path: str) -> None:
    main = open_with(path).main
    os.unlink(path)
    with pytest.raises(SourceError, match="no such file"):
        main.read()


def test_growth_elsewhere_is_no_other_dataset(path: str) -> None:
    main = open_with(path).main
    lazy = main.data.sum()
    with h5py.File(path, "r+") as file:
        file.create_dataset("/Measurement_001/Channel_000/More", data=np.zeros((100, 100)))
        file[MAIN].attrs["comment"] = "a note that was appended"
        for name in range(50):
            file[MAIN].parent.attrs[f"parameter {name}"] = "x" * 50
    assert lazy.compute() == 66
    assert_small(main)


def test_a_value_that_was_edited_in_place_is_seen(path: str) -> None:
    main = open_with(path).main
    lazy = main.data.sum()
    with h5py.File(path, "r+") as file:
        file[MAIN][0, 0] = 100
    assert lazy.compute() == 166
    assert main.read()[0, 0, 0] == 100


def test_axis_values_that_were_corrected_in_place_are_no_other_dataset(path: str) -> None:
    main = open_with(path).main
    with h5py.File(path, "r+") as file:
        file[TABLE][...] = LINES.values * 1e-9
    assert_array_equal(main.read(), NUMBERS)


def test_a_copy_with_another_name_is_read_when_it_is_opened(path: str, tmp_path: Path) -> None:
    copy = shutil.copy(path, tmp_path / "copy.h5")
    os.unlink(path)
    assert_small(open_with(copy).main)


def test_a_symbolic_link_is_kept_as_it_was_given(path: str, tmp_path: Path) -> None:
    link = tmp_path / "link.h5"
    try:
        link.symlink_to(path)
    except OSError:
        pytest.skip("this system lets nobody make symbolic links")
    main = open_with(link).main
    assert main.file == str(link)
    assert_small(main)


# ---------------------------------------------------------------------------- storage


def compact(file: h5py.File) -> h5py.Dataset:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((2, 3))
    return h5py.Dataset(h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, space, properties))


def virtual(file: h5py.File) -> h5py.Dataset:
    source = file.create_dataset("source", data=np.ones((2, 3), "f4"))
    layout = h5py.VirtualLayout((2, 3), "f4")
    layout[...] = h5py.VirtualSource(source)
    return file.create_virtual_dataset("x", layout)


LAYOUTS = {
    "contiguous": lambda file: file.create_dataset("x", (2, 3), "f4"),
    "chunked": lambda file: file.create_dataset("x", (2, 3), "f4", chunks=(1, 3)),
    "compact": compact,
    "virtual": virtual,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_storage_says_how_a_dataset_lies_and_every_layout_is_read(
    tmp_path: Path, layout: str
) -> None:
    path = str(tmp_path / "storage.h5")
    with h5py.File(path, "w") as file:
        dataset = LAYOUTS[layout](file)
        if layout != "virtual":
            dataset[...] = 1
        assert layout_of(dataset) == storage_of(dataset).layout == layout
        assert storage_of(dataset).chunks == dataset.chunks
    assert_array_equal(source_of(path, "/x").read(np.s_[0:2, 1:3]), np.ones((2, 2)))


def test_storage_counts_bytes_on_disk_and_names_filters(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "storage.h5", "w") as file:
        options = {"chunks": (10,), "shuffle": True, "compression": "gzip", "fletcher32": True}
        packed = storage_of(file.create_dataset("packed", data=np.zeros(1000), **options))
        plain = storage_of(file.create_dataset("plain", data=np.zeros(1000)))
        never = storage_of(file.create_dataset("never", (1000,), "f8"))
    assert packed.filters == ("shuffle", "gzip", "fletcher32")
    assert 0 < packed.stored < 8000
    assert (plain.filters, plain.stored) == ((), 8000)
    assert never.stored == 0


NEW_FORMAT = {
    "contiguous": {},
    "one chunk": {"chunks": (6, 2)},
    "fixed array": {"chunks": (4, 2)},
    "packed fixed array": {"chunks": (4, 2), "compression": "gzip", "fletcher32": True},
    "extensible array": {"chunks": (4, 2), "maxshape": (None, 2)},
    "tree": {"chunks": (4, 1), "maxshape": (None, None)},
    "packed tree": {"chunks": (4, 1), "maxshape": (None, None), "compression": "gzip"},
}


@pytest.mark.parametrize("index", NEW_FORMAT)
def test_every_chunk_index_of_the_newest_format_is_read(tmp_path: Path, index: str) -> None:
    path = str(tmp_path / "storage.h5")
    matrix = NUMBERS.reshape(6, 2)
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("x", data=matrix, **NEW_FORMAT[index])
    source = source_of(path, "/x")
    for region in (np.s_[0:6, 0:2], np.s_[3:5, 1:2]):
        assert_array_equal(source.read(region), matrix[region])


@pytest.mark.parametrize("chunks", [None, (2, 2)])
def test_a_file_behind_a_user_block_is_read(tmp_path: Path, chunks: tuple[int, int] | None) -> None:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w", userblock_size=512):
        pass
    write_small(path, mode="a", chunks=chunks)
    path.write_bytes(b"notes" + path.read_bytes()[5:])
    assert_small(open_with(path).main)
