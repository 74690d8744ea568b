"""The main job in small, step by step: what ``lazyusid demo`` shows."""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np

from lazyusid.api.files import open as open_file
from lazyusid.display.text import draw_tree
from lazyusid.hdf5.example import write_example
from lazyusid.layout.chunking import format_bytes
from lazyusid.protocols import Array


def run_demo(folder: Path) -> Iterator[str]:
    """Write an example into `folder`, read it lazily, and yield lines that say what was done."""
    path = folder / "scan.h5"
    clock = _Clock()
    write_example(path)
    yield f"wrote {path}, {format_bytes(path.stat().st_size)}  {clock.lap()}"

    file = open_file(path)
    yield f"\nlazyusid.open: nothing of the data read, nothing left open  {clock.lap()}"
    yield from draw_tree(file.groups, list(file.datasets), [main.text for main in file.values()])

    main = file["Raw_Data"]
    yield f"\nplan of m.data\n{main.plan!r}  {clock.lap()}"

    spectrum = main.data.mean(axis=(0, 1)).compute()
    yield f"\nm.data.mean(axis=(0, 1)): mean spectra, shape {spectrum.shape}  {clock.lap()}"
    units = main.units
    yield f"  cycle 0: {spectrum[0].min():.3f} .. {spectrum[0].max():.3f} {units}"
    yield f"  cycle 3: {spectrum[3].min():.3f} .. {spectrum[3].max():.3f} {units}"

    image = main.data[:, :, 0, 16].compute()
    yield f"\nm.data[:, :, 0, 16]: an image at {main.coords['Bias'][16]:.1f} V  {clock.lap()}"
    yield from _draw(image[::6, ::2])


class _Clock:
    """Says how long it is since it was last asked."""

    def __init__(self) -> None:
        self.last = perf_counter()

    def lap(self) -> str:
        """Return the time since the last lap in words."""
        now = perf_counter()
        took, self.last = now - self.last, now
        return f"[{took * 1e3:.0f} ms]"


def _draw(values: Array) -> Iterator[str]:
    """Yield an image as lines of characters, dark to bright."""
    shades = np.array(list(" .:-=+*#%@"))
    span = values.max() - values.min() or 1
    levels = ((values - values.min()) / span * (len(shades) - 1)).astype(int)
    for row in shades[levels]:
        yield "  " + "".join(row)
