"""The format's rules, each a named function that yields findings about one Main.

A rule looks at `Facts`, what the file says of a dataset that claims to be a Main, and never raises.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lazyusid.errors import Finding, Severity
from lazyusid.model import Attributes, ObjectReference, RegionReference, strings, text

POSITION = ("Position_Indices", "Position_Values")
SPECTROSCOPIC = ("Spectroscopic_Indices", "Spectroscopic_Values")
ANCILLARIES = POSITION + SPECTROSCOPIC


@dataclass(frozen=True, eq=False)
class TableFacts:
    """What the file says of one table."""

    path: str
    is_dataset: bool
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    attrs: Attributes


@dataclass(frozen=True, eq=False)
class Facts:
    """What the file says of a dataset that claims to be a Main.

    Attributes
    ----------
    path, shape, dtype, attrs
        The dataset itself; dtype is None where HDF5 cannot tell shape and dtype.
    tables
        The four tables by the attribute's name; one that was not found is not there.
    named
        True where the tables were found by name beside the dataset, not by reference.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    attrs: Attributes
    tables: Mapping[str, TableFacts]
    named: bool


def check(facts: Facts) -> list[Finding]:
    """Return all findings about a dataset; rules that need tables run once these are sound."""
    findings = [finding for rule in _MAIN_RULES for finding in rule(facts)]
    if not any(finding.severity == "error" for finding in findings):
        findings += [finding for rule in _TABLE_RULES for finding in rule(facts)]
    return findings


def _rank(facts: Facts) -> Iterator[Finding]:
    if facts.dtype is None:
        yield _error(facts.path, "main-readable", "HDF5 cannot tell its shape or dtype.")
    elif len(facts.shape) != 2:
        yield _error(
            facts.path,
            "main-rank",
            f"has {len(facts.shape)} axes; a Main has two, positions x spectroscopic steps.",
        )


def _dtype(facts: Facts) -> Iterator[Finding]:
    if facts.dtype is not None and not _is_numeric(facts.dtype):
        yield _error(
            facts.path, "main-dtype", f"holds {facts.dtype}; a Main holds numbers or compounds."
        )


def _references(facts: Facts) -> Iterator[Finding]:
    if facts.named:
        yield _warning(
            facts.path,
            "references-missing",
            "has no references to its tables; those of the four fixed names beside it are used.",
        )
        return
    for name in ANCILLARIES:
        value = facts.attrs.get(name)
        if name not in facts.attrs:
            yield _error(facts.path, "reference-missing", f"has no attribute {name}.")
        elif isinstance(value, RegionReference):
            yield _warning(
                facts.path,
                "reference-kind",
                f"{name} is a region reference; the rule is an object reference. It was followed.",
            )
        elif not isinstance(value, ObjectReference):
            yield _error(
                facts.path,
                "reference-kind",
                f"{name} is {type(value).__name__}; it must be an object reference.",
            )
        elif not value.path:
            yield _error(
                facts.path, "reference-dangling", f"{name} points at nothing in this file."
            )


def _targets(facts: Facts) -> Iterator[Finding]:
    for name, table in facts.tables.items():
        if not table.is_dataset:
            yield _error(
                facts.path,
                "reference-target",
                f"{name} points at {table.path}, a group; it must be a dataset.",
            )


def _table_rank(facts: Facts) -> Iterator[Finding]:
    for name, table in facts.tables.items():
        if table.is_dataset and len(table.shape) != 2:
            yield _error(
                facts.path,
                "table-rank",
                f"{name} ({table.path}) has {len(table.shape)} axes; tables have two.",
            )
        elif table.is_dataset and (table.dtype is None or table.dtype.kind not in "iuf"):
            yield _error(
                facts.path,
                "table-dtype",
                f"{name} ({table.path}) holds {table.dtype}; tables hold real numbers.",
            )


def _description(facts: Facts) -> Iterator[Finding]:
    for name in ("quantity", "units"):
        value = facts.attrs.get(name)
        if name not in facts.attrs:
            yield _warning(facts.path, f"{name}-missing", f"has no attribute {name}; '' is used.")
        elif not isinstance(value, str):
            found = "a list of text" if strings(value) is not None else type(value).__name__
            yield _warning(
                facts.path,
                f"{name}-kind",
                f"{name} is {found}; it must be one text. {text(value)!r} is used.",
            )


