"""The tissue behind and beside a spine: muscles of back and neck with their fat, ligaments of the spinous processes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spondyl.phantom.scene.scene import PartIds
from spondyl.phantom.surroundings.frame import Curve, Guide, Points, PointValues, Waves, draw_waves
from spondyl.phantom.surroundings.shapes import Paint
from spondyl.phantom.surroundings.wall import Habitus

__all__ = ["Back", "draw_back"]

_MULTIFIDUS_MM = {"T1": 10, "T10": 12, "L1": 16, "L3": 22, "L5": 34, "S2": 40}
_LONGISSIMUS_MM = {"T1": 24, "T6": 30, "L1": 42, "L4": 52, "S1": 60}
"""The distance from the midline at which fat planes lateral of these muscles reach the fascia."""

_NECK_LAYERS_MM = (15.0, 24.0, 32.0, 39.0)
"""The radii, around the spinous processes, of the fat planes between the layers of the neck's muscles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """The muscles and ligaments behind and beside the column.

    Args:
        guide: curves along the column.
        multifidus_mm, longissimus_mm: lateral reach of both muscles at the fascia.
        fatness: fat infiltration of the muscles at each height, 0 to 1.
        neck: 1 in the neck, 0 in the trunk, between them at the cervicothoracic junction.
        bending: noise that bends the fat planes.
        streaks: noise that makes streaks of fat along the fibres.
        patches: noise that makes patches of fat near the bone.
    """

    guide: Guide
    multifidus_mm: Curve
    longissimus_mm: Curve
    fatness: Curve
    neck: Curve
    bending: Waves
    streaks: Waves
    patches: Waves

    def paint(self, points: Points, ids: PartIds, wall: PointValues, cavity: PointValues) -> None:
        """Paint over the muscles behind the column.

        Args:
            points, ids: points and their parts, changed in place.
            wall, cavity: depth of the points in both, see `Shell.within`.
        """
        row, guide = points.row, self.guide
        behind = guide.canal_mm[row] - points.y
        near = np.flatnonzero((wall > 0.03) & (cavity < 0) & (behind > -22))
        if not near.size:
            return
        part, some = ids[near], points.take(near)
        depth = behind[near]
        bend, streak, patch = self.bending.at(some), self.streaks.at(some), self.patches.at(some)
        self._paint_muscles(some, part, depth, (bend, streak, patch))
        self._paint_midline(some, part, depth, patch, streak)
        ids[near] = part

    def _paint_muscles(
        self, points: Points, ids: PartIds, depth: PointValues, noise: tuple[PointValues, PointValues, PointValues]
    ) -> None:
        row, x = points.row, np.abs(points.x)
        bend, streak, patch = noise
        fatness = self.fatness[row]
        reach = np.clip(depth / np.maximum(self.guide.canal_mm - self.guide.tip_mm, 15)[row], 0, 1.3)
        ids[streak > 2.5 - 1.7 * fatness] = Paint.FATTY_MUSCLE
        ids[(np.abs(streak) < 0.02 + 0.13 * fatness * fatness) & (patch > 0.1 - fatness)] = Paint.FAT
        thin = 0.5 + 1.3 * fatness + 0.5 * patch
        medial = 5 + (self.multifidus_mm[row] - 5) * reach + 2 * bend
        lateral = 18 + (self.longissimus_mm[row] - 18) * reach + 2 * bend
        trunk = self.neck[row] < 0.5
        plane = np.minimum(np.abs(x - medial), np.abs(x - lateral) + 0.3)
        ids[trunk & (plane < thin) & (depth > 4)] = Paint.FAT
        radius = np.hypot(x, 0.9 * (depth - 8)) + 1.5 * bend
        layers = np.min([np.abs(radius - layer) for layer in _NECK_LAYERS_MM], axis=0)
        ids[~trunk & (layers < 0.5 + 0.7 * fatness + 0.35 * patch)] = Paint.FAT
        beside_joints = np.hypot((x - 16) / 14, (depth - 4) / 13)
        ids[(beside_joints < 1) & (patch > 1.1 - 1.5 * fatness)] = Paint.FAT
        on_laminae = trunk & (x < 16 + 10 * fatness) & (depth < 12 + 24 * fatness)
        ids[on_laminae & (patch + 0.5 * streak > 1.5 - 1.8 * fatness)] = Paint.FAT

    def _paint_midline(
        self, points: Points, ids: PartIds, depth: PointValues, patch: PointValues, streak: PointValues
    ) -> None:
        """Paint the ligaments between spinous processes and over their tips, and the nuchal ligament."""
        row, x = points.row, np.abs(points.x)
        beyond = points.y - self.guide.tip_mm[row]
        is_neck = self.neck[row] > 0.5
        between = (x < 3.2) & (depth > 8) & (beyond > -1)
        ids[between] = Paint.INTERSPINOUS
        ids[between & (np.abs(streak) < 0.25 + 0.25 * self.fatness[row])] = Paint.FAT
        ids[is_neck & (x < 4.0) & (depth > 10) & (patch > 0.3)] = Paint.FAT
        ids[is_neck & (x < 1.3) & (depth > 14) & (np.abs(patch) < 1.2)] = Paint.FASCIA
        over_tips = (np.abs(beyond) < 1.6) & (x < 4) & (self.guide.place[row] < 25.5)
        ids[over_tips] = Paint.FASCIA


def draw_back(guide: Guide, habitus: Habitus, rng: np.random.Generator) -> Back:
    """Draw the muscles of a patient's back."""
    s = habitus.fat_infiltration
    bulk = np.float32(habitus.muscle)
    return Back(
        guide=guide,
        multifidus_mm=guide.curve_through(_MULTIFIDUS_MM) * bulk,
        longissimus_mm=guide.curve_through(_LONGISSIMUS_MM) * bulk,
        fatness=guide.curve_through(
            {
                "C2": 0.3 + 0.3 * s,
                "C7": 0.2 + 0.4 * s,
                "T6": 0.1 + 0.4 * s,
                "L1": 0.05 + 0.5 * s,
                "L3": 0.1 + 0.7 * s,
                "L5": 0.25 + 0.75 * s,
                "S2": 0.4 + 0.6 * s,
            }
        ),
        neck=guide.curve_through({"T1": 1, "T3": 0}),
        bending=draw_waves(rng, 45.0),
        streaks=draw_waves(rng, 12.0, 12.0, 55.0),
        patches=draw_waves(rng, 14.0, 14.0, 26.0),
    )
