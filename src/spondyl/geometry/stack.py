"""The orientation in which networks take a scan: sagittal slices, head up, anterior to the left.

Index order is (slice, row, column): slices run from the patient's right to left, rows from superior to inferior,
columns from anterior to posterior; nibabel would call it "LIP".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.geometry.grid import Grid
from spondyl.types import Float, Float32

__all__ = ["SagittalStack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SagittalStack:
    """A scan in sagittal order with the affine of that order.

    Args:
        voxels: (slices, rows, columns), float32.
        affine: (slice, row, column) to RAS mm; its axes must point mainly to left, inferior and posterior.

    Raises:
        SettingError: voxels are not three-dimensional, or the axes point elsewhere.
    """

    voxels: Float32
    affine: Affine

    def __post_init__(self) -> None:
        if self.voxels.ndim != 3:
            raise SettingError(f"a stack must have 3 dimensions, got {self.voxels.ndim}")
        if not _is_lip(self.affine):
            raise SettingError("the axes of a sagittal stack must point to left, inferior and posterior")

    @property
    def grid(self) -> Grid:
        """The grid of its voxels, in the order (slice, row, column)."""
        return Grid(self.voxels.shape, self.affine)

    @property
    def pixel_mm(self) -> Annotated[Float, "2"]:
        """The spacing of rows and columns, (2,), mm."""
        return self.affine.spacing_mm[1:]

    @property
    def slice_mm(self) -> float:
        """The distance between neighbouring slices, mm."""
        return float(self.affine.spacing_mm[0])


def _is_lip(affine: Affine) -> bool:
    left, inferior, posterior = affine.directions[0, 0], affine.directions[2, 1], affine.directions[1, 2]
    return bool(left < 0 and inferior < 0 and posterior < 0)
