"""`open` and `UsidFile`: what a user finds in a file, and how."""

import os
import pickle
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import lazyusid
from lazyusid import NotMainError, SourceError, UsidError, UsidWarning
from lazyusid.hdf5.handles import lent_count
from tests.builders import TABLES, grid_side, placeholder_side, write_results, write_usid
from tests.opening import (
    LINES,
    NUMBERS,
    SPECTRUM,
    assert_small,
    open_quietly,
    open_with,
    run_python,
    write_small,
)

CHANNEL = "/Measurement_000/Channel_000"
MAIN = f"{CHANNEL}/Raw_Data"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A scan, two fits of it, a guess, and an image in another Channel."""
    path = tmp_path / "scan.h5"
    source = write_small(path)
    image = np.arange(6)[:, np.newaxis]
    for index in range(2):
        for name in ("Guess", "Fit"):
            write_results(
                path, source, name=name, index=index, matrix=image, spectroscopic=placeholder_side()
            )
    write_usid(
        path,
        image,
        LINES,
        placeholder_side(),
        group="/Measurement_000/Channel_001",
        name="Image",
        quantity="Height",
        units="m",
        mode="a",
    )
    return path


FITS = [f"{CHANNEL}/Raw_Data-SHO_Fit_{index:03d}/Fit" for index in range(2)]
GUESSES = [f"{CHANNEL}/Raw_Data-SHO_Fit_{index:03d}/Guess" for index in range(2)]
IMAGE = "/Measurement_000/Channel_001/Image"
ALL = {MAIN, IMAGE, *FITS, *GUESSES}


# ---------------------------------------------------------------------------- opening


@pytest.mark.parametrize("kind", [str, Path, os.fsdecode])
def test_str_and_path_are_opened(path: Path, kind: Callable[[Path], str | Path]) -> None:
    file = open_with(kind(path))
    assert {*file} == ALL
    assert file.path == str(path)


def test_a_relative_path_stays_good_where_the_user_goes_elsewhere(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    file = open_with(path.name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert file.path == str(path)
    assert_small(file[MAIN])
    assert file[MAIN].data.sum().compute() == 66
    assert file[MAIN].tables["Position_Values"].read().shape == (6, 2)


def test_a_home_relative_path_is_no_home(path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        lazyusid.open("~/surely/not/here.h5")


def test_with_opens_and_closes_nothing(path: Path) -> None:
    with open_with(path) as file:
        assert lent_count() == 0
        main = file[MAIN]
    assert_small(main)
    with h5py.File(path, "r+"):
        pass


def test_with_lets_errors_pass(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_with(path):
        raise ZeroDivisionError


@pytest.mark.parametrize("when", ["after open", "after compute"])
def test_the_file_can_be_written_right_after(path: Path, when: str) -> None:
    file = open_with(path)
    lazy = file[MAIN].data.sum()
    if when == "after compute":
        assert lazy.compute() == 66
    with h5py.File(path, "r+") as h5:
        h5.create_group("appended")
    assert lazy.compute() == 66
    assert "/appended" in open_with(path).groups


def test_opening_reads_and_never_writes(path: Path) -> None:
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    path.chmod(0o444)
    file = open_with(path)
    file[MAIN].data.compute()
    with file[MAIN].h5() as dataset:
        assert dataset.file.mode == "r"
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_an_unknown_option_is_a_type_error(path: Path) -> None:
    with pytest.raises(TypeError, match="lazy"):
        lazyusid.open(path, lazy=True)


# ---------------------------------------------------------------------------- a mapping


def test_a_file_is_a_mapping_of_absolute_paths(path: Path) -> None:
    file = open_with(path)
    assert len(file) == 6
    assert [main.path for main in file.values()] == list(file)
    assert all(isinstance(main, lazyusid.MainDataset) for main in file.values())
    assert MAIN in file
    assert "/nothing" not in file
    assert file.get("/nothing") is None


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        (MAIN, MAIN),
        ("Raw_Data", MAIN),
        ("Channel_000/Raw_Data", MAIN),
        ("Image", IMAGE),
        ("Raw_Data-SHO_Fit_001/Fit", FITS[1]),
        (FITS[0][1:], FITS[0]),
    ],
)
def test_an_absolute_path_or_a_unique_suffix_names_a_main(path: Path, key: str, meant: str) -> None:
    assert open_with(path)[key].path == meant


def test_the_tool_of_a_results_group_begins_a_suffix_too(path: Path) -> None:
    assert open_with(path)["SHO_Fit_001/Fit"].path == FITS[1]


def test_an_ambiguous_suffix_lists_the_candidates(path: Path) -> None:
    with pytest.raises(NotMainError) as refused:
        _ = open_with(path)["Fit"]
    assert all(candidate in str(refused.value) for candidate in FITS)
    assert not any(other in str(refused.value) for other in (*GUESSES, IMAGE))


@pytest.mark.parametrize("key", ["Nothing", "/Raw_Data", "", "/", CHANNEL, "Fit_001"])
def test_an_unknown_key_lists_all_mains(path: Path, key: str) -> None:
    with pytest.raises(NotMainError) as refused:
        _ = open_with(path)[key]
    assert all(candidate in str(refused.value) for candidate in ALL)
    assert repr(key) in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_key_that_is_no_text_is_a_key_error(path: Path) -> None:
    file = open_with(path)
    assert 0 not in file
    with pytest.raises(KeyError):
        _ = file[0]


def test_an_exact_suffix_wins_over_nothing_shorter(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5", "/A", name="Data")
    write_small(path, "/B/A", name="Data", mode="a")
    file = open_with(path)
    assert file["/A/Data"].path == "/A/Data"
    assert file["B/A/Data"].path == "/B/A/Data"
    with pytest.raises(NotMainError):
        _ = file["A/Data"]


def test_a_file_without_mains_says_so(tmp_path: Path) -> None:
    with h5py.File(path := tmp_path / "other.h5", "w"):
        pass
    file = open_with(path)
    for ask in (lambda: file["x"], lambda: file.main):
        with pytest.raises(NotMainError, match="none"):
            ask()


# ---------------------------------------------------------------------------- finding


def paths(mains: list[lazyusid.MainDataset]) -> list[str]:
    return [main.path for main in mains]


def test_raw_mains_are_no_results(path: Path) -> None:
    assert paths(open_with(path).raw) == [MAIN, IMAGE]


def test_mains_are_found_by_what_they_are(path: Path) -> None:
    file = open_with(path)
    assert paths(file.find(name="Fit")) == FITS
    assert {*paths(file.find(tool="SHO_Fit"))} == {*FITS, *GUESSES}
    assert paths(file.find(tool="SHO_Fit", name="Guess")) == GUESSES
    assert paths(file.find(tool="")) == [MAIN, IMAGE]
    assert paths(file.find(quantity="Height")) == [IMAGE]
    assert paths(file.find(dims=("Y", "X", "Bias"))) == [MAIN]
    assert paths(file.find(dims=("Bias", "X", "Y"))) == [MAIN]
    assert {*paths(file.find(dims=("Y", "X")))} == ALL - {MAIN}
    assert {*paths(file.find())} == ALL
    assert file.find(name="Fit", quantity="Height") == []
    assert file.find(name="Nothing") == []


def test_the_main_is_the_only_one_or_the_only_raw_one(path: Path, tmp_path: Path) -> None:
    write_small(alone := tmp_path / "alone.h5")
    assert open_with(alone).main.path == MAIN
    write_results(alone, MAIN, matrix=np.zeros((6, 1)), spectroscopic=placeholder_side(), index=3)
    assert open_with(alone).main.path == MAIN
    with pytest.raises(NotMainError) as refused:
        _ = open_with(path).main
    assert MAIN in str(refused.value)
    assert IMAGE in str(refused.value)


# ---------------------------------------------------------------------------- the rest of the file


def test_everything_else_is_reachable(path: Path) -> None:
    with h5py.File(path, "r+") as h5:
        h5["Notes/plan"] = np.arange(3)
        h5["Notes/text"] = "measured at night"
        h5["Notes"].attrs["author"] = "me"
        h5.attrs["sample_name"] = "PZT"
    file = open_with(path)
    assert not {*file.datasets} & {*file}
    assert {"/Notes/plan", "/Notes/text", *(f"{CHANNEL}/{name}" for name in TABLES)} <= {
        *file.datasets
    }
    assert file.datasets["/Notes/plan"].read().tolist() == [0, 1, 2]
    assert "/Notes" in file.groups
    assert file.attrs == {"sample_name": "PZT"}


@pytest.mark.parametrize("what", ["attrs", "datasets"])
def test_changing_what_a_file_gave_changes_no_file(path: Path, what: str) -> None:
    file = open_with(path)
    before = {*getattr(file, what)}
    with suppress(TypeError):
        getattr(file, what)["x"] = 1
    assert {*getattr(file, what)} == before
    file.findings.append("mine")
    assert file.findings == []


def test_the_repr_names_file_and_mains(path: Path) -> None:
    told = repr(open_with(path))
    assert str(path) in told
    assert "6 Mains" in told
    assert all(main in told for main in ALL)
    assert len(told.splitlines()) == 7


def test_a_file_and_its_mains_pickle(path: Path) -> None:
    file = open_with(path)
    for carried in (pickle.loads(pickle.dumps(file[MAIN])), pickle.loads(pickle.dumps(file))[MAIN]):
        assert_small(carried)
        assert carried.data.name == file[MAIN].data.name


def test_a_file_and_its_mains_pickle_after_they_were_used(path: Path) -> None:
    file = open_with(path)
    main = file[MAIN]
    _ = main.coords, main.coord_dims, main.coord_units, main.data, main.plan, main.params
    _ = main.nearby, main.metadata, main.results(), file.datasets
    for carried in (pickle.loads(pickle.dumps(main)), pickle.loads(pickle.dumps(file))[MAIN]):
        assert_small(carried)


# ---------------------------------------------------------------------------- warnings


def spoil(path: Path, *names: str) -> None:
    with h5py.File(path, "r+") as file:
        for name in names:
            del file[name].attrs["quantity"]
            file[name].attrs["units"] = ["nA"]


def test_findings_warn_once_a_rule(path: Path) -> None:
    spoil(path, MAIN, IMAGE)
    with pytest.warns(UsidWarning) as caught:
        lazyusid.open(path)
    told = sorted(str(warning.message) for warning in caught)
    assert [re.findall(r"\[(.*)\]$", message) for message in told] == [
        ["quantity-missing"],
        ["units-kind"],
    ]
    assert all("1 more" in message for message in told)
    assert all(str(path) in message for message in told)


def test_findings_warn_at_every_open_under_the_default_filters(path: Path) -> None:
    spoil(path, MAIN)
    script = """
