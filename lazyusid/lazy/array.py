"""`BlockSource` + blocks -> dask array: one layer that names regions and holds no data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, chain, groupby, pairwise, repeat
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
    )
    _pickle_as_runs(array)
    return array


class Edges(tuple[int, ...]):
    """Block edges of one axis that pickle as runs, so that ten thousand equal ones are one."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _edges, (_runs(self),)


class Starts(tuple[int, ...]):
    """Where the blocks of one axis start and the last one ends; pickles as runs of edges."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _starts, (_runs(later - earlier for earlier, later in pairwise(self)),)


Runs = tuple[tuple[int, int], ...]


def _runs(edges: Iterable[int]) -> Runs:
    return tuple((edge, sum(1 for _ in same)) for edge, same in groupby(edges))


def _edges(runs: Runs) -> Edges:
    return Edges(chain.from_iterable(repeat(edge, count) for edge, count in runs))


def _starts(runs: Runs) -> Starts:
    return Starts(accumulate(_edges(runs), initial=0))


def _pickle_as_runs(array: da.Array) -> None:
    """Put block edges that pickle small in the places where dask keeps them."""
    array._chunks = tuple(map(Edges, array.chunks))
    layer = array.dask.layers[array.name]
    layer.collection_annotations["chunks"] = array._chunks
    for blocks in layer.io_deps.values():
        blocks.chunks = array._chunks
        blocks.starts = tuple(_starts(_runs(edges)) for edges in array._chunks)


def block_bytes() -> int:
    """Return the bytes a block should have: dask's ``array.chunk-size`` where the user set it."""
    import dask.config
    from dask.utils import parse_bytes

    wanted = parse_bytes(dask.config.get("array.chunk-size", DASK_DEFAULT))
    return DEFAULT_BYTES if wanted == parse_bytes(DASK_DEFAULT) else int(wanted)
