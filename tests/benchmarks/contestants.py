"""Who reads: each opens a file by path, does one piece of work and gives numpy back."""

import contextlib
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import dask.array as da
import h5py
import numpy as np
from dask.system import CPU_COUNT
from numpy.typing import NDArray

import lazyusid
from tests.benchmarks import limit
from tests.benchmarks.cases import GROUP, MAIN, Case

Array = NDArray[Any]
WORKS = ("open", "sum", "spectrum", "image", "eager")
BLOCK_BYTES = 16 << 20


class Contestant(Protocol):
    """Somebody who reads; a whole call includes opening."""

    name: str
    package: str

    def job(self, case: Case, work: str) -> Callable[[], Array]:
        """Return what is to be timed."""


class Lazyusid:
    """This package."""

    name = package = "lazyusid"

    def job(self, case: Case, work: str) -> Callable[[], Array]:
        y, x, cycle, bias = case.place
        jobs: dict[str, Callable[[Any], Any]] = {
            "open": lambda main: main.data.shape,
            "sum": lambda main: main.data.sum().compute(),
            "spectrum": lambda main: main.data[y, x].compute(),
            "image": lambda main: main.data[:, :, cycle, bias].compute(),
            "eager": lambda main: main.read(),
        }
        return lambda: jobs[work](lazyusid.open(case.path).main)


class Rosetta:
    """RosettaSciIO; its lazy file stays open until its graph is let go, within the call."""

    name, package = "RosettaSciIO", "rosettasciio"

    def __init__(self) -> None:
        np.product = np.prod  # pyUSID 0.0.12 asks for what numpy 2 no longer has
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._read = import_module("rsciio.usid").file_reader

    def job(self, case: Case, work: str) -> Callable[[], Array]:
        y, x, cycle, bias = case.place
        jobs: dict[str, Callable[[Any], Any]] = {
            "open": lambda data: data.shape,
            "sum": lambda data: data.sum().compute(),
            "spectrum": lambda data: data[y, x].compute(),
            "image": lambda data: data[:, :, cycle, bias].compute(),
            "eager": lambda data: data,
        }

        def run() -> Array:
            with warnings.catch_warnings(), contextlib.redirect_stdout(None):
                warnings.simplefilter("ignore")
                data = self._read(case.path, lazy=work != "eager")[0]["data"]
                return jobs[work](data)

        return run


class PlainH5py:
    """h5py alone; the sum through dask's threads, in blocks of whole chunk rows."""

    name = package = "h5py"

    def job(self, case: Case, work: str) -> Callable[[], Array]:
        def run() -> Array:
            with h5py.File(case.path, "r") as file:
                dataset = file[MAIN]
                if work == "sum":
                    return da.from_array(dataset, _bands(case)).sum().compute()
                return _take(dataset, case, work)

        return run


class Hidefix:
    """hidefix: parallel, in Rust; it has no lazy arrays, so that the sum is over an eager one."""

    name = package = "hidefix"

    def job(self, case: Case, work: str) -> Callable[[], Array]:
        if np.dtype(case.dtype).kind == "c":
            raise NotImplementedError("hidefix reads no complex numbers")
        index = import_module("hidefix").Index

        def run() -> Array:
            dataset = index(case.path).dataset("Raw_Data", GROUP.strip("/"))
            return _sum_or_take(dataset, case, work)

        return run


class Pyfive:
    """pyfive: pure Python; here with as many threads as there are cores."""

    name = package = "pyfive"

    def job(self, case: Case, work: str) -> Callable[[], Array]:
        open_file = import_module("pyfive").File

        def run() -> Array:
            with open_file(case.path) as file:
                dataset = file[MAIN]
                dataset.id.set_parallelism(thread_count=CPU_COUNT)
                return _sum_or_take(dataset, case, work)

        return run


class Limit:
    """Bare loops (see `limit`)."""

    name, package = "limit", "imagecodecs"

    def job(self, case: Case, work: str) -> Callable[[], Array]:
        if work == "open":
            raise NotImplementedError
        band = 1 if work == "spectrum" else None
        listed = limit.list_pieces(case, band).touching(work)
        if work == "sum":
            return lambda: limit.total(listed, CPU_COUNT)
        return lambda: limit.gather(listed, work, CPU_COUNT)


def _bands(case: Case) -> tuple[int, int]:
    """Return blocks of whole rows, whole chunks high."""
    line = case.nbytes // case.shape[0]
    height = case.chunks[0] if case.chunks else 1
    return max(1, BLOCK_BYTES // line // height) * height, case.shape[1]


def _take(dataset: Any, case: Case, work: str) -> Array:
    """Return what `work` takes of something that is sliced as h5py's datasets are."""
    if work == "open":
        shape = dataset.shape  # a method of hidefix's datasets
        return np.asarray(shape() if callable(shape) else shape)
    if work == "spectrum":
        return dataset[case.row : case.row + 1, :]
    if work == "image":
        return dataset[:, case.column : case.column + 1]
    return dataset[:, :]


def _sum_or_take(dataset: Any, case: Case, work: str) -> Array:
    """Return what `work` takes as an array of its own, not a map of the file (pyfive)."""
    if work == "sum":
        return _take(dataset, case, "eager").sum()
    taken = _take(dataset, case, work)
    return np.array(taken) if isinstance(taken, np.memmap) else taken


def contestants(peers: bool) -> list[Contestant]:
    """Return lazyusid, the peers that are installed and wanted, and the limit."""
    others: list[tuple[str, Callable[[], Contestant]]] = [
        ("rsciio", Rosetta),
        ("h5py", PlainH5py),
        ("hidefix", Hidefix),
        ("pyfive", Pyfive),
    ]
    found = [make() for module, make in others if peers and find_spec(module) is not None]
    return [Lazyusid(), *found, Limit()]


def same(work: str, result: Array, expected: Array) -> bool:
    """Return whether a result is the expected one: exactly, or a sum to six digits."""
    found = np.asarray(result)
    if work == "open":
        return int(found.prod()) == int(expected.prod())
    if work == "sum":
        return bool(np.allclose(found, expected, rtol=1e-6, atol=0))
    return found.dtype == expected.dtype and np.array_equal(found.reshape(expected.shape), expected)


def expected(case: Case, work: str) -> Array:
    """Return what h5py reads, one band after another."""
    if work in ("open", "spectrum", "image"):
        with h5py.File(case.path, "r") as file:
            return _take(file[MAIN], case, work)
    out = np.empty(case.shape, case.dtype)
    with h5py.File(case.path, "r") as file:
        file[MAIN].read_direct(out)
    wide = np.complex128 if out.dtype.kind == "c" else np.float64
    return out if work == "eager" else np.asarray(out.sum(dtype=wide))
