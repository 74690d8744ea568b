"""Open files by path, share a handle while anyone uses it, and close it right after.

Nothing outlives its last user, so a file can be appended to while lazy arrays of it are alive.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import h5py

from lazyusid.errors import SourceError

_logger = logging.getLogger(__name__)


Value = TypeVar("Value")


@dataclass
class Loan:
    """An open file, its number of users, and what they remember as long as it is open.

    `locked` is False where the file could not be locked, so that others may change it meanwhile.
    """

    file: h5py.File
    locked: bool = True
    users: int = 0
    _memory: dict[Any, Any] = field(default_factory=dict)
    _guard: Any = field(default_factory=threading.Lock)

    def remember(self, key: Any, make: Callable[[], Value]) -> Value:
        """Return what `make` gave when it was first called for `key`."""
        with self._guard:
            if key not in self._memory:
                self._memory[key] = make()
            found: Value = self._memory[key]
            return found


_lent: dict[str, Loan] = {}
_guard = threading.Lock()


def _forget() -> None:
    """Leave the parent's handles to the parent: a forked child must not touch them."""
    global _guard
    _guard = threading.Lock()
    _lent.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@contextmanager
def lend(path: str) -> Iterator[Loan]:
    """Lend the file at absolute `path`, open for reading, shared with all who read it now.

    Raises
    ------
    SourceError
        Where it cannot be opened as HDF5.
    """
    with _guard:
        lent = _lent.get(path)
        if lent is None:
            lent = _lent[path] = _open(path)
        lent.users += 1
    try:
        yield lent
    finally:
        with _guard:
            lent.users -= 1
            if lent.users == 0:
                if _lent.get(path) is lent:
                    del _lent[path]
                lent.file.close()


def lent_count() -> int:
    """Return how many files are open now."""
    return len(_lent)


def _open(path: str) -> Loan:
    """Open with HDF5's default locking; change it only where the file or the process demands."""
    try:
        return Loan(h5py.File(path, "r"))
    except FileNotFoundError as error:
        raise SourceError(f"{path}: there is no such file.", path, "file-missing") from error
    except OSError as error:
        told = str(error)
        for locking in _other_locking(told):
            try:
                return Loan(h5py.File(path, "r", locking=locking), locked="match" in told)
            except OSError as again:
                _logger.info("%s: not with locking=%s either: %s", path, locking, again)
        raise _refused(path, error) from error


def _other_locking(message: str) -> tuple[bool | str, ...]:
    """Return the settings worth a try where HDF5 refuses its default.

    A file that this process has open already must be opened with the same setting; one that cannot
    be locked (another program writes it, its file system has no locks) is read without.
    """
    if "locking" in message and "match" in message:
        return False, True, "best-effort"
    return (False,) if "unable to lock file" in message else ()


def _refused(path: str, error: OSError) -> SourceError:
    if os.path.isdir(path):
        return SourceError(f"{path}: this is a folder, not an HDF5 file.", path, "file-kind")
    if not h5py.is_hdf5(path) and "lock" not in str(error):
        return SourceError(
            f"{path}: this is no HDF5 file, or its start is damaged.", path, "file-kind"
        )
    return SourceError(f"{path}: HDF5 cannot open it: {error}.", path, "file-open")
