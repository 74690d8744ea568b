"""Each decoder on chunks that h5py and hdf5plugin really wrote; damaged ones are refused."""

import h5py
import hdf5plugin
import numpy as np
import pytest

import lazyusid
from lazyusid.hdf5.filters import (
    DecodeError,
    Decoder,
    Filter,
    decodable,
    pipeline_of,
    unknown,
)
from tests.builders import grid_side, write_usid

EDGE = (8, 13)
PACKINGS = {
    "gzip": {"compression": "gzip"},
    "gzip+shuffle": {"compression": "gzip", "shuffle": True},
    "shuffle": {"shuffle": True},
    "fletcher32": {"fletcher32": True},
    "gzip+shuffle+fletcher32": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"compression": "lzf"},
    "lzf+shuffle": {"compression": "lzf", "shuffle": True},
    "szip nn": {"compression": "szip", "compression_opts": ("nn", 16)},
    "szip ec": {"compression": "szip", "compression_opts": ("ec", 8)},
    "zstd": dict(hdf5plugin.Zstd()),
    "lz4": dict(hdf5plugin.LZ4()),
    "lz4 in blocks": dict(hdf5plugin.LZ4(nbytes=4096)),
    "blosc lz4": dict(hdf5plugin.Blosc()),
    "blosc zstd bitshuffled": dict(hdf5plugin.Blosc(cname="zstd", shuffle=2)),
    "bitshuffle lz4": dict(hdf5plugin.Bitshuffle()),
    "bitshuffle zstd": dict(hdf5plugin.Bitshuffle(cname="zstd")),
    "bitshuffle lz4 in blocks": dict(hdf5plugin.Bitshuffle(nelems=64)),
}
LEFT_TO_HDF5 = {
    "bitshuffle alone": dict(hdf5plugin.Bitshuffle(cname="none")),
    "blosc2": dict(hdf5plugin.Blosc2()),
    "scaleoffset": {"scaleoffset": 2},
}
DTYPES = ("<f4", ">f4", "f2", "u1", "i2", "f8", "c16")


def values(kind, dtype, shape=(40, 65)):
    noise = np.random.default_rng(0).random(shape) * 50
    return (noise if kind == "noise" else np.zeros(shape)).astype(dtype)


def stored_chunk(tmp_path, packing, data):
    """Write `data`, and return the pipeline, filter mask and bytes of the second chunk."""
    with h5py.File(tmp_path / "chunk.h5", "w") as file:
        dataset = file.create_dataset("d", data=data, chunks=EDGE, **packing)
        skipped, raw = dataset.id.read_direct_chunk(EDGE)
        return pipeline_of(dataset), skipped, np.frombuffer(raw, np.uint8)


