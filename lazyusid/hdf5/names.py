"""Names of objects and attributes: UTF-8, else latin-1, as old translators wrote them."""

import h5py


def decode(text: bytes | str) -> str:
    """Return text as str: UTF-8, else latin-1."""
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def member(group: h5py.Group, path: str) -> h5py.HLObject:
    """Return the object at a path as `walk` gives it; names that are no UTF-8 are latin-1."""
    try:
        return group[path]
    except KeyError:
        return group[path.encode("latin-1", "ignore")]
