"""Each rule of the format: the Main that breaks it is found, and costs no other."""

import ast
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import lazyusid
from lazyusid.errors import Finding
from lazyusid.hdf5 import validate
from lazyusid.hdf5.validate import strings, text
from tests.builders import TABLES, fixed_text
from tests.opening import assert_small, found, open_with, write_small

GOOD, BAD = "/Good/Raw_Data", "/Bad/Raw_Data"
Break = Callable[[h5py.Group], None]


def put(group: h5py.Group, name: str, **options: Any) -> None:
    """Put another dataset in the place of one, with its attributes, and refer to it."""
    attrs = dict(group[name].attrs)
    del group[name]
    made = group.create_dataset(name, **options)
    made.attrs.update(attrs)
    if name in TABLES:
        group["Raw_Data"].attrs[name] = made.ref


def put_type(group: h5py.Group, name: str, kind: h5py.h5t.TypeID) -> None:
    """Put a dataset of the same shape and another HDF5 type in the place of one."""
    attrs, space = dict(group[name].attrs), h5py.h5s.create_simple(group[name].shape)
    del group[name]
    made = h5py.Dataset(h5py.h5d.create(group.id, name.encode(), kind, space))
    made.attrs.update(attrs)
    if name in TABLES:
        group["Raw_Data"].attrs[name] = made.ref


def set_attribute(table: str, attribute: str, value: Any) -> Break:
    """Set an attribute of a dataset of the group."""

    def change(group: h5py.Group) -> None:
        group[table].attrs[attribute] = value

    return change


def drop_attribute(table: str, attribute: str) -> Break:
    """Delete an attribute of a dataset of the group."""

    def change(group: h5py.Group) -> None:
        del group[table].attrs[attribute]

    return change


def replace(name: str, **options: Any) -> Break:
    """Put another dataset in the place of one."""
    return lambda group: put(group, name, **options)


def on_both(attribute: str, value: Any, role: str = "Position") -> Break:
    """Set an attribute of both tables of a side."""

    def change(group: h5py.Group) -> None:
        for what in ("Indices", "Values"):
            group[f"{role}_{what}"].attrs[attribute] = value

    return change


def drop_on_both(attribute: str, role: str = "Position") -> Break:
    """Delete an attribute of both tables of a side."""

    def change(group: h5py.Group) -> None:
        for what in ("Indices", "Values"):
            del group[f"{role}_{what}"].attrs[attribute]

    return change


def drop_all_references(group: h5py.Group) -> None:
    for name in TABLES:
        del group["Raw_Data"].attrs[name]


def refer_to_a_region(group: h5py.Group) -> None:
    table = group["Position_Indices"]
    group["Raw_Data"].attrs["Position_Indices"] = table.regionref[...]


def refer_to_a_group(group: h5py.Group) -> None:
    group["Raw_Data"].attrs["Position_Values"] = group.ref


def refer_to_what_is_deleted(group: h5py.Group) -> None:
    del group["Spectroscopic_Values"]


def hold_times(name: str) -> Break:
    return lambda group: put_type(group, name, h5py.h5t.UNIX_D32LE)


def transpose(group: h5py.Group, role: str) -> None:
    for what in ("Indices", "Values"):
        put(group, f"{role}_{what}", data=group[f"{role}_{what}"][()].T)


def empty(group: h5py.Group) -> None:
    for what in ("Indices", "Values"):
        put(group, f"Position_{what}", data=np.zeros((6, 0)))


