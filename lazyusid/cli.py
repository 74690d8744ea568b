"""The command line: ``lazyusid info``, ``validate`` and ``demo``."""

import errno
import io
import json
import math
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import click

from lazyusid import __version__
from lazyusid.api.files import UsidFile, validate
from lazyusid.api.files import open as open_file
from lazyusid.demo import run_demo
from lazyusid.display.text import describe_storage, draw_tree, safe
from lazyusid.errors import Finding, UsidError, UsidWarning

CLOSED_PIPE = (errno.EPIPE, errno.EINVAL)
"""What writing to a reader that is gone gives, on POSIX and on Windows."""


class _Commands(click.Group):
    """Commands whose errors end in one line: ours as messages, a closed pipe in silence."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UsidError as error:
            raise click.ClickException(safe(str(error))) from error
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if error.errno in CLOSED_PIPE:
                sys.exit(1)
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lazyusid")
def main() -> None:
    """Read h5USID files lazily."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    warnings.simplefilter("ignore", UsidWarning)


@main.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a file.")
def info(files: tuple[str, ...], as_json: bool) -> None:
    """Print the tree of each file, its Mains (*) and what is wrong with it."""
    for path in files:
        file = open_file(path)
        click.echo(json.dumps(_as_json(file)) if as_json else _as_text(file))


@main.command("validate")
@click.argument("files", nargs=-1, required=True)
def validate_command(files: tuple[str, ...]) -> None:
    """Print the findings about each file; exit with 1 where one is an error."""
    found = [(path, finding) for path in files for finding in _findings(path)]
    for path, finding in found:
        click.echo(safe(f"{path}: {finding}"))
    if any(finding.severity == "error" for _, finding in found):
        sys.exit(1)


@main.command()
def demo() -> None:
    """Write a small 4-D file, read it lazily, and say what was done and how long it took."""
    with tempfile.TemporaryDirectory(prefix="lazyusid-") as folder:
        for line in run_demo(Path(folder)):
            click.echo(line)


def _findings(path: str) -> list[Finding]:
    """Return the findings about a file; that it cannot be opened is one too."""
    try:
        found = validate(path)
    except UsidError as error:
        return [Finding("/", error.rule, "error", str(error))]
    if not found:
        click.echo(safe(f"{path}: no findings"))
    return found


def _as_text(file: UsidFile) -> str:
    lines = [safe(file.path)]
    lines += [f"  {line}" for line in draw_tree(file.groups, list(file.datasets), _texts(file))]
    lines += [safe(f"  {finding}") for finding in file.findings]
    return "\n".join(lines)


def _texts(file: UsidFile) -> list[Any]:
    return [main.text for main in file.values()]


def _as_json(file: UsidFile) -> dict[str, Any]:
    return {
        "file": file.path,
        "mains": [
            {
                "path": main.path,
                "quantity": main.quantity,
                "units": main.units,
                "dtype": str(main.dtype),
                "dimensions": [
                    {
                        "name": axis.name,
                        "units": axis.units,
                        "size": axis.size,
                        "kind": axis.kind,
                        "first": _number(axis.values[:1]),
                        "last": _number(axis.values[-1:]),
                        "uniform": axis.uniform,
                    }
                    for axis in main.axes
                ],
                "layout": str(main.layout),
                "storage": describe_storage(main.storage),
                "bytes": main.storage.stored,
                "complete": main.complete,
                "tool": main.tool,
            }
            for main in file.values()
        ],
        "datasets": list(file.datasets),
        "findings": [
            {
                "path": finding.path,
                "rule": finding.rule,
                "severity": finding.severity,
                "message": finding.message,
            }
            for finding in file.findings
        ],
    }


def _number(values: Any) -> float | None:
    """Return the only value as JSON can hold it: None for none, NaN and infinity."""
    return float(values[0]) if len(values) and math.isfinite(values[0]) else None
