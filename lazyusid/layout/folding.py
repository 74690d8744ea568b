"""A Main's two grids together: where an element of the matrix lies in N dimensions."""

from typing import NamedTuple

from lazyusid.layout.grid import Grid, Points
from lazyusid.protocols import Region


class Folding(NamedTuple):
    """The folding of a matrix, positions x spectroscopic steps, into N dimensions.

    Attributes
    ----------
    position, spectroscopic
        How the rows and the columns of the matrix fill a box each.

    Examples
    --------
    >>> from lazyusid.layout.grid import raster
    >>> folding = Folding(raster((3, 4)), raster((2, 5)))
    >>> folding.shape, folding.matrix_shape
    ((3, 4, 2, 5), (12, 10))
    >>> folding.find((slice(1, 2), slice(0, 4), slice(0, 1), slice(2, 3)))
    (slice(4, 8, None), slice(2, 3, None))
    """

    position: Grid
    spectroscopic: Grid

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the N-D array, slowest first, positions then spectroscopic."""
        return self.position.shape + self.spectroscopic.shape

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix."""
        return self.position.points, self.spectroscopic.points

    @property
    def missing(self) -> bool:
        """Whether the N-D array has elements that no point was measured for."""
        return self.position.missing or self.spectroscopic.missing

    def split(self, region: Region) -> tuple[Region, Region]:
        """Return the part of an N-D region on the position axes and that on the others."""
        axes = len(self.position.shape)
        return region[:axes], region[axes:]

    def find(self, region: Region) -> tuple[Points, Points]:
        """Return the rows and the columns of the matrix that fill an N-D region."""
        position, spectroscopic = self.split(region)
        return self.position.find(position), self.spectroscopic.find(spectroscopic)
