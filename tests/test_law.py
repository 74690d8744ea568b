"""The law: a Main opens as its oracle folds it, in data, dims and coordinates, whatever its tables.

`tests.oracle` places every element by its indices, one by one, and shares no code with lazyusid.
"""

import warnings
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import lazyusid
from lazyusid.errors import UsidWarning
from tests import oracle
from tests.builders import Side, random_side, write_usid

KINDS = ("raster", "permuted", "partial", "scattered", "placeholder")
DTYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "f2", "f4", ">f4", "f8", "c8", "c16")
INDEX_DTYPES = ("u1", "u2", "u4", "i4", "i8", "f4", "f8")
VALUE_DTYPES = ("f2", "f4", "f8")
REQUESTS: tuple[Any, ...] = ("auto", "spectra", "images")


@dataclass(frozen=True, eq=False)
class Case:
    """A Main as it is stored."""

    position: Side
    spectroscopic: Side
    matrix: NDArray[Any]
    storage: Mapping[str, Any]


def random_case(
    rng: np.random.Generator, kinds: tuple[Any, Any], dtype: str, chunked: bool, limit: int = 20_000
) -> Case:
    """A Main of at most `limit` elements over sides of these kinds.

    One time in two both sides use the same names.
    """
    prefix = str(rng.choice(["S", "D"]))
    while True:
        position, spectroscopic = random_side(rng, kinds[0]), random_side(rng, kinds[1])
        if position.points * spectroscopic.points <= limit:
            break
    labels = tuple(label.replace("D", prefix) for label in spectroscopic.labels)
    marked = tuple(label.replace("D", prefix) for label in spectroscopic.incomplete)
    other = Side(spectroscopic.indices, spectroscopic.values, labels, spectroscopic.units, marked)
    shape = position.points, other.points
    chunks = tuple(int(rng.integers(1, size + 1)) for size in shape) if chunked else None
    return Case(position, other, random_matrix(rng, shape, np.dtype(dtype)), {"chunks": chunks})


