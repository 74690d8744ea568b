"""Tables as text, as markdown and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import isnan
from typing import Any


@dataclass
class Table:
    """A titled table.

    Attributes
    ----------
    columns, rows
        Headings, and a text for each in every row.
    notes
        What to know about it, a line each.
    measured
        The numbers behind it, for JSON.
    """

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    measured: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: Sequence[str], **measured: Any) -> None:
        """Add a row, and the numbers behind it."""
        self.rows.append(row)
        self.measured.append(measured)

    def as_text(self) -> str:
        """Return the table in aligned columns."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        lines = [self.columns, ["-" * width for width in widths], *self.rows]
        told = ["  ".join(_aligned(line, widths)).rstrip() for line in lines]
        return "\n".join([f"== {self.title}", *told, *(f"   {note}" for note in self.notes)])

    def as_markdown(self) -> str:
        """Return the table as markdown."""
        rule = ["---", *("---:" for _ in self.columns[1:])]
        told = [f"| {' | '.join(line)} |" for line in (self.columns, rule, *self.rows)]
        notes = [f"- {note}" for note in self.notes]
        return "\n".join([f"### {self.title}", "", *told, *([""] if notes else []), *notes])

    def as_json(self) -> dict[str, Any]:
        """Return the table as what JSON can hold."""
        return asdict(self)


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Return the first column flush left, the others flush right."""
    first, *others = zip(line, widths, strict=True)
    return [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]


def seconds(value: float) -> str:
    """Return a time in three digits.

    Examples
    --------
    >>> seconds(0.01234), seconds(12.34), seconds(float("nan"))
    ('12.3 ms', '12.3 s', '-')
    """
    if isnan(value):
        return "-"
    return f"{1000 * value:.3g} ms" if value < 0.9995 else f"{value:.3g} s"


def ratio(value: float, target: float | None = None) -> str:
    """Return a ratio, with the least that it should be, and "!" where it is not.

    Examples
    --------
    >>> ratio(6.72, 5), ratio(0.55, 0.6), ratio(2.0)
    ('6.7 (5)', '0.55 (0.6)!', '2.0')
    """
    if isnan(value):
        return "-"
    told = f"{value:.2f}" if value < 2 and (target is None or target < 2) else f"{value:.1f}"
    if target is None:
        return told
    return f"{told} ({target:g}){'' if value >= target else '!'}"


def at_most(value: float, target: float, unit: str) -> str:
    """Return a number with the most that it should be, and "!" where it is more."""
    return f"{value:.0f} {unit} (<{target:g}){'' if value <= target else '!'}"


def megabytes(count: float) -> str:
    """Return bytes in millions."""
    return "-" if isnan(count) else f"{count / 1e6:.0f} MB"
