"""Bytes straight from the file: whole requests, neighbours together, outside HDF5's lock."""

import os
import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lazyusid.layout.chunking import REQUEST_BYTES, SIEVE_BYTES

Bytes = NDArray[np.uint8]

CAN_PREAD = hasattr(os, "preadv")
MAX_VECTORS = 1024
"""Pieces of memory that POSIX lets one request fill."""


class ShortRead(OSError):
    """The file ends before what it should hold."""


def read_bytes(fd: int, offset: int, out: Bytes) -> None:
    """Fill `out`, contiguous, with the bytes of an open file from `offset` on.

    Raises
    ------
    ShortRead
        Where the file ends earlier.
    """
    view, done = memoryview(out.data), 0
    while done < len(view):
        count = os.preadv(fd, [view[done:]], offset + done)
        if count == 0:
            raise ShortRead(
                f"the file ends at byte {offset + done:,}, {len(view) - done:,} bytes too early"
            )
        done += count


def scatter_rows(fd: int, offset: int, rows: Bytes) -> None:
    """Fill rows that lie apart in memory, 2-D, with one run of bytes of the file.

    Raises
    ------
    ShortRead
        Where the file ends earlier.
    """
    for first in range(0, len(rows), MAX_VECTORS):
        part = rows[first : first + MAX_VECTORS]
        at = offset + first * rows.shape[1]
        if os.preadv(fd, list(part), at) != part.size:
            for place, row in enumerate(part):
                read_bytes(fd, at + place * rows.shape[1], row)


def runs(offsets: NDArray[np.int64], sizes: NDArray[np.int64]) -> Iterator[NDArray[np.intp]]:
    """Yield the places of pieces that one request should fetch, in the order of the file.

    Examples
    --------
    >>> [places.tolist() for places in runs(np.array([900000, 0, 10]), np.array([5, 10, 10]))]
    [[1, 2], [0]]
    """
    order = np.argsort(offsets, kind="stable")
    begins, ends = offsets[order], (offsets + sizes)[order]
    apart = begins[1:] - ends[:-1] > SIEVE_BYTES
    first = 0
    for place in range(1, len(order) + 1):
        if place == len(order) or apart[place - 1] or ends[place] - begins[first] > REQUEST_BYTES:
            yield order[first:place]
            first = place


class _Scratch(threading.local):
    """A thread's buffers by purpose, reused from call to call."""

    def __init__(self) -> None:
        self.buffers: dict[str, Bytes] = {}


_scratch = _Scratch()


def scratch(purpose: str, size: int) -> Bytes:
    """Return `size` bytes of this thread's buffer for `purpose`; what they held is lost."""
    found = _scratch.buffers.get(purpose)
    if found is None or len(found) < size:
        found = _scratch.buffers[purpose] = np.empty(size, np.uint8)
    return found[:size]


def read_strided(fd: int, offset: int, stride: int, rows: Bytes) -> None:
    """Fill `rows`, 2-D, with runs of bytes that lie `stride` apart, the first at `offset`.

    Short gaps are read over and thrown away, so that thin columns are not one request a row.
    """
    count, width = rows.shape
    if stride - width > SIEVE_BYTES or count == 1:
        for place in range(count):
            read_bytes(fd, offset + place * stride, rows[place])
        return
    together = max(1, REQUEST_BYTES // stride)
    for first in range(0, count, together):
        part = rows[first : first + together]
        span = (len(part) - 1) * stride + width
        fetched = scratch("disk", len(part) * stride)
        read_bytes(fd, offset + first * stride, fetched[:span])
        part[:] = fetched.reshape(len(part), stride)[:, :width]
