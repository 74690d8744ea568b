"""RosettaSciIO's reading protocol, sentence by sentence."""

import pickle
import warnings
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

from lazyusid import NotMainError, SourceError, UsidWarning, file_reader
from lazyusid.hdf5.handles import lent_count
from tests import oracle
from tests.builders import (
    TABLES,
    Side,
    dependent_values,
    example_4d,
    grid_side,
    link_tables,
    placeholder_side,
    random_side,
    scattered_side,
    take_points,
    write_results,
    write_usid,
)

CHANNEL = "/Measurement_000/Channel_000"
RAW = f"{CHANNEL}/Raw_Data"
SIX_KEYS = {
    "quantity",
    "units",
    "dataset_path",
    "original_file_type",
    "pyUSID_version",
    "parameters",
}
UNEVEN = [0.0, 1.0, 4.0, 9.0]


@pytest.fixture(autouse=True)
def _nothing_stays_open():
    assert lent_count() == 0
    yield
    assert lent_count() == 0


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "scan.h5")


def positions(order="slowest_first", **options):
    return grid_side((3, 4), ("Y", "X"), ("nm", "um"), order=order, **options)


def spectra(order="slowest_first", **options):
    return grid_side((2, 5), ("Cycle", "Bias"), ("", "V"), order=order, **options)


def bias(values=range(5), **options):
    return grid_side((len(values),), ("Bias",), ("V",), [values], **options)


def write(path, position, spectroscopic, dtype="f8", **options):
    """Write a Main whose elements all differ; the matrix."""
    matrix = np.arange(position.points * spectroscopic.points).astype(dtype)
    matrix = matrix.reshape(position.points, spectroscopic.points)
    write_usid(path, matrix, position, spectroscopic, **options)
    return matrix


def load(path, **options):
    """Load the only signal of a file."""
    (signal,) = file_reader(path, **options)
    return signal


def names(signal):
    return [axis["name"] for axis in signal["axes"]]


def navigation(signal):
    return [axis["name"] for axis in signal["axes"] if axis["navigate"]]


def own(signal):
    return signal["original_metadata"]["lazyusid"]


# ---------------------------------------------------------------------------- keys and axes


def test_a_signal_has_data_axes_metadata_and_original_metadata(path):
    write(path, positions(), spectra())
    assert set(load(path)) == {"data", "axes", "metadata", "original_metadata"}


def test_an_axis_has_the_keys_of_the_protocol(path):
    write(path, positions(), spectra())
    expected = {"name", "units", "size", "offset", "scale", "index_in_array", "navigate"}
    assert [set(axis) for axis in load(path)["axes"]] == [expected] * 4


def test_axes_describe_the_array_axis_by_axis(path):
    write(
        path,
        grid_side((3, 4), ("Y", "X"), ("nm", "um"), [[5, 3, 1], [0, 0.5, 1, 1.5]]),
        bias([-2, -1, 0, 1, 2]),
    )
    signal = load(path)
    assert [axis["index_in_array"] for axis in signal["axes"]] == [0, 1, 2]
    assert tuple(axis["size"] for axis in signal["axes"]) == signal["data"].shape == (3, 4, 5)
    assert names(signal) == ["Y", "X", "Bias"]
    assert [axis["units"] for axis in signal["axes"]] == ["nm", "um", "V"]
    np.testing.assert_allclose(
        [(axis["offset"], axis["scale"]) for axis in signal["axes"]],
        [(5, -2), (0, 0.5), (-2, 1)],
        atol=1e-12,
    )


def test_axes_are_plain_python(path):
    write(path, positions(), spectra())
    kinds = {"name": str, "units": str, "size": int, "offset": float, "scale": float}
    kinds |= {"index_in_array": int, "navigate": bool}
    for axis in load(path)["axes"]:
        assert {key: type(value) for key, value in axis.items()} == kinds


def test_data_is_numpy_and_lazily_dask_and_the_same(path):
    _, expected = example_4d(path)
    eager, lazy = load(path)["data"], load(path, lazy=True)["data"]
    assert type(eager) is np.ndarray
    assert type(lazy).__module__.startswith("dask.array")
    assert eager.dtype == lazy.dtype == np.float32
    np.testing.assert_array_equal(eager, expected)
    np.testing.assert_array_equal(lazy.compute(), expected)


def test_a_lazy_array_is_one_layer_that_pickles(path):
    _, expected = example_4d(path)
    lazy = load(path, lazy=True, chunks={"X": 2, "Bias": 4})["data"]
    assert len(lazy.dask.layers) == 1
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(lazy)).compute(), expected)


@pytest.mark.parametrize(
    ("chunks", "blocks"),
    [({"X": 2}, (None, (2, 2), None, None)), ("spectra", (None, None, (2,), (5,)))],
)
def test_chunks_are_those_of_open(path, chunks, blocks):
    write(path, positions(), spectra(), chunks=(4, 5))
    found = load(path, lazy=True, chunks=chunks)["data"].chunks
    assert all(want in (None, have) for want, have in zip(blocks, found, strict=True))


def test_there_is_one_signal_for_each_main_in_the_order_of_paths(path):
    for group in ("/Measurement_001/Channel_000", CHANNEL, "/Measurement_000/Channel_001"):
        write(path, positions(), bias(), group=group, mode="a")
    found = [signal["original_metadata"]["dataset_path"] for signal in file_reader(path)]
    assert found == [
        RAW,
        "/Measurement_000/Channel_001/Raw_Data",
        "/Measurement_001/Channel_000/Raw_Data",
    ]


def test_metadata_names_file_dataset_and_quantity(path):
    write(path, positions(), bias(), quantity="Phase", units="rad")
    assert load(path)["metadata"] == {
        "General": {"original_filename": path, "title": "Raw_Data"},
        "Signal": {"signal_type": "", "quantity": "Phase (rad)"},
    }


def test_a_quantity_without_units_has_no_empty_parentheses(path):
    write(path, positions(), bias(), quantity="Counts", units="")
    assert load(path)["metadata"]["Signal"]["quantity"] == "Counts"


# ---------------------------------------------------------------------------- navigation

