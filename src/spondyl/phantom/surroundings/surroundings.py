"""The surroundings of a phantom's spine, placed by its column: the backdrop over which the spine is painted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spondyl.phantom.column.column import Column
from spondyl.phantom.scene.scene import Part, PartIds
from spondyl.phantom.surroundings.back import Back, draw_back
from spondyl.phantom.surroundings.frame import Guide, Points, make_guide
from spondyl.phantom.surroundings.head import Head, draw_head
from spondyl.phantom.surroundings.organs import Trunk, draw_trunk
from spondyl.phantom.surroundings.shapes import LongitudinalTube, Paint, draw_parts, paint_shapes
from spondyl.phantom.surroundings.vessels import draw_tubes
from spondyl.phantom.surroundings.wall import BodyLayers, draw_habitus, draw_layers

__all__ = ["Surroundings", "draw_surroundings"]

_POINTS_PER_CHUNK = 1 << 16
"""The number of points painted together, so few that their values stay in the processor's cache."""

_TWIST_BACK_MM, _TWIST_FRONT_MM = 80.0, 25.0
"""The distances behind and in front of the canal within which tissue turns with the vertebrae."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """A `Backdrop` of body, head and neck around a column.

    Args:
        parts: parts of its voxels, see `Paint`.
        guide: curves along the column.
        body, trunk, back, head, tubes: groups of tissue, in the order of painting.
    """

    parts: tuple[Part, ...]
    guide: Guide
    body: BodyLayers
    trunk: Trunk
    back: Back
    head: Head
    tubes: tuple[LongitudinalTube, ...]

    def paint(
        self, right_mm: NDArray[np.float32], anterior_mm: NDArray[np.float32], superior_mm: NDArray[np.float32]
    ) -> PartIds:
        """See `Backdrop`."""
        shape = np.broadcast_shapes(right_mm.shape, anterior_mm.shape, superior_mm.shape)
        axes = [np.broadcast_to(axis, shape).reshape(-1) for axis in (right_mm, anterior_mm, superior_mm)]
        ids = np.zeros(int(np.prod(shape)), dtype=np.uint16)
        for start in range(0, ids.size, _POINTS_PER_CHUNK):
            chunk = slice(start, start + _POINTS_PER_CHUNK)
            right, y, z = (axis[chunk] for axis in axes)
            self._paint(self._to_points(right, y, z), right, ids[chunk])
        return ids.reshape(shape)

    def _to_points(self, right: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32]) -> Points:
        """Return points with their distances from the midline, which turns with the vertebrae."""
        row = self.guide.row(z)
        lever = np.clip(y - self.guide.canal_mm[row], -_TWIST_BACK_MM, _TWIST_FRONT_MM)
        x = right - self.guide.midline_mm[row] - self.guide.twist[row] * lever
        return Points(x=x.astype(np.float32), y=y.astype(np.float32), z=z.astype(np.float32), row=row)

    def _paint(self, points: Points, right_mm: NDArray[np.float32], ids: PartIds) -> None:
        wall, cavity = self.body.paint(points, ids)
        self.trunk.paint(points, ids, wall, cavity)
        self.back.paint(points, ids, wall, cavity)
        self.head.paint(points, ids, right_mm)
        outside = np.flatnonzero((wall <= 0) & (ids <= Paint.FAT))
        kept = ids[outside]
        paint_shapes(self.tubes, points, ids)
        paint_shapes(self.trunk.bones.heads, points, ids)
        ids[outside] = kept  # in a slender body nothing stands out of the wall


def draw_surroundings(column: Column, rng: np.random.Generator) -> Surroundings:
    """Draw a patient around a column.

    Args:
        column: the column, placed.
        rng: random generator; the same state gives the same patient.
    """
    guide = make_guide(column)
    habitus = draw_habitus(rng)
    body = draw_layers(guide, habitus, rng)
    return Surroundings(
        parts=draw_parts(rng),
        guide=guide,
        body=body,
        trunk=draw_trunk(guide, body, habitus, rng),
        back=draw_back(guide, habitus, rng),
        head=draw_head(column, guide, rng),
        tubes=draw_tubes(guide, habitus, rng),
    )
