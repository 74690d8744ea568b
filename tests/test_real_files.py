"""The real files of the shared folder, read as any other; skipped where the folder is not."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import lazyusid
from tests.opening import found, open_quietly, open_with
from tests.oracle import fold, read_main

DATA = Path(__file__).parents[2] / "shared" / "data"
MAINS = {"AFM_Force_Curve.h5": 1, "SingFreqPFM_0003.h5": 4, "sparse_sampling.h5": 7}

pytestmark = pytest.mark.skipif(
    not all((DATA / name).is_file() for name in MAINS), reason=f"{DATA} has not all of {[*MAINS]}"
)


@pytest.mark.parametrize("name", MAINS)
def test_every_main_equals_the_oracle(name: str) -> None:
    file = open_quietly(DATA / name, mask_unfinished=False)
    assert len(file) == MAINS[name]
    for path, main in file.items():
        with h5py.File(DATA / name) as h5:
            data, dims, coords, coord_dims = fold(*read_main(h5[path]))
        assert (main.dims, dict(main.coord_dims)) == (dims, coord_dims)
        for whole in (main.data.compute(), main.read()):
            assert whole.dtype == data.dtype
            assert_array_equal(whole, data)
        assert {*main.coords} == {*coords}
        for coordinate, values in coords.items():
            assert_array_equal(main.coords[coordinate], values)


@pytest.mark.parametrize("name", MAINS)
def test_mains_are_all_two_dimensional_datasets_with_references(name: str) -> None:
    with h5py.File(DATA / name) as h5:
        paths = []
        h5.visititems(
            lambda path, item: paths.append(f"/{path}") if "quantity" in item.attrs else None
        )
    assert sorted(paths) == sorted(open_quietly(DATA / name))


@pytest.mark.parametrize("name", MAINS)
def test_attributes_of_all_groups_are_plain(name: str) -> None:
    plain = (str, int, float, bool, complex, list, np.ndarray, tuple, type(None))
    for main in open_quietly(DATA / name).values():
        for attrs in (*main.metadata.values(), main.attrs):
            for value in attrs.values():
                told = type(value).__name__
                assert isinstance(value, plain) or told == "RegionReference", value
                assert not isinstance(value, (bytes, np.generic)), value


def test_the_images_are_four_on_one_grid() -> None:
    file = open_with(DATA / "SingFreqPFM_0003.h5")
    assert file.findings == []
    assert [main.quantity for main in file.values()] == [
        "HeightRetrace",
        "AmplitudeRetrace",
        "DeflectionRetrace",
        "PhaseRetrace",
    ]
    for main in file.values():
        assert (main.dims, main.shape) == (("Y", "X"), (128, 128))
        assert all(axis.uniform for axis in main.dimensions[:2])
        assert main.layout.position.kind == "raster"
        assert len(main.metadata["/Measurement_000"]) == 851
        with main.h5() as dataset:
            assert_array_equal(main.read().ravel(), dataset[:, 0])
    assert len(file.raw) == 4


def test_the_force_curve_keeps_all_its_steps() -> None:
    main = open_with(DATA / "AFM_Force_Curve.h5").main
    assert (main.dims, main.shape, main.quantity) == (("Z",), (2045,), "Deflection")
    z = main.coords["Z"]
    assert (len(z), len(np.unique(z))) == (2045, 2040)
    assert main.coord_dims["Z"] == ("Z",)
    assert not main.dimensions[-1].uniform
    assert len(main.metadata["/Measurement_000"]) == 632
    assert main.data.mean().compute() == pytest.approx(main.read().mean(), rel=1e-6)


def test_sparse_sampling_gives_all_of_its_mains() -> None:
    file = open_with(DATA / "sparse_sampling.h5", "unfinished")
    channel = "/Measurement_000/Channel_000"
    results = [path for path in file if "Simple_Process" in path]
    assert (len(file), len(results)) == (7, 5)
    assert {*found(file)} == {(path, "unfinished", "warning") for path in results}
    for path in (f"{channel}/Raw_Data", "/Measurement_000/Channel_001/Raw_Data"):
        main = file[path]
        assert (main.dims, main.shape) == (("position", "Frequency"), (8, 3))
        assert main.layout.position.kind == "scattered"
        assert {*main.coords} == {"X", "Y", "Frequency"}
        assert main.complete == 1
        assert np.isfinite(main.read()).all()


def test_sparse_sampling_says_which_results_never_began() -> None:
    file = open_quietly(DATA / "sparse_sampling.h5")
    for main in file.find(tool="Simple_Process"):
        assert (main.complete, main.source.path) == (0, "/Measurement_000/Channel_000/Raw_Data")
        assert np.isnan(main.read()).all()
        assert not main.measured.any().compute()
    assert len(file.raw) == 2
    assert len(file.raw[0].results("Simple_Process")) == 5


@pytest.mark.parametrize("name", MAINS)
def test_opening_leaves_the_file_as_it_was(name: str) -> None:
    before = (DATA / name).stat()
    file = open_quietly(DATA / name)
    for main in file.values():
        main.data.compute()
    lazyusid.validate(DATA / name)
    after = (DATA / name).stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
