"""The exception tree, the warning category, and what validation reports.

::

    UsidError
    |- FormatError(ValueError)    the file breaks h5USID; carries .path and .rule
    |  |- NotMainError(KeyError)  no Main here; lists the Mains that were found
    |  `- LayoutError             the tables contradict each other or the matrix
    |- SourceError(OSError)       a region could not be read
    |  |- FilterError             an HDF5 filter is unknown; names the package to install
    |  `- UnsafeSourceError       the file points outside itself
    |- SinkError(OSError)         the target exists, is read-only, is full or is incomplete
    `- JobError(RuntimeError)     .report holds the failed tasks and how to resume
    UsidWarning(UserWarning)      a tolerated deviation, once per call of open and rule
"""

import warnings
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


class UsidError(Exception):
    """Base of everything lazyusid raises on purpose."""

    def __init__(self, message: str, path: str = "", rule: str = "") -> None:
        super().__init__(message, path, rule)
        self.message = message
        self.path = path
        self.rule = rule

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.message, self.path, self.rule)


class FormatError(UsidError, ValueError):
    """The file breaks h5USID; `path` says where, `rule` which rule."""


class NotMainError(FormatError, KeyError):
    """There is no Main dataset of that name; the message lists those that were found."""


class LayoutError(FormatError):
    """The ancillary tables contradict each other or the matrix."""


class SourceError(UsidError, OSError):
    """A region could not be read; the message names file, dataset and region."""


class FilterError(SourceError):
    """An HDF5 filter is unknown; the message names its id and the package to install."""


class UnsafeSourceError(SourceError):
    """The file points outside itself."""


class SinkError(UsidError, OSError):
    """A target exists, is read-only, is full or was left incomplete."""


class JobError(UsidError, RuntimeError):
    """Tasks of a job failed; `report` says which and how to resume."""


class UsidWarning(UserWarning):
    """A tolerated deviation from the format, once per call of `open` and rule."""


def warn(message: str) -> None:
    """Warn of a tolerated deviation, anew at each call and not once a process."""
    warnings.warn_explicit(message, UsidWarning, __file__, 0, registry={})


@dataclass(frozen=True)
class Finding:
    """One deviation from the format.

    Attributes
    ----------
    path
        Absolute path of the object in the file.
    rule
        Name of the rule that it breaks, e.g. ``"table-shape"``.
    severity
        ``"error"``: the data cannot be had as a Main's; ``"warning"``: it was read all the same.
    message
        What was found, what the rule is, and what to do.
    """

    path: str
    rule: str
    severity: Severity
    message: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.path}: {self.message} [{self.rule}]"
