"""The appearance volume of each vertebra: an upright box around it and its surroundings.

The in-plane frame of a vertebra has its origin at the middle of its top edge, its first axis along that edge
(anterior to posterior) and its second down the body, both in mm (Windsor et al. 2022, section 3.2, step 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import numpy as np

from spondyl.errors import SettingError
from spondyl.geometry.instance import CORNERS, VertebraInstance
from spondyl.geometry.stack import SagittalStack
from spondyl.types import Float, Float32, Index

__all__ = ["COMPACT", "CROPS", "BodyWidth", "CropGrid", "appearance_crops"]

_ANTERIOR = CORNERS.index("anterior_superior")
_POSTERIOR = CORNERS.index("posterior_superior")


class BodyWidth(StrEnum):
    """The definition of the width of a body from right to left."""

    SEEN = "seen"
    """The slices in which it was detected, as in the paper."""
    EDGE = "edge"
    """The edge of the square around it in plane, about its middle slice: similar, but independent of the slices in
    which it was detected or annotated. If some levels were annotated in few slices only, a network could identify them
    by that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CropGrid:
    """The size and extent of the crops.

    Args:
        size: rows and columns.
        slices: sagittal planes.
        in_plane_margin: added on each side, in edges of the square around the body (1: a crop of three edges).
        through_plane_margin: added on each side, in widths of the body; None takes the whole stack.
        body_width: definition of the width of a body.

    Raises:
        SettingError: a number is outside its range.
    """

    size: int
    slices: int
    in_plane_margin: float = 1.0
    through_plane_margin: float | None = 0.5
    body_width: BodyWidth = BodyWidth.SEEN

    def __post_init__(self) -> None:
        if min(self.size, self.slices) < 1 or min(self.in_plane_margin, self.through_plane_margin or 0) < 0:
            raise SettingError("crops need positive sizes and margins of 0 or more")


COMPACT = CropGrid(size=64, slices=8, body_width=BodyWidth.EDGE)
OFFICIAL = CropGrid(size=224, slices=16, through_plane_margin=None)
"""The crops of the published weights in the reference code: all slices of the scan, whatever the width of the body."""

CROPS = {"compact": COMPACT, "spinenet": OFFICIAL}
"""The crops that each preset of the appearance network takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frames:
    """The positions of n crops in a stack.

    Args:
        origins_mm: (n, 2) first corners of the squares as (row, column).
        edges_mm: (n,) of the squares.
        across: (n, 2) unit vectors (row, column) along the top edge, anterior to posterior.
        slices: (n, 2) first and last plane, slice indices, outer faces of the crop.
    """

    origins_mm: Float
    edges_mm: Float
    across: Float
    slices: Float


def appearance_crops(
    stack: SagittalStack, instances: Sequence[VertebraInstance], grid: CropGrid = COMPACT
) -> Annotated[Float32, "n size size slices"]:
    """Crop every vertebra from a scan; those of similar size are resampled together.

    Interpolation is trilinear, on voxels averaged to about the resolution of the crop, where the reference code is
    bicubic in plane: similar where a crop magnifies, and free of aliasing where it does not. Each crop is normalised to
    (v - min) / P95(v - min); the reference divides by P95(v), which depends on the scanner's offset. Voxels
    outside the scan have its lowest value.

    Args:
        stack: the scan.
        instances: n vertebrae in its index space.
        grid: size and extent.

    Returns:
        (n, size, size, slices) float32; rows down the body, columns anterior to posterior, slices right to left.
    """
    if not instances:
        return np.zeros((0, grid.size, grid.size, grid.slices), dtype=np.float32)
    frames = _frames(stack, instances, grid)
    plane, through = _sample_indices(stack, frames, grid)
    kinds, kind_of = np.unique(_factors(stack, frames, grid), axis=0, return_inverse=True)
    crops = np.empty((len(instances), grid.size, grid.size, grid.slices), dtype=np.float32)
    lowest = float(stack.voxels.min())
    for kind, factors in enumerate(kinds):
        chosen = kind_of.reshape(-1) == kind
        crops[chosen] = _sample(stack.voxels, lowest, factors, plane[chosen], through[chosen])
    return _normalise(crops)


def _frames(stack: SagittalStack, instances: Sequence[VertebraInstance], grid: CropGrid) -> _Frames:
    origins, edges, axes, slices = [], [], [], []
    for instance in instances:
        outlines = instance.outlines * stack.pixel_mm
        anterior, posterior = outlines.mean(axis=0)[[_ANTERIOR, _POSTERIOR]]
        down, along = posterior - anterior
        angle = np.arctan2(down, along)
        across = np.array([np.sin(angle), np.cos(angle)])
        below = np.array([across[1], -across[0]])
        middle = (anterior + posterior) / 2
        local = np.stack([(outlines - middle) @ across, (outlines - middle) @ below], axis=-1).reshape(-1, 2)
        lowest = local.min(axis=0)
        edge = float((local.max(axis=0) - lowest).max())
        corner = lowest - grid.in_plane_margin * edge
        origins.append(middle + corner[0] * across + corner[1] * below)
        edges.append(edge * (1 + 2 * grid.in_plane_margin))
        axes.append(across)
        slices.append(_slice_range(stack, instance, grid, edge))
    return _Frames(
        origins_mm=np.array(origins), edges_mm=np.array(edges), across=np.array(axes), slices=np.array(slices)
    )


def _slice_range(
    stack: SagittalStack, instance: VertebraInstance, grid: CropGrid, edge_mm: float
) -> tuple[float, float]:
    if grid.through_plane_margin is None:
        return -0.5, len(stack.voxels) - 0.5
    first, last = instance.slices[0] - 0.5, instance.slices[-1] + 0.5
    width = last - first if grid.body_width is BodyWidth.SEEN else edge_mm / stack.slice_mm
    middle, reach = (first + last) / 2, width * (0.5 + grid.through_plane_margin)
    return middle - reach, middle + reach


def _sample_indices(stack: SagittalStack, frames: _Frames, grid: CropGrid) -> tuple[Float32, Float32]:
    """Compute in-plane indices (n, size, size, 2) and slice indices (n, slices) of the crops' voxel centres."""
    steps = (np.arange(grid.size) + 0.5) / grid.size
    across = frames.across[:, None, None]
    below = np.stack([frames.across[:, 1], -frames.across[:, 0]], axis=-1)[:, None, None]
    along = steps[None, None, :, None] * across + steps[None, :, None, None] * below
    plane = (frames.origins_mm[:, None, None] + frames.edges_mm[:, None, None, None] * along) / stack.pixel_mm
    first, last = frames.slices[:, :1], frames.slices[:, 1:]
    through = first + (last - first) * (np.arange(grid.slices) + 0.5) / grid.slices
    return plane.astype(np.float32), through.astype(np.float32)


