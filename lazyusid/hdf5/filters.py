"""HDF5's filter pipeline: which filters are known, and how stored bytes become elements.

Filters are known by their registered numbers (https://github.com/HDFGroup/hdf5_plugins and the
HDF5 reference manual, H5Z); the packings are those of the filters' own sources. A decoder never
returns fewer bytes than asked for, so memory that was not written never reaches a user.
"""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from lazyusid.errors import FilterError

Bytes = NDArray[np.uint8]

DEFLATE, SHUFFLE, FLETCHER32, SZIP, NBIT, SCALEOFFSET = range(1, 7)
LZF, BLOSC, LZ4, BITSHUFFLE, ZSTD = 32000, 32001, 32004, 32008, 32015
BITSHUFFLE_LZ4, BITSHUFFLE_ZSTD = 2, 3

NAMES = {
    DEFLATE: "gzip",
    SHUFFLE: "shuffle",
    FLETCHER32: "fletcher32",
    SZIP: "szip",
    NBIT: "nbit",
    SCALEOFFSET: "scaleoffset",
    307: "bzip2",
    LZF: "lzf",
    BLOSC: "blosc",
    LZ4: "lz4",
    BITSHUFFLE: "bitshuffle",
    32013: "zfp",
    ZSTD: "zstd",
    32017: "sz",
    32018: "fcidecomp",
    32024: "sz3",
    32026: "blosc2",
    32028: "sperr",
}
BUILT_IN = {DEFLATE, SHUFFLE, FLETCHER32, SZIP, NBIT, SCALEOFFSET, LZF}


