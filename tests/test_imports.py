"""What `import lazyusid` offers, and what it leaves unloaded."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

import lazyusid
from tests.builders import example_4d

HEAVY = ["dask", "xarray", "matplotlib", "distributed", "zarr", "hyperspy"]

PUBLIC = [
    "Dimension",
    "FilterError",
    "Finding",
    "FormatError",
    "JobError",
    "LayoutError",
    "MainDataset",
    "NotMainError",
    "SinkError",
    "SourceError",
    "UnsafeSourceError",
    "UsidError",
    "UsidFile",
    "UsidWarning",
    "__version__",
    "file_reader",
    "open",
    "validate",
]

USES = {
    "import": "import lazyusid",
    "open": "import lazyusid; lazyusid.open(path)",
    "read": "import lazyusid; m = lazyusid.open(path).main; m.read(); m.read((slice(0, 1),))",
    "validate": "import lazyusid; lazyusid.validate(path)",
    "info command": "from lazyusid.cli import main; main(['info', path])",
    "validate command": "from lazyusid.cli import main; main(['validate', path])",
}


def loaded_after(code: str, path: str = "") -> set[str]:
    """Heavy libraries that a fresh interpreter has loaded when `code` is done."""
    script = f"""
import json, sys
path = sys.argv[1]
try:
    {code}
except SystemExit as end:  # how a command ends
    assert not end.code, end.code
print()
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})))
"""
    command = [sys.executable, "-c", script, path]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1])) & set(HEAVY)


def test_public_names_are_pinned():
    assert sorted(lazyusid.__all__) == PUBLIC


def test_every_public_name_resolves_and_is_listed():
    assert all(hasattr(lazyusid, name) for name in PUBLIC)
    assert set(PUBLIC) <= set(dir(lazyusid))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = lazyusid.no_such_name


def test_a_loaded_library_is_noticed():
    assert loaded_after("import distributed") == {"dask", "distributed"}


@pytest.mark.parametrize("library", HEAVY)
def test_the_library_is_there_to_be_loaded(library):
    assert find_spec(library)


@pytest.mark.parametrize("use", USES)
def test_nothing_heavy_is_loaded(use, tmp_path):
    path = tmp_path / "scan.h5"
    example_4d(path)
    assert loaded_after(USES[use], str(path)) == set()
