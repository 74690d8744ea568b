"""Where a Main comes from and what was made of it, by references first and names only after."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from lazyusid.model import (
    Attributes,
    Contents,
    Group,
    Main,
    ObjectReference,
    ancestors,
    base,
    parent,
    text,
)

_RESULTS_NAME = re.compile(r"^(?P<source>.+)-(?P<tool>.+)_(?P<number>\d+)$")


class ResultsName(NamedTuple):
    """The parts of a results group's name, ``<source>-<tool>_<number>``."""

    source: str
    tool: str
    number: int


def split_results_name(name: str) -> ResultsName | None:
    """Return the parts of a results group's name, or None where it is none.

    Examples
    --------
    >>> split_results_name("Raw_Data-SHO_Fit_001")
    ResultsName(source='Raw_Data', tool='SHO_Fit', number=1)
    """
    match = _RESULTS_NAME.match(name)
    return ResultsName(match["source"], match["tool"], int(match["number"])) if match else None


def results_group(contents: Contents, main: Main) -> Group | None:
    """Return the results group that a Main lies in, or None where it is no result."""
    group = contents.groups[parent(main.path)]
    named = split_results_name(base(group.path))
    return group if named or "tool" in group.attrs or "source_000" in group.attrs else None


def tool_of(contents: Contents, main: Main) -> str:
    """Return the name of the tool that made a Main, "" where it is no result."""
    group = results_group(contents, main)
    if group is None:
        return ""
    named = split_results_name(base(group.path))
    return text(group.attrs.get("tool")) or (named.tool if named else "")


def source_of(contents: Contents, main: Main) -> Main | None:
    """Return the Main that a result was computed from; by reference, else by the group's name."""
    group = results_group(contents, main)
    if group is None:
        return None
    told = group.attrs.get("source_000")
    if isinstance(told, ObjectReference):
        return contents.mains.get(told.path)
    named = split_results_name(base(group.path))
    beside = f"{parent(group.path).rstrip('/')}/{named.source}" if named else ""
    return contents.mains.get(beside)


def results_of(contents: Contents, main: Main, tool: str | None = None) -> list[Main]:
    """Return the Mains computed from `main`, by `tool` where one is named, newest last."""
    made = [
        other
        for other in contents.mains.values()
        if source_of(contents, other) is main and tool in (None, tool_of(contents, other))
    ]
    return sorted(made, key=_age)


def _age(main: Main) -> tuple[int, str]:
    named = split_results_name(base(parent(main.path)))
    return (named.number if named else -1, main.path)


def metadata_of(contents: Contents, main: Main) -> Mapping[str, Attributes]:
    """Return path -> attributes of each group above a Main, ``"/"`` first."""
    return {path: contents.groups[path].attrs for path in ancestors(main.path)[::-1]}


def params_of(contents: Contents, main: Main) -> Attributes:
    """Return every parameter from its nearest place: Main, groups outwards, then the source."""
    chain: list[Main] = []
    step: Main | None = main
    while step is not None and step not in chain:
        chain.append(step)
        step = source_of(contents, step)
    found: dict[str, Any] = {}
    for place in reversed(chain):
        for attrs in metadata_of(contents, place).values():
            found.update(attrs)
        found.update(place.attrs)
    return found


def linked_paths(contents: Contents, main: Main) -> dict[str, str]:
    """Return attribute name -> path of each dataset that a Main's further references point at."""
    datasets = {*contents.datasets, *contents.mains}
    return {
        name: value.path
        for name, value in main.attrs.items()
        if isinstance(value, ObjectReference)
        and name not in main.table_paths
        and value.path in datasets
    }


def nearby_paths(contents: Contents, main: Main) -> dict[str, str]:
    """Return name -> path of the datasets in the groups above a Main, the nearest of a name."""
    groups = ancestors(main.path)
    near = [path for path in contents.datasets if parent(path) in groups]
    return {base(path): path for path in sorted(near, key=lambda path: path.count("/"))}
