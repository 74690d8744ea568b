"""Compute on worker processes, here two on this machine.

Shows that a lazy array travels: its graph carries the path of the file and the name of the dataset,
not an open file, so workers open it themselves and any function may be mapped over the blocks. The
workers must see the file under the same path. ``chunks={"Y": 12}`` asks for blocks of 12 lines with
whole spectra; by default a file this small is one block.
"""

import tempfile
from pathlib import Path

from distributed import Client, LocalCluster

import lazyusid
from lazyusid.hdf5.example import write_example


def compute(path: Path) -> None:
    """Compute a mean, and the span of every loop, on the current client."""
    m = lazyusid.open(path, chunks={"Y": 12})["Raw_Data"]
    print(m.plan)

    print(f"mean {m.data.mean().compute():.4f} {m.units}")

    span = m.data.map_blocks(lambda block: block.max(axis=-1) - block.min(axis=-1), drop_axis=3)
    first = span[..., 0].compute()
    print(f"span of cycle 0: {first.shape}, {first.min():.2f} .. {first.max():.2f} {m.units}")


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
        ) as cluster,
        Client(cluster),
    ):
        example = Path(folder) / "scan.h5"
        write_example(example)
        compute(example)
