"""Conversion between the world space of DICOM and ITK (LPS) and that of the library (RAS), used nowhere else."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spondyl.geometry.affine import Affine
from spondyl.types import Float

__all__ = ["affine_from_lps", "lps_from_affine"]

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""The conversion, which is its own inverse."""


def affine_from_lps(steps_mm: ArrayLike, origin_mm: ArrayLike) -> Affine:
    """Make an affine to RAS mm from steps and origin in LPS mm.

    Args:
        steps_mm: (3, 3), column n is the step from one voxel to the next along index axis n, LPS mm.
        origin_mm: (3,), centre of voxel (0, 0, 0), LPS mm.

    Raises:
        SettingError: the steps are not finite or lie in one plane.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = steps_mm
    matrix[:3, 3] = origin_mm
    return Affine(_LPS_TO_RAS @ matrix)


def lps_from_affine(affine: Affine) -> tuple[Float, Float]:
    """Convert an affine to RAS mm into steps (3, 3) and origin (3,) in LPS mm, see `affine_from_lps`."""
    matrix = _LPS_TO_RAS @ affine.matrix
    return matrix[:3, :3], matrix[:3, 3]
