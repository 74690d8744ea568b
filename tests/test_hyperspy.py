"""The files as HyperSpy's users load them: `hs.load(path, file_format=lazyusid)`."""

from pathlib import Path

import dask
import h5py
import hyperspy.api as hs
import numpy as np
import pytest

import lazyusid
from lazyusid import UsidWarning
from lazyusid.hdf5.handles import lent_count
from tests.builders import (
    dependent_values,
    example_4d,
    grid_side,
    placeholder_side,
    scattered_side,
    write_results,
    write_usid,
)

CHANNEL = "/Measurement_000/Channel_000"
RAW = f"{CHANNEL}/Raw_Data"

lazy_or_not = pytest.mark.parametrize("lazy", [True, False], ids=["lazy", "eager"])


@pytest.fixture(autouse=True)
def _quiet_and_closed(monkeypatch):
    monkeypatch.setattr(hs.preferences.General, "show_progressbar", False)
    yield
    assert lent_count() == 0


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "scan.h5")


def load(path, **options):
    return hs.load(path, file_format=lazyusid, **options)


def positions(**options):
    return grid_side((3, 4), ("Y", "X"), ("nm", "um"), **options)


def bias(values=range(5)):
    return grid_side((len(values),), ("Bias",), ("V",), [values])


def write(path, position, spectroscopic, dtype="f4", **options):
    """Write a Main whose elements all differ; its matrix."""
    shape = position.points, spectroscopic.points
    matrix = np.arange(shape[0] * shape[1]).reshape(shape).astype(dtype)
    if matrix.dtype.kind == "c":
        matrix += 1j * matrix[::-1]
    write_usid(path, matrix, position, spectroscopic, **options)
    return matrix


def computed(signal):
    """The data of a signal, HyperSpy's way."""
    if signal._lazy:
        assert lent_count() == 0
        signal.compute()
    return signal.data


def sizes(axes):
    return {axis.name: axis.size for axis in axes}


# ---------------------------------------------------------------------------- classes and axes

TWO = grid_side((2, 5), ("Cycle", "Bias"), ("", "V"))
FOUR = grid_side((2, 2, 3, 5), ("Field", "Cycle", "DC", "AC"))

CLASSES = {
    # position, spectroscopic, class, navigation shape and signal shape as HyperSpy says them
    "map of spectra": (positions(), bias(), "Signal1D", (4, 3), (5,)),
    "map of two dimensions": (positions(), TWO, "Signal2D", (4, 3), (5, 2)),
    "map of four dimensions": (positions(), FOUR, "Signal1D", (3, 2, 2, 4, 3), (5,)),
    "image": (positions(), placeholder_side(), "Signal2D", (), (4, 3)),
    "spectrum": (placeholder_side(), bias(), "Signal1D", (), (5,)),
    "one spectrum of two dimensions": (placeholder_side(), TWO, "Signal2D", (), (5, 2)),
    "one number": (placeholder_side("X"), placeholder_side("Bias"), "Signal1D", (), (1,)),
}


@lazy_or_not
@pytest.mark.parametrize("case", CLASSES)
def test_signals_have_the_class_and_the_shapes_of_their_dimensions(path, case, lazy):
    position, spectroscopic, name, navigation, signal_shape = CLASSES[case]
    matrix = write(path, position, spectroscopic)
    signal = load(path, lazy=lazy)
    assert type(signal).__name__ == ("Lazy" if lazy else "") + name
    assert signal.axes_manager.navigation_shape == navigation
    assert signal.axes_manager.signal_shape == signal_shape
    np.testing.assert_array_equal(computed(signal).ravel(), matrix.ravel())


@lazy_or_not
def test_axes_carry_name_units_scale_and_offset(path, lazy):
    y, x = [5, 3, 1], [0, 0.5, 1, 1.5]
    write(path, positions(values=[y, x]), bias([-4, -2, 0, 2, 4]))
    manager = load(path, lazy=lazy).axes_manager
    assert [axis.name for axis in manager.navigation_axes] == ["X", "Y"]
    assert [axis.name for axis in manager.signal_axes] == ["Bias"]
    for name, units, values in (("Y", "nm", y), ("X", "um", x), ("Bias", "V", [-4, -2, 0, 2, 4])):
        assert manager[name].units == units
        assert manager[name].is_uniform
        np.testing.assert_allclose(manager[name].axis, values, atol=1e-6)


