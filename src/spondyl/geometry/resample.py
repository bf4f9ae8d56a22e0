"""Resampling of a volume on any grid to the sagittal order in which networks take it.

Wherever possible voxels are only permuted and flipped, so that the affine stays exact and nothing is interpolated.
A volume is interpolated only when none of its axes runs from right to left.
"""

from __future__ import annotations

from itertools import permutations
from typing import Annotated

import numpy as np

from spondyl.errors import InputError
from spondyl.geometry.affine import Affine
from spondyl.geometry.grid import Grid
from spondyl.geometry.stack import SagittalStack
from spondyl.geometry.viewable import require_viewable
from spondyl.types import Float32

__all__ = ["left_right_obliquity_deg", "sagittal_axes", "to_sagittal"]

MAX_OBLIQUITY_DEG = 30.0
"""The largest angle between left-right and the nearest voxel axis at which slices still count as sagittal."""

THIN_SLICE_MM = 2.0
"""Slices thinner than this are averaged into slabs."""

SLAB_MM = 3.0
"""The target thickness of a slab; clinical sagittal MR has slices of 3 to 5 mm, and bodies are wider than that."""

MAX_RESAMPLED_VOXELS = 50_000_000
"""The slabs of an oblique volume have at most this many voxels, 0.2 GB, or as many as the volume itself."""

MAX_COARSENING = 2.0
"""The largest factor by which pixels may grow to stay below that limit; beyond it interpolation skips voxels."""

_LIP_SIGNS = np.array([-1.0, -1.0, -1.0])
_LIP_ROWS = (0, 2, 1)
"""The world axes (of RAS) along which slices, rows and columns run."""


def to_sagittal(
    voxels: Annotated[Float32, "i j k"], affine: Affine, *, slab_mm: float = SLAB_MM
) -> tuple[SagittalStack, tuple[str, ...]]:
    """Bring a volume into sagittal order; every world point keeps its place.

    Args:
        voxels: (i, j, k) on the volume's own grid; not changed.
        affine: (i, j, k) to RAS mm.
        slab_mm: slices thinner than 2 mm are averaged to about this thickness; 0 keeps them as they are.

    Returns:
        The stack, and one sentence for each interpolation or averaging.

    Raises:
        InputError: `require_viewable` refuses the grid, or an oblique volume would be interpolated to too many voxels;
            checked before anything is allocated.
    """
    axes = sagittal_axes(affine)
    require_viewable(Grid(voxels.shape, affine), axes)
    warnings: tuple[str, ...] = ()
    angle = left_right_obliquity_deg(affine)
    if angle > MAX_OBLIQUITY_DEG:
        voxels, affine, count = _resample_aligned(voxels, affine, slab_mm)
        warnings += (f"the slices are {angle:.0f} degrees oblique to the sagittal plane and were resampled to it",)
        voxels, affine = _reorder(voxels, affine, sagittal_axes(affine))
    else:
        voxels, affine = _reorder(voxels, affine, axes)
        count = _slab_count(voxels.shape[0], float(affine.spacing_mm[0]), slab_mm)
        if count > 1:
            voxels, affine = _average_slabs(voxels, affine, count)
    if count > 1:
        warnings += (f"slices of {affine.spacing_mm[0] / count:.2g} mm were averaged in groups of {count}",)
    return SagittalStack(voxels=np.ascontiguousarray(voxels, dtype=np.float32), affine=affine), warnings


def sagittal_axes(affine: Affine) -> tuple[int, int, int]:
    """Find the voxel axes that run mainly along left-right, head-foot and front-back, in this order.

    The choice maximises the product of the cosines; an invertible matrix has a choice for which none is zero.
    """
    cosines = np.abs(affine.directions)
    return max(permutations(range(3)), key=lambda axes: float(np.prod(cosines[list(_LIP_ROWS), list(axes)])))  # type: ignore[return-value]


def left_right_obliquity_deg(affine: Affine) -> float:
    """Compute the angle between the world's left-right axis and the nearest voxel axis, degrees."""
    nearest = float(np.abs(affine.directions[0]).max())
    return float(np.degrees(np.arccos(min(1.0, nearest))))


