"""Raw reads equal h5py's on every layout, fetch each chunk once, and are never stale."""

import itertools
import os
import tracemalloc

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lazyusid
from lazyusid.hdf5 import chunks, disk
from tests.builders import grid_side, write_usid

MAIN = "/Measurement_000/Channel_000/Raw_Data"
COMPOUND = np.dtype([("Amplitude [V]", "f4"), ("count", "i2"), ("z", "c8")])
DTYPES = ["<f4", ">f4", "f2", "f8", "c16", "?", "u1", ">i2", COMPOUND]


def values(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 2, (*shape, np.dtype(dtype).itemsize), np.uint8)
    if np.dtype(dtype).kind == "b":
        return raw[..., 0].astype(bool)
    return raw.view(dtype)[..., 0]


def write_main(path, data, **storage):
    """Write `data` as a Main whose dataset is stored just so."""
    rows, columns = (max(size, 1) for size in data.shape)
    sides = grid_side((rows,), labels=("Y",)), grid_side((columns,), labels=("Bias",))
    write_usid(path, np.zeros((rows, columns), "f4"), *sides)
    with h5py.File(path, "r+") as file:
        attrs = dict(file[MAIN].attrs)
        del file[MAIN]
        dataset = file.create_dataset(MAIN, data=data, **storage)
        dataset.attrs.update(attrs)


def both(path, region):
    """Read a region of the matrix raw and through h5py."""
    return [
        lazyusid.open(path, engine=engine).main._source.read(region) for engine in ("raw", "h5py")
    ]


@st.composite
def stored(draw):
    shape = draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))
    storage = {}
    if draw(st.booleans()):
        storage["chunks"] = draw(st.tuples(*(st.integers(1, size) for size in shape)))
        storage["shuffle"] = draw(st.booleans())
        storage["fletcher32"] = draw(st.booleans())
        storage["compression"] = draw(st.sampled_from([None, "gzip", "lzf"]))
    region = tuple(
        slice(*sorted((draw(st.integers(0, size)), draw(st.integers(0, size))))) for size in shape
    )
    return shape, storage, draw(st.sampled_from(DTYPES)), region


@settings(max_examples=150, deadline=None)
@given(case=stored())
def test_raw_reads_equal_those_of_h5py(case, tmp_path_factory):
    shape, storage, dtype, region = case
    path = tmp_path_factory.mktemp("raw") / "scan.h5"
    data = values(shape, dtype)
    write_main(path, data, **storage)
    raw, through_h5py = both(path, region)
    assert raw.dtype == through_h5py.dtype == data.dtype
    assert raw.tobytes() == through_h5py.tobytes() == data[region].tobytes()


@pytest.mark.parametrize("written", [(), ((0, 0),), ((8, 8), (0, 16))])
@pytest.mark.parametrize("fill", [None, 7.5])
def test_chunks_never_written_hold_the_fill_value(tmp_path, written, fill):
    path = tmp_path / "scan.h5"
    write_main(path, np.zeros((20, 20), "f4"), chunks=(8, 8), fillvalue=fill)
    with h5py.File(path, "r+") as file:
        attrs = dict(file[MAIN].attrs)
        del file[MAIN]
        dataset = file.create_dataset(
            MAIN, (20, 20), "f4", chunks=(8, 8), compression="gzip", fillvalue=fill
        )
        dataset.attrs.update(attrs)
        for row, column in written:
            dataset[row : row + 4, column : column + 3] = 1
    raw, through_h5py = both(path, (slice(0, 20), slice(1, 19)))
    np.testing.assert_array_equal(raw, through_h5py)
    assert (raw == (fill or 0)).any()


