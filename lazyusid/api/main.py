"""`MainDataset`: a Main as its users hold it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lazyusid.api.datasets import Dataset
from lazyusid.display.text import MainText, describe_main
from lazyusid.errors import LayoutError
from lazyusid.hdf5.handles import lend
from lazyusid.hdf5.validate import ANCILLARIES
from lazyusid.layout.chunking import BlockPlan, Request, plan_blocks
from lazyusid.layout.coordinates import find_dimensions
from lazyusid.layout.dimension import Coordinate, Dimension, parse_descriptor
from lazyusid.layout.folded import (
    FieldSource,
    Fill,
    FoldedSource,
    MeasuredSource,
    TransposedSource,
    fold,
    read_at,
    unfold,
)
from lazyusid.layout.folding import Folding
from lazyusid.layout.grid import Grid, force_grid, raster, scattered
from lazyusid.lazy.array import block_bytes, to_dask
from lazyusid.lazy.eager import ParallelSource
from lazyusid.model import Attributes, Contents, Main, ObjectReference, Side, Storage
from lazyusid.protocols import Array
from lazyusid.provenance import base, parent, results_of, source_of, tool_of

if TYPE_CHECKING:
    import dask.array as da
    import h5py

Refold = Sequence[Dimension] | Literal["grid", "points"]


@dataclass(frozen=True)
class Options:
    """How the Mains of an open file are presented; the keywords of `open`."""

    chunks: Request = "auto"
    fill: Fill = None
    keep_placeholders: bool = False
    mask_unfinished: bool = True


@dataclass(frozen=True)
class SideLayout:
    """How one side fills its grid, and why that was decided, in words."""

    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"


@dataclass(frozen=True)
class Layout:
    """How both sides of a Main fill their grids."""

    position: SideLayout
    spectroscopic: SideLayout

    def __str__(self) -> str:
        return f"position {self.position}; spectroscopic {self.spectroscopic}"


class MainDataset:
    """A Main dataset, folded into N dimensions; lazy, and holding no file open.

    Made by `lazyusid.open`. Axes run slowest first, positions then spectroscopic steps; a
    placeholder side (one dimension of size 1) has no axis, unless ``keep_placeholders`` was set.
    """

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
        return FoldedSource(self._main.source, folding, self._options.fill)

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

    @cached_property
    def coords(self) -> Mapping[str, Array]:
        """Name -> values along the dimensions of `coord_dims`, float64.

        1-D for a dimension whose values depend on its own index alone; N-D where they depend on
        further dimensions; one for each table column along a scattered side.
        """
        found = {name: coordinate.values for name, coordinate in self._coordinates.items()}
        return MappingProxyType(found)

    @cached_property
    def coord_dims(self) -> Mapping[str, tuple[str, ...]]:
        """Name of a coordinate -> names of the dimensions it runs over, slowest first."""
        found = {name: coordinate.dims for name, coordinate in self._coordinates.items()}
        return MappingProxyType(found)

    @cached_property
    def coord_units(self) -> Mapping[str, str]:
        """Name of a coordinate -> its units."""
        found = {name: coordinate.units for name, coordinate in self._coordinates.items()}
        return MappingProxyType(found)

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
            self._options.chunks,
            block_bytes(),
            self._main.storage.stored,
            self._main.storage.engine,
        )

    @property
    def _matrix_chunks(self) -> tuple[int, int] | None:
        chunks = self._main.source.chunks
        return (chunks[0], chunks[1]) if chunks else None

    @cached_property
    def data(self) -> da.Array:
        """The Main as a lazy N-D dask array; structured where the Main is compound."""
        return to_dask(self._folded, self.plan.blocks)

    @cached_property
    def matrix(self) -> da.Array:
        """The Main as stored: a lazy dask array, positions x spectroscopic steps."""
        source = self._main.source
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
        return unfold(array, self._folded.folding, self._options.fill)

    def refold(
        self, position: Refold | None = None, spectroscopic: Refold | None = None
    ) -> MainDataset:
        """Return the same bytes under other dimensions.

        Parameters
        ----------
        position, spectroscopic
            Dimensions whose sizes multiply to the number of points, slowest first: points fill
            them in order, whatever the tables say. ``"grid"``: the box that the indices span,
            however few of its cells are filled. ``"points"``: a plain list of points with the
            tables' columns as coordinates. None: as it is.

        Raises
        ------
        LayoutError
            Where the sizes do not multiply to the number of points, or two points share a cell.
        """
        sides = self._main.sides
        found = (
            (self._main.folding.position, self._main.position),
            (self._main.folding.spectroscopic, self._main.spectroscopic),
        )
        folded = [
            before if wanted is None else _refold(side, wanted, self.path)
            for side, wanted, before in zip(sides, (position, spectroscopic), found, strict=True)
        ]
        (rows, row_dimensions), (columns, column_dimensions) = folded
        main = replace(
            self._main,
            folding=Folding(rows, columns),
            position=row_dimensions,
            spectroscopic=column_dimensions,
        )
        return MainDataset(self._contents, main, self._options)

    @property
    def attrs(self) -> Attributes:
        """The Main's own attributes, as plain Python."""
        return MappingProxyType(dict(self._main.attrs))

    @property
    def metadata(self) -> Mapping[str, Attributes]:
        """Path of each group above the Main, ``"/"`` first -> its attributes."""
        return MappingProxyType(
            {path: self._contents.groups[path].attrs for path in self._groups[::-1]}
        )

    @property
    def _groups(self) -> list[str]:
        """Groups above the Main, nearest first."""
        found = [parent(self.path)]
        while found[-1] != "/":
            found.append(parent(found[-1]))
        return found

    @cached_property
    def params(self) -> Attributes:
        """Every parameter from its nearest place: Main, groups outwards, root, then the source."""
        source = self.source
        found = dict(source.params) if source else {}
        for attrs in self.metadata.values():
            found.update(attrs)
        return MappingProxyType({**found, **self._main.attrs})

    @property
    def tool(self) -> str:
        """Name of the tool that made this result; ``""`` for what is no result."""
        return tool_of(self._contents, self._main)

    @property
    def source(self) -> MainDataset | None:
        """The Main that this result was computed from, or None."""
        source = source_of(self._contents, self._main)
        return MainDataset(self._contents, source, self._options) if source else None

    def results(self, tool: str | None = None) -> list[MainDataset]:
        """Return the Mains computed from this one, by `tool` where it is named, newest last."""
        main = self._contents.mains[self.path]
        made = results_of(self._contents, main, tool)
        return [MainDataset(self._contents, result, self._options) for result in made]

    @property
    def linked(self) -> Mapping[str, Dataset]:
        """Attribute name -> dataset that an object reference among the attributes points at."""
        datasets = {*self._contents.datasets, *self._contents.mains}
        return {
            name: Dataset(self.file, value.path)
            for name, value in self._main.attrs.items()
            if isinstance(value, ObjectReference)
            and name not in ANCILLARIES
            and value.path in datasets
        }

    @cached_property
    def nearby(self) -> Mapping[str, Dataset]:
        """Name -> dataset that stands in the own group, else in the Channel, the Measurement..."""
        found: dict[str, Dataset] = {}
        groups = self._groups
        for group in groups[::-1]:
            for path in self._contents.datasets:
                if parent(path) == group:
                    found[base(path)] = Dataset(self.file, path)
        return MappingProxyType(found)

    @property
    def tables(self) -> Mapping[str, Dataset]:
        """The four tables by name, lazy, in file order."""
        return {name: Dataset(self.file, path) for name, path in self._main.table_paths.items()}

    @contextmanager
    def h5(self) -> Iterator[h5py.Dataset]:
        """Lend the h5py dataset, open for reading, to code that needs one."""
        with lend(self.file) as loan:
            yield loan.file[self.path]

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields of a compound Main; empty for others."""
        return self._main.source.dtype.names or ()

    def field(self, name: str) -> MainDataset:
        """Return one field of a compound Main, named and given units as in "Amplitude [V]".

        Raises
        ------
        KeyError
            Where there is no such field; the message lists those there are.
        """
        if name not in self.fields:
            raise KeyError(f"{self.path} has no field {name!r}; there are {list(self.fields)}.")
        quantity, units = parse_descriptor(name)
        source = FieldSource(self._main.source, name)
        main = replace(self._main, source=source, quantity=quantity, units=units)
        return _Field(self, name, main)

    def __repr__(self) -> str:
        return describe_main(self.text)

    @property
    def text(self) -> MainText:
        """What there is to say of this Main, for displays."""
        return MainText(
            self.path,
            self.quantity,
            self.units,
            self.dims,
            self.shape,
            str(self.dtype),
            self.axes,
            str(self.layout),
            self.storage,
            self.complete,
        )


class _Field(MainDataset):
    """A field of a compound Main; its lazy array shares the reads of the compound's."""

    def __init__(self, whole: MainDataset, name: str, main: Main) -> None:
        super().__init__(whole._contents, main, whole._options)
        self._whole = whole
        self._name = name

    @cached_property
    def data(self) -> da.Array:
        """The field as a lazy N-D dask array, from the blocks of the compound."""
        if self._whole.dtype[self._name] != self.dtype:
            return to_dask(self._folded, self._whole.plan.blocks)
        shared: da.Array = self._whole.data[self._name]
        return shared


def _refold(side: Side, wanted: Refold, path: str) -> tuple[Grid, tuple[Dimension, ...]]:
    """Return how a side folds as `wanted`, and its dimensions."""
    kind = side.naming.kind
    if wanted == "grid":
        grid = force_grid(side.indices)
    elif wanted == "points":
        grid = scattered(side.indices.points, "asked for as points")
    elif isinstance(wanted, str):
        raise LayoutError(
            f"refold({kind}={wanted!r}): use a list of Dimensions, 'grid' or 'points'."
        )
    else:
        grid = raster(tuple(dimension.size for dimension in wanted))
        if grid.points != side.indices.points:
            raise LayoutError(
                f"{path}: sizes {grid.shape} make {grid.points:,} points, the {kind} side has "
                f"{side.indices.points:,}; they must match.",
                path,
                "refold-size",
            )
        return grid, tuple(dimension.of(kind) for dimension in wanted)
    return grid, find_dimensions(grid, side.values, side.naming)
