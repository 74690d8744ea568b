"""Any dataset of a file that is no Main, as a lazy record."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lazyusid.errors import SourceError
from lazyusid.hdf5.reader import open_dataset, read_item_attributes
from lazyusid.hdf5.source import HDF5Source
from lazyusid.layout.chunking import plan_source
from lazyusid.layout.sources import read_at
from lazyusid.lazy.array import block_bytes, to_dask
from lazyusid.model import Attributes
from lazyusid.protocols import Array

if TYPE_CHECKING:
    import dask.array as da


@dataclass(frozen=True)
class Dataset:
    """A dataset of a file; opened when something of it is asked for, and closed right after.

    Attributes
    ----------
    file, path
        Absolute path of the file, and of the dataset in it.
    """

    file: str
    path: str

    @cached_property
    def source(self) -> HDF5Source:
        """The dataset as a source of regions."""
        return open_dataset(self.file, self.path)

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements along each axis, as stored."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype as stored."""
        return self.source.dtype

    @cached_property
    def attrs(self) -> Attributes:
        """Attributes as plain Python."""
        return read_item_attributes(self.file, self.path)

    @cached_property
    def data(self) -> da.Array:
        """The dataset as a lazy dask array, in file order."""
        return to_dask(self.source, plan_source(self.source, block_bytes()))

    def read(self, key: Any = ...) -> Array:
        """Return what basic indexing selects, as numpy, now.

        Raises
        ------
        SourceError
            Where it cannot be read.
        """
        return read_at(self.source, key)

    def __getitem__(self, key: Any) -> Array:
        return self.read(key)

    def __repr__(self) -> str:
        try:
            told = f"{self.shape} {self.dtype}"
        except SourceError:
            told = "unreadable"
        return f"<lazyusid.Dataset {self.path!r} {told}>"
