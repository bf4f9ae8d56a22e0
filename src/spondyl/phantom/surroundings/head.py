"""The head over a spine: skull and skull base, brain stem and cerebellum, nose, mouth, pharynx and jaw.

It has a frame of its own: x to the right, y forward, z up, origin in the middle of the foramen magnum. Sizes are of
adult heads as sectional atlases show them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spondyl.geometry.affine import Float
from spondyl.phantom.column.column import Column
from spondyl.phantom.scene.scene import PartIds
from spondyl.phantom.surroundings.frame import Curve, Guide, Points, PointValues, Waves, draw_waves
from spondyl.phantom.surroundings.shapes import Paint, PaintedEllipsoid, paint_shapes

__all__ = ["Head", "draw_head"]

_EllipsoidRow = tuple[Paint, tuple[float, float, float], tuple[float, float, float], float]
"""The part, centre and semi-axes (mm) of an ellipsoid, and how far its y axis rises forward (degrees)."""


def _mirror_pairs(*rows: _EllipsoidRow) -> tuple[PaintedEllipsoid, ...]:
    """Make ellipsoids in the order of painting; those to the right of the midline are mirrored to the left."""
    return tuple(
        PaintedEllipsoid(part=part, centre_mm=(side * x, y, z), radii_mm=radii, pitch_deg=pitch)
        for part, (x, y, z), radii, pitch in rows
        for side in ((1, -1) if x > 0 else (1,))
    )


_VAULT = PaintedEllipsoid(part=Paint.BONE, centre_mm=(0.0, 12.0, 59.0), radii_mm=(73.0, 92.0, 73.0))
_FACE = _mirror_pairs(
    (Paint.SKIN, (0, 46, 4), (66, 68, 72), 0),
    (Paint.SKIN, (0, 62, -42), (58, 54, 34), -12),
    (Paint.SKIN, (0, 112, 10), (12, 13, 17), 0),
)
_FACE_SKIN_MM = 2.0

_INSIDE_FACE = _mirror_pairs(
    (Paint.MUSCLE, (0, 42, -8), (52, 50, 52), 0),
    (Paint.FAT, (52, 50, -12), (10, 24, 20), 0),
    (Paint.GLAND, (55, 16, -18), (10, 15, 24), 0),
    (Paint.FAT, (30, 84, 32), (19, 26, 17), 0),
    (Paint.BONE, (31, 74, 8), (16, 20, 19), 0),
    (Paint.AIR, (31, 74, 8), (14, 18, 17), 0),
    (Paint.URINE, (31, 96, 32), (12, 12, 12), 0),  # vitreous body: long relaxation times
    (Paint.FAT, (0, 72, -54), (34, 36, 14), 0),
    (Paint.MUSCLE, (0, 74, -50), (26, 34, 8), 0),
    (Paint.MUCOSA, (0, 66, -24), (29, 38, 25), 0),
    (Paint.AIR, (0, 72, -22), (26, 31, 22), 0),
    (Paint.FATTY_MUSCLE, (0, 68, -28), (25, 33, 23), 0),
    (Paint.MUSCLE, (0, 78, -40), (13, 20, 20), 0),
    (Paint.BONE, (0, 98, -9), (22, 6, 9), 0),
    (Paint.BONE, (0, 96, -27), (19, 5, 9), 0),
    (Paint.BONE, (0, 97, -48), (17, 8, 16), 0),
    (Paint.MARROW, (0, 97, -49), (15, 5.5, 12), 0),
    (Paint.BONE, (40, 56, -43), (6.5, 43, 13), 8),
    (Paint.MARROW, (40, 56, -43), (4.5, 40, 10), 8),
    (Paint.BONE, (49, 27, -18), (5, 15, 31), 0),
    (Paint.MARROW, (49, 27, -18), (3, 12, 27), 0),
    (Paint.BONE, (12, 54, -69), (9, 6, 3), 0),
    (Paint.MUCOSA, (0, 74, 18), (18, 41, 22), 0),
    (Paint.AIR, (0, 74, 18), (14, 39, 19), 0),
    (Paint.MUCOSA, (6.5, 70, 7), (5.2, 27, 5.5), 0),
    (Paint.MUCOSA, (6, 64, 20), (4.6, 23, 5.5), 0),
    (Paint.MUCOSA, (0, 74, 18), (1.6, 40, 20), 0),
    (Paint.MUCOSA, (0, 36, 6), (17, 16, 17), 0),
    (Paint.AIR, (0, 37, 6), (14, 12.5, 13), 0),
    (Paint.BONE, (0, 75, -2), (24, 27, 3.2), 0),
    (Paint.MUCOSA, (0, 41, -13), (15, 16, 5.5), 48),
    (Paint.MUCOSA, (0, 30, -30), (16, 9, 22), -8),
    (Paint.AIR, (0, 30, -32), (11, 5, 20), -8),
)

_SKULL_BASE = _mirror_pairs(
    (Paint.BONE, (52, -2, 2), (13, 17, 19), 0),
    (Paint.BONE, (35, 14, 14), (24, 10, 10), 0),
    (Paint.BONE, (17, 6, -8), (8, 13, 8), 0),
    (Paint.MARROW, (17, 6, -8), (6, 11, 6), 0),
    (Paint.BONE, (0, 48, 29), (21, 22, 17), 0),
    (Paint.MARROW, (0, 48, 29), (19, 20, 15), 0),
    (Paint.BONE, (0, 54, 29), (15, 13, 12), 0),
    (Paint.AIR, (0, 54, 29), (14, 12, 11), 0),
)

_MASTOID_CELLS = _mirror_pairs((Paint.AIR, (52, -2, 2), (11, 15, 17), 0))

_CISTERNS = _mirror_pairs(
    (Paint.CSF, (0, 12, 24), (24, 25, 34), 0),
    (Paint.CSF, (0, -18, 2), (16, 15, 11), 0),
)
_STEM = _mirror_pairs(
    (Paint.GREY_MATTER, (8, -17, 5), (7, 8, 10), 0),
    (Paint.WHITE_MATTER, (0, 16, 54), (15, 11, 12), 0),
    (Paint.WHITE_MATTER, (0, 20, 35), (17, 13, 15), -12),
    (Paint.WHITE_MATTER, (0, 6, 12), (8.5, 7.5, 27), -22),
    (Paint.CSF, (0, 4, 36), (6, 4.5, 12), -12),
    (Paint.CSF, (0, 10, 53), (1.2, 1.2, 12), -25),
)
_CEREBELLUM = PaintedEllipsoid(part=Paint.GREY_MATTER, centre_mm=(0.0, -37.0, 25.0), radii_mm=(51.0, 33.0, 25.0))
_FOREBRAIN = _mirror_pairs(
    (Paint.WHITE_MATTER, (0, 12, 82), (16, 42, 14), 0),
    (Paint.CSF, (12, 8, 82), (7, 38, 8), 0),
    (Paint.GREY_MATTER, (10, 22, 68), (9, 16, 9), 0),
    (Paint.CSF, (0, 24, 67), (2, 14, 10), 0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A head in its position.

    Args:
        origin_ras_mm: middle of the foramen magnum.
        axes: (3, 3), columns are right, forward and up in RAS.
        size: 1 for the usual.
        column_mm: anterior coordinate of the front of the neck's column at each height; lowest where there is none.
        folds: noise that folds the brain.
        cells: noise of the mastoid's air cells and of fat between muscles.
    """

    origin_ras_mm: Float
    axes: Float
    size: float
    column_mm: Curve
    folds: Waves
    cells: Waves

    def paint(self, points: Points, ids: PartIds, right_mm: PointValues) -> None:
        """Paint the head; everything that the neck has painted behind the pharynx stays.

        Args:
            points, ids: points and their parts, changed in place.
            right_mm: right coordinates of the points.
        """
        reach = np.float32(_REACH_MM * self.size)
        near = np.flatnonzero(points.z > np.float32(self.origin_ras_mm[2] - reach))
        if not near.size:
            return
        local, part = self._to_head(points.take(near), right_mm[near]), ids[near]
        self._paint_face(local, part, points.y[near] > self.column_mm[points.row[near]])
        self._paint_skull(local, part)
        ids[near] = part

    def _to_head(self, points: Points, right_mm: PointValues) -> Points:
        offset = [
            value - np.float32(origin)
            for value, origin in zip((right_mm, points.y, points.z), self.origin_ras_mm, strict=True)
        ]
        x, y, z = (
            sum(o * np.float32(a / self.size) for o, a in zip(offset, axis, strict=True)) for axis in self.axes.T
        )
        return Points(x=np.asarray(x), y=np.asarray(y), z=np.asarray(z), row=points.row)

    def _paint_face(self, points: Points, ids: PartIds, is_before_column: NDArray[np.bool_]) -> None:
        outside = ids == Paint.AIR
        for part, shrink in ((Paint.SKIN, 0.0), (Paint.FAT, _FACE_SKIN_MM)):
            for solid in _FACE:
                share = 1 - shrink / min(solid.radii_mm)
                is_inside = solid.radius2(points) < share * share
                ids[is_inside & (outside | (ids == Paint.SKIN))] = part
        front = np.flatnonzero((points.y > _PHARYNX_MM) & is_before_column & (ids > Paint.SKIN))
        if front.size:
            inner, some = ids[front], points.take(front)
            paint_shapes(_INSIDE_FACE, some, inner)
            muscle = np.flatnonzero(inner == Paint.MUSCLE)
            inner[muscle[np.abs(self.cells.at(some.take(muscle))) < 0.07]] = Paint.FAT
            ids[front] = inner

    def _paint_skull(self, points: Points, ids: PartIds) -> None:
        above = points.z - _measure_floor_mm(points)
        is_near = (_VAULT.radius2(points) < _SCALP) & ((above > -12) | (points.y < _BASION_MM))
        near = np.flatnonzero(is_near)
        if not near.size:
            return
        part, some, above = ids[near], points.take(near), above[near]
        depth = (1 - np.sqrt(_VAULT.radius2(some))) * np.float32(_VAULT_MM)
        is_opening = (np.square(some.x / 15) + np.square((some.y - 1) / 18) < 1) & (some.z < 12) & (some.z > -9)
        for outer_mm, layer in ((-_SCALP_MM, Paint.SKIN), (-_SCALP_MM + 2, Paint.FAT)):
            part[(depth > outer_mm) & ((part == Paint.AIR) | (part == Paint.SKIN))] = layer
        for outer_mm, layer in ((0.0, Paint.BONE), (1.8, Paint.MARROW), (4.5, Paint.BONE), (6.2, Paint.CSF)):
            part[(depth > outer_mm) & (above > 0) & ~is_opening] = layer
        part[is_opening & (depth > 0)] = Paint.CSF
        paint_shapes(_SKULL_BASE, some, part)
        self._paint_cells(some, part)
        _paint_clivus(some, part, above)
        inside = np.flatnonzero((depth > 7.5) & (above > 0) & ~(is_opening & (some.z < -3)))
        if inside.size:
            brain = part[inside]
            self._paint_brain(some.take(inside), brain, depth[inside])
            part[inside] = brain
        ids[near] = part

    def _paint_cells(self, points: Points, ids: PartIds) -> None:
        """Paint air cells in the mastoid processes."""
        for solid in _MASTOID_CELLS:
            near = points.inside(solid.box_mm)
            some = points.take(near)
            ids[near[(solid.radius2(some) < 1) & (self.cells.at(some) > -0.2)]] = Paint.AIR

    def _paint_brain(self, points: Points, ids: PartIds, depth: PointValues) -> None:
        folds = self.folds.at(points)
        ids[:] = Paint.GREY_MATTER
        ids[depth + 2.5 * folds > 12] = Paint.WHITE_MATTER
        ids[(np.abs(folds) < 0.22) & (depth < 26)] = Paint.CSF
        paint_shapes(_FOREBRAIN, points, ids)
        radius2 = _CEREBELLUM.radius2(points)
        ids[radius2 < 1.2] = Paint.CSF
        ids[(radius2 > 1.14) & (radius2 < 1.2) & (points.z > 22)] = Paint.FASCIA  # tentorium
        paint_shapes(_CISTERNS, points, ids)
        _paint_cerebellum(points, ids, radius2)
        paint_shapes(_STEM, points, ids)


