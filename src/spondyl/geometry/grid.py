"""A grid of voxels in space without the voxels, as the target of a resampling, a crop or an overlay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike

from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.types import Float, Mask

__all__ = ["Grid"]

_CORNERS = np.indices((2, 2, 2)).reshape(3, 8).T
"""The corners of a cube of edge 1, (8, 3); the last axis varies fastest."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A box of voxels and its place in space.

    Args:
        shape: number of voxels along i, j and k.
        affine: (i, j, k) to RAS mm.

    Raises:
        SettingError: the shape is not three positive whole numbers.
    """

    shape: tuple[int, int, int]
    affine: Affine

    def __post_init__(self) -> None:
        shape = tuple(int(length) for length in self.shape)
        if len(shape) != 3 or min(shape) < 1 or shape != tuple(self.shape):
            raise SettingError(f"the shape of a grid must be three positive whole numbers, got {tuple(self.shape)}")
        object.__setattr__(self, "shape", shape)

    @property
    def spacing_mm(self) -> Annotated[Float, "3"]:
        """The distance between neighbouring voxels along i, j and k, (3,)."""
        return self.affine.spacing_mm

    @property
    def corners_ras_mm(self) -> Annotated[Float, "8 3"]:
        """The centres of the eight corner voxels, (8, 3) RAS mm."""
        return self.affine.to_world(_CORNERS * (np.array(self.shape) - 1))

    def contains(self, points_ras_mm: ArrayLike) -> Mask:
        """Tell which points (..., 3) in RAS mm lie in a voxel; a voxel reaches half a step around its centre."""
        index = self.affine.to_index(points_ras_mm)
        return np.asarray(((index >= -0.5) & (index < np.array(self.shape) - 0.5)).all(axis=-1))

    def crop(self, start: Sequence[int], stop: Sequence[int]) -> Grid:
        """Keep the voxels from `start` up to, but without, `stop`; each stays in its place.

        Raises:
            SettingError: there are none, or some lie outside the grid.
        """
        if not all(0 <= first < last <= n for first, last, n in zip(start, stop, self.shape, strict=True)):
            raise SettingError(f"a crop must lie within the grid {self.shape}, got {tuple(start)} to {tuple(stop)}")
        index_map = np.eye(4)
        index_map[:3, 3] = start
        lengths = np.subtract(stop, start)
        return Grid((int(lengths[0]), int(lengths[1]), int(lengths[2])), self.affine @ index_map)

    def __matmul__(self, index_map: ArrayLike) -> Grid:
        """Permute and flip the axes; each voxel stays in its place.

        Args:
            index_map: (4, 4), from the indices of the result to those of this grid.

        Raises:
            SettingError: the map does more than permute and flip, or moves voxels out of the grid.
        """
        matrix = np.asarray(index_map, dtype=np.float64)
        swap = np.abs(matrix[:3, :3])
        lengths = np.rint(swap.T @ self.shape).astype(int)
        origin = np.where(matrix[:3, :3].sum(axis=1) < 0, np.array(self.shape) - 1, 0)
        is_permutation = np.isin(swap, (0, 1)).all() and (swap.sum(0) == 1).all() and (swap.sum(1) == 1).all()
        if not is_permutation or not np.array_equal(matrix[:3, 3], origin):
            raise SettingError("a grid can be multiplied only by a map that permutes and flips its axes")
        return Grid((int(lengths[0]), int(lengths[1]), int(lengths[2])), self.affine @ matrix)
