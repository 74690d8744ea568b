"""pyproject.toml, environment.yml and README.md say the same."""

import re
import tomllib
from pathlib import Path

import yaml

import lazyusid

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CONDA_NAMES = {"dask[array]": "dask-core"}


def split(requirement: str) -> tuple[str, str]:
    """``"h5py>=3.11"`` -> ``("h5py", ">=3.11")``."""
    name, constraint = re.fullmatch(r"([\w.-]+(?:\[[\w,-]+\])?)\s*(.*)", requirement).groups()
    return name, constraint


def conda_requirements() -> dict[str, str]:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    return dict(split(requirement) for requirement in environment["dependencies"])


def project_requirements() -> dict[str, str]:
    pairs = [split(requirement) for requirement in PROJECT["dependencies"]]
    named = {CONDA_NAMES.get(name, name): constraint for name, constraint in pairs}
    return named | {"python": PROJECT["requires-python"]}


def test_split_keeps_the_extra_with_the_name_and_the_floor_apart():
    assert split("dask[array]>=2024.12.0") == ("dask[array]", ">=2024.12.0")
    assert split("tqdm") == ("tqdm", "")


def test_environment_and_project_require_the_same_with_the_same_floors():
    assert conda_requirements() == project_requirements()


def test_no_extra_pins_zarr_below_3():
    for name, requirements in PROJECT["optional-dependencies"].items():
        for requirement in requirements:
            assert not re.match(r"rosettasciio\[.*(zspy|all)", requirement), name


def test_every_floor_says_why():
    lines = (ROOT / "pyproject.toml").read_text("utf-8").splitlines()
    floors = [line for line in lines if re.match(r'\s+"[\w\[\],-]+[<>=~!]=', line)]
    assert len(floors) >= 4
    assert [line for line in floors if "#" not in line] == []


def test_the_version_is_a_release_number():
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", lazyusid.__version__)


def test_readme_holds_the_command_that_ci_runs():
    readme = (ROOT / "README.md").read_text("utf-8")
    (block,) = re.findall(r"<!-- test-command -->\s*```\w*\n(.+?)\n```", readme, re.DOTALL)
    assert ".venv-test/bin/" in block
    assert "pytest" in block