_REACH_MM = 115.0
"""The lowest point of the head below the foramen magnum, however it nods."""

_PHARYNX_MM = 12.0
"""The border between the face in front and the column and neck behind."""

_BASION_MM = 15.0
"""The start of the clivus in front of the foramen magnum."""

_VAULT_MM, _SCALP_MM = 78.0, 6.5
"""The mean radius of the skull, and the thickness of the scalp."""

_SCALP = (1 + _SCALP_MM / _VAULT_MM) ** 2


def _paint_clivus(points: Points, ids: PartIds, above: PointValues) -> None:
    """Paint the slope of bone in front of the brain stem, some 10 mm thick.

    Args:
        points, ids: points and their parts, changed in place.
        above: height of the points over the floor of the cranial cavity, mm.
    """
    is_slope = (above <= 0) & (above > -11) & (np.abs(points.x) < 17)
    is_slope &= (points.y > _BASION_MM - 1) & (points.y < 44) & (points.z > -4)
    ids[is_slope] = Paint.BONE
    ids[is_slope & (above < -1.5) & (above > -9)] = Paint.MARROW


def _paint_cerebellum(points: Points, ids: PartIds, radius2: PointValues) -> None:
    """Paint leaves that fan out from the fourth ventricle around the white middle."""
    angle = np.arctan2(points.z - 28, -points.y - 12)
    leaves = np.sin(22 * angle + 0.06 * np.abs(points.x))
    ids[radius2 < 1] = Paint.GREY_MATTER
    ids[(radius2 < 0.9) & (leaves < -0.5)] = Paint.WHITE_MATTER
    ids[(radius2 < 1) & (radius2 > 0.5) & (leaves > 0.8)] = Paint.CSF
    ids[radius2 < 0.3] = Paint.WHITE_MATTER


