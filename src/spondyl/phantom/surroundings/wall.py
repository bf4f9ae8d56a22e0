"""The layers of a body from neck to hips: skin, subcutaneous fat, the muscular wall, and the cavity inside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spondyl.phantom.scene.scene import PartIds
from spondyl.phantom.surroundings.frame import Curve, Guide, Points, PointValues, Waves, draw_waves
from spondyl.phantom.surroundings.shapes import Paint, Shell

__all__ = ["BodyLayers", "Habitus", "draw_habitus", "draw_layers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Habitus:
    """The build of a patient's body.

    Args:
        fat: subcutaneous fat, 1 for the usual thickness, 0.4 to 2.6.
        abdomen_mm: distance from the front of the lumbar column to the skin.
        chest_mm: distance from the front of the thoracic column to the skin.
        breadth: breadth of the trunk, 1 for the usual.
        muscle: bulk of the muscles, 1 for the usual.
        fat_infiltration: fat in the muscles of the back, 0 to 1.
    """

    fat: float
    abdomen_mm: float
    chest_mm: float
    breadth: float
    muscle: float
    fat_infiltration: float


def draw_habitus(rng: np.random.Generator) -> Habitus:
    """Draw a patient's build; more fat comes with a larger abdomen and fattier muscles."""
    fat = float(np.clip(np.exp(rng.normal(0, 0.45)), 0.4, 2.6))
    return Habitus(
        fat=fat,
        abdomen_mm=float(np.clip(rng.normal(55 + 32 * fat, 14), 45, 170)),
        chest_mm=float(np.clip(rng.normal(112 + 10 * fat, 10), 90, 160)),
        breadth=float(rng.normal(1, 0.05)),
        muscle=float(np.clip(rng.normal(1, 0.15), 0.7, 1.4)),
        fat_infiltration=float(np.clip(rng.beta(1.6, 2.6) + 0.08 * (fat - 1), 0, 1)),
    )


_HALF_WIDTH_MM = {
    "C2": 58, "C4": 55, "C6": 62, "C7": 78, "T1": 138, "T2": 180, "T3": 190, "T5": 180, "T8": 158,
    "T11": 150, "L2": 142, "L4": 148, "S1": 168, "S3": 178, "Co": 178,
}  # fmt: skip
"""The half width of a lean trunk without subcutaneous fat, arms cut at the armpits, about an adult's at each height."""

_FAT_BACK_MM = {"C2": 6, "C5": 8, "C7": 13, "T2": 10, "T8": 7, "T12": 8, "L3": 11, "L5": 15, "S2": 16, "Co": 14}
_FAT_FRONT_MM = {"C3": 4, "T1": 5, "T5": 12, "T10": 9, "L1": 15, "L4": 20, "S2": 24, "Co": 28}
_FAT_SIDE_MM = {"C3": 4, "C7": 6, "T3": 12, "T9": 9, "L3": 14, "S1": 20, "Co": 26}
"""The subcutaneous fat of a patient with the usual amount, as in the sagittal and axial scans at hand."""

_MUSCLE_BULGE_MM = {
    "C2": 4,
    "C5": 4,
    "C7": 1,
    "T3": 3,
    "T8": 6,
    "T12": 9,
    "L2": 13,
    "L4": 13,
    "S1": 7,
    "S2": 4,
    "S4": 16,
    "Co": 30,
}
"""The distance by which the muscles beside the midline, lower down the buttocks, protrude behind the spinous tips."""

_NECK_FRONT_MM = {"C2": 62, "C3": 53, "C4": 46, "C5": 42, "C6": 41, "C7": 43, "T1": 52, "T2": 60}
_CAVITY_HALF_WIDTH_MM = {
    "C7": 12, "T1": 42, "T2": 64, "T4": 91, "T7": 110, "T10": 114, "T12": 108, "L2": 112, "L4": 112,
    "S1": 98, "S3": 66, "Co": 48,
}  # fmt: skip
"""The half width of the cavity inside the ribs, the flanks and the pelvic bones."""

_CAVITY_BACK_MM = {"C7": 4, "T1": -8, "T3": -20, "T9": -22, "T12": -18, "L1": -10, "L2": -4, "L5": 2, "S1": 4}
"""The distance from the bodies' back wall to the back of the cavity beside them; lower down the front of the sacrum."""

