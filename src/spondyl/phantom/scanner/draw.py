"""Draw the protocol of a phantom: fields of view, resolutions and imperfections as they occur in clinical scans.

Slice thickness, gaps, pixel bandwidth and phase direction follow the 447 lumbar series of SPIDER (van der Graaf et al.
2024, doi 10.1038/s41597-024-03090-w): 3 to 4 mm with a tenth to a fifth of gap, or 0.9 mm in three dimensions; 160 to
530 Hz a pixel; phase from head to foot. Other regions and CT follow what is customary there.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from scipy.spatial.transform import Rotation

from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine, Float
from spondyl.phantom.column.column import Column
from spondyl.phantom.scanner.protocol import (
    SPACING_RANGE_MM,
    Coil,
    CtKernel,
    CtProtocol,
    FieldOfView,
    GridShape,
    Imperfections,
    MrProtocol,
)
from spondyl.phantom.scanner.sequence import FAT_SHIFT_HZ_PER_T, Contrast, PulseSequence, draw_contrast
from spondyl.phantom.scanner.view import (
    SCAN_HABITS,
    ScanHabits,
    View,
    draw_view,
    find_ends,
    find_middle,
    make_usual_view,
)

__all__ = ["draw_ct_protocol", "draw_mr_protocol"]

_LEFT_INFERIOR_POSTERIOR = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])
_LEFT_POSTERIOR_SUPERIOR = np.diag([-1.0, -1.0, 1.0])

_USUAL_CT_VOXELS, _MAX_CT_VOXELS = 60_000_000, 200_000_000
"""The most voxels drawn (a whole spine at 1 mm), and the most that can be requested (3 GB of memory)."""


def draw_mr_protocol(
    rng: np.random.Generator,
    column: Column,
    field: FieldOfView,
    *,
    sequence: PulseSequence | None = None,
    spacing_mm: float | None = None,
    is_varied: bool = True,
) -> MrProtocol:
    """Draw a sagittal MR scan of a region.

    Args:
        rng: random generator.
        column: the column, placed.
        field: the region that the scan is meant to show.
        sequence: the pulse sequence; drawn if None.
        spacing_mm: spacing of rows and columns; drawn if None.
        is_varied: False for an upright, well-centred field of view of 15 slices; True also for small, shifted and
            oblique ones, and for thin slices.

    Raises:
        SettingError: the spacing is outside `SPACING_RANGE_MM`.
    """
    _check_spacing(spacing_mm)
    habits, contrast = SCAN_HABITS[FieldOfView(field)], draw_contrast(rng, sequence)
    view = draw_view(rng, column, FieldOfView(field)) if is_varied else make_usual_view(column, FieldOfView(field))
    pixel_mm = spacing_mm if spacing_mm is not None else _draw_pixel_mm(rng, habits, view) if is_varied else 0.9
    count, slice_mm, step_mm = _draw_slices(rng, habits, view) if is_varied else _USUAL_SLICES[FieldOfView(field)]
    shape = (count, _round_to_even(view.height_mm / pixel_mm), _round_to_even(view.width_mm / pixel_mm))
    directions = Rotation.from_euler("xyz", view.turn_deg, degrees=True).as_matrix() @ _LEFT_INFERIOR_POSTERIOR
    affine = _centre_grid(directions, (step_mm, pixel_mm, pixel_mm), shape, view.centre_ras_mm)
    return MrProtocol(
        contrast=contrast,
        affine=affine,
        shape=shape,
        slice_mm=slice_mm,
        coil=_draw_coil(rng, view.height_mm),
        imperfections=_draw_imperfections(rng, contrast, shape, _measure_front_mm(column, affine, shape)),
        full_scale=float(np.exp(rng.uniform(np.log(300.0), np.log(3000.0)))),
    )


def draw_ct_protocol(
    rng: np.random.Generator,
    column: Column,
    field: FieldOfView,
    *,
    spacing_mm: float | None = None,
    is_varied: bool = True,
) -> CtProtocol:
    """Draw a CT scan of a region; axes (i, j, k) to left, posterior and superior.

    Args:
        rng: random generator.
        column: the column, placed.
        field: the region that the scan is meant to show.
        spacing_mm: spacing of voxels in all directions; drawn if None.
        is_varied: False for 1 mm voxels and a field of view of 300 mm around the spine.

    Raises:
        SettingError: the spacing is outside `SPACING_RANGE_MM`, or the scan would have more than 200 million voxels.
    """
    _check_spacing(spacing_mm)
    spacing = np.full(3, 1.0 if spacing_mm is None else spacing_mm)
    top_mm, bottom_mm = find_ends(
        column, FieldOfView(field), *(rng.uniform(10.0, 50.0, 2) if is_varied else (30.0, 30.0))
    )
    side_mm, forward_mm = _draw_side(rng) if is_varied else (300.0, 30.0)
    if is_varied and spacing_mm is None and rng.random() < 0.6:
        spacing[:2], spacing[2] = rng.uniform(0.6, 1.2), rng.uniform(0.7, 3.0)
    volume_mm3 = side_mm**2 * (top_mm - bottom_mm)
    if spacing_mm is None:
        spacing *= max(1.0, float(volume_mm3 / np.prod(spacing) / _USUAL_CT_VOXELS)) ** (1 / 3)
    elif spacing_mm < (finest_mm := np.ceil(100 * np.cbrt(volume_mm3 / _MAX_CT_VOXELS)) / 100):
        raise SettingError(f"spacing must be at least {finest_mm:g} mm for a CT of this region, got {spacing_mm}")
    shape = (
        _round_to_even(side_mm / spacing[0]),
        _round_to_even(side_mm / spacing[1]),
        _round_to_even((top_mm - bottom_mm) / spacing[2]),
    )
    centre = find_middle(column, top_mm, bottom_mm) + np.array([rng.normal(0.0, 5.0), forward_mm, 0.0])
    return _draw_ct_settings(rng, _centre_grid(_LEFT_POSTERIOR_SUPERIOR, spacing, shape, centre), shape, side_mm)


def _check_spacing(spacing_mm: float | None) -> None:
    low, high = SPACING_RANGE_MM
    if spacing_mm is not None and not low <= spacing_mm <= high:
        raise SettingError(f"spacing must be between {low:g} and {high:g} mm, got {spacing_mm}")


def _round_to_even(size: float) -> int:
    """Return the nearest even number, at least 8."""
    return max(8, 2 * round(size / 2))


def _centre_grid(
    directions: Float, spacing_mm: Float | tuple[float, ...], shape: GridShape, centre_ras_mm: Float
) -> Affine:
    """Return the grid whose middle lies at this point."""
    half = np.asarray(directions) @ (np.asarray(spacing_mm) * (np.array(shape) - 1) / 2)
    return Affine.from_axes(directions, spacing_mm, centre_ras_mm - half)


_USUAL_SLICES = MappingProxyType(
    {field: (15, 3.0, 3.3) if field is FieldOfView.CERVICAL else (15, 4.0, 4.4) for field in FieldOfView},
)
"""The number of slices, their thickness and their distance, in mm."""


def _draw_pixel_mm(rng: np.random.Generator, habits: ScanHabits, view: View) -> float:
    low, high = (0.8, 1.1) if view.is_volumetric else habits.pixel_mm
    return float(rng.uniform(low, high))


def _draw_slices(rng: np.random.Generator, habits: ScanHabits, view: View) -> tuple[int, float, float]:
    """Draw the number of slices, their thickness and their distance, in mm."""
    if view.is_volumetric:
        thin_mm = float(rng.uniform(0.8, 1.2))
        return int(rng.integers(44, 61)), thin_mm, thin_mm
    slice_mm = float(rng.uniform(*habits.slice_mm))
    gap = float(rng.choice((0.0, 0.1, 0.2), p=(0.2, 0.6, 0.2)))
    return int(rng.integers(habits.slices[0], habits.slices[1] + 1)), slice_mm, slice_mm * (1 + gap)


def _draw_coil(rng: np.random.Generator, height_mm: float) -> Coil:
    """Draw the coils.

    In most real scans subcutaneous fat is twice as bright beside marrow as its signal alone makes it; in the others the
    scanner has corrected the intensity.
    """
    is_evened_out = rng.random() < 0.2
    return Coil(
        surface_share=float(rng.uniform(0.0, 0.4) if is_evened_out else rng.uniform(0.7, 1.0)),
        depth_mm=float(rng.uniform(45.0, 110.0)),
        half_length_mm=float(height_mm * rng.uniform(0.5, 0.9)),
        unevenness=float(rng.uniform(0.0, 0.2)),
    )


def _measure_front_mm(column: Column, affine: Affine, shape: GridShape) -> float:
    """Measure from the image's front edge to the foremost body within its height; 0 where there is none."""
    centres = affine.to_index([vertebra.centre_ras_mm for vertebra in column.vertebrae])
    half_mm = np.array([vertebra.size.lower_depth_mm / 2 for vertebra in column.vertebrae])
    seen = (centres[:, 1] > 0) & (centres[:, 1] < shape[1])
    fronts = centres[:, 2] * affine.spacing_mm[2] - half_mm
    return float(fronts[seen].min()) if seen.any() else 0.0


