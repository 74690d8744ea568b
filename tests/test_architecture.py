"""Holds the structure: arrows go one way, third parties have one home, functions are small.

Every check takes a package as ``{path: source}``, so that a few made-up lines can prove it bites.
"""

import ast
import statistics
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in sorted(ROOT.glob("lazyusid/**/*.py"))
}

# A room is a module or a sub-package directly below lazyusid; "" is lazyusid/__init__.py.
RANKS = {
    "errors": 0,
    "protocols": 0,
    "resources": 0,
    "layout": 1,
    "model": 2,
    "provenance": 3,
    "hdf5": 3,
    "zarr": 3,
    "formats": 4,
    "lazy": 4,
    "jobs": 5,
    "interop": 5,
    "display": 5,
    "api": 6,
    "demo": 7,
    "rsciio": 7,
    "xarray_engine": 7,
    "cli": 7,
    "__main__": 7,
    "": 7,
}
FACES = max(RANKS.values())  # the faces share one room

HOMES = {
    "numpy": ["lazyusid"],
    "h5py": ["lazyusid.hdf5"],
    "hdf5plugin": ["lazyusid.hdf5"],
    "zarr": ["lazyusid.zarr"],
    "imagecodecs": ["lazyusid.hdf5", "lazyusid.zarr"],
    "dask": ["lazyusid.lazy", "lazyusid.jobs.cluster"],
    "distributed": ["lazyusid.jobs.cluster"],
    "tqdm": ["lazyusid.jobs", "lazyusid.cli"],
    "click": ["lazyusid.cli"],
    "matplotlib": ["lazyusid.display.plot"],
    "hyperspy": ["lazyusid.interop.hyperspy"],
    "xarray": ["lazyusid.interop.xarray", "lazyusid.xarray_engine"],
    "rsciio": ["lazyusid.rsciio"],
}

MAX_BODY, MAX_MEDIAN_BODY, MAX_MODULE = 50, 10, 400

Package = Mapping[str, str]
parse = cache(ast.parse)


def module_name(path: str) -> str:
    """``"lazyusid/hdf5/__init__.py"`` -> ``"lazyusid.hdf5"``; ``__main__`` keeps its name."""
    return ".".join(PurePosixPath(path).with_suffix("").parts).removesuffix(".__init__")


def room(module: str) -> str:
    return (module + ".").split(".")[1]


