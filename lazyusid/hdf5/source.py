"""A dataset as a source that carries its address, never a handle."""

import hashlib
import os
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal, NamedTuple

import h5py
import numpy as np

from lazyusid.errors import SourceError, UsidError
from lazyusid.hdf5.chunks import RawChunks, RawContiguous, Reader, ThroughHDF5
from lazyusid.hdf5.disk import CAN_PREAD
from lazyusid.hdf5.filters import Pipeline, decodable, pipeline_of, prepare
from lazyusid.hdf5.handles import lend
from lazyusid.hdf5.names import member
from lazyusid.hdf5.walk import address
from lazyusid.layout.sources import FieldSource
from lazyusid.model import Storage
from lazyusid.protocols import Array, BlockSource, Region, extent

END_ROWS = 16

Engine = Literal["raw chunks", "raw contiguous", "h5py"]


class Mark(NamedTuple):
    """What tells a table from another: path, address of its header, digest of its ends.

    The digest of a values table is "": they may be corrected, the fold does not depend on them.
    """

    path: str
    address: int
    digest: str


class Identity(NamedTuple):
    """What tells a dataset from another that took its place in the file, or the file's.

    A file rewritten in place, with equal tables at equal addresses, cannot be told from one whose
    values were edited. The device is left out: it differs between the hosts of a cluster.
    """

    inode: int
    address: int
    shape: tuple[int, ...]
    dtype: str
    layout: str
    timestamp: str
    tables: tuple[Mark, ...]


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


def mark(file: h5py.File, path: str, ends: bool) -> Mark:
    """Return the mark of the table at `path`, with a digest of its `ends` or without."""
    table = member(file, path)
    digest = hashlib.sha256()
    if ends and table.size:
        for end in (table[:END_ROWS, :END_ROWS], table[-END_ROWS:, -END_ROWS:]):
            digest.update(np.ascontiguousarray(end).tobytes())
    return Mark(path, address(table.id), digest.hexdigest() if ends else "")


def _timestamp(dataset: h5py.Dataset) -> str:
    try:
        return str(dataset.attrs.get("timestamp", ""))
    except (OSError, TypeError, ValueError, RuntimeError):
        return ""


def identify(dataset: h5py.Dataset, inode: int, tables: tuple[Mark, ...]) -> Identity:
    """Return the identity of a dataset with these tables in a file of this inode."""
    return Identity(
        inode,
        address(dataset.id),
        dataset.shape,
        str(dataset.dtype),
        f"{layout_of(dataset)} {dataset.chunks}",
        _timestamp(dataset),
        tables,
    )


