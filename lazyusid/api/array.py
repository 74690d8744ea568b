"""A Main's numbers: dimensions, coordinates, lazy arrays, plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lazyusid.api.options import Layout, Options, SideLayout
from lazyusid.errors import LayoutError, SourceError, warn
from lazyusid.hdf5.source import through_h5py
from lazyusid.layout.chunking import BlockPlan, Request, plan_blocks
from lazyusid.layout.dimension import Coordinate, Dimension
from lazyusid.layout.folded import FoldedSource, MeasuredSource, fold, unfold
from lazyusid.layout.folding import Folding
from lazyusid.layout.grid import raster
from lazyusid.layout.sources import TransposedSource, read_at
from lazyusid.lazy.array import block_bytes, to_dask
from lazyusid.lazy.eager import ParallelSource
from lazyusid.model import Contents, Main, Storage, base
from lazyusid.protocols import Array, BlockSource

if TYPE_CHECKING:
    import dask.array as da


class MainArray:
    """A Main's numbers: folded into N dimensions, lazy, and holding no file open."""

    def __init__(self, contents: Contents, main: Main, options: Options) -> None:
        self._contents = contents
        self._main = main
        self._options = options

    @property
    def file(self) -> str:
        """Absolute path of the file."""
        return self._main.file

    @property
    def path(self) -> str:
        """Absolute path in the file."""
        return self._main.path

    @property
    def name(self) -> str:
        """Last part of the path."""
        return base(self.path)

    @property
    def quantity(self) -> str:
        """Physical quantity."""
        return self._main.quantity

    @property
    def units(self) -> str:
        """Units of the quantity; ``""`` where there are none."""
        return self._main.units

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """All dimensions, placeholders included: positions then spectroscopic, slowest first."""
        return self._main.position + self._main.spectroscopic

    @cached_property
    def _visible(self) -> tuple[bool, bool]:
        """Whether each side has axes: position, spectroscopic."""
        shown = [side.indices.points != 1 or side.indices.columns != 1 for side in self._main.sides]
        keep = self._options.keep_placeholders
        return shown[0] or keep, shown[1] or keep or self._main.source.shape == (1, 1)

    @cached_property
    def axes(self) -> tuple[Dimension, ...]:
        """The dimensions that `data` has axes for, slowest first."""
        position, spectroscopic = self._visible
        return self._main.position * position + self._main.spectroscopic * spectroscopic

    @cached_property
    def _folded(self) -> FoldedSource:
        position, spectroscopic = self._main.folding
        if self._main.done is not None and self._options.mask_unfinished:
            position = position.masked(self._main.done)
        shown = self._visible
        folding = Folding(
            position if shown[0] else position.placeholder(),
            spectroscopic if shown[1] else spectroscopic.placeholder(),
        )
        return FoldedSource(self._source, folding, self._options.fill)

    @cached_property
    def _source(self) -> BlockSource:
        """The matrix, read as `engine` demands.

        Raises
        ------
        SourceError
            Where it cannot be read past HDF5 though that was asked for.
        """
        source, wanted = self._main.source, self._options.engine
        if wanted == "raw" and self.storage.engine.startswith("h5py"):
            raise SourceError(
                f"{self.file}:{self.path}: engine='raw' cannot read it ({self.storage.engine}); "
                "use engine='auto'.",
                self.path,
                "engine",
            )
        return through_h5py(source) if wanted == "h5py" else source

    @cached_property
    def _zeros(self) -> tuple[str, ...]:
        """Fields that are 0 where no point was measured; warns of them, once a MainDataset."""
        dtype = self._main.source.dtype
        names = tuple(name for name in dtype.names or () if dtype[name].base.kind not in "fcV")
        if not names or not self._folded.folding.missing or self._options.fill is not None:
            return ()
        warn(
            f"{self.file}:{self.path}: fields {list(names)} cannot be NaN; they are 0 where no "
            "point was measured, see m.measured."
        )
        return names

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes of `data`."""
        return tuple(dimension.name for dimension in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes of `data`."""
        return self._folded.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of `data`; a float where points of an integer Main are missing."""
        return self._folded.dtype

    @cached_property
    def _coordinates(self) -> dict[str, Coordinate]:
        found = {}
        for axis in self.axes:
            own = Coordinate(axis.name, axis.units, (axis.name,), axis.values)
            found.update({further.name: further for further in axis.coordinates or (own,)})
        return found

    @property
    def coords(self) -> Mapping[str, Array]:
        """Name -> values along the dimensions of `coord_dims`, float64.

        1-D for a dimension whose values depend on its own index alone; N-D where they depend on
        further dimensions; one for each table column along a scattered side.
        """
        found = {name: coordinate.values for name, coordinate in self._coordinates.items()}
        return found

    @property
    def coord_dims(self) -> Mapping[str, tuple[str, ...]]:
        """Name of a coordinate -> names of the dimensions it runs over, slowest first."""
        found = {name: coordinate.dims for name, coordinate in self._coordinates.items()}
        return found

    @property
    def coord_units(self) -> Mapping[str, str]:
        """Name of a coordinate -> its units."""
        found = {name: coordinate.units for name, coordinate in self._coordinates.items()}
        return found

    @property
    def layout(self) -> Layout:
        """How each side fills its grid, and why that was decided."""
        position, spectroscopic = self._main.folding
        return Layout(
            SideLayout(position.kind, position.reason),
            SideLayout(spectroscopic.kind, spectroscopic.reason),
        )

    @property
    def storage(self) -> Storage:
        """Layout, chunks, filters and bytes in the file."""
        return self._main.storage

    @cached_property
    def plan(self) -> BlockPlan:
        """The blocks of `data`, and what reading them costs."""
        return plan_blocks(
            self._folded.folding,
            self.dims,
            self.dtype.itemsize,
            self._matrix_chunks,
            self._request,
            block_bytes(),
            self._main.storage.stored,
            self._main.storage.engine,
        )

    @property
    def _request(self) -> Request:
        """The blocks asked for, without the edges of dimensions that only other Mains have."""
        asked = self._options.chunks
        if not isinstance(asked, Mapping):
            return asked
        mains = self._contents.mains.values()
        known = {axis.name for main in mains for axis in (*main.position, *main.spectroscopic)}
        foreign = known - set(self.dims)
        return {name: edge for name, edge in asked.items() if name not in foreign}

    @property
    def _matrix_chunks(self) -> tuple[int, int] | None:
        chunks = self._main.source.chunks
        return (chunks[0], chunks[1]) if chunks else None

    @property
    def data(self) -> da.Array:
        """The Main as a lazy N-D dask array; structured where the Main is compound."""
        _ = self._zeros
        return self._lazy

    @cached_property
    def _lazy(self) -> da.Array:
        return to_dask(self._folded, self.plan.blocks)

    @cached_property
    def matrix(self) -> da.Array:
        """The Main as stored: a lazy dask array, positions x spectroscopic steps."""
        source = self._source
        folding = Folding(raster(source.shape[:1]), raster(source.shape[1:]))
        plan = plan_blocks(
            folding,
            ("position", "spectroscopic"),
            source.dtype.itemsize,
            self._matrix_chunks,
            max_bytes=block_bytes(),
        )
        return to_dask(source, plan.blocks)

    def read(self, key: Any = ...) -> Array:
        """Return what basic indexing of the N-D form selects, as numpy, now.

        Parameters
        ----------
        key
            Ints, slices and an ellipsis, as for numpy; everything by default.

        Raises
        ------
        SourceError
            Where the file is gone, holds another dataset by now, or cannot be read there.
        """
        _ = self._zeros
        return read_at(ParallelSource(self._folded, self._eager_block), key)

    @cached_property
    def _eager_block(self) -> tuple[int, ...]:
        """Edges of the blocks that threads read, aligned with storage."""
        folded = self._folded
        plan = plan_blocks(folded.folding, self.dims, self.dtype.itemsize, self._matrix_chunks)
        return plan.block

    @property
    def file_dims(self) -> tuple[str, ...]:
        """Names of the axes in the order in which the tables list them, positions first."""
        position, spectroscopic = self._folded.folding
        first = len(position.shape)
        columns = [(0, column) for column in position.columns] or [(0, 0)] * first
        columns += [(1, column) for column in spectroscopic.columns] or [(1, 0)]
        return tuple(name for _, name in sorted(zip(columns, self.dims, strict=False)))

    def ordered(self, dims: Sequence[str]) -> da.Array:
        """Return `data` with its axes in the order of `dims`, as directly from the file."""
        order = tuple(map(self.dims.index, dims))
        if order == tuple(range(len(order))):
            return self.data
        blocks = tuple(self.plan.blocks[axis] for axis in order)
        return to_dask(TransposedSource(self._folded, order), blocks)

    def read_ordered(self, dims: Sequence[str]) -> Array:
        """Return everything as numpy, now, with its axes in the order of `dims`."""
        return self.read().transpose([self.dims.index(name) for name in dims])

    @cached_property
    def measured(self) -> da.Array | None:
        """Lazy mask of the shape of `data`, False where points are missing; None if none is."""
        if not self._folded.folding.missing:
            return None
        mask = MeasuredSource(self._folded.folding, f"{self._folded.token}-measured")
        return to_dask(mask, self.plan.blocks)

    @property
    def complete(self) -> float:
        """Fraction of the rows that a recorded computation has done; 1.0 where none is recorded."""
        done = self._main.done
        return 1.0 if done is None else float(np.mean(done))

    def fold(self, matrix: Array) -> Array:
        """Return the N-D form of another matrix in memory, of the same rows and columns.

        Raises
        ------
        LayoutError
            Where its shape is not that of the stored matrix.
        """
        matrix = np.asarray(matrix)
        if matrix.shape != self._main.source.shape:
            raise LayoutError(
                f"{self.path}: the matrix given has shape {matrix.shape}, the stored one "
                f"{self._main.source.shape}; they must match.",
                self.path,
                "fold-shape",
            )
        return fold(matrix, self._folded.folding, self._options.fill)

    def unfold(self, array: Array) -> Array:
        """Return the matrix whose N-D form is `array`, of the shape of `data`.

        Rows that have no cell (unfinished ones) are NaN, or ``fill``.

        Raises
        ------
        LayoutError
            Where its shape is not that of `data`.
        """
        return unfold(np.asarray(array), self._folded.folding, self._options.fill)