@pytest.mark.parametrize("when", [h5py.h5d.ALLOC_TIME_EARLY, h5py.h5d.ALLOC_TIME_LATE, None])
@pytest.mark.parametrize("layout", ["contiguous", "chunked"])
def test_allocation_times_make_no_difference(tmp_path, layout, when):
    path = tmp_path / "scan.h5"
    write_main(path, np.zeros((9, 7), "f4"))
    with h5py.File(path, "r+") as file:
        attrs = dict(file[MAIN].attrs)
        del file[MAIN]
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        if layout == "chunked":
            properties.set_chunk((4, 4))
        if when is not None:
            properties.set_alloc_time(when)
        properties.set_fill_value(np.array(3, "f4"))
        space = h5py.h5s.create_simple((9, 7))
        group = file["Measurement_000/Channel_000"].id
        h5py.h5d.create(group, b"Raw_Data", h5py.h5t.IEEE_F32LE, space, properties)
        file[MAIN].attrs.update(attrs)
    raw, through_h5py = both(path, (slice(0, 9), slice(0, 7)))
    np.testing.assert_array_equal(raw, through_h5py)
    assert (raw == 3).all()


def test_a_resized_dataset_and_a_chunk_larger_than_it(tmp_path):
    path = tmp_path / "scan.h5"
    write_main(path, values((12, 10), "f4"), chunks=(50, 40), maxshape=(None, None))
    np.testing.assert_array_equal(*both(path, (slice(2, 12), slice(0, 9))))
    with h5py.File(path, "r+") as file:
        file[MAIN].resize((12, 10))
        file[MAIN][3:5] = -1
    np.testing.assert_array_equal(*both(path, (slice(0, 12), slice(0, 10))))


def test_per_chunk_filter_masks(tmp_path):
    """A chunk whose gzip was skipped lies in the file as it is."""
    path = tmp_path / "scan.h5"
    write_main(path, np.zeros((8, 8), "f4"), chunks=(4, 8), compression="gzip", shuffle=True)
    plain = values((4, 8), "f4")
    with h5py.File(path, "r+") as file:
        file[MAIN].id.write_direct_chunk((4, 0), plain.tobytes(), filter_mask=0b11)
    raw, through_h5py = both(path, (slice(0, 8), slice(0, 8)))
    np.testing.assert_array_equal(raw, through_h5py)
    np.testing.assert_array_equal(raw[4:], plain)


def test_a_user_block_and_unusual_types_are_left_to_h5py(tmp_path):
    path = tmp_path / "scan.h5"
    data = values((6, 5), "f4")
    write_main(path, data)
    shifted = tmp_path / "user_block.h5"
    shifted.write_bytes(b"\0" * 512)
    with h5py.File(path) as source, h5py.File(shifted, "w", userblock_size=512) as target:
        source.copy("Measurement_000", target)
        channel = target["Measurement_000/Channel_000"]
        for name in ("Position", "Spectroscopic"):
            for table in ("Indices", "Values"):
                channel["Raw_Data"].attrs[f"{name}_{table}"] = channel[f"{name}_{table}"].ref
    main = lazyusid.open(shifted).main
    assert main.storage.engine == "h5py (user block)"
    np.testing.assert_array_equal(main.read(), data)


def corrupt(path, where, flip):
    data = bytearray(path.read_bytes())
    data[where] ^= flip
    path.write_bytes(bytes(data))


def test_a_damaged_chunk_is_a_source_error_that_names_file_dataset_and_chunk(tmp_path):
    path = tmp_path / "scan.h5"
    write_main(path, values((8, 8), "f8"), chunks=(4, 8), compression="gzip")
    with h5py.File(path) as file:
        info = file[MAIN].id.get_chunk_info_by_coord((4, 0))
    corrupt(path, info.byte_offset + 1, 0xFF)
    main = lazyusid.open(path).main
    np.testing.assert_array_equal(main.read((slice(0, 4),)), values((8, 8), "f8")[:4])
    with pytest.raises(lazyusid.SourceError, match=r"scan\.h5:/Mea.*Raw_Data.*\(4, 0\)"):
        main.read()