_SKIN_MM = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLayers:
    """The layers of a body.

    Args:
        skin: outline of the body.
        fat: outline of the fat below the skin.
        wall: outline of the wall below the subcutaneous fat.
        cavity: cavity of chest, abdomen and pelvis.
        muscle_bulge_mm: see `_MUSCLE_BULGE_MM`.
        pharynx_mm: anterior coordinate of the column's front in the neck, beyond which fat fills whatever nothing else
            fills; far in front of the trunk.
        top_mm: height above which the head is painted.
        waves: noise that makes the layers uneven.
        septa: noise of the connective tissue in the fat.
    """

    skin: Shell
    fat: Shell
    wall: Shell
    cavity: Shell
    muscle_bulge_mm: Curve
    pharynx_mm: Curve
    top_mm: float
    waves: Waves
    septa: Waves

    def paint(self, points: Points, ids: PartIds) -> tuple[PointValues, PointValues]:
        """Paint the layers; everything else is painted over them.

        Returns:
            depth of the points in wall and cavity, see `Shell.within`.
        """
        uneven = self.waves.at(points)
        bump = np.exp(-np.square(points.x * np.float32(1 / 15))) * self.muscle_bulge_mm[points.row]
        bump *= points.y < self.wall.middle_mm[points.row]
        shallow = Points(x=points.x, y=points.y - np.float32(0.55) * bump, z=points.z, row=points.row)
        deep = Points(x=points.x, y=points.y - bump + uneven, z=points.z, row=points.row)
        is_below = points.z < np.float32(self.top_mm)
        wall = np.where(is_below, self.wall.within(deep), np.float32(-1))
        cavity = np.where(is_below, self.cavity.within(points), np.float32(-1))
        ids[is_below & (self.skin.within(shallow) > 0)] = Paint.SKIN
        is_fat = is_below & (self.fat.within(shallow) > 0)
        ids[is_fat] = Paint.FAT
        ids[wall > 0] = Paint.FASCIA
        is_muscle = (wall > 0.03) & (cavity < 0)
        ids[wall > 0.03] = Paint.MUSCLE
        self._paint_sheets(points, ids, is_fat & (wall <= 0) & (uneven > 0.4), is_muscle & (uneven > -0.2))
        ids[
            (wall > 0.1) & (np.abs(points.x) < 44 + 9 * uneven) & (points.y + 3 * uneven > self.pharynx_mm[points.row])
        ] = Paint.FAT
        return wall, cavity

    def _paint_sheets(
        self, points: Points, ids: PartIds, is_fat: NDArray[np.bool_], is_muscle: NDArray[np.bool_]
    ) -> None:
        """Paint septa in the fat, and fat between muscles."""
        where = np.flatnonzero(is_fat | is_muscle)
        sheet = np.abs(self.septa.at(points.take(where)))
        ids[where[(sheet < 0.035) & is_fat[where]]] = Paint.INTERSPINOUS
        ids[where[(sheet < 0.06) & is_muscle[where]]] = Paint.FAT


def draw_layers(guide: Guide, habitus: Habitus, rng: np.random.Generator) -> BodyLayers:
    """Draw the layers of a patient's body."""
    fat, width = habitus.fat, habitus.breadth
    muscle_bulge = guide.curve_through(_MUSCLE_BULGE_MM) * np.float32(habitus.muscle)
    wall_back = guide.tip_mm - 2 - muscle_bulge
    wall_front = _run_wall_front(guide, habitus, rng)
    half_width = guide.curve_through(_HALF_WIDTH_MM) * np.float32(width)
    cavity_half_width = np.minimum(guide.curve_through(_CAVITY_HALF_WIDTH_MM), half_width - 14)
    fat_back, fat_front, fat_side = (
        guide.curve_through(table) * np.float32(fat) for table in (_FAT_BACK_MM, _FAT_FRONT_MM, _FAT_SIDE_MM)
    )

    def shell(outer_mm: float) -> Shell:
        return Shell(
            front_mm=wall_front + fat_front + np.float32(outer_mm),
            back_mm=wall_back - fat_back - np.float32(outer_mm),
            half_width_mm=half_width + fat_side + np.float32(outer_mm),
            square=0.35,
        )

    return BodyLayers(
        skin=shell(_SKIN_MM),
        fat=shell(0.0),
        wall=Shell(front_mm=wall_front, back_mm=wall_back, half_width_mm=half_width, square=0.4),
        cavity=_make_cavity(guide, wall_front, cavity_half_width, habitus),
        muscle_bulge_mm=muscle_bulge,
        top_mm=guide.height_mm("O", -1.0),
        waves=draw_waves(rng, 40.0),
        pharynx_mm=guide.front_mm - 12 + guide.curve_through({"T1": 0, "T3": 150}),
        septa=draw_waves(rng, 70.0, 26.0, 90.0),
    )


def _run_wall_front(guide: Guide, habitus: Habitus, rng: np.random.Generator) -> Curve:
    """Run the curve of the front of the muscular wall, an anterior coordinate."""
    chest, abdomen = habitus.chest_mm, habitus.abdomen_mm - 20 * habitus.fat
    droop = rng.normal(0, 8)
    in_front = _NECK_FRONT_MM | {
        "T3": 0.65 * chest,
        "T5": 0.85 * chest,
        "T8": chest,
        "T11": 0.4 * chest + 0.6 * abdomen + 14,
        "L1": abdomen + 8,
        "L3": abdomen,
        "L5": abdomen + droop,
        "S2": max(abdomen, 62.0) + droop,
        "Co": 82.0,
    }
    return np.asarray(guide.axis_mm + guide.curve_through(in_front), dtype=np.float32)


def _make_cavity(guide: Guide, wall_front: Curve, half_width: Curve, habitus: Habitus) -> Shell:
    thickness = guide.curve_through({"C7": 30, "T2": 24, "T5": 17, "T12": 15, "L3": 11 * habitus.muscle, "Co": 16})
    back = guide.back_mm + guide.curve_through(_CAVITY_BACK_MM)
    presacral = guide.curve_through({"L5": 0, "S1": 1}).clip(0, 1)
    back = back + presacral * (guide.front_mm + 3 - back)
    open_ = guide.is_between("C7", "Co") | (guide.place > 30)
    front = np.where(open_, wall_front - thickness, back)
    width = np.where(open_, half_width, np.float32(0.5))
    return Shell(front_mm=front, back_mm=np.minimum(back, front), half_width_mm=width, square=0.45)