SIDES = {
    "map of spectra": (positions(), bias(), ["Y", "X"]),
    "map of two dimensions": (positions(), spectra(), ["Y", "X"]),
    "line of spectra": (grid_side((3,), ("X",)), bias(), ["X"]),
    "scattered points": (scattered_side(6, 2, np.random.default_rng(0)), bias(), ["position"]),
    "image": (positions(), placeholder_side(), []),
    "line": (grid_side((3,), ("X",)), placeholder_side(), []),
    "one spectrum": (placeholder_side(), bias(), []),
    "one spectrum of two dimensions": (placeholder_side(), spectra(), []),
    "one number": (placeholder_side("X"), placeholder_side("Bias"), []),
}


@pytest.mark.parametrize("case", SIDES)
def test_positions_are_navigated_where_both_sides_are_real(path, case):
    position, spectroscopic, expected = SIDES[case]
    write(path, position, spectroscopic)
    assert navigation(load(path)) == expected


@pytest.mark.parametrize("case", SIDES)
def test_nothing_is_navigated_without_navigate(path, case):
    write(path, *SIDES[case][:2])
    signal = load(path, navigate=False)
    assert navigation(signal) == []
    assert names(signal) == names(load(path))


def four_spectroscopic(order="slowest_first"):
    return grid_side((1, 2, 3, 4), ("Field", "Cycle", "DC", "AC"), order=order)


def test_of_more_than_two_spectroscopic_dimensions_only_the_fastest_is_signal(path):
    matrix = write(path, positions(), four_spectroscopic())
    signal = load(path)
    assert names(signal) == ["Y", "X", "Field", "Cycle", "DC", "AC"]
    assert navigation(signal) == ["Y", "X", "Field", "Cycle", "DC"]
    np.testing.assert_array_equal(signal["data"], matrix.reshape(3, 4, 1, 2, 3, 4))


def test_the_fastest_is_signal_and_last_also_where_the_file_lists_it_first(path):
    matrix = write(
        path, positions("fastest_first"), four_spectroscopic("fastest_first"), dtype="f4"
    )
    signal = load(path, axis_order="file")
    assert names(signal) == ["X", "Y", "DC", "Cycle", "Field", "AC"]
    assert navigation(signal) == names(signal)[:-1]
    expected = matrix.reshape(3, 4, 1, 2, 3, 4).transpose(1, 0, 4, 3, 2, 5)
    np.testing.assert_array_equal(signal["data"], expected)


def test_three_spectroscopic_dimensions_at_one_point_are_all_signal(path):
    write(path, placeholder_side(), four_spectroscopic())
    assert navigation(load(path)) == []


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("axis_order", ["slowest_first", "file"])
@pytest.mark.parametrize("order", ["slowest_first", "fastest_first"])
@pytest.mark.parametrize("chosen", [["Cycle"], ["Y"], ["X", "Bias"], ["Bias", "X"], ["Cycle", "Y"]])
def test_named_signal_dimensions_come_last_and_the_others_are_navigated(
    path, chosen, order, axis_order, lazy
):
    matrix = write(path, positions(order), spectra(order))
    signal = load(path, signal=chosen, axis_order=axis_order, lazy=lazy)
    dims = ["Y", "X", "Cycle", "Bias"]
    listed = ["X", "Y", "Bias", "Cycle"]
    before = listed if (order, axis_order) == ("fastest_first", "file") else dims
    expected = [name for name in before if name not in chosen]
    expected += [name for name in before if name in chosen]
    assert names(signal) == expected
    assert navigation(signal) == expected[: -len(chosen)]
    assert [axis["index_in_array"] for axis in signal["axes"]] == [0, 1, 2, 3]
    assert [axis["size"] for axis in signal["axes"]] == list(signal["data"].shape)
    turned = matrix.reshape(3, 4, 2, 5).transpose([dims.index(name) for name in expected])
    np.testing.assert_array_equal(np.asarray(signal["data"]), turned)


def test_axes_move_with_their_scale_and_units(path):
    y, x = [0, 2, 4], [1, 4, 7, 10]
    write(path, grid_side((3, 4), ("Y", "X"), ("nm", "um"), [y, x]), bias([5, 6, 7, 8, 9]))
    axes = load(path, signal=["Y"])["axes"]
    found = [(axis["name"], axis["units"], round(axis["offset"], 9)) for axis in axes]
    assert found == [("X", "um", 1.0), ("Bias", "V", 5.0), ("Y", "nm", 0.0)]
    np.testing.assert_allclose([axis["scale"] for axis in axes], [3, 1, 2])


def test_all_dimensions_may_be_signal(path):
    write(path, positions(), bias())
    assert navigation(load(path, signal=["Y", "X", "Bias"])) == []


def test_a_signal_dimension_of_an_image_leaves_the_others_to_navigation(path):
    write(path, positions(), placeholder_side())
    signal = load(path, signal=["Y"])
    assert (names(signal), navigation(signal)) == (["X", "Y"], ["X"])


def test_an_unknown_signal_dimension_is_an_error_that_lists_those_there_are(path):
    write(path, positions(), spectra())
    with pytest.raises(ValueError, match=r"'Frequency'.*'Y', 'X', 'Cycle', 'Bias'"):
        file_reader(path, signal=["Bias", "Frequency"])