def within(module: str, home: str) -> bool:
    return module == home or module.startswith(home + ".")


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def import_targets(node: ast.AST, path: str) -> list[str]:
    """Dotted names that an import statement may load; for ``from a import b`` it is ``a.b``."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        parents = PurePosixPath(path).parts[: -node.level] if node.level else ()
        base = ".".join([*parents, *filter(None, [node.module])])
        return [f"{base}.{alias.name}" for alias in node.names]
    return []


def imports(path: str, source: str) -> Iterator[tuple[str, bool]]:
    """Each imported name, and whether only type checkers see it."""
    tree = parse(source)
    blocks = [block for block in ast.walk(tree) if is_type_checking(block)]
    for_types = {id(node) for block in blocks for part in block.body for node in ast.walk(part)}
    for node in ast.walk(tree):
        for target in import_targets(node, path):
            yield target, id(node) in for_types


def own_imports(package: Package) -> Iterator[tuple[str, str]]:
    """Pairs of modules of the package: importer, imported."""
    modules = {module_name(path) for path in package}
    for path, source in package.items():
        for target, _ in imports(path, source):
            if within(target, "lazyusid"):
                parent = target.rpartition(".")[0]
                is_module = target in modules or not parent
                yield module_name(path), target if is_module else parent


def functions(package: Package) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path, source in package.items():
        for node in ast.walk(parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


# The checks: each gives what is wrong, in words.


def unknown_modules(package: Package) -> list[str]:
    return [path for path in package if room(module_name(path)) not in RANKS]


def rank_faults(package: Package) -> list[str]:
    faults = []
    for importer, imported in own_imports(package):
        above, below = RANKS[room(importer)], RANKS.get(room(imported), FACES)
        same_room = room(importer) == room(imported) or above == FACES
        if not (below < above or same_room):
            faults.append(f"{importer} imports {imported}")
    return faults


def cycles(package: Package) -> list[str]:
    graph: dict[str, set[str]] = {}
    for importer, imported in own_imports(package):
        graph.setdefault(importer, set()).add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def third_party_faults(package: Package) -> list[str]:
    faults = []
    for path, source in package.items():
        for target, for_types in imports(path, source):
            library = target.split(".")[0]
            if library in sys.stdlib_module_names or library == "lazyusid" or for_types:
                continue
            if not any(within(module_name(path), home) for home in HOMES.get(library, [])):
                faults.append(f"{path} imports {library}")
    return faults


def nested_own_imports(package: Package) -> list[str]:
    return [
        f"{path}:{node.lineno} {function.name}"
        for path, function in functions(package)
        for node in ast.walk(function)
        if any(within(target, "lazyusid") for target in import_targets(node, path))
    ]


def calls_of(name: str, package: Package) -> list[str]:
    """Where ``name(...)`` or ``something.name(...)`` is called."""
    return [
        f"{path}:{node.lineno}"
        for path, source in package.items()
        for node in ast.walk(parse(source))
        if isinstance(node, ast.Call)
        and name in (getattr(node.func, "id", None), getattr(node.func, "attr", None))
    ]


def import_module_calls(package: Package) -> list[str]:
    """Imports by name, which the other checks cannot see: only for PEP 562 in ``__init__.py``."""
    rest = {path: source for path, source in package.items() if path != "lazyusid/__init__.py"}
    return calls_of("import_module", rest) + calls_of("__import__", rest)


def prints(package: Package) -> list[str]:
    return calls_of(
        "print", {path: source for path, source in package.items() if path != "lazyusid/cli.py"}
    )


def long_functions(package: Package) -> list[str]:
    return [
        f"{path}:{function.lineno} {function.name}: {body_lines(function)} lines"
        for path, function in functions(package)
        if body_lines(function) > MAX_BODY
    ]


def long_median(package: Package) -> list[str]:
    median = statistics.median([body_lines(function) for _, function in functions(package)] or [0])
    return [f"median body of {median} lines"] if median >= MAX_MEDIAN_BODY else []


def long_modules(package: Package) -> list[str]:
    counts = {path: len(source.splitlines()) for path, source in package.items()}
    return [f"{path}: {count} lines" for path, count in counts.items() if count > MAX_MODULE]


def function_of(lines: int) -> str:
    return 'def f():\n    """One line."""\n' + "    x = 1\n" * lines


INIT, CLI, MODEL = "lazyusid/__init__.py", "lazyusid/cli.py", "lazyusid/model.py"
READER, SCHEMA = "lazyusid/hdf5/reader.py", "lazyusid/zarr/schema.py"
ARRAY, API = "lazyusid/lazy/array.py", "lazyusid/api/open.py"

# check, a package that passes, a package that does not
CASES = [
    (unknown_modules, {INIT: "", READER: ""}, {"lazyusid/utils.py": ""}),
    (
        rank_faults,
        {READER: "from lazyusid import model", MODEL: ""},
        {MODEL: "import lazyusid.api"},
    ),
    (rank_faults, {CLI: "from lazyusid.demo import run"}, {READER: "from lazyusid import open"}),
    (rank_faults, {READER: "from . import walk"}, {READER: "from ..zarr import schema"}),
    (rank_faults, {INIT: "import lazyusid.api"}, {SCHEMA: "import lazyusid.hdf5.reader"}),
    (
        rank_faults,
        {ARRAY: "from lazyusid.layout.grid import Grid"},
        {MODEL: "if TYPE_CHECKING:\n    from lazyusid.api import MainDataset"},
    ),
    (
        cycles,
        {READER: "from lazyusid.hdf5 import walk", "lazyusid/hdf5/walk.py": ""},
        {READER: "from . import walk", "lazyusid/hdf5/walk.py": "from .reader import x"},
    ),
    (third_party_faults, {READER: "import h5py, os"}, {ARRAY: "from h5py import File"}),
    (third_party_faults, {SCHEMA: "import lazyusid.model"}, {READER: "def f():\n    import zarr"}),
    (third_party_faults, {ARRAY: "import numpy as np"}, {ARRAY: "import pandas"}),
    (
        third_party_faults,
        {API: "if TYPE_CHECKING:\n    import dask.array"},
        {API: "if TYPE_CHECKING:\n    import os\nelse:\n    import dask.array"},
    ),
    (
        nested_own_imports,
        {ARRAY: "def f():\n    import dask.array"},
        {ARRAY: "def f():\n    from ..layout import grid"},
    ),
    (
        import_module_calls,
        {INIT: "importlib.import_module(name)"},
        {API: "importlib.import_module(name)"},
    ),
    (prints, {CLI: "print(1)"}, {API: "print(1)"}),
    (long_functions, {API: function_of(MAX_BODY)}, {API: function_of(MAX_BODY + 1)}),
    (long_median, {API: function_of(9)}, {API: function_of(10)}),
    (long_modules, {API: "x = 1\n" * MAX_MODULE}, {API: "x = 1\n" * (MAX_MODULE + 1)}),
]
CHECKS = list(dict.fromkeys(check for check, _, _ in CASES))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_package_keeps_the_rule(check):
    assert check(PACKAGE) == []


@pytest.mark.parametrize(("check", "good", "bad"), CASES, ids=range(len(CASES)))
def test_the_check_tells_good_from_bad(check, good, bad):
    assert check(good) == []
    assert len(check(bad)) == 1


def test_the_package_was_found():
    assert "lazyusid/layout/grid.py" in PACKAGE


def test_the_architecture_page_names_every_module() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    modules = [path.removeprefix("lazyusid/") for path in PACKAGE]
    missing = [name for name in modules if not name.endswith("__init__.py") and name not in page]
    assert missing == []
