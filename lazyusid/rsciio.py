"""RosettaSciIO's reading protocol: a file -> one dict a signal, as HyperSpy takes them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lazyusid.api.files import UsidFile
from lazyusid.api.files import open as open_file
from lazyusid.api.main import MainDataset
from lazyusid.errors import NotMainError, UsidError, warn
from lazyusid.layout.chunking import Request
from lazyusid.layout.dimension import Dimension
from lazyusid.model import Attributes, ObjectReference, RegionReference, base, parent, text

Signal = dict[str, Any]
AxisOrder = Literal["slowest_first", "file"]


def file_reader(
    filename: str | os.PathLike[str],
    lazy: bool = False,
    dataset_path: str | Sequence[str] | None = None,
    ignore_non_uniform_dims: bool = True,
    *,
    chunks: Request = "auto",
    navigate: Literal["auto"] | bool = "auto",
    axis_order: AxisOrder = "slowest_first",
    signal: Sequence[str] | None = None,
    non_uniform_axes: bool = False,
    ignore_non_linear_dims: bool | None = None,
) -> list[Signal]:
    """Read the Mains of an h5USID file as RosettaSciIO's readers do.

    Parameters
    ----------
    filename
        The file.
    lazy
        Whether ``data`` is a dask array, which holds no file open, or numpy.
    dataset_path
        One Main or several, by absolute path or unique suffix; all by default.
    ignore_non_uniform_dims
        What to do with a dimension whose values are not uniform: warn and count 0, 1, 2, ...
        (True), or raise ValueError (False).
    chunks
        Blocks of lazy arrays, as in `lazyusid.open`.
    navigate
        ``"auto"``: position dimensions are navigation axes where both sides have real dimensions;
        of more than two spectroscopic ones only the fastest is signal. False: all are signal.
    axis_order
        ``"slowest_first"``, or ``"file"`` for the order in which the tables list the dimensions.
    signal
        Names of the signal dimensions, instead of what `navigate` would choose.
    non_uniform_axes
        Whether a dimension with strictly monotonic values that are not uniform becomes a
        ``DataAxis``; other such dimensions become counters without units, ``"<name> (step)"``.
    ignore_non_linear_dims
        Other name of `ignore_non_uniform_dims`.

    Returns
    -------
    list of dict
        ``data``, ``axes``, ``metadata`` and ``original_metadata`` of each Main and of each field
        of a compound Main. True values of all dimensions stand in
        ``original_metadata["lazyusid"]["coordinates"]``.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    SourceError
        Where it is no HDF5 file.
    NotMainError
        Where it holds no Main, or not the one asked for.
    ValueError
        Where dimensions are not uniform and this is not to be ignored.

    Warns
    -----
    UsidWarning
        For each rule that the file breaks, and for each Main that could not be read.
    """
    if not os.path.exists(filename):
        raise FileNotFoundError(f"{os.fspath(filename)}: there is no such file.")
    if axis_order not in ("slowest_first", "file") or navigate not in ("auto", True, False):
        raise ValueError(
            f"axis_order={axis_order!r}, navigate={navigate!r}: use 'slowest_first' or 'file', and "
            "'auto' or a bool."
        )
    ignore = ignore_non_uniform_dims if ignore_non_linear_dims is None else ignore_non_linear_dims
    face = _Face(os.fspath(filename), lazy, ignore, non_uniform_axes, navigate, axis_order, signal)
    return _each(_chosen(open_file(filename, chunks=chunks), dataset_path), face)


@dataclass(frozen=True)
class _Face:
    """How `file_reader` was asked to present Mains; see there."""

    filename: str
    lazy: bool
    ignore_non_uniform_dims: bool
    non_uniform_axes: bool
    navigate: Literal["auto"] | bool
    axis_order: AxisOrder
    signal: Sequence[str] | None

    def describe(self, main: MainDataset) -> Signal:
        """Return the dict of one Main."""
        if self.lazy and 0 in main.shape:
            raise ValueError("it has no elements, and a lazy signal needs some")
        chosen = self._signal_dims(main)
        order = main.file_dims if self.axis_order == "file" else main.dims
        dims = tuple(sorted(order, key=lambda name: name in chosen))
        by_name = {axis.name: axis for axis in main.axes}
        navigable = self.navigate is not False and 0 < len(chosen) < len(dims)
        axes = [
            {
                **self._axis(by_name[name]),
                "index_in_array": index,
                "navigate": navigable and name not in chosen,
            }
            for index, name in enumerate(dims)
        ]
        return {
            "data": main.ordered(dims) if self.lazy else main.read_ordered(dims),
            "axes": axes,
            "metadata": _metadata(main, self.filename),
            "original_metadata": _original_metadata(main),
        }

    def _signal_dims(self, main: MainDataset) -> set[str]:
        """Return the names of the signal dimensions."""
        if self.signal is not None:
            wanted = {self.signal} if isinstance(self.signal, str) else set(self.signal)
            unknown = wanted - set(main.dims)
            if unknown:
                raise ValueError(
                    f"{main.path}: no dimension {sorted(unknown)}; there are {list(main.dims)}."
                )
            return wanted
        position = [axis.name for axis in main.axes if axis.kind == "position"]
        spectroscopic = [axis.name for axis in main.axes if axis.kind == "spectroscopic"]
        if self.navigate is False or not position or not spectroscopic:
            return set(main.dims)
        return set(spectroscopic if len(spectroscopic) <= MAX_SIGNAL_DIMS else spectroscopic[-1:])

    def _axis(self, axis: Dimension) -> Signal:
        described = {"name": axis.name, "units": axis.units, "size": axis.size}
        if axis.line is not None and not _is_dependent(axis):
            offset, scale = axis.line
            return {**described, "offset": offset, "scale": scale}
        if self.non_uniform_axes:
            if _is_monotonic(axis):
                return {**described, "_type": "DataAxis", "axis": axis.values}
            return {**described, "name": f"{axis.name} (step)", "units": "", **_COUNTER}
        if not self.ignore_non_uniform_dims:
            raise ValueError(
                f"Cannot load the dataset: dimension {axis.name} was varied non-uniformly. Pass "
                "ignore_non_uniform_dims=True to ignore this."
            )
        warn(
            f"Ignoring the non-uniformity of dimension {axis.name}; its values are in "
            "original_metadata['lazyusid']['coordinates']."
        )
        return {**described, **_COUNTER}


MAX_SIGNAL_DIMS = 2
_COUNTER = {"offset": 0.0, "scale": 1.0}


def _is_dependent(axis: Dimension) -> bool:
    """Return whether the values of a dimension change along others too."""
    return any(len(coordinate.dims) > 1 for coordinate in axis.coordinates)


def _is_monotonic(axis: Dimension) -> bool:
    steps = np.diff(axis.values)
    return not axis.coordinates and bool((steps > 0).all() or (steps < 0).all())


def _chosen(file: UsidFile, dataset_path: str | Sequence[str] | None) -> list[MainDataset]:
    """Return the Mains asked for, a compound one as its fields."""
    if dataset_path is None:
        mains = list(file.values())
        if not mains:
            reasons = "; ".join(map(str, file.findings)) or "nothing in it looks like one"
            raise NotMainError(f"{file.path}: holds no Main: {reasons}.", "/", "main-name")
    else:
        paths = [dataset_path] if isinstance(dataset_path, str) else dataset_path
        if not isinstance(paths, list | tuple) or not all(isinstance(p, str) for p in paths):
            raise TypeError(f"dataset_path={paths!r}: use a string or a list of strings.")
        mains = [_at(file, path) for path in paths]
    return [part for main in mains for part in _parts(main)]


def _at(file: UsidFile, path: str) -> MainDataset:
    """Return the Main at a path, which as in h5py may lack its leading slash."""
    absolute = "/" + path.lstrip("/")
    return file[absolute] if absolute in list(file) else file[path]


def _parts(main: MainDataset) -> list[MainDataset]:
    return [main.field(name) for name in main.fields] or [main]


def _each(mains: Sequence[MainDataset], face: _Face) -> list[Signal]:
    """Describe every Main; one that fails is a warning, unless all do."""
    described: list[Signal] = []
    failed: list[tuple[MainDataset, Exception]] = []
    for main in mains:
        try:
            described.append(face.describe(main))
        except (UsidError, OSError, ValueError, MemoryError) as error:
            failed.append((main, error))
    if failed and not described:
        raise failed[0][1]
    for main, why in failed:
        warn(f"{main.file}:{main.path} was not loaded: {why}")
    return described


def _metadata(main: MainDataset, filename: str) -> Signal:
    units = f" ({main.units})" if main.units else ""
    return {
        "General": {"original_filename": filename, "title": main.name},
        "Signal": {"signal_type": "", "quantity": f"{main.quantity}{units}"},
    }


def _original_metadata(main: MainDataset) -> Signal:
    """Return RosettaSciIO's six keys, and all else that is known under a seventh."""
    return {
        "quantity": main.quantity,
        "units": main.units,
        "dataset_path": main.path,
        "original_file_type": "USID HDF5",
        "pyUSID_version": _version(main),
        "parameters": _parameters(main),
        "lazyusid": {
            "root": _plain(main.metadata["/"]),
            "groups": {path: _plain(attrs) for path, attrs in main.metadata.items() if path != "/"},
            "attributes": _plain(main.attrs),
            "tool": main.tool,
            "source": main.source.path if main.source else "",
            "layout": str(main.layout),
            "complete": main.complete,
            "sides": {axis.name: axis.kind for axis in main.axes},
            "coordinates": {**_placeholders(main), **main.coords},
            "coordinate_dims": {name: list(dims) for name, dims in main.coord_dims.items()},
            "coordinate_units": dict(main.coord_units),
        },
    }


def _placeholders(main: MainDataset) -> Signal:
    """Return name -> value of the dimensions that have no axis."""
    return {axis.name: axis.values for axis in main.dimensions if axis not in main.axes}


def _version(main: MainDataset) -> str:
    """Return the pyUSID version that the nearest of Main, its groups and root names, or ""."""
    nearest_last = [*main.metadata.values(), main.attrs]
    named = [attrs["pyUSID_version"] for attrs in nearest_last if "pyUSID_version" in attrs]
    return text(named[-1]) if named else ""


def _parameters(main: MainDataset) -> Signal:
    """Return the Channel's attributes updated by the Measurement's; {} outside a Channel."""
    channel = parent(main.path)
    if "Channel" not in base(channel):
        return {}
    measurement = parent(channel)
    further = main.metadata[measurement] if "Measurement" in base(measurement) else {}
    return {**_plain(main.metadata[channel]), **_plain(further)}


def _plain(attrs: Attributes) -> Signal:
    """Return attributes as plain scalars, text and lists of them."""
    return {name: _plain_value(value) for name, value in attrs.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return _plain_value(value.tolist())
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, ObjectReference | RegionReference):
        return value.path
    return [_plain_value(part) for part in value] if isinstance(value, list | tuple) else value
