"""The command line: what is printed, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import lazyusid
from lazyusid.cli import main
from lazyusid.hdf5.handles import lent_count
from tests.builders import (
    example_4d,
    grid_side,
    link_tables,
    placeholder_side,
    write_results,
    write_usid,
)

CHANNEL = "/Measurement_000/Channel_000"
RAW = f"{CHANNEL}/Raw_Data"
HERE = str(Path(lazyusid.__file__).parents[1])


@pytest.fixture(autouse=True)
def _nothing_stays_open():
    yield
    assert lent_count() == 0


def run(*arguments):
    """Run a command in this process."""
    return CliRunner().invoke(main, list(map(str, arguments)))


def environment(**variables):
    path = os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path} | variables


def run_alone(*arguments, **variables):
    """Run a command in a process of its own; as bytes, in whatever encoding it has."""
    command = [sys.executable, "-m", "lazyusid", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, env=environment(**variables), check=False)


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.h5"
    example_4d(path)
    return path


@pytest.fixture
def broken(tmp_path):
    """A file of a Main, and of a dataset that claims to be one."""
    path = tmp_path / "broken.h5"
    example_4d(path)
    with h5py.File(path, "a") as file:
        dataset = file[CHANNEL].create_dataset("Broken", data=np.zeros((42, 32)))
        dataset.attrs.update({"quantity": "Current", "units": "nA"})
        link_tables(dataset, file[CHANNEL])
        del dataset.attrs["Position_Values"]
    return path


@pytest.fixture
def odd(tmp_path):
    """A file that breaks a rule, but of which everything can be read."""
    path = tmp_path / "odd.h5"
    write_usid(path, np.zeros((6, 4)), grid_side((2, 3), ("X", "X")), grid_side((4,), ("Bias",)))
    return path


@pytest.fixture
def no_hdf5(tmp_path):
    path = tmp_path / "notes.h5"
    path.write_text("these are notes")
    return path


# ---------------------------------------------------------------------------- info


def test_info_prints_the_tree_with_mains_flagged(scan):
    done = run("info", scan)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == str(scan)
    flagged = [line.split()[1] for line in lines if line.lstrip().startswith("* ")]
    assert flagged == ["Raw_Data"]
    names = [line.strip() for line in lines]
    for name in ("Measurement_000/", "Channel_000/", "Position_Indices", "Spectroscopic_Values"):
        assert name in names


def test_the_tree_is_indented_by_depth(scan):
    depth = {
        line.split()[-1 if "*" not in line else 1]: len(line) - len(line.lstrip())
        for line in run("info", scan).stdout.splitlines()[1:]
        if line.split()[0] != "position"
    }
    assert depth["Measurement_000/"] < depth["Channel_000/"] < depth["Position_Indices"]
    assert depth["Raw_Data"] == depth["Position_Indices"]


def test_info_prints_what_a_main_is(scan):
    (title,) = [line for line in run("info", scan).stdout.splitlines() if "* Raw_Data" in line]
    assert "Piezoresponse [pm]" in title
    assert "(Y 6, X 7, Cycle 2, Bias 16) float32" in title


def test_info_prints_each_dimension_with_size_range_and_units(scan):
    rows = [line.split() for line in run("info", scan).stdout.splitlines()]
    for row in (
        ["position", "Y", "6", "0", "..", "5e-07", "m"],
        ["position", "X", "7", "0", "..", "3e-07", "m"],
        ["spectroscopic", "Cycle", "2", "0", "..", "1"],
        ["spectroscopic", "Bias", "16", "-5", "..", "5", "V"],
    ):
        assert row in rows


def test_info_says_which_dimension_is_not_uniform(tmp_path):
    path = tmp_path / "curved.h5"
    energy = grid_side((3,), ("Energy",), ("eV",), [[1, 2, 4]])
    write_usid(path, np.zeros((1, 3)), placeholder_side(), energy)
    (row,) = [line for line in run("info", path).stdout.splitlines() if " Energy " in line]
    assert row.split()[2:] == ["3", "1", "..", "4", "eV", "not", "uniform"]


def test_info_prints_chunks_filters_and_size_on_disk(tmp_path):
    path = tmp_path / "chunked.h5"
    write_usid(
        path,
        np.zeros((6, 4), "f4"),
        grid_side((6,), ("X",)),
        grid_side((4,), ("Bias",)),
        chunks=(3, 2),
        compression="gzip",
        shuffle=True,
    )
    with h5py.File(path) as file:
        stored = file[RAW].id.get_storage_size()
    assert f"chunked, 3 x 2, shuffle+gzip, {stored} B" in run("info", path).stdout


def test_info_prints_results_with_their_progress(scan):
    write_results(
        scan,
        RAW,
        matrix=np.zeros((42, 3)),
        spectroscopic=grid_side((3,), ("Order",)),
        completed=np.arange(42) < 21,
    )
    text = run("info", scan).stdout
    assert "Raw_Data-SHO_Fit_000/" in text
    assert "* Fit" in text
    assert "50% complete" in text
    assert "21 of 42 positions complete" in text


def test_info_prints_findings(broken):
    done = run("info", broken)
    assert done.exit_code == 0
    (line,) = [line for line in done.stdout.splitlines() if "error" in line]
    assert line.split()[:2] == ["error:", f"{CHANNEL}/Broken:"]
    assert "Position_Values" in line


def test_findings_are_printed_once_and_not_as_warnings(odd):
    done = run_alone("info", odd)
    assert done.returncode == 0
    assert done.stderr == b""
    assert done.stdout.count(b"labels-unique") == 1


def test_info_prints_several_files_in_order(scan, odd):
    lines = run("info", odd, scan).stdout.splitlines()
    assert [line for line in lines if line.endswith(".h5")] == [str(odd), str(scan)]


def test_info_of_a_file_without_a_main_is_its_tree(tmp_path):
    path = tmp_path / "image.h5"
    with h5py.File(path, "w") as file:
        file["group/image"] = np.zeros((4, 5))
    done = run("info", path)
    assert done.exit_code == 0
    assert [line.strip() for line in done.stdout.splitlines()] == [str(path), "group/", "image"]


def test_info_takes_a_relative_path(scan, monkeypatch):
    monkeypatch.chdir(scan.parent)
    assert run("info", "scan.h5").exit_code == 0


# ---------------------------------------------------------------------------- info --json


def refuse(text):
    raise AssertionError(f"{text} is no JSON")


def parse(text):
    """Parse JSON as its standard has it: without NaN and Infinity."""
    return json.loads(text, parse_constant=refuse)


def test_json_says_all_of_a_main(scan):
    done = run("info", "--json", scan)
    assert done.exit_code == 0
    found = parse(done.stdout)
    with h5py.File(scan) as file:
        stored = file[RAW].id.get_storage_size()
    (described,) = found["mains"]
    dimensions = described.pop("dimensions")
    assert "raster" in described.pop("layout")
    assert "chunked, 7 x 32, gzip" in described.pop("storage")
    assert described == {
        "path": RAW,
        "quantity": "Piezoresponse",
        "units": "pm",
        "dtype": "float32",
        "bytes": stored,
        "complete": 1.0,
        "tool": "",
    }
    assert [axis["name"] for axis in dimensions] == ["Y", "X", "Cycle", "Bias"]
    assert dimensions[-1] == {
        "name": "Bias",
        "units": "V",
        "size": 16,
        "kind": "spectroscopic",
        "first": -5.0,
        "last": 5.0,
        "uniform": True,
    }
    assert found["file"] == str(scan)
    assert found["findings"] == []
    assert f"{CHANNEL}/Position_Indices" in found["datasets"]
    assert RAW not in found["datasets"]


def test_json_says_what_is_wrong(broken):
    (finding,) = parse(run("info", "--json", broken).stdout)["findings"]
    assert set(finding) == {"path", "rule", "severity", "message"}
    assert (finding["path"], finding["severity"]) == (f"{CHANNEL}/Broken", "error")


def test_json_is_a_line_for_each_file(scan, odd):
    lines = run("info", "--json", scan, odd).stdout.splitlines()
    assert [parse(line)["file"] for line in lines] == [str(scan), str(odd)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, -1])
def test_json_has_no_number_that_json_has_not(tmp_path, value, place):
    path = tmp_path / "unmeasured.h5"
    values = [1.0, 2.0, 4.0]
    values[place] = value
    side = grid_side((3,), ("Bias",), ("V",), [values])
    write_usid(path, np.zeros((1, 3)), placeholder_side(), side)
    (described,) = parse(run("info", "--json", path).stdout)["mains"]
    (axis,) = described["dimensions"]
    assert axis["last" if place else "first"] is None


def test_json_of_a_dimension_without_steps_has_no_ends(tmp_path):
    path = tmp_path / "empty.h5"
    side = grid_side((3,), ("X",), keep=0)
    write_usid(path, np.zeros((0, 3)), side, grid_side((3,), ("Bias",)))
    (described,) = parse(run("info", "--json", path).stdout)["mains"]
    assert (described["dimensions"][0]["first"], described["dimensions"][0]["size"]) == (None, 0)


# ---------------------------------------------------------------------------- validate


def test_a_sound_file_validates_with_0(scan):
    done = run("validate", scan)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [f"{scan}: no findings"]


def test_warnings_are_printed_and_end_with_0(odd):
    done = run("validate", odd)
    assert done.exit_code == 0
    assert done.stdout.startswith(f"{odd}: warning: {RAW}: ")
    assert "labels-unique" in done.stdout


def test_errors_are_printed_and_end_with_1(broken):
    done = run("validate", broken)
    assert done.exit_code == 1
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{broken}: error: {CHANNEL}/Broken: ")


def test_one_error_among_many_files_ends_with_1_after_all_were_looked_at(scan, broken, odd):
    done = run("validate", scan, broken, odd)
    assert done.exit_code == 1
    for path in (scan, broken, odd):
        assert str(path) in done.stdout


@pytest.mark.parametrize("kind", ["missing", "no HDF5", "folder"])
def test_what_cannot_be_opened_is_an_error_of_one_line(tmp_path, no_hdf5, scan, kind):
    path = {"missing": tmp_path / "missing.h5", "no HDF5": no_hdf5, "folder": tmp_path}[kind]
    done = run("validate", path, scan)
    assert done.exit_code == 1
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if "error" in line]
    assert str(path) in line
    assert "no findings" in done.stdout


# ---------------------------------------------------------------------------- what cannot be opened


def damage(path):
    """Break a group of a file, so that HDF5 opens the file and fails inside."""
    content = path.read_bytes()
    assert content.count(b"SNOD") >= 2
    path.write_bytes(content.replace(b"SNOD", b"xxxx"))


def write_unopenable(folder, kind):
    path = folder / "scan.h5"
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("these are notes")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind != "missing":
        example_4d(path)
        if kind == "cut short":
            os.truncate(path, path.stat().st_size // 2)
        else:
            damage(path)
    return path


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("missing", "no such file"),
        ("folder", "folder"),
        ("text", "no HDF5 file"),
        ("empty", "no HDF5 file"),
        ("cut short", "truncated"),
        ("damaged", ""),
    ],
)
def test_what_cannot_be_opened_ends_in_one_line_and_1(tmp_path, kind, told, options):
    path = write_unopenable(tmp_path, kind)
    done = run_alone("info", *options, path)
    assert done.returncode == 1
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("Error: ")
    assert str(path) in line
    assert told in line


def test_a_missing_argument_and_an_unknown_command_end_with_2():
    assert run("info").exit_code == 2
    assert run("no-such-command").exit_code == 2


def test_help_lists_the_commands():
    done = run("--help")
    assert done.exit_code == 0
    assert all(command in done.stdout for command in ("info", "validate", "demo"))
    assert run("-h").stdout == done.stdout


def test_the_version_is_that_of_the_package():
    assert lazyusid.__version__ in run("--version").stdout


# ---------------------------------------------------------------------------- pipes


@pytest.mark.parametrize("command", [["info"], ["info", "--json"], ["validate"]], ids=" ".join)
def test_a_broken_pipe_ends_without_a_traceback(scan, command):
    """As in ``lazyusid info *.h5 | head -1``."""
    with subprocess.Popen(
        [sys.executable, "-m", "lazyusid", *command, *["scan.h5"] * 400],
        cwd=scan.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        first = process.stdout.read(1)
        process.stdout.close()
        told = process.stderr.read()
        assert process.wait(60) != 0
    assert (len(first), told) == (1, b"")


@pytest.mark.skipif(os.name != "posix", reason="needs a shell with head")
def test_head_takes_one_line_and_nobody_complains(scan):
    files = " ".join(["scan.h5"] * 400)
    done = subprocess.run(
        f'"{sys.executable}" -m lazyusid info {files} | head -1',
        shell=True,
        cwd=scan.parent,
        capture_output=True,
        env=environment(),
        check=False,
    )
    assert done.stderr == b""
    assert done.stdout.decode().splitlines() == [str(scan)]


# ---------------------------------------------------------------------------- names


@pytest.fixture
def nasty(tmp_path):
    """A file whose every name tries to steer the terminal."""
    path = tmp_path / "nasty.h5"
    escape = "\x1b[31m\x1b]0;title\x07\r\n\x9b2J"
    write_usid(
        path,
        np.zeros((3, 4)),
        grid_side((3,), (f"X{escape}",), (f"m{escape}",)),
        grid_side((4,), ("Bias\u202e",), ("V\u200b",), [[0, 1, 5, 6]]),
        name=f"Raw{escape}",
        group=f"/Measurement{escape}",
        quantity=f"Current{escape}",
        units=f"nA{escape}",
    )
    with h5py.File(path, "a") as file:
        broken = file.create_dataset(f"Broken{escape}", data=np.zeros(3))
        broken.attrs["quantity"] = f"Q{escape}"
    return path


@pytest.mark.parametrize("command", [["info"], ["info", "--json"], ["validate"]], ids=" ".join)
def test_names_cannot_steer_the_terminal(nasty, command):
    done = run_alone(*command, nasty, PYTHONUTF8="1")
    text = done.stdout.decode()
    assert done.stderr == b""
    assert "Broken" in text
    steering = [letter for letter in text if not letter.isprintable() and letter != "\n"]
    assert steering == []


def test_names_cannot_make_lines_of_their_own(nasty):
    lines = run("info", nasty).stdout.splitlines()
    assert sum("Broken" in line for line in lines) == 1 + len(lazyusid.validate(nasty))
    assert not any(line.startswith("[31m") for line in lines)


@pytest.mark.parametrize("command", [["info"], ["validate"]], ids=" ".join)
def test_the_name_of_a_missing_file_cannot_steer_the_terminal(tmp_path, command):
    done = run_alone(*command, tmp_path / "no\x1b[31m such\nfile.h5", PYTHONUTF8="1")
    text = (done.stdout + done.stderr).decode()
    assert done.returncode == 1
    assert len(text.splitlines()) == 1
    assert "\x1b" not in text


@pytest.fixture
def greek(tmp_path):
    """A file with letters beyond ASCII in its own name and in those inside."""
    path = tmp_path / "Größe_测量.h5"
    write_usid(
        path,
        np.zeros((3, 4)),
        grid_side((3,), ("Höhe",), ("µm",)),
        grid_side((4,), ("θ",), ("Ω",)),
        name="測定",
        quantity="Widerstand Ä",
        units="kΩ",
    )
    return path


def test_names_beyond_ascii_are_printed_as_they_are(greek):
    done = run_alone("info", greek, PYTHONUTF8="1")
    text = done.stdout.decode()
    assert done.returncode == 0
    for name in ("Größe_测量.h5", "* 測定", "Widerstand Ä [kΩ]", "Höhe", "µm", "θ", "Ω"):
        assert name in text


def test_names_beyond_ascii_are_in_json(greek):
    done = run_alone("info", "--json", greek, PYTHONUTF8="1")
    (described,) = parse(done.stdout)["mains"]
    assert described["path"] == f"{CHANNEL}/測定"
    assert [axis["units"] for axis in described["dimensions"]] == ["µm", "Ω"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
@pytest.mark.parametrize("command", [["info"], ["info", "--json"], ["validate"]], ids=" ".join)
def test_a_terminal_that_knows_fewer_letters_gets_what_it_can_print(greek, command, encoding):
    """As a pipe on Windows, which has the code page of the country."""
    done = run_alone(*command, greek, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.stderr == b""
    assert done.returncode == 0
    assert b".h5" in done.stdout
