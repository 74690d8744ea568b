"""The one seam between storage and everything above it."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Region = tuple[slice, ...]
"""One slice an axis, with ``0 <= start <= stop <= size`` and step 1."""

Array = NDArray[Any]


class BlockSource(Protocol):
    """Something that gives rectangular regions of an array as numpy.

    Attributes
    ----------
    shape
        Elements along each axis.
    dtype
        What `read` gives.
    chunks
        Edge lengths of the smallest units that storage can read, or None where any region costs
        only its own bytes.
    token
        Equal for sources of equal content; names the dask arrays made of them.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def chunks(self) -> tuple[int, ...] | None: ...
    @property
    def token(self) -> str: ...

    def read(self, region: Region) -> Array:
        """Return the elements of `region`, in an array the caller may keep and change."""

    def read_into(self, region: Region, out: Array) -> None:
        """Fill `out`, C-contiguous, of the shape of `region` and of `dtype`, with them."""


class BlockSink(Protocol):
    """Something that takes rectangular regions of an array."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...

    def write(self, region: Region, values: Array) -> None:
        """Store `values`, of the shape of `region`, there."""


def whole(shape: tuple[int, ...]) -> Region:
    """Return the region that covers an array of `shape`."""
    return tuple(slice(0, size) for size in shape)


def extent(region: Region) -> tuple[int, ...]:
    """Return the shape of what lies in `region`."""
    return tuple(part.stop - part.start for part in region)
