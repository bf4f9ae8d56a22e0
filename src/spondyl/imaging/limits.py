"""How much a reader accepts before it looks at a single voxel."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from spondyl.errors import InputError
from spondyl.geometry.grid import Grid

__all__ = [
    "MAX_COORDINATE_MM",
    "MAX_IMAGE_PIXELS",
    "MAX_RATIO",
    "RATIO_COUNTS_FROM_BYTES",
    "require_backed",
    "require_plausible_grid",
    "require_readable_shape",
]

MAX_VOXELS = 10**9
"""A whole-body CT at 0.7 mm has 4e8 voxels; from here on a file is broken or hostile, and would fill the memory."""

MAX_IMAGE_PIXELS = 4096**2
"""The largest matrices of MR and CT are 2048 x 2048; decoders take an image at a time."""

MAX_RATIO = 100
"""Scans shrink 2 to 5 times, a scan that is mostly air perhaps 30 times."""

RATIO_COUNTS_FROM_BYTES = 100 * 2**20
"""Small files of zeros are harmless, and tests and phantoms write them."""

LARGE_VOXELS = 3 * 10**8
"""1.2 GB as they are held in memory; what is larger must be worth it."""

MIN_BYTES_PER_VOXEL = 0.05
"""The noise of a scan alone takes more, even where four fifths of it are empty."""

MAX_DEFLATION = 1032
"""Nothing deflates further: zlib's technical details."""

MIN_SPACING_MM, MAX_SPACING_MM = 0.01, 50.0
"""MR microscopy has voxels of 0.02 mm; slices further apart than 50 mm show less than one vertebra in each."""

MAX_EXTENT_MM = 10_000.0
"""Five people from head to foot."""

MAX_COORDINATE_MM = 100_000.0
"""Tables move by metres; from here on single precision is coarser than 0.01 mm."""


def require_readable_shape(shape: Sequence[int]) -> None:
    """Refuse what is too large, empty or flat, judged from the header.

    Args:
        shape: length of every axis, further frames included.

    Raises:
        InputError: an axis is empty, or the voxels are 10^9 or more.
    """
    if not shape or min(shape) < 1:
        raise InputError(f"the scan has an empty axis: its header gives the shape {tuple(shape)}")
    if prod(int(n) for n in shape) >= MAX_VOXELS:
        raise InputError(f"the scan is too large: its header gives the shape {tuple(shape)}, the limit is 10^9 voxels")


def require_backed(shape: Sequence[int], voxel_bytes: int, stored_bytes: int) -> None:
    """Refuse a scan for which its file is too short, however it is compressed, before any memory is taken.

    Args:
        shape: length of every axis, further frames included.
        voxel_bytes: of one voxel before compression.
        stored_bytes: how many bytes really stand for the scan on disk or in an archive.

    Raises:
        InputError: the file cannot hold that many voxels, or holds too little for those of a scan.
    """
    voxels = prod(int(n) for n in shape)
    is_thin = voxels > LARGE_VOXELS and voxels * MIN_BYTES_PER_VOXEL > stored_bytes
    if is_thin or voxels * voxel_bytes > MAX_DEFLATION * (stored_bytes + 1):
        raise InputError(
            f"the scan is damaged or truncated: its header gives the shape {tuple(shape)}, "
            f"and {stored_bytes / 2**20:.1f} MiB are too little for that"
        )


@np.errstate(over="ignore")
def require_plausible_grid(grid: Grid) -> None:
    """Refuse a grid that no scanner makes.

    Raises:
        InputError: the spacing, the extent or the position is out of all proportion.
    """
    spacing_mm, counts = grid.spacing_mm, np.array(grid.shape, dtype=np.float64)
    if spacing_mm.min() < MIN_SPACING_MM or spacing_mm.max() > MAX_SPACING_MM:
        raise InputError(
            f"voxels must be {MIN_SPACING_MM:g} to {MAX_SPACING_MM:g} mm apart, "
            f"the header gives {' x '.join(f'{mm:.3g}' for mm in spacing_mm)} mm"
        )
    if (extent_mm := (spacing_mm * counts).max()) > MAX_EXTENT_MM:
        raise InputError(f"a scan must be at most {MAX_EXTENT_MM / 1000:g} m long, the header gives {extent_mm:.3g} mm")
    if np.abs(grid.affine.matrix[:3, 3]).max() > MAX_COORDINATE_MM:
        raise InputError(f"a scan must lie within {MAX_COORDINATE_MM / 1000:g} m of the origin of its space")
