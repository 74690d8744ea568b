"""A file -> `Contents`: walk it, follow the references, fold the tables, gather what is wrong.

One bad dataset never costs the others: what claims to be a Main and is none becomes a finding.
Tables that several Mains share are read and folded once.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lazyusid.errors import Finding, LayoutError, SourceError, UsidError, warn
from lazyusid.hdf5.attributes import read_attributes
from lazyusid.hdf5.filters import explain, pipeline_of, unknown
from lazyusid.hdf5.handles import lend
from lazyusid.hdf5.names import member
from lazyusid.hdf5.source import HDF5Source, Mark, mark, open_source, storage_of
from lazyusid.hdf5.validate import (
    ANCILLARIES,
    POSITION,
    SPECTROSCOPIC,
    Facts,
    TableFacts,
    check,
)
from lazyusid.hdf5.walk import Walk, walk
from lazyusid.layout.coordinates import Naming, find_dimensions
from lazyusid.layout.dimension import Dimension, Kind, unique_names
from lazyusid.layout.folding import Folding
from lazyusid.layout.grid import Grid, find_grid
from lazyusid.layout.tables import Table
from lazyusid.model import (
    Contents,
    Group,
    Main,
    ObjectReference,
    RegionReference,
    Side,
    ancestors,
    base,
    parent,
    strings,
    text,
)

UNFINISHED = "completed_positions"
_UNLOCKED = Finding(
    "/",
    "unlocked",
    "warning",
    "the file cannot be locked (another program writes it, or its file system has no locks); it "
    "is read without a lock.",
)


def read_contents(path: str | os.PathLike[str]) -> Contents:
    """Return everything one walk over an HDF5 file finds; nothing stays open.

    Raises
    ------
    SourceError
        Where there is no such file, or HDF5 cannot open it.
    """
    absolute = os.path.abspath(Path(path))
    with lend(absolute) as loan:
        try:
            found = _Reader(loan.file, absolute).contents()
        except UsidError:
            raise
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise SourceError(
                f"{absolute}: HDF5 cannot follow its structure: {error}.", "/", "file-structure"
            ) from error
        return found if loan.locked else replace(found, findings=(_UNLOCKED, *found.findings))


@dataclass
class _Reader:
    """One walk over an open file; remembers the attributes, sides and findings it has met."""

    file: h5py.File
    path: str
    walk: Walk = field(init=False)
    findings: list[Finding] = field(default_factory=list)
    attrs: dict[str, dict[str, Any]] = field(default_factory=dict)
    sources: dict[str, HDF5Source] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    sides: dict[tuple[Any, ...], tuple[Grid, tuple[Dimension, ...]]] = field(default_factory=dict)

    def contents(self) -> Contents:
        self.walk = walk(self.file)
        mains = {main.path: main for main in self._mains()}
        groups = {group for path in mains for group in ancestors(path)} | {"/"}
        return Contents(
            self.path,
            mains,
            self._groups(groups),
            tuple(self.walk.groups),
            tuple(path for path in self.walk.datasets if path not in mains),
            tuple(self.findings),
        )

    def _groups(self, paths: set[str]) -> dict[str, Group]:
        """Return groups with their attributes, each opened from its parent, "/" first."""
        opened: dict[str, h5py.HLObject] = {"/": self.file["/"]}
        for path in sorted(paths - {"/"}, key=lambda path: path.count("/")):
            opened[path] = member(opened[parent(path)], base(path))
        return {path: Group(path, self.attributes(path, item)) for path, item in opened.items()}

    def _mains(self) -> Iterator[Main]:
        for path in self.walk.datasets:
            if path.rpartition("/")[2] in ANCILLARIES:
                continue
            try:
                facts = self._facts(path)
                main = self._main(facts) if facts else None
            except (UsidError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
                rule = error.rule if isinstance(error, LayoutError) and error.rule else "main-read"
                message = f"cannot be read as a Main: {error}"
                self.findings.append(Finding(path, rule, "error", message))
                continue
            if main:
                yield main

    def attributes(self, path: str, item: h5py.HLObject | None = None) -> dict[str, Any]:
        """Return an object's attributes, read once; those that cannot be are findings."""
        if path not in self.attrs:
            values, failed = read_attributes(
                member(self.file, path) if item is None else item,
                lambda reference: self.walk.resolve(self.file, reference),
            )
            self.attrs[path] = values
            self.findings += [
                Finding(path, "attribute", "warning", f"attribute {name!r} is unreadable: {why}")
                for name, why in failed
            ]
        return self.attrs[path]

    def _facts(self, path: str) -> Facts | None:
        """Return what the file says of a dataset that looks like a Main, else None."""
        dataset = member(self.file, path)
        claimed = any(_has(dataset, name) for name in ANCILLARIES)
        beside = {} if claimed else self._tables_beside(path, dataset)
        if not (claimed or beside or _has(dataset, "quantity")):
            return None
        attrs = self.attributes(path)
        tables = beside or {
            name: self._table(attrs[name].path)
            for name in ANCILLARIES
            if isinstance(attrs.get(name), ObjectReference | RegionReference) and attrs[name].path
        }
        shape, dtype = _shape_and_dtype(dataset)
        return Facts(path, shape, dtype, attrs, tables, named=bool(beside))

    def _tables_beside(self, path: str, dataset: h5py.Dataset) -> dict[str, TableFacts]:
        """Return the four tables by name from the dataset's group or its parent, if they fit."""
        if len(dataset.shape or ()) != 2:
            return {}
        for group in ancestors(path)[:2]:
            if set(ANCILLARIES) <= set(self.walk.groups.get(group, ())):
                tables = {name: self._table(f"{group.rstrip('/')}/{name}") for name in ANCILLARIES}
                if _fit(dataset.shape, tables):
                    return tables
        return {}

    def _table(self, path: str) -> TableFacts:
        item = member(self.file, path)
        if not isinstance(item, h5py.Dataset):
            return TableFacts(path, False, (), None, {})
        return TableFacts(path, True, *_shape_and_dtype(item), self.attributes(path))

    def _main(self, facts: Facts) -> Main | None:
        found = check(facts)
        self.findings += found
        if any(finding.severity == "error" for finding in found):
            return None
        paths = {name: facts.tables[name].path for name in ANCILLARIES}
        sides = self._side(facts, POSITION), self._side(facts, SPECTROSCOPIC)
        (position, rows), (spectroscopic, columns) = map(self._fold, sides)
        dataset = member(self.file, facts.path)
        missing = unknown(pipeline_of(dataset))
        if missing:
            self.findings.append(Finding(facts.path, "filter", "error", explain(missing)))
        return Main(
            file=self.path,
            path=facts.path,
            source=open_source(self.file, facts.path, tuple(map(self._mark, paths.values()))),
            storage=storage_of(dataset),
            folding=Folding(position, spectroscopic),
            position=rows,
            spectroscopic=columns,
            sides=sides,
            table_paths=paths,
            quantity=text(facts.attrs.get("quantity")),
            units=text(facts.attrs.get("units")),
            attrs=facts.attrs,
            done=self._done(facts.path, position.points),
        )

    def _mark(self, path: str) -> Mark:
        if path not in self.marks:
            self.marks[path] = mark(self.file, path, path.endswith("Indices"))
        return self.marks[path]

    def _table_source(self, path: str) -> HDF5Source:
        if path not in self.sources:
            self.sources[path] = open_source(self.file, path)
        return self.sources[path]

    def _side(self, facts: Facts, names: tuple[str, str]) -> Side:
        transposed = names == SPECTROSCOPIC
        indices, values = (
            Table(self._table_source(facts.tables[name].path), transposed) for name in names
        )
        return Side(_namings(facts)[transposed], indices, values, _incomplete(facts, names))

    def _fold(self, side: Side) -> tuple[Grid, tuple[Dimension, ...]]:
        indices, values = side.indices.source, side.values.source
        key = (indices.token, values.token, side.naming, side.incomplete)
        if key not in self.sides:
            grid = find_grid(side.indices, side.incomplete)
            self.sides[key] = grid, find_dimensions(grid, side.values, side.naming)
        return self.sides[key]

    def _done(self, path: str, rows: int) -> NDArray[np.bool_] | None:
        """Return one flag a row where the results group records which are done, and not all."""
        group = ancestors(path)[0]
        done = None
        if UNFINISHED in self.walk.groups[group]:
            done = self._status(path, f"{group.rstrip('/')}/{UNFINISHED}", rows)
        elif (last := _number(self.attributes(group).get("last_pixel"))) is not None:
            done = np.arange(rows) < last
        if done is None or done.all():
            return None
        message = (
            f"{np.count_nonzero(done):,} of {rows:,} positions complete; the others count as "
            "not measured. open(..., mask_unfinished=False) gives them as they are."
        )
        self.findings.append(Finding(path, "unfinished", "warning", message))
        return done

    def _status(self, path: str, status: str, rows: int) -> NDArray[np.bool_] | None:
        """Return what `completed_positions` says of each row; what is none of it is a finding."""
        item = member(self.file, status)
        shape, dtype = _shape_and_dtype(item) if isinstance(item, h5py.Dataset) else ((), None)
        if shape == (rows,) and dtype is not None and dtype.kind in "biuf":
            done: NDArray[np.bool_] = item[:] != 0
            return done
        message = (
            f"{status} is {dtype} of shape {shape}, not one number for each of {rows:,} "
            "positions; it is ignored, all count as done."
        )
        self.findings.append(Finding(path, "unfinished-record", "warning", message))
        return None


