"""Which blocks to read an array in, so that no storage chunk is read twice where that can be had.

Everything here is a function of shapes. A block of one side is described by its edge along each of
the side's axes; storage chunks are counted where blocks touch them, and the plan minimises
`amplification`, bytes that storage must deliver for each byte of the array.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import ceil, lcm, log, prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lazyusid.layout.folding import Folding
from lazyusid.layout.grid import Grid
from lazyusid.protocols import BlockSource

Blocks = tuple[tuple[int, ...], ...]
"""Block edges along each axis of an array; those of one axis add up to its size."""

Request = str | Mapping[str, int] | tuple[int | tuple[int, ...], ...]
"""``"auto"``, ``"spectra"``, ``"images"``, edges by name, or edges axis by axis; -1 is the axis."""

DEFAULT_BYTES = 16 << 20
MAX_TASKS = 10_000
MAX_EXCESS = 16
"""How far blocks may exceed the bytes asked for to read less twice."""
TASK_BYTES = 200_000
"""What a task costs beside its data, as bytes that could be read meanwhile."""

SIEVE_BYTES = 64 << 10
"""Reading on over a gap this long is cheaper than another request."""
REQUEST_BYTES = 4 << 20
"""Neighbouring bytes are fetched together up to this many."""
MAX_AMPLIFICATION = 4
"""Reading more than this many times what is stored calls for a rewrite."""


@dataclass(frozen=True)
class BlockPlan:
    """How an array is cut into blocks, and what reading all of them costs.

    Attributes
    ----------
    folding
        Where rows and columns of the matrix belong.
    dims, itemsize
        Names of the array's axes, slowest first, and bytes of an element.
    storage
        Rows and columns of a storage chunk; None for contiguous storage.
    blocks
        Block edges along each axis.
    stored
        Bytes of the matrix on disk.
    engine
        How storage is read.
    """

    folding: Folding
    dims: tuple[str, ...]
    itemsize: int
    storage: tuple[int, int] | None
    blocks: Blocks
    stored: int
    engine: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the array."""
        return self.folding.shape

    @property
    def tasks(self) -> int:
        """Number of blocks."""
        return prod(map(len, self.blocks))

    @property
    def block(self) -> tuple[int, ...]:
        """Shape of the largest block."""
        return tuple(max(edges, default=0) for edges in self.blocks)

    @property
    def block_bytes(self) -> int:
        """Bytes of the largest block in memory."""
        return prod(self.block) * self.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return prod(self.shape) * self.itemsize

    @cached_property
    def amplification(self) -> float:
        """Bytes that storage delivers when every block is read once, over those it holds."""
        position, spectroscopic = self.folding
        axes = len(position.shape)
        if self.storage is None:
            return float(_sieved(self.blocks[axes:], self.itemsize))
        rows = _amplification(position, self.blocks[:axes], self.storage[0])
        return rows * _amplification(spectroscopic, self.blocks[axes:], self.storage[1])

    @property
    def disk_bytes(self) -> int:
        """Bytes that are read from disk when every block is read once."""
        return round(self.stored * self.amplification)

    @property
    def requests(self) -> int:
        """Requests that storage gets at the most; neighbouring chunks are fetched together."""
        if self.storage is None:
            return max(self.tasks, -(-self.disk_bytes // REQUEST_BYTES))
        edges = zip(self.folding.matrix_shape, self.storage, strict=True)
        return ceil(prod(ceil(size / edge) for size, edge in edges) * self.amplification)

    def __repr__(self) -> str:
        axes = ", ".join(
            f"{name} {size} / {edge}"
            for name, size, edge in zip(self.dims, self.shape, self.block, strict=True)
        )
        rows, columns = self.folding.matrix_shape
        storage = (
            "contiguous" if self.storage is None else "chunks of {:,} x {:,}".format(*self.storage)
        )
        return (
            f"storage        {rows:,} x {columns:,}, {storage}\n"
            f"blocks         {axes}\n"
            f"block          {format_bytes(self.block_bytes)}\n"
            f"tasks          {self.tasks:,} for {format_bytes(self.nbytes)}\n"
            f"disk           {format_bytes(self.disk_bytes)} by {self.engine}, "
            f"at most {self.requests:,} requests\n"
            f"amplification  {self.amplification:.2f}{self._advice()}"
        )

    def _advice(self) -> str:
        if self.amplification <= MAX_AMPLIFICATION:
            return ""
        return "; a copy with its rows in raster order, or other chunks, would read once"


def format_bytes(count: float) -> str:
    """Return a byte count for people.

    Examples
    --------
    >>> format_bytes(3_840_000)
    '3.7 MiB'
    """
    if count < 1024:
        return f"{count:.0f} B"
    power = min(int(log(count, 1024)), 5)
    return f"{count / 1024**power:.1f} {'KMGTP'[power - 1]}iB"


def plan_blocks(
    folding: Folding,
    dims: tuple[str, ...],
    itemsize: int,
    storage: tuple[int, int] | None,
    request: Request = "auto",
    max_bytes: int = DEFAULT_BYTES,
    stored: int = 0,
    engine: str = "memory",
) -> BlockPlan:
    """Return the blocks to read a folded matrix in.

    Parameters
    ----------
    folding
        Where rows and columns of the matrix belong.
    dims
        Names of the axes, slowest first.
    itemsize
        Bytes of an element.
    storage
        Rows and columns of a storage chunk, or None.
    request
        ``"auto"`` weighs amplification, tasks and memory; ``"spectra"`` keeps the spectroscopic
        axes whole and ``"images"`` the position axes; a mapping fixes the axes that it names and a
        tuple all of them.
    max_bytes
        Bytes a block should not exceed; exceeded where smaller blocks would read much twice.
    stored, engine
        Bytes of the matrix on disk and how they are read, for the plan to tell.

    Raises
    ------
    ValueError
        Where the request names no axis of the array, or its edges do not add up to it.
    """
    if isinstance(request, Mapping):
        blocks = _named_blocks(folding.shape, dims, itemsize, request, max_bytes)
    elif isinstance(request, tuple | list):
        blocks = _given_blocks(folding.shape, tuple(request))
    elif request not in ("auto", "spectra", "images"):
        raise ValueError(
            f"chunks={request!r}: use 'auto', 'spectra', 'images', a mapping or a tuple of edges."
        )
    else:
        rows, columns = storage or (1, max(1, SIEVE_BYTES // itemsize))
        nbytes = prod(folding.shape) * itemsize
        position, spectroscopic = _cheapest(
            _cuts(folding.position, rows, whole=request == "images"),
            _cuts(folding.spectroscopic, columns, whole=request == "spectra"),
            itemsize,
            max(max_bytes, nbytes // MAX_TASKS, prod(storage or ()) * itemsize // MAX_EXCESS),
        )
        blocks = tuple(map(_edges, folding.shape, position.edge + spectroscopic.edge))
    return BlockPlan(folding, dims, itemsize, storage, blocks, stored, engine)


def plan_source(source: BlockSource, max_bytes: int = DEFAULT_BYTES) -> Blocks:
    """Return blocks for any source, of at most `max_bytes`: unions of chunks, slowest axis cut."""
    edges = list(source.shape)
    units = source.chunks or (1,) * len(edges)
    for axis, unit in enumerate(units):
        others = prod(edges) // max(edges[axis], 1) * source.dtype.itemsize
        fitting = max_bytes // max(others, 1) // unit * unit
        edges[axis] = min(edges[axis], max(unit, fitting))
    return tuple(map(_edges, source.shape, edges))


class _Cut(NamedTuple):
    """One way to cut a side: block edge an axis, points a block, blocks, and amplification."""

    edge: tuple[int, ...]
    points: int
    blocks: int
    amplification: float


def _cuts(grid: Grid, unit: int, whole: bool) -> list[_Cut]:
    """Return the ways to cut a side into blocks that are runs of cells in C order."""
    if whole or prod(grid.shape) <= 1:
        return [_Cut(grid.shape, prod(grid.shape), 1, 1.0)]
    cuts = []
    for axis, size in enumerate(grid.shape):
        tail = prod(grid.shape[axis + 1 :])
        for count in sorted(_counts(size, tail, unit)):
            edge = (1,) * axis + (count,) + grid.shape[axis + 1 :]
            blocks = prod(grid.shape[:axis]) * ceil(size / count)
            if blocks <= MAX_TASKS:
                cost = _amplification(grid, tuple(map(_edges, grid.shape, edge)), unit)
                cuts.append(_Cut(edge, count * tail, blocks, cost))
    return cuts


def _counts(size: int, tail: int, unit: int) -> set[int]:
    """Return block edges worth trying: powers of two, whole storage chunks times these, all."""
    aligned = lcm(tail, unit) // tail
    powers = [1 << power for power in range(size.bit_length())]
    wanted = {*powers, *(aligned * power for power in powers), size}
    return {count for count in wanted if count <= size}


def _cheapest(
    rows: list[_Cut], columns: list[_Cut], itemsize: int, max_bytes: int
) -> tuple[_Cut, _Cut]:
    """Return the pair of cuts that costs least; memory beyond `max_bytes` must earn its keep."""

    def cost(pair: tuple[_Cut, _Cut]) -> tuple[bool, bool, float, int]:
        row, column = pair
        block = row.points * column.points * itemsize
        tasks = row.blocks * column.blocks
        overhead = 1 + TASK_BYTES / max(block, 1)
        excess = max(1.0, block / max_bytes) ** 0.5
        amplification = row.amplification * column.amplification
        too_large = block > MAX_EXCESS * max_bytes
        dear = amplification * overhead * excess
        return too_large, tasks > MAX_TASKS, dear, column.blocks

    return min(product(rows, columns), key=cost)


def _edges(size: int, edge: int) -> tuple[int, ...]:
    if size == 0:
        return (0,)
    full, rest = divmod(size, edge)
    return (edge,) * full + ((rest,) if rest else ())


def _edge(entry: Any, whole: int | None = None) -> int:
    """Return a requested block edge; -1 stands for the whole axis where that is given."""
    edge = int(entry) if isinstance(entry, int | np.integer) else 0
    if edge == -1 and whole is not None:
        return max(whole, 1)
    if edge < 1:
        raise ValueError(
            f"chunks: {entry!r} is no block edge; use positive integers, or -1 for all."
        )
    return edge


def _given_blocks(shape: tuple[int, ...], request: tuple[int | tuple[int, ...], ...]) -> Blocks:
    if len(request) != len(shape):
        raise ValueError(f"chunks={request}: {len(shape)} axes need {len(shape)} entries.")
    blocks = tuple(
        tuple(map(_edge, entry))
        if size and isinstance(entry, tuple | list)
        else _edges(size, _edge(entry, size) if size else 1)
        for size, entry in zip(shape, request, strict=True)
    )
    if tuple(map(sum, blocks)) != shape:
        raise ValueError(f"chunks={request}: the edges must add up to the shape {shape}.")
    return blocks


def _named_blocks(
    shape: tuple[int, ...],
    dims: tuple[str, ...],
    itemsize: int,
    request: Mapping[str, int],
    max_bytes: int,
) -> Blocks:
    """Cut the axes that are not named from the slowest on until a block fits `max_bytes`."""
    unknown = set(request) - set(dims)
    if unknown:
        raise ValueError(f"chunks: no dimension {sorted(unknown)}; there are {list(dims)}.")
    edges = [
        min(_edge(request[name], size), size) if name in request else size
        for name, size in zip(dims, shape, strict=True)
    ]
    for axis, name in enumerate(dims):
        if name not in request:
            others = prod(edges) // max(edges[axis], 1) * itemsize
            edges[axis] = min(edges[axis], max(1, max_bytes // max(others, 1)))
    return tuple(map(_edges, shape, edges))


def _amplification(grid: Grid, blocks: Blocks, unit: int) -> float:
    """Return storage units touched over storage units there are, along one side."""
    if grid.points == 0:
        return 1.0
    if grid.lookup is None and _are_runs(blocks):
        stops = np.cumsum(_run_lengths(blocks))
        starts = np.concatenate([[0], stops[:-1]])
        touched = int(((stops - 1) // unit - starts // unit + 1).sum())
    else:
        touched = _touched(grid, blocks, unit)
    return touched / ceil(grid.points / unit)


def _sieved(blocks: Blocks, itemsize: int) -> int:
    """Return how often contiguous rows are read when each block reads over the gaps in them."""
    sizes = [prod(map(sum, blocks)), prod(max(edges) for edges in blocks)]
    gap = (sizes[0] - sizes[1]) * itemsize
    return prod(map(len, blocks)) if 0 < gap <= SIEVE_BYTES else 1


def _are_runs(blocks: Blocks) -> bool:
    """Return whether blocks are runs in C order: one cut axis, single steps before it."""
    cut = [axis for axis, edges in enumerate(blocks) if len(edges) > 1]
    return all(max(edges) == 1 for edges in blocks[: cut[-1]]) if cut else True


def _run_lengths(blocks: Blocks) -> NDArray[np.int64]:
    lengths = np.ones(1, np.int64)
    for edges in blocks:
        lengths = np.multiply.outer(lengths, np.asarray(edges)).ravel()
    return lengths


def _touched(grid: Grid, blocks: Blocks, unit: int) -> int:
    """Count distinct pairs of block and storage unit, point by point."""
    block = np.zeros(1, np.int64)
    for edges in blocks:
        number = np.repeat(np.arange(len(edges)), edges)
        block = (block[:, None] * len(edges) + number).ravel()
    point = np.arange(grid.points) if grid.lookup is None else grid.lookup.astype(np.int64)
    units = ceil(grid.points / unit)
    pairs = (block * units + point // unit)[point >= 0]
    if prod(map(len, blocks)) * units > 8 * len(point) + MAX_TASKS:
        return len(np.unique(pairs))
    met = np.zeros(prod(map(len, blocks)) * units, bool)
    met[pairs] = True
    return int(np.count_nonzero(met))
