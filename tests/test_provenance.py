"""What a Main was computed from, and what was computed from it."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import lazyusid
from lazyusid.provenance import ResultsName, split_results_name
from tests.builders import fixed_text, placeholder_side, write_results
from tests.opening import NUMBERS, open_with, run_python, write_small

CHANNEL = "/Measurement_000/Channel_000"
MAIN = f"{CHANNEL}/Raw_Data"
IMAGE = np.arange(6.0)[:, np.newaxis]


def add(path: Path, source: str = MAIN, tool: str = "SHO_Fit", **options: Any) -> str:
    """Add an image that a tool made of a Main; its path."""
    return write_results(
        path, source, tool, matrix=IMAGE, spectroscopic=placeholder_side(), **options
    )


def paths(mains: list[lazyusid.MainDataset]) -> list[str]:
    return [main.path for main in mains]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_small(path := tmp_path / "scan.h5")
    return path


def change(path: Path, group: str, **attrs: Any) -> None:
    """Set attributes of a group, or delete those that are None."""
    with h5py.File(path, "r+") as file:
        for name, value in attrs.items():
            if value is None:
                del file[group].attrs[name]
            else:
                file[group].attrs[name] = value


# ---------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Raw_Data-SHO_Fit_001", ResultsName("Raw_Data", "SHO_Fit", 1)),
        ("a-b_0", ResultsName("a", "b", 0)),
        ("Raw_Data-SHO-Fit_012", ResultsName("Raw_Data-SHO", "Fit", 12)),
        ("X-Fit_2_003", ResultsName("X", "Fit_2", 3)),
        ("Raw_Data", None),
        ("Channel_000", None),
        ("Raw_Data-SHO_Fit", None),
        ("Raw_Data-SHO_Fit_old", None),
        ("-Fit_000", None),
        ("Raw_Data-_000", None),
        ("", None),
    ],
)
def test_results_names_are_split(name: str, parts: ResultsName | None) -> None:
    assert split_results_name(name) == parts


# ---------------------------------------------------------------------------- both ways


def test_a_raw_main_has_no_tool_and_no_source(path: Path) -> None:
    main = open_with(path).main
    assert (main.tool, main.source, main.results()) == ("", None, [])


def test_a_result_knows_its_tool_and_source(path: Path) -> None:
    fit = add(path)
    file = open_with(path)
    assert file[fit].tool == "SHO_Fit"
    assert file[fit].source.path == MAIN
    np.testing.assert_array_equal(file[fit].source.read(), NUMBERS)


def test_a_main_knows_its_results_newest_last(path: Path) -> None:
    fits = [add(path, index=index) for index in (1000, 2, 999)]
    cluster = add(path, tool="Cluster", name="Labels")
    main = open_with(path).raw[0]
    assert paths(main.results("SHO_Fit")) == [fits[1], fits[2], fits[0]]
    assert paths(main.results("Cluster")) == [cluster]
    assert {*paths(main.results())} == {*fits, cluster}
    assert main.results("Nothing") == []


def test_all_mains_of_a_results_group_are_results(path: Path) -> None:
    made = [add(path, name=name) for name in ("Fit", "Guess")]
    assert {*paths(open_with(path).raw[0].results("SHO_Fit"))} == {*made}


def test_results_of_results_lead_back_step_by_step(path: Path) -> None:
    fit = add(path)
    deep = add(path, source=fit, tool="Cluster", name="Labels")
    file = open_with(path)
    assert file[deep].source.path == fit
    assert file[deep].source.source.path == MAIN
    assert paths(file[fit].results()) == [deep]
    assert paths(file[MAIN].results()) == [fit]
    assert paths(file.raw) == [MAIN]


# ---------------------------------------------------------------------------- references and names


def test_the_reference_decides_not_the_name(path: Path) -> None:
    other = write_small(path, CHANNEL, mode="a", name="Other_Data")
    fit = add(path)
    with h5py.File(path, "r+") as file:
        file[fit].parent.attrs["source_000"] = file[other].ref
        file[fit].parent.attrs["tool"] = "Renamed"
    file = open_with(path)
    assert file[fit].source.path == other
    assert file[fit].tool == "Renamed"
    assert file[MAIN].results() == []
    assert paths(file[other].results("Renamed")) == [fit]


def test_w12_results_are_not_found_by_substring(path: Path) -> None:
    other = write_small(path, CHANNEL, mode="a", name="Raw_Data2")
    fit = add(path, source=other)
    file = open_with(path)
    assert file[MAIN].results("SHO_Fit") == []
    assert paths(file[other].results()) == [fit]


def test_the_name_is_the_fallback(path: Path) -> None:
    fit = add(path)
    change(path, f"{CHANNEL}/Raw_Data-SHO_Fit_000", tool=None, source_000=None)
    file = open_with(path)
    assert (file[fit].tool, file[fit].source.path) == ("SHO_Fit", MAIN)
    assert paths(file[MAIN].results("SHO_Fit")) == [fit]


def test_results_of_a_group_of_any_name_are_results_by_their_reference(path: Path) -> None:
    fit = add(path)
    change(path, f"{CHANNEL}/Raw_Data-SHO_Fit_000", tool=None)
    with h5py.File(path, "r+") as file:
        file.move(f"{CHANNEL}/Raw_Data-SHO_Fit_000", "/Fits")
    fit = "/Fits/Fit"
    file = open_with(path)
    assert file[fit].source.path == MAIN
    assert paths(file.raw) == [MAIN]
    assert paths(file.find(tool="")) == [MAIN]
    assert file.main.path == MAIN


def test_results_may_lie_elsewhere_in_the_file(path: Path) -> None:
    add(path)
    with h5py.File(path, "r+") as file:
        file.move(f"{CHANNEL}/Raw_Data-SHO_Fit_000", "/Results/Tuesday")
    file = open_with(path)
    assert paths(file[MAIN].results("SHO_Fit")) == ["/Results/Tuesday/Fit"]


@pytest.mark.parametrize("reference", ["null", "deleted"])
def test_a_source_that_is_not_in_the_file_is_none(path: Path, reference: str) -> None:
    fit = add(path)
    with h5py.File(path, "r+") as file:
        file["gone"] = [1]
        told = h5py.Reference() if reference == "null" else file["gone"].ref
        file[fit].parent.attrs["source_000"] = told
        del file["gone"]
    file = open_with(path)
    assert file[fit].source is None
    assert file[fit].tool == "SHO_Fit"
    assert file[fit].params["tool"] == "SHO_Fit"
    assert paths(file.raw) == [MAIN]


def test_a_source_that_is_no_main_is_none(path: Path) -> None:
    fit = add(path)
    with h5py.File(path, "r+") as file:
        file[fit].parent.attrs["source_000"] = file[f"{CHANNEL}/Position_Values"].ref
    assert open_with(path)[fit].source is None


@pytest.mark.parametrize("tool", [fixed_text(["SHO"]), ["SHO"], np.bytes_("SHO"), " SHO\n"])
def test_the_tool_may_be_any_text(path: Path, tool: Any) -> None:
    fit = add(path)
    change(path, f"{CHANNEL}/Raw_Data-SHO_Fit_000", tool=tool)
    assert open_with(path)[fit].tool == "SHO"


def test_a_channel_that_happens_to_have_a_dash_is_known_by_name_only(path: Path) -> None:
    write_small(path, "/Measurement_000/Height-Trace_000", mode="a", name="Raw")
    main = open_with(path)["Raw"]
    assert main.source is None
    assert main.tool == "Trace"


CIRCLE = """
import sys, lazyusid
file = lazyusid.open(sys.argv[1])
for main in file.values():
    assert main.params["quantity"]
    main.source, main.results(), main.tool
print(len(file))
"""


def test_results_that_lead_back_to_themselves_end(path: Path) -> None:
    fit = add(path)
    with h5py.File(path, "r+") as file:
        file[fit].parent.attrs["source_000"] = file[fit].ref
    assert run_python(CIRCLE, path) == "2\n"


def test_results_that_lead_in_a_circle_end(path: Path) -> None:
    one, two = add(path), add(path, tool="Cluster", name="Labels")
    with h5py.File(path, "r+") as file:
        file[one].parent.attrs["source_000"] = file[two].ref
        file[two].parent.attrs["source_000"] = file[one].ref
    assert run_python(CIRCLE, path) == "3\n"


def test_empty_results_groups_are_no_results(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        group = file.create_group(f"{CHANNEL}/Raw_Data-SHO_Fit_000")
        group.attrs.update({"tool": "SHO_Fit", "source_000": file[MAIN].ref})
    file = open_with(path)
    assert (len(file), file[MAIN].results()) == (1, [])
    assert f"{CHANNEL}/Raw_Data-SHO_Fit_000" in file.groups
