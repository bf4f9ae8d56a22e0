"""A scan: its voxels, their position in the world, and the guesses of the reader."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spondyl.errors import InputError
from spondyl.geometry.affine import Affine
from spondyl.geometry.grid import Grid
from spondyl.imaging.modality import Modality
from spondyl.imaging.origin import DicomOrigin
from spondyl.types import Float32

__all__ = ["Modality", "Volume", "guess_modality"]

_CT_BELOW_HU = -500.0
"""The threshold between MR and CT: air is near -1000 HU, and no MR signal is as negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A three-dimensional scan on its own grid.

    Args:
        voxels: (i, j, k), float32, finite; rescaled (HU for CT).
        affine: (i, j, k) to RAS mm.
        modality: MR or CT.
        source: description for `report.json`, where it is "input"; never identifiers of a patient.
        warnings: guesses of the reader and what it ignored, one sentence each.
        origin: the DICOM images that it was read from, for the writers of DICOM alone; None for other formats.

    Raises:
        InputError: voxels are not three-dimensional, not finite, or all equal.
    """

    voxels: Float32
    affine: Affine
    modality: Modality
    source: dict[str, str | int | float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    origin: DicomOrigin | None = None

    def __post_init__(self) -> None:
        if self.voxels.ndim != 3 or min(self.voxels.shape) < 1:
            raise InputError(f"a scan must have three dimensions, got shape {self.voxels.shape}")
        with np.errstate(invalid="ignore"):
            lowest, highest = self.voxels.min(), self.voxels.max()  # both are NaN where one voxel is
        if not np.isfinite([lowest, highest]).all():
            raise InputError("the scan contains values that are not numbers (NaN or infinite)")
        if lowest == highest:
            raise InputError("the scan is constant: every voxel has the same value")

    @property
    def grid(self) -> Grid:
        """The grid of its voxels."""
        return Grid(self.voxels.shape, self.affine)


def guess_modality(voxels: Float32) -> tuple[Modality, tuple[str, ...]]:
    """Guess the modality from the values, with a warning that says so."""
    guess = Modality.CT if float(voxels.min()) < _CT_BELOW_HU else Modality.MR
    return guess, (f"the modality was guessed from the values: {guess.name}",)
