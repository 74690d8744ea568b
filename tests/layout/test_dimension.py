"""Dimensions: what is uniform, what names and units are, and that values stay as they were."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from lazyusid.layout.dimension import (
    Coordinate,
    Dimension,
    epsilon,
    fit_uniform,
    parse_descriptor,
    unique_names,
)
from tests import oracle

FLOAT64 = np.finfo(np.float64).eps


def drift(dimension: Dimension, true: np.ndarray) -> float:
    """How far the fitted line leaves the true values, in pixels."""
    assert dimension.line is not None
    offset, scale = dimension.line
    fitted = offset + scale * np.arange(dimension.size)
    return float(np.abs(fitted - true).max() / abs(scale))


# ---------------------------------------------------------------------------- values


@pytest.mark.parametrize("dtype", ["u1", "i2", "u8", "f2", "f4", "f8", "?"])
def test_values_of_any_dtype_are_kept_as_float64(dtype: str) -> None:
    values = np.array([1, 0, 1], dtype)
    dimension = Dimension("X", "m", values)
    assert dimension.values.dtype == np.float64
    assert_array_equal(dimension.values, values.astype(float))


def test_the_callers_array_is_neither_kept_nor_frozen() -> None:
    given_values = np.array([1.0, 2.0])
    dimension = Dimension("X", "m", given_values)
    given_values[0] = 7
    assert dimension.values.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        dimension.values[0] = 7


@pytest.mark.parametrize("count", [0, 1, 4, np.int64(4), np.uint8(4)])
def test_an_int_stands_for_that_many_steps(count: int) -> None:
    assert Dimension("Cycle", "", count).values.tolist() == list(range(count))


@pytest.mark.parametrize("values", [2.5, [[1.0, 2.0]], "abc"])
def test_values_that_are_no_list_are_refused_by_name(values: object) -> None:
    with pytest.raises(ValueError, match=r"'Bias'.*1-D"):
        Dimension("Bias", "V", values)  # type: ignore[arg-type]


def test_of_changes_the_side_and_nothing_else() -> None:
    beside = Coordinate("T", "K", ("X",), np.arange(3.0))
    dimension = Dimension("X", "m", np.array([0, 1, 2], "f4"), coordinates=(beside,))
    turned = dimension.of("spectroscopic")
    assert (dimension.kind, turned.kind) == (None, "spectroscopic")
    assert (turned.name, turned.units, turned.precision) == ("X", "m", dimension.precision)
    assert turned.coordinates == (beside,)
    assert_array_equal(turned.values, dimension.values)


@pytest.mark.parametrize(
    ("values", "words"),
    [([], "empty"), ([2.5], "2.5"), ([3, 1], "3 .. 1"), ([1e-7, 2e-7], "1e-07 .. 2e-07")],
)
def test_the_repr_says_name_units_size_and_ends(values: list[float], words: str) -> None:
    found = repr(Dimension("X", "m", values, "position"))
    assert found == f"Dimension('X', 'm', {len(values)}: {words}, kind='position')"


# ---------------------------------------------------------------------------- uniform or not


def test_a_descending_axis_that_is_no_line_is_not_uniform() -> None:
    """peers.md S2: 400-900 nm in eV was declared linear."""
    energy = Dimension("Energy", "eV", 1239.84 / np.linspace(400, 900, 64))
    assert energy.values[0] > energy.values[-1]
    assert energy.line is None
    assert not energy.uniform


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize(
    "true",
    [np.linspace(0, 1, 4096), np.linspace(-3.7, 11.3, 4096), np.linspace(400, 900, 4096)],
    ids=["0 .. 1", "-3.7 .. 11.3", "400 .. 900"],
)
def test_a_rounded_uniform_axis_gets_its_mean_step(true: np.ndarray, turn: int) -> None:
    """peers.md S3: the largest step as scale drifts 1.9 pixels over 4096 float32 points."""
    true = true[::turn]
    dimension = Dimension("X", "m", true.astype("f4"))
    assert dimension.line is not None
    assert dimension.line[1] == pytest.approx(true[1] - true[0], rel=1e-6)
    assert drift(dimension, true) < 0.01


def test_unsigned_values_may_descend() -> None:
    """peers.md S8: differences of unsigned values gave a scale of 255."""
    dimension = Dimension("X", "m", np.arange(10, 0, -1, dtype="u1"))
    assert dimension.line == pytest.approx((10, -1))


def test_a_small_float32_step_on_a_large_offset_is_uniform() -> None:
    true = 1e5 + 0.01 * np.arange(4096)
    dimension = Dimension("f", "Hz", true.astype("f4"))
    assert dimension.line is not None
    assert dimension.line[1] == pytest.approx(0.01, rel=1e-4)
    assert drift(dimension, true) < 0.5


def test_the_precision_of_the_stored_dtype_decides_what_is_rounding() -> None:
    rounded = np.linspace(0, 1, 300).astype("f2")
    assert Dimension("X", "m", rounded).uniform
    assert not Dimension("X", "m", rounded.astype("f8")).uniform
    assert Dimension("X", "m", rounded.astype("f8"), precision=epsilon(rounded.dtype)).uniform


@pytest.mark.parametrize(
    ("dtype", "digits"), [("f2", "f2"), ("f4", "f4"), ("f8", "f8"), ("i2", "f8"), ("u1", "f8")]
)
def test_integers_count_as_exact(dtype: str, digits: str) -> None:
    assert epsilon(np.dtype(dtype)) == np.finfo(digits).eps


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4"])
@pytest.mark.parametrize("value", [0, 1, -7, 3.3, 1e4])
@pytest.mark.parametrize("size", [2, 3, 4096])
def test_a_constant_is_not_uniform(value: float, size: int, dtype: str) -> None:
    assert not Dimension("X", "m", np.full(size, value).astype(dtype)).uniform


def test_a_constant_that_flickers_in_its_last_digit_is_not_uniform() -> None:
    flicker = np.array([1e5, np.nextafter(np.float32(1e5), np.float32(2e5))], "f4")
    assert not Dimension("X", "m", np.tile(flicker, 50)).uniform
    assert not Dimension("X", "m", np.repeat(flicker, 50)).uniform


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_an_axis_with_a_value_that_is_no_number_is_not_uniform(bad: float, place: int) -> None:
    values = np.arange(5.0)
    values[place] = bad
    assert not Dimension("X", "m", values).uniform


def test_one_point_and_no_point_are_lines_of_unit_scale() -> None:
    assert Dimension("X", "m", [7.5]).line == (7.5, 1.0)
    assert Dimension("X", "m", []).line == (0.0, 1.0)
    assert Dimension("X", "m", [np.nan]).line is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [[1e308, 1.5e308], [-1e308, 0, 1e308], [-1.7e308, 1.7e308]])
def test_the_largest_values_neither_warn_nor_give_an_infinite_line(values: list[float]) -> None:
    line = Dimension("X", "m", values).line
    assert line is None or np.isfinite(line).all()


finite = st.floats(-1e6, 1e6)
steps = st.floats(1e-3, 1e3)


@settings(deadline=None)
@given(offset=finite, step=steps, size=st.integers(2, 5000), down=st.booleans())
def test_any_line_is_uniform_with_its_own_offset_and_step(
    offset: float, step: float, size: int, down: bool
) -> None:
    scale = -step if down else step
    values = offset + scale * np.arange(size)
    assert_allclose(
        Dimension("X", "m", values).line,
        (offset, scale),
        rtol=1e-9,
        atol=4 * FLOAT64 * np.abs(values).max(),
    )


@settings(deadline=None)
@given(offset=finite, step=steps, size=st.integers(2, 5000))
def test_rounding_to_float32_moves_the_line_by_no_more_than_the_rounding(
    offset: float, step: float, size: int
) -> None:
    values = offset + step * np.arange(size)
    rounding = float(np.abs(values).max() * np.finfo("f4").eps)
    assume(step * (size - 1) > 16 * rounding)
    line = Dimension("X", "m", values.astype("f4")).line
    assert line is not None
    fitted = line[0] + line[1] * np.arange(size)
    assert np.abs(fitted - values).max() <= 2 * rounding


@settings(deadline=None)
@given(
    values=st.lists(finite, min_size=2, max_size=20),
    precision=st.sampled_from([epsilon(np.dtype(name)) for name in ("f2", "f4", "f8")]),
)
def test_an_axis_and_its_reverse_are_uniform_or_not_together(
    values: list[float], precision: float
) -> None:
    ahead = fit_uniform(np.array(values), precision)
    back = fit_uniform(np.array(values[::-1]), precision)
    assert (ahead is None) == (back is None)
    if ahead and back:
        assert back[1] == pytest.approx(-ahead[1])
        assert back[0] == pytest.approx(ahead[0] + ahead[1] * (len(values) - 1), abs=1e-3)


@settings(deadline=None)
@given(
    size=st.integers(3, 200),
    step=steps,
    place=st.integers(0, 199),
    by=st.floats(0.05, 10),
    down=st.booleans(),
)
def test_one_value_off_the_line_makes_an_axis_not_uniform(
    size: int, step: float, place: int, by: float, down: bool
) -> None:
    values = step * np.arange(size)
    values[place % size] += by * step * (-1 if down else 1)
    assert not Dimension("X", "m", values).uniform


@settings(deadline=None)
@given(size=st.integers(3, 500), ratio=st.floats(1.05, 1.5), down=st.booleans())
def test_a_geometric_axis_is_not_uniform(size: int, ratio: float, down: bool) -> None:
    values = ratio ** np.arange(min(size, int(600 / np.log(ratio))))
    assert not Dimension("f", "Hz", values[::-1] if down else values).uniform


# ---------------------------------------------------------------------------- names


@given(st.lists(st.sampled_from(["", "X", "X_2", "X_3", "Y", "dim", "dim_2"]), max_size=9))
def test_names_become_unique_and_none_is_empty(names: list[str]) -> None:
    unique = unique_names(names)
    assert unique == oracle.unique_names(names)
    assert len(set(unique)) == len(names)
    assert all(unique)
    for name, label in zip(unique, names, strict=True):
        assert name.startswith(label or "dim")


@given(st.lists(st.text(min_size=1), unique=True))
def test_names_that_are_unique_stay_as_they_are(names: list[str]) -> None:
    assert unique_names(names) == names


@pytest.mark.parametrize(
    ("text", "name", "units"),
    [
        ("Bias (V)", "Bias", "V"),
        ("Bias [V]", "Bias", "V"),
        ("  Bias  ( V ) ", "Bias", "V"),
        ("Bias(V)", "Bias", "V"),
        ("Current density (A/(m^2))", "Current density", "A/(m^2)"),  # peers.md S9
        ("Amplitude [A/(m^2)]", "Amplitude", "A/(m^2)"),
        ("Amplitude (raw) [V]", "Amplitude (raw)", "V"),
        ("Quality Factor", "Quality Factor", ""),
        ("Phase ()", "Phase", ""),
        ("(V)", "(V)", ""),
        ("(V) Bias", "(V) Bias", ""),
        ("", "", ""),
    ],
)
def test_a_descriptor_parts_into_name_and_units(text: str, name: str, units: str) -> None:
    assert parse_descriptor(text) == (name, units)


plain = st.text("abcXYZ µ°^/0123-", min_size=1, max_size=12).map(str.strip).filter(bool)
nested = st.tuples(plain, plain).map(lambda parts: f"{parts[0]}/({parts[1]})")


@given(name=plain, units=plain | nested, brackets=st.sampled_from(["()", "[]"]))
def test_name_and_units_written_together_come_apart_again(
    name: str, units: str, brackets: str
) -> None:
    assert parse_descriptor(f"{name} {brackets[0]}{units}{brackets[1]}") == (name, units)
