"""`MainDataset`: a Main as its users hold it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from lazyusid.api.array import MainArray
from lazyusid.api.datasets import Dataset
from lazyusid.display.text import MainText, describe_main
from lazyusid.errors import LayoutError
from lazyusid.hdf5.handles import lend
from lazyusid.layout.dimension import parse_descriptor, renamed, unique_names
from lazyusid.layout.folding import Folding
from lazyusid.layout.refolding import Refold, refold
from lazyusid.layout.sources import FieldSource
from lazyusid.lazy.array import to_dask
from lazyusid.model import Attributes, Main
from lazyusid.provenance import (
    linked_paths,
    metadata_of,
    nearby_paths,
    params_of,
    results_group,
    results_of,
    source_of,
    tool_of,
)

if TYPE_CHECKING:
    import dask.array as da
    import h5py


class MainDataset(MainArray):
    """A Main dataset, folded into N dimensions; lazy, and holding no file open.

    Made by `lazyusid.open`. Axes run slowest first, positions then spectroscopic steps; a
    placeholder side (one dimension of size 1) has no axis, unless ``keep_placeholders`` was set.
    """

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
        try:
            folded = [
                before if wanted is None else refold(side.naming, side.indices, side.values, wanted)
                for side, wanted, before in zip(
                    sides, (position, spectroscopic), found, strict=True
                )
            ]
        except LayoutError as error:
            raise LayoutError(f"{self.path}: {error}", self.path, error.rule) from error
        (rows, row_dimensions), (columns, column_dimensions) = folded
        names = unique_names(axis.name for axis in (*row_dimensions, *column_dimensions))
        main = replace(
            self._main,
            folding=Folding(rows, columns),
            position=renamed(row_dimensions, names[: len(row_dimensions)]),
            spectroscopic=renamed(column_dimensions, names[len(row_dimensions) :]),
        )
        return MainDataset(self._contents, main, self._options)

    @property
    def attrs(self) -> Attributes:
        """The Main's own attributes, as plain Python."""
        return dict(self._main.attrs)

    @property
    def metadata(self) -> Mapping[str, Attributes]:
        """Path of each group above the Main, ``"/"`` first -> its attributes."""
        return metadata_of(self._contents, self._main)

    @property
    def params(self) -> Attributes:
        """Every parameter from its nearest place: Main, groups outwards, root, then the source."""
        return params_of(self._contents, self._main)

    @property
    def is_result(self) -> bool:
        """Whether it lies in a results group."""
        return results_group(self._contents, self._main) is not None

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
        found = linked_paths(self._contents, self._main)
        return {name: Dataset(self.file, path) for name, path in found.items()}

    @property
    def nearby(self) -> Mapping[str, Dataset]:
        """Name -> dataset that stands in the own group, else in the Channel, the Measurement..."""
        found = nearby_paths(self._contents, self._main)
        return {name: Dataset(self.file, path) for name, path in found.items()}

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
        source = FieldSource(self._source, name)
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
    def _lazy(self) -> da.Array:
        """The field from the blocks of the compound, or read apart where it needs another dtype."""
        if self._folded.dtype != self._main.source.dtype:
            return to_dask(self._folded, self.plan.blocks)
        shared: da.Array = self._whole._lazy[self._name]
        return shared
