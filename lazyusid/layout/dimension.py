"""A named dimension with units and values; what is uniform and what is not."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Kind = Literal["position", "spectroscopic"]
_DESCRIPTOR = re.compile(
    r"^(?P<name>.*\S)\s*[\[(](?P<units>[^\[\]()]*(?:\([^()]*\)[^\[\]()]*)*)[\])]$"
)


@dataclass(frozen=True, eq=False)
class Coordinate:
    """Values that stand beside an array over one or more of its dimensions.

    Attributes
    ----------
    name, units
        What the values are.
    dims
        Names of the dimensions the values run over, slowest first.
    values
        float64, one axis for each of `dims`; NaN where no point was measured.
    """

    name: str
    units: str
    dims: tuple[str, ...]
    values: NDArray[np.float64]


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Dimension:
    """One dimension of a measurement.

    Parameters
    ----------
    name, units
        What was varied; units may be ``""``.
    values
        The value at each step, 1-D; an int n stands for ``0 .. n-1``. Kept as float64.
    kind
        The side it belongs to, ``"position"`` or ``"spectroscopic"``, where that is known.
    precision
        Machine epsilon of the dtype the values were stored in; by default that of `values`.
        Steps that differ by no more than such rounding explains count as uniform.
    coordinates
        Values that hang on this dimension beside its own: where they depend on further dimensions
        (a bias amplitude per cycle), or where it numbers scattered points (their X and Y).

    Examples
    --------
    >>> Dimension("Bias", "V", [-1.0, 0.0, 1.0])
    Dimension('Bias', 'V', 3: -1 .. 1)
    >>> Dimension("Cycle", "", 4).values
    array([0., 1., 2., 3.])
    """

    name: str
    units: str
    values: NDArray[np.float64]
    kind: Kind | None
    precision: float
    coordinates: tuple[Coordinate, ...]

    def __init__(
        self,
        name: str,
        units: str,
        values: ArrayLike,
        kind: Kind | None = None,
        *,
        precision: float | None = None,
        coordinates: tuple[Coordinate, ...] = (),
    ) -> None:
        given: NDArray[Any] = np.asarray(values)
        if given.ndim == 0 and given.dtype.kind in "iu":
            given = np.arange(int(given))
        if given.ndim != 1:
            raise ValueError(
                f"Dimension {name!r}: values are {given.ndim}-D; they must be 1-D, or an int "
                "for the number of steps."
            )
        set_field = partial(object.__setattr__, self)
        set_field("name", name)
        set_field("units", units)
        set_field("values", given.astype(np.float64))
        set_field("kind", kind)
        set_field("precision", epsilon(given.dtype) if precision is None else precision)
        set_field("coordinates", coordinates)
        self.values.flags.writeable = False

    @property
    def size(self) -> int:
        """Number of steps."""
        return len(self.values)

    def of(self, kind: Kind) -> "Dimension":
        """Return this dimension as one of side `kind`."""
        return Dimension(
            self.name,
            self.units,
            self.values,
            kind,
            precision=self.precision,
            coordinates=self.coordinates,
        )

    @property
    def line(self) -> tuple[float, float] | None:
        """Offset and scale of the line fitted over the whole axis; None where it is no line."""
        return fit_uniform(self.values, self.precision)

    @property
    def uniform(self) -> bool:
        """Whether all steps are equal, up to what rounding to the stored dtype explains."""
        return self.line is not None

    @property
    def range(self) -> str:
        """First and last value in words; lowest and highest where the values are not uniform."""
        values = self.values[~np.isnan(self.values)]
        if values.size == 0:
            return "empty"
        if values.size == 1:
            return f"{values[0]:.6g}"
        ends = (values[0], values[-1]) if self.uniform else (values.min(), values.max())
        return "{:.6g} .. {:.6g}".format(*ends)

    def __repr__(self) -> str:
        kind = f", kind={self.kind!r}" if self.kind else ""
        return f"Dimension({self.name!r}, {self.units!r}, {self.size}: {self.range}{kind})"


def renamed(dimensions: Sequence[Dimension], names: Sequence[str]) -> tuple[Dimension, ...]:
    """Return the dimensions of one side under other names, their coordinates' among them."""
    new = {axis.name: name for axis, name in zip(dimensions, names, strict=True)}
    return tuple(
        Dimension(
            new[axis.name],
            axis.units,
            axis.values,
            axis.kind,
            precision=axis.precision,
            coordinates=tuple(
                replace(
                    further,
                    name=new.get(further.name, further.name),
                    dims=tuple(new.get(name, name) for name in further.dims),
                )
                for further in axis.coordinates
            ),
        )
        for axis in dimensions
    )


