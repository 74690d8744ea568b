"""Files are open while somebody reads, shared meanwhile, and closed right after."""

import importlib.util
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import lazyusid
from lazyusid.errors import SourceError, UsidWarning
from lazyusid.hdf5 import handles
from lazyusid.hdf5.handles import lend, lent_count
from tests.opening import assert_small, open_descriptors, open_with, run_python, write_small

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
locks = pytest.mark.skipif(sys.platform == "win32", reason="HDF5 locks no files on Windows")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A small h5USID file."""
    path = str(tmp_path / "scan.h5")
    write_small(path)
    return path


def test_a_file_is_open_while_it_is_lent(path: str) -> None:
    with lend(path) as loan:
        assert (loan.file.mode, lent_count()) == ("r", 1)
        assert "Measurement_000" in loan.file
    assert (bool(loan.file), lent_count()) == (False, 0)


def test_a_file_that_is_lent_twice_is_opened_once(path: str) -> None:
    with lend(path) as first:
        with lend(path) as second:
            assert (second.file is first.file, lent_count()) == (True, 1)
        assert first.file
    assert not first.file


def test_two_files_are_two_handles(path: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other.h5")
    write_small(other)
    with lend(path) as first, lend(other) as second:
        assert (second.file is not first.file, lent_count()) == (True, 2)
    assert lent_count() == 0


def test_a_reader_that_fails_returns_the_file(path: str) -> None:
    with pytest.raises(ZeroDivisionError), lend(path) as loan:
        raise ZeroDivisionError
    assert (bool(loan.file), lent_count()) == (False, 0)


def test_the_last_of_many_readers_closes_the_file(path: str) -> None:
    first_has_it, may_end = threading.Event(), threading.Event()

    def hold() -> h5py.File:
        with lend(path) as loan:
            first_has_it.set()
            assert may_end.wait(20)
            assert "Measurement_000" in loan.file
        return loan.file

    with ThreadPoolExecutor() as threads:
        holding = threads.submit(hold)
        assert first_has_it.wait(20)
        with lend(path) as shared:
            assert lent_count() == 1
        assert shared.file
        may_end.set()
        assert holding.result(20) is shared.file
    assert (bool(shared.file), lent_count()) == (False, 0)


@linux
def test_many_threads_share_one_descriptor(path: str) -> None:
    main = open_with(path).main
    together = threading.Barrier(8)

    def read(_: int) -> int:
        together.wait(20)
        with lend(path):
            together.wait(20)
            count = open_descriptors(path)
            assert_small(main)
            together.wait(20)
        return count

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(read, range(8))) == [1] * 8
    assert (open_descriptors(path), lent_count()) == (0, 0)


@linux
def test_open_and_compute_leave_no_descriptor(path: str) -> None:
    def use() -> None:
        main = open_with(path).main
        main.data.sum().compute()
        main.read((0,))
        main.matrix.compute()
        main.tables["Position_Values"].read()

    use()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        use()
        assert (lent_count(), open_descriptors(path)) == (0, 0)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_loan_remembers_while_the_file_is_open(path: str) -> None:
    made: list[str] = []

    def make() -> int:
        made.append("made")
        return len(made)

    with lend(path) as loan, lend(path) as again:
        assert [loan.remember("a", make), again.remember("a", make)] == [1, 1]
        assert again.remember("b", make) == 2
    with lend(path) as later:
        assert later.remember("a", make) == 3


def test_what_failed_is_not_remembered(path: str) -> None:
    def fail() -> None:
        raise SourceError("another dataset")

    with lend(path) as loan:
        with pytest.raises(SourceError, match="another"):
            loan.remember("a", fail)
        assert loan.remember("a", lambda: 1) == 1


# ---------------------------------------------------------------------------- what is no HDF5 file


def write_text(path: Path) -> None:
    path.write_text("X,Y\n1,2\n" * 1000)


def write_nothing(path: Path) -> None:
    path.write_bytes(b"")


def write_half(path: Path) -> None:
    write_small(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


NO_FILES = {
    "missing": (lambda path: None, "no such file"),
    "a folder": (lambda path: path.mkdir(), "folder"),
    "text": (write_text, "no HDF5 file"),
    "empty": (write_nothing, "no HDF5 file"),
    "half": (write_half, "cannot open"),
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_hdf5_file_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    make, message = NO_FILES[kind]
    make(tmp_path / "scan.h5")
    with pytest.raises(SourceError, match=message) as refused:
        open_with(tmp_path / "scan.h5")
    assert refused.value.path == str(tmp_path / "scan.h5")
    assert "\n" not in str(refused.value)
    assert lent_count() == 0


def test_a_file_that_cannot_be_opened_leaves_its_path_usable(path: str) -> None:
    whole = Path(path).read_bytes()
    Path(path).write_bytes(b"")
    with pytest.raises(SourceError):
        open_with(path)
    Path(path).write_bytes(whole)
    assert_small(open_with(path).main)


# ---------------------------------------------------------------------------- beside other handles


@pytest.mark.parametrize("locking", [None, True, False, "best-effort"])
@pytest.mark.parametrize("mode", ["r", "r+"])
@pytest.mark.parametrize("chunks", [None, (2, 2)])
def test_reading_beside_a_handle_of_this_process(
    tmp_path: Path, chunks: tuple[int, int] | None, mode: str, locking: bool | str | None
) -> None:
    name = write_small(path := tmp_path / "scan.h5", chunks=chunks)
    with h5py.File(path, mode, locking=locking) as file:
        main = open_with(path).main
        assert_small(main)
        assert_array_equal(main.data.compute(), main.read())
        if mode == "r+":
            dataset = file[name]  # HDF5 keeps what is written in memory as long as it is open
            dataset[:] = -1
            assert (main.read() == -1).all()
            assert (main.data.compute() == -1).all()
    assert lent_count() == 0
    assert main.read().shape == (2, 3, 2)


def test_a_handle_that_is_opened_while_we_read(path: str) -> None:
    with lend(path), h5py.File(path, "r") as file:
        assert "Measurement_000" in file
    with h5py.File(path, "r+") as file:
        file.attrs["appended"] = True


@contextmanager
def locked_by_another_process(path: str) -> Iterator[None]:
    """Have the file open for writing in a child."""
    script = (
        "import h5py, sys\n"
        "with h5py.File(sys.argv[1], 'r+', locking=True):\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as child:
        assert child.stdout.readline() == "locked\n"
        yield
        child.communicate(timeout=20)
    assert child.returncode == 0


@locks
def test_a_file_locked_by_another_process_is_read_with_one_warning(path: str) -> None:
    with locked_by_another_process(path):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            main = lazyusid.open(path).main
            assert_small(main)
            assert_small(main)
            main.data.sum().compute()
        assert [warning.category for warning in caught] == [UsidWarning]
        assert path in str(caught[0].message)
        assert "lock" in str(caught[0].message)
    assert_small(main)
    with h5py.File(path, "r+") as file:
        file.attrs["appended"] = True


@locks
def test_every_open_of_a_locked_file_warns(path: str) -> None:
    with locked_by_another_process(path):
        for _ in range(2):
            with pytest.warns(UsidWarning, match="lock"):
                main = lazyusid.open(path).main
            assert_small(main)


# ---------------------------------------------------------------------------- forks

FORK = """
import os, sys, traceback
import numpy as np
import lazyusid
from lazyusid.hdf5 import handles

