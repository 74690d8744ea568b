"""Files and Mains as text, for terminals and reprs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lazyusid.errors import Finding
from lazyusid.layout.chunking import format_bytes
from lazyusid.layout.dimension import Coordinate, Dimension
from lazyusid.model import Storage

TINY_CHUNK = 32 << 10
MANY_BYTES = 16 << 20


@dataclass(frozen=True)
class MainText:
    """What there is to say of a Main."""

    path: str
    quantity: str
    units: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    axes: tuple[Dimension, ...]
    layout: str
    storage: Storage
    complete: float

    @property
    def title(self) -> str:
        """Quantity and units, sizes and dtype in one line."""
        sizes = ", ".join(
            f"{name} {size}" for name, size in zip(self.dims, self.shape, strict=True)
        )
        units = f" [{self.units}]" if self.units else ""
        done = f", {self.complete:.0%} complete" if self.complete < 1 else ""
        return safe(f"{self.quantity}{units} ({sizes}) {self.dtype}{done}")


def safe(text: str) -> str:
    r"""Return text from a file without what could steer a terminal.

    Examples
    --------
    >>> safe("Bias\\x1b[31m")
    'Bias\\\\x1b[31m'
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def table(rows: Sequence[Sequence[str]], indent: str = "  ") -> list[str]:
    """Return rows as lines with aligned columns."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        indent
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def describe_storage(storage: Storage) -> str:
    """Return layout, chunks, filters and size on disk in one line."""
    chunks = " x ".join(map(str, storage.chunks)) if storage.chunks else ""
    parts = [
        storage.layout,
        chunks,
        "+".join(storage.filters),
        format_bytes(storage.stored),
        f"read as {storage.engine}",
    ]
    return ", ".join(part for part in parts if part)


def advise(storage: Storage) -> str:
    """Return what to do about storage that is slow to read, "" where there is nothing."""
    if storage.chunks is None or not storage.stored:
        return ""
    tiny = storage.chunk_bytes < TINY_CHUNK and storage.stored > MANY_BYTES
    if not tiny:
        return ""
    return (
        f"chunks of {format_bytes(storage.chunk_bytes)} are slow to read; "
        "repack the file with chunks of 256 KiB to 4 MiB"
    )


def dimension_rows(text: MainText) -> list[list[str]]:
    """Return a row for each axis and for each coordinate that is no axis's own values."""
    rows = [
        [
            axis.kind or "",
            safe(axis.name),
            str(axis.size),
            f"{axis.range} {safe(axis.units)}".strip(),
            "" if axis.uniform else "not uniform",
        ]
        for axis in text.axes
    ]
    for axis in text.axes:
        for coordinate in axis.coordinates:
            shape = "x".join(map(str, coordinate.values.shape))
            over = f"over {', '.join(coordinate.dims)}"
            rows.append(["", safe(coordinate.name), shape, _span(coordinate), safe(over)])
    return rows


def _span(coordinate: Coordinate) -> str:
    values = coordinate.values[~np.isnan(coordinate.values)]
    if not values.size:
        return "empty"
    return f"{values.min():.6g} .. {values.max():.6g} {safe(coordinate.units)}".strip()


def describe_main(text: MainText) -> str:
    """Return a Main in a few lines: title, dimensions, layout where it is no raster, storage."""
    lines = [f"<lazyusid.MainDataset {safe(text.path)!r}>", f"  {text.title}"]
    lines += table(dimension_rows(text), "    ")
    lines += [f"  layout   {safe(text.layout)}", f"  storage  {describe_storage(text.storage)}"]
    return "\n".join(lines)


def describe_file(path: str, mains: Iterable[MainText], findings: Sequence[Finding]) -> str:
    """Return a file in a line a Main."""
    rows = [[safe(main.path), main.title] for main in mains]
    lines = [f"<lazyusid.UsidFile {safe(path)!r}: {len(rows)} Main{'s' * (len(rows) != 1)}>"]
    lines += table(rows)
    if findings:
        lines.append(f"  {len(findings)} finding{'s' * (len(findings) != 1)}, see .findings")
    return "\n".join(lines)


def draw_tree(
    groups: Sequence[str], datasets: Sequence[str], mains: Sequence[MainText]
) -> list[str]:
    """Return the tree of a file, Mains flagged and described."""
    described = {main.path: main for main in mains}
    lines = []
    inner = [group for group in groups if group != "/"]
    for path in sorted([*inner, *datasets, *described], key=lambda path: path.split("/")):
        depth = path.count("/") - 1
        indent = "  " * depth
        name = safe(path.rpartition("/")[2])
        if path in described:
            main = described[path]
            lines.append(f"{indent}* {name}  {main.title}")
            lines += table(dimension_rows(main), f"{indent}    ")
            lines.append(f"{indent}    {describe_storage(main.storage)}")
            lines += [f"{indent}    {advice}" for advice in [advise(main.storage)] if advice]
        else:
            lines.append(f"{indent}{name}{'/' * (path in inner)}")
    return lines
