"""Voxel values of a finely painted grid of parts: means over the sub-voxels."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spondyl.errors import SettingError
from spondyl.phantom.scene.scene import PartIds

__all__ = ["average_slice", "find_supersampling", "pick_centres"]

Value = TypeVar("Value", np.float32, np.complex64)


def find_supersampling(fine: tuple[int, ...], coarse: tuple[int, ...]) -> tuple[int, int, int]:
    """Return how many sub-voxels a voxel has along each axis.

    Args:
        fine: shape of the painted grid.
        coarse: shape of the scan.

    Raises:
        SettingError: the painted grid is no whole multiple of the scan's.
    """
    if len(fine) != 3 or any(f % c or f < c for f, c in zip(fine, coarse, strict=True)):
        raise SettingError(f"the painted grid must be a whole multiple of the scan's {coarse}, got {fine}")
    return fine[0] // coarse[0], fine[1] // coarse[1], fine[2] // coarse[2]


def average_slice(
    table: NDArray[Value], ids: PartIds, index: int, factors: tuple[int, int, int], weights: ArrayLike | None = None
) -> NDArray[Value]:
    """Average each voxel's sub-voxels in one slice.

    Args:
        table: value of each part.
        ids: the painted grid.
        index: of the slice along the first axis of the scan.
        factors: sub-voxels along each axis.
        weights: of the sub-slices, (factors[0],), adding to 1; equal if None.

    Returns:
        (rows, columns) of the scan.
    """
    depth, down, across = factors
    shares = np.full(depth, 1.0 / depth) if weights is None else np.asarray(weights)
    rows, columns = ids.shape[1] // down, ids.shape[2] // across
    total = np.zeros((rows, columns), dtype=table.dtype)
    for place, share in zip(range(index * depth, (index + 1) * depth), shares, strict=True):
        weighted = (table * (share / (down * across))).astype(table.dtype)
        for row in range(down):
            for column in range(across):
                total += weighted[ids[place, row::down, column::across]]
    return total


def pick_centres(ids: PartIds, factors: tuple[int, int, int], index: int) -> PartIds:
    """Return the part in the middle of each voxel of one slice, (rows, columns)."""
    depth, down, across = factors
    return ids[index * depth + depth // 2, down // 2 :: down, across // 2 :: across]
