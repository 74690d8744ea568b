"""The files that are read: made once, by blocks, and kept."""

import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from tests.builders import ROLES, Side, fixed_text, grid_side, link_tables

GROUP = "/Measurement_000/Channel_000"
MAIN = f"{GROUP}/Raw_Data"
LABELS = (("Y", "X"), ("Cycle", "Bias"))
UNITS = (("m", "m"), ("", "V"))
BAND_ROWS = 512
LEVEL = 4


@dataclass(frozen=True)
class Case:
    """A file with one Main of Y, X, Cycle, Bias, and the place that single reads ask for.

    Attributes
    ----------
    sizes
        Of Y, X, Cycle, Bias.
    chunks
        Rows and columns of a chunk of the matrix; None where it is contiguous.
    gzip, shuffle
        Filters of its chunks.
    """

    name: str
    folder: Path
    sizes: tuple[int, int, int, int] = (128, 128, 32, 256)
    chunks: tuple[int, int] | None = None
    gzip: bool = False
    shuffle: bool = False
    dtype: str = "f4"

    @property
    def path(self) -> str:
        """The file."""
        return str(self.folder / f"{self.name.replace(' ', '-')}.h5")

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the matrix."""
        return prod(self.sizes[:2]), prod(self.sizes[2:])

    @property
    def nbytes(self) -> int:
        """Bytes of the matrix."""
        return prod(self.sizes) * np.dtype(self.dtype).itemsize

    @property
    def place(self) -> tuple[int, int, int, int]:
        """The pixel of the spectrum, the cycle and bias of the image."""
        y, x, cycle, bias = self.sizes
        return y // 3, x * 2 // 3, cycle // 3, bias // 2

    @property
    def row(self) -> int:
        """The matrix row of the spectrum."""
        return self.place[0] * self.sizes[1] + self.place[1]

    @property
    def column(self) -> int:
        """The matrix column of the image."""
        return self.place[2] * self.sizes[3] + self.place[3]


def cases(folder: Path) -> list[Case]:
    """Return the files of 512 MiB."""
    make = partial(Case, folder=folder)
    return [
        make("contiguous"),
        make("plain 64x2048", chunks=(64, 2048)),
        make("gzip 64x2048", chunks=(64, 2048), gzip=True),
        make("gzip+shuffle 64x2048", chunks=(64, 2048), gzip=True, shuffle=True),
        make("gzip 100x1000", chunks=(100, 1000), gzip=True),
        make("gzip auto", chunks=_automatic((16384, 8192)), gzip=True),
        make("gzip 8kB", chunks=(8, 256), gzip=True),
        make("contiguous complex64", sizes=(128, 128, 16, 256), dtype="c8"),
    ]


def many_chunks(folder: Path) -> Case:
    """Return a file of 100,000 gzip chunks of 64 KiB."""
    return Case("many chunks", folder, (160, 160, 250, 256), (64, 256), gzip=True)


def huge(folder: Path) -> list[Case]:
    """Return sparse files of 16 GiB that hold no data."""
    sizes = (1024, 512, 32, 256)
    never = Case("never written 16GiB", folder, sizes, (64, 2048), gzip=True)
    return [Case("contiguous 16GiB", folder, sizes), never]


def _automatic(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the chunks that h5py chooses for a float32 matrix."""
    with h5py.File("scratch", "w", driver="core", backing_store=False) as file:
        chunks: tuple[int, int] = file.create_dataset("M", shape, "f4", chunks=True).chunks
    return chunks


# ------------------------------------------------------------------------------ making them


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


def warm(paths: Sequence[str]) -> None:
    """Bring files into the page cache."""
    buffer = bytearray(8 << 20)
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def forget(path: str) -> None:
    """Drop a file from the page cache."""
    if hasattr(os, "posix_fadvise"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
