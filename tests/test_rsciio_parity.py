"""Beside RosettaSciIO's own USID reader: the same where it is right, better where it is not.

Files are written by pyUSID, or by the builders where pyUSID cannot write them. Tests that are named
after a line of the list of what the neighbours get wrong (S1, L4, ...) show what ours does there;
what the reference does is asserted too where that is cheap to show.
"""

import os
import re
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest
from pyUSID import ArrayTranslator, Dimension, USIDataset
from pyUSID.io.hdf_utils import write_main_dataset
from rsciio.usid import file_reader as load_reference
from rsciio.usid import file_writer as write_reference

import lazyusid
from lazyusid import UsidWarning
from lazyusid.hdf5.handles import lent_count
from tests.builders import (
    TABLES,
    Side,
    dependent_values,
    grid_side,
    placeholder_side,
    scattered_side,
    write_results,
    write_usid,
)

pytestmark = [
    # pyUSID says so of every table that is given fastest first
    pytest.mark.filterwarnings("ignore:In the future write_ind_val_dsets:UserWarning"),
    # ... and of every Main without an N-D form, before it fails
    pytest.mark.filterwarnings("ignore:This dataset does not have an N-dim:UserWarning"),
]

CHANNEL = "/Measurement_000/Channel_000"
RAW = f"{CHANNEL}/Raw_Data"
OTHER = "/Measurement_001/Channel_000"


@pytest.fixture(autouse=True)
def _writes_on_numpy_2(monkeypatch):
    """Let pyUSID write: it calls `np.product`, which numpy 2 has not."""
    monkeypatch.setattr(np, "product", np.prod, raising=False)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "scan.h5")


def load_ours(path, **options):
    """Load as the reference does: in the file's order, nothing navigated."""
    signals = lazyusid.file_reader(path, navigate=False, axis_order="file", **options)
    assert lent_count() == 0
    return signals


def first(signals):
    """The first of some signals: its axes by name, data, original metadata."""
    axes = {axis["name"]: axis for axis in signals[0]["axes"]}
    return axes, np.asarray(signals[0]["data"]), signals[0]["original_metadata"]


def numbers(position, spectroscopic, dtype="f8"):
    """A matrix for these sides whose elements all differ."""
    count = position.points * spectroscopic.points
    return np.arange(count).reshape(position.points, spectroscopic.points).astype(dtype)


def write(path, position, spectroscopic, **options):
    """Write a Main with the builders; its matrix."""
    matrix = numbers(position, spectroscopic)
    write_usid(path, matrix, position, spectroscopic, **options)
    return matrix


def bias(values=range(5)):
    return grid_side((len(values),), ("Bias",), ("V",), [values])


# ---------------------------------------------------------------------------- the same

NONE = [Dimension("arb", "a. u.", 1)]
ONE_STEP = [Dimension("Bias", "V", np.array([3.0]))]
X = Dimension("X", "nm", 5 + 2.5 * np.arange(4))
Y = Dimension("Y", "um", -np.arange(3) / 8)
Z = Dimension("Z", "m", 1e-9 * np.arange(2))
BIAS = Dimension("Bias", "V", np.linspace(-1, 1, 5))
CYCLE = Dimension("Cycle", "", np.arange(2))
TIME = Dimension("Time", "s", 1e-3 * np.arange(6))

SIDES = {
    "positions only": ([X, Y], NONE),
    "one position dimension": ([X], NONE),
    "spectra only": (NONE, [BIAS, CYCLE]),
    "one spectrum": (NONE, [BIAS]),
    "1+1": ([X], [BIAS]),
    "2+1": ([X, Y], [BIAS]),
    "2+2": ([X, Y], [BIAS, CYCLE]),
    "3+3": ([X, Y, Z], [BIAS, CYCLE, TIME]),
}
DTYPES = ["f4", "f8", "i2", "u1", "c8", "c16"]
COMPOUND = np.dtype([("Amplitude [V]", "f4"), ("Phase (rad)", "f8"), ("Count", "i4")])


