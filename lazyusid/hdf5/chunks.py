"""Readers of one dataset of an open file, each filling a region of an array.

They live no longer than the open handle they were made from, and neither do chunk addresses.
`RawChunks` asks HDF5 only for stored bytes or where they lie, and decodes in the caller's thread;
`RawContiguous` reads past HDF5 altogether; `ThroughHDF5` leaves everything to h5py.
"""

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import product
from math import prod
from typing import Any, NamedTuple, Protocol

import h5py
import numpy as np

from lazyusid.hdf5.disk import (
    CAN_PREAD,
    Bytes,
    read_bytes,
    read_strided,
    runs,
    scatter_rows,
    scratch,
)
from lazyusid.hdf5.filters import DecodeError, Decoder, Pipeline
from lazyusid.protocols import Array, Region, extent

SMALL_BYTES = 32 << 10
"""Chunks below this decode faster in turns: threads would spend their time passing the GIL."""

INDEX_SHARE = 16
"""Once a sixteenth of all chunks was asked for one by one, listing all of them is cheaper."""


_in_turns = threading.Lock()


class Reader(Protocol):
    """Something that fills arrays with regions of one dataset."""

    def read_into(self, region: Region, out: Array) -> None:
        """Fill `out`, C-contiguous and of the shape of `region`, with the elements there."""


class ThroughHDF5:
    """Reads through h5py: right for every layout, one thread at a time."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset

    def read_into(self, region: Region, out: Array) -> None:
        """Fill `out` with the elements of `region`."""
        out[...] = self._dataset[region]


class RawContiguous:
    """Reads the bytes of a contiguous dataset where they lie."""

    def __init__(self, dataset: h5py.Dataset, fd: int) -> None:
        self._dataset = dataset
        self._fd = fd
        self._offset = dataset.id.get_offset()

    def read_into(self, region: Region, out: Array) -> None:
        """Fill `out` with the elements of `region`; contiguous runs straight from the disk."""
        if self._offset is None:
            out[...] = self._dataset.fillvalue
            return
        sizes, shape = extent(region), self._dataset.shape
        strides = [out.itemsize * prod(shape[axis + 1 :]) for axis in range(len(shape))]
        cut = max((axis for axis, size in enumerate(sizes) if size != shape[axis]), default=0)
        width = sizes[cut] * strides[cut]
        lines = sizes[:cut] or (1,)
        rows = as_bytes(out).reshape(*lines, width)
        first = self._offset + _at([part.start for part in region], strides)
        for place in np.ndindex(lines[:-1]):
            at = first + _at(place, strides)
            read_strided(self._fd, at, strides[cut - 1] if cut else width, rows[place])


class _Piece(NamedTuple):
    """A chunk that a region touches: its first element, what to take of it, where to put it."""

    start: tuple[int, ...]
    take: tuple[slice, ...]
    put: tuple[slice, ...]
    whole: bool


Stored = tuple[int, Bytes | None, int]
"""A chunk's place in a list of pieces, its stored bytes (None: never written), its filter mask."""


