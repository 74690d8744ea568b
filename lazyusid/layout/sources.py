"""Sources made of memory or of other sources, and numpy's basic indexing over any of them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lazyusid.protocols import Array, BlockSource, Region


@dataclass(frozen=True)
class MemorySource:
    """A source over a numpy array."""

    array: Array
    token: str = "memory"
    chunks: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the array."""
        return self.array.dtype

    def read(self, region: Region) -> Array:
        """Return a copy of `region`."""
        return self.array[region].copy()

    def read_into(self, region: Region, out: Array) -> None:
        """Fill `out` with `region`."""
        out[...] = self.array[region]


@dataclass(frozen=True)
class TransposedSource:
    """A source with its axes in another order: axis k is axis `order[k]` of `source`."""

    source: BlockSource
    order: tuple[int, ...]
    chunks: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes in the new order."""
        return tuple(self.source.shape[axis] for axis in self.order)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the source."""
        return self.source.dtype

    @property
    def token(self) -> str:
        """Token of the source, and the order."""
        return f"{self.source.token}-{self.order}"

    def read(self, region: Region) -> Array:
        """Return `region`, given in the new order."""
        stored = [slice(0)] * len(region)
        for axis, part in zip(self.order, region, strict=True):
            stored[axis] = part
        return self.source.read(tuple(stored)).transpose(self.order)

    def read_into(self, region: Region, out: Array) -> None:
        """Fill `out` with what `read` returns."""
        out[...] = self.read(region)


@dataclass(frozen=True)
class FieldSource:
    """One field of a source of compound elements."""

    source: BlockSource
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the source."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the field."""
        return self.source.dtype[self.name]

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Chunks of the source."""
        return self.source.chunks

    @property
    def token(self) -> str:
        """Token of the source, and the field."""
        return f"{self.source.token}-{self.name}"

    def read(self, region: Region) -> Array:
        """Return the field's elements in `region`."""
        return np.ascontiguousarray(self.source.read(region)[self.name])

    def read_into(self, region: Region, out: Array) -> None:
        """Fill `out` with what `read` returns."""
        out[...] = self.read(region)


def read_at(source: BlockSource, key: Any) -> Array:
    """Return what `key` selects of a source.

    Reads the smallest region that holds it; steps and lists are taken in memory.

    Parameters
    ----------
    source
        What to read.
    key
        Ints, slices, lists of ints and an ellipsis. As numpy has it, but for lists on several
        axes: each selects along its own axis.

    Raises
    ------
    IndexError
        Where an index is out of bounds, or there are more than axes.

    Examples
    --------
    >>> read_at(MemorySource(np.arange(10).reshape(2, 5)), (1, slice(None, None, -2)))
    array([9, 7, 5])
    >>> read_at(MemorySource(np.arange(10).reshape(2, 5)), ([1, 0], 3))
    array([8, 3])
    """
    picks = [
        _pick(part, size)
        for part, size in zip(expand(key, source.shape), source.shape, strict=True)
    ]
    found = source.read(tuple(pick.region for pick in picks))
    for axis, pick in enumerate(picks):
        if pick.listed is not None:
            found = found.take(pick.listed, axis)
    return np.asarray(found[tuple(pick.inside for pick in picks)])


class _Pick(NamedTuple):
    """What to read along an axis, which of that to list, and what to select of the rest."""

    region: slice
    listed: Array | None
    inside: slice | int


def _pick(part: Any, size: int) -> _Pick:
    if isinstance(part, slice):
        chosen = range(*part.indices(size))
        low, high = (min(chosen), max(chosen) + 1) if chosen else (0, 0)
        return _Pick(slice(low, high), None, slice(None, None, part.step))
    numbers = np.asarray(part, None if np.size(part) else np.intp)
    if numbers.dtype.kind not in "iu":
        raise IndexError(f"{part!r} is no index; use ints, slices and lists of ints")
    if ((numbers < -size) | (numbers >= size)).any():
        raise IndexError(f"index {part} is out of bounds for an axis of size {size}")
    numbers = numbers % size if size else numbers
    low, high = (int(numbers.min()), int(numbers.max()) + 1) if numbers.size else (0, 0)
    if numbers.ndim == 0:
        return _Pick(slice(low, high), None, 0)
    return _Pick(slice(low, high), numbers - low, slice(None))


def expand(key: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return a basic index with one entry an axis."""
    parts = key if isinstance(key, tuple) else (key,)
    places = [place for place, part in enumerate(parts) if part is Ellipsis]
    first = places[0] if places else len(parts)
    after = parts[first + 1 :]
    middle = len(shape) - first - len(after)
    if len(places) > 1 or middle < 0:
        raise IndexError(f"{key!r} has too many indices for an array of {len(shape)} axes")
    return (*parts[:first], *(slice(None),) * middle, *after)