import sys, warnings
import lazyusid
warnings.showwarning = lambda message, category, *where: print(category.__name__, message)
for number in range(2):
    print("open", number)
    lazyusid.open(sys.argv[1])
    lazyusid.validate(sys.argv[1])
"""
    told = run_python(script, path)
    words = re.findall(r"open \d|UsidWarning|\[.*\]", told)
    once = ["UsidWarning", "[quantity-missing]", "UsidWarning", "[units-kind]"]
    assert words == ["open 0", *once, "open 1", *once]


def test_findings_can_be_turned_into_errors_or_ignored(path: Path) -> None:
    spoil(path, MAIN)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UsidWarning):
            lazyusid.open(path)
        warnings.simplefilter("ignore", UsidWarning)
        assert len(lazyusid.open(path).findings) == 2
    assert lent_count() == 0


def test_a_clean_file_warns_of_nothing(path: Path) -> None:
    open_with(path)


# ---------------------------------------------------------------------------- options


def test_chunks_reach_the_blocks(path: Path) -> None:
    assert open_with(path, chunks=(1, -1, (1, 1)))[MAIN].data.chunks == ((1, 1), (3,), (1, 1))
    assert open_with(path, chunks={"X": 2})[MAIN].data.chunks == ((2,), (2, 1), (2,))
    assert open_with(path, chunks="images")[MAIN].data.chunks[:2] == ((2,), (3,))
    assert open_with(path, chunks="spectra")[MAIN].data.chunks[2] == (2,)


@pytest.mark.parametrize("chunks", ["whole", {"Z": 1}, (1, 1), (1, 1, (1, 2)), (0, 1, 1), 3.5])
def test_chunks_that_make_no_sense_are_refused(path: Path, chunks: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        _ = open_quietly(path, chunks=chunks)[MAIN].data


def test_placeholders_are_kept_on_request(path: Path) -> None:
    main = open_with(path, keep_placeholders=True)[IMAGE]
    assert (main.dims, main.shape) == (("Y", "X", "arb"), (2, 3, 1))
    assert main.coords["arb"].tolist() == [1]
    assert main.read().shape == main.data.shape == (2, 3, 1)
    assert open_with(path)[IMAGE].dims == ("Y", "X")
    assert [dimension.name for dimension in open_with(path)[IMAGE].dimensions] == ["Y", "X", "arb"]


def test_options_reach_results_sources_and_fields(path: Path) -> None:
    file = open_with(path, keep_placeholders=True, fill=-1)
    (fit,) = [result for result in file[MAIN].results() if result.path == FITS[1]]
    assert fit.dims == ("Y", "X", "arb")
    assert fit.source.results()[0].dims == ("Y", "X", "arb")
    assert fit.refold(position="points").dims == ("position", "arb")


def test_engines_read_the_same(path: Path) -> None:
    mains = [open_with(path, engine=engine)[MAIN] for engine in ("auto", "raw", "h5py")]
    for main in mains:
        assert_small(main)
        assert_array_equal(main.data.compute(), NUMBERS)
    assert len({main.data.name for main in mains}) <= 2


def test_an_engine_that_is_none_is_refused(path: Path) -> None:
    with pytest.raises((ValueError, TypeError), match="fast"):
        open_with(path, engine="fast")


def test_a_damaged_main_is_told_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    write_small(path)
    with h5py.File(path, "r+") as file:
        del file[MAIN].attrs["Position_Values"]
    file = open_with(path, "reference-missing")
    with pytest.raises(NotMainError, match="has no attribute Position_Values"):
        _ = file[MAIN]
    with pytest.raises(UsidError, match="has no attribute Position_Values"):
        _ = file["Raw_Data"]


def test_same_data_however_the_side_is_scanned(tmp_path: Path) -> None:
    for scan in ("raster", "serpentine", "shuffled"):
        side = grid_side((2, 3), ["Y", "X"], scan=scan)
        cells = np.ravel_multi_index(tuple(side.indices.T), (2, 3))
        write_usid(tmp_path / f"{scan}.h5", NUMBERS.reshape(6, 2)[cells], side, SPECTRUM)
        assert_array_equal(open_with(tmp_path / f"{scan}.h5").main.read(), NUMBERS)
