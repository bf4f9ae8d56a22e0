"""A scan whose every voxel says where it is: its value is a linear function of its world position.

Linear interpolation and averaging keep a linear function, so one comparison checks every voxel of what a reader makes.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spondyl.geometry.affine import Affine

_SLOPES = np.array([2.0, 5.0, 11.0])
"""Per mm to the right, anterior and superior; no swap or flip of axes leaves them the same."""


def ramp(points_ras_mm: ArrayLike) -> NDArray[np.float64]:
    """The value at world points (..., 3), shape (...)."""
    return np.asarray(points_ras_mm) @ _SLOPES + 2000


def ramp_volume(affine: Affine, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """The ramp on a grid."""
    return ramp(affine.to_world(np.moveaxis(np.indices(shape), 0, -1))).astype(np.float32)


def assert_is_ramp(voxels: NDArray[np.float32], affine: Affine, tolerance: float = 0.5) -> None:
    """Every voxel has the value of the place to which the affine maps it."""
    difference = np.abs(voxels - ramp_volume(affine, voxels.shape))  # type: ignore[arg-type]
    assert difference.max() <= tolerance, f"values are off by up to {difference.max():.3f}"