def open_dataset(path: str, name: str) -> HDF5Source:
    """Return the source of any dataset of a file.

    Raises
    ------
    SourceError
        Where the file cannot be opened or has no such dataset.
    """
    with lend(path) as loan:
        try:
            item = member(loan.file, name)
            if isinstance(item, h5py.Dataset):
                return open_source(loan.file, name)
            why = "there is no such dataset"
        except KeyError:
            why = "there is no such dataset"
        except (TypeError, ValueError, OSError, RuntimeError) as error:
            why = f"cannot be read: {error}"
        raise SourceError(f"{path}:{name}: {why}.", name, "dataset")


def read_item_attributes(path: str, name: str) -> dict[str, Any]:
    """Return the attributes of any object of a file, as plain Python."""
    with lend(path) as loan:
        try:
            found = walk(loan.file)
            values, failed = read_attributes(
                member(loan.file, name), lambda reference: found.resolve(loan.file, reference)
            )
            if failed:
                told = "; ".join(f"{attribute}: {why}" for attribute, why in failed)
                if not values:
                    raise OSError(told)
                warn(f"{path}:{name}: attributes that cannot be read: {told}")
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            raise SourceError(
                f"{path}:{name}: its attributes cannot be read: {error}.", name, "attribute"
            ) from error
        return values


