"""The contents of chest, abdomen and pelvis, and the bones of their walls."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spondyl.phantom.scene.scene import PartIds
from spondyl.phantom.surroundings.bones import Bones, draw_bones
from spondyl.phantom.surroundings.frame import Curve, Guide, Points, PointValues, Waves, draw_waves
from spondyl.phantom.surroundings.shapes import Paint, PaintedEllipsoid, paint_shapes
from spondyl.phantom.surroundings.wall import BodyLayers, Habitus

__all__ = ["Trunk", "draw_trunk"]


_MM_PER_UNIT_OUTSIDE = 45.0
"""The distance to the cavity per unit outside it in `Shell.within`, for a chest of usual breadth and depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """The contents and bones of the trunk.

    Args:
        guide: curves along the column.
        body: layers of the body.
        bones: bones in its walls.
        dome_heights_mm: heights of the right and left dome of the diaphragm.
        mediastinum_mm: half width of the mediastinum at each height.
        liver_low_mm: height of the liver's lower edge far to the right.
        liver_reach_mm: reach of the liver to the left.
        organs: organs in the order of painting.
        bowel_loops: two noises whose common zeros are the middles of bowel loops.
        bowel_contents: noise that decides what a loop holds.
        bowel_loop_radius: radius of bowel, in units of the two noises.
        vessel_waves: two noises for vessels in lungs, liver and mesentery.
    """

    guide: Guide
    body: BodyLayers
    bones: Bones
    dome_heights_mm: tuple[float, float]
    mediastinum_mm: Curve
    liver_low_mm: float
    liver_reach_mm: float
    organs: tuple[PaintedEllipsoid, ...]
    bowel_loops: tuple[Waves, Waves]
    bowel_contents: Waves
    bowel_loop_radius: float
    vessel_waves: tuple[Waves, Waves]

    def paint(self, points: Points, ids: PartIds, wall: PointValues, cavity: PointValues) -> None:
        """Paint over the layers of the body.

        Args:
            points, ids: points and their parts, changed in place.
            wall, cavity: depth of the points in both, see `Shell.within`.
        """
        self._paint_wall(points, ids, wall, cavity)
        inside = np.flatnonzero(cavity > 0)
        if inside.size:
            part, some = ids[inside], points.take(inside)
            self._paint_cavity(some, part)
            ids[inside] = part

    def _measure_diaphragm_mm(self, points: Points) -> PointValues:
        """Measure the height of the diaphragm over each point: two domes, low at the sides and lowest behind."""
        right, left = self.dome_heights_mm
        middle = self.body.cavity.middle_mm[points.row]
        half_depth = np.maximum(self.body.cavity.front_mm[points.row] - middle, 20)
        aside = np.abs(points.x) - 62
        dome = np.where(points.x > 0, np.float32(right), np.float32(left))
        ahead = (points.y - middle) / half_depth - 0.15
        drop = np.where(aside > 0, 0.022 * aside * aside, 0.0036 * aside * aside)
        return np.asarray(dome - drop - np.where(ahead > 0, 22, 78) * ahead * ahead, dtype=np.float32)

    def _paint_cavity(self, points: Points, ids: PartIds) -> None:
        ids[:] = Paint.FAT
        over = points.z - self._measure_diaphragm_mm(points)
        chest, abdomen = np.flatnonzero(over > 0), np.flatnonzero(over <= 0)
        for where, paint in ((chest, self._paint_chest), (abdomen, self._paint_abdomen)):
            if where.size:
                part = ids[where]
                paint(points.take(where), part, over[where])
                ids[where] = part
        ids[np.abs(over) < 1.5] = Paint.MUSCLE

    def _paint_chest(self, points: Points, ids: PartIds, over: PointValues) -> None:
        row, guide = points.row, self.guide
        ahead = points.y - guide.front_mm[row]
        lobes = self.bowel_contents.at(points)
        narrow = np.clip(1 - np.abs(ahead - 55) / 90, 0.25, 1)
        mediastinum = np.where(ahead > 4, self.mediastinum_mm[row] * narrow + 3 * lobes, 0)
        beside_spine = (
            guide.half_width_mm[row] + 4 + 2 * lobes - 0.3 * np.minimum(guide.front_mm[row] - points.y - 12, 0)
        )
        is_lung = np.where(ahead > 4, np.abs(points.x + 4) > mediastinum, np.abs(points.x) > beside_spine)
        ids[is_lung] = Paint.LUNG
        where = np.flatnonzero(is_lung)
        some = points.take(where)
        branches = np.square(self.vessel_waves[0].at(some)) + np.square(self.vessel_waves[1].at(some))
        hilum = np.clip(1.2 - np.hypot(np.abs(some.x) - 25, some.y - guide.axis_mm[some.row] - 30) / 130, 0.1, 1)
        ids[where[branches < 0.03 * hilum]] = Paint.VEIN
        paint_shapes(self.organs, points, ids)

    def _paint_abdomen(self, points: Points, ids: PartIds, over: PointValues) -> None:
        first, second = (waves.at(points) for waves in self.bowel_loops)
        bowel_contents = self.bowel_contents.at(points)
        ahead = points.y - self.guide.front_mm[points.row]
        self._paint_loops(points, ids, ahead, np.hypot(first, second), bowel_contents)
        branches = np.hypot(self.vessel_waves[0].at(points), first)
        ids[(ids == Paint.FAT) & (branches < 0.1) & (ahead > 15)] = Paint.VEIN
        lower = self.liver_low_mm + np.clip(95 - points.x, 0, None) * 0.6 + 6 * bowel_contents
        is_liver = (points.z > lower) & (points.x > -self.liver_reach_mm) & (over < -3)
        behind = 30 - 75 * np.clip((50 - points.x) / 35, 0, 1)
        is_liver &= points.y > self.guide.canal_mm[points.row] - behind
        ids[is_liver] = Paint.LIVER
        ids[is_liver & (np.hypot(first, bowel_contents) < 0.13)] = Paint.VEIN
        paint_shapes(self.organs, points, ids)

    def _paint_loops(
        self, points: Points, ids: PartIds, ahead: PointValues, radius: PointValues, bowel_contents: PointValues
    ) -> None:
        """Paint bowel in front of the column and beside it, with its wall and contents."""
        room = np.clip((ahead - 16) / 16, 0, 1) + np.clip((np.abs(points.x) - 70) / 20, 0, 1)
        size = np.float32(self.bowel_loop_radius) * np.minimum(room, 1)
        is_loop = radius < size
        ids[is_loop] = Paint.BOWEL_WALL
        lumen = radius < size - 0.16
        ids[lumen] = Paint.BOWEL_FLUID
        ids[lumen & (bowel_contents < -0.55)] = Paint.STOOL
        ids[lumen & (bowel_contents > 0.9 - 0.004 * ahead)] = Paint.AIR
        ids[lumen & (np.abs(bowel_contents) < 0.25)] = Paint.BOWEL_WALL

    def _paint_wall(self, points: Points, ids: PartIds, wall: PointValues, cavity: PointValues) -> None:
        """Paint the muscle layers of the abdominal wall, ribs and sternum in the chest's, pelvic bones below."""
        is_wall = (wall > 0.03) & (cavity < 0)
        where = np.flatnonzero(is_wall)
        if not where.size:
            return
        part, some = ids[where], points.take(where)
        share = wall[where] / (wall[where] - cavity[where])
        place = self.guide.place[some.row]
        x = np.abs(some.x)
        ahead = some.y - self.guide.canal_mm[some.row]
        abdomen = (place > 18.5) & (place < 25.5) & (ahead > 0)
        part[abdomen & (x > 70) & (np.abs(share - 0.36) < 0.05)] = Paint.FAT
        part[abdomen & (x > 70) & (np.abs(share - 0.7) < 0.05)] = Paint.FAT
        midline = abdomen & (ahead > 50) & (x < 5 + 3 * self.bowel_contents.at(some))
        part[midline] = np.where(share > 0.35, Paint.FAT, Paint.FASCIA)[midline]
        part[abdomen & (x > 62) & (x < 70) & (ahead > 50)] = Paint.FASCIA
        self.bones.paint(some, part, -_MM_PER_UNIT_OUTSIDE * cavity[where])
        ids[where] = part