def _reorder(voxels: Float32, affine: Affine, axes: tuple[int, int, int]) -> tuple[Float32, Affine]:
    """Permute and flip so that the axes point to left, inferior and posterior; a view, no copy."""
    voxels = voxels.transpose(axes)
    index_map = np.zeros((4, 4))
    index_map[3, 3] = 1
    for new, old in enumerate(axes):
        points_along = affine.directions[_LIP_ROWS[new], old] * _LIP_SIGNS[new] > 0
        index_map[old, new] = 1 if points_along else -1
        if not points_along:
            index_map[old, 3] = voxels.shape[new] - 1
            voxels = np.flip(voxels, new)
    return voxels, affine @ index_map


def _slab_count(slices: int, slice_mm: float, slab_mm: float) -> int:
    if slab_mm <= 0 or slice_mm > 0.99 * THIN_SLICE_MM:  # 2 mm is often stored as 1.9999
        return 1
    return max(1, min(slices, round(slab_mm / slice_mm)))


def _average_slabs(voxels: Float32, affine: Affine, count: int) -> tuple[Float32, Affine]:
    """Average each run of `count` slices; slices that do not fill a slab are dropped evenly at both sides."""
    slabs = voxels.shape[0] // count
    first = (voxels.shape[0] - slabs * count) // 2
    kept = voxels[first : first + slabs * count].reshape(slabs, count, *voxels.shape[1:])
    return kept.mean(axis=1, dtype=np.float32), _slab_affine(affine, first, count)


def _slab_affine(affine: Affine, first: int, count: int) -> Affine:
    """Return the affine of slabs of `count` slices, of which the first slab begins at slice `first`."""
    index_map = np.diag([float(count), 1, 1, 1])
    index_map[0, 3] = first + (count - 1) / 2
    return affine @ index_map


def _resample_aligned(voxels: Float32, affine: Affine, slab_mm: float) -> tuple[Float32, Affine, int]:
    """Interpolate linearly onto a grid along the world's axes that covers the whole volume, slab by slab.

    Returns:
        The slabs, their affine, and the number of interpolated slices in each.
    """
    from scipy.ndimage import affine_transform  # costs a second, and hardly any scan needs it

    grid = _aligned_grid(Grid(voxels.shape, affine), slab_mm)
    slices, *plane = grid.shape
    count = _slab_count(slices, float(grid.spacing_mm[0]), slab_mm)
    surplus = slices % count
    first = surplus - surplus // 2
    index_map = np.linalg.inv(affine.matrix) @ grid.affine.matrix
    lowest = float(voxels.min())
    slabs = np.empty((slices // count, *plane), np.float32)
    for number, slab in enumerate(slabs):
        offset = index_map[:3, 3] + index_map[:3, 0] * (first + number * count)
        planes = affine_transform(voxels, index_map[:3, :3], offset, output_shape=(count, *plane), order=1, cval=lowest)
        planes.mean(axis=0, dtype=np.float32, out=slab)
    return slabs, _slab_affine(grid.affine, first, count), count


def _aligned_grid(grid: Grid, slab_mm: float) -> Grid:
    """Return the grid along the world's axes, as fine as the volume unless its slabs would have too many voxels.

    Raises:
        InputError: they would have too many even at twice the spacing.
    """
    finest_mm = float(grid.spacing_mm.min())
    is_thin = grid.spacing_mm.max() < THIN_SLICE_MM
    spacing_mm = np.array([finest_mm if is_thin else SLAB_MM, finest_mm, finest_mm])
    low, high = grid.corners_ras_mm.min(axis=0), grid.corners_ras_mm.max(axis=0)
    cells = (high - low) / spacing_mm + 1
    slabs = cells[0] / _slab_count(int(cells[0]), float(spacing_mm[0]), slab_mm)
    excess = slabs * cells[1] * cells[2] / max(MAX_RESAMPLED_VOXELS, np.prod(np.array(grid.shape, float)))
    coarsening = max(1.0, float(np.sqrt(excess)))
    if coarsening > MAX_COARSENING:
        raise InputError(
            f"the slices are {left_right_obliquity_deg(grid.affine):.0f} degrees oblique to the sagittal "
            f"plane, and the sagittal grid would have {excess:.0f} times the allowed number of voxels; "
            "give a sagittal series, or cut the scan to the spine"
        )
    spacing_mm[1:] *= coarsening
    counts = np.floor((high - low) / spacing_mm + 1e-6).astype(int) + 1
    i, j, k = (int(count) for count in counts)
    return Grid((i, j, k), Affine.from_axes(np.eye(3), spacing_mm, low))