MAIN, POSITIONS, STEPS = "Raw_Data", "Position_Values", "Spectroscopic_Indices"
TEXT = np.full((6, 2), b"x")
LABELS = {
    name: fixed_text(name.split(",")) for name in ("Y", "X,Y", "Y,X,Z", "X,X", "Bias,X", ",X")
}
ERRORS: dict[str, tuple[str, Break]] = {
    "a type that HDF5 cannot tell": ("main-readable", hold_times(MAIN)),
    "one axis": ("main-rank", replace(MAIN, data=np.zeros(6))),
    "three axes": ("main-rank", replace(MAIN, data=np.zeros((6, 2, 1)))),
    "a scalar": ("main-rank", replace(MAIN, data=1.0)),
    "nothing": ("main-rank", replace(MAIN, data=h5py.Empty("f4"))),
    "text": ("main-dtype", replace(MAIN, data=TEXT)),
    "text of any length": (
        "main-dtype",
        replace(MAIN, data=TEXT.astype("O"), dtype=h5py.string_dtype()),
    ),
    "compounds with text": ("main-dtype", replace(MAIN, data=np.zeros((6, 2), "f4,S3"))),
    "a reference too few": ("reference-missing", drop_attribute(MAIN, POSITIONS)),
    "a name as reference": ("reference-kind", set_attribute(MAIN, POSITIONS, POSITIONS)),
    "a number as reference": ("reference-kind", set_attribute(MAIN, POSITIONS, 1)),
    "a null reference": ("reference-dangling", set_attribute(MAIN, POSITIONS, h5py.Reference())),
    "a deleted table": ("reference-dangling", refer_to_what_is_deleted),
    "a group as table": ("reference-target", refer_to_a_group),
    "a table of one axis": ("table-rank", replace(STEPS, data=np.arange(2))),
    "a table of no axis": ("table-rank", replace(STEPS, data=0)),
    "a table of text": ("table-dtype", replace(POSITIONS, data=TEXT)),
    "a table of complex numbers": ("table-dtype", replace(POSITIONS, data=np.zeros((6, 2), "c8"))),
    "a table of times": ("table-dtype", hold_times(POSITIONS)),
    "rows too few": ("table-shape", replace(MAIN, data=np.zeros((5, 2)))),
    "columns too many": ("table-shape", replace(MAIN, data=np.zeros((6, 3)))),
    "values unlike indices": ("table-shape", replace(POSITIONS, data=np.zeros((6, 1)))),
    "transposed positions": ("table-shape", lambda group: transpose(group, "Position")),
    "transposed steps": ("table-shape", lambda group: transpose(group, "Spectroscopic")),
    "tables without columns": ("table-shape", empty),
    "a label too few": ("labels-count", on_both("labels", LABELS["Y"])),
    "a label too many": ("labels-count", on_both("labels", LABELS["Y,X,Z"])),
    "one text for two labels": ("labels-count", on_both("labels", "Y")),
    "indices between integers": (
        "index-integer",
        replace("Position_Indices", data=np.full((6, 2), 0.5)),
    ),
    "indices that are no number": (
        "index-integer",
        replace("Position_Indices", data=np.full((6, 2), np.nan)),
    ),
}
FURTHER = {
    "transposed positions": ("labels-count", "units-count"),
    "transposed steps": ("labels-count", "units-count"),
    "tables without columns": ("labels-count", "units-count"),
}
WARNINGS: dict[str, tuple[str, Break]] = {
    "no reference at all": ("references-missing", drop_all_references),
    "a region reference": ("reference-kind", refer_to_a_region),
    "no quantity": ("quantity-missing", drop_attribute(MAIN, "quantity")),
    "no units": ("units-missing", drop_attribute(MAIN, "units")),
    "quantity in a list": ("quantity-kind", set_attribute(MAIN, "quantity", ["Current"])),
    "units in a list": ("units-kind", set_attribute(MAIN, "units", fixed_text(["nA"]))),
    "a number as quantity": ("quantity-kind", set_attribute(MAIN, "quantity", 1.0)),
    "an empty number as units": ("units-kind", set_attribute(MAIN, "units", h5py.Empty("f4"))),
    "no labels": ("labels-missing", drop_on_both("labels")),
    "numbers as labels": ("labels-missing", on_both("labels", [1, 2])),
    "one text as labels": ("labels-kind", on_both("labels", "Bias", "Spectroscopic")),
    "other labels on the values": (
        "labels-differ",
        set_attribute(POSITIONS, "labels", LABELS["X,Y"]),
    ),
    "no labels on the values": ("labels-differ", drop_attribute(POSITIONS, "labels")),
    "no dimension's units": ("units-count", drop_on_both("units")),
    "too few of the dimensions' units": ("units-count", on_both("units", fixed_text(["nm"]))),
    "other units on the values": (
        "units-differ",
        set_attribute(POSITIONS, "units", fixed_text(["m", "m"])),
    ),
    "no units on the values": ("units-differ", drop_attribute(POSITIONS, "units")),
    "a name twice on a side": ("labels-unique", on_both("labels", LABELS["X,X"])),
    "a name on both sides": ("labels-unique", on_both("labels", LABELS["Bias,X"])),
    "an empty name": ("labels-empty", on_both("labels", LABELS[",X"])),
}


