"""Outlines rasterised on the input's own grid, with VerSe's codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spondyl.anatomy.codes import verse_code
from spondyl.findings import Findings
from spondyl.geometry.affine import Affine, Float
from spondyl.geometry.grid import Grid
from spondyl.report.placed import PlacedVertebra, place_vertebrae

__all__ = ["rasterise"]

_MAX_POINTS = 2**18
"""The most voxels, at some 300 bytes each, that are compared with an outline at once."""


def rasterise(findings: Findings, grid: Grid, stack_affine: Affine) -> NDArray[np.uint8]:
    """Fill every outline; between slices it is interpolated, and at both ends it reaches half a slice further.

    Args:
        findings: vertebrae in RAS mm.
        grid: the input's.
        stack_affine: of the sagittal stack in whose slices the outlines lie.

    Returns:
        (i, j, k) VerSe codes, 0 where there is no body. A body seen later, toward the feet, wins an overlap.
    """
    mask = np.zeros(grid.shape, np.uint8)
    for vertebra in place_vertebrae(findings, stack_affine):
        first, size = _box(vertebra, grid, stack_affine)
        count = int(np.prod(size))
        for start in range(0, count, _MAX_POINTS):
            part = np.arange(start, min(start + _MAX_POINTS, count))
            indices = first + np.stack(np.unravel_index(part, size), axis=-1)
            inside = _is_inside(vertebra, stack_affine.to_index(grid.affine.to_world(indices)))
            mask[tuple(indices[inside].T)] = verse_code(vertebra.level)
    return mask


def _box(vertebra: PlacedVertebra, grid: Grid, stack_affine: Affine) -> tuple[NDArray[np.intp], tuple[int, ...]]:
    """First index and size of the part of the input's grid that can hold the vertebra."""
    low = np.array([vertebra.slices[0] - 0.5, *vertebra.outlines.min(axis=(0, 1))])
    high = np.array([vertebra.slices[-1] + 0.5, *vertebra.outlines.max(axis=(0, 1))])
    corners = low + np.indices((2, 2, 2)).reshape(3, 8).T * (high - low)
    voxels = grid.affine.to_index(stack_affine.to_world(corners))
    first = np.clip(np.floor(voxels.min(axis=0)), 0, grid.shape).astype(np.intp)
    last = np.clip(np.ceil(voxels.max(axis=0)) + 1, 0, grid.shape).astype(np.intp)
    return first, tuple(int(length) for length in last - first)


def _is_inside(vertebra: PlacedVertebra, points: Float) -> NDArray[np.bool_]:
    """Even-odd test of stack points (..., 3) against the outline at their slice position."""
    positions, rows, columns = points[..., 0], points[..., 1], points[..., 2]
    outlines = vertebra.outline_at(positions)
    is_inside = np.zeros(positions.shape, bool)
    for corner in range(4):
        row_a, column_a = outlines[..., corner, 0], outlines[..., corner, 1]
        row_b, column_b = outlines[..., corner - 1, 0], outlines[..., corner - 1, 1]
        crosses = (row_a > rows) != (row_b > rows)
        with np.errstate(divide="ignore", invalid="ignore"):  # a level edge is never crossed
            column = column_a + (rows - row_a) * (column_b - column_a) / (row_b - row_a)
        is_inside ^= crosses & (columns < column)
    reach = (positions > vertebra.slices[0] - 0.5) & (positions <= vertebra.slices[-1] + 0.5)
    return np.asarray(is_inside & reach)
