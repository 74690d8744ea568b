"""The demo: the main job in small, and nothing left behind."""

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

import lazyusid
from lazyusid.demo import run_demo
from lazyusid.hdf5.handles import lent_count

HERE = str(Path(lazyusid.__file__).parents[1])
SHADES = set(" .:-=+*#%@")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def lines(folder):
    """What the demo says, line by line."""
    return "\n".join(run_demo(folder)).splitlines()


@pytest.fixture(scope="module")
def scan(folder, lines):
    """The array that the demo wrote: Y, X, Cycle, Bias."""
    (path,) = folder.glob("*.h5")
    with h5py.File(path) as file:
        return file["Measurement_000/Channel_000/Raw_Data"][()].reshape(48, 64, 4, 64)


def after(lines, start):
    """The lines from the first that starts so to the next empty one."""
    first = next(index for index, line in enumerate(lines) if line.startswith(start))
    last = next((i for i in range(first, len(lines)) if not lines[i].strip()), len(lines))
    return lines[first:last]


def test_it_writes_a_realistic_file_of_four_dimensions(folder, lines):
    (path,) = folder.glob("*")
    assert str(path) in lines[0]
    (main,) = lazyusid.open(path).values()
    assert main.dims == ("Y", "X", "Cycle", "Bias")
    assert main.storage.chunks
    assert "gzip" in main.storage.filters
    assert lazyusid.validate(path) == []


def test_it_prints_the_tree(lines):
    tree = "\n".join(lines)
    assert "Measurement_000/" in tree
    assert "Channel_000/" in tree
    assert "* Raw_Data" in tree
    assert "Spectroscopic_Indices" in tree


def test_it_prints_the_dimensions(lines):
    rows = [line.split()[:3] for line in lines]
    for kind, name, size in (
        ("position", "Y", "48"),
        ("position", "X", "64"),
        ("spectroscopic", "Cycle", "4"),
        ("spectroscopic", "Bias", "64"),
    ):
        assert [kind, name, size] in rows


def test_it_prints_the_plan(lines):
    plan = "\n".join(after(lines, "plan of"))
    for word in ("storage", "blocks", "tasks", "amplification"):
        assert word in plan


def test_it_prints_mean_spectra_that_are_right(lines, scan):
    told = after(lines, "m.data.mean")
    assert "shape (4, 64)" in told[0]
    spectra = scan.mean(axis=(0, 1), dtype="f8")
    for cycle in (0, 3):
        (line,) = [line for line in told if f"cycle {cycle}:" in line]
        low, high = map(float, re.findall(r"-?\d+\.\d+", line))
        np.testing.assert_allclose(
            (low, high), (spectra[cycle].min(), spectra[cycle].max()), atol=2e-3
        )
        assert line.endswith(" nA")


def test_it_draws_the_image_at_the_voltage_it_names(lines, folder, scan):
    told = after(lines, "m.data[:, :, 0, 16]")
    image = [line[2:] for line in told[1:]]
    assert len({len(line) for line in image}) == 1
    assert set("".join(image)) <= SHADES
    (main,) = lazyusid.open(next(folder.glob("*.h5"))).values()
    assert f"{main.coords['Bias'][16]:.1f} V" in told[0]
    slow, fast = -(-48 // len(image)), 64 // len(image[0])
    expected = scan[::slow, ::fast, 0, 16]
    shades = " .:-=+*#%@"
    drawn = np.array([[shades.index(letter) for letter in line] for line in image])
    assert drawn.shape == expected.shape
    assert np.corrcoef(drawn.ravel(), expected.ravel())[0, 1] > 0.95


def test_it_says_how_long_each_step_took(lines):
    laps = [line for line in lines if re.search(r"\[\d+ m?s\]$", line)]
    assert len(laps) == 5


def test_steps_are_told_while_they_happen(tmp_path):
    told = run_demo(tmp_path)
    assert list(tmp_path.iterdir()) == []
    next(told)
    assert len(list(tmp_path.iterdir())) == 1
    told.close()


def test_it_leaves_nothing_open(tmp_path):
    for _ in run_demo(tmp_path):
        assert lent_count() == 0
    (path,) = tmp_path.iterdir()
    with h5py.File(path, "r+") as file:
        file["comment"] = "free"


def test_lines_fit_a_terminal(lines):
    assert max(map(len, lines[1:])) <= 100  # the first names a temporary file


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_it_runs_as_a_command_and_cleans_up(tmp_path, encoding):
    variables = {"TMPDIR": str(tmp_path), "TEMP": str(tmp_path), "TMP": str(tmp_path)}
    path = os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "lazyusid", "demo"],
        capture_output=True,
        env=os.environ | variables | {"PYTHONPATH": path, "PYTHONIOENCODING": encoding},
        check=False,
    )
    text = done.stdout.decode(encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "mean spectra" in text
    assert "amplification" in text
    assert [left.name for left in tmp_path.iterdir() if left.name.startswith("lazyusid")] == []


def test_the_command_runs_twice_alike(folder, lines, tmp_path):
    again = "\n".join(run_demo(tmp_path)).splitlines()
    plain = [re.sub(r"\[\d+ m?s\]$", "", line) for line in lines[1:]]
    assert plain == [re.sub(r"\[\d+ m?s\]$", "", line) for line in again[1:]]
    assert all(a or b for a, b in pairwise(again))  # no two empty lines in a row
