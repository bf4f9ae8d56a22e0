"""The spinal canal: dural sac with CSF, cord down to the conus, cauda equina, epidural fat and nerve roots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spondyl.anatomy.level import Level, Region
from spondyl.geometry.affine import Float
from spondyl.phantom.column.column import Column, PlacedVertebra
from spondyl.phantom.scene.solids import Solid, Tube, make_tube

__all__ = [
    "CanalPath",
    "draw_cauda_equina",
    "draw_cord",
    "make_dural_sac",
    "make_epidural_fat",
    "make_foramina",
    "trace_canal",
]

_CORD_MM: tuple[tuple[Level, float, float], ...] = (
    (Level.C1, 5.6, 4.2),
    (Level.C3, 6.2, 4.0),
    (Level.C5, 6.7, 3.8),
    (Level.C7, 5.8, 3.5),
    (Level.T2, 4.6, 3.2),
    (Level.T9, 4.2, 3.1),
    (Level.T11, 4.7, 3.6),
    (Level.T12, 4.5, 3.5),
    (Level.L1, 3.6, 2.9),
)
"""Half of the cord's transverse and anteroposterior diameter (Frostell et al. 2016, doi 10.3389/fneur.2016.00238)."""

_CONUS_LEVEL = (Level.L1.rank + 0.2, 0.6)
"""The mean and deviation of the conus, in levels: middle to lower third of L1 (Saifuddin et al. 1998)."""

_SAC_SHARE = (0.80, 0.84)
"""The width and depth of the dural sac over those of the bony canal."""

_CORD_ABOVE_MM, _SAC_ABOVE_MM = 30.0, 14.0
"""The heights above the atlas at which the cord meets the backdrop's medulla and the sac opens into the cisterns."""

_BEHIND_DENS_MM = -6.0
_MAX_CANAL_DEPTH_MM, _MAX_CANAL_WIDTH_MM = 20.0, 26.0
"""The limits of the canal in mm: the ring of the atlas also holds the dens, and the foramen magnum exceeds the sac."""

_SAC_END = Level.S2
"""The lower end of the dural sac (Macdonald et al. 1999: middle of S2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanalPath:
    """The middle of the canal from above the atlas to the end of the sac, two points for each vertebra.

    Args:
        points_ras_mm: (n, 3), head to foot.
        place: rank of the level at each point, halves at discs, (n,).
        half_mm: half of the bony canal's width and depth at each point, (n, 2).
        right, posterior: unit vectors of the patient at each point, (n, 3).
        remaining: share of the sac that stenosis leaves, (n,).
    """

    points_ras_mm: Float
    place: Float
    half_mm: Float
    right: Float
    posterior: Float
    remaining: Float


def trace_canal(column: Column, remaining: Mapping[Level, float]) -> CanalPath:
    """Trace the canal of a column.

    Args:
        column: the column, placed.
        remaining: share of the sac's size left at the disc below a level; 1 where it is missing.
    """
    points = [_locate_canal(column.vertebrae[0], _CORD_ABOVE_MM, column.vertebrae[0].level.rank - 1.0)]
    for upper, lower in pairwise(column.vertebrae):
        points.append(_locate_canal(upper, 0.0, upper.level.rank))
        ends = (
            _locate_canal(upper, -upper.size.posterior_height_mm / 2, upper.level.rank),
            _locate_canal(lower, lower.size.posterior_height_mm / 2, lower.level.rank),
        )
        points.append(np.mean(ends, axis=0))
    points.append(_locate_canal(column.vertebrae[-1], 0.0, column.vertebrae[-1].level.rank))
    at_discs = [remaining.get(vertebra.level, 1.0) for vertebra in column.vertebrae[:-1]]
    left = np.ones(len(points))
    left[2:-1:2] = at_discs
    table = np.stack(points)
    return CanalPath(
        points_ras_mm=table[:, :3],
        place=table[:, 3],
        half_mm=table[:, 4:6],
        right=table[:, 6:9],
        posterior=table[:, 9:],
        remaining=left,
    )


def _locate_canal(vertebra: PlacedVertebra, height_mm: float, place: float) -> Float:
    """Return the canal's middle, place, half width and depth, right and posterior direction, (12,)."""
    size = vertebra.size
    depth = min(size.canal_depth_mm, _MAX_CANAL_DEPTH_MM)
    wall = _BEHIND_DENS_MM if vertebra.level is Level.C1 else -size.depth_mm / 2
    middle = vertebra.to_world((0.0, wall - 0.5 - depth / 2, height_mm))
    half = (min(size.canal_width_mm, _MAX_CANAL_WIDTH_MM) / 2, depth / 2)
    return np.concatenate([middle, (place, *half), vertebra.axes[:, 0], -vertebra.axes[:, 1]])


def _chain_tubes(points: Float, half_mm: Float, across: Float) -> Iterator[Tube]:
    """Chain tubes from point to point, with these semi-axes along `across` and at right angles to it."""
    rows = list(zip(points, half_mm, across, strict=True))
    for (start, start_mm, x), (end, end_mm, _) in pairwise(rows):
        yield make_tube(start, end, tuple(start_mm), tuple(end_mm), across=x)