def write_both(path: Path, spoil: Break) -> None:
    """Write a good Main and one that was spoilt."""
    write_small(path, "/Good")
    write_small(path, "/Bad", mode="a")
    with h5py.File(path, "r+") as file:
        spoil(file["Bad"])


@pytest.mark.parametrize("fault", ERRORS)
def test_an_error_costs_its_main_and_no_other(tmp_path: Path, fault: str) -> None:
    rule, spoil = ERRORS[fault]
    write_both(path := tmp_path / "scan.h5", spoil)
    file = open_with(path, rule, *FURTHER.get(fault, ()))
    assert (BAD, rule, "error") in found(file)
    assert {where for where, _, _ in found(file)} == {BAD}
    assert list(file) == [GOOD]
    assert_small(file[GOOD])
    with pytest.raises(lazyusid.NotMainError) as refused:
        _ = file[BAD]
    assert file.findings[0].message in str(refused.value)


@pytest.mark.parametrize("fault", WARNINGS)
def test_a_deviation_is_told_and_the_main_is_read(tmp_path: Path, fault: str) -> None:
    rule, spoil = WARNINGS[fault]
    write_both(path := tmp_path / "scan.h5", spoil)
    file = open_with(path, rule)
    assert found(file) == [(BAD, rule, "warning")]
    assert_small(file[GOOD])
    np.testing.assert_array_equal(file[BAD].read(), file[GOOD].read())


@pytest.mark.parametrize("fault", [*ERRORS, *WARNINGS])
def test_findings_say_what_was_found_in_a_sentence(tmp_path: Path, fault: str) -> None:
    _, spoil = (ERRORS | WARNINGS)[fault]
    write_both(path := tmp_path / "scan.h5", spoil)
    findings = lazyusid.validate(path)
    for finding in findings:
        assert isinstance(finding, Finding)
        assert finding.message.endswith(".")
        assert len(finding.message) > 15
        assert finding.path in str(finding)
        assert finding.rule in str(finding)
        assert finding.severity in str(finding)
    assert findings


def rules_in(module: ast.Module) -> set[str]:
    """The rules that `_error` and `_warning` are called with."""
    names = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("_error", "_warning"):
            rule = node.args[1]
            if isinstance(rule, ast.Constant):
                names.add(rule.value)
            elif isinstance(rule, ast.JoinedStr):  # f"{name}-missing"
                names |= {f"{name}{rule.values[1].value}" for name in ("quantity", "units")}
    return names


def test_every_rule_is_broken_by_a_test() -> None:
    rules = rules_in(ast.parse(Path(validate.__file__).read_text("utf-8")))
    assert len(rules) > 15
    assert rules <= {rule for rule, _ in (ERRORS | WARNINGS).values()}


def test_a_good_file_has_no_findings(tmp_path: Path) -> None:
    write_small(path := tmp_path / "scan.h5")
    assert lazyusid.validate(path) == []


def test_validate_returns_what_open_warns_of_without_a_warning(tmp_path: Path) -> None:
    write_both(path := tmp_path / "scan.h5", ERRORS["rows too few"][1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        findings = lazyusid.validate(path)
    assert findings == open_with(path, "table-shape").findings
    assert "5" in findings[0].message
    assert "6" in findings[0].message


def test_a_main_tells_all_that_is_wrong_with_it(tmp_path: Path) -> None:
    def spoil(group: h5py.Group) -> None:
        for rule in ("no quantity", "units in a list", "an empty name", "no units on the values"):
            WARNINGS[rule][1](group)

    write_both(path := tmp_path / "scan.h5", spoil)
    expected = ["labels-differ", "labels-empty", "quantity-missing", "units-differ", "units-kind"]
    rules = {finding.rule for finding in lazyusid.validate(path)}
    assert rules == {*expected} - {"labels-differ"}


def test_what_is_no_text_is_no_text() -> None:
    assert strings(["a ", " b\n"]) == ["a", "b"]
    assert strings(" m\n") == ["m"]
    assert strings([1, 2]) is None
    assert strings(["a", 1]) is None
    assert strings(None) is None
    assert (text(" nA "), text(["nA", "x"]), text([]), text(3.0), text(None)) == (
        "nA",
        "nA",
        "",
        "",
        "",
    )
