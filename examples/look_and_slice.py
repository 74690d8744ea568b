"""Open a file, look at it, slice it, reduce it, and ask where the pixels lie.

Shows `lazyusid.open`, the printed forms of a file and of a Main, `data`, `dims`, `coords`, `plan`
and `read`. Writes a small example file to a temporary folder first; give it the path of a file of
yours instead to look at that: ``python examples/look_and_slice.py scan.h5``.
"""

import sys
import tempfile
from pathlib import Path

import lazyusid
from lazyusid.hdf5.example import write_example


def look(path: Path) -> None:
    """Print what a file holds, and what each of its Mains is."""
    f = lazyusid.open(path)  # nothing of the data is read, and nothing stays open
    print(f)
    for finding in f.findings:
        print(finding)
    for m in f.values():
        print(m)
        for name, values in m.coords.items():
            over = " x ".join(m.coord_dims[name])
            print(f"    {name} over {over}: {values.shape} [{m.coord_units[name]}]")


def slice_and_reduce(path: Path) -> None:
    """Compute an image, a spectrum and a mean of the example."""
    m = lazyusid.open(path)["Raw_Data"]
    print(m.plan)

    step = int(m.coords["Bias"].argmax())
    image = m.data[:, :, 0, step].compute()
    print(f"image at {m.coords['Bias'][step]:.2f} V: {image.shape}, mean {image.mean():.2f} nA")

    y, x = abs(m.coords["Y"] - 0.7e-6).argmin(), abs(m.coords["X"] - 1.2e-6).argmin()
    loop = m.read((y, x, 0))  # numpy, now, without a graph
    print(f"loop at Y {m.coords['Y'][y]:.2e} m, X {m.coords['X'][x]:.2e} m: {loop.max():.2f} nA")

    position = tuple(axis for axis, dimension in enumerate(m.axes) if dimension.kind == "position")
    mean = m.data.mean(axis=position).compute()
    print(f"mean over {len(position)} position axes: {mean.shape} over {m.dims[len(position) :]}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        look(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            example = Path(folder) / "scan.h5"
            write_example(example)
            look(example)
            slice_and_reduce(example)