class RawChunks:
    """Fetches the stored bytes of chunks and decodes them in the caller's thread."""

    def __init__(self, dataset: h5py.Dataset, fd: int, pipeline: Pipeline) -> None:
        self._dataset = dataset
        self._fd = fd
        self._pipeline = pipeline
        self._chunk: tuple[int, ...] = dataset.chunks
        grid = zip(dataset.shape, self._chunk, strict=True)
        self._total = prod(-(-size // edge) for size, edge in grid)
        self._complete = dataset.id.get_num_chunks() == self._total
        self._asked = 0
        self._index: dict[tuple[int, ...], Any] | None = None
        self._guard = threading.Lock()

    def read_into(self, region: Region, out: Array) -> None:
        """Fill `out` with the elements of `region`; every chunk is fetched and decoded once."""
        size = prod(self._chunk) * out.itemsize
        with _in_turns if size < SMALL_BYTES else nullcontext():
            self._decode_into(region, out, size)

    def _decode_into(self, region: Region, out: Array, size: int) -> None:
        decode = Decoder(self._pipeline, size).decode
        spare_bytes = scratch("chunk", size)
        spare = spare_bytes.view(out.dtype).reshape(self._chunk)
        lines_up = out.shape[1:] == self._chunk[1:]
        pieces = self._pieces(region)
        if not self._pipeline and size >= SMALL_BYTES and out.ndim == 2:
            pieces = self._scatter(pieces, out, size)
        for place, stored, skipped in self._fetch(pieces):
            start, take, put, whole = pieces[place]
            straight = whole and lines_up
            target = as_bytes(out[put]) if straight else spare_bytes
            if stored is None:
                out[put] = self._dataset.fillvalue
                continue
            try:
                chunk = decode(stored, skipped, target)
            except DecodeError as error:
                raise DecodeError(f"chunk at {start}: {error}") from error
            if chunk is not target:
                out[put] = chunk.view(out.dtype).reshape(self._chunk)[take]
            elif not straight:
                out[put] = spare[take]

    def _scatter(self, pieces: list[_Piece], out: Array, size: int) -> list[_Piece]:
        """Read unfiltered chunks straight to where they belong; return those that are left."""
        index = self._addresses(len(pieces)) if CAN_PREAD else None
        left = []
        for piece in pieces:
            info = index.get(piece.start) if index and piece.whole else None
            if info is None or info.size != size:
                left.append(piece)
            else:
                scatter_rows(self._fd, info.byte_offset, out[piece.put].view(np.uint8))
        return left

    def _pieces(self, region: Region) -> list[_Piece]:
        axes = []
        for part, edge in zip(region, self._chunk, strict=True):
            starts = range(part.start // edge * edge, part.stop, edge)
            axes.append([_cut(part, start, edge) for start in starts])
        return [
            _Piece(start, take, put, all(whole))
            for start, take, put, whole in (zip(*cuts, strict=True) for cuts in product(*axes))
        ]

    def _fetch(self, pieces: list[_Piece]) -> Iterator[Stored]:
        index = self._addresses(len(pieces))
        if index is None:
            for place, piece in enumerate(pieces):
                yield place, *self._ask(piece.start)
            return
        found = [(place, index.get(piece.start)) for place, piece in enumerate(pieces)]
        written = [(place, info) for place, info in found if info is not None]
        yield from ((place, None, 0) for place, info in found if info is None)
        if not CAN_PREAD:
            for place, info in written:
                yield place, *self._ask(info.chunk_offset)
            return
        offsets = np.array([info.byte_offset for _, info in written], np.int64)
        sizes = np.array([info.size for _, info in written], np.int64)
        for run in runs(offsets, sizes):
            begin = int(offsets[run[0]])
            fetched = scratch("disk", int(offsets[run[-1]] + sizes[run[-1]]) - begin)
            read_bytes(self._fd, begin, fetched)
            for member in run.tolist():
                place, info = written[member]
                first = info.byte_offset - begin
                yield place, fetched[first : first + info.size], info.filter_mask

    def _addresses(self, count: int) -> dict[tuple[int, ...], Any] | None:
        """Return where all chunks lie, or None while asking HDF5 for single ones is cheaper.

        HDF5 finds one chunk fast only to read it; to say where it lies it goes through them all.
        Asked to read a chunk that was never written it gives whatever lay in memory, so that where
        there are such chunks all are listed first.
        """
        with self._guard:
            self._asked += count
            many = CAN_PREAD and self._asked * INDEX_SHARE >= self._total
            if self._index is None and (many or not self._complete):
                listed: list[Any] = []
                self._dataset.id.chunk_iter(listed.append)
                self._index = {info.chunk_offset: info for info in listed}
            return self._index if CAN_PREAD or not self._complete else None

    def _ask(self, start: tuple[int, ...]) -> tuple[Bytes, int]:
        """Return the stored bytes of one chunk that was written, and its filter mask."""
        skipped, data = self._dataset.id.read_direct_chunk(start)
        return np.frombuffer(data, np.uint8), skipped


def as_bytes(array: Array) -> Bytes:
    """Return a C-contiguous array as the bytes it is made of."""
    return array.reshape(-1).view(np.uint8)


def _cut(part: slice, start: int, edge: int) -> tuple[int, slice, slice, bool]:
    """Return along one axis what of the chunk at `start` lies in `part`, and where it goes."""
    first, last = max(part.start, start), min(part.stop, start + edge)
    take, put = slice(first - start, last - start), slice(first - part.start, last - part.start)
    return start, take, put, last - first == edge


def _at(place: Any, strides: list[int]) -> int:
    return sum(index * stride for index, stride in zip(place, strides, strict=False))
