"""The files that are read: made once, by blocks, and kept."""

import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.cases import GROUP, Case, many_chunks
from tests.builders import ROLES, Side, fixed_text, grid_side, link_tables

LABELS = (("Y", "X"), ("Cycle", "Bias"))
UNITS = (("m", "m"), ("", "V"))
BAND_ROWS = 512
LEVEL = 4


def make(case: Case) -> None:
    """Write the file, unless it is there."""
    if os.path.exists(case.path):
        return
    case.folder.mkdir(parents=True, exist_ok=True)
    unfinished = f"{case.path}.part"
    with h5py.File(unfinished, "w") as file:
        dataset = _create(file, case)
        if case.name == "many chunks":
            _repeat_chunk(dataset)
        elif case.name == "never written 16GiB":
            dataset.id.write_direct_chunk((0, 0), _packed(np.zeros(case.chunks, "f4"), case))
        elif case.name != "contiguous 16GiB":
            _fill(dataset, case)
    os.replace(unfinished, case.path)


def _create(file: h5py.File, case: Case) -> h5py.Dataset:
    group = file.create_group(GROUP)
    for role, sizes, labels, units in zip(
        ROLES, (case.sizes[:2], case.sizes[2:]), LABELS, UNITS, strict=True
    ):
        values = [np.linspace(0, 1, size) for size in sizes]
        _write_tables(group, role, grid_side(sizes, labels, units, values))
    dataset = _create_main(group, case)
    dataset.attrs.update({"quantity": "Counts", "units": "1"})
    link_tables(dataset, group)
    return dataset


def _create_main(group: h5py.Group, case: Case) -> h5py.Dataset:
    if case.chunks is not None:
        options = {"compression": "gzip", "compression_opts": LEVEL} if case.gzip else {}
        return group.create_dataset(
            "Raw_Data", case.shape, case.dtype, chunks=case.chunks, shuffle=case.shuffle, **options
        )
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    kind = h5py.h5t.py_create(np.dtype(case.dtype), logical=True)
    space = h5py.h5s.create_simple(case.shape)
    return h5py.Dataset(h5py.h5d.create(group.id, b"Raw_Data", kind, space, properties))


def _write_tables(group: h5py.Group, role: str, side: Side) -> None:
    for what, table, dtype in (("Indices", side.indices, "u4"), ("Values", side.values, "f4")):
        stored = table.T if role == "Spectroscopic" else table
        dataset = group.create_dataset(f"{role}_{what}", data=stored.astype(dtype))
        dataset.attrs.update({"labels": fixed_text(side.labels), "units": fixed_text(side.units)})


def _bands(case: Case) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield the first row and the rows of bands that are whole chunks high; always the same."""
    height = case.chunks[0] if case.chunks else 1
    step = -(-BAND_ROWS // height) * height
    make_row = partial(_counts, columns=case.shape[1], dtype=case.dtype)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, case.shape[0], step):
            rows = range(first, min(first + step, case.shape[0]))
            yield first, np.stack(list(pool.map(make_row, rows)))


def _counts(row: int, columns: int, dtype: str) -> NDArray[Any]:
    """Return counting noise on a peak that wanders from row to row."""
    numbers = columns * np.dtype(dtype).itemsize // 4
    bias = np.linspace(-1, 1, 256)
    peak = 20 + 300 * np.exp(-(((bias - 0.5 * np.sin(row / 700)) / 0.15) ** 2))
    rng = np.random.default_rng(row)
    return rng.poisson(np.tile(peak, numbers // 256)).astype("f4").view(dtype)


def _fill(dataset: h5py.Dataset, case: Case) -> None:
    for first, band in _bands(case):
        if case.gzip:
            _write_packed(dataset, case, first, band)
        else:
            dataset[first : first + len(band)] = band


def _write_packed(dataset: h5py.Dataset, case: Case, first: int, band: NDArray[Any]) -> None:
    """Pack the chunks of a band on all cores, exactly as HDF5 would, and write them."""
    height, width = dataset.chunks
    tops, lefts = range(0, len(band), height), range(0, band.shape[1], width)
    starts = list(product(tops, lefts))

    def pack(start: tuple[int, int]) -> bytes:
        part = band[start[0] : start[0] + height, start[1] : start[1] + width]
        missing = [(0, edge - size) for edge, size in zip(dataset.chunks, part.shape, strict=True)]
        return _packed(np.pad(part, missing), case)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (top, left), data in zip(starts, pool.map(pack, starts), strict=True):
            dataset.id.write_direct_chunk((first + top, left), data)


def _packed(chunk: NDArray[Any], case: Case) -> bytes:
    stored = np.ascontiguousarray(chunk).view(np.uint8)
    if case.shuffle:
        stored = stored.reshape(-1, chunk.itemsize).T
    return zlib.compress(stored.tobytes(), LEVEL)


def _repeat_chunk(dataset: h5py.Dataset) -> None:
    """Write the same packed chunk everywhere."""
    case = replace(many_chunks(Path()), sizes=(8, 8, 1, 256))
    data = _packed(next(_bands(case))[1], case)
    height, width = dataset.chunks
    for top in range(0, dataset.shape[0], height):
        for left in range(0, dataset.shape[1], width):
            dataset.id.write_direct_chunk((top, left), data)


def warm(path: str) -> None:
    """Bring a file into the page cache."""
    buffer = bytearray(8 << 20)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def forget(path: str) -> None:
    """Drop a file from the page cache."""
    if hasattr(os, "posix_fadvise"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