# ---------------------------------------------------------------------------- order of axes


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("scan", ["raster", "serpentine", "shuffled", "partial"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_order_of_the_file_is_a_transpose_of_slowest_first(path, order, scan, lazy):
    labels = ["Z", "Y", "X"]
    turned = order == (2, 1, 0)
    write(
        path,
        grid_side((2, 3, 4), labels, order=order, scan=scan),
        spectra("fastest_first" if turned else "slowest_first"),
        chunks=(5, 4),
    )
    slowest_first = load(path)
    signal = load(path, axis_order="file", navigate=False, lazy=lazy)
    listed = ["Bias", "Cycle"] if turned else ["Cycle", "Bias"]
    assert names(signal) == [labels[column] for column in order] + listed
    np.testing.assert_array_equal(
        np.asarray(signal["data"]),
        slowest_first["data"].transpose(list(map(names(slowest_first).index, names(signal)))),
    )


@pytest.mark.parametrize("order", ["slowest_first", "fastest_first"])
def test_slowest_first_is_the_same_whatever_the_file_lists_first(path, order):
    matrix = write(path, positions(order), spectra(order))
    signal = load(path)
    assert names(signal) == ["Y", "X", "Cycle", "Bias"]
    np.testing.assert_array_equal(signal["data"], matrix.reshape(3, 4, 2, 5))


@pytest.mark.parametrize("axis_order", ["slowest_first", "file"])
@pytest.mark.parametrize("order", ["slowest_first", "fastest_first"])
def test_any_order_is_one_lazy_layer(path, order, axis_order):
    write(path, positions(order), spectra(order))
    for chosen in (None, ["Cycle"], ["Y"]):
        lazy = load(path, axis_order=axis_order, signal=chosen, lazy=True)["data"]
        assert len(lazy.dask.layers) == 1


@pytest.mark.parametrize("axis_order", ["slowest_first", "file"])
def test_blocks_move_with_their_axes(path, axis_order):
    write(path, positions("fastest_first"), spectra("fastest_first"))
    signal = load(path, axis_order=axis_order, chunks={"X": 3, "Bias": 2}, lazy=True)
    blocks = dict(zip(names(signal), signal["data"].chunks, strict=True))
    assert (blocks["X"], blocks["Bias"]) == ((3, 1), (2, 2, 1))


@pytest.mark.parametrize("axis_order", ["slowest_first", "file"])
def test_images_of_old_files_are_not_transposed_unless_asked_for(path, axis_order):
    matrix = write(path, positions("fastest_first"), placeholder_side())
    image = load(path, axis_order=axis_order)["data"]
    expected = matrix.reshape(3, 4)
    np.testing.assert_array_equal(image, expected if axis_order == "slowest_first" else expected.T)


def test_scattered_points_have_one_order(path):
    matrix = write(path, scattered_side(6, 2, np.random.default_rng(0)), spectra("fastest_first"))
    signal = load(path, axis_order="file")
    assert names(signal) == ["position", "Bias", "Cycle"]
    np.testing.assert_array_equal(signal["data"], matrix.reshape(6, 2, 5).transpose(0, 2, 1))


def test_a_placeholder_does_not_disturb_the_order_of_the_other_side(path):
    matrix = write(path, placeholder_side(), spectra("fastest_first"))
    signal = load(path, axis_order="file")
    assert names(signal) == ["Bias", "Cycle"]
    np.testing.assert_array_equal(signal["data"], matrix.reshape(2, 5).T)


def test_scattered_steps_do_not_disturb_the_order_of_the_positions(path):
    steps = scattered_side(5, 2, np.random.default_rng(0), labels=("Field", "Bias"))
    matrix = write(path, positions("fastest_first"), steps)
    signal = load(path, axis_order="file")
    assert names(signal) == ["X", "Y", "spectroscopic"]
    np.testing.assert_array_equal(signal["data"], matrix.reshape(3, 4, 5).transpose(1, 0, 2))


KINDS = ("raster", "permuted", "partial", "scattered", "placeholder")


def listed(position, spectroscopic, dims):
    """The names of the axes in the order in which the tables list them."""
    labels = oracle.unique_names([*position.labels, *spectroscopic.labels])
    split = len(position.labels)
    every = [*labels[:split], "position", *labels[split:], "spectroscopic"]
    return [name for name in every if name in dims]


@pytest.mark.filterwarnings("ignore::lazyusid.UsidWarning")  # values are random, so not uniform
@pytest.mark.parametrize("seed", range(60))
def test_any_table_is_loaded_as_the_oracle_folds_it(path, seed):
    rng = np.random.default_rng(seed)
    position = random_side(rng, str(rng.choice(KINDS)), 3, 4, "P")
    spectroscopic = random_side(rng, str(rng.choice(KINDS)), 3, 4, "S")
    dtype = str(rng.choice(["f4", "i2", "c8", "?"]))
    matrix = write(path, position, spectroscopic, dtype)
    expected, dims, _, _ = oracle.fold(matrix, position, spectroscopic)
    signal = load(path)
    assert tuple(names(signal)) == dims
    np.testing.assert_array_equal(signal["data"], expected)

    order = listed(position, spectroscopic, dims)
    turned = expected.transpose([dims.index(name) for name in order])
    for lazy in (False, True):
        found = load(path, axis_order="file", navigate=False, lazy=lazy)
        assert names(found) == order
        assert [axis["size"] for axis in found["axes"]] == list(turned.shape)
        assert found["data"].dtype == expected.dtype
        np.testing.assert_array_equal(np.asarray(found["data"]), turned)


# ---------------------------------------------------------------------------- non-uniform values


def test_a_non_uniform_dimension_is_counted_with_a_warning_that_names_it(path):
    write(path, positions(), bias(UNEVEN))
    with pytest.warns(UsidWarning, match=r"dimension Bias") as seen:
        axis = load(path)["axes"][-1]
    assert len(seen) == 1
    assert (axis["offset"], axis["scale"], axis["size"], axis["name"]) == (0, 1, 4, "Bias")


def test_every_non_uniform_dimension_is_named(path):
    write(path, grid_side((4, 3), ("Y", "X"), values=[UNEVEN, [0, 1, 5]]), bias())
    with pytest.warns(UsidWarning) as seen:
        file_reader(path)
    assert [str(warning.message).split()[5].strip(";.") for warning in seen] == ["Y", "X"]


@pytest.mark.parametrize("keyword", ["ignore_non_uniform_dims", "ignore_non_linear_dims"])
def test_a_non_uniform_dimension_that_must_not_be_ignored_is_an_error(path, keyword):
    write(path, positions(), bias(UNEVEN))
    rule = r"Cannot load.* Bias was varied non-uniformly.*ignore_non_uniform_dims=True"
    with pytest.raises(ValueError, match=rule):
        file_reader(path, **{keyword: False})
    with pytest.warns(UsidWarning, match="Bias"):
        file_reader(path, **{keyword: True})


@pytest.mark.parametrize("values", [range(5), [9, 7, 5, 3, 1], 1e-9 * np.arange(5), [7, 8]])
def test_uniform_dimensions_are_never_complained_of(path, values):
    write(path, positions(), bias(values))
    axis = load(path, ignore_non_uniform_dims=False)["axes"][-1]
    found = axis["offset"] + axis["scale"] * np.arange(axis["size"])
    np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-6 * np.max(np.abs(values)))


def test_values_that_depend_on_another_dimension_are_not_uniform(path):
    amplitude = dependent_values((2, 5), 1, [0])
    write(path, positions(), spectra(values=[range(2), amplitude]))
    with pytest.raises(ValueError, match="Bias was varied non-uniformly"):
        file_reader(path, ignore_non_uniform_dims=False)
    with pytest.warns(UsidWarning, match="Bias"):
        axis = load(path)["axes"][-1]
    assert (axis["name"], axis["offset"], axis["scale"]) == ("Bias", 0, 1)


def test_the_number_of_a_scattered_point_is_uniform(path):
    write(path, scattered_side(6, 2, np.random.default_rng(0)), bias())
    axis = load(path, ignore_non_uniform_dims=False)["axes"][0]
    assert (axis["name"], axis["units"], axis["offset"], axis["scale"]) == ("position", "", 0, 1)


def test_a_dimension_without_steps_is_not_called_non_uniform(path):
    nowhere = Side(np.zeros((0, 1), np.int64), np.zeros((0, 1)), ("X",), ("m",))
    write(path, nowhere, bias())
    signal = load(path, ignore_non_uniform_dims=False)
    assert signal["data"].shape == (0, 5)


@pytest.mark.parametrize("values", [UNEVEN, UNEVEN[::-1], [-1e-9, 0, 1e-9, 5e-9]])
@pytest.mark.parametrize("side", ["position", "spectroscopic"])
def test_strictly_monotonic_values_become_a_data_axis(path, side, values):
    uneven = grid_side((4,), ("Energy",), ("eV",), [values])
    even = grid_side((3,), ("Other",))
    write(path, *((uneven, even) if side == "position" else (even, uneven)), value_dtype="f8")
    axis = load(path, non_uniform_axes=True)["axes"][0 if side == "position" else 1]
    assert axis.pop("axis").tolist() == list(values)
    assert axis == {
        "_type": "DataAxis",
        "name": "Energy",
        "units": "eV",
        "size": 4,
        "index_in_array": 0 if side == "position" else 1,
        "navigate": side == "position",
    }


@pytest.mark.parametrize(
    "values", [[0, 1, 1, 2], [0, 3, 1, 4], [0, np.nan, 2, 5], [1, 1, 1, 1]], ids=str
)
def test_other_values_become_a_counter_of_steps_without_units(path, values):
    write(path, positions(), bias(values))
    axis = load(path, non_uniform_axes=True)["axes"][-1]
    assert axis == {
        "name": "Bias (step)",
        "units": "",
        "size": 4,
        "offset": 0,
        "scale": 1,
        "index_in_array": 2,
        "navigate": False,
    }


def test_dependent_values_become_a_counter_of_steps_without_units(path):
    amplitude = dependent_values((2, 5), 1, [0])
    write(path, positions(), spectra(values=[range(2), amplitude]))
    cycle, axis = load(path, non_uniform_axes=True)["axes"][-2:]
    assert (axis["name"], axis["units"], axis["offset"], axis["scale"]) == ("Bias (step)", "", 0, 1)
    assert (cycle["name"], "_type" in cycle) == ("Cycle", False)


def test_uniform_dimensions_stay_uniform_among_non_uniform_axes(path):
    write(path, positions(), bias(UNEVEN))
    y, x, energy = load(path, non_uniform_axes=True)["axes"]
    assert [axis.get("_type") for axis in (y, x, energy)] == [None, None, "DataAxis"]
    assert (y["scale"], x["scale"]) == (1, 1)


@pytest.mark.parametrize("options", [{}, {"non_uniform_axes": True}, {"axis_order": "file"}])
@pytest.mark.filterwarnings("ignore:Ignoring the non-uniformity:lazyusid.UsidWarning")
def test_true_values_of_every_dimension_are_always_in_the_metadata(path, options):
    amplitude = dependent_values((2, 4), 1, [0], [0, 1, 4, 8])
    write(
        path,
        positions("fastest_first"),
        grid_side((2, 4), ("Cycle", "Bias"), ("", "V"), [[3, 5], amplitude]),
    )
    found = own(load(path, **options))
    assert found["coordinate_dims"] == {
        "Y": ["Y"],
        "X": ["X"],
        "Cycle": ["Cycle"],
        "Bias": ["Cycle", "Bias"],
    }
    assert found["coordinate_units"] == {"Y": "nm", "X": "um", "Cycle": "", "Bias": "V"}
    assert {name: values.tolist() for name, values in found["coordinates"].items()} == {
        "Y": [0, 1, 2],
        "X": [0, 1, 2, 3],
        "Cycle": [3, 5],
        "Bias": [[0, 1, 4, 8], [0, 2, 8, 16]],
    }


def test_uneven_values_are_in_the_metadata_where_the_axis_only_counts(path):
    write(path, positions(), bias(UNEVEN))
    with pytest.warns(UsidWarning, match="coordinates"):
        signal = load(path)
    assert own(signal)["coordinates"]["Bias"].tolist() == UNEVEN


def test_the_places_of_scattered_points_are_in_the_metadata(path):
    side = scattered_side(6, 2, np.random.default_rng(0), labels=("X", "Y"), units=("nm", "um"))
    write(path, side, bias(), value_dtype="f8")
    found = own(load(path))
    assert found["coordinate_dims"]["X"] == found["coordinate_dims"]["Y"] == ["position"]
    assert (found["coordinate_units"]["X"], found["coordinate_units"]["Y"]) == ("nm", "um")
    np.testing.assert_array_equal(found["coordinates"]["X"], side.values[:, 0])
    np.testing.assert_array_equal(found["coordinates"]["Y"], side.values[:, 1])


# ---------------------------------------------------------------------------- warnings


def test_a_second_load_warns_again_of_what_it_ignores(path):
    write(path, positions(), bias(UNEVEN))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")  # as users have it: once a line of code and text
        file_reader(path)
        file_reader(path)
    assert [warning.category for warning in seen] == [UsidWarning, UsidWarning]


# ---------------------------------------------------------------------------- original metadata

METADATA_CASES = ["map", "image", "spectrum", "one number", "scattered", "results", "compound"]


def write_case(path, case):
    """Write a file of a kind; the number of its signals."""
    sides = {
        "image": (positions(), placeholder_side()),
        "spectrum": (placeholder_side(), bias()),
        "one number": (placeholder_side("X"), placeholder_side("Bias")),
        "scattered": (scattered_side(6, 2, np.random.default_rng(0)), bias()),
    }
    position, spectroscopic = sides.get(case, (positions(), bias()))
    dtype = [("Amplitude [V]", "f4"), ("Phase [rad]", "f4")] if case == "compound" else "f4"
    write(path, position, spectroscopic, dtype=dtype)
    if case == "results":
        side = grid_side((3,), ("Coefficient",))
        write_results(path, RAW, matrix=np.zeros((12, 3)), spectroscopic=side)
    return 2 if case in ("results", "compound") else 1


@pytest.mark.parametrize("case", METADATA_CASES)
def test_the_six_keys_and_one_more_are_always_there(path, case):
    count = write_case(path, case)
    signals = file_reader(path)
    assert len(signals) == count
    for signal in signals:
        assert set(signal["original_metadata"]) == SIX_KEYS | {"lazyusid"}


def test_the_six_keys_say_what_the_reference_says(path):
    main, _ = example_4d(path)
    found = load(path)["original_metadata"]
    del found["lazyusid"]
    assert found == {
        "quantity": "Piezoresponse",
        "units": "pm",
        "dataset_path": main,
        "original_file_type": "USID HDF5",
        "pyUSID_version": "0.0.6.2",
        "parameters": {
            "VS_mode": "DC modulation mode",
            "IO_rate_[Hz]": 4000000,
            "timestamp": "2019_05_12-10_20_30",
            "machine_id": "afm.lab.example",
            "channel_type": "BE",
        },
    }


PLACES = ("/", "/Measurement_000", CHANNEL, RAW)


def set_attributes(path, attributes):
    """Set attributes of objects by path."""
    with h5py.File(path, "a") as file:
        for place, attrs in attributes.items():
            file[place].attrs.update(attrs)


@pytest.mark.parametrize("nearest", range(4))
@pytest.mark.parametrize("alone", [False, True])
def test_the_version_is_that_of_the_nearest_place(path, nearest, alone):
    write(path, positions(), bias())
    places = PLACES[nearest:][:1] if alone else PLACES[: nearest + 1]
    set_attributes(path, {place: {"pyUSID_version": f"0.0.{len(place)}"} for place in places})
    found = load(path)["original_metadata"]["pyUSID_version"]
    assert found == f"0.0.{len(PLACES[nearest])}"


def test_the_version_is_empty_where_none_is_told(path):
    write(path, positions(), bias())
    assert load(path)["original_metadata"]["pyUSID_version"] == ""


def test_a_version_in_an_array_of_one_is_that_text(path):
    write(path, positions(), bias())
    set_attributes(path, {RAW: {"pyUSID_version": np.array([b"0.0.5"])}})
    assert load(path)["original_metadata"]["pyUSID_version"] == "0.0.5"


def test_parameters_are_those_of_the_channel_updated_by_those_of_the_measurement(path):
    write(path, positions(), bias(), attrs={"of": "Main"})
    set_attributes(
        path,
        {
            CHANNEL: {"gain": 2, "mode": "contact", "of": "Channel"},
            "/Measurement_000": {"mode": "tapping", "rate": 4.5},
            "/": {"sample": "PZT", "of": "root"},
        },
    )
    assert load(path)["original_metadata"]["parameters"] == {
        "gain": 2,
        "mode": "tapping",
        "of": "Channel",
        "rate": 4.5,
    }


def test_a_channel_outside_a_measurement_gives_its_own_parameters_only(path):
    write(path, positions(), bias(), group="/Channel_000")
    set_attributes(path, {"/": {"sample": "PZT"}, "/Channel_000": {"gain": 2}})
    assert load(path)["original_metadata"]["parameters"] == {"gain": 2}


@pytest.mark.parametrize("group", ["/", "/Raw_Measurement", "/Measurement_000", "/A/B"])
def test_there_are_no_parameters_outside_a_channel(path, group):
    write(path, positions(), bias(), group=group)
    set_attributes(path, {group: {"gain": 2}, "/": {"sample": "PZT"}})
    assert load(path)["original_metadata"]["parameters"] == {}


def test_a_result_has_no_parameters(path):
    write_case(path, "results")
    set_attributes(path, {CHANNEL: {"gain": 2}})
    raw, fit = (signal["original_metadata"] for signal in file_reader(path))
    assert (raw["parameters"], fit["parameters"]) == ({"gain": 2}, {})


def test_the_rest_is_under_one_further_key(path):
    write(path, positions(), spectra(), attrs={"operator": "Ada"})
    set_attributes(path, {"/": {"sample": "PZT"}})
    found = own(load(path))
    assert found["root"] == {"sample": "PZT"}
    assert found["attributes"]["operator"] == "Ada"
    assert found["sides"] == {
        "Y": "position",
        "X": "position",
        "Cycle": "spectroscopic",
        "Bias": "spectroscopic",
    }


def test_provenance_is_under_the_further_key(path):
    write_case(path, "results")
    raw, fit = map(own, file_reader(path))
    assert (raw["tool"], raw["source"]) == ("", "")
    assert (fit["tool"], fit["source"]) == ("SHO_Fit", RAW)


def test_attributes_of_the_results_group_are_under_the_further_key(path):
    write_case(path, "results")
    set_attributes(path, {f"{RAW}-SHO_Fit_000": {"algorithm": "pattern_fitting"}})
    _, fit = map(own, file_reader(path))
    assert "pattern_fitting" in str(fit)


def test_attributes_of_a_group_that_is_no_channel_are_under_the_further_key(path):
    write(path, positions(), bias(), group="/Raw_Measurement", name="source_main")
    set_attributes(path, {"/Raw_Measurement": {"experimenter": "Marie"}})
    assert "Marie" in str(own(load(path)))


PLAIN = (str, int, float, complex, bool, type(None))


def find_odd(value, where=""):
    """Places and types of all that is no plain scalar, text, list or dict of them."""
    if type(value) is dict:
        assert all(type(key) is str for key in value)
        return [odd for key, part in value.items() for odd in find_odd(part, f"{where}/{key}")]
    if type(value) is list:
        return [odd for part in value for odd in find_odd(part, f"{where}[]")]
    if type(value) is np.ndarray and "/coordinates/" in where:
        return [] if value.dtype == np.float64 else [(where, value.dtype)]
    return [] if type(value) in PLAIN else [(where, type(value))]


def write_any_attribute(path, place):
    """Give an object an attribute of every kind that HDF5 and h5py know."""
    with h5py.File(path, "a") as file:
        main = file[RAW]
        attrs = file[place].attrs
        attrs["integer"], attrs["unsigned"], attrs["half"] = np.int8(-3), np.uint64(7), np.half(1)
        attrs["flag"], attrs["complex"], attrs["text"] = True, np.complex64(1j), "µ"
        attrs["fixed"], attrs["list"] = np.bytes_(b"abc"), np.arange(4)
        attrs["table"], attrs["one"] = np.ones((2, 3), "f4"), np.array([5])
        attrs["texts"], attrs["fixed texts"] = ["a", "ß"], np.array([b"a", b"bc"])
        attrs["empty text"], attrs["empty number"] = h5py.Empty("S1"), h5py.Empty("f4")
        attrs["no texts"] = np.array([], "S1")
        attrs["reference"], attrs["references"] = main.ref, np.array([main.ref], h5py.ref_dtype)
        attrs["region"] = main.regionref[0:2, 1:3]
        attrs.create("ragged", [np.arange(2), np.arange(3)], dtype=h5py.vlen_dtype("i4"))
        attrs.create("enum", 1, dtype=h5py.enum_dtype({"OFF": 0, "ON": 1}))


@pytest.mark.parametrize("place", PLACES)
def test_metadata_are_plain_values_whatever_the_attributes_are(path, place):
    write(path, positions(), spectra())
    write_any_attribute(path, place)
    signal = load(path)
    assert find_odd(signal["metadata"]) == []
    assert find_odd(signal["original_metadata"]) == []


@pytest.mark.parametrize("place", PLACES)
def test_attributes_of_compound_and_opaque_types_are_plain_values_too(path, place):
    write(path, positions(), spectra())
    pair = np.array((1, 2.5, b"ab"), dtype=[("count", "i4"), ("gain", "f4"), ("unit", "S2")])
    set_attributes(path, {place: {"pair": pair, "pairs": pair[None], "opaque": np.void(b"\1\2")}})
    assert find_odd(load(path)["original_metadata"]) == []


def test_attributes_keep_their_values(path):
    write(path, positions(), spectra())
    write_any_attribute(path, RAW)
    found = own(load(path))["attributes"]
    expected = {
        "integer": -3,
        "unsigned": 7,
        "half": 1.0,
        "flag": True,
        "complex": 1j,
        "text": "µ",
        "fixed": "abc",
        "list": [0, 1, 2, 3],
        "table": [[1.0] * 3] * 2,
        "one": [5],
        "texts": ["a", "ß"],
        "fixed texts": ["a", "bc"],
        "empty text": "",
        "no texts": [],
        "reference": RAW,
        "references": [RAW],
        "ragged": [[0, 1], [0, 1, 2]],
        "enum": 1,
    }
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("case", METADATA_CASES)
def test_metadata_of_every_kind_of_main_are_plain_values(path, case):
    write_case(path, case)
    for signal in file_reader(path):
        assert find_odd(signal["metadata"]) == []
        assert find_odd(signal["original_metadata"]) == []


# ---------------------------------------------------------------------------- placeholders


def test_a_placeholder_side_has_no_axis(path):
    matrix = write(path, positions(), placeholder_side("None"))
    image = load(path)
    assert names(image) == ["Y", "X"]
    np.testing.assert_array_equal(image["data"], matrix.reshape(3, 4))


def test_a_spectrum_at_one_point_has_no_position_axis(path):
    matrix = write(path, placeholder_side("X"), bias())
    spectrum = load(path)
    assert names(spectrum) == ["Bias"]
    np.testing.assert_array_equal(spectrum["data"], matrix[0])


@pytest.mark.parametrize("lazy", [False, True])
def test_one_number_keeps_one_axis(path, lazy):
    write_usid(path, [[7.0]], placeholder_side("X"), placeholder_side("Bias"))
    signal = load(path, lazy=lazy)
    assert names(signal) == ["Bias"]
    assert np.asarray(signal["data"]).tolist() == [7.0]


@pytest.mark.parametrize("axis_order", ["slowest_first", "file"])
def test_real_dimensions_of_one_step_are_kept(path, axis_order):
    matrix = write(path, grid_side((1, 4), ("Y", "X")), grid_side((1, 2), ("Field", "Cycle")))
    signal = load(path, axis_order=axis_order)
    assert names(signal) == ["Y", "X", "Field", "Cycle"]
    assert signal["data"].shape == (1, 4, 1, 2)
    np.testing.assert_array_equal(signal["data"].reshape(4, 2), matrix)


# ---------------------------------------------------------------------------- compound Mains

COMPOUND = np.dtype([("Amplitude [V]", "f4"), ("Flux [A/(m^2)]", "f8"), ("Count", "i2")])


def write_compound(path, order="slowest_first"):
    matrix = np.zeros((12, 10), COMPOUND)
    for place, name in enumerate(COMPOUND.names):
        matrix[name] = np.arange(120).reshape(12, 10) + 1000 * place
    write_usid(path, matrix, positions(order), spectra(order), quantity="Fit", units="")
    return matrix


@pytest.mark.parametrize("axis_order", ["slowest_first", "file"])
@pytest.mark.parametrize("lazy", [False, True])
def test_each_compound_component_is_a_signal(path, lazy, axis_order):
    matrix = write_compound(path, "fastest_first")
    signals = file_reader(path, lazy=lazy, axis_order=axis_order)
    assert len(signals) == 3
    for signal, name in zip(signals, COMPOUND.names, strict=True):
        expected = matrix[name].reshape(3, 4, 2, 5)
        if axis_order == "file":
            expected = expected.transpose(1, 0, 3, 2)
        assert signal["data"].dtype == COMPOUND[name]
        np.testing.assert_array_equal(np.asarray(signal["data"]), expected)
        assert signal["data"].shape == tuple(axis["size"] for axis in signal["axes"])


def test_compound_components_are_named_and_lie_at_the_same_path(path):
    write_compound(path)
    found = [signal["original_metadata"] for signal in file_reader(path)]
    assert [(part["quantity"], part["units"]) for part in found] == [
        ("Amplitude", "V"),
        ("Flux", "A/(m^2)"),
        ("Count", ""),
    ]
    assert {part["dataset_path"] for part in found} == {RAW}


@pytest.mark.parametrize("axis_order", ["slowest_first", "file"])
def test_components_of_a_truncated_scan_are_nan_where_nothing_was_measured(path, axis_order):
    matrix = np.ones((10, 5), COMPOUND)
    write_usid(path, matrix, positions("fastest_first", scan="partial"), bias())
    eager = file_reader(path, axis_order=axis_order)
    lazy = file_reader(path, axis_order=axis_order, lazy=True)
    for now, later in zip(eager, lazy, strict=True):
        assert np.isnan(now["data"]).sum() == 10
        assert now["data"].dtype == later["data"].dtype
        np.testing.assert_array_equal(now["data"], later["data"].compute())


def test_complex_data_are_one_signal(path):
    matrix = np.arange(12) + 1j * np.arange(12)[::-1]
    write_usid(path, matrix.reshape(12, 1).astype("c8"), positions(), placeholder_side())
    data = load(path)["data"]
    assert data.dtype == np.complex64
    np.testing.assert_array_equal(data, matrix.reshape(3, 4))


# ---------------------------------------------------------------------------- missing points


@pytest.mark.parametrize("lazy", [False, True])
def test_points_that_were_never_measured_are_nan(path, lazy):
    write(path, positions(scan="partial"), bias(), dtype="i2")
    data = load(path, lazy=lazy)["data"]
    assert (data.shape, data.dtype) == ((3, 4, 5), np.float32)
    found = np.asarray(data)
    assert np.isnan(found[2, 2:]).all()
    np.testing.assert_array_equal(found.reshape(12, 5)[:10], np.arange(50).reshape(10, 5))


def test_rows_that_a_killed_fit_never_reached_are_nan(path):
    write(path, positions(), bias())
    write_results(
        path,
        RAW,
        matrix=np.ones((12, 3), "f4"),
        spectroscopic=grid_side((3,), ("Coefficient",)),
        completed=np.arange(12) < 6,
    )
    with pytest.warns(UsidWarning, match="6 of 12 positions complete"):
        raw, fit = file_reader(path)
    assert np.isfinite(raw["data"]).all()
    assert np.isnan(fit["data"]).sum() == 18
    assert own(fit)["complete"] == 0.5


# ---------------------------------------------------------------------------- choosing Mains


@pytest.fixture
def several(path):
    """A file of three Mains, of quantities A, B and C."""
    for place, quantity in (
        (CHANNEL, "A"),
        ("/Measurement_000/Channel_001", "B"),
        ("/Measurement_001/Channel_000", "C"),
    ):
        write(path, positions(), bias(), group=place, quantity=quantity, mode="a")
    return path


def quantities(signals):
    return [signal["original_metadata"]["quantity"] for signal in signals]


@pytest.mark.parametrize(
    ("dataset_path", "expected"),
    [
        (None, ["A", "B", "C"]),
        (RAW, ["A"]),
        (RAW[1:], ["A"]),
        ("Channel_001/Raw_Data", ["B"]),
        ("Measurement_001/Channel_000/Raw_Data", ["C"]),
        (["Channel_001/Raw_Data"], ["B"]),
        (["/Measurement_001/Channel_000/Raw_Data", RAW], ["C", "A"]),
        ((RAW, "Channel_001/Raw_Data"), ["A", "B"]),
    ],
)
def test_dataset_path_chooses_by_path_or_suffix(several, dataset_path, expected):
    assert quantities(file_reader(several, dataset_path=dataset_path)) == expected


@pytest.mark.parametrize(
    "dataset_path", ["/nope", "nope", "Raw_Data", CHANNEL, f"{CHANNEL}/Position_Values", ""]
)
@pytest.mark.parametrize("as_list", [False, True])
def test_a_wrong_dataset_path_is_an_error_that_lists_the_mains(several, dataset_path, as_list):
    wanted = [RAW, dataset_path] if as_list else dataset_path
    with pytest.raises(NotMainError, match=r"Channel_000/Raw_Data") as error:
        file_reader(several, dataset_path=wanted)
    assert isinstance(error.value, KeyError)
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize("dataset_path", [3, [3], [RAW, None], b"/"])
def test_a_dataset_path_of_another_type_is_a_type_error(several, dataset_path):
    with pytest.raises(TypeError, match="dataset_path"):
        file_reader(several, dataset_path=dataset_path)


def test_a_compound_main_is_chosen_whole(path):
    write_compound(path)
    assert quantities(file_reader(path, dataset_path=RAW)) == ["Amplitude", "Flux", "Count"]


# ---------------------------------------------------------------------------- paths of files


def test_a_path_object_is_as_good_as_text(path):
    matrix = write(path, positions(), bias())
    for lazy in (False, True):
        signal = load(Path(path), lazy=lazy)
        assert signal["metadata"]["General"]["original_filename"] == path
        np.testing.assert_array_equal(np.asarray(signal["data"]).reshape(12, 5), matrix)


def test_a_relative_path_may_be_left_before_lazy_data_are_read(path, tmp_path, monkeypatch):
    matrix = write(path, positions(), bias())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    lazy = load("scan.h5", lazy=True)["data"]
    monkeypatch.chdir(tmp_path / "elsewhere")
    np.testing.assert_array_equal(lazy.compute().reshape(12, 5), matrix)


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_missing_file_is_not_found(tmp_path, kind, lazy):
    with pytest.raises(FileNotFoundError, match=r"missing\.h5"):
        file_reader(kind(tmp_path / "missing.h5"), lazy=lazy)


def test_a_file_of_another_kind_is_a_source_error(tmp_path):
    text = tmp_path / "notes.h5"
    text.write_text("no HDF5")
    with pytest.raises(SourceError, match=r"notes\.h5: this is no HDF5 file"):
        file_reader(text)


def test_a_folder_is_called_a_folder(tmp_path):
    with pytest.raises(OSError, match="is a folder"):
        file_reader(tmp_path)


# ---------------------------------------------------------------------------- failures


def spoil(path, main=RAW):
    """Overwrite the first chunk of a gzipped Main with what does not inflate."""
    with h5py.File(path, "a") as file:
        file[main].id.write_direct_chunk((0, 0), b"no gzip stream")


def write_gzipped(path, group):
    write(path, positions(), bias(), group=group, chunks=(12, 5), compression="gzip", mode="a")


def test_a_main_that_cannot_be_read_is_a_warning_and_the_others_are_loaded(path):
    write_gzipped(path, CHANNEL)
    write_gzipped(path, "/Measurement_001/Channel_000")
    spoil(path)
    with pytest.warns(UsidWarning, match=rf"{RAW} was not loaded") as seen:
        (signal,) = file_reader(path)
    assert len(seen) == 1
    assert signal["original_metadata"]["dataset_path"] == "/Measurement_001/Channel_000/Raw_Data"


@pytest.mark.parametrize("lazy", [False, True])
def test_a_main_that_is_not_uniform_enough_does_not_cost_the_others(path, lazy):
    write(path, positions(), bias(UNEVEN))
    write(path, positions(), bias(), group="/Measurement_001/Channel_000", mode="a")
    with pytest.warns(UsidWarning, match=r"Channel_000/Raw_Data was not loaded.*Bias"):
        signals = file_reader(path, ignore_non_uniform_dims=False, lazy=lazy)
    assert len(signals) == 1


def test_a_main_without_the_signal_dimension_does_not_cost_the_others(path):
    write(path, positions(), spectra())
    write(path, positions(), bias(), group="/Measurement_001/Channel_000", mode="a")
    with pytest.warns(UsidWarning, match=r"/Measurement_001.* was not loaded.*Cycle"):
        (signal,) = file_reader(path, signal=["Cycle"])
    assert names(signal) == ["Y", "X", "Bias", "Cycle"]


def test_where_all_mains_fail_the_first_error_is_raised(path):
    write(path, positions(), bias(UNEVEN))
    write(
        path,
        grid_side((4, 3), ("Y", "X"), values=[UNEVEN, range(3)]),
        bias(),
        group="/Measurement_001/Channel_000",
        mode="a",
    )
    with pytest.raises(ValueError, match="Bias was varied"):
        file_reader(path, ignore_non_uniform_dims=False)


def test_the_only_main_that_cannot_be_read_raises(path):
    write_gzipped(path, CHANNEL)
    spoil(path)
    with pytest.raises(SourceError, match=RAW):
        file_reader(path)


def test_a_dataset_that_is_no_main_is_a_warning_and_the_others_are_loaded(path):
    write(path, positions(), bias())
    with h5py.File(path, "a") as file:
        broken = file[CHANNEL].create_dataset("Broken", data=np.zeros((4, 5)))
        broken.attrs.update({"quantity": "Current", "units": "nA"})
        link_tables(broken, file[CHANNEL])
    with pytest.warns(UsidWarning, match=r"Broken.*4"):
        assert len(file_reader(path)) == 1


def test_a_file_without_a_main_is_an_error(path):
    with h5py.File(path, "w") as file:
        file["image"] = np.zeros((4, 5))
    with pytest.raises(NotMainError, match=r"scan\.h5.*no Main"):
        file_reader(path)


def test_a_file_of_broken_mains_only_says_why(path):
    write(path, positions(), bias())
    with h5py.File(path, "a") as file:
        del file[RAW].attrs[TABLES[0]]
    with (
        pytest.raises(NotMainError, match=f"no attribute {TABLES[0]}"),
        pytest.warns(UsidWarning, match=TABLES[0]),
    ):
        file_reader(path)


# ---------------------------------------------------------------------------- handles


@pytest.mark.parametrize("lazy", [False, True])
def test_the_file_can_be_written_while_its_signals_live(path, lazy):
    _, expected = example_4d(path)
    signal = load(path, lazy=lazy)
    with h5py.File(path, "r+") as file:
        file["comment"] = "written meanwhile"
    np.testing.assert_array_equal(np.asarray(signal["data"]), expected)
    with h5py.File(path, "r+") as file:
        del file["comment"]


def test_results_can_be_appended_between_lazy_reads(path):
    matrix = write(path, positions(), bias())
    lazy = load(path, lazy=True)["data"]
    for index in range(2):
        np.testing.assert_array_equal(lazy[1].compute(), matrix.reshape(3, 4, 5)[1])
        side = grid_side((3,), ("Coefficient",))
        write_results(path, RAW, matrix=np.zeros((12, 3)), spectroscopic=side, index=index)
    assert len(file_reader(path)) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"dataset_path": "/nope"},
        {"signal": ["nope"]},
        {"chunks": {"nope": 1}, "lazy": True},
    ],
    ids=str,
)
def test_a_failed_load_leaves_nothing_open(path, options):
    write(path, positions(), bias())
    with pytest.raises((ValueError, KeyError), match="nope"):
        file_reader(path, **options)
    with h5py.File(path, "r+") as file:
        assert RAW in file


# ---------------------------------------------------------------------------- order within a side


@pytest.mark.parametrize("scan", ["reversed", "serpentine", "interleaved", "shuffled", "swapped"])
def test_points_are_placed_by_their_indices(path, scan):
    side = positions(scan=scan)
    matrix = write(path, side, bias())
    data = load(path)["data"]
    for row, (y, x) in enumerate(side.indices):
        np.testing.assert_array_equal(data[y, x], matrix[row])


def test_repeated_points_are_a_list_with_coordinates(path):
    side = take_points(positions(), [0, 1, 1, 5])
    matrix = write(path, side, bias())
    signal = load(path)
    assert names(signal) == ["position", "Bias"]
    np.testing.assert_array_equal(signal["data"], matrix)
    assert all(a <= b for a, b in pairwise(own(signal)["coordinates"]["Y"]))