def child(read):
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        read()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)

path = sys.argv[1]
main = lazyusid.open(path).main
expected = main.read()

def read():
    assert handles.lent_count() == 0, handles.lent_count()
    assert (main.read() == expected).all()
    assert (lazyusid.open(path).main.read() == expected).all()
    assert handles.lent_count() == 0
"""


@forks
def test_a_child_opens_its_own_handle(path: str) -> None:
    script = """
with handles.lend(path) as loan:
    assert child(read) == 0
    assert (loan.file[main.path][()].ravel() == expected.ravel()).all()
assert (main.read() == expected).all()
print("good")
"""
    assert run_python(FORK + script, path) == "good\n"


@forks
def test_a_child_is_not_caught_in_the_parents_lock(path: str) -> None:
    script = """
import signal, threading
held, done = threading.Event(), threading.Event()

def hold():
    with handles._guard:
        held.set()
        done.wait(60)

thread = threading.Thread(target=hold)
thread.start()
held.wait()

def read_in_time():
    signal.alarm(30)
    read()

code = child(read_in_time)
done.set()
thread.join()
assert code == 0, code
assert (main.read() == expected).all()
print("good")
"""
    assert run_python(FORK + script, path) == "good\n"


def test_a_system_without_fork_is_served(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.delattr(os, "register_at_fork", raising=False)
    spec = importlib.util.spec_from_file_location("handles_without_fork", handles.__file__)
    bare = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, bare)
    spec.loader.exec_module(bare)
    with bare.lend(path) as loan:
        assert np.prod(loan.file["/Measurement_000/Channel_000/Raw_Data"].shape) == 12
    assert bare.lent_count() == 0
