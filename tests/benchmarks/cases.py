"""Which files are read."""

from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).parents[2]
GROUP = "/Measurement_000/Channel_000"
MAIN = f"{GROUP}/Raw_Data"


@dataclass(frozen=True)
class Case:
    """A file with one Main of Y, X, Cycle, Bias, and the place that single reads ask for.

    Attributes
    ----------
    sizes
        Of Y, X, Cycle, Bias.
    chunks
        Rows and columns of a chunk of the matrix; None where it is contiguous.
    gzip, shuffle
        Filters of its chunks.
    """

    name: str
    folder: Path
    sizes: tuple[int, int, int, int] = (128, 128, 32, 256)
    chunks: tuple[int, int] | None = None
    gzip: bool = False
    shuffle: bool = False
    dtype: str = "f4"

    @property
    def path(self) -> str:
        """The file."""
        return str(self.folder / f"{self.name.replace(' ', '-')}.h5")

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the matrix."""
        return prod(self.sizes[:2]), prod(self.sizes[2:])

    @property
    def nbytes(self) -> int:
        """Bytes of the matrix."""
        return prod(self.sizes) * np.dtype(self.dtype).itemsize

    @property
    def place(self) -> tuple[int, int, int, int]:
        """The pixel of the spectrum, the cycle and bias of the image."""
        y, x, cycle, bias = self.sizes
        return y // 3, x * 2 // 3, cycle // 3, bias // 2

    @property
    def row(self) -> int:
        """The matrix row of the spectrum."""
        return self.place[0] * self.sizes[1] + self.place[1]

    @property
    def column(self) -> int:
        """The matrix column of the image."""
        return self.place[2] * self.sizes[3] + self.place[3]


def cases(folder: Path) -> list[Case]:
    """Return the files of 512 MiB."""
    make = partial(Case, folder=folder)
    return [
        make("contiguous"),
        make("plain 64x2048", chunks=(64, 2048)),
        make("gzip 64x2048", chunks=(64, 2048), gzip=True),
        make("gzip+shuffle 64x2048", chunks=(64, 2048), gzip=True, shuffle=True),
        make("gzip 100x1000", chunks=(100, 1000), gzip=True),
        make("gzip auto", chunks=_automatic((16384, 8192)), gzip=True),
        make("gzip 8kB", chunks=(8, 256), gzip=True),
        make("contiguous complex64", sizes=(128, 128, 16, 256), dtype="c8"),
    ]


def many_chunks(folder: Path) -> Case:
    """Return a file of 100,000 gzip chunks of 64 KiB."""
    return Case("many chunks", folder, (160, 160, 250, 256), (64, 256), gzip=True)


def huge(folder: Path) -> list[Case]:
    """Return sparse files of 16 GiB that hold no data."""
    sizes = (1024, 512, 32, 256)
    never = Case("never written 16GiB", folder, sizes, (64, 2048), gzip=True)
    return [Case("contiguous 16GiB", folder, sizes), never]


def find(folder: Path, name: str) -> Case:
    """Return the file of that name."""
    everything = [*cases(folder), many_chunks(folder), *huge(folder)]
    return next(case for case in everything if case.name == name)


def _automatic(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the chunks that h5py chooses for a float32 matrix."""
    with h5py.File("scratch", "w", driver="core", backing_store=False) as file:
        chunks: tuple[int, int] = file.create_dataset("M", shape, "f4", chunks=True).chunks
    return chunks