def random_matrix(position, spectroscopic, dtype):
    """Random numbers of any dtype, of the shape that pyUSID's dimensions ask for."""
    shape = [int(np.prod([len(dim.values) for dim in side])) for side in (position, spectroscopic)]
    rng = np.random.default_rng(0)
    matrix = np.zeros(shape, dtype)
    for name in matrix.dtype.names or (...,):
        part = rng.integers(0, 200, shape)
        matrix[name] = part + 1j * part.T.reshape(shape) if matrix.dtype.kind == "c" else part
    return matrix


def write_pyusid(path, position, spectroscopic, dtype="f4", group=CHANNEL, slow_to_fast=True):
    """Write a Main with pyUSID, as its users do."""
    matrix = random_matrix(position, spectroscopic, dtype)
    with h5py.File(path, "a") as file:
        write_main_dataset(
            file.require_group(group),
            matrix,
            "Raw_Data",
            "Current",
            "nA",
            position,
            spectroscopic,
            slow_to_fast=slow_to_fast,
        )
    return matrix


def assert_the_same(path, count=1, **options):
    """Load with both readers and compare all that the reference gives."""
    theirs, ours = load_reference(path), load_ours(path, **options)
    assert len(ours) == len(theirs) == count
    for own, other in zip(ours, theirs, strict=True):
        assert own["data"].dtype == other["data"].dtype
        np.testing.assert_array_equal(np.asarray(own["data"]), other["data"])
        assert_same_axes(own["axes"], other["axes"])
        assert_same_metadata(own, other)


def assert_same_axes(ours, theirs):
    for own, other in zip(ours, theirs, strict=True):
        assert {key: own[key] for key in ("name", "units", "size")} == {
            key: other[key] for key in ("name", "units", "size")
        }
        scale = float(other["scale"])
        assert own["scale"] == pytest.approx(scale, rel=1e-5)
        assert own["offset"] == pytest.approx(float(other["offset"]), rel=1e-6, abs=1e-6 * scale)


def assert_same_metadata(own, other):
    assert own["metadata"]["General"] == other["metadata"]["General"]
    found, expected = dict(own["original_metadata"]), dict(other["original_metadata"])
    parameters = found.pop("parameters")
    assert expected.pop("parameters").keys() <= parameters.keys()
    del found["lazyusid"]
    assert found == expected


@pytest.mark.parametrize("slow_to_fast", [True, False])
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("case", SIDES)
def test_data_axes_and_metadata_are_the_same(path, case, lazy, slow_to_fast):
    write_pyusid(path, *SIDES[case], slow_to_fast=slow_to_fast)
    assert_the_same(path, lazy=lazy)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_the_same(path, dtype):
    write_pyusid(path, *SIDES["2+2"], dtype=dtype)
    assert_the_same(path)


@pytest.mark.parametrize("slow_to_fast", [True, False])
@pytest.mark.parametrize("case", ["positions only", "spectra only", "2+2"])
def test_compound_components_are_the_same(path, case, slow_to_fast):
    write_pyusid(path, *SIDES[case], dtype=COMPOUND, slow_to_fast=slow_to_fast)
    assert_the_same(path, count=3)


def test_several_mains_are_the_same(path):
    for place, case in ((CHANNEL, "2+2"), (OTHER, "positions only"), ("/Raw", "spectra only")):
        write_pyusid(path, *SIDES[case], group=place)
    assert_the_same(path, count=3)


@pytest.mark.parametrize("slow_to_fast", [True, False])
def test_what_the_array_translator_writes_is_the_same(path, slow_to_fast):
    position, spectroscopic = SIDES["2+2"]
    ArrayTranslator().translate(
        path,
        "Scan",
        random_matrix(position, spectroscopic, "f4"),
        "Current",
        "nA",
        position,
        spectroscopic,
        parm_dict={"VS_mode": "DC", "rate": 4.5, "steps": [1, 2, 3]},
        slow_to_fast=slow_to_fast,
    )
    assert_the_same(path)
    _, _, ours = first(load_ours(path))
    assert {name: ours["parameters"][name] for name in ("VS_mode", "rate", "steps")} == {
        "VS_mode": "DC",
        "rate": 4.5,
        "steps": [1, 2, 3],
    }