def _measure_floor_mm(points: Points) -> PointValues:
    """Measure the height of the floor of the cranial cavity: clivus, middle and anterior fossa."""
    clivus = np.minimum((points.y - _BASION_MM) * 1.5, 45)
    beside = 10 - 0.1 * np.abs(points.x) + 42 * np.clip((points.y - 56) / 12, 0, 1)
    floor = np.where(np.abs(points.x) < 19, clivus, np.minimum(beside, clivus + 30))
    return np.asarray(np.where(points.y < _BASION_MM, -99, floor), dtype=np.float32)


def draw_head(column: Column, guide: Guide, rng: np.random.Generator) -> Head:
    """Draw a head on a column: near level, whatever the neck does."""
    atlas = column.vertebrae[0]
    behind_mm, above_mm = 8 + min(atlas.size.canal_depth_mm, 20.0) / 2, 20.0
    tilt = np.arctan2(atlas.axes[2, 1], atlas.axes[1, 1])
    pitch = 0.55 * tilt + np.radians(rng.normal(0, 5))
    c, s = np.cos(pitch), np.sin(pitch)
    return Head(
        origin_ras_mm=atlas.to_world((0, -behind_mm, above_mm)),
        axes=np.array([(1, 0, 0), (0, c, -s), (0, s, c)]),
        size=float(np.clip(rng.normal(1, 0.035), 0.9, 1.1)),
        column_mm=np.where(guide.is_between("C1", "S2"), guide.front_mm + 5, np.float32(-np.inf)),
        folds=draw_waves(rng, 26.0),
        cells=draw_waves(rng, 12.0),
    )