def _factors(stack: SagittalStack, frames: _Frames, grid: CropGrid) -> Index:
    """Count the voxels (n, 3) of the stack that one voxel of each crop spans along each axis, at least 1."""
    step_mm = frames.edges_mm / grid.size
    step_slices = (frames.slices[:, 1] - frames.slices[:, 0]) / grid.slices
    spans = np.column_stack([step_slices, step_mm / stack.pixel_mm[0], step_mm / stack.pixel_mm[1]])
    return np.clip(np.floor(spans + 0.25), 1, stack.voxels.shape).astype(np.intp)


def _sample(voxels: Float32, lowest: float, factors: Index, plane: Float32, through: Float32) -> Float32:
    """Sample values above `lowest` at the voxels of the crops, from blocks of `factors` voxels of the stack."""
    low = np.array([through.min(), *plane.min(axis=(0, 1, 2))]) / factors
    high = np.array([through.max(), *plane.max(axis=(0, 1, 2))]) / factors
    last = -(-np.array(voxels.shape) // factors)
    start = np.clip(np.floor(low).astype(int) - 1, 0, last - 1)
    stop = np.clip(np.ceil(high).astype(int) + 2, start + 1, last)
    blocks = _average_blocks(
        voxels[tuple(slice(a, b) for a, b in zip(start * factors, stop * factors, strict=True))], factors
    )
    blocks -= np.float32(lowest)
    offset = start * factors + (factors - 1) / 2
    return _interpolate(blocks, (plane - offset[1:]) / factors[1:], (through - offset[0]) / factors[0])


def _average_blocks(voxels: Float32, factors: Index) -> Float32:
    """Average blocks; a block that extends beyond the stack repeats the last voxels."""
    for axis in np.flatnonzero(factors > 1):
        factor = int(factors[axis])
        missing = -voxels.shape[axis] % factor
        if missing:
            edges = [(0, missing if other == axis else 0) for other in range(3)]
            voxels = np.pad(voxels, edges, mode="edge")
        shape = (*voxels.shape[:axis], voxels.shape[axis] // factor, factor, *voxels.shape[axis + 1 :])
        voxels = voxels.reshape(shape).mean(axis=axis + 1, dtype=np.float32)
    return np.array(voxels, dtype=np.float32, order="C")


def _interpolate(voxels: Float32, plane: Float, through: Float) -> Float32:
    """Interpolate trilinear values (n, size, size, slices) at in-plane and slice indices, 0 outside.

    The planes of a crop share their in-plane indices: these are interpolated once, in all slices, and the slices are
    then combined by one matrix product.
    """
    n, size, _, _ = plane.shape
    framed = np.pad(voxels, ((0, 0), (1, 1), (1, 1))).transpose(1, 2, 0)  # a frame of zeros
    rows, columns, slices = framed.shape
    pixels = np.ascontiguousarray(framed).reshape(-1, slices)
    mixing = np.clip(1 - np.abs(through[:, None] - np.arange(slices)[:, None]), 0, None).astype(np.float32)
    values = np.empty((n, size * size, through.shape[1]), dtype=np.float32)
    for crop, places in enumerate(plane.reshape(n, -1, 2)):
        at = np.clip(places + 1, 0, (rows - 1, columns - 1))
        corner = np.minimum(at.astype(np.intp), (rows - 2, columns - 2))
        down, right = np.hsplit((at - corner).astype(np.float32), 2)
        first = corner[:, 0] * columns + corner[:, 1]
        upper = _mix(pixels.take(first, 0), pixels.take(first + 1, 0), right)
        lower = _mix(pixels.take(first + columns, 0), pixels.take(first + columns + 1, 0), right)
        np.matmul(_mix(upper, lower, down), mixing[crop], out=values[crop])
    return values.reshape(n, size, size, -1)


def _mix(a: Float32, b: Float32, share: Float32) -> Float32:
    """Compute a + share * (b - a) in the memory of b."""
    b -= a
    b *= share
    b += a
    return b


def _normalise(crops: Float32) -> Float32:
    """Normalise each crop to (v - min) / P95(v - min); a constant crop becomes 0."""
    flat = crops.reshape(len(crops), -1)
    flat = flat - flat.min(axis=1, keepdims=True)
    at = int(np.ceil(0.95 * (flat.shape[1] - 1)))
    p95 = np.partition(flat, at, axis=1)[:, at : at + 1]
    p95 = np.where(p95 > 0, p95, np.maximum(flat.max(axis=1, keepdims=True), 1e-12))
    return np.ascontiguousarray((flat / p95).reshape(crops.shape), dtype=np.float32)
