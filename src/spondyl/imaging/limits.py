"""Limits that a reader applies before it reads a single voxel."""

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
"""The limit of voxels; a whole-body CT at 0.7 mm has 4e8, and a larger file is damaged or hostile."""

MAX_IMAGE_PIXELS = 4096**2
"""The limit of pixels in one image; the largest matrices of MR and CT are 2048 x 2048."""

MAX_RATIO = 100
"""The limit of compression; scans shrink 2 to 5 times, a scan that is mostly air perhaps 30 times."""

RATIO_COUNTS_FROM_BYTES = 100 * 2**20
"""Smaller files are exempt from `MAX_RATIO`: small files of zeros are harmless, and tests and phantoms write them."""

LARGE_VOXELS = 3 * 10**8
"""Scans with more voxels, 1.2 GB in memory, must have `MIN_BYTES_PER_VOXEL`."""

MIN_BYTES_PER_VOXEL = 0.05
"""The noise of a scan alone takes more, even if four fifths of it are empty."""

MAX_DEFLATION = 1032
"""The largest ratio that deflating can reach: zlib's technical details."""

MIN_SPACING_MM, MAX_SPACING_MM = 0.01, 50.0
"""MR microscopy has voxels of 0.02 mm; slices more than 50 mm apart can miss whole vertebrae."""

MAX_EXTENT_MM = 10_000.0
"""The limit of a scan's extent; whole-body scans cover 2 m."""

MAX_COORDINATE_MM = 100_000.0
"""The largest distance from the origin; beyond it single precision is coarser than 0.01 mm."""


def require_readable_shape(shape: Sequence[int]) -> None:
    """Refuse a shape that is too large or empty.

    Args:
        shape: length of every axis, further frames included.

    Raises:
        InputError: an axis is empty, or there are 10^9 voxels or more.
    """
    if not shape or min(shape) < 1:
        raise InputError(f"the scan has an empty axis: its header gives the shape {tuple(shape)}")
    if prod(int(n) for n in shape) >= MAX_VOXELS:
        raise InputError(f"the scan is too large: its header gives the shape {tuple(shape)}, the limit is 10^9 voxels")


def require_backed(shape: Sequence[int], voxel_bytes: int, stored_bytes: int) -> None:
    """Refuse a scan whose file is too short for it, however it is compressed, before any memory is allocated.

    Args:
        shape: length of every axis, further frames included.
        voxel_bytes: of one voxel before compression.
        stored_bytes: actual size of the scan on disk or in an archive.

    Raises:
        InputError: the file is too short for that many voxels, or for those of a scan.
    """
    voxels = prod(int(n) for n in shape)
    is_thin = voxels > LARGE_VOXELS and voxels * MIN_BYTES_PER_VOXEL > stored_bytes
    if is_thin or voxels * voxel_bytes > MAX_DEFLATION * (stored_bytes + 1):
        raise InputError(
            f"the scan is damaged or truncated: its header gives the shape {tuple(shape)}, "
            f"and {stored_bytes / 2**20:.1f} MiB are too few for that"
        )


@np.errstate(over="ignore")
def require_plausible_grid(grid: Grid) -> None:
    """Refuse a grid that no scanner makes.

    Raises:
        InputError: the spacing, the extent or the position is implausible.
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