_BANDWIDTH_HZ = MappingProxyType({1.5: (160.0, 400.0), 3.0: (250.0, 530.0)})
"""The bandwidth of a pixel by field strength in T."""


_WRAPPED_SHARE = 0.1
"""The share of scans without phase oversampling (assumed)."""


def _draw_imperfections(
    rng: np.random.Generator, contrast: Contrast, shape: GridShape, front_mm: float
) -> Imperfections:
    shift_hz = FAT_SHIFT_HZ_PER_T * contrast.field_strength_t
    shift_px = rng.choice((-1.0, 1.0)) * shift_hz / rng.uniform(*_BANDWIDTH_HZ[contrast.field_strength_t])
    is_phase_along_rows = bool(rng.random() < 0.85)
    phase, frequency = rng.uniform(0.6, 1.0), rng.uniform(0.75, 1.0)
    saturated_mm = max(0.0, front_mm - rng.uniform(12.0, 40.0)) if rng.random() < 0.4 else 0.0
    return Imperfections(
        snr=float(np.exp(rng.uniform(np.log(12.0), np.log(80.0)))),
        chemical_shift_px=float(shift_px),
        is_phase_along_rows=is_phase_along_rows,
        resolution=(phase, frequency) if is_phase_along_rows else (frequency, phase),
        ghost=float(rng.uniform(0.02, 0.12)) if rng.random() < 0.3 else 0.0,
        ghost_shift=float(rng.uniform(0.08, 0.4)),
        saturated_mm=saturated_mm,
        texture=float(rng.uniform(0.6, 1.6)),
        wrapped_px=_draw_wrapped(rng, shape[1 if is_phase_along_rows else 2]),
    )