@lazy_or_not
def test_a_spectrum_stands_at_its_pixel(path, lazy):
    _, expected = example_4d(path)
    signal = load(path, lazy=lazy)
    assert sizes(signal.axes_manager.navigation_axes) == {"X": 7, "Y": 6}
    pixel = signal.inav[5, 2]
    np.testing.assert_array_equal(computed(pixel), expected[2, 5])
    image = signal.isig[3, 1].T
    np.testing.assert_array_equal(computed(image), expected[:, :, 1, 3])


def test_lazy_and_eager_signals_are_equal(path):
    _, expected = example_4d(path)
    lazy, eager = load(path, lazy=True), load(path)
    assert lazy.data.dtype == eager.data.dtype == expected.dtype
    np.testing.assert_array_equal(computed(lazy), eager.data)
    np.testing.assert_array_equal(eager.data, expected)
    assert lazy.axes_manager.as_dictionary() == eager.axes_manager.as_dictionary()


@lazy_or_not
@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_complex_mains_are_complex_signals(path, dtype, lazy):
    matrix = write(path, positions(), bias(), dtype=dtype)
    signal = load(path, lazy=lazy)
    assert isinstance(signal, hs.signals.ComplexSignal)
    assert type(signal).__name__ == ("Lazy" if lazy else "") + "ComplexSignal1D"
    np.testing.assert_allclose(computed(signal.amplitude).reshape(12, 5), abs(matrix), rtol=1e-6)


@lazy_or_not
def test_named_signal_dimensions_make_maps_of_images(path, lazy):
    matrix = write(path, positions(), TWO)
    signal = load(path, lazy=lazy, signal=["Y", "X"])
    assert type(signal).__name__ == ("Lazy" if lazy else "") + "Signal2D"
    assert sizes(signal.axes_manager.navigation_axes) == {"Bias": 5, "Cycle": 2}
    assert sizes(signal.axes_manager.signal_axes) == {"X": 4, "Y": 3}
    np.testing.assert_array_equal(
        computed(signal.inav[3, 1]), matrix.reshape(3, 4, 2, 5)[:, :, 1, 3]
    )


@lazy_or_not
def test_without_navigate_all_axes_are_signal(path, lazy):
    write(path, positions(), bias())
    manager = load(path, lazy=lazy, navigate=False).axes_manager
    assert (manager.navigation_dimension, manager.signal_dimension) == (0, 3)


@lazy_or_not
def test_old_files_are_upright(path, lazy):
    matrix = write(path, positions(order="fastest_first"), placeholder_side())
    signal = load(path, lazy=lazy)
    assert sizes(signal.axes_manager.signal_axes) == {"X": 4, "Y": 3}
    np.testing.assert_array_equal(computed(signal), matrix.reshape(3, 4))


@lazy_or_not
def test_scattered_points_are_a_list_of_spectra(path, lazy):
    matrix = write(path, scattered_side(6, 2, np.random.default_rng(0), labels=("X", "Y")), bias())
    signal = load(path, lazy=lazy)
    assert signal.axes_manager.navigation_shape == (6,)
    np.testing.assert_array_equal(computed(signal), matrix)
    places = signal.original_metadata.lazyusid.coordinates
    assert places.X.shape == places.Y.shape == (6,)


@lazy_or_not
def test_a_truncated_scan_is_nan_where_it_ended(path, lazy):
    write(path, positions(scan="partial"), bias(), dtype="i2")
    data = computed(load(path, lazy=lazy))
    assert data.dtype == np.float32
    assert np.isnan(data[2, 2:]).all()
    assert np.count_nonzero(np.isnan(data)) == 10


# ---------------------------------------------------------------------------- non-uniform axes


@lazy_or_not
@pytest.mark.parametrize("values", [[0, 1, 4, 9, 16], [9, 4, 2, 1, 0.5]])
def test_monotonic_values_are_a_data_axis(path, values, lazy):
    matrix = write(path, positions(), bias(values))
    signal = load(path, lazy=lazy, non_uniform_axes=True)
    axis = signal.axes_manager["Bias"]
    assert type(axis).__name__ == "DataAxis"
    assert (axis.is_uniform, axis.units, axis.size) == (False, "V", 5)
    np.testing.assert_allclose(axis.axis, values)
    np.testing.assert_array_equal(computed(signal).reshape(12, 5), matrix)


@lazy_or_not
def test_a_data_axis_may_be_navigated(path, lazy):
    stage = grid_side((3, 4), ("Y", "X"), ("nm", "nm"), [[0, 1, 5], range(4)])
    matrix = write(path, stage, bias())
    signal = load(path, lazy=lazy, non_uniform_axes=True)
    assert signal.axes_manager.navigation_shape == (4, 3)
    assert signal.axes_manager["Y"].axis.tolist() == [0, 1, 5]
    np.testing.assert_array_equal(computed(signal.inav[1, 2]), matrix[9])


