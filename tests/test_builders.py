"""The builders and the oracle against tables small enough to fold by hand."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.builders import (
    Side,
    SideKind,
    dependent_values,
    example_4d,
    grid_side,
    placeholder_side,
    random_side,
    scattered_side,
    take_points,
    write_results,
    write_usid,
)
from tests.oracle import fold, kind_of, read_main, unique_names

NAN = np.nan
SPECTRUM = grid_side((2,), ["Bias"], ["V"], [[-1.0, 1.0]])


def column(*numbers: float) -> np.ndarray:
    """A matrix of one column."""
    return np.array(numbers, dtype=np.float32)[:, np.newaxis]


def test_serpentine_turns_every_second_line() -> None:
    side = grid_side((2, 3), ["Y", "X"], scan="serpentine")
    assert side.indices.tolist() == [[0, 0], [0, 1], [0, 2], [1, 2], [1, 1], [1, 0]]
    assert kind_of(side) == "permuted"
    data, dims, coords, _ = fold(column(0, 1, 2, 3, 4, 5), side, placeholder_side())
    assert dims == ("Y", "X")
    assert data.tolist() == [[0, 1, 2], [5, 4, 3]]
    assert list(coords) == ["Y", "X"]


def test_column_order_does_not_change_the_fold() -> None:
    side = grid_side((2, 3), ["Y", "X"], values=[(10, 20), (1, 2, 4)], order="fastest_first")
    assert side.labels == ("X", "Y")
    assert side.indices.tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]
    assert side.values[:2].tolist() == [[1, 10], [2, 10]]
    data, dims, coords, coord_dims = fold(np.arange(12).reshape(6, 2), side, SPECTRUM)
    assert kind_of(side) == "raster"
    assert dims == ("Y", "X", "Bias")
    assert data.tolist() == [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]]
    assert coords["X"].tolist() == [1, 2, 4]
    assert coord_dims == {"Y": ("Y",), "X": ("X",), "Bias": ("Bias",)}


@pytest.mark.parametrize(
    ("scan", "rows"),
    [
        ("reversed", [5, 4, 3, 2, 1, 0]),
        ("interleaved", [0, 1, 4, 5, 2, 3]),
        ("swapped", [5, 1, 2, 3, 4, 0]),
        ("partial", [0, 1, 2, 3, 4]),
    ],
)
def test_scan_visits_the_points_in_this_order(scan: str, rows: list[int]) -> None:
    raster = grid_side((3, 2))
    assert_array_equal(grid_side((3, 2), scan=scan).indices, raster.indices[rows])


def test_offsets_and_gaps_count_by_rank() -> None:
    side = grid_side((2, 3), counters=[range(7, 9), (0, 2, 9)])
    assert side.indices[-1].tolist() == [8, 9]
    assert kind_of(side) == "raster"
    assert fold(column(*range(6)), side, placeholder_side())[0].shape == (2, 3)


def test_missing_points_of_a_partial_scan_are_nan() -> None:
    side = grid_side((2, 3), ["Y", "X"], scan="partial")
    assert kind_of(side) == "partial"
    data, *_ = fold(column(0, 1, 2, 3, 4), side, placeholder_side())
    assert_array_equal(data, [[0, 1, 2], [3, 4, NAN]])


@pytest.mark.parametrize(
    ("stored", "folded"),
    [
        ("?", "f2"),
        ("u1", "f2"),
        ("i2", "f4"),
        ("u4", "f8"),
        ("i8", "f8"),
        ("f2", "f2"),
        ("c8", "c8"),
    ],
)
def test_missing_points_promote_integers(stored: str, folded: str) -> None:
    side = grid_side((2, 3), scan="partial")
    data, *_ = fold(np.ones((5, 1), stored), side, placeholder_side())
    assert data.dtype == folded
    assert np.isnan(data[1, 2])


def test_missing_points_of_a_compound_are_nan_and_zero() -> None:
    dtype = np.dtype([("height", "f4"), ("count", "i4")])
    data, *_ = fold(np.ones((3, 1), dtype), grid_side((2, 2), scan="partial"), placeholder_side())
    assert data.dtype == dtype
    assert np.isnan(data["height"][1, 1])
    assert data["count"].tolist() == [[1, 1], [1, 0]]


@pytest.mark.parametrize(
    "side",
    [
        scattered_side(4, 2, np.random.default_rng(0)),
        scattered_side(4, 2, np.random.default_rng(0), mark_incomplete=False),
        grid_side((2, 2), incomplete=["D1"]),
        take_points(grid_side((2, 2)), [0, 1, 2, 2]),
        take_points(grid_side((3, 3)), [0, 5, 7, 5]),
        take_points(grid_side((3, 3)), [1, 3, 8]),
    ],
    ids=["marked", "twin columns", "one dimension marked", "repeat", "repeat in a hole", "thin"],
)
def test_scattered_points_are_one_dimension(side: Side) -> None:
    assert kind_of(side) == "scattered"
    matrix = np.arange(2 * side.points).reshape(-1, 2)
    data, dims, coords, coord_dims = fold(matrix, side, SPECTRUM)
    assert dims == ("position", "Bias")
    assert_array_equal(data, matrix)
    assert_array_equal(coords["D1"], side.values[:, 1])
    assert coord_dims == {"D0": ("position",), "D1": ("position",), "Bias": ("Bias",)}


def test_half_of_the_box_is_partial_and_less_is_scattered() -> None:
    half = take_points(grid_side((2, 2), counters=[(0, 1), (0, 2)]), [0, 3])
    third = take_points(grid_side((3, 3), counters=[(0, 1, 2), (0, 1, 3)]), [0, 4, 8])
    assert kind_of(half) == "partial"
    assert kind_of(third) == "scattered"


def test_values_that_depend_on_another_dimension_keep_it() -> None:
    bias = dependent_values((2, 3), axis=1, on=[0], base=[-1, 0, 1])
    assert bias.tolist() == [[-1, 0, 1], [-2, 0, 2]]
    side = grid_side((2, 3), ["Cycle", "Bias"], values=[(0, 1), bias], order="fastest_first")
    _, dims, coords, coord_dims = fold(np.zeros((1, 6)), placeholder_side(), side)
    assert dims == ("Cycle", "Bias")
    assert coord_dims == {"Cycle": ("Cycle",), "Bias": ("Cycle", "Bias")}
    assert_array_equal(coords["Bias"], bias)


def test_only_measured_points_decide_what_values_depend_on() -> None:
    agree = grid_side((2, 2), values=[(0, 1), [[1, 2], [1, 9]]], scan="partial")
    differ = grid_side((2, 2), values=[(0, 1), [[1, 2], [3, 9]]], scan="partial")
    _, _, coords, _ = fold(np.zeros((1, 3)), placeholder_side(), agree)
    assert coords["D1"].tolist() == [1, 2]
    _, _, coords, coord_dims = fold(np.zeros((1, 3)), placeholder_side(), differ)
    assert coord_dims["D1"] == ("D0", "D1")
    assert_array_equal(coords["D1"], [[1, 2], [3, NAN]])


def test_equal_change_counts_put_the_first_column_last() -> None:
    side = grid_side((1, 1, 2), ["A", "B", "C"])
    _, dims, *_ = fold(column(0, 1), side, placeholder_side())
    assert dims == ("B", "A", "C")


def test_one_by_one_main_keeps_its_spectroscopic_axis() -> None:
    data, dims, coords, _ = fold(column(7), placeholder_side("X"), placeholder_side("Z", value=3))
    assert (data.tolist(), dims) == ([7], ("Z",))
    assert coords["Z"].tolist() == [3]


def test_names_are_unique_across_the_sides() -> None:
    assert unique_names(["X", "", "X", "", "X"]) == ["X", "dim", "X_2", "dim_2", "X_3"]
    rng = np.random.default_rng(1)
    twins = scattered_side(3, 2, rng, labels=["position", "position"])
    _, dims, coords, _ = fold(np.zeros((3, 2)), twins, grid_side((2,), ["position"]))
    assert dims == ("position_4", "position_3")
    assert list(coords) == ["position", "position_2", "position_3"]


def test_random_sides_are_of_their_kind() -> None:
    rng = np.random.default_rng(2)
    kinds: tuple[SideKind, ...] = ("raster", "partial", "scattered")
    for kind in kinds:
        assert {kind_of(random_side(rng, kind)) for _ in range(200)} == {kind}
    assert kind_of(random_side(rng, "placeholder")) == "raster"
    permuted = [kind_of(random_side(rng, "permuted")) for _ in range(200)]
    assert set(permuted) <= {"raster", "permuted"}
    assert permuted.count("permuted") > 100


def test_files_keep_the_tables(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    kinds: tuple[SideKind, ...] = ("raster", "permuted", "partial", "scattered", "placeholder")
    for number, kind in enumerate(kinds):
        position, spectroscopic = random_side(rng, kind), random_side(rng, kind, prefix="S")
        matrix = rng.normal(size=(position.points, spectroscopic.points))
        path = write_usid(
            file := tmp_path / f"{number}.h5",
            matrix,
            position,
            spectroscopic,
            chunks=True,
            compression="gzip",
            shuffle=True,
            value_dtype="f2",
            table_chunks=3,
            table_compression="gzip",
        )
        with h5py.File(file) as h5:
            read, *sides = read_main(h5[path])
            assert h5[h5[path].attrs["Spectroscopic_Values"]].shape == spectroscopic.values.T.shape
        assert_array_equal(read, matrix)
        for side, written in zip(sides, (position, spectroscopic), strict=True):
            assert_array_equal(side.indices, written.indices)
            assert_array_equal(side.values, written.values)
            assert (side.labels, side.units) == (written.labels, written.units)
            assert side.incomplete == tuple(sorted(written.incomplete))


def test_channels_share_tables(tmp_path: Path) -> None:
    file, position = tmp_path / "shared.h5", grid_side((2, 3), ["Y", "X"])
    for number, mode in enumerate("wa"):
        channel = f"/Measurement_000/Channel_{number:03d}"
        args = (np.zeros((6, 2)), position, SPECTRUM)
        write_usid(file, *args, group=channel, mode=mode, tables_in="/Measurement_000")
    with h5py.File(file) as h5:
        assert set(h5["Measurement_000/Channel_001"]) == {"Raw_Data"}
        assert h5[h5[f"{channel}/Raw_Data"].attrs["Position_Indices"]].name == (
            "/Measurement_000/Position_Indices"
        )
    other = grid_side((3, 2))
    with pytest.raises(ValueError, match="other indices"):
        write_usid(file, np.zeros((6, 2)), other, SPECTRUM, group="/Measurement_000", mode="a")


def test_results_share_positions_with_their_source(tmp_path: Path) -> None:
    file = tmp_path / "results.h5"
    source, _ = example_4d(file)
    path = write_results(
        file,
        source,
        matrix=np.zeros((42, 2)),
        spectroscopic=grid_side((2,), ["Cycle"]),
        completed=np.arange(42) < 20,
        last_pixel=20,
    )
    assert path == "/Measurement_000/Channel_000/Raw_Data-SHO_Fit_000/Fit"
    with h5py.File(file) as h5:
        group = h5[path].parent
        assert h5[group.attrs["source_000"]].name == source
        assert (group.attrs["tool"], group.attrs["last_pixel"]) == ("SHO_Fit", 20)
        assert group["completed_positions"][()].sum() == 20
        assert h5[h5[path].attrs["Position_Indices"]] == h5[h5[source].attrs["Position_Indices"]]
        assert read_main(h5[path])[2].labels == ("Cycle",)


def test_example_folds_to_its_array(tmp_path: Path) -> None:
    file = tmp_path / "example.h5"
    path, expected = example_4d(file)
    with h5py.File(file) as h5:
        assert h5[path].chunks == (7, 32)
        data, dims, coords, _ = fold(*read_main(h5[path]))
    assert dims == ("Y", "X", "Cycle", "Bias")
    assert_array_equal(data, expected)
    assert coords["Bias"][[0, -1]].tolist() == [-5, 5]