def _draw_wrapped(rng: np.random.Generator, size: int) -> int:
    """Draw the wrap-around at either end: a tenth of the field of view at most, since the patient's size bounds it."""
    share = rng.uniform(0.02, 0.1)
    return round(share * size) if rng.random() < _WRAPPED_SHARE else 0


def _draw_side(rng: np.random.Generator) -> tuple[float, float]:
    """Draw the side of the axial field of view and how far its centre lies before the bodies, for spine or trunk."""
    if rng.random() < 0.6:
        return float(rng.uniform(140.0, 240.0)), float(rng.normal(-8.0, 8.0))
    return float(rng.uniform(320.0, 430.0)), float(rng.normal(50.0, 10.0))


def _draw_ct_settings(rng: np.random.Generator, affine: Affine, shape: GridShape, side_mm: float) -> CtProtocol:
    """Draw kernel and noise: a sharp kernel has two to four times a soft one's noise, thick slices have less."""
    kernel = CtKernel.BONE if rng.random() < 0.5 else CtKernel.SOFT
    noise_hu = rng.uniform(8.0, 28.0) * (2.5 if kernel is CtKernel.BONE else 1.0) / np.sqrt(affine.spacing_mm[2])
    return CtProtocol(
        affine=affine,
        shape=shape,
        kernel=kernel,
        noise_hu=float(noise_hu),
        gantry_mm=float(side_mm * (1.0 if rng.random() < 0.4 else 1.5)),
        streak_hu=float(rng.uniform(60.0, 350.0)),
        cupping_hu=float(rng.uniform(0.0, 10.0)),
    )
