"""HDF5 attributes as plain Python: numbers, str, lists of str, numpy arrays, references."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import h5py
import numpy as np

from lazyusid.hdf5.handles import lend
from lazyusid.hdf5.names import decode, member
from lazyusid.model import ObjectReference, RegionReference
from lazyusid.protocols import Array

MAX_REGION_BLOCKS = 1 << 16


Resolve = Callable[[h5py.Reference], str]
"""Gives the path of what a reference points at, "" where that is nothing."""


def read_attributes(
    item: h5py.HLObject, resolve: Resolve
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the attributes of a group or dataset, and name and reason of those unreadable."""
    values: dict[str, Any] = {}
    names, failed = _names(item)
    for raw in names:
        name = decode(raw)
        try:
            value = item.attrs[raw]
            if isinstance(value, h5py.RegionReference) and resolve(value):
                load = partial(load_region, os.path.abspath(item.file.filename), item.name, raw)
                values[name] = RegionReference(resolve(value), load)
            else:
                values[name] = plain(value, resolve)
        except (OSError, TypeError, ValueError, KeyError, RuntimeError) as error:
            failed.append((name, f"{type(error).__name__}: {error}"))
    return values, failed


def _names(item: h5py.HLObject) -> tuple[list[bytes], list[tuple[str, str]]]:
    """Return the names of the attributes, and why there are no more where HDF5 gives up."""
    names: list[bytes] = []
    try:
        h5py.h5a.iterate(item.id, names.append)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        return names, [("(further ones)", f"{type(error).__name__}: {error}")]
    return names, []


def plain(value: Any, resolve: Resolve) -> Any:
    """Return an attribute's value as plain Python.

    Scalars become bool, int, float, complex, str; text arrays lists of str, stripped of padding;
    numeric arrays stay numpy; an `h5py.Empty` is "" for text and None else; references become
    `ObjectReference` and `RegionReference`.
    """
    if isinstance(value, h5py.Empty):
        return "" if value.dtype.kind in "SUO" else None
    if isinstance(value, h5py.Reference):
        return ObjectReference(resolve(value))
    if isinstance(value, bytes | str):
        return decode(value).rstrip("\0")
    if isinstance(value, np.ndarray):
        return _nested(value, resolve) if value.dtype.kind in "SUO" else value
    return value.item() if isinstance(value, np.generic) and value.dtype.names is None else value


def _nested(values: Array, resolve: Resolve) -> Any:
    if values.ndim == 0:
        return plain(values[()], resolve)
    return [plain(part, resolve) for part in values]


def load_region(path: str, owner: str, name: bytes) -> tuple[Array, Array]:
    """Return the runs of rows and of columns that a region reference among attributes selects.

    HDF5 takes minutes to unpack one of 10^5 blocks, so that this is left until someone asks.
    """
    with lend(path) as loan:
        reference = member(loan.file, owner).attrs[name]
        space = h5py.h5r.get_region(reference, loan.file.id)
        if space.get_simple_extent_ndims() != 2 or space.get_select_npoints() == 0:
            return np.empty((0, 2), np.int64), np.empty((0, 2), np.int64)
        return _selected(space)


def _selected(space: h5py.h5s.SpaceID) -> tuple[Array, Array]:
    """Return the runs of rows and those of columns that a 2-D selection touches."""
    kind = space.get_select_type()
    if kind == h5py.h5s.SEL_HYPERSLABS and space.is_regular_hyperslab():
        rows, columns = zip(*space.get_regular_hyperslab(), strict=True)
        return _steps(*rows), _steps(*columns)
    if kind == h5py.h5s.SEL_HYPERSLABS and space.get_select_hyper_nblocks() <= MAX_REGION_BLOCKS:
        corners = np.asarray(space.get_select_hyper_blocklist()).reshape(-1, 2, 2)
    elif kind == h5py.h5s.SEL_POINTS and space.get_select_npoints() <= MAX_REGION_BLOCKS:
        corners = np.repeat(np.asarray(space.get_select_elem_pointlist())[:, None], 2, axis=1)
    elif kind == h5py.h5s.SEL_ALL:
        corners = np.asarray(space.get_select_bounds())[None]
    else:
        raise ValueError(f"a region of more than {MAX_REGION_BLOCKS:,} blocks")
    bounds = corners.astype(np.int64) + np.array([[0, 0], [1, 1]])
    return _union(bounds[:, :, 0]), _union(bounds[:, :, 1])


def _steps(start: int, stride: int, count: int, block: int) -> Array:
    """Return the runs of a regular selection along one axis."""
    if count > 1 and stride <= block:
        return np.array([[start, start + (count - 1) * stride + block]], np.int64)
    starts = start + stride * np.arange(count, dtype=np.int64)
    return np.stack([starts, starts + block], axis=1)


def _union(runs: Array) -> Array:
    """Return sorted runs, shape (count, 2), of the numbers that lie in any of `runs`."""
    ordered = runs[np.argsort(runs[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ordered[:, 1])
    first = np.concatenate([[True], ordered[1:, 0] > reach[:-1]])
    last = np.concatenate([first[1:], [True]])
    return np.stack([ordered[first, 0], reach[last]], axis=1)