def test_what_the_references_writer_writes_is_the_same(path):
    axes = [
        {"name": name, "units": "nm", "size": size, "offset": 1.0, "scale": 2.0}
        for name, size in (("Y", 2), ("X", 3), ("Energy", 4))
    ]
    for index, axis in enumerate(axes):
        place = {"index_in_array": index, "navigate": index < 2}
        axis.update(place | {"_type": "UniformDataAxis"})
    signal = {
        "data": np.arange(24.0).reshape(2, 3, 4),
        "axes": axes,
        "metadata": {"General": {"title": "Map"}, "Signal": {"signal_type": ""}},
        "original_metadata": {},
    }
    write_reference(path, signal)
    assert_the_same(path)
    found = lazyusid.file_reader(path)[0]
    np.testing.assert_array_equal(found["data"], signal["data"])
    assert [axis["navigate"] for axis in found["axes"]] == [True, True, False]


def test_one_dataset_is_chosen_the_same_way(path):
    for place in (CHANNEL, OTHER):
        write_pyusid(path, *SIDES["2+2"], group=place)
    chosen = f"{OTHER}/Raw_Data"
    for reader in (load_reference, load_ours):
        (signal,) = reader(path, dataset_path=chosen)
        assert signal["original_metadata"]["dataset_path"] == chosen


def test_uneven_values_are_refused_and_ignored_the_same_way(path):
    uneven = Dimension("Bias", "V", np.array([0.0, 1, 4, 9]))
    write_pyusid(path, [X, Y], [uneven])
    for reader in (load_reference, load_ours):
        with pytest.raises(ValueError, match=r"Bias was varied non-uniformly.*ignore_non_uniform"):
            reader(path, ignore_non_uniform_dims=False)
    with pytest.warns(UserWarning, match=r"Ignoring.* non-uniformity of dimension:? Bias"):
        assert_the_same(path)


def find_reference_tests():
    """The file of the reference's own tests, where it is installed with them."""
    try:
        found = find_spec("rsciio.tests.test_usid")
    except ModuleNotFoundError:
        return None
    return found and found.origin


@pytest.mark.parametrize("axis_order", ["file", "slowest_first"])
@pytest.mark.skipif(not find_reference_tests(), reason="installed without its tests")
def test_the_references_own_tests_pass_with_our_reader(tmp_path, axis_order):
    (tmp_path / "our_reader.py").write_text(
        f"""
from functools import partial
import numpy, rsciio.usid, rsciio.usid._api, lazyusid
numpy.product = numpy.prod
used = []
def reader(*args, **options):
    used.append(args)
    return lazyusid.file_reader(*args, navigate=False, axis_order={axis_order!r}, **options)
rsciio.usid.file_reader = rsciio.usid._api.file_reader = reader
def pytest_sessionfinish(session):
    print(f"our reader was used {{len(used)}} times")
"""
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    options = ["-q", "-s", "--noconftest", "-p", "our_reader", "-p", "no:cacheprovider"]
    options += ["-c", str(tmp_path / "pytest.ini"), "--basetemp", str(tmp_path / "files")]
    here = str(Path(lazyusid.__file__).parents[1])
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *options,
            "--import-mode=importlib",
            find_reference_tests(),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), here])},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search("our reader was used [1-9]", done.stdout)


# ---------------------------------------------------------------------------- silent wrong data


@pytest.mark.parametrize("scan", ["reversed", "serpentine", "interleaved", "shuffled", "swapped"])
def test_s1_points_of_any_scan_order_are_placed_by_their_indices(path, scan):
    position = grid_side((64, 64), ("Y", "X"), scan=scan)
    matrix = write(path, position, placeholder_side())
    image = first(load_ours(path))[1]
    y, x = position.indices.T
    np.testing.assert_array_equal(image[y, x], matrix[:, 0])
    with h5py.File(path) as file:
        theirs = USIDataset(file[RAW]).get_n_dim_form()
    wrong = np.count_nonzero(theirs.squeeze() != image)
    expected = {"reversed": 4096, "serpentine": 2048, "interleaved": 3968, "swapped": 2}
    assert wrong == expected.get(scan, wrong)
    assert wrong > 0