def draw_trunk(guide: Guide, body: BodyLayers, habitus: Habitus, rng: np.random.Generator) -> Trunk:
    """Draw the contents of a patient's trunk."""
    breath = rng.normal(0, 0.5)
    return Trunk(
        guide=guide,
        body=body,
        bones=draw_bones(guide, rng),
        dome_heights_mm=(guide.height_mm("T9", 0.1 + breath), guide.height_mm("T9", 0.6 + breath)),
        mediastinum_mm=guide.curve_through({"C7": 60, "T1": 34, "T3": 30, "T6": 36, "T8": 48, "T10": 56}),
        liver_low_mm=guide.height_mm("L2", rng.normal(0.2, 0.5)),
        liver_reach_mm=rng.uniform(20, 75),
        organs=_draw_organs(guide, habitus, rng),
        bowel_loops=(draw_waves(rng, 75.0), draw_waves(rng, 75.0)),
        bowel_contents=draw_waves(rng, 55.0),
        bowel_loop_radius=rng.uniform(1.0, 1.6),
        vessel_waves=(draw_waves(rng, 45.0), draw_waves(rng, 45.0)),
    )


def _draw_organs(guide: Guide, habitus: Habitus, rng: np.random.Generator) -> tuple[PaintedEllipsoid, ...]:
    """Draw heart, kidneys in their fat, spleen, stomach and bladder, and the organs behind the bladder."""
    organs: list[PaintedEllipsoid] = []

    def add(
        part: Paint, level: str, below: float, offset: tuple[float, float], *radii: float, pitch: float = 0.0
    ) -> None:
        z = guide.height_mm(level, below)
        x, forward = offset
        y = float(guide.axis_mm[guide.row(np.array([z]))[0]]) + forward
        organs.append(
            PaintedEllipsoid(part=part, centre_mm=(x, y, z), radii_mm=(radii[0], radii[1], radii[2]), pitch_deg=pitch)
        )

    chest = habitus.chest_mm
    shift, size = rng.normal(0, 5, 3), np.exp(rng.normal(0, 0.08, 3))
    heart = (-18 + shift[0], 0.52 * chest)
    add(Paint.FAT, "T8", 0.2, heart, 62 * size[0], 0.4 * chest, 62, pitch=-25)
    add(Paint.MUSCLE, "T8", 0.2, heart, 57 * size[0], 0.36 * chest, 57, pitch=-25)
    add(Paint.ARTERY, "T8", 0.2, (heart[0] - 16, heart[1] + 4), 22, 24, 34, pitch=-25)
    add(Paint.ARTERY, "T8", 0.4, (heart[0] + 24, heart[1] + 8), 20, 22, 32, pitch=-25)
    add(Paint.ARTERY, "T7", 0.2, (0, 30), 32, 17, 25)
    for side, level in ((1, "L2"), (-1, "L1")):
        below = float(rng.normal(0.1, 0.25))
        x = side * (58 + rng.normal(0, 4))
        back = -22 + rng.normal(0, 4)
        add(Paint.FAT, level, below, (x, back), 37, 34, 66)
        add(Paint.KIDNEY, level, below, (x, back), 27 * size[1], 25 * size[1], 54 * size[1])
        add(Paint.FAT, level, below, (x - side * 10, back + 5), 14, 8, 22)
    add(Paint.SPLEEN, "T12", -0.4, (-98 + shift[1], -2), 22, 40, 52 * size[2])
    stomach = (-52 + shift[2], 0.45 * habitus.abdomen_mm)
    add(Paint.BOWEL_WALL, "T11", 0.6, stomach, 40, 36, 50)
    add(Paint.BOWEL_FLUID, "T11", 0.6, stomach, 37, 33, 47)
    add(Paint.AIR, "T11", 0.5, (stomach[0], stomach[1] + 12), 26, 18, 38)
    add(Paint.GLAND, "L1", 0.2, (-8, 36), 60, 9, 13)
    fill = rng.uniform(0.3, 1.1)
    bladder = (rng.normal(0, 4), 30 + rng.normal(0, 6))
    add(Paint.MUSCLE, "Co", 0.5 - 1.2 * fill, bladder, 42 * fill + 8, 38 * fill + 6, 30 * fill + 6)
    add(Paint.URINE, "Co", 0.5 - 1.2 * fill, bladder, 42 * fill + 4, 38 * fill + 2, 30 * fill + 2)
    add(Paint.MUSCLE, "Co", 1.8, (0, 22), 22, 18, 20)
    if rng.random() < 0.5:  # a uterus, or in the others nothing but bowel above the bladder
        uterus = (rng.normal(0, 6), -2.0)
        add(Paint.MUSCLE, "S5", 0.2, uterus, 26, 22, 36, pitch=40)
        add(Paint.MUCOSA, "S5", 0.2, uterus, 10, 4, 24, pitch=40)
    for level in ("S3", "S5"):  # rectum
        before = guide.at(guide.front_mm, level) - guide.at(guide.axis_mm, level) + rng.uniform(16, 24)
        radii = (rng.uniform(14, 22), rng.uniform(11, 16), 26.0)
        add(Paint.BOWEL_WALL, level, 0.0, (rng.normal(0, 5), before), *radii)
        organs.append(_fill_organ(organs[-1], Paint.AIR if rng.random() < 0.4 else Paint.STOOL))
    return tuple(organs)


def _fill_organ(organ: PaintedEllipsoid, part: Paint, wall_mm: float = 3.0) -> PaintedEllipsoid:
    """Make the contents of a hollow organ."""
    a, b, c = organ.radii_mm
    return replace(organ, part=part, radii_mm=(a - wall_mm, b - wall_mm, c - wall_mm))