class Filter(NamedTuple):
    """A filter's registered number and its client data."""

    code: int
    values: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name for people."""
        return NAMES.get(self.code, f"filter {self.code}")


Pipeline = tuple[Filter, ...]
"""Filters in the order in which writing applies them."""


class DecodeError(ValueError):
    """Stored bytes are no chunk of the expected size."""


def pipeline_of(dataset: h5py.Dataset) -> Pipeline:
    """Return the filters that chunks of a dataset pass."""
    properties = dataset.id.get_create_plist()
    found = [properties.get_filter(index) for index in range(properties.get_nfilters())]
    return tuple(Filter(code, tuple(values)) for code, _, values, _ in found)


def unknown(pipeline: Pipeline) -> list[Filter]:
    """Return the filters that neither we nor HDF5 as installed here can undo."""
    foreign = [step for step in pipeline if step.code not in BUILT_IN and not _decodes(step)]
    plugins = bool(foreign) and find_spec("hdf5plugin") is not None
    return [step for step in foreign if not (plugins and step.code in NAMES)]


def explain(steps: list[Filter]) -> str:
    """Return what is unknown about filters, and what to install."""
    told = ", ".join(f"{step.name} (number {step.code})" for step in steps)
    if all(step.code in NAMES for step in steps):
        return f"is packed with {told}; install the package hdf5plugin to read it."
    return f"is packed with {told}, which no package known here can undo."


def prepare(pipeline: Pipeline, where: str) -> None:
    """Load what HDF5 needs to undo a pipeline itself.

    Raises
    ------
    FilterError
        Where a filter is unknown; names its number and the package to install.
    """
    missing = unknown(pipeline)
    if missing:
        raise FilterError(f"{where}: {explain(missing)}", where, "filter")
    if any(step.code not in BUILT_IN for step in pipeline):
        import hdf5plugin  # noqa: F401 - registers its filters with HDF5


def decodable(pipeline: Pipeline) -> bool:
    """Return whether `Decoder` undoes a pipeline; others are left to HDF5."""
    packers = [step for step in pipeline if step.code not in (SHUFFLE, FLETCHER32)]
    return len(packers) <= 1 and all(map(_decodes, pipeline))


def _decodes(step: Filter) -> bool:
    if step.code == BITSHUFFLE:
        return len(step.values) > 4 and step.values[4] in (BITSHUFFLE_LZ4, BITSHUFFLE_ZSTD)
    return step.code in _STEPS


class Decoder:
    """Undoes a pipeline for chunks of `size` bytes; made once a read, used by one thread."""

    def __init__(self, pipeline: Pipeline, size: int) -> None:
        self._pipeline = pipeline
        self._size = size
        self._spare = [np.empty(size + 4 * len(pipeline), np.uint8) for _ in pipeline[1:]]
        self._plans: dict[int, list[tuple[Filter, Bytes | None]]] = {}

    def decode(self, stored: Bytes, skipped: int, out: Bytes) -> Bytes:
        """Return the chunk that `stored` packs: in `out`, or `stored` where nothing was applied.

        Parameters
        ----------
        stored
            Bytes as they lie in the file.
        skipped
            Filter mask: bit k set where the k-th filter was not applied to this chunk.
        out
            Contiguous, exactly as long as a chunk.

        Raises
        ------
        DecodeError
            Where the bytes are damaged, or make a chunk of another length.
        """
        plan = self._plans.get(skipped)
        if plan is None:
            plan = self._plans[skipped] = self._plan(skipped)
        for step, spare in plan:
            try:
                stored = _STEPS[step.code](stored, step.values, out if spare is None else spare)
            except (RuntimeError, ValueError, IndexError, MemoryError) as error:
                raise DecodeError(f"{step.name} cannot undo it: {error}") from error
        if len(stored) != self._size:
            raise DecodeError(f"{len(stored):,} bytes instead of {self._size:,}")
        return stored

    def _plan(self, skipped: int) -> list[tuple[Filter, Bytes | None]]:
        """Return the filters to undo, last first, each with where its result goes; None: `out`.

        A result has the size of a chunk, and of the checksums that were appended before.
        """
        steps = [step for place, step in enumerate(self._pipeline) if not skipped >> place & 1]
        sums = [
            sum(step.code == FLETCHER32 for step in steps[:place]) for place in range(len(steps))
        ]
        targets = [
            spare[: self._size + 4 * count]
            for spare, count in zip(self._spare, sums[1:], strict=False)
        ]
        return list(zip(steps, [None, *targets], strict=False))[::-1]


Step = Callable[[Bytes, tuple[int, ...], Bytes], Bytes]
"""Undo one filter: stored bytes, client data, where the result may go -> the result."""


@cache
def _codecs() -> ModuleType:
    import imagecodecs

    return imagecodecs


def _array(result: Bytes | bytes) -> Bytes:
    """Return what a codec made as an array; it is a part of `out` where a codec could use that."""
    return result if isinstance(result, np.ndarray) else np.frombuffer(result, np.uint8)


def _deflate(stored: Bytes, values: tuple[int, ...], out: Bytes) -> Bytes:
    return _array(_codecs().deflate_decode(stored, out=out))


def _lzf(stored: Bytes, values: tuple[int, ...], out: Bytes) -> Bytes:
    return _array(_codecs().lzf_decode(stored, out=out))


def _zstd(stored: Bytes, values: tuple[int, ...], out: Bytes) -> Bytes:
    return _array(_codecs().zstd_decode(stored, out=out))


def _lz4(stored: Bytes, values: tuple[int, ...], out: Bytes) -> Bytes:
    return _array(_codecs().lz4h5_decode(stored, out=out))


def _blosc(stored: Bytes, values: tuple[int, ...], out: Bytes) -> Bytes:
    """Unpack what says of itself how long it is: bytes 4 to 8 unpacked, 12 to 16 packed."""
    plain, packed = (int.from_bytes(stored[at : at + 4].tobytes(), "little") for at in (4, 12))
    if plain != len(out) or packed != len(stored):
        raise ValueError(f"{packed:,} bytes for {plain:,}, but has {len(stored):,}")
    return _array(_codecs().blosc_decode(stored, numthreads=1, out=out))


def _szip(stored: Bytes, values: tuple[int, ...], out: Bytes) -> Bytes:
    """Unpack twice: the codec does not say what it wrote, and leaves what it did not as it was."""
    found = []
    for target in (np.full_like(out, 0xFF), np.zeros_like(out)):
        found.append(_array(_codecs().szip_decode(stored, *values[:4], header=True, out=target)))
    if not np.array_equal(found[0], found[1]):
        raise ValueError("it ends too early")
    return found[0]


def _shuffle(stored: Bytes, values: tuple[int, ...], out: Bytes) -> Bytes:
    """Bring the first bytes of all elements, then the second ..., back together."""
    width = values[0]
    count = len(stored) // width
    planes = stored[: count * width].reshape(width, count)
    elements = out[: count * width].reshape(count, width)
    for place in range(width):
        elements[:, place] = planes[place]
    if count * width < len(stored):
        out[count * width : len(stored)] = stored[count * width :]
    return out if len(stored) == len(out) else out[: len(stored)]


def _fletcher32(stored: Bytes, values: tuple[int, ...], out: Bytes) -> Bytes:
    """Check and drop the checksum in the last four bytes, little-endian."""
    data, told = stored[:-4], int.from_bytes(stored[-4:].tobytes(), "little")
    found = int(_codecs().h5checksum_fletcher32(data))
    swapped = (found & 0x00FF00FF) << 8 | found >> 8 & 0x00FF00FF
    if told not in (found, swapped):
        raise ValueError(f"checksum {told:#010x} should be {found:#010x}")
    return data


def _bitshuffle(stored: Bytes, values: tuple[int, ...], out: Bytes) -> Bytes:
    """Unpack block after block: 8 bytes total size, 4 bytes block size, then size and data each.

    Numbers are big-endian. Elements that make no full group of eight follow as they are.
    """
    codecs = _codecs()
    unpack = codecs.lz4_decode if values[4] == BITSHUFFLE_LZ4 else codecs.zstd_decode
    width, group = values[2], 8 * values[2]
    total, block = _number(stored[:8]), _number(stored[8:12])
    if total != len(out) or block < group or block % group:
        raise ValueError(f"blocks of {block:,} bytes for {total:,} in all")
    done, at = 0, 12
    while total - done >= group:
        size = min(block, (total - done) // group * group)
        packed = _number(stored[at : at + 4])
        plain = _array(unpack(stored[at + 4 : at + 4 + packed], out=size))
        if len(plain) != size:
            raise ValueError(f"a block of {len(plain):,} bytes instead of {size:,}")
        turned = codecs.bitshuffle_decode(plain.tobytes(), itemsize=width, blocksize=size // width)
        out[done : done + size] = np.frombuffer(turned, np.uint8)
        done, at = done + size, at + 4 + packed
    out[done:] = stored[at : at + total - done]
    return out


def _number(digits: Bytes) -> int:
    return int.from_bytes(digits.tobytes(), "big")


_STEPS: dict[int, Step] = {
    DEFLATE: _deflate,
    SHUFFLE: _shuffle,
    FLETCHER32: _fletcher32,
    SZIP: _szip,
    LZF: _lzf,
    BLOSC: _blosc,
    LZ4: _lz4,
    BITSHUFFLE: _bitshuffle,
    ZSTD: _zstd,
}