def _table_shapes(facts: Facts) -> Iterator[Finding]:
    for names, axis, side in ((POSITION, 0, "rows"), (SPECTROSCOPIC, 1, "columns")):
        indices, values = (facts.tables[name] for name in names)
        if indices.shape != values.shape:
            yield _error(
                facts.path,
                "table-shape",
                f"{names[0]} is {indices.shape}, {names[1]} {values.shape}; they must be equal.",
            )
        for name, table in zip(names, (indices, values), strict=True):
            if table.shape[axis] != facts.shape[axis]:
                yield _error(
                    facts.path,
                    "table-shape",
                    f"{name} has {table.shape[axis]:,} {side}, the matrix {facts.shape[axis]:,}; "
                    "they must match.",
                )
            elif table.shape[1 - axis] == 0:
                yield _error(facts.path, "table-shape", f"{name} describes no dimension.")


def _labels(facts: Facts) -> Iterator[Finding]:
    for names, axis in ((POSITION, 1), (SPECTROSCOPIC, 0)):
        indices, values = (facts.tables[name] for name in names)
        count = indices.shape[axis]
        labels = strings(indices.attrs.get("labels"))
        if labels is None:
            yield _warning(
                facts.path,
                "labels-missing",
                f"{names[0]} ({indices.path}) has no labels; its dimensions are called 'dim'.",
            )
        elif len(labels) != count:
            yield _error(
                facts.path,
                "labels-count",
                f"{names[0]} ({indices.path}) has {len(labels)} labels for {count} dimensions; "
                "there must be one each.",
            )
        elif isinstance(indices.attrs["labels"], str):
            yield _warning(facts.path, "labels-kind", f"labels of {names[0]} are no list.")
        if labels is not None and strings(values.attrs.get("labels")) != labels:
            yield _warning(
                facts.path,
                "labels-differ",
                f"{names[0]} and {names[1]} do not have the same labels; {labels} are used.",
            )


def _units(facts: Facts) -> Iterator[Finding]:
    for names, axis in ((POSITION, 1), (SPECTROSCOPIC, 0)):
        indices, values = (facts.tables[name] for name in names)
        units = strings(indices.attrs.get("units"))
        if units is None or len(units) != indices.shape[axis]:
            yield _warning(
                facts.path,
                "units-count",
                f"{names[0]} ({indices.path}) has units {units} for {indices.shape[axis]} "
                "dimensions; none is used.",
            )
        elif strings(values.attrs.get("units")) != units:
            yield _warning(
                facts.path,
                "units-differ",
                f"{names[0]} and {names[1]} do not have the same units; {units} are used.",
            )


def _names(facts: Facts) -> Iterator[Finding]:
    named = {
        name: strings(facts.tables[name].attrs.get("labels")) or []
        for name in (POSITION[0], SPECTROSCOPIC[0])
    }
    labels = [label for found in named.values() for label in found]
    twice = sorted({label for label in labels if label and labels.count(label) > 1})
    if twice:
        yield _warning(
            facts.path,
            "labels-unique",
            f"dimension names {twice} are used more than once; the later ones get a number.",
        )
    if "" in labels:
        yield _warning(facts.path, "labels-empty", "a dimension has no name; it is called 'dim'.")


def _is_numeric(dtype: np.dtype[Any]) -> bool:
    if dtype.names is not None:
        return bool(dtype.names) and all(_is_numeric(dtype[name]) for name in dtype.names)
    return dtype.kind in "biufc"


def _error(path: str, rule: str, message: str) -> Finding:
    return _finding("error", path, rule, message)


def _warning(path: str, rule: str, message: str) -> Finding:
    return _finding("warning", path, rule, message)


def _finding(severity: Severity, path: str, rule: str, message: str) -> Finding:
    return Finding(path, rule, severity, message)


_MAIN_RULES = (_rank, _dtype, _references, _targets, _table_rank, _description)
_TABLE_RULES = (_table_shapes, _labels, _units, _names)
