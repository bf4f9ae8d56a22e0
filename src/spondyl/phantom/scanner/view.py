"""The sagittal field of view of a scan: the usual one of a region, or one as it occurs in clinical scans."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from spondyl.anatomy.level import Level
from spondyl.geometry.affine import Float
from spondyl.phantom.column.column import Column
from spondyl.phantom.scanner.protocol import FieldOfView

__all__ = ["SCAN_HABITS", "ScanHabits", "View", "draw_view", "find_ends", "find_middle", "make_usual_view"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanHabits:
    """The usual protocol of a region.

    Args:
        highest, middle, lowest: levels at the ends and in the middle of the field of view.
        height_mm, pixel_mm, slice_mm: ranges; the height is ignored for a whole column.
        slices: range of the number of slices, both ends included.
    """

    highest: Level
    middle: Level
    lowest: Level
    height_mm: tuple[float, float]
    pixel_mm: tuple[float, float]
    slice_mm: tuple[float, float]
    slices: tuple[int, int]


SCAN_HABITS = MappingProxyType(
    {
        FieldOfView.LUMBAR: ScanHabits(
            highest=Level.T11,
            middle=Level.L3,
            lowest=Level.S2,
            height_mm=(250.0, 345.0),
            pixel_mm=(0.6, 1.2),
            slice_mm=(3.0, 5.0),
            slices=(11, 19),
        ),
        FieldOfView.CERVICAL: ScanHabits(
            highest=Level.C1,
            middle=Level.C6,
            lowest=Level.T3,
            height_mm=(200.0, 270.0),
            pixel_mm=(0.5, 0.95),
            slice_mm=(2.0, 3.5),
            slices=(11, 17),
        ),
        FieldOfView.THORACIC: ScanHabits(
            highest=Level.C7,
            middle=Level.T7,
            lowest=Level.L1,
            height_mm=(300.0, 390.0),
            pixel_mm=(0.65, 1.2),
            slice_mm=(3.0, 4.5),
            slices=(11, 19),
        ),
        FieldOfView.WHOLE: ScanHabits(
            highest=Level.C1,
            middle=Level.T8,
            lowest=Level.S2,
            height_mm=(0.0, 0.0),
            pixel_mm=(0.7, 1.2),
            slice_mm=(3.0, 4.5),
            slices=(13, 20),
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A sagittal field of view.

    Args:
        centre_ras_mm: middle of the view, (3,).
        height_mm, width_mm: size from head to foot and from front to back.
        turn_deg: rotation about the axes to the right (in the plane), to the front and up.
        is_volumetric: True for thin slices without gaps.
    """

    centre_ras_mm: Float
    height_mm: float
    width_mm: float
    turn_deg: Float
    is_volumetric: bool = False


_SHIFTED_SHARE, _SMALL_SHARE, _VOLUMETRIC_SHARE = 0.12, 0.08, 0.12
"""The shares of fields of view that miss their region, show few vertebrae, or have thin slices (assumed)."""


def _find_centre(column: Column, level: Level) -> Float:
    return next(vertebra.centre_ras_mm for vertebra in column.vertebrae if vertebra.level is level)


def find_ends(column: Column, field: FieldOfView, above_mm: float, below_mm: float) -> tuple[float, float]:
    """Find the superior coordinates of the upper and lower end of a region, with some margin."""
    habits = SCAN_HABITS[field]
    return (
        float(_find_centre(column, habits.highest)[2]) + above_mm,
        float(_find_centre(column, habits.lowest)[2]) - below_mm,
    )


def find_middle(column: Column, top_mm: float, bottom_mm: float) -> Float:
    """Find the middle of the box around the bodies between two heights; of the nearest body where there is none."""
    centres = np.array([vertebra.centre_ras_mm for vertebra in column.vertebrae])
    height = (top_mm + bottom_mm) / 2
    seen = centres[(centres[:, 2] < top_mm) & (centres[:, 2] > bottom_mm)]
    if not len(seen):
        seen = centres[[np.argmin(np.abs(centres[:, 2] - height))]]
    return np.array([*((seen.min(axis=0) + seen.max(axis=0)) / 2)[:2], height])