def _has(dataset: h5py.Dataset, name: str) -> bool:
    return bool(h5py.h5a.exists(dataset.id, name.encode()))


def _shape_and_dtype(dataset: h5py.Dataset) -> tuple[tuple[int, ...], Any]:
    shape = dataset.shape or ()
    try:
        return shape, dataset.dtype
    except (TypeError, ValueError, RuntimeError, OSError):
        return shape, None


def _number(value: Any) -> float | None:
    """Return an attribute's value as a number, or None where it is none."""
    numbers = np.asarray(value) if isinstance(value, int | float | np.ndarray) else np.empty(0)
    return float(numbers.ravel()[0]) if numbers.size == 1 and numbers.dtype.kind in "iuf" else None


def _fit(shape: tuple[int, ...], tables: dict[str, TableFacts]) -> bool:
    return all(
        len(table.shape) == 2
        and table.shape[0 if name in POSITION else 1] == shape[0 if name in POSITION else 1]
        for name, table in tables.items()
    )


def _namings(facts: Facts) -> tuple[Naming, Naming]:
    """Return the names of both sides' columns, unique over both, positions first."""
    labels, units = [], []
    counts = []
    for names, axis in ((POSITION, 1), (SPECTROSCOPIC, 0)):
        table = facts.tables[names[0]]
        count = table.shape[axis]
        counts.append(count)
        labels += strings(table.attrs.get("labels")) or [""] * count
        given = strings(table.attrs.get("units")) or []
        units += given if len(given) == count else [""] * count
    kinds: tuple[Kind, Kind] = ("position", "spectroscopic")
    unique = unique_names([*labels, *kinds])
    split = counts[0]
    return (
        Naming(kinds[0], tuple(unique[:split]), tuple(units[:split]), unique[-2]),
        Naming(kinds[1], tuple(unique[split:-2]), tuple(units[split:]), unique[-1]),
    )


def _incomplete(facts: Facts, names: tuple[str, str]) -> tuple[str, ...]:
    """Return the labels of a side that the file marks as having no N-D form."""
    labels = strings(facts.tables[names[0]].attrs.get("labels")) or []
    marked = [
        label
        for name in names
        for label in strings(facts.tables[name].attrs.get("incomplete_dimensions")) or []
    ]
    return tuple(label for label in dict.fromkeys(labels) if label in marked)
