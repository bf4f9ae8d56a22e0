"""Quadrilateral outlines of vertebral bodies, slice by slice, from a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spondyl.geometry.affine import Float

__all__ = ["find_column_axes", "outline_mask"]

_DIAGONALS = np.array([(-1, 1), (1, 1), (1, -1), (-1, -1)])
"""(down, back) sense of each corner in the order of `geometry.instance.CORNERS`."""


def outline_mask(mask: NDArray[np.bool_], axis_rc: Float, pixel_mm: Float) -> Float:
    """Fit the quadrilateral whose corners are the mask's tips along the diagonals of the body's own frame.

    Args:
        mask: (rows, columns) of one body in one slice, not empty.
        axis_rc: direction of the column toward the feet at this body, (row, column) in mm, any length.
        pixel_mm: spacing of rows and columns.

    Returns:
        (4, 2) corners as (row, column), ordered as `geometry.instance.CORNERS`; each is the mean of the mask's
        outermost points toward it, so that one ragged pixel does not move it.
    """
    down = axis_rc / np.linalg.norm(axis_rc)
    back = np.array([-down[1], down[0]])
    if back[1] < 0:
        back = -back
    edge = np.argwhere(mask & ~ndimage.binary_erosion(mask)).astype(float)
    local = (edge - edge.mean(0)) * pixel_mm @ np.stack([down, back]).T
    local /= np.maximum(np.ptp(local, axis=0), 1e-6)
    reach = local @ _DIAGONALS.T
    corners = [edge[r >= np.sort(r)[-min(3, len(r))]].mean(0) for r in reach.T]
    # pixel centres lie half a pixel inside the mask's border
    outward_mm = 0.5 * pixel_mm.min() * (_DIAGONALS[:, :1] * down + _DIAGONALS[:, 1:] * back)
    return np.asarray(np.stack(corners) + outward_mm / pixel_mm)


def find_column_axes(centroids_mm: Float) -> Float:
    """Estimate the direction of the column toward the feet at each body, (n, 2); centroids go from head to foot."""
    if len(centroids_mm) < 2:
        return np.tile((1.0, 0.0), (len(centroids_mm), 1))
    return np.asarray(np.gradient(centroids_mm, axis=0))
