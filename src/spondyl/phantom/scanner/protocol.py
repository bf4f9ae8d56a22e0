"""The protocol of a scan: the grid of an MR or CT scan, and all its imperfections.

MR grids are sagittal stacks, index order (slice, row, column), axes to left, inferior and posterior as in
`geometry.stack`, perhaps oblique by some degrees. CT grids have axes (i, j, k) to left, posterior and superior: DICOM's
"LPS", so that [:, :, k] is an axial slice. World space is RAS mm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.geometry.viewable import MAX_IN_PLANE_MM
from spondyl.phantom.scanner.sequence import Contrast, PulseSequence

__all__ = [
    "SPACING_RANGE_MM",
    "Coil",
    "CtKernel",
    "CtProtocol",
    "FieldOfView",
    "GridShape",
    "Imperfections",
    "MrProtocol",
]

GridShape = tuple[int, int, int]

SPACING_RANGE_MM = (0.3, MAX_IN_PLANE_MM)
"""The range of in-plane spacings that can be requested: from the finest in clinical use to the coarsest readable."""


def _check_grid(affine: Affine, shape: GridShape) -> None:
    for size in shape:
        _check("shape", size, 1, 4096)
    for spacing in affine.spacing_mm:
        _check("spacing_mm", float(spacing), 0.3, 12.0)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise SettingError(f"{name} must be between {low:g} and {high:g}, got {value}")


class FieldOfView(StrEnum):
    """The part of the column that a scan is meant to show."""

    LUMBAR = "lumbar"
    CERVICAL = "cervical"
    THORACIC = "thoracic"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coil:
    """The receiver coils under the patient's back.

    Args:
        surface_share: share of the sensitivity that falls off with the distance from the back, 0 to 1.
        depth_mm: distance over which that share falls to 1/e.
        half_length_mm: distance above and below the centre at which the sensitivity is half.
        unevenness: standard deviation of the logarithm of a smooth field that multiplies the image.
    """

    surface_share: float = 0.0
    depth_mm: float = 100.0
    half_length_mm: float = 1000.0
    unevenness: float = 0.0

    def __post_init__(self) -> None:
        _check("surface_share", self.surface_share, 0.0, 1.0)
        _check("depth_mm", self.depth_mm, 10.0, 10000.0)
        _check("half_length_mm", self.half_length_mm, 10.0, 10000.0)
        _check("unevenness", self.unevenness, 0.0, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imperfections:
    """The imperfections that the scanner adds.

    Args:
        snr: mean signal of the body over the noise's standard deviation in each of the two channels.
        chemical_shift_px: displacement of fat along the frequency axis, pixels; may be negative.
        is_phase_along_rows: True where phase is encoded from head to foot (fat shifts front to back), as is usual.
        resolution: share of k-space that is acquired along rows and columns; the rest is filled with zeros.
        ghost: strength of the ghosts of flow and breathing, relative to their source.
        ghost_shift: distance of the ghosts, share of the field of view along phase.
        saturated_mm: width of the band at the image's front in which signal is suppressed, 0 for none.
        wrapped_px: distance beyond each end of the phase axis from which tissue wraps to the other end; 0 where phase
            is oversampled, as it mostly is.
        texture: factor on every tissue's own texture.
    """

    snr: float = 40.0
    chemical_shift_px: float = 0.0
    is_phase_along_rows: bool = True
    resolution: tuple[float, float] = (1.0, 1.0)
    ghost: float = 0.0
    ghost_shift: float = 0.25
    saturated_mm: float = 0.0
    wrapped_px: int = 0
    texture: float = 1.0

    def __post_init__(self) -> None:
        _check("snr", self.snr, 1.0, 1e6)
        _check("chemical_shift_px", self.chemical_shift_px, -10.0, 10.0)
        _check("resolution", min(self.resolution), 0.2, 1.0)
        _check("resolution", max(self.resolution), 0.2, 1.0)
        _check("ghost", self.ghost, 0.0, 1.0)
        _check("ghost_shift", self.ghost_shift, 0.0, 1.0)
        _check("saturated_mm", self.saturated_mm, 0.0, 1000.0)
        _check("wrapped_px", self.wrapped_px, 0, 1000)
        _check("texture", self.texture, 0.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MrProtocol:
    """A sagittal MR scan.

    Args:
        contrast: the sequence and its times.
        affine: (slice, row, column) to RAS mm; its first spacing is from slice to slice, gap included.
        shape: slices, rows, columns.
        slice_mm: thickness of a slice without the gap.
        coil, imperfections: effects of the scanner.
        full_scale: value of the brightest tissue.

    Raises:
        SettingError: a number is outside its range, or slices overlap.
    """

    contrast: Contrast
    affine: Affine
    shape: GridShape
    slice_mm: float
    coil: Coil = Coil()
    imperfections: Imperfections = Imperfections()
    full_scale: float = 1000.0

    def __post_init__(self) -> None:
        _check_grid(self.affine, self.shape)
        _check("full_scale", self.full_scale, 1.0, 65535.0)
        _check("slice_mm", self.slice_mm, 0.3, float(self.affine.spacing_mm[0]) + 1e-6)

    @property
    def margin(self) -> GridShape:
        """Return the voxels beyond each end of each axis from which signal enters."""
        rows = self.imperfections.is_phase_along_rows
        wrapped = self.imperfections.wrapped_px
        return (0, wrapped, 0) if rows else (0, 0, wrapped)

    @property
    def excited(self) -> MrProtocol:
        """Return the scan of everything that gives signal: the field of view with its margin."""
        shift = np.eye(4)
        shift[:3, 3] = -np.array(self.margin)
        slices, rows, columns = (size + 2 * beyond for size, beyond in zip(self.shape, self.margin, strict=True))
        return replace(
            self,
            affine=self.affine @ shift,
            shape=(slices, rows, columns),
            imperfections=replace(self.imperfections, wrapped_px=0),
        )

    @property
    def sequence(self) -> PulseSequence:
        """Return the name of its sequence."""
        return self.contrast.sequence

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Return the spacing of rows and of columns."""
        return float(self.affine.spacing_mm[1]), float(self.affine.spacing_mm[2])


class CtKernel(StrEnum):
    """The reconstruction kernels."""

    SOFT = "soft"
    BONE = "bone"


@dataclass(frozen=True, slots=True, kw_only=True)
class CtProtocol:
    """A CT scan.

    Args:
        affine: (i, j, k) to RAS mm; i to the left, j to posterior, k to superior.
        shape: voxels along i, j, k.
        kernel: soft (smooth) or bone (sharp and noisy).
        noise_hu: standard deviation in a slice of median attenuation.
        gantry_mm: diameter of the circle that is reconstructed around the grid's centre; padding outside.
        streak_hu: amplitude of the streaks around metal.
        cupping_hu: darkening of the middle of the body by beam hardening.

    Raises:
        SettingError: a number is outside its range.
    """

    affine: Affine
    shape: GridShape
    kernel: CtKernel = CtKernel.SOFT
    noise_hu: float = 15.0
    gantry_mm: float = 500.0
    streak_hu: float = 300.0
    cupping_hu: float = 0.0

    def __post_init__(self) -> None:
        _check_grid(self.affine, self.shape)
        _check("noise_hu", self.noise_hu, 0.0, 200.0)
        _check("gantry_mm", self.gantry_mm, 50.0, 1000.0)
        _check("streak_hu", self.streak_hu, 0.0, 3000.0)
        _check("cupping_hu", self.cupping_hu, 0.0, 100.0)