def make_usual_view(column: Column, field: FieldOfView) -> View:
    """Make an upright and centred view, as a careful technologist does."""
    habits = SCAN_HABITS[field]
    if field is FieldOfView.WHOLE:
        top_mm, bottom_mm = find_ends(column, field, 60.0, 45.0)
    else:
        height_mm = {FieldOfView.LUMBAR: 288.0, FieldOfView.CERVICAL: 240.0, FieldOfView.THORACIC: 360.0}[field]
        middle_mm = float(_find_centre(column, habits.middle)[2])
        top_mm, bottom_mm = middle_mm + height_mm / 2, middle_mm - height_mm / 2
    width_mm = 360.0 if field is FieldOfView.WHOLE else min(288.0, top_mm - bottom_mm)
    forward = np.array([0.0, 0.05 * width_mm, 0.0])
    return View(
        centre_ras_mm=find_middle(column, top_mm, bottom_mm) + forward,
        height_mm=top_mm - bottom_mm,
        width_mm=width_mm,
        turn_deg=np.zeros(3),
    )


def draw_view(rng: np.random.Generator, column: Column, field: FieldOfView) -> View:
    """Draw a field of view: mostly the whole region, sometimes shifted, small or oblique."""
    habits, chance = SCAN_HABITS[field], rng.random()
    if chance < _SMALL_SHARE:
        return _draw_small_view(rng, column, habits)
    if field is FieldOfView.WHOLE:
        top_mm, bottom_mm = find_ends(column, field, *rng.uniform((30.0, 15.0), (85.0, 90.0)))
        width_mm = rng.uniform(300.0, 400.0)
    else:
        height_mm = rng.uniform(*habits.height_mm)
        middle_mm = float(_find_centre(column, habits.middle)[2]) + rng.normal(0.0, 0.05 * height_mm)
        if chance < _SMALL_SHARE + _SHIFTED_SHARE:
            middle_mm += rng.choice((-1.0, 1.0)) * rng.uniform(0.15, 0.4) * height_mm
        top_mm, bottom_mm = middle_mm + height_mm / 2, middle_mm - height_mm / 2
        width_mm = height_mm * rng.choice((1.0, rng.uniform(0.6, 1.0)))
    aside = np.array([rng.normal(0.0, 3.0), rng.normal(0.06, 0.05) * width_mm, 0.0])
    return View(
        centre_ras_mm=find_middle(column, top_mm, bottom_mm) + aside,
        height_mm=top_mm - bottom_mm,
        width_mm=width_mm,
        turn_deg=_draw_turn(rng, 2.0 if field is FieldOfView.WHOLE else 7.0),
        is_volumetric=bool(rng.random() < _VOLUMETRIC_SHARE),
    )


def _draw_small_view(rng: np.random.Generator, column: Column, habits: ScanHabits) -> View:
    """Draw a view of two to five vertebrae of the region."""
    seen = [v for v in column.vertebrae if habits.highest.rank <= v.level.rank <= habits.lowest.rank]
    centre = seen[rng.integers(len(seen))].centre_ras_mm
    height_mm = rng.uniform(80.0, 160.0)
    return View(
        centre_ras_mm=centre + np.array([rng.normal(0.0, 3.0), rng.normal(0.0, 8.0), 0.0]),
        height_mm=height_mm,
        width_mm=height_mm * rng.uniform(0.8, 1.5),
        turn_deg=_draw_turn(rng, 7.0),
        is_volumetric=bool(rng.random() < _VOLUMETRIC_SHARE),
    )


def _draw_turn(rng: np.random.Generator, in_plane_deg: float) -> Float:
    """Draw an orientation: slices turn with the patient by some degrees, two images in five also in their plane."""
    in_plane = rng.normal(0.0, in_plane_deg) if rng.random() < 0.4 else 0.0
    return np.array([in_plane, *rng.normal(0.0, 2.5, 2)])
