"""`BlockSource` + blocks -> dask array: one layer that names regions and holds no data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lazyusid.layout.chunking import DEFAULT_BYTES, Blocks
from lazyusid.layout.sources import read_at
from lazyusid.protocols import Array, BlockSource

if TYPE_CHECKING:
    import dask.array as da

DASK_DEFAULT = "128MiB"


@dataclass(frozen=True)
class Indexable:
    """A source as dask slices it: basic indexing, a pickle of the source and nothing else."""

    source: BlockSource

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the source."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the source."""
        return self.source.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> Array:
        return read_at(self.source, key)


def to_dask(source: BlockSource, blocks: Blocks) -> da.Array:
    """Return a dask array over a source.

    Nothing is read. The graph is one blockwise layer that dask materialises when it computes;
    basic slices of the array reach the source. Equal sources cut alike get equal names.

    Parameters
    ----------
    source
        What to read.
    blocks
        Block edges along each axis.
    """
    import dask.array as da

    told = repr((source.token, source.shape, source.dtype.str, source.dtype.descr, blocks))
    array: da.Array = da.from_array(
        Indexable(source),
        chunks=blocks,
        name=f"lazyusid-{hashlib.sha256(told.encode()).hexdigest()[:32]}",
        meta=np.empty((0,) * len(source.shape), source.dtype),
        inline_array=True,
        lock=False,
        asarray=True,
        fancy=False,
    )
    return array


def block_bytes() -> int:
    """Return the bytes a block should have: dask's ``array.chunk-size`` where the user set it."""
    import dask.config
    from dask.utils import parse_bytes

    wanted = parse_bytes(dask.config.get("array.chunk-size", DASK_DEFAULT))
    return DEFAULT_BYTES if wanted == parse_bytes(DASK_DEFAULT) else int(wanted)
