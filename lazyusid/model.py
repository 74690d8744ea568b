"""What a file says, as frozen values: Mains, groups, results, other datasets.

Readers of a format make these; everything above lives on them and never asks where they came from.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lazyusid.errors import Finding
from lazyusid.layout.coordinates import Naming
from lazyusid.layout.dimension import Dimension
from lazyusid.layout.folding import Folding
from lazyusid.layout.tables import Table
from lazyusid.protocols import BlockSource

Attributes = Mapping[str, Any]
"""Attribute values as plain Python: numbers, bool, str, lists of str, numpy arrays, references."""


class ObjectReference(NamedTuple):
    """An attribute that points at an object of the same file; `path` is "" where it dangles."""

    path: str


@dataclass(frozen=True, eq=False)
class RegionReference:
    """An attribute that points at rows and columns of a dataset of the same file.

    Attributes
    ----------
    path
        The dataset.
    load
        Gives the runs of rows and of columns, first number and end of each, shape (runs, 2).
    """

    path: str
    load: Callable[[], tuple[NDArray[np.int64], NDArray[np.int64]]]

    @cached_property
    def _runs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self.load()

    @property
    def rows(self) -> NDArray[np.int64]:
        """Numbers of the rows, ascending."""
        return _numbers(self._runs[0])

    @property
    def columns(self) -> NDArray[np.int64]:
        """Numbers of the columns, ascending."""
        return _numbers(self._runs[1])


def _numbers(runs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers in `runs`, shape (runs, 2)."""
    lengths = runs[:, 1] - runs[:, 0]
    before = np.cumsum(lengths) - lengths
    numbers: NDArray[np.int64] = np.arange(int(lengths.sum())) + np.repeat(
        runs[:, 0] - before, lengths
    )
    return numbers


@dataclass(frozen=True, eq=False)
class Group:
    """A group and its attributes."""

    path: str
    attrs: Attributes


@dataclass(frozen=True, eq=False)
class Storage:
    """How a dataset lies in its file.

    Attributes
    ----------
    layout
        ``"contiguous"``, ``"chunked"``, ``"compact"`` or ``"virtual"``.
    chunks
        Edges of a chunk, or None.
    filters
        Names of the filters that chunks pass, in order of writing.
    chunk_bytes
        Bytes of a chunk in memory; 0 where there are none.
    stored
        Bytes on disk.
    engine
        How it is read: past HDF5, or through h5py and why.
    """

    layout: str
    chunks: tuple[int, ...] | None
    filters: tuple[str, ...]
    chunk_bytes: int
    stored: int
    engine: str


@dataclass(frozen=True, eq=False)
class Side:
    """One side's tables, and what their columns are called.

    Attributes
    ----------
    naming
        Names and units of the columns, in table order, unique over both sides.
    indices, values
        The tables, point-major.
    incomplete
        Labels that the file marks as having no N-D form.
    """

    naming: Naming
    indices: Table
    values: Table
    incomplete: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Main:
    """A Main dataset: a matrix, how it folds, and what it means.

    Attributes
    ----------
    file, path
        Absolute path of the file, and of the dataset in it.
    source
        The matrix, positions x spectroscopic steps, as stored.
    folding
        How the tables place every row and column; placeholder sides and unfinished rows included.
    position, spectroscopic
        Dimensions of each side, slowest first.
    sides
        Names and tables of each side: position, spectroscopic.
    table_paths
        Name of each of the four tables -> its path.
    done
        One flag a row, or None where the file keeps no record of unfinished rows.
    """

    file: str
    path: str
    source: BlockSource
    storage: Storage
    folding: Folding
    position: tuple[Dimension, ...]
    spectroscopic: tuple[Dimension, ...]
    sides: tuple[Side, Side]
    table_paths: Mapping[str, str]
    quantity: str
    units: str
    attrs: Attributes
    done: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class Contents:
    """Everything that one walk over a file finds.

    Attributes
    ----------
    file
        Absolute path of the file.
    mains
        The Mains by absolute path, in the file's order.
    groups
        ``"/"`` and the groups above Mains, by absolute path.
    tree
        Absolute paths of all groups.
    datasets
        Absolute paths of all datasets that are no Main.
    findings
        What is wrong with the file.
    """

    file: str
    mains: Mapping[str, Main]
    groups: Mapping[str, Group]
    tree: tuple[str, ...]
    datasets: tuple[str, ...]
    findings: tuple[Finding, ...]


def strings(value: Any) -> list[str] | None:
    """Return an attribute's value as a list of stripped text, or None where it is no text."""
    if isinstance(value, str):
        return [value.strip()]
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return [part.strip() for part in value]
    return None


def text(value: Any) -> str:
    """Return an attribute's value as one stripped text, "" where it is none."""
    found = strings(value)
    return found[0] if found else ""


def ancestors(path: str) -> list[str]:
    """Return the groups above `path`, nearest first, ``"/"`` last.

    Examples
    --------
    >>> ancestors("/Measurement_000/Channel_000/Raw_Data")
    ['/Measurement_000/Channel_000', '/Measurement_000', '/']
    """
    found = []
    while path != "/":
        path = parent(path)
        found.append(path)
    return found


def parent(path: str) -> str:
    """Return the path of the group that holds `path`."""
    return path.rpartition("/")[0] or "/"


def base(path: str) -> str:
    """Return the last part of a path."""
    return path.rpartition("/")[2]
