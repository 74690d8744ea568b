"""The limit: bare loops of pread and inflate on the same threads, with nothing around them.

Where chunks lie is listed beforehand and not timed. Contiguous matrices are read in bands of rows.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import h5py
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.cases import MAIN, Case

Array = NDArray[Any]
Fetch = Callable[[int, int, Array], None]
"""Fill an array of bytes from a place of an open file."""

BAND_BYTES = 4 << 20


class Piece(NamedTuple):
    """A chunk or band: where its bytes lie, and its first row and column in the matrix."""

    offset: int
    size: int
    row: int
    column: int


@dataclass(frozen=True)
class Listed:
    """A file and where its pieces lie, in the order of the file.

    Attributes
    ----------
    edges
        Rows and columns of every piece; those at the end of the matrix stick out.
    """

    case: Case
    edges: tuple[int, int]
    pieces: tuple[Piece, ...]

    def touching(self, work: str) -> "Listed":
        """Return only the pieces that `work` needs."""
        (height, width), row, column = self.edges, self.case.row, self.case.column
        rows = (row // height, None)[work != "spectrum"]
        columns = (column // width, None)[work != "image"]
        kept = [
            piece
            for piece in self.pieces
            if rows in (None, piece.row // height) and columns in (None, piece.column // width)
        ]
        return replace(self, pieces=tuple(kept))


def list_pieces(case: Case, band_rows: int | None = None) -> Listed:
    """Return where the chunks of a file lie, or bands of so many rows (by default 4 MiB)."""
    with h5py.File(case.path, "r") as file:
        dataset = file[MAIN]
        if case.chunks is None:
            line = dataset.shape[1] * dataset.dtype.itemsize
            height = band_rows or BAND_BYTES // line
            first = dataset.id.get_offset()
            tops = range(0, dataset.shape[0], height)
            sizes = [min(height, dataset.shape[0] - top) * line for top in tops]
            pieces = [
                Piece(first + top * line, size, top, 0)
                for top, size in zip(tops, sizes, strict=True)
            ]
            return Listed(case, (height, dataset.shape[1]), tuple(pieces))
        found: list[Any] = []
        dataset.id.chunk_iter(found.append)
    pieces = [Piece(chunk.byte_offset, chunk.size, *chunk.chunk_offset) for chunk in found]
    return Listed(case, case.chunks, tuple(sorted(pieces)))


def fetch(fd: int, offset: int, out: Array) -> None:
    """Fill `out` with one request."""
    if os.preadv(fd, [out], offset) != len(out):
        raise OSError(f"short read at {offset:,}")


class _Buffers:
    """What one thread uses again and again: stored bytes, shuffled bytes, elements."""

    def __init__(self, listed: Listed) -> None:
        self.case = listed.case
        self.edges = listed.edges
        elements = listed.edges[0] * listed.edges[1]
        self.stored = np.empty(max((piece.size for piece in listed.pieces), default=0), np.uint8)
        self.shuffled = np.empty(elements * np.dtype(self.case.dtype).itemsize, np.uint8)
        self.elements = np.empty(elements, self.case.dtype)

    def load(self, fd: int, piece: Piece, request: Fetch) -> Array:
        """Return the elements of a piece; the next call overwrites them."""
        plain = self.elements.view(np.uint8)
        if not self.case.gzip:
            request(fd, piece.offset, plain[: piece.size])
        else:
            stored = self.stored[: piece.size]
            request(fd, piece.offset, stored)
            inflated = self.shuffled if self.case.shuffle else plain
            if imagecodecs.deflate_decode(stored, out=inflated).size != len(inflated):
                raise OSError(f"short chunk at {piece.offset:,}")
            if self.case.shuffle:
                _unshuffle(self.shuffled, self.elements)
        height = min(self.edges[0], self.case.shape[0] - piece.row)
        width = min(self.edges[1], self.case.shape[1] - piece.column)
        return self.elements.reshape(self.edges)[:height, :width]


def _unshuffle(shuffled: Array, elements: Array) -> None:
    """Put the bytes of 4-byte elements together by shifts, faster here than strided copies."""
    planes = shuffled.reshape(4, -1)
    whole = elements.view(np.uint32)
    whole[:] = planes[3]
    for place in (2, 1, 0):
        np.left_shift(whole, 8, out=whole)
        np.bitwise_or(whole, planes[place], out=whole)


def visit(
    listed: Listed,
    use: Callable[[Piece, Array], Any],
    threads: int,
    request: Fetch = fetch,
) -> list[Any]:
    """Load every piece on some threads; what `use` gave for each, in no order."""
    waiting = iter(listed.pieces)
    fd = os.open(listed.case.path, os.O_RDONLY)

    def work(_: int) -> list[Any]:
        buffers = _Buffers(listed)
        return [use(piece, buffers.load(fd, piece, request)) for piece in waiting]

    try:
        with ThreadPoolExecutor(threads) as pool:
            return [value for part in pool.map(work, range(threads)) for value in part]
    finally:
        os.close(fd)


def total(listed: Listed, threads: int, request: Fetch = fetch) -> Array:
    """Return the sum of all elements."""
    sums = visit(listed, lambda piece, part: part.sum(), threads, request)
    wide = np.complex128 if np.dtype(listed.case.dtype).kind == "c" else np.float64
    return np.asarray(np.sum(sums, dtype=wide))  # 65,536 small sums add up badly in float32


def gather(listed: Listed, work: str, threads: int, request: Fetch = fetch) -> Array:
    """Return the spectrum, the image or the whole matrix; `listed` holds the pieces it touches."""
    case = listed.case
    first_row, last_row = (case.row, case.row + 1) if work == "spectrum" else (0, case.shape[0])
    first, last = (case.column, case.column + 1) if work == "image" else (0, case.shape[1])
    out = np.empty((last_row - first_row, last - first), case.dtype)

    def put(piece: Piece, part: Array) -> None:
        top, bottom = max(piece.row, first_row), min(piece.row + part.shape[0], last_row)
        left, right = max(piece.column, first), min(piece.column + part.shape[1], last)
        target = out[top - first_row : bottom - first_row, left - first : right - first]
        target[...] = part[
            top - piece.row : bottom - piece.row, left - piece.column : right - piece.column
        ]

    visit(listed, put, threads, request)
    return out
