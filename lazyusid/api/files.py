"""`open` and `UsidFile`: a file as a mapping of its Mains."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import Literal, Self

from lazyusid.api.datasets import Dataset
from lazyusid.api.main import MainDataset
from lazyusid.api.options import Options
from lazyusid.display.text import describe_file
from lazyusid.errors import Finding, NotMainError, warn
from lazyusid.hdf5.reader import read_contents
from lazyusid.layout.chunking import Request
from lazyusid.layout.folded import Fill
from lazyusid.model import Attributes, Contents


class UsidFile(Mapping[str, MainDataset]):
    """The Mains of a file by absolute path; holds nothing open and never writes."""

    def __init__(self, contents: Contents, options: Options) -> None:
        self._contents = contents
        self._mains = {
            path: MainDataset(contents, main, options) for path, main in contents.mains.items()
        }

    def __getitem__(self, key: str) -> MainDataset:
        """Return the Main at an absolute path, or at the only path that ends in `key`.

        ``"SHO_Fit_001/Fit"`` is an end too: the name of a results group may begin at its tool.

        Raises
        ------
        NotMainError
            Where no Main or more than one is meant; the message lists the candidates.
        """
        if not isinstance(key, str):
            raise self._not_main(key, [])
        if key in self._mains:
            return self._mains[key]
        ends = ("/" + key, "-" + key)
        meant = [path for path in self._mains if key.strip("/") == key and path.endswith(ends)]
        if len(meant) == 1:
            return self._mains[meant[0]]
        raise self._not_main(key, meant)

    def __iter__(self) -> Iterator[str]:
        return iter(self._mains)

    def __len__(self) -> int:
        return len(self._mains)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing: no handle is open."""

    def _not_main(self, key: object, meant: list[str]) -> NotMainError:
        why = [found.message for found in self.findings if f"/{found.path}".endswith(f"/{key}")]
        if meant:
            told = f"{len(meant)} Mains end in {key!r}; use more of the path: {', '.join(meant)}"
        else:
            listed = ", ".join(self._mains) or "none"
            told = f"no Main {key!r}{': it ' + why[0] if why else ''}; the Mains are: {listed}"
        return NotMainError(f"{self.path}: {told}.", str(key), "main-name")

    @property
    def path(self) -> str:
        """Absolute path of the file."""
        return self._contents.file

    @property
    def attrs(self) -> Attributes:
        """Attributes of the file's root."""
        return MappingProxyType(dict(self._contents.groups["/"].attrs))

    @property
    def findings(self) -> list[Finding]:
        """What is wrong with the file."""
        return list(self._contents.findings)

    @property
    def datasets(self) -> Mapping[str, Dataset]:
        """Absolute path -> lazy record of each dataset that is no Main."""
        found = {path: Dataset(self.path, path) for path in self._contents.datasets}
        return MappingProxyType(found)

    @property
    def groups(self) -> tuple[str, ...]:
        """Absolute paths of all groups."""
        return self._contents.tree

    @property
    def raw(self) -> list[MainDataset]:
        """The Mains that are no results."""
        return [main for main in self.values() if not main.is_result]

    @property
    def main(self) -> MainDataset:
        """The only Main, or the only one that is no result.

        Raises
        ------
        NotMainError
            Where there is none, or more than one.
        """
        for candidates in (list(self.values()), self.raw):
            if len(candidates) == 1:
                return candidates[0]
        listed = ", ".join(self._mains) or "none"
        raise NotMainError(
            f"{self.path}: there is no single Main; the Mains are: {listed}.", "/", "main-name"
        )

    def find(
        self,
        name: str | None = None,
        tool: str | None = None,
        quantity: str | None = None,
        dims: tuple[str, ...] | None = None,
    ) -> list[MainDataset]:
        """Return the Mains for which everything that is given holds.

        Parameters
        ----------
        name
            Last part of the path.
        tool
            Name of the tool that made it; ``""`` for what is no result.
        quantity
            Physical quantity.
        dims
            Names of all axes, in any order.
        """
        return [
            main
            for main in self.values()
            if name in (None, main.name)
            and (tool is None or (main.is_result if tool else not main.is_result))
            and tool in (None, "", main.tool)
            and quantity in (None, main.quantity)
            and (dims is None or set(dims) == set(main.dims))
        ]

    def __repr__(self) -> str:
        return describe_file(self.path, [main.text for main in self.values()], self.findings)


def open(
    path: str | os.PathLike[str],
    *,
    chunks: Request = "auto",
    fill: Fill = None,
    keep_placeholders: bool = False,
    mask_unfinished: bool = True,
    engine: Literal["auto", "raw", "h5py"] = "auto",
) -> UsidFile:
    """Open an h5USID file lazily; nothing of a Main is read and nothing stays open.

    Parameters
    ----------
    path
        The file.
    chunks
        Blocks of the lazy arrays: ``"auto"``, ``"spectra"`` (spectroscopic axes whole),
        ``"images"`` (position axes whole), ``{"X": 32}`` (these axes so, the others as memory
        allows), or a tuple with an edge, or a tuple of edges, for each axis; -1 is a whole axis.
    fill
        What stands where no point was measured, in the Main's own dtype; by default NaN, for
        which integers become floats.
    keep_placeholders
        Whether a side that is one dimension of size 1 keeps its axis.
    mask_unfinished
        Whether rows that a killed computation never reached count as not measured.
    engine
        ``"auto"`` reads past HDF5's lock wherever that is exact, ``"h5py"`` never does, and
        ``"raw"`` refuses data that needs HDF5.

    Returns
    -------
    UsidFile
        The Mains by absolute path.

    Raises
    ------
    SourceError
        Where there is no such file, or it is no HDF5 file.

    Warns
    -----
    UsidWarning
        Once for each rule of the format that the file breaks.
    """
    if engine not in ("auto", "raw", "h5py"):
        raise ValueError(f"engine={engine!r}: use 'auto', 'raw' or 'h5py'.")
    contents = read_contents(path)
    _warn(contents)
    return UsidFile(contents, Options(chunks, fill, keep_placeholders, mask_unfinished, engine))


def validate(path: str | os.PathLike[str]) -> list[Finding]:
    """Return what is wrong with a file; empty for one that keeps all rules.

    Raises
    ------
    SourceError
        Where there is no such file, or it is no HDF5 file.
    """
    return list(read_contents(path).findings)


def _warn(contents: Contents) -> None:
    """Warn once a rule."""
    by_rule: dict[str, list[Finding]] = {}
    for finding in contents.findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    for rule, found in by_rule.items():
        others = f" (and {len(found) - 1} more of this rule)" if len(found) > 1 else ""
        warn(f"{contents.file}:{found[0].path}: {found[0].message}{others} [{rule}]")