def test_s2_a_descending_curved_axis_is_not_uniform(path):
    energy = 1239.84 / np.linspace(400, 900, 50)
    write(path, placeholder_side(), grid_side((50,), ("Energy",), ("eV",), [energy]))
    theirs = first(load_reference(path))[0]["Energy"]
    assert theirs["offset"] + 49 * theirs["scale"] == pytest.approx(2.33, abs=0.01)  # truly 1.378
    with pytest.warns(UsidWarning, match="Energy"):
        ours = first(load_ours(path))[0]["Energy"]
    assert (ours["offset"], ours["scale"]) == (0, 1)
    curved = first(load_ours(path, non_uniform_axes=True))[0]["Energy"]
    np.testing.assert_allclose(curved["axis"], energy, rtol=1e-6)


def test_s3_the_scale_is_that_of_the_whole_axis(path):
    values = 1000 + 0.1 * np.arange(4096)
    write(path, placeholder_side(), grid_side((4096,), ("Energy",), ("eV",), [values]))
    theirs = first(load_reference(path))[0]["Energy"]
    ours = first(load_ours(path))[0]["Energy"]
    assert abs(theirs["offset"] + 4095 * theirs["scale"] - values[-1]) > 0.1
    np.testing.assert_allclose(
        ours["offset"] + ours["scale"] * np.arange(4096), values, rtol=0, atol=0.001
    )


SQUARE = {
    "slow one of one step": ((1, 2), ("Cycle", "Bias"), [[5], [10, 20]]),
    "fast one of one step": ((2, 1), ("Bias", "Cycle"), [[10, 20], [5]]),
    "three dimensions": ((1, 1, 3), ("Field", "Cycle", "Bias"), [[7], [5], [10, 20, 30]]),
}


@pytest.mark.parametrize("order", ["slowest_first", "fastest_first"])
@pytest.mark.parametrize("case", SQUARE)
def test_s4_a_square_spectroscopic_table_is_not_read_transposed(path, case, order):
    sizes, labels, values = SQUARE[case]
    square = grid_side(sizes, labels, values=values, order=order)
    assert square.indices.shape == (len(sizes), len(sizes))
    matrix = write(path, grid_side((4,), ("X",)), square)
    axes, data, ours = first(load_ours(path))
    assert list(axes) == ["X", *square.labels]
    np.testing.assert_array_equal(data.reshape(matrix.shape), matrix)
    assert (axes["Bias"]["offset"], axes["Bias"]["scale"]) == pytest.approx((10, 10))
    found = ours["lazyusid"]["coordinates"]
    assert {label: found[label].tolist() for label in labels} == dict(
        zip(labels, values, strict=True)
    )


def test_s4_the_reference_takes_steps_for_dimensions(path):
    write(
        path, grid_side((4,), ("X",)), grid_side((1, 2), ("Cycle", "Bias"), values=[[5], [10, 20]])
    )
    axis = first(load_reference(path))[0]["Bias"]
    assert (axis["offset"], axis["scale"]) == (5, 15)


def test_s5_values_that_are_not_uniform_are_kept(path):
    write(path, grid_side((3,), ("X",)), bias([0, 1, 4, 9]))
    with pytest.warns(UserWarning, match="Ignoring non-uniformity of dimension: Bias"):
        theirs = load_reference(path)
    assert "9" not in str(theirs[0]["axes"]) + str(theirs[0]["original_metadata"]["parameters"])
    with pytest.warns(UsidWarning, match="Bias"):
        ours = first(load_ours(path))[2]
    assert ours["lazyusid"]["coordinates"]["Bias"].tolist() == [0, 1, 4, 9]
    axis = first(load_ours(path, non_uniform_axes=True))[0]["Bias"]
    assert axis["axis"].tolist() == [0, 1, 4, 9]