def random_matrix(
    rng: np.random.Generator, shape: tuple[int, int], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Any numbers that the dtype holds; in complex ones also along the imaginary axis."""
    numbers = rng.random(shape) * 200 - (0 if dtype.kind == "u" else 100)
    if dtype.kind == "b":
        return numbers > 0
    return (numbers * (1 - 2j)).astype(dtype) if dtype.kind == "c" else numbers.astype(dtype)


def write(path: Path, case: Case, rng: np.random.Generator, **options: Any) -> str:
    """Write a case, its tables in any dtype that holds them; the Main's path."""
    return write_usid(
        path,
        case.matrix,
        case.position,
        case.spectroscopic,
        index_dtype=str(rng.choice(INDEX_DTYPES)),
        value_dtype=str(rng.choice(VALUE_DTYPES)),
        table_chunks=int(rng.integers(1, 9)) if rng.random() < 0.2 else None,
        **case.storage,
        **options,
    )


def open_quietly(path: Path, case: Case, **options: Any) -> lazyusid.MainDataset:
    """Open the only Main; the only warning there may be is of names that repeat."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        main = lazyusid.open(path, **options).main
    labels = [*case.position.labels, *case.spectroscopic.labels]
    repeated = len(set(labels)) < len(labels)
    assert [warning.category for warning in caught] == [UsidWarning] * repeated
    assert all("[labels-unique]" in str(warning.message) for warning in caught)
    return main


def assert_equals_oracle(main: lazyusid.MainDataset, case: Case) -> NDArray[Any]:
    """Compare everything that a fold is; the oracle's array."""
    folded, dims, coords, coord_dims = oracle.fold(case.matrix, case.position, case.spectroscopic)
    for found in (main.read(), main.data.compute(scheduler="synchronous")):
        assert found.dtype == folded.dtype
        assert_array_equal(found, folded, strict=True)
    assert (main.dims, main.shape, main.dtype) == (dims, folded.shape, folded.dtype)
    assert main.data.chunks == main.plan.blocks
    assert dict(main.coord_dims) == coord_dims
    assert set(main.coords) == set(coords)
    for name, values in coords.items():
        assert_array_equal(main.coords[name], values)
    assert main.layout.position.kind == oracle.kind_of(case.position)
    assert main.layout.spectroscopic.kind == oracle.kind_of(case.spectroscopic)
    return folded


def assert_round_trips(main: lazyusid.MainDataset, case: Case, folded: NDArray[Any]) -> None:
    """Compare `fold`, `unfold` and `measured` with the matrix and the oracle."""
    assert_array_equal(main.fold(case.matrix), folded, strict=True)
    matrix = main.unfold(folded)
    assert_array_equal(matrix, case.matrix)
    measured = main.measured
    if measured is None:
        assert matrix.dtype == case.matrix.dtype
        assert folded.size == case.matrix.size
    else:
        mask = measured.compute(scheduler="synchronous")
        assert_array_equal(mask, ~np.isnan(folded))
        assert np.count_nonzero(mask) == case.matrix.size < folded.size


def random_region(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[slice, ...]:
    ends = [np.sort(rng.integers(0, size + 1, 2)) for size in shape]
    return tuple(slice(int(start), int(stop)) for start, stop in ends)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file, written over and over."""
    return tmp_path_factory.mktemp("law") / "any.h5"


seeds = st.integers(0, 2**32 - 1)
two_kinds = st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS))


@settings(deadline=None, max_examples=200)
@given(
    seed=seeds,
    kinds=two_kinds,
    dtype=st.sampled_from(DTYPES),
    chunked=st.booleans(),
    request_=st.sampled_from(REQUESTS),
)
def test_any_main_opens_as_the_oracle_folds_it(
    path: Path, seed: int, kinds: Any, dtype: str, chunked: bool, request_: Any
) -> None:
    rng = np.random.default_rng(seed)
    case = random_case(rng, kinds, dtype, chunked)
    write(path, case, rng)
    main = open_quietly(path, case, chunks=request_)
    folded = assert_equals_oracle(main, case)
    assert_round_trips(main, case, folded)
    for _ in range(3):
        region = random_region(rng, folded.shape)
        assert_array_equal(main.read(region), folded[region], strict=True)
    assert_array_equal(main.matrix.compute(scheduler="synchronous"), case.matrix, strict=True)


@settings(deadline=None, max_examples=60)
@given(seed=seeds, kinds=two_kinds, chunked=st.booleans())
def test_any_blocks_give_the_same_array(path: Path, seed: int, kinds: Any, chunked: bool) -> None:
    rng = np.random.default_rng(seed)
    case = random_case(rng, kinds, "f4", chunked, limit=500)
    write(path, case, rng)
    shape = open_quietly(path, case).shape
    blocks = tuple(int(rng.integers((size + 2) // 3, size + 1)) for size in shape)
    assert_equals_oracle(open_quietly(path, case, chunks=blocks), case)


@settings(deadline=None, max_examples=60)
@given(
    seed=seeds,
    kinds=two_kinds,
    dtype=st.sampled_from(DTYPES),
    fill=st.sampled_from([0, 1, 7]),
)
def test_a_fill_keeps_the_dtype_of_any_main(
    path: Path, seed: int, kinds: Any, dtype: str, fill: int
) -> None:
    rng = np.random.default_rng(seed)
    case = random_case(rng, kinds, dtype, chunked=False)
    write(path, case, rng)
    fill = fill % 2 if dtype == "?" else fill
    main = open_quietly(path, case, fill=fill)
    folded, *_ = oracle.fold(case.matrix, case.position, case.spectroscopic)
    found = main.data.compute(scheduler="synchronous")
    assert found.dtype == case.matrix.dtype
    filled = np.where(np.isnan(folded), fill, folded).astype(found.dtype)
    assert_array_equal(found, filled, strict=True)
    assert_array_equal(main.read(), filled, strict=True)


@settings(deadline=None, max_examples=60)
@given(seed=seeds, kinds=two_kinds)
def test_kept_placeholders_change_nothing_but_axes_of_size_1(
    path: Path, seed: int, kinds: Any
) -> None:
    rng = np.random.default_rng(seed)
    case = random_case(rng, kinds, "f4", chunked=True)
    write(path, case, rng)
    plain = open_quietly(path, case)
    kept = open_quietly(path, case, keep_placeholders=True)
    assert set(plain.dims) <= set(kept.dims)
    added = tuple(axis for axis, name in enumerate(kept.dims) if name not in plain.dims)
    assert_array_equal(kept.read().squeeze(added), plain.read(), strict=True)
    assert len(kept.dimensions) == len(kept.dims)


def check_seeds(folder: Path, seeds: range) -> None:
    """Check one Main for each seed, all in one file; a seed makes the same Main again."""
    path, cases = folder / f"{seeds.start}.h5", {}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        kinds = tuple(str(kind) for kind in rng.choice(KINDS, 2))
        case = random_case(rng, kinds, str(rng.choice(DTYPES)), seed % 2 == 0, limit=2000)
        cases[write(path, case, rng, mode="a", group=f"/Measurement_{seed:06d}")] = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UsidWarning)  # of names that repeat
        file = lazyusid.open(path, chunks=REQUESTS[seeds.start % 3])
    assert set(file) == set(cases)
    for name, case in cases.items():
        try:
            with file[name].h5():  # one handle for all reads
                assert_equals_oracle(file[name], case)
        except Exception as error:
            error.add_note(f"{name}: matrix {case.matrix.shape}, {case.storage}")
            raise
    path.unlink()


@pytest.mark.slow
def test_10_000_random_mains_open_as_the_oracle_folds_them(tmp_path: Path) -> None:
    """In processes, one a core, since one alone takes minutes."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        parts = [range(first, first + 50) for first in range(0, 10_000, 50)]
        jobs = [pool.submit(check_seeds, tmp_path, part) for part in parts]
        try:
            for job in jobs:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)