def make_dural_sac(line: CanalPath) -> Iterator[Tube]:
    """Make the dural sac, which holds CSF."""
    upper = line.place <= _SAC_END.rank
    half = line.half_mm * _SAC_SHARE * np.stack([line.remaining**0.5, line.remaining], axis=1)
    half[line.place >= _SAC_END.rank - 0.6] *= 0.7
    half[line.place >= _SAC_END.rank] *= 0.4
    # it lies on the posterior ligament; the room that it leaves is behind it
    forward = np.maximum(line.half_mm[:, 1] - half[:, 1] - 0.2, 0) * np.clip(line.remaining * 2 - 1, 0, 1)
    points = line.points_ras_mm - line.posterior * forward[:, None]
    points[0] = points[1] + (points[0] - points[1]) * (_SAC_ABOVE_MM / _CORD_ABOVE_MM)
    return _chain_tubes(points[upper], half[upper], line.right[upper])


def make_epidural_fat(line: CanalPath) -> Iterator[Tube]:
    """Make epidural fat and veins: the canal outside the sac, and the hollow behind the middle of each body.

    There is none in the skull: it begins at the atlas.
    """
    ahead = np.interp(line.place, (Level.C7.rank, Level.L1.rank), (0.04, 0.12))
    points = line.points_ras_mm - line.posterior * (ahead * line.half_mm[:, 1])[:, None]
    half = line.half_mm * np.stack([np.full(len(ahead), 0.9), 1 + ahead], axis=1)
    return _chain_tubes(points[1:], half[1:], line.right[1:])


def draw_cord(line: CanalPath, rng: np.random.Generator) -> tuple[list[Tube], float]:
    """Draw the cord from the medulla to the conus; return it with the place of its tip, in ranks of levels."""
    ranks, a, b = (np.array(column) for column in zip(*((lv.rank, x, y) for lv, x, y in _CORD_MM), strict=True))
    tip = float(rng.normal(*_CONUS_LEVEL))
    size = np.exp(rng.normal(0, 0.06))
    places = np.append(line.place[line.place < tip - 0.3], tip)
    points = np.stack([np.interp(places, line.place, line.points_ras_mm[:, i]) for i in range(3)], axis=1)
    right = np.stack([np.interp(places, line.place, line.right[:, i]) for i in range(3)], axis=1)
    half = size * np.stack([np.interp(places, ranks, a), np.interp(places, ranks, b)], axis=1)
    taper = np.clip((tip - places) / 1.2, 0.12, 1)[:, None]
    space = np.stack([np.interp(places, line.place, line.half_mm[:, i] * line.remaining) for i in range(2)], axis=1)
    half = np.minimum(half * taper, 0.8 * space)
    return list(_chain_tubes(points, half, right)), tip


def draw_cauda_equina(line: CanalPath, tip: float, rng: np.random.Generator, *, n: int = 14) -> Iterator[Tube]:
    """Draw roots that hang from the conus behind and beside the middle of the sac."""
    below = np.flatnonzero((line.place > tip - 0.8) & (line.place <= _SAC_END.rank))
    angle = rng.uniform(-0.15 * np.pi, 1.15 * np.pi, n)
    reach = rng.uniform(0.35, 0.8, n)
    for root in range(n):
        last = below[: max(3, int(len(below) * rng.uniform(0.4, 1.0)))]
        wander = np.cumsum(rng.normal(0, 0.05, len(last)))
        spread = np.clip(reach[root] + wander, 0.2, 0.85) * np.linspace(0.7, 1, len(last))
        half = line.half_mm[last] * _SAC_SHARE * line.remaining[last, None]
        across = (np.cos(angle[root]) * spread * half[:, 0])[:, None] * line.right[last]
        back = (np.sin(angle[root]) * spread * half[:, 1])[:, None] * line.posterior[last]
        thick = np.full((len(last), 2), rng.uniform(0.5, 0.9))
        yield from _chain_tubes(line.points_ras_mm[last] + across + back, thick, line.right[last])


def make_foramina(upper: PlacedVertebra, openness: Mapping[int, float]) -> Iterator[tuple[Solid, Solid]]:
    """Make the fat and the root in the two foramina below a vertebra.

    Args:
        upper: the vertebra above.
        openness: share of the fat that is left, by side (1 right, -1 left).
    """
    size = upper.size
    back = -size.depth_mm / 2
    height, apart = size.posterior_height_mm, size.pedicle_distance_mm / 2
    is_neck = upper.level.region is Region.CERVICAL
    fat_mm = (2.2, 3.0) if is_neck else (4.6, 0.24 * height + 2)
    root_mm = (1.6, 1.8) if is_neck else (1.9, 2.3)
    low = -0.5 * height if is_neck else -0.3 * height
    for side in (1, -1):
        inner = upper.to_world((side * (apart - 4), back - 4.5, low))
        outer = upper.to_world((side * (apart + 7), back - 2.5, low - 2))
        left = openness.get(side, 1.0)
        fat = make_tube(inner, outer, (fat_mm[0] * left, fat_mm[1] * left), across=upper.axes[:, 1])
        lift = upper.axes[:, 2] * (0.0 if is_neck else 1.5)
        yield fat, make_tube(inner + lift, outer + lift - upper.axes[:, 2] * 4, root_mm, across=upper.axes[:, 1])
