"""A dataset as a source that carries its address, never a handle."""

import hashlib
import os
from dataclasses import dataclass
from typing import Any, NamedTuple

import h5py
import numpy as np

from lazyusid.errors import SourceError
from lazyusid.hdf5.handles import lend_verified
from lazyusid.hdf5.walk import address
from lazyusid.model import Storage
from lazyusid.protocols import Array, Region

END_ROWS = 16


class Identity(NamedTuple):
    """What tells a dataset from another that took its place in the file, or the file's.

    A file rewritten in place, with equal tables at equal addresses, cannot be told from one whose
    values were edited. The device is left out: it differs between the hosts of a cluster.
    """

    inode: int
    addresses: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: str
    layout: str
    digest: str
    timestamp: str


class Stamp(NamedTuple):
    """What `os.stat` says of a file; while it stays the same, so does every identity."""

    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, path: str) -> "Stamp":
        """Return the stamp of the file at `path` as it is now."""
        found = os.stat(path)
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


def identify(file: h5py.File, name: str, tables: tuple[str, ...]) -> Identity:
    """Return the identity of dataset `name` whose four tables are `tables` (or none)."""
    dataset = file[name]
    digest = hashlib.sha256()
    for table in tables:
        rows = file[table]
        ends = (rows[:END_ROWS, :END_ROWS], rows[-END_ROWS:, -END_ROWS:]) if rows.size else ()
        for end in ends:
            digest.update(np.ascontiguousarray(end).tobytes())
    return Identity(
        Stamp.of(file.filename).inode,
        (address(dataset.id), *(address(file[table].id) for table in tables)),
        dataset.shape,
        str(dataset.dtype),
        f"{layout_of(dataset)} {dataset.chunks}",
        digest.hexdigest(),
        str(dataset.attrs.get("timestamp", "")),
    )


@dataclass(frozen=True)
class HDF5Source:
    """The elements of one dataset, read through h5py.

    Attributes
    ----------
    path, name
        Absolute paths of the file and of the dataset in it.
    chunks
        Edges of an HDF5 chunk, or None.
    tables
        Paths of the four tables of a Main, else empty.
    identity, stamp
        What the dataset and the file were when this source was made.
    """

    path: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None
    tables: tuple[str, ...]
    identity: Identity
    stamp: Stamp

    @property
    def token(self) -> str:
        """Digest of path, dataset, identity and stamp."""
        told = repr((self.path, self.name, self.identity, self.stamp))
        return hashlib.sha256(told.encode()).hexdigest()[:32]

    def verify(self, file: h5py.File) -> None:
        """Raise SourceError where the file no longer holds what this source was made of."""
        if Stamp.of(self.path) == self.stamp:
            return
        try:
            found = identify(file, self.name, self.tables)
        except (KeyError, OSError, RuntimeError, ValueError) as error:
            raise SourceError(
                f"{self.path}:{self.name}: is gone since it was opened ({error}); open it again.",
                self.name,
                "identity",
            ) from error
        for field, was, now in zip(Identity._fields, self.identity, found, strict=True):
            if was != now:
                raise SourceError(
                    f"{self.path}:{self.name}: another dataset stands here since it was opened "
                    f"({field} was {was}, is {now}); open it again.",
                    self.name,
                    "identity",
                )

    def read(self, region: Region) -> Array:
        """Return the elements of `region`.

        Raises
        ------
        SourceError
            Where the file is gone, holds another dataset by now, or cannot be read there.
        """
        with lend_verified(self.path, (self.name, self.identity), self.verify) as file:
            try:
                return np.asarray(file[self.name][region])
            except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
                where = ", ".join(f"{part.start}:{part.stop}" for part in region)
                raise SourceError(
                    f"{self.path}:{self.name}: cannot read [{where}]: {error}", self.name, "read"
                ) from error


def open_source(file: h5py.File, name: str, tables: tuple[str, ...] = ()) -> HDF5Source:
    """Return the source of dataset `name` of an open file."""
    dataset = file[name]
    path = os.path.abspath(file.filename)
    return HDF5Source(
        path,
        name,
        dataset.shape,
        dataset.dtype,
        dataset.chunks,
        tables,
        identify(file, name, tables),
        Stamp.of(path),
    )


_LAYOUTS = {
    h5py.h5d.COMPACT: "compact",
    h5py.h5d.CONTIGUOUS: "contiguous",
    h5py.h5d.CHUNKED: "chunked",
    h5py.h5d.VIRTUAL: "virtual",
}
_FILTERS = {
    1: "gzip",
    2: "shuffle",
    3: "fletcher32",
    4: "szip",
    5: "nbit",
    6: "scaleoffset",
    32000: "lzf",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32015: "zstd",
    32026: "blosc2",
}


def layout_of(dataset: h5py.Dataset) -> str:
    """Return ``"contiguous"``, ``"chunked"``, ``"compact"`` or ``"virtual"``."""
    return _LAYOUTS.get(dataset.id.get_create_plist().get_layout(), "unknown")


def storage_of(dataset: h5py.Dataset) -> Storage:
    """Return how a dataset lies in its file."""
    properties = dataset.id.get_create_plist()
    codes = [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]
    return Storage(
        layout_of(dataset),
        dataset.chunks,
        tuple(_FILTERS.get(code, f"filter {code}") for code in codes),
        dataset.id.get_storage_size(),
    )