@pytest.mark.parametrize("kind", ["noise", "zeros"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("packing", PACKINGS)
def test_a_decoder_gives_what_was_written(tmp_path, packing, dtype, kind):
    data = values(kind, dtype)
    if packing.startswith("szip") and np.dtype(dtype).kind == "c":
        pytest.skip("szip does not take compound types")
    pipeline, skipped, raw = stored_chunk(tmp_path, PACKINGS[packing], data)
    assert decodable(pipeline)
    out = np.full(data[:8, :13].nbytes, 0xAA, np.uint8)
    found = Decoder(pipeline, out.size).decode(raw, skipped, out)
    np.testing.assert_array_equal(found.view(dtype).reshape(EDGE), data[8:16, 13:26])


@pytest.mark.parametrize("packing", LEFT_TO_HDF5)
def test_a_pipeline_that_no_decoder_knows_is_left_to_hdf5(tmp_path, packing):
    data = values("noise", "f4")
    path = tmp_path / "scan.h5"
    side = grid_side((40,), labels=("Y",)), grid_side((65,), labels=("Bias",))
    write_usid(path, data, *side)
    with h5py.File(path, "r+") as file:
        group = file["Measurement_000/Channel_000"]
        attrs = dict(group["Raw_Data"].attrs)
        del group["Raw_Data"]
        dataset = group.create_dataset("Raw_Data", data=data, chunks=EDGE, **LEFT_TO_HDF5[packing])
        dataset.attrs.update(attrs)
        assert not decodable(pipeline_of(dataset))
    with h5py.File(path) as file:
        expected = file["Measurement_000/Channel_000/Raw_Data"][...]
    main = lazyusid.open(path).main
    assert main.storage.engine.startswith("h5py (")
    np.testing.assert_array_equal(main.read(), expected)


@pytest.mark.parametrize("packing", [name for name in PACKINGS if name != "shuffle"])
def test_damaged_or_short_bytes_never_give_a_chunk_in_silence(tmp_path, packing):
    """A cut chunk is refused; so is a flipped bit wherever the filter keeps a checksum."""
    pipeline, skipped, raw = stored_chunk(tmp_path, PACKINGS[packing], values("noise", "f4"))
    out = np.empty(8 * 13 * 4, np.uint8)
    with pytest.raises(DecodeError):
        Decoder(pipeline, out.size).decode(raw[: len(raw) // 2], skipped, out)
    if "fletcher32" in packing:
        flipped = raw.copy()
        flipped[len(raw) // 3] ^= 4
        with pytest.raises(DecodeError, match="checksum"):
            Decoder(pipeline, out.size).decode(flipped, skipped, out)


def test_an_unfiltered_chunk_must_have_its_exact_size():
    out = np.empty(16, np.uint8)
    for size in (15, 17):
        with pytest.raises(DecodeError, match=f"{size} bytes instead of 16"):
            Decoder((), 16).decode(np.zeros(size, np.uint8), 0, out)


def test_an_inflated_chunk_must_have_its_exact_length(tmp_path):
    pipeline, skipped, raw = stored_chunk(tmp_path, PACKINGS["gzip"], values("noise", "f4"))
    for size in (8 * 13 * 4 - 4, 8 * 13 * 4 + 4):
        with pytest.raises(DecodeError):
            Decoder(pipeline, size).decode(raw, skipped, np.empty(size, np.uint8))


def test_a_filter_mask_skips_its_filters():
    pipeline = (Filter(2, (4,)), Filter(1, (4,)))
    data = np.arange(16, dtype=np.uint8)
    out = np.empty(16, np.uint8)
    decoder = Decoder(pipeline, 16)
    np.testing.assert_array_equal(decoder.decode(data, 0b11, out), data)
    shuffled = data.reshape(4, 4).T.ravel()
    np.testing.assert_array_equal(decoder.decode(shuffled, 0b10, out), data)


def test_a_filter_nobody_knows_is_named_with_what_to_install():
    assert [step.code for step in unknown((Filter(1, ()), Filter(40000, ())))] == [40000]
    assert unknown((Filter(32013, ()),)) == []


def rewrite_filter_number(path, old, new):
    """Give a filter of a file another number, as a file from a lab with its own filter has."""
    data = path.read_bytes()
    needle = old.to_bytes(2, "little")
    with h5py.File(path) as file:
        name = file["Measurement_000/Channel_000/Raw_Data"].id.get_create_plist().get_filter(0)[3]
    at = data.index(name)
    place = data.rindex(needle, 0, at)
    path.write_bytes(data[:place] + new.to_bytes(2, "little") + data[place + 2 :])


def test_an_unknown_filter_is_a_finding_at_open_and_an_error_when_data_is_asked_for(tmp_path):
    path = tmp_path / "scan.h5"
    side = grid_side((40,), labels=("Y",)), grid_side((65,), labels=("Bias",))
    write_usid(path, values("noise", "f4"), *side, chunks=EDGE, compression="lzf")
    rewrite_filter_number(path, 32000, 40000)
    with pytest.warns(lazyusid.UsidWarning, match="number 40000"):
        main = lazyusid.open(path).main
    assert main.shape == (40, 65)
    with pytest.raises(lazyusid.FilterError, match="40000"):
        main.read()