@lazy_or_not
def test_values_that_hyperspy_cannot_hold_are_counted(path, lazy):
    sweep = dependent_values((2, 5), 1, [0])
    write(path, positions(), grid_side((2, 5), ("Cycle", "Bias"), ("", "V"), [range(2), sweep]))
    signal = load(path, lazy=lazy, non_uniform_axes=True)
    axis = signal.axes_manager["Bias (step)"]
    assert (axis.is_uniform, axis.units, axis.scale) == (True, "", 1)
    np.testing.assert_array_equal(signal.original_metadata.lazyusid.coordinates.Bias, sweep)


@lazy_or_not
def test_non_uniform_values_are_ignored_with_a_warning(path, lazy):
    write(path, positions(), bias([0, 1, 4, 9, 16]))
    with pytest.warns(UsidWarning, match="Bias"):
        signal = load(path, lazy=lazy)
    assert signal.axes_manager["Bias"].scale == 1
    with pytest.raises(ValueError, match="Bias"):
        load(path, lazy=lazy, ignore_non_uniform_dims=False)


# ---------------------------------------------------------------------------- several signals


@lazy_or_not
def test_several_mains_are_a_list(path, lazy):
    other = {"group": "/Measurement_000/Channel_001", "name": "Topography", "mode": "a"}
    write(path, positions(), bias(), quantity="Current")
    write(path, positions(), placeholder_side(), quantity="Height", **other)
    signals = load(path, lazy=lazy)
    assert [type(signal).__name__ for signal in signals] == [
        ("Lazy" if lazy else "") + name for name in ("Signal1D", "Signal2D")
    ]
    assert [signal.metadata.General.title for signal in signals] == ["Raw_Data", "Topography"]
    assert [signal.original_metadata.quantity for signal in signals] == ["Current", "Height"]


@lazy_or_not
def test_one_of_several_mains_is_a_signal(path, lazy):
    write(path, positions(), bias())
    write(path, positions(), bias(), group="/Measurement_001/Channel_000", mode="a")
    chosen = load(path, lazy=lazy, dataset_path="/Measurement_001/Channel_000/Raw_Data")
    assert chosen.original_metadata.dataset_path == "/Measurement_001/Channel_000/Raw_Data"


@lazy_or_not
def test_compound_components_are_a_list(path, lazy):
    matrix = np.zeros((12, 5), [("Amplitude [V]", "f4"), ("Phase [rad]", "f8")])
    matrix["Amplitude [V]"], matrix["Phase [rad]"] = 1, np.arange(60).reshape(12, 5)
    write_usid(path, matrix, positions(), bias())
    amplitude, phase = load(path, lazy=lazy)
    assert amplitude.metadata.Signal.quantity == "Amplitude (V)"
    assert (computed(amplitude) == 1).all()
    np.testing.assert_array_equal(computed(phase).ravel(), np.arange(60))


@lazy_or_not
def test_several_files_are_loaded_at_once(tmp_path, lazy):
    for index in range(3):
        write(tmp_path / f"scan_{index}.h5", positions(), bias())
    signals = load(str(tmp_path / "scan_*.h5"), lazy=lazy)
    assert [type(signal).__name__ for signal in signals] == [
        ("Lazy" if lazy else "") + "Signal1D"
    ] * 3


@lazy_or_not
def test_files_are_stacked(tmp_path, lazy):
    for index in range(3):
        write(tmp_path / f"scan_{index}.h5", positions(), bias())
    stack = load(str(tmp_path / "scan_*.h5"), lazy=lazy, stack=True)
    assert stack.axes_manager.navigation_shape == (4, 3, 3)
    assert computed(stack).shape == (3, 3, 4, 5)


@lazy_or_not
def test_a_path_object_is_loaded(path, lazy):
    matrix = write(path, positions(), bias())
    np.testing.assert_array_equal(computed(load(Path(path), lazy=lazy)).reshape(12, 5), matrix)


@lazy_or_not
@pytest.mark.filterwarnings("ignore::lazyusid.UsidWarning")
def test_an_empty_main_does_not_cost_the_others(path, lazy):
    matrix = write(path, positions(), bias())
    nowhere = grid_side((3,), ("X",), keep=0)
    write(path, nowhere, bias(), group="/Measurement_001/Channel_000", mode="a")
    signals = load(path, lazy=lazy)
    whole = signals[0] if isinstance(signals, list) else signals
    np.testing.assert_array_equal(computed(whole).reshape(12, 5), matrix)


