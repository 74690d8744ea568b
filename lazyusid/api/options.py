"""The keywords of `open`, and how a Main's layout is told."""

from dataclasses import dataclass
from typing import Literal

from lazyusid.layout.chunking import Request
from lazyusid.layout.folded import Fill

Engine = Literal["auto", "raw", "h5py"]


@dataclass(frozen=True)
class Options:
    """How the Mains of an open file are presented; the keywords of `open`."""

    chunks: Request = "auto"
    fill: Fill = None
    keep_placeholders: bool = False
    mask_unfinished: bool = True
    engine: Engine = "auto"


@dataclass(frozen=True)
class SideLayout:
    """How one side fills its grid: raster, permuted, partial or scattered; and why, in words."""

    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"


@dataclass(frozen=True)
class Layout:
    """How both sides of a Main fill their grids."""

    position: SideLayout
    spectroscopic: SideLayout

    def __str__(self) -> str:
        return f"position {self.position}; spectroscopic {self.spectroscopic}"
