"""The map from voxel indices to world space: RAS+ millimetres, voxel centres at integer indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike

from spondyl.errors import SettingError
from spondyl.types import Float

__all__ = ["Affine", "Float"]


@dataclass(frozen=True, slots=True)
class Affine:
    """An invertible affine map from index space (i, j, k) to world space (RAS+ mm).

    Args:
        matrix: (4, 4), last row (0, 0, 0, 1); copied, stored read-only as float64.

    Raises:
        SettingError: the matrix is not (4, 4), not finite, not affine or not invertible.
    """

    matrix: Float

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise SettingError(f"an affine must be a finite 4 x 4 matrix, got shape {matrix.shape}")
        if not np.array_equal(matrix[3], (0, 0, 0, 1)) or not _is_invertible(matrix[:3, :3]):
            raise SettingError("an affine must be invertible and end in the row 0 0 0 1")
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def from_axes(cls, directions: ArrayLike, spacing_mm: ArrayLike, origin_mm: ArrayLike) -> Affine:
        """Build from unit axis directions as columns (3, 3), spacing (3,) and the world position of index 0."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.asarray(directions, dtype=np.float64) * np.asarray(spacing_mm, dtype=np.float64)
        matrix[:3, 3] = origin_mm
        return cls(matrix)

    @property
    def spacing_mm(self) -> Annotated[Float, "3"]:
        """The distance between neighbouring voxels along i, j and k, (3,)."""
        return np.asarray(np.linalg.norm(self.matrix[:3, :3], axis=0))

    @property
    def directions(self) -> Annotated[Float, "3 3"]:
        """The unit vectors in RAS of the index axes, as columns, (3, 3)."""
        return self.matrix[:3, :3] / self.spacing_mm

    def __matmul__(self, index_map: ArrayLike) -> Affine:
        """Compose with a map of indices (4, 4): ``(affine @ m).to_world(x) == affine.to_world(m x)``."""
        return Affine(self.matrix @ np.asarray(index_map, dtype=np.float64))

    def to_world(self, indices: ArrayLike) -> Annotated[Float, "*points 3"]:
        """Map indices (..., 3) in voxels to world points (..., 3) in RAS mm."""
        return np.asarray(np.asarray(indices, dtype=np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3])

    def to_index(self, points_ras_mm: ArrayLike) -> Annotated[Float, "*points 3"]:
        """Map world points (..., 3) in RAS mm to continuous indices (..., 3) in voxels."""
        offset = np.asarray(points_ras_mm, dtype=np.float64) - self.matrix[:3, 3]
        return np.asarray(offset @ np.linalg.inv(self.matrix[:3, :3]).T)


def _is_invertible(matrix: Float) -> bool:
    """Tell whether the columns span space, whatever their lengths: tiny voxels still span it."""
    longest = np.abs(matrix).max(axis=0)
    return bool((longest > 0).all() and abs(np.linalg.det(matrix / longest)) > 1e-9)
