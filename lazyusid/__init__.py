"""h5USID files as lazy N-D dask arrays: read, written and converted at any size."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lazyusid.api.files import UsidFile, open, validate
    from lazyusid.api.main import MainDataset
    from lazyusid.errors import (
        FilterError,
        Finding,
        FormatError,
        JobError,
        LayoutError,
        NotMainError,
        SinkError,
        SourceError,
        UnsafeSourceError,
        UsidError,
        UsidWarning,
    )
    from lazyusid.layout.dimension import Dimension
    from lazyusid.rsciio import file_reader

__version__ = "0.1.0"

__all__ = [
    "Dimension",
    "FilterError",
    "Finding",
    "FormatError",
    "JobError",
    "LayoutError",
    "MainDataset",
    "NotMainError",
    "SinkError",
    "SourceError",
    "UnsafeSourceError",
    "UsidError",
    "UsidFile",
    "UsidWarning",
    "__version__",
    "file_reader",
    "open",
    "validate",
]

_HOMES = {
    "Dimension": "lazyusid.layout.dimension",
    "MainDataset": "lazyusid.api.main",
    "UsidFile": "lazyusid.api.files",
    "file_reader": "lazyusid.rsciio",
    "open": "lazyusid.api.files",
    "validate": "lazyusid.api.files",
}


def __getattr__(name: str) -> Any:
    """Load a public name on its first use, so that importing lazyusid costs next to nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'lazyusid' has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "lazyusid.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