# ---------------------------------------------------------------------------- metadata


@lazy_or_not
def test_metadata_are_reachable(path, lazy):
    example_4d(path)
    signal = load(path, lazy=lazy)
    assert signal.metadata.General.title == "Raw_Data"
    assert signal.metadata.Signal.quantity == "Piezoresponse (pm)"
    found = signal.original_metadata
    assert (found.quantity, found.units, found.dataset_path) == ("Piezoresponse", "pm", RAW)
    assert found.pyUSID_version == "0.0.6.2"
    assert found.parameters.VS_mode == "DC modulation mode"
    assert found.lazyusid.root.sample_name == "PZT thin film"
    assert found.lazyusid.sides.as_dictionary() == {
        "Y": "position",
        "X": "position",
        "Cycle": "spectroscopic",
        "Bias": "spectroscopic",
    }


@lazy_or_not
def test_signals_can_be_saved_in_hyperspys_own_format(path, tmp_path, lazy):
    _, expected = example_4d(path)
    write_results(path, RAW, matrix=np.ones((42, 3)), spectroscopic=grid_side((3,), ("Order",)))
    raw, fit = load(path, lazy=lazy)
    for signal in (raw, fit):
        signal.save(tmp_path / f"{signal.metadata.General.title}.hspy")
    again = hs.load(tmp_path / "Raw_Data.hspy")
    np.testing.assert_array_equal(again.data, expected)
    assert again.original_metadata.parameters.VS_mode == "DC modulation mode"
    fit_again = hs.load(tmp_path / "Fit.hspy")
    assert fit_again.original_metadata.lazyusid.tool == "SHO_Fit"


# ---------------------------------------------------------------------------- the file stays free


def test_the_file_can_be_appended_to_while_a_lazy_signal_lives(path):
    _, expected = example_4d(path)
    signal = load(path, lazy=True)
    assert lent_count() == 0
    for index in range(2):
        write_results(
            path,
            RAW,
            matrix=np.ones((42, 3)),
            spectroscopic=grid_side((3,), ("Order",)),
            index=index,
        )
        np.testing.assert_array_equal(computed(signal.inav[2, 3]), expected[3, 2])
    with h5py.File(path, "r+") as file:
        file["comment"] = "appended"
    np.testing.assert_array_equal(computed(signal), expected)


def test_the_file_can_be_removed_after_an_eager_load(path):
    _, expected = example_4d(path)
    signal = load(path)
    Path(path).unlink()
    np.testing.assert_array_equal(signal.data, expected)


def test_close_file_is_never_needed_and_does_no_harm(path):
    _, expected = example_4d(path)
    signal = load(path, lazy=True)
    signal.close_file()
    np.testing.assert_array_equal(computed(signal), expected)


# ---------------------------------------------------------------------------- work


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
@pytest.mark.parametrize("chunks", ["auto", "spectra", {"X": 3, "Y": 2}], ids=str)
def test_map_over_a_lazy_signal_gives_the_right_values(path, scheduler, chunks):
    _, expected = example_4d(path)
    signal = load(path, lazy=True, chunks=chunks)
    with dask.config.set(scheduler=scheduler):
        mapped = signal.map(lambda image: image.mean(axis=0) * 2, inplace=False)
        found = computed(mapped)
    np.testing.assert_allclose(found, expected.mean(axis=2) * 2, rtol=1e-5)


def test_map_over_a_scan_in_another_order_gives_the_right_values(path):
    side = positions(scan="serpentine")
    matrix = write(path, side, bias(), chunks=(2, 5), compression="gzip")
    signal = load(path, lazy=True, chunks={"X": 2, "Y": 1})
    found = computed(signal.map(np.cumsum, inplace=False))
    y, x = side.indices.T
    np.testing.assert_allclose(found[y, x], np.cumsum(matrix, axis=1))


def test_lazy_reductions_and_arithmetic_give_the_right_values(path):
    _, expected = example_4d(path)
    signal = load(path, lazy=True)
    np.testing.assert_allclose(
        computed(signal.mean(axis=("X", "Y"))), expected.mean(axis=(0, 1)), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(computed(signal.max("Bias") - 1), expected.max(axis=3) - 1)


def test_many_threads_read_at_once(path):
    _, expected = example_4d(path, shape=(16, 16, 2, 16), chunks=(5, 7))
    signal = load(path, lazy=True, chunks={"X": 2, "Y": 2})
    with dask.config.set(scheduler="threads", num_workers=16):
        np.testing.assert_array_equal(computed(signal), expected)
