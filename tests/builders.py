"""Small h5USID files for tests, written with plain h5py and nothing of lazyusid."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Sizes = tuple[int, ...]
ColumnOrder = Literal["slowest_first", "fastest_first"] | Sequence[int]
SideKind = Literal["raster", "permuted", "partial", "scattered", "placeholder"]
PathLike = str | os.PathLike[str]

ROLES = ("Position", "Spectroscopic")
TABLES = tuple(f"{role}_{what}" for role in ROLES for what in ("Indices", "Values"))


@dataclass(frozen=True, eq=False)
class Side:
    """The tables of one side of a Main, as a file keeps them but always point-major.

    Attributes
    ----------
    indices, values
        (points, dims), one row for each row (or column) of the matrix.
    labels, units
        One for each column.
    incomplete
        The labels that `incomplete_dimensions` names.
    """

    indices: IntArray
    values: FloatArray
    labels: tuple[str, ...]
    units: tuple[str, ...]
    incomplete: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """How many rows (or columns) of the matrix the side describes."""
        return len(self.indices)


# ---------------------------------------------------------------------------- scan orders
# Each takes the sizes, slowest first, and gives the raster numbers of the points in scan order.


def _count(sizes: Sizes) -> int:
    return int(np.prod(sizes, dtype=np.int64))


def _lines(sizes: Sizes) -> IntArray:
    """Raster numbers as (lines, steps of the fastest dimension)."""
    return np.arange(_count(sizes)).reshape(-1, sizes[-1])


def _raster(sizes: Sizes, rng: np.random.Generator) -> IntArray:
    return np.arange(_count(sizes))


def _reversed(sizes: Sizes, rng: np.random.Generator) -> IntArray:
    return np.arange(_count(sizes))[::-1]


def _serpentine(sizes: Sizes, rng: np.random.Generator) -> IntArray:
    lines = _lines(sizes)
    lines[1::2] = lines[1::2, ::-1].copy()
    return lines.ravel()


def _interleaved(sizes: Sizes, rng: np.random.Generator) -> IntArray:
    lines = _lines(sizes)
    return np.concatenate([lines[0::2], lines[1::2]]).ravel()


def _shuffled(sizes: Sizes, rng: np.random.Generator) -> IntArray:
    return rng.permutation(_count(sizes))


def _swapped(sizes: Sizes, rng: np.random.Generator) -> IntArray:
    rows = np.arange(_count(sizes))
    rows[[0, -1]] = rows[[-1, 0]]
    return rows


def _partial(sizes: Sizes, rng: np.random.Generator) -> IntArray:
    return np.arange(_count(sizes) - max(1, sizes[-1] // 2))


def _holes(sizes: Sizes, rng: np.random.Generator) -> IntArray:
    count = _count(sizes)
    return np.sort(rng.permutation(count)[count // 3 :])


SCANS: dict[str, Callable[[Sizes, np.random.Generator], IntArray]] = {
    "raster": _raster,
    "reversed": _reversed,
    "serpentine": _serpentine,
    "interleaved": _interleaved,
    "shuffled": _shuffled,
    "swapped": _swapped,
    "partial": _partial,
    "holes": _holes,
}
PERMUTED = ("reversed", "serpentine", "interleaved", "shuffled", "swapped")


# ---------------------------------------------------------------------------- sides


def grid_side(
    sizes: Sequence[int],
    labels: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
    values: Sequence[ArrayLike] | None = None,
    order: ColumnOrder = "slowest_first",
    scan: str = "raster",
    *,
    rng: np.random.Generator | None = None,
    counters: Sequence[Sequence[int]] | None = None,
    keep: int | None = None,
    incomplete: Sequence[str] = (),
) -> Side:
    """Points of a box, in the order a scan visits them.

    Everything that goes by dimension is given slowest first, whatever the column order.

    Parameters
    ----------
    sizes
        Steps of each dimension.
    labels, units
        By default ``D0, D1, ...`` and ``""``.
    values
        For each dimension either 1-D, one for each step, or an array that broadcasts to `sizes`
        (see `dependent_values`). By default the step numbers.
    order
        How the table lists its columns; or the columns themselves, as axes of `sizes`.
    scan
        One of `SCANS`. "swapped" exchanges the first and the last point, "partial" stops in the
        middle of the last line, "holes" leaves a third of the points out at random.
    rng
        For "shuffled" and "holes"; a fixed seed by default.
    counters
        The ascending index that each step carries: ``[range(5, 8), (0, 2, 7)]`` has an offset
        and gaps. By default ``0 .. n-1``.
    keep
        Only so many points of the scan, from its begin (a truncated scan of any order).
    incomplete
        Labels for `incomplete_dimensions`.
    """
    box = tuple(sizes)
    rows = SCANS[scan](box, rng or np.random.default_rng(0))[:keep]
    steps = np.unravel_index(rows, box)
    numbers = counters or [range(size) for size in box]
    indices = [np.asarray(own)[at] for own, at in zip(numbers, steps, strict=True)]
    heights = [_over_box(own, box, axis) for axis, own in enumerate(values or map(np.arange, box))]
    side = Side(
        np.stack(indices, axis=1).astype(np.int64),
        np.stack([height[steps] for height in heights], axis=1).astype(np.float64),
        tuple(labels or (f"D{axis}" for axis in range(len(box)))),
        tuple(units or ("" for _ in box)),
        tuple(incomplete),
    )
    return take_columns(side, _columns(order, len(box)))


def _over_box(values: ArrayLike, box: Sizes, axis: int) -> FloatArray:
    """Values of the dimension `axis`, at every cell of the box."""
    given = np.asarray(values, dtype=np.float64)
    if given.ndim == 1:
        given = given.reshape([-1 if other == axis else 1 for other in range(len(box))])
    return np.broadcast_to(given, box)


def _columns(order: ColumnOrder, dims: int) -> list[int]:
    if isinstance(order, str):
        return list(range(dims)) if order == "slowest_first" else list(range(dims))[::-1]
    return list(order)


def dependent_values(
    sizes: Sequence[int], axis: int, on: Sequence[int], base: ArrayLike | None = None
) -> FloatArray:
    """Values of `axis` that depend on the dimensions `on`, for `grid_side`; of shape `sizes`.

    `base` (by default 0, 1, ...) is multiplied by one more than the step of each of `on`, as
    a bias amplitude that grows with the cycle.
    """
    box = tuple(sizes)
    steps = np.indices(box)
    values = _over_box(np.arange(box[axis]) if base is None else base, box, axis)
    for other in on:
        values = values * (1.0 + steps[other])
    return values


def placeholder_side(label: str = "arb", units: str = "a. u.", value: float = 1.0) -> Side:
    """A side without a real dimension: one column, one point."""
    return Side(np.zeros((1, 1), np.int64), np.array([[value]]), (label,), (units,))


def scattered_side(
    points: int,
    dims: int,
    rng: np.random.Generator,
    mark_incomplete: bool = True,
    labels: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
) -> Side:
    """Sparse sampling: 0 .. points-1 in every index column, true coordinates as values."""
    names = tuple(labels or (f"D{column}" for column in range(dims)))
    return Side(
        np.repeat(np.arange(points)[:, np.newaxis], dims, axis=1),
        _random_numbers(rng, (points, dims)),
        names,
        tuple(units or ("" for _ in names)),
        names if mark_incomplete else (),
    )


def take_points(side: Side, points: ArrayLike) -> Side:
    """The side with only these points, in this order (they may repeat)."""
    at = np.asarray(points, dtype=np.intp)
    return replace(side, indices=side.indices[at], values=side.values[at])


def take_columns(side: Side, columns: Sequence[int]) -> Side:
    """The side with its columns in this order."""
    at = list(columns)
    return replace(
        side,
        indices=side.indices[:, at],
        values=side.values[:, at],
        labels=tuple(side.labels[column] for column in at),
        units=tuple(side.units[column] for column in at),
    )


# ---------------------------------------------------------------------------- random sides


def random_side(
    rng: np.random.Generator,
    kind: SideKind,
    max_dims: int = 4,
    max_size: int = 5,
    prefix: str = "D",
) -> Side:
    """Any table of a kind: sizes, column order, offsets and gaps, values that may depend on others.

    Values are multiples of 1/4 below 64, so float16 holds them; some are NaN. A permuted side may
    by chance be a raster (one line of a serpentine); the other kinds are what they say.
    Partial sides need `max_dims` >= 2, scattered ones also `max_size` >= 3.
    """
    if kind == "placeholder":
        label, units = rng.choice([("arb", "a. u."), ("None", ""), ("X", "m")])
        return placeholder_side(str(label), str(units), float(rng.integers(0, 2)))
    make = {"partial": _random_partial, "scattered": _random_scattered}.get(kind)
    if make is not None:
        return make(rng, max_dims, max_size, prefix)
    sizes = _random_sizes(rng, 1, max_dims, max_size)
    scan = "raster" if kind == "raster" else str(rng.choice(PERMUTED))
    return _random_grid(rng, sizes, scan, prefix)


def _random_sizes(rng: np.random.Generator, min_dims: int, max_dims: int, max_size: int) -> Sizes:
    dims = int(rng.integers(min_dims, max_dims + 1))
    return tuple(int(size) for size in rng.integers(1, max_size + 1, dims))


def _random_grid(rng: np.random.Generator, sizes: Sizes, scan: str, prefix: str) -> Side:
    return grid_side(
        sizes,
        labels=[f"{prefix}{axis}" for axis in range(len(sizes))],
        units=[str(rng.choice(["", "V", "nm"])) for _ in sizes],
        values=[_random_values(rng, sizes, axis) for axis in range(len(sizes))],
        order=_random_order(rng, len(sizes)),
        scan=scan,
        rng=rng,
        counters=[_random_counter(rng, size) for size in sizes],
    )


def _random_order(rng: np.random.Generator, dims: int) -> ColumnOrder:
    orders: list[ColumnOrder] = ["slowest_first", "fastest_first", rng.permutation(dims).tolist()]
    return orders[int(rng.integers(len(orders)))]


def _random_counter(rng: np.random.Generator, size: int) -> list[int]:
    """Ascending indices: mostly 0 .. size-1, else from an offset and with gaps."""
    if rng.random() < 0.6:
        return list(range(size))
    gaps = rng.integers(1, 4, size)
    return [int(index) for index in rng.integers(0, 6) + np.cumsum(gaps) - gaps[0]]


def _random_values(rng: np.random.Generator, sizes: Sizes, axis: int) -> FloatArray:
    """Values of one dimension; one time in five over each other dimension as well."""
    shape = [size if other == axis or rng.random() < 0.2 else 1 for other, size in enumerate(sizes)]
    return _random_numbers(rng, shape)


def _random_numbers(rng: np.random.Generator, shape: Sequence[int]) -> FloatArray:
    numbers = rng.integers(-250, 250, tuple(shape)) / 4.0
    if rng.random() < 0.1:
        numbers[rng.random(numbers.shape) < 0.2] = np.nan
    return numbers


def _random_partial(rng: np.random.Generator, max_dims: int, max_size: int, prefix: str) -> Side:
    while True:
        sizes = _random_sizes(rng, 2, max_dims, max_size)
        side = _random_grid(rng, sizes, str(rng.choice(["raster", *PERMUTED])), prefix)
        keep = int(rng.integers((side.points + 1) // 2, side.points + 1))
        chosen = rng.permutation(side.points)[:keep]
        side = take_points(side, np.arange(keep) if rng.random() < 0.5 else np.sort(chosen))
        if _fills_partly(side.indices):
            return side


def _fills_partly(indices: IntArray) -> bool:
    """Whether unique points fill half of their box or more, but not all."""
    box = _count(tuple(len(np.unique(column)) for column in indices.T))
    real = [column.tolist() for column in indices.T if len(np.unique(column)) > 1]
    twins = any(real.count(column) > 1 for column in real)
    return len(indices) < box <= 2 * len(indices) and not twins


def _random_scattered(rng: np.random.Generator, max_dims: int, max_size: int, prefix: str) -> Side:
    make = (_random_sparse, _random_marked, _random_repeats, _random_thin)[int(rng.integers(4))]
    return make(rng, max_dims, max_size, prefix)


def _random_sparse(rng: np.random.Generator, max_dims: int, max_size: int, prefix: str) -> Side:
    """The point number in every column, without a mark."""
    dims = int(rng.integers(2, max_dims + 1))
    labels = [f"{prefix}{column}" for column in range(dims)]
    return scattered_side(int(rng.integers(2, 3 * max_size)), dims, rng, False, labels)


def _random_marked(rng: np.random.Generator, max_dims: int, max_size: int, prefix: str) -> Side:
    """A grid that is marked as incomplete all the same, in one of its dimensions."""
    sizes = (int(rng.integers(2, max_size + 1)), *_random_sizes(rng, 1, max_dims - 1, max_size))
    scan = str(rng.choice(["raster", *PERMUTED]))
    side = _random_grid(rng, sizes, scan, prefix)
    return replace(side, incomplete=(str(rng.choice(side.labels)),))


def _random_repeats(rng: np.random.Generator, max_dims: int, max_size: int, prefix: str) -> Side:
    """A grid of which one point or more was measured again."""
    side = _random_grid(rng, _random_sizes(rng, 1, max_dims, max_size), "raster", prefix)
    again = rng.integers(0, side.points, int(rng.integers(1, side.points + 1)))
    return take_points(side, np.concatenate([np.arange(side.points), again]))


def _random_thin(rng: np.random.Generator, max_dims: int, max_size: int, prefix: str) -> Side:
    """Points that fill less than half of their box: each step of each dimension once."""
    points, dims = int(rng.integers(3, max_size + 1)), int(rng.integers(2, max_dims + 1))
    side = scattered_side(points, dims, rng, False, [f"{prefix}{column}" for column in range(dims)])
    columns = [rng.permutation(_random_counter(rng, points)) for _ in range(dims)]
    return replace(side, indices=np.stack(columns, axis=1))


# ---------------------------------------------------------------------------- files


def write_usid(
    path: PathLike,
    matrix: ArrayLike,
    position: Side,
    spectroscopic: Side,
    *,
    group: str = "/Measurement_000/Channel_000",
    name: str = "Raw_Data",
    quantity: str = "Current",
    units: str = "nA",
    chunks: tuple[int, int] | bool | None = None,
    compression: str | None = None,
    shuffle: bool = False,
    index_dtype: DTypeLike = "u4",
    value_dtype: DTypeLike = "f4",
    attrs: Mapping[str, Any] | None = None,
    table_chunks: int | None = None,
    table_compression: str | None = None,
    mode: str = "w",
    tables_in: str | None = None,
) -> str:
    """Write one Main and its four tables; the absolute path of the Main.

    Parameters
    ----------
    matrix
        (positions, spectroscopic steps), as stored.
    position, spectroscopic
        The tables. The spectroscopic ones are written transposed, (dims, points).
    table_chunks
        Points in a chunk of a table; contiguous by default.
    mode
        "w" for a new file, "a" to add to one.
    tables_in
        The group of the four tables, by default `group`. Tables that are already there are shared;
        ValueError where their indices are others.
    """
    storage = {"chunks": table_chunks, "compression": table_compression}
    dtypes = (index_dtype, value_dtype)
    with h5py.File(path, mode) as file:
        tables = file.require_group(tables_in or group)
        for role, side in zip(ROLES, (position, spectroscopic), strict=True):
            _require_side(tables, role, side, dtypes, storage)
        options = {"chunks": chunks, "compression": compression, "shuffle": shuffle}
        dset = file.require_group(group).create_dataset(name, data=np.asarray(matrix), **options)
        dset.attrs.update({"quantity": quantity, "units": units, **(attrs or {})})
        link_tables(dset, tables)
        return str(dset.name)


def link_tables(dset: h5py.Dataset, tables_group: h5py.Group) -> None:
    """Make `dset` a Main of the four tables in `tables_group`, of the same file."""
    for table in TABLES:
        dset.attrs[table] = tables_group[table].ref


def _require_side(
    group: h5py.Group,
    role: str,
    side: Side,
    dtypes: tuple[DTypeLike, DTypeLike],
    storage: Mapping[str, Any],
) -> None:
    """Write the two tables of a side, unless the group has the same already."""
    turn = role == "Spectroscopic"
    present = group.get(f"{role}_Indices")
    if present is None:
        for what, table, dtype in zip(
            ("Indices", "Values"), (side.indices, side.values), dtypes, strict=True
        ):
            stored = (table.T if turn else table).astype(dtype)
            dset = _write_table(group, f"{role}_{what}", stored, turn, storage)
            dset.attrs.update(_table_attributes(side))
    elif not np.array_equal(present[()].T if turn else present[()], side.indices):
        raise ValueError(f"{present.name} exists and has other indices")


def _write_table(
    group: h5py.Group, name: str, table: NDArray[Any], turn: bool, storage: Mapping[str, Any]
) -> h5py.Dataset:
    chunks = None
    if storage["chunks"] is not None:
        points, dims = table.shape[::-1] if turn else table.shape
        chunks = (min(storage["chunks"], points), dims)[:: -1 if turn else 1]
    return group.create_dataset(name, data=table, chunks=chunks, compression=storage["compression"])


def _table_attributes(side: Side) -> dict[str, Any]:
    attributes = {"labels": fixed_text(side.labels), "units": fixed_text(side.units)}
    if side.incomplete:
        attributes["incomplete_dimensions"] = fixed_text(side.incomplete)
        attributes["type"] = np.array([int(label in side.incomplete) for label in side.labels])
    return attributes


def fixed_text(texts: Sequence[str]) -> NDArray[np.bytes_]:
    """Texts as real files keep them: a fixed-length |S array of UTF-8."""
    return np.array([text.encode() for text in texts], dtype=np.bytes_)


def write_results(
    path: PathLike,
    source: str,
    tool: str = "SHO_Fit",
    name: str = "Fit",
    *,
    matrix: ArrayLike,
    spectroscopic: Side,
    index: int = 0,
    completed: ArrayLike | None = None,
    last_pixel: int | None = None,
    quantity: str = "Amplitude",
    units: str = "V",
    attrs: Mapping[str, Any] | None = None,
) -> str:
    """Add a results group for the Main `source` with one Main; the absolute path of that.

    It shares the source's position tables. The spectroscopic tables are its own; a second call
    for the same group and side shares them. `completed` becomes `completed_positions` (uint8),
    `last_pixel` an attribute of the group.
    """
    storage = {"chunks": None, "compression": None}
    with h5py.File(path, "a") as file:
        origin = file[source]
        group = file.require_group(f"{origin.name}-{tool}_{index:03d}")
        group.attrs.update({"tool": tool, "num_source_dsets": 1, "source_000": origin.ref})
        _mark_progress(group, completed, last_pixel)
        _require_side(group, "Spectroscopic", spectroscopic, ("u4", "f4"), storage)
        dset = group.create_dataset(name, data=np.asarray(matrix))
        dset.attrs.update({"quantity": quantity, "units": units, **(attrs or {})})
        for table in TABLES:
            own = table.startswith("Spectroscopic")
            dset.attrs[table] = group[table].ref if own else origin.attrs[table]
        return str(dset.name)


def _mark_progress(group: h5py.Group, completed: ArrayLike | None, last_pixel: int | None) -> None:
    if completed is not None:
        group.create_dataset("completed_positions", data=np.asarray(completed, dtype=np.uint8))
    if last_pixel is not None:
        group.attrs["last_pixel"] = last_pixel


def example_4d(
    path: PathLike,
    shape: tuple[int, int, int, int] = (6, 7, 2, 16),
    chunks: tuple[int, int] | None = (7, 32),
    compression: str | None = "gzip",
) -> tuple[str, NDArray[np.float32]]:
    """Write hysteresis loops over Y, X, Cycle and Bias; the path of the Main, the N-D array.

    `chunks` are those of the matrix, cut to its shape.
    """
    height, width, cycles, steps = shape
    data = _loops(shape)
    matrix = data.reshape(height * width, cycles * steps)
    y, x = np.arange(height) * 1e-7, np.arange(width) * 5e-8
    bias = np.linspace(-5, 5, steps)
    main = write_usid(
        path,
        matrix,
        grid_side(shape[:2], ("Y", "X"), ("m", "m"), (y, x)),
        grid_side(shape[2:], ("Cycle", "Bias"), ("", "V"), (np.arange(cycles), bias)),
        quantity="Piezoresponse",
        units="pm",
        chunks=None
        if chunks is None
        else (min(chunks[0], height * width), min(chunks[1], cycles * steps)),
        compression=compression,
    )
    _describe_measurement(path)
    return main, data


def _loops(shape: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """Loops that open and shift from pixel to pixel, with noise; every value differs."""
    y, x, cycle, bias = np.meshgrid(*(np.linspace(0, 1, size) for size in shape), indexing="ij")
    signal = (20 + 10 * y) * np.tanh(6 * (bias - 0.3 - 0.4 * x) + cycle)
    noise = np.random.default_rng(4).normal(0, 0.5, shape)
    return (signal + noise).astype(np.float32)


def _describe_measurement(path: PathLike) -> None:
    written = {"timestamp": "2019_05_12-10_20_30", "machine_id": "afm.lab.example"}
    with h5py.File(path, "a") as file:
        file.attrs.update({"data_type": "BEPSData", "translator": "BEodfTranslator", **written})
        file.attrs.update({"pyUSID_version": "0.0.6.2", "sample_name": "PZT thin film"})
        file["Measurement_000"].attrs.update(
            {"VS_mode": "DC modulation mode", "IO_rate_[Hz]": 4000000, **written}
        )
        file["Measurement_000/Channel_000"].attrs.update({"channel_type": "BE", **written})
