"""The coordinates of the surroundings: curves along the column by height, the points to paint, and smooth noise.

Everything around the spine is placed by the column: a table gives, for a few levels, how far something lies from the
front of the bodies, from the canal or from the spinous tips, and a curve runs through it at every height. Curves are
sampled every `STEP_MM`, so that a point finds its value by looking up one row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from spondyl.anatomy.level import Level, Region
from spondyl.geometry.affine import Float
from spondyl.phantom.column.column import Column, PlacedVertebra
from spondyl.phantom.spine.sacrum import extrapolate_sacrum

__all__ = [
    "STEP_MM",
    "Curve",
    "Guide",
    "PointValues",
    "Points",
    "Waves",
    "atlas_canal_ras_mm",
    "draw_waves",
    "make_guide",
]

Curve = NDArray[np.float32]
"""One value for every row of a guide, (rows,)."""

PointValues = NDArray[np.float32]
"""One value for every point, (n,)."""

STEP_MM = 0.5
"""The height of a row in mm, about half a voxel."""

_ABOVE_MM, _BELOW_MM = 330.0, 420.0
"""The reach of rows above C1 and below S2, past the vertex and past the hips."""

_PLACE_OF_LEVEL = (
    {"O": 0.0, "Co": 30.0}
    | {f"C{n}": float(n) for n in range(1, 8)}
    | {f"T{n}": n + 7.0 for n in range(1, 13)}
    | {f"L{n}": n + 19.0 for n in range(1, 6)}
    | {f"S{n}": n + 24.0 for n in range(1, 6)}
)
"""The levels as numbers along a regular column; O is the foramen magnum, Co the coccyx."""

_DROOP_DEG = {Region.CERVICAL: 22.0, Region.THORACIC: 42.0, Region.LUMBAR: 8.0}
"""The slope of spinous processes, after the usual atlases."""

_CREST_MM = 8.0
"""The height of the median sacral crest."""

_FORAMEN_MAGNUM_MM = 18.0
"""The height of the foramen magnum over the middle of the atlas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """The curves along a column, and the levels on them.

    Args:
        lowest_mm: height of the first row.
        place: place of each row among the levels of a regular column, C1 = 1 to S2 = 26; falls with height.
        midline_mm: right coordinate of the canal.
        twist: shift of the midline to the right per mm forward.
        front_mm, back_mm: anterior coordinates of the bodies' walls.
        canal_mm: anterior coordinate of the middle of the canal.
        tip_mm: anterior coordinate of the envelope of the spinous tips.
        axis_mm: anterior coordinate of the bodies' front without its lordosis, which the abdomen does not follow; of
            S1's front below it.
        half_width_mm: half width of the bodies.
    """

    lowest_mm: float
    place: Curve
    midline_mm: Curve
    twist: Curve
    front_mm: Curve
    back_mm: Curve
    canal_mm: Curve
    tip_mm: Curve
    axis_mm: Curve
    half_width_mm: Curve

    def row(self, superior_mm: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
        """Return the nearest row; beyond the ends the last one."""
        row = np.rint((superior_mm - np.float32(self.lowest_mm)) * np.float32(1 / STEP_MM))
        return np.asarray(np.clip(row, 0, self.place.size - 1), dtype=np.intp)

    @property
    def heights_mm(self) -> Float:
        """Return the superior coordinate of each row."""
        return np.asarray(self.lowest_mm + STEP_MM * np.arange(self.place.size), dtype=np.float64)

    def height_mm(self, level: str, levels_below: float = 0.0) -> float:
        """Return the superior coordinate of the middle of a level, or of a place this many levels below it."""
        return float(np.interp(_PLACE_OF_LEVEL[level] + levels_below, self.place[::-1], self.heights_mm[::-1]))

    def at(self, curve: Curve, level: str) -> float:
        """Return a curve's value at a level."""
        return float(np.interp(_PLACE_OF_LEVEL[level], self.place[::-1], curve[::-1]))

    def curve_through(self, table: Mapping[str, float]) -> Curve:
        """Run a smooth curve through values at some levels, constant beyond the first and last."""
        places, values = zip(*sorted((_PLACE_OF_LEVEL[name], value) for name, value in table.items()), strict=True)
        return _smooth(np.interp(self.place, places, values), 5.0)

    def is_between(self, upper: str, lower: str) -> NDArray[np.bool_]:
        """Return the rows from the middle of one level down to that of another."""
        return np.asarray((self.place >= _PLACE_OF_LEVEL[upper]) & (self.place <= _PLACE_OF_LEVEL[lower]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """A set of points to paint, each array (n,).

    Args:
        x: distance to the right of the midline, mm.
        y: anterior coordinate, mm.
        z: superior coordinate, mm.
        row: row of the guide.
    """

    x: PointValues
    y: PointValues
    z: PointValues
    row: NDArray[np.intp]

    def take(self, where: NDArray[np.intp]) -> Points:
        """Return some of the points."""
        return Points(x=self.x[where], y=self.y[where], z=self.z[where], row=self.row[where])

    def box_mm(self) -> Float:
        """Return the lowest and highest x, y and z, (2, 3)."""
        axes = (self.x, self.y, self.z)
        return np.array([[axis.min() for axis in axes], [axis.max() for axis in axes]])

    def inside(self, box_mm: Float) -> NDArray[np.intp]:
        """Return the indices of the points in a box, (2, 3) as `box_mm` returns it."""
        (x0, y0, z0), (x1, y1, z1) = np.asarray(box_mm, dtype=np.float32)
        near = (self.y > y0) & (self.y < y1)
        near &= (self.z > z0) & (self.z < z1)
        near &= (self.x > x0) & (self.x < x1)
        return np.flatnonzero(near)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waves:
    """Smooth noise of mean 0 and variance 1, a sum of sinusoids.

    Args:
        vectors: wave vectors, radians per mm, (m, 3).
        phases: (m,).
    """

    vectors: NDArray[np.float32]
    phases: NDArray[np.float32]

    def at(self, points: Points) -> PointValues:
        """Return the noise at each point."""
        total = np.zeros(points.x.shape, dtype=np.float32)
        for (a, b, c), phase in zip(self.vectors, self.phases, strict=True):
            total += np.sin(points.x * a + points.y * b + points.z * c + phase)
        return total * np.float32(np.sqrt(2 / self.phases.size))


def draw_waves(rng: np.random.Generator, *wavelengths_mm: float, count: int = 6) -> Waves:
    """Draw noise.

    Args:
        rng: random generator of directions and phases.
        wavelengths_mm: typical wavelength along x, y and z, or one for all.
        count: number of sinusoids; few of them look like stripes.
    """
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    frequency = 2 * np.pi * rng.uniform(0.6, 1.4, size=(count, 1)) / np.array(wavelengths_mm)
    return Waves(
        vectors=(direction * frequency).astype(np.float32),
        phases=rng.uniform(0, 2 * np.pi, count).astype(np.float32),
    )


def atlas_canal_ras_mm(atlas: PlacedVertebra) -> Float:
    """Return the middle of the canal in the ring of C1, whose origin is in the dens, in RAS mm."""
    behind_the_dens_mm = 8.0
    return atlas.to_world((0, -behind_the_dens_mm - min(atlas.size.canal_depth_mm, 20.0) / 2, 0))


def make_guide(column: Column) -> Guide:
    """Run curves along a column and beyond its ends."""
    atlas, last = column.vertebrae[0], column.vertebrae[-1]
    chain = (*column.vertebrae, *extrapolate_sacrum(last))
    coccyx = chain[-1].to_world((0, 4, -2.0 * chain[-1].size.posterior_height_mm))
    top = atlas.to_world((0, 0, _FORAMEN_MAGNUM_MM))
    anchors = np.vstack([top, *(vertebra.centre_ras_mm for vertebra in chain), coccyx])
    heights = np.arange(last.centre_ras_mm[2] - _BELOW_MM, atlas.centre_ras_mm[2] + _ABOVE_MM, STEP_MM)
    below = np.arange(1.0, len(anchors) - len(column.vertebrae))
    place = _extrapolate_places(
        heights, anchors[:, 2], np.concatenate([[0.0], _place_levels(column), _PLACE_OF_LEVEL["S2"] + below])
    )

    walls = [_locate_walls(vertebra) for vertebra in chain]
    half_coccyx = np.array([0, 4.0, 0])
    front = _run_curve(heights, np.vstack([*(wall[0] for wall in walls), coccyx + half_coccyx]), 3.0)
    back = _run_curve(heights, np.vstack([*(wall[1] for wall in walls), coccyx - half_coccyx]), 3.0)
    canals = np.vstack([atlas_canal_ras_mm(atlas), *(wall[2] for wall in walls[1:]), coccyx - half_coccyx])
    tips = np.vstack([*(_locate_spinous_tip(vertebra) for vertebra in chain), coccyx - 2 * half_coccyx])
    canal, midline = _run_curve(heights, canals, 5.0), _run_curve(heights, canals, 5.0, axis=0)
    leaning = _run_curve(heights, anchors, 12.0, axis=0) - midline
    widths = np.array([(0, (v.size.upper_width_mm + v.size.lower_width_mm) / 4, v.centre_ras_mm[2]) for v in chain[1:]])
    min_lever_mm = 12.0  # of bone and ligament behind the canal's middle, and of the lever of a twist
    return Guide(
        lowest_mm=float(heights[0]),
        place=place.astype(np.float32),
        midline_mm=midline,
        twist=(leaning / np.maximum(_run_curve(heights, anchors, 12.0) - canal, min_lever_mm)).astype(np.float32),
        front_mm=front,
        back_mm=back,
        canal_mm=canal,
        tip_mm=np.minimum(_run_envelope(heights, tips), canal - np.float32(min_lever_mm)),
        axis_mm=_straighten_axis(front, place),
        half_width_mm=_run_curve(heights, widths, 10.0),
    )


def _straighten_axis(front: Curve, place: Float) -> Curve:
    promontory = np.interp(_PLACE_OF_LEVEL["S1"], place[::-1], front[::-1])
    straight = np.where(place > _PLACE_OF_LEVEL["S1"], promontory, front)
    in_neck = np.clip((_PLACE_OF_LEVEL["T3"] - place) / 3, 0, 1)
    return np.asarray(in_neck * _smooth(front, 8.0) + (1 - in_neck) * _smooth(straight, 45.0), dtype=np.float32)


def _place_levels(column: Column) -> Float:
    """Place each vertebra among the levels of a regular column: the last thoracic one at T12, whatever its name."""
    levels = np.array([vertebra.level.region for vertebra in column.vertebrae])
    ends = {
        Region.CERVICAL: ("C1", "C7"),
        Region.THORACIC: ("T1", "T12"),
        Region.LUMBAR: ("L1", "L5"),
        Region.SACRAL: ("S1", "S2"),
    }
    return np.concatenate(
        [
            np.linspace(_PLACE_OF_LEVEL[first], _PLACE_OF_LEVEL[last], int((levels == region).sum()))
            for region, (first, last) in ends.items()
        ]
    )


def _extrapolate_places(heights: Float, known_mm: Float, places: Float) -> Float:
    """Return the places at heights, extrapolated at a constant pace beyond both ends."""
    order = np.argsort(known_mm)
    inside = np.interp(heights, known_mm[order], places[order])
    mm_per_level = 24.0
    above, below = heights - known_mm.max(), known_mm.min() - heights
    return np.asarray(inside - np.maximum(above, 0) / mm_per_level + np.maximum(below, 0) / mm_per_level)


def _locate_walls(vertebra: PlacedVertebra) -> tuple[Float, Float, Float]:
    """Locate front wall, back wall and canal of a vertebra at both endplates, each (2, 3) in RAS mm."""
    size = vertebra.size
    halves = np.array([size.upper_depth_mm, size.lower_depth_mm]) / 2
    up = 0.45 * np.array([size.posterior_height_mm, -size.posterior_height_mm])
    zero = np.zeros(2)
    depths = (halves, -halves, -halves.mean() - min(size.canal_depth_mm, 20.0) / 2 + zero)
    front, back, canal = (vertebra.to_world(np.stack([zero, depth, up], axis=1)) for depth in depths)
    return front, back, canal


def _locate_spinous_tip(vertebra: PlacedVertebra) -> Float:
    """Locate the tip of the spinous process, in RAS mm, (3,)."""
    size = vertebra.size
    if vertebra.level is Level.C1:
        return atlas_canal_ras_mm(vertebra) - vertebra.axes[:, 1] * (min(size.canal_depth_mm, 20.0) / 2 + 6)
    behind = (size.upper_depth_mm + size.lower_depth_mm) / 4 + min(size.canal_depth_mm, 20.0)
    if vertebra.level.region is Region.SACRAL:
        return vertebra.to_world((0, -behind - _CREST_MM, -2))
    droop = np.radians(_DROOP_DEG[vertebra.level.region])
    back, down = size.spinous_length_mm * np.cos(droop), size.spinous_length_mm * np.sin(droop)
    return vertebra.to_world((0, -behind - back, -0.22 * size.posterior_height_mm - down))


def _run_curve(heights: Float, points: Float, smooth_mm: float, axis: int = 1) -> Curve:
    """Run a smooth curve of height through one coordinate of points (n, 3), level beyond the ends."""
    order = np.argsort(points[:, 2])
    return _smooth(np.interp(heights, points[order, 2], points[order, axis]), smooth_mm)


def _run_envelope(heights: Float, points: Float) -> Curve:
    """Run a smooth curve behind points (n, 3), or through them."""
    hull = np.minimum(_run_curve(heights, points, 1.0), _run_curve(heights, points, 12.0))
    return np.minimum(_smooth(hull, 6.0), hull)


def _smooth(values: Float | Curve | Sequence[float], sigma_mm: float) -> Curve:
    return np.asarray(gaussian_filter1d(values, sigma_mm / STEP_MM, mode="nearest"), dtype=np.float32)