def test_a_file_cut_short_is_a_source_error(tmp_path):
    path = tmp_path / "scan.h5"
    data = values((64, 512), "f8")
    write_main(path, data)
    main = lazyusid.open(path).main
    with h5py.File(path) as file:
        end = file[MAIN].id.get_offset() + data.nbytes
    whole = path.read_bytes()
    with open(path, "r+b") as file:
        file.truncate(end - 1000)
    with pytest.raises(lazyusid.SourceError):
        main.read()
    path.write_bytes(whole)


STORAGES = {
    "contiguous": {},
    "chunked": {"chunks": (4, 8)},
    "gzip": {"chunks": (4, 8), "compression": "gzip"},
}


@pytest.mark.parametrize("storage", STORAGES)
def test_a_value_changed_through_an_open_handle_is_seen(tmp_path, storage):
    path = tmp_path / "scan.h5"
    write_main(path, np.zeros((8, 8), "f8"), **STORAGES[storage])
    lazy = lazyusid.open(path).main.data
    assert lazy.sum().compute() == 0
    with h5py.File(path, "r+") as file:
        file[MAIN][3, 5] = 2
        assert lazy.sum().compute() == 2
        file[MAIN][...] = 1
        assert lazy.sum().compute() == 64
    assert lazy.sum().compute() == 64


def test_a_chunk_that_moves_while_a_handle_is_open_is_read_where_it_is_now(tmp_path):
    """Rewritten, a gzip chunk may move; its old bytes would inflate cleanly to old data."""
    path = tmp_path / "scan.h5"
    write_main(path, np.zeros((8, 64), "f8"), chunks=(4, 64), compression="gzip")
    lazy = lazyusid.open(path).main.data
    assert lazy.sum().compute() == 0
    noise = np.random.default_rng(0).random((4, 64))
    with h5py.File(path, "r+") as file:
        before = file[MAIN].id.get_chunk_info_by_coord((0, 0)).byte_offset
        file[MAIN][:4] = noise
        file.flush()
        assert file[MAIN].id.get_chunk_info_by_coord((0, 0)).byte_offset != before
        np.testing.assert_array_equal(lazy[:4].compute(), noise)
    np.testing.assert_array_equal(lazy[:4].compute(), noise)


@pytest.fixture
def requests(monkeypatch):
    """The requests that reach the file, as (offset, bytes)."""
    made = []

    def counted(fd, offset, out, read=disk.read_bytes):
        made.append((offset, out.nbytes))
        read(fd, offset, out)

    monkeypatch.setattr(disk, "read_bytes", counted)
    monkeypatch.setattr(chunks, "read_bytes", counted)
    return made


needs_pread = pytest.mark.skipif(not disk.CAN_PREAD, reason="this system has no preadv")


@needs_pread
def test_neighbouring_chunks_are_one_request(tmp_path, requests):
    path = tmp_path / "scan.h5"
    write_main(path, values((400, 64), "f4"), chunks=(4, 16), compression="gzip")
    with h5py.File(path) as file:
        stored = file[MAIN].id.get_storage_size()
    main = lazyusid.open(path).main
    requests.clear()
    main.data.sum().compute(scheduler="single-threaded")
    assert main.plan.tasks == 1
    assert len(requests) <= 2
    assert stored <= sum(size for _, size in requests) < 1.1 * stored
    assert len(requests) <= main.plan.requests


@needs_pread
def test_one_image_of_a_contiguous_map_is_not_one_request_a_pixel(tmp_path, requests):
    path = tmp_path / "scan.h5"
    data = values((4096, 256), "f4")
    write_main(path, data)
    main = lazyusid.open(path).main
    requests.clear()
    np.testing.assert_array_equal(main.read((slice(None), 5)), data[:, 5])
    assert len(requests) <= 4


@needs_pread
def test_a_value_reads_one_chunk_and_a_spectrum_its_row_of_chunks(tmp_path, monkeypatch):
    path = tmp_path / "scan.h5"
    write_main(path, values((400, 64), "f4"), chunks=(4, 16), compression="gzip")
    asked = []
    ask = chunks.RawChunks._ask
    monkeypatch.setattr(
        chunks.RawChunks, "_ask", lambda self, start: asked.append(start) or ask(self, start)
    )
    main = lazyusid.open(path).main
    main.read((201, 17))
    assert asked == [(200, 16)]
    asked.clear()
    main.read(201)
    assert asked == [(200, column) for column in (0, 16, 32, 48)]