def test_s6_values_that_depend_on_another_dimension_are_all_kept(path):
    amplitude = dependent_values((3, 4), 1, [0])
    steps = grid_side((3, 4), ("Cycle", "Bias"), ("", "V"), [range(3), amplitude])
    write(path, grid_side((2,), ("X",)), steps)
    theirs = first(load_reference(path))[0]["Bias"]
    assert (theirs["offset"], theirs["scale"]) == (
        0,
        1,
    )  # of cycle 0; cycle 2 runs three times as far
    with pytest.warns(UsidWarning, match="Bias"):
        axes, _, ours = first(load_ours(path))
    np.testing.assert_array_equal(ours["lazyusid"]["coordinates"]["Bias"], amplitude)
    assert ours["lazyusid"]["coordinate_dims"]["Bias"] == ["Cycle", "Bias"]
    assert axes["Bias"]["units"] == ""  # a counter has no volts


def test_s8_unsigned_values_may_descend(path):
    write(path, grid_side((3,), ("X",)), bias([4, 3, 2, 1, 0]), value_dtype="u1")
    assert first(load_reference(path))[0]["Bias"]["scale"] == 255
    ours = first(load_ours(path))[0]["Bias"]
    assert (ours["offset"], ours["scale"]) == pytest.approx((4, -1))


@pytest.mark.parametrize("units", ["A/(m^2)", "(dB)", "", "1/[cm]"])
def test_s9_quantity_and_units_are_never_glued(path, units):
    write(path, grid_side((3,), ("X",)), bias(), quantity="Flux (peak)", units=units)
    ours = first(load_ours(path))[2]
    assert (ours["quantity"], ours["units"]) == ("Flux (peak)", units)


def test_s9_the_reference_tears_them_apart(path):
    write(path, grid_side((3,), ("X",)), bias(), quantity="Flux", units="A/(m^2)")
    theirs = first(load_reference(path))[2]
    assert (theirs["quantity"], theirs["units"]) != ("Flux", "A/(m^2)")


def test_s10_positions_are_navigated(path):
    write_pyusid(path, *SIDES["2+2"])
    assert not any("navigate" in axis for axis in load_reference(path)[0]["axes"])
    (ours,) = lazyusid.file_reader(path)
    assert [axis["navigate"] for axis in ours["axes"]] == [True, True, False, False]
    assert ours["original_metadata"]["lazyusid"]["sides"] == {
        "X": "position",
        "Y": "position",
        "Bias": "spectroscopic",
        "Cycle": "spectroscopic",
    }


def one_element_strings(channel):
    channel["Raw_Data"].attrs["quantity"] = np.array([b"Current"])


def empty_units(channel):
    channel["Raw_Data"].attrs["units"] = h5py.Empty("S1")


def scalar_labels(channel):
    for table in TABLES[2:]:
        channel[table].attrs["labels"] = "Bias"


def latin_1_labels(channel):
    for table in TABLES[2:]:
        channel[table].attrs["labels"] = np.array(["Drehung °".encode("latin-1")])


def units_that_differ(channel):
    channel[TABLES[2]].attrs["units"] = np.array([b"mV"])


def dangling_references(channel):
    target = channel.create_dataset("gone", data=np.zeros((3, 1)))
    channel["Raw_Data"].attrs[TABLES[0]] = target.ref
    del channel["gone"]


@pytest.mark.parametrize(
    ("damage", "rule", "count"),
    [
        (one_element_strings, "quantity is a list", 1),
        (empty_units, None, 1),
        (scalar_labels, "labels of Spectroscopic_Indices are no list", 1),
        (latin_1_labels, None, 1),
        (units_that_differ, "do not have the same units", 1),
        (dangling_references, "Position_Indices points at nothing", 0),
    ],
)
def test_s11_no_main_vanishes_without_a_word(path, damage, rule, count):
    write(path, grid_side((3,), ("X",)), bias())
    write(path, grid_side((3,), ("X",)), bias(), group=OTHER, mode="a")
    with h5py.File(path, "a") as file:
        damage(file[OTHER])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        signals = load_ours(path)
    assert len(signals) == 1 + count
    assert len(load_reference(path)) == 1
    told = [str(warning.message) for warning in seen]
    assert len(told) == (rule is not None)
    assert all(f"{OTHER}/Raw_Data" in text and rule in text for text in told)


# ---------------------------------------------------------------------------- load failures


def drop_labels(channel):
    for table in TABLES:
        del channel[table].attrs["labels"]


def refer_to_a_group(channel):
    channel["Raw_Data"].attrs["Position_Indices"] = channel.ref


