"""Checks that a grid can be viewed from the side, made before any voxel is moved."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from spondyl.errors import InputError
from spondyl.geometry.grid import Grid

__all__ = ["MAX_IN_PLANE_MM", "require_viewable"]

MIN_SPACING_MM = 0.05
"""No clinical scanner stores finer voxels: MR is interpolated to 0.2 mm, CT of the inner ear to 0.1 mm."""

MAX_IN_PLANE_MM = 5.0
"""The coarsest spacing along head-foot or front-back at which a disc (6 to 12 mm high) stands out from a body."""

MAX_SLICE_MM = 50.0
"""The largest distance of slices; a vertebral body is at most this wide."""

MIN_EXTENT_MM = 20.0
"""The smallest extent along head-foot or front-back that can hold a vertebral body."""

MAX_EXTENT_MM = 3000.0
"""No scanner's table travels farther; whole-body scans cover 2 m."""

MAX_POSITION_MM = 1e5
"""NIfTI stores positions in single precision, which farther from the origin than this rounds to 0.01 mm."""

MAX_SHEAR_DEG = 30.0
"""The largest gantry tilt; axes farther from right angles come from a damaged header or a registration."""

_ROUNDING = 1 + 1e-3
"""Spacings are often stored with a few digits: 5 mm as 5.0004."""


def require_viewable(grid: Grid, axes: tuple[int, int, int]) -> None:
    """Refuse a grid in which no spine can be seen from the side.

    Args:
        grid: of the scan.
        axes: the voxel axes that run mainly along left-right, head-foot and front-back.

    Raises:
        InputError: the voxels, extent or position are implausible, the axes do not meet at right angles, or an axial
            or coronal stack is too thick or too short.
    """
    _refuse_implausible_spacing(grid, axes)
    _refuse_shear(grid)
    _refuse_thick(grid, axes)
    _refuse_far(grid)


def _refuse_implausible_spacing(grid: Grid, axes: tuple[int, int, int]) -> None:
    finest_mm, slice_mm = float(grid.spacing_mm.min()), float(grid.spacing_mm[axes[0]])
    if finest_mm < MIN_SPACING_MM / _ROUNDING:
        raise InputError(
            f"the voxels are {finest_mm:.2g} mm apart along one axis, finer than any scanner "
            f"({MIN_SPACING_MM} mm); correct the spacing in the header"
        )
    if slice_mm > MAX_SLICE_MM * _ROUNDING:
        raise InputError(
            f"the sagittal slices are {slice_mm:.0f} mm apart, farther than a vertebra is wide; "
            f"give a series with slices of at most {MAX_SLICE_MM:.0f} mm, or correct the spacing in the header"
        )


def _refuse_shear(grid: Grid) -> None:
    cosines = [abs(float(a @ b)) for a, b in combinations(grid.affine.directions.T, 2)]
    shear_deg = float(np.degrees(np.arcsin(min(1.0, max(cosines)))))
    if shear_deg > MAX_SHEAR_DEG:
        raise InputError(
            f"the axes of the scan are {shear_deg:.0f} degrees off right angles; "
            f"resample it onto a grid whose axes are orthogonal, or correct the orientation in the header"
        )


def _refuse_thick(grid: Grid, axes: tuple[int, int, int]) -> None:
    for axis, plane, along in ((axes[1], "an axial", "head-foot"), (axes[2], "a coronal", "front-back")):
        spacing_mm = float(grid.spacing_mm[axis])
        if spacing_mm > MAX_IN_PLANE_MM * _ROUNDING:
            raise InputError(
                f"the scan is {plane} stack with slices {spacing_mm:.1f} mm apart, too thick for a side view; "
                f"give a sagittal series or slices of at most {MAX_IN_PLANE_MM:.0f} mm"
            )
        if grid.shape[axis] * spacing_mm < MIN_EXTENT_MM:
            raise InputError(
                f"the scan is {plane} stack that covers only {grid.shape[axis] * spacing_mm:.0f} mm {along}, "
                f"less than one vertebra; give a sagittal series"
            )


def _refuse_far(grid: Grid) -> None:
    extent_mm = float((grid.spacing_mm * grid.shape).max())
    if extent_mm > MAX_EXTENT_MM * _ROUNDING:
        raise InputError(
            f"the scan covers {extent_mm / 1000:.1f} m along one axis, more than any scanner "
            f"({MAX_EXTENT_MM / 1000:.0f} m); correct the spacing in the header"
        )
    if not (np.abs(grid.affine.matrix[:3, 3]) <= MAX_POSITION_MM).all():
        raise InputError(
            f"the scan lies more than {MAX_POSITION_MM / 1000:.0f} m from the scanner's origin; "
            f"correct the positions in its header"
        )