def epsilon(dtype: np.dtype[Any]) -> float:
    """Return the machine epsilon of values stored as `dtype`; integers count as float64."""
    return float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps)


def fit_uniform(values: NDArray[np.float64], precision: float) -> tuple[float, float] | None:
    """Return offset and scale of the line through `values`, or None where they are no line.

    The line is the least-squares fit over the whole axis, so that rounding of single values
    averages out. Values count as a line if none is further from it than rounding to the stored
    precision explains (four units in the last place of the largest magnitude), or than a
    thousandth of the step, whichever is larger; and if the line rises by more than that. Of no
    value at all the line is (0.0, 1.0).

    Parameters
    ----------
    values
        1-D, any length.
    precision
        Machine epsilon of the dtype the values were stored in.

    Examples
    --------
    >>> offset, scale = fit_uniform(np.array([1.0, 0.5, 0.0]), 2e-16)
    >>> round(offset, 12), round(scale, 12)
    (1.0, -0.5)
    >>> fit_uniform(np.array([0.0, 1.0, 4.0]), 2e-16) is None
    True
    """
    if len(values) == 0:
        return 0.0, 1.0
    if not np.isfinite(values).all():
        return None
    if len(values) == 1:
        return float(values[0]), 1.0
    peak = float(np.abs(values).max())
    if peak == 0:
        return None
    relative = values / peak
    steps = np.arange(len(values)) - (len(values) - 1) / 2
    mean = float(relative.mean())
    scale = float(np.dot(steps, relative - mean) / np.dot(steps, steps))
    rounding = 4 * precision
    if scale == 0 or (len(values) > 2 and abs(scale) * (len(values) - 1) <= 2 * rounding):
        return None
    tolerance = max(rounding, 1e-3 * abs(scale))
    if float(np.abs(relative - mean - scale * steps).max()) > tolerance:
        return None
    offset, step = peak * (mean + scale * float(steps[0])), peak * scale
    return (offset, step) if np.isfinite([offset, step]).all() else None


def unique_names(names: Iterable[str]) -> list[str]:
    """Return `names` made unique and non-empty, in order.

    Examples
    --------
    >>> unique_names(["X", "X", "", "X_2"])
    ['X', 'X_2', 'dim', 'X_2_2']
    """
    taken: set[str] = set()
    result = []
    for name in names:
        base = name or "dim"
        candidate, count = base, 1
        while candidate in taken:
            count += 1
            candidate = f"{base}_{count}"
        taken.add(candidate)
        result.append(candidate)
    return result


def parse_descriptor(text: str) -> tuple[str, str]:
    """Split ``"Name (units)"`` or ``"Name [units]"`` into name and units.

    Examples
    --------
    >>> parse_descriptor("Bias (V)")
    ('Bias', 'V')
    >>> parse_descriptor("Amplitude [A/(m^2)]")
    ('Amplitude', 'A/(m^2)')
    >>> parse_descriptor("Phase")
    ('Phase', '')
    """
    match = _DESCRIPTOR.match(text.strip())
    return (match["name"], match["units"].strip()) if match else (text.strip(), "")