def refer_to_a_line(channel):
    line = channel.create_dataset("Line", data=np.arange(3))
    line.attrs.update({"labels": ["X"], "units": ["m"]})
    for table in TABLES[:2]:
        channel["Raw_Data"].attrs[table] = line.ref


def leave_units_empty(channel):
    channel["Position_Indices"].attrs["units"] = h5py.Empty("S1")


NOWHERE = Side(np.zeros((0, 1), np.int64), np.zeros((0, 1)), ("X",), ("m",))
LINE = grid_side((3,), ("X",))
BAD = {
    "aborted scan": (grid_side((7, 5), ("Y", "X"), keep=31), None, 2),
    "sparse data": (scattered_side(5, 2, np.random.default_rng(0)), None, 2),
    "marked by nothing": (scattered_side(5, 2, np.random.default_rng(0), False), None, 2),
    "no labels": (LINE, drop_labels, 2),
    "reference to a group": (LINE, refer_to_a_group, 1),
    "1-D table": (LINE, refer_to_a_line, 1),
    "empty attribute": (LINE, leave_units_empty, 2),
    "zero positions": (NOWHERE, None, 2),
}


@pytest.mark.filterwarnings("ignore::lazyusid.UsidWarning", "ignore:Ignoring non-uniformity")
@pytest.mark.parametrize("case", BAD)
def test_l1_l2_a_bad_main_does_not_cost_the_others(path, case):
    position, damage, count = BAD[case]
    matrix = write(path, LINE, bias())
    write(path, position, bias(), group=OTHER, mode="a")
    if damage:
        with h5py.File(path, "a") as file:
            damage(file[OTHER])
    ours = load_ours(path)
    assert [signal["original_metadata"]["dataset_path"] for signal in ours] == [
        RAW,
        f"{OTHER}/Raw_Data",
    ][:count]
    np.testing.assert_array_equal(ours[0]["data"], matrix)
    with pytest.raises((ValueError, KeyError, AttributeError, IndexError, TypeError)):
        load_reference(path)


def test_l1_an_aborted_scan_is_loaded_with_its_last_line_half_empty(path):
    position = grid_side((7, 5), ("Y", "X"), keep=31)
    matrix = write(path, position, bias())
    data = first(load_ours(path))[1]
    assert data.shape == (7, 5, 5)
    np.testing.assert_array_equal(data.reshape(35, 5)[:31], matrix)
    assert np.isnan(data.reshape(35, 5)[31:]).all()


def test_l2_sparse_data_are_loaded_with_the_places_of_their_points(path):
    position = scattered_side(5, 2, np.random.default_rng(0), labels=("X", "Y"))
    matrix = write(path, position, bias(), value_dtype="f8")
    axes, data, ours = first(load_ours(path))
    assert list(axes) == ["position", "Bias"]
    np.testing.assert_array_equal(data, matrix)
    np.testing.assert_array_equal(ours["lazyusid"]["coordinates"]["X"], position.values[:, 0])


@pytest.mark.parametrize(
    ("position", "spectroscopic", "expected"),
    [
        (grid_side((3, 2), ("X", "X")), bias(), ["X", "X_2", "Bias"]),
        (grid_side((3, 2), ("Bias", "Y")), bias(), ["Bias", "Y", "Bias_2"]),
    ],
)
def test_l3_a_name_used_twice_is_made_unique(path, position, spectroscopic, expected):
    matrix = write(path, position, spectroscopic)
    with pytest.warns(UsidWarning, match="used more than once"):
        axes, data, _ = first(load_ours(path))
    assert list(axes) == expected
    np.testing.assert_array_equal(data.reshape(6, 5), matrix)
    with pytest.raises(ValueError, match="shape"):
        load_reference(path)


def test_l4_one_position_of_two_dimensions_is_loaded(path):
    matrix = write(path, grid_side((1, 1), ("Y", "X")), bias())
    axes, data, _ = first(load_ours(path))
    assert (list(axes), data.shape) == (["Y", "X", "Bias"], (1, 1, 5))
    np.testing.assert_array_equal(data[0], matrix)
    with pytest.raises(ValueError, match="not matching"):
        load_reference(path)