def test_no_chunk_is_decoded_twice_in_a_full_read(tmp_path, monkeypatch):
    path = tmp_path / "scan.h5"
    write_main(path, values((400, 64), "f4"), chunks=(7, 13), compression="gzip")
    decoded = []
    decode = chunks.Decoder.decode

    def counted(self, stored, skipped, out):
        decoded.append(len(stored))
        return decode(self, stored, skipped, out)

    monkeypatch.setattr(chunks.Decoder, "decode", counted)
    lazyusid.open(path).main.data.sum().compute(scheduler="single-threaded")
    assert len(decoded) == -(-400 // 7) * -(-64 // 13)


def test_without_preadv_the_results_are_the_same(tmp_path, monkeypatch):
    """As on Windows: stored chunks come through HDF5, contiguous data through h5py."""
    monkeypatch.delattr(os, "preadv", raising=False)
    for module in ("lazyusid.hdf5.disk", "lazyusid.hdf5.chunks", "lazyusid.hdf5.source"):
        monkeypatch.setattr(f"{module}.CAN_PREAD", False)
    engines = {"contiguous": "h5py (no pread on this system)"}
    for name, storage in STORAGES.items():
        path = tmp_path / f"{name}.h5"
        data = values((40, 33), "f4")
        write_main(path, data, **storage)
        main = lazyusid.open(path).main
        assert main.storage.engine == engines.get(name, "raw chunks")
        np.testing.assert_array_equal(main.read(), data)
        np.testing.assert_array_equal(main.data[3:9, ::2].compute(), data[3:9, ::2])


def test_raw_is_refused_where_only_hdf5_can_read(tmp_path):
    path = tmp_path / "scan.h5"
    write_main(path, np.ones((8, 8), "i4"), chunks=(4, 4), scaleoffset=0)
    main = lazyusid.open(path, engine="raw").main
    with pytest.raises(lazyusid.SourceError, match="scaleoffset"):
        main.read()


def test_runs_hold_each_piece_once_and_stay_within_a_request():
    rng = np.random.default_rng(0)
    offsets = np.sort(rng.choice(10**8, 500, replace=False)).astype(np.int64)
    sizes = rng.integers(1, 10**5, 500)
    order = rng.permutation(500)
    found = [run.tolist() for run in disk.runs(offsets[order], sizes[order])]
    assert sorted(itertools.chain(*found)) == list(range(500))
    for run in found:
        span = (offsets + sizes)[order][run].max() - offsets[order][run].min()
        assert span <= disk.REQUEST_BYTES or len(run) == 1


def test_an_eager_read_needs_little_more_memory_than_its_array(tmp_path):
    path = tmp_path / "scan.h5"
    write_main(path, np.zeros((4096, 2048), "f4"), chunks=(64, 512), compression="gzip")
    main = lazyusid.open(path).main
    main.read((0, 0))
    tracemalloc.start()
    found = main.read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.nbytes == 32 << 20
    assert peak <= 1.15 * found.nbytes


@needs_pread
def test_plain_chunks_are_read_straight_to_where_they_belong(tmp_path, monkeypatch):
    """Whole chunks in one request each, without passing a buffer; cut ones as ever."""
    path = tmp_path / "scan.h5"
    data = values((2050, 24), "f4")
    write_main(path, data, chunks=(1030, 8))
    scattered = []

    def counted(fd, offset, rows, scatter=disk.scatter_rows):
        scattered.append(rows.shape)
        scatter(fd, offset, rows)

    monkeypatch.setattr(chunks, "scatter_rows", counted)
    np.testing.assert_array_equal(lazyusid.open(path).main.read(), data)
    assert scattered == [(1030, 32)] * 3
