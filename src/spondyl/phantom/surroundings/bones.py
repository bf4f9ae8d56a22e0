"""The bones in the walls of the trunk: ribs and sternum in front, scapulae, hips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from spondyl.phantom.scene.scene import PartIds
from spondyl.phantom.surroundings.frame import Curve, Guide, Points, PointValues
from spondyl.phantom.surroundings.shapes import Paint, PaintedEllipsoid

__all__ = ["Bones", "Plate", "draw_bones"]

_CORTEX_MM = 1.5

_ILIUM = {
    "L4": (82, -2, 124, 22, 3.0),
    "L5": (66, -14, 133, 40, 6.0),
    "S1": (49, -18, 136, 52, 8.0),
    "S2": (47, -16, 126, 58, 9.0),
    "S3": (62, 14, 108, 52, 12.0),
    "S4": (74, 40, 98, 48, 15.0),
}
_SCAPULA = {
    "T1": (112, 20, 150, 40, 5.0),
    "T2": (88, 2, 150, 38, 4.0),
    "T4": (76, -10, 140, 22, 3.0),
    "T7": (84, -8, 118, 10, 3.0),
}
"""The section of a plate by level, in mm, after axial sections of adults.

The columns are x of its medial end and how far that lies in front of the canal; the same of its lateral end; half its
thickness.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """A flat bone on both sides, which at each height is a bar between two points.

    Args:
        start, end: x and y of both ends of the right bar at each row, (rows, 2); y is infinite where there is none.
        half_mm: half of its thickness.
    """

    start: Curve
    end: Curve
    half_mm: Curve

    def paint(self, points: Points, ids: PartIds) -> None:
        """Paint its cortex and marrow."""
        x0, y0 = self.start[points.row].T
        x1, y1 = self.end[points.row].T
        x, y = np.abs(points.x) - x0, points.y - y0
        length2 = (x1 - x0) ** 2 + (y1 - y0) ** 2
        share = np.clip((x * (x1 - x0) + y * (y1 - y0)) / length2, 0, 1)
        depth = self.half_mm[points.row] - np.hypot(x - share * (x1 - x0), y - share * (y1 - y0))
        ids[depth > 0] = Paint.BONE
        ids[depth > _CORTEX_MM] = Paint.MARROW


@dataclass(frozen=True, slots=True, kw_only=True)
class Bones:
    """The bones in the walls of the trunk.

    Args:
        guide: curves along the column.
        plates: hips and scapulae.
        heads: heads of humerus and femur, and the pubic bones, which reach beyond the walls.
    """

    guide: Guide
    plates: tuple[Plate, ...]
    heads: tuple[PaintedEllipsoid, ...]

    def paint(self, points: Points, ids: PartIds, outside_mm: PointValues) -> None:
        """Paint ribs, sternum and plates over the walls.

        Args:
            points, ids: points in the walls and their parts, changed in place.
            outside_mm: distance of the points from the cavity.
        """
        self._paint_ribs(points, ids, outside_mm)
        for plate in self.plates:
            plate.paint(points, ids)

    def _paint_ribs(self, points: Points, ids: PartIds, outside_mm: PointValues) -> None:
        """Paint the anterior ribs, which sink forward and then rise as cartilage to the sternum."""
        place = self.guide.place[points.row]
        ahead = points.y - self.guide.axis_mm[points.row]
        chest = (place > 7.8) & (place < 18.5) & (ahead > 35) & (outside_mm < 11)
        x = np.abs(points.x)
        sunk = 0.45 * np.clip(ahead, 0, None) - 0.6 * np.clip(70 - x, 0, None)
        phase = np.abs(np.mod(self.guide.place[self.guide.row(points.z + sunk)], 1) - 0.5)
        is_rib, is_costal_cartilage = chest & (phase > 0.2) & (x > 20), x < 68
        ids[is_rib] = Paint.BONE
        ids[is_rib & (phase > 0.27) & (np.abs(outside_mm - 5.5) < 4)] = Paint.MARROW
        ids[is_rib & is_costal_cartilage] = Paint.CARTILAGE
        sternum = chest & (x < 18) & (place > 9.3) & (place < 17.0)
        ids[sternum] = Paint.BONE
        gaps = np.abs(np.mod(place, 2.0) - 1.2) > 0.05
        ids[sternum & (x < 16.5) & (np.abs(outside_mm - 5.5) < 4) & gaps] = Paint.MARROW


def draw_bones(guide: Guide, rng: np.random.Generator) -> Bones:
    """Draw the bones of the trunk's walls."""
    heads = []
    for level, below, x, forward, radii in (
        ("T3", 0.0, 160.0, -10.0, (23.0, 23.0, 24.0)),
        ("Co", 0.3, 90.0, 30.0, (25.0, 25.0, 25.0)),
        ("Co", 1.3, 17.0, 52.0, (19.0, 9.0, 17.0)),
    ):
        z = guide.height_mm(level, below + float(rng.normal(0, 0.15)))
        y = float(guide.axis_mm[guide.row(np.array(z))]) + forward + float(rng.normal(0, 3))
        bone = PaintedEllipsoid(
            part=Paint.BONE, centre_mm=(x, y, z), radii_mm=radii, core=Paint.MARROW, shell_mm=_CORTEX_MM
        )
        heads += [bone, replace(bone, centre_mm=(-x, y, z))]
    return Bones(guide=guide, plates=(_make_plate(guide, _ILIUM), _make_plate(guide, _SCAPULA)), heads=tuple(heads))


def _make_plate(guide: Guide, table: Mapping[str, tuple[float, float, float, float, float]]) -> Plate:
    levels = list(table)
    x0, y0, x1, y1, half = (guide.curve_through({level: table[level][i] for level in levels}) for i in range(5))
    # Below the promontory the column recedes, but the hips do not follow it.
    recede = np.minimum(guide.canal_mm - guide.at(guide.canal_mm, "S2"), 0) * (guide.place > 25)
    there = guide.is_between(levels[0], levels[-1])
    base = np.where(there, guide.canal_mm - recede, np.float32(1e6))
    return Plate(
        start=np.stack([x0, base + y0], axis=1).astype(np.float32),
        end=np.stack([x1, base + y1], axis=1).astype(np.float32),
        half_mm=half,
    )
