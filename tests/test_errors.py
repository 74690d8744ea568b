"""The exception tree: what users catch, what travels between processes, what findings say."""

import copy
import inspect
import pickle

import cloudpickle
import pytest

import lazyusid
from lazyusid import errors
from lazyusid.errors import Finding, UsidError, UsidWarning

TREE = {
    "UsidError": (Exception,),
    "FormatError": (UsidError, ValueError),
    "NotMainError": (errors.FormatError, KeyError),
    "LayoutError": (errors.FormatError,),
    "SourceError": (UsidError, OSError),
    "FilterError": (errors.SourceError,),
    "UnsafeSourceError": (errors.SourceError,),
    "SinkError": (UsidError, OSError),
    "JobError": (UsidError, RuntimeError),
    "UsidWarning": (UserWarning,),
}
EXCEPTIONS = [name for name in TREE if name != "UsidWarning"]


def test_the_tree_is_the_designs() -> None:
    classes = inspect.getmembers(errors, inspect.isclass)
    mine = {name: kind for name, kind in classes if kind.__module__ == errors.__name__}
    raised = {name: kind for name, kind in mine.items() if issubclass(kind, BaseException)}
    assert {name: kind.__bases__ for name, kind in raised.items()} == TREE


def test_all_of_them_are_public() -> None:
    for name in TREE:
        assert name in lazyusid.__all__
        assert getattr(lazyusid, name) is getattr(errors, name)


@pytest.mark.parametrize("name", EXCEPTIONS)
@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_exceptions_pickle_with_all_they_carry(name: str, pickler: object) -> None:
    error = getattr(errors, name)("scan.h5: what was found.", "/M/Raw_Data", "table-shape")
    for carried in (pickle.loads(pickler.dumps(error)), copy.copy(error)):
        assert type(carried) is type(error)
        assert (carried.path, carried.rule) == ("/M/Raw_Data", "table-shape")
        assert str(carried) == str(error) == "scan.h5: what was found."
        assert carried.args == error.args


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_a_message_is_enough(name: str) -> None:
    error = getattr(errors, name)("what was found.")
    assert (str(error), error.path, error.rule) == ("what was found.", "", "")
    assert str(pickle.loads(pickle.dumps(error))) == "what was found."


def test_what_is_raised_can_be_caught_as_what_python_calls_it(tmp_path) -> None:
    with pytest.raises(OSError, match="no such file"):
        lazyusid.open(tmp_path / "nothing.h5")
    with pytest.raises(KeyError) as refused:
        raise errors.NotMainError("no Main 'x'; the Mains are: /a, /b.", "x", "main-name")
    assert str(refused.value) == "no Main 'x'; the Mains are: /a, /b."


def test_warnings_pickle() -> None:
    assert str(pickle.loads(pickle.dumps(UsidWarning("told")))) == "told"


def test_findings_are_values_that_print_and_pickle() -> None:
    finding = Finding("/M/Raw_Data", "table-shape", "error", "has 5 rows, not 6.")
    assert str(finding) == "error: /M/Raw_Data: has 5 rows, not 6. [table-shape]"
    assert pickle.loads(pickle.dumps(finding)) == finding
    assert len({finding, Finding("/M/Raw_Data", "table-shape", "error", "has 5 rows, not 6.")}) == 1
    with pytest.raises(AttributeError):
        finding.rule = "other"
