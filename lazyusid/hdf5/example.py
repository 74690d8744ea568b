"""A small realistic h5USID file: a current-voltage map of a sample with a grain boundary."""

import os

import h5py
import numpy as np

from lazyusid.layout.tables import cycle
from lazyusid.protocols import Array

SHAPE = (48, 64, 4, 64)
"""Y, X, Cycle, Bias."""


def write_example(path: str | os.PathLike[str]) -> None:
    """Write the example: dimensions Y, X, Cycle, Bias, float32, gzip chunks of four lines."""
    y, x = np.linspace(0, 1.5e-6, SHAPE[0]), np.linspace(0, 2e-6, SHAPE[1])
    bias = 5 * np.sin(np.linspace(0, 2 * np.pi, SHAPE[3], endpoint=False))
    axes = (
        (("Y", "m", y), ("X", "m", x)),
        (("Cycle", "", np.arange(SHAPE[2])), ("Bias", "V", bias)),
    )
    with h5py.File(path, "w") as file:
        measurement = file.create_group("Measurement_000")
        measurement.attrs.update({"VS_mode": "AC modulation mode", "temperature_K": 295.0})
        channel = measurement.create_group("Channel_000")
        matrix = _current(y, x, bias).reshape(len(y) * len(x), -1)
        main = channel.create_dataset(
            "Raw_Data",
            data=matrix,
            chunks=(4 * SHAPE[1], matrix.shape[1] // 4),
            compression="gzip",
            shuffle=True,
        )
        for side, dimensions in zip(("Position", "Spectroscopic"), axes, strict=True):
            for name, table in _tables(dimensions).items():
                stored = table if side == "Position" else table.T
                dataset = channel.create_dataset(f"{side}_{name}", data=stored)
                dataset.attrs["labels"] = np.array([label for label, _, _ in dimensions], "S")
                dataset.attrs["units"] = np.array([units for _, units, _ in dimensions], "S")
                main.attrs[f"{side}_{name}"] = dataset.ref
        main.attrs.update({"quantity": "Current", "units": "nA"})


def _current(y: Array, x: Array, bias: Array) -> Array:
    """Return a diode's current, shape `SHAPE`, weaker at the boundary and with each cycle."""
    boundary = 1 - 0.8 * np.exp(-(((x[None] - 0.6 * y[:, None] - 5e-7) / 1.5e-7) ** 2))
    fatigue = 0.9 ** np.arange(SHAPE[2])
    signal = np.multiply.outer(np.multiply.outer(boundary, fatigue), np.expm1(bias / 2))
    noise = np.random.default_rng(0).normal(0, 0.02, SHAPE)
    current: Array = (signal + noise).astype(np.float32)
    return current


def _tables(dimensions: tuple[tuple[str, str, Array], ...]) -> dict[str, Array]:
    """Return index and value tables of a raster, point-major."""
    sizes = [len(values) for _, _, values in dimensions]
    points = int(np.prod(sizes))
    strides = [int(np.prod(sizes[axis + 1 :])) for axis in range(len(sizes))]
    pairs = list(zip(dimensions, strides, strict=True))
    indices = [cycle(np.arange(len(v)), stride, 0, points) for (_, _, v), stride in pairs]
    values = [cycle(np.asarray(v), stride, 0, points) for (_, _, v), stride in pairs]
    return {
        "Indices": np.stack(indices, axis=1).astype(np.uint32),
        "Values": np.stack(values, axis=1).astype(np.float32),
    }
