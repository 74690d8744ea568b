"""Fold a side as its owner knows better than the tables, touching no byte."""

from collections.abc import Sequence
from typing import Literal

from lazyusid.errors import LayoutError
from lazyusid.layout.coordinates import Naming, find_dimensions
from lazyusid.layout.dimension import Dimension
from lazyusid.layout.grid import Grid, force_grid, raster, scattered
from lazyusid.layout.tables import Table

Refold = Sequence[Dimension] | Literal["grid", "points"]
"""Dimensions, slowest first; the box that the indices span; or a plain list of points."""


def refold(
    naming: Naming, indices: Table, values: Table, wanted: Refold
) -> tuple[Grid, tuple[Dimension, ...]]:
    """Return how a side folds as `wanted`, and its dimensions.

    Raises
    ------
    LayoutError
        Where the sizes do not multiply to the number of points, or two points share a cell.
    """
    if wanted == "grid":
        grid = force_grid(indices)
        return grid, find_dimensions(grid, values, naming)
    if wanted == "points":
        grid = scattered(indices.points, "asked for as points")
        return grid, find_dimensions(grid, values, naming)
    if isinstance(wanted, str):
        raise LayoutError(
            f"{naming.kind}={wanted!r}: use a list of Dimensions, 'grid' or 'points'.",
            rule="refold",
        )
    grid = raster(tuple(dimension.size for dimension in wanted))
    if grid.points != indices.points:
        raise LayoutError(
            f"sizes {grid.shape} make {grid.points:,} points, the {naming.kind} side has "
            f"{indices.points:,}; they must match.",
            rule="refold",
        )
    return grid, tuple(dimension.of(naming.kind) for dimension in wanted)