def test_l5_dimensions_of_one_step_are_kept(path):
    write(path, grid_side((3, 1), ("X", "Y")), bias())
    assert load_reference(path)[0]["data"].shape == (3, 5)
    (ours,) = lazyusid.file_reader(path)
    assert {axis["name"]: axis["size"] for axis in ours["axes"]} == {"X": 3, "Y": 1, "Bias": 5}
    assert ours["data"].ndim == 3


def test_l5_one_number_keeps_one_axis(path):
    write_pyusid(path, NONE, ONE_STEP)
    assert load_reference(path)[0]["data"].ndim == 0
    axes, data, _ = first(load_ours(path))
    assert data.shape == (1,)
    assert axes["Bias"]["offset"] == 3


def test_l6_attributes_of_the_measurement_are_read(path):
    write(path, LINE, bias())
    with h5py.File(path, "a") as file:
        file[CHANNEL].attrs["gain"] = 2
        file["Measurement_000"].attrs["VS_mode"] = "DC"
    assert first(load_reference(path))[2]["parameters"] == {"gain": 2}
    assert first(load_ours(path))[2]["parameters"] == {"gain": 2, "VS_mode": "DC"}


def test_l7_attributes_of_root_main_and_results_and_provenance_are_read(path):
    write(path, LINE, bias(), attrs={"operator": "Ada"})
    write_results(path, RAW, matrix=np.zeros((3, 2)), spectroscopic=grid_side((2,), ("Order",)))
    with h5py.File(path, "a") as file:
        file.attrs["sample"] = "PZT"
        file[f"{RAW}-SHO_Fit_000"].attrs["algorithm"] = "pattern_fitting"
    theirs, ours = str(load_reference(path)), str(load_ours(path))
    told = ["Ada", "PZT", "pattern_fitting", "'tool': 'SHO_Fit'", f"'source': '{RAW}'"]
    assert [text for text in told if text in theirs] == []
    assert [text for text in told if text not in ours] == []


def test_l8_a_path_object_is_taken(path):
    write_pyusid(path, *SIDES["2+2"])
    with pytest.raises(TypeError, match="string"):
        load_reference(Path(path))
    np.testing.assert_array_equal(
        first(load_ours(Path(path)))[1], first(load_reference(str(path)))[1]
    )


@pytest.mark.filterwarnings("ignore::lazyusid.UsidWarning")
def test_l9_an_empty_main_is_loaded_empty(path):
    write(path, NOWHERE, bias())
    with pytest.raises(ValueError, match="not matching"):
        load_reference(path)
    axes, data, _ = first(load_ours(path))
    assert (list(axes), data.shape) == (["X", "Bias"], (0, 5))


def test_l10_images_of_files_that_list_the_fastest_first_are_upright(path):
    position = grid_side((3, 4), ("Y", "X"), order="fastest_first")
    matrix = write(path, position, placeholder_side())
    assert load_reference(path)[0]["data"].shape == (4, 3)
    assert load_ours(path)[0]["data"].shape == (4, 3)
    (ours,) = lazyusid.file_reader(path)
    assert [axis["name"] for axis in ours["axes"]] == ["Y", "X"]
    np.testing.assert_array_equal(ours["data"], matrix.reshape(3, 4))


@pytest.mark.parametrize("lazy", [False, True])
def test_l11_a_wrong_dataset_path_leaves_nothing_open(path, lazy):
    write(path, LINE, bias())
    with pytest.raises(KeyError):
        lazyusid.file_reader(path, dataset_path="/nope", lazy=lazy)
    assert lent_count() == 0
    with h5py.File(path, "r+") as file:
        assert RAW in file


# ---------------------------------------------------------------------------- resources


def test_r1_a_lazy_signal_leaves_the_file_free(path):
    write_pyusid(path, *SIDES["2+2"])
    (ours,) = load_ours(path, lazy=True)
    with h5py.File(path, "r+") as file:
        file["appended"] = 1
    assert ours["data"].compute().shape == (4, 3, 5, 2)
    theirs = load_reference(path, lazy=True)
    with pytest.raises(OSError, match="already open"), h5py.File(path, "r+"):
        pass
    del theirs