@dataclass(frozen=True)
class HDF5Source:
    """The elements of one dataset.

    Attributes
    ----------
    path, name
        Absolute paths of the file and of the dataset in it.
    chunks
        Edges of an HDF5 chunk, or None.
    identity, stamp
        What the dataset and the file were when this source was made.
    pipeline
        Filters that chunks pass.
    engine
        ``"raw chunks"``: stored bytes are fetched and decoded outside HDF5's lock; ``"raw
        contiguous"``: read past HDF5; ``"h5py"``: left to HDF5.
    """

    path: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None
    identity: Identity
    stamp: Stamp
    pipeline: Pipeline
    engine: Engine

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
            tables = tuple(
                mark(file, table.path, bool(table.digest)) for table in self.identity.tables
            )
            found = identify(member(file, self.name), Stamp.of(self.path).inode, tables)
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
        FilterError
            Where a filter is unknown.
        """
        out = np.empty(extent(region), self.dtype)
        self.read_into(region, out)
        return out

    def read_into(self, region: Region, out: Array) -> None:
        """Fill `out`, C-contiguous and of the shape of `region`, with the elements there.

        Raises
        ------
        SourceError
            As `read`.
        """
        if out.size == 0:
            return
        try:
            with lend(self.path) as loan:
                key = (self.name, self.identity, self.engine)
                loan.remember(key, lambda: self._reader(loan.file)).read_into(region, out)
        except UsidError:
            raise
        except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
            where = ", ".join(f"{part.start}:{part.stop}" for part in region)
            raise SourceError(
                f"{self.path}:{self.name}: cannot read [{where}]: {error}.", self.name, "read"
            ) from error

    def _reader(self, file: h5py.File) -> Reader:
        """Return a reader for an open file that was verified.

        Where someone in this process has the file open for writing, what is on the disk may be
        older than what HDF5 holds, so that all is left to HDF5.
        """
        self.verify(file)
        dataset = member(file, self.name)
        if self.engine == "h5py" or file.mode != "r":
            prepare(self.pipeline, f"{self.path}:{self.name}")
            return ThroughHDF5(dataset)
        if self.engine == "raw contiguous":
            return RawContiguous(dataset, file.id.get_vfd_handle())
        return RawChunks(dataset, file.id.get_vfd_handle() if CAN_PREAD else -1, self.pipeline)


def open_source(file: h5py.File, name: str, tables: tuple[Mark, ...] = ()) -> HDF5Source:
    """Return the source of a dataset of an open file; that of a Main with its tables' marks."""
    dataset = member(file, name)
    path = os.path.abspath(file.filename)
    stamp = Stamp.of(path)
    return HDF5Source(
        path,
        name,
        (0,) if dataset.shape is None else dataset.shape,
        dataset.dtype,
        dataset.chunks,
        identify(dataset, stamp.inode, tables),
        stamp,
        pipeline_of(dataset),
        choose_engine(dataset)[0],
    )


def through_h5py(source: BlockSource) -> BlockSource:
    """Return a source that leaves all reading to HDF5."""
    if isinstance(source, FieldSource):
        return replace(source, source=through_h5py(source.source))
    return replace(source, engine="h5py") if isinstance(source, HDF5Source) else source


def choose_engine(dataset: h5py.Dataset) -> tuple[Engine, str]:
    """Return how to read a dataset, and what keeps it from being read raw, "" where nothing."""
    layout, pipeline = layout_of(dataset), pipeline_of(dataset)
    if not dataset.shape:
        return "h5py", "scalar"
    if layout not in ("contiguous", "chunked"):
        return "h5py", f"{layout} layout"
    if dataset.external:
        return "h5py", "external storage"
    if dataset.file.userblock_size:
        return "h5py", "user block"
    if not _stored_as(dataset):
        return "h5py", "type converted"
    if layout == "chunked":
        packed = "+".join(step.name for step in pipeline)
        return ("raw chunks", "") if decodable(pipeline) else ("h5py", packed)
    return ("raw contiguous", "") if CAN_PREAD else ("h5py", "no pread on this system")


def _stored_as(dataset: h5py.Dataset) -> bool:
    """Return whether elements lie in the file byte for byte as numpy holds them."""
    dtype = dataset.dtype
    if dtype.hasobject or dtype.itemsize == 0:
        return False
    return bool(h5py.h5t.py_create(dtype, logical=True).equal(dataset.id.get_type()))


_LAYOUTS = {
    h5py.h5d.COMPACT: "compact",
    h5py.h5d.CONTIGUOUS: "contiguous",
    h5py.h5d.CHUNKED: "chunked",
    h5py.h5d.VIRTUAL: "virtual",
}


def layout_of(dataset: h5py.Dataset) -> str:
    """Return ``"contiguous"``, ``"chunked"``, ``"compact"`` or ``"virtual"``."""
    return _LAYOUTS.get(dataset.id.get_create_plist().get_layout(), "unknown")


def storage_of(dataset: h5py.Dataset) -> Storage:
    """Return how a dataset lies in its file."""
    engine, why = choose_engine(dataset)
    return Storage(
        layout_of(dataset),
        dataset.chunks,
        tuple(step.name for step in pipeline_of(dataset)),
        prod(dataset.chunks) * dataset.dtype.itemsize if dataset.chunks else 0,
        dataset.id.get_storage_size(),
        f"{engine} ({why})" if why else engine,
    )
