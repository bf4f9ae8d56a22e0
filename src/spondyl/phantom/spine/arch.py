"""The bone behind and beside a vertebral body: pedicles, joints, laminae, processes, ribs, the ring of the atlas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spondyl.anatomy.codes import Subregion
from spondyl.anatomy.level import Level, Region
from spondyl.geometry.affine import Float
from spondyl.phantom.column.column import PlacedVertebra, pedicle_points_ras_mm, pedicle_rise_mm
from spondyl.phantom.scene.solids import Solid, Tube, make_tube

__all__ = ["Piece", "make_arch", "make_atlas", "make_dens", "make_pedicles", "make_ribs", "make_transitional_processes"]

Piece = tuple[Subregion, Tube]

_TRANSVERSE = {1: Subregion.TRANSVERSE_RIGHT, -1: Subregion.TRANSVERSE_LEFT}
_SUPERIOR = {1: Subregion.SUPERIOR_ARTICULAR_RIGHT, -1: Subregion.SUPERIOR_ARTICULAR_LEFT}
_INFERIOR = {1: Subregion.INFERIOR_ARTICULAR_RIGHT, -1: Subregion.INFERIOR_ARTICULAR_LEFT}


@dataclass(frozen=True, slots=True, kw_only=True)
class _ArchStyle:
    """The style of arches in one region; lengths are in mm or shares of the body's posterior height.

    Args:
        spinous_droop_deg: slope of the spinous process.
        spinous_half_height: half height of the spinous process, share.
        spinous_half_width_mm: half width of the spinous process.
        joint_half_mm: semi-axes of an articular process.
        joint_reach_mm: how far articular processes stand above and below the endplates.
        transverse_half_mm: semi-axes of the transverse process, up and across.
        transverse_back: how far its tip lies behind its root, over its length.
    """

    spinous_droop_deg: float
    spinous_half_height: float
    spinous_half_width_mm: float
    joint_half_mm: tuple[float, float]
    joint_reach_mm: tuple[float, float]
    transverse_half_mm: tuple[float, float]
    transverse_back: float


_STYLES = {
    Region.CERVICAL: _ArchStyle(
        spinous_droop_deg=22,
        spinous_half_height=0.33,
        spinous_half_width_mm=2.8,
        joint_half_mm=(5.5, 4.0),
        joint_reach_mm=(1.5, 2.5),
        transverse_half_mm=(3.0, 3.0),
        transverse_back=-0.15,
    ),
    Region.THORACIC: _ArchStyle(
        spinous_droop_deg=45,
        spinous_half_height=0.24,
        spinous_half_width_mm=2.6,
        joint_half_mm=(5.0, 2.6),
        joint_reach_mm=(4.0, 5.0),
        transverse_half_mm=(4.0, 4.0),
        transverse_back=0.55,
    ),
    Region.LUMBAR: _ArchStyle(
        spinous_droop_deg=8,
        spinous_half_height=0.38,
        spinous_half_width_mm=3.2,
        joint_half_mm=(4.5, 3.8),
        joint_reach_mm=(4.0, 8.0),
        transverse_half_mm=(4.5, 2.6),
        transverse_back=0.15,
    ),
}
"""The styles after the usual atlases; sizes that differ by level come from the plan of the column."""

_SPINOUS_DROOP_DEG = {Level.T1: 25.0, Level.T2: 32.0, Level.T10: 32.0, Level.T11: 18.0, Level.T12: 10.0, Level.T13: 9.0}
"""The slope of spinous processes near the ends of the chest, which are less steep than those between."""


def make_arch(vertebra: PlacedVertebra) -> Iterator[Piece]:
    """Make the arch of a vertebra from C2 to L6, or of a lumbarised S1."""
    size, style = vertebra.size, _get_style(vertebra.level)
    back = -size.depth_mm / 2
    behind = back - size.canal_depth_mm
    height, apart = size.posterior_height_mm, size.pedicle_distance_mm / 2
    rise, joint = pedicle_rise_mm(vertebra), back - 0.6 * size.canal_depth_mm
    x, _, z = vertebra.axes.T
    at = vertebra.to_world
    for side, pedicle in zip((1, -1), make_pedicles(vertebra), strict=True):
        yield Subregion.ARCH, pedicle
        middle = pedicle.frame.to_world((0, 0, pedicle.length_mm))
        yield Subregion.ARCH, make_tube(middle, at((side * apart, joint, rise)), pedicle.end_mm, across=x)
        top, bottom = at((side * (apart + 1), joint, 0.3 * height)), at((side * apart, joint - 3, -0.4 * height))
        yield Subregion.ARCH, make_tube(top, bottom, style.joint_half_mm, across=x)
        above = at((side * (apart + 3), joint + 2, 0.5 * height + style.joint_reach_mm[0]))
        below = at((side * (apart - 2.5), joint - 6, -0.5 * height - style.joint_reach_mm[1]))
        slim = (0.75 * style.joint_half_mm[0], 0.7 * style.joint_half_mm[1])
        yield _SUPERIOR[side], make_tube(top, above, style.joint_half_mm, slim, across=x)
        yield _INFERIOR[side], make_tube(bottom, below, style.joint_half_mm, slim, across=x)
        root, ridge = at((side * (apart - 1), joint - 2, -0.08 * height)), at((side * 1.5, behind - 2, -0.22 * height))
        yield Subregion.ARCH, make_tube(root, ridge, (0.3 * height, 2.6), (0.26 * height, 2.8), across=z)
        yield _TRANSVERSE[side], _make_transverse(vertebra, style, side, joint, rise)
    yield Subregion.SPINOUS, _make_spinous(vertebra, style, behind)


_PEDICLE_ROOT = 0.38
"""The distance from the midline at which a pedicle enters the body, over its width; in the neck it runs inward."""


def make_pedicles(vertebra: PlacedVertebra) -> tuple[Tube, Tube]:
    """Make the right and the left pedicle, from inside the body to the pedicle's middle."""
    size = vertebra.size
    half = (size.pedicle_width_mm / 2, size.pedicle_height_mm / 2)
    root = min(size.pedicle_distance_mm / 2, _PEDICLE_ROOT * size.lower_width_mm)
    right, left = (
        make_tube(
            vertebra.to_world((side * root, 3 - size.depth_mm / 2, pedicle_rise_mm(vertebra))),
            middle,
            half,
            across=vertebra.axes[:, 0],
        )
        for side, middle in zip((1, -1), pedicle_points_ras_mm(vertebra), strict=True)
    )
    return right, left


_TRANSITIONAL_HALF_HEIGHT_MM = 10.0
"""The half height of a transitional vertebra's processes in mm: 19 mm or more (Castellvi et al. 1984, Spine 9:493)."""


def make_transitional_processes(vertebra: PlacedVertebra, below: PlacedVertebra) -> Iterator[Piece]:
    """Make the processes by which a transitional vertebra leans on the sacral wings.

    Args:
        vertebra: a sacralised L5 or a lumbarised S1.
        below: the uppermost vertebra of the sacrum.
    """
    size, wing = vertebra.size, below.size
    for side in (1, -1):
        root = vertebra.to_world((side * size.pedicle_distance_mm / 2, -size.depth_mm / 2, 0.0))
        tip = below.to_world(
            (side * (wing.upper_width_mm / 2 + 18), -0.3 * wing.upper_depth_mm, 0.5 * wing.posterior_height_mm)
        )
        half = (_TRANSITIONAL_HALF_HEIGHT_MM, 6.0)
        yield _TRANSVERSE[side], make_tube(root, tip, half, (1.2 * half[0], 8.0), across=vertebra.axes[:, 2])


def _get_style(level: Level) -> _ArchStyle:
    return _STYLES[level.region] if level.region is not Region.SACRAL else _STYLES[Region.LUMBAR]


def _make_transverse(vertebra: PlacedVertebra, style: _ArchStyle, side: int, joint: float, rise: float) -> Tube:
    size = vertebra.size
    root, tip = size.pedicle_distance_mm / 2 + 2, max(size.transverse_span_mm / 2, size.pedicle_distance_mm / 2 + 6)
    length = tip - root
    start = vertebra.to_world((side * root, joint + 2, rise))
    end = vertebra.to_world((side * tip, joint + 2 - style.transverse_back * length, rise - 0.05 * length))
    narrow = (0.7 * style.transverse_half_mm[0], 0.8 * style.transverse_half_mm[1])
    return make_tube(start, end, style.transverse_half_mm, narrow, across=vertebra.axes[:, 2])


def _make_spinous(vertebra: PlacedVertebra, style: _ArchStyle, behind: float) -> Tube:
    size = vertebra.size
    droop = np.radians(_SPINOUS_DROOP_DEG.get(vertebra.level, style.spinous_droop_deg))
    length, low = size.spinous_length_mm, -0.22 * size.posterior_height_mm
    half = (style.spinous_half_width_mm, style.spinous_half_height * size.posterior_height_mm)
    start = vertebra.to_world((0, behind - 1, low))
    end = vertebra.to_world((0, behind - length * np.cos(droop), low - length * np.sin(droop)))
    return make_tube(start, end, half, (half[0] * 1.25, half[1] * 0.9), across=vertebra.axes[:, 0])


_DENS_MM = 5.0
"""The radius of the dens in mm (Xu 1995: diameters of 9 to 12 mm)."""


def make_dens(axis: PlacedVertebra, atlas: PlacedVertebra) -> Tube:
    """Make the dens, from C2's body through the ring of C1."""
    start = axis.to_world((0, 1, axis.size.posterior_height_mm / 2 - 4))
    end = atlas.to_world((0, 0, 3))
    return make_tube(
        start, end, (_DENS_MM * 1.15, _DENS_MM * 1.15), (_DENS_MM * 0.85, _DENS_MM * 0.85), across=axis.axes[:, 0]
    )


def make_atlas(atlas: PlacedVertebra) -> Iterator[Piece]:
    """Make the ring of C1 around the dens, which lies at its origin."""
    half_width = atlas.size.pedicle_distance_mm / 2 if atlas.size.pedicle_distance_mm > 30 else 18.0
    front, back = _DENS_MM + 4, -(_DENS_MM + 4 + min(atlas.size.canal_depth_mm, 20.0))
    at, up = atlas.to_world, atlas.axes[:, 2]
    yield Subregion.ARCH, make_tube(at((-9, front - 2, 0)), at((9, front - 2, 0)), (5.0, 2.8), across=up)
    for side in (1, -1):
        mass = at((side * half_width * 0.9, -2, 2)), at((side * half_width, -5, -3))
        yield Subregion.ARCH, make_tube(*mass, (7.0, 8.0), across=atlas.axes[:, 0])
        yield (
            Subregion.ARCH,
            make_tube(at((side * 9, front - 2, 0)), at((side * half_width * 0.85, 2, 0)), (4.0, 3.0), across=up),
        )
        corners = [(side * half_width, -7, 0), (side * half_width * 0.75, 0.7 * back, 0), (0, back, 0)]
        for start, end in pairwise(corners):
            yield Subregion.ARCH, make_tube(at(start), at(end), (3.6, 2.6), across=up)
        yield (
            _TRANSVERSE[side],
            make_tube(at((side * half_width, -4, 0)), at((side * 37, -6, -2)), (3.5, 3.5), across=up),
        )


_RIB_REACH_DEG = {Level.T11: 75.0, Level.T12: 48.0, Level.T13: 30.0}
"""The angle around the chest over which a rib runs.

The last ribs end in the muscles, a lumbar rib beside its vertebra.
"""


def make_ribs(vertebra: PlacedVertebra, *, is_last: bool) -> Iterator[Solid]:
    """Make the ribs of a thoracic vertebra up to the side of the chest; the last pair is short, whatever its number."""
    number = vertebra.level.rank - Level.T1.rank + 1
    half_width = float(np.interp(number, (1, 2, 4, 7, 10, 13), (48, 72, 98, 118, 122, 112)))
    size, back = vertebra.size, -vertebra.size.depth_mm / 2
    reach_deg = min(_RIB_REACH_DEG.get(vertebra.level, 100.0), _RIB_REACH_DEG[Level.T12] if is_last else 100.0)
    lift = 0.32 if Level.T2.rank <= vertebra.level.rank <= Level.T10.rank else 0.05
    for side in (1, -1):
        head = np.array([side * (size.upper_width_mm / 2), back + 4, lift * size.posterior_height_mm])
        tubercle = np.array(
            [side * (size.transverse_span_mm / 2 - 1), back - 0.45 * size.transverse_span_mm / 2 - 2, 0.0]
        )
        path = [head, tubercle, *_trace_rib_shaft(tubercle, half_width, reach_deg, side)]
        for start, end in pairwise(vertebra.to_world(path)):
            yield make_tube(start, end, (5.5, 3.2), across=vertebra.axes[:, 2])


def _trace_rib_shaft(tubercle: Float, half_width: float, reach_deg: float, side: int) -> Float:
    """Return points along an ellipse around the chest, sinking forward, (n, 3)."""
    first = np.degrees(np.arcsin(min(0.8, abs(tubercle[0]) / half_width)))
    turn = np.radians(np.linspace(first, max(first + 10, reach_deg), 7)[1:])
    half_depth = 0.72 * half_width
    start = np.radians(first)
    x = side * half_width * np.sin(turn)
    y = tubercle[1] - 6 + half_depth * (np.cos(start) - np.cos(turn))
    return np.stack([x, y, -0.45 * (y - tubercle[1]) - 6 * (turn - start)], axis=1)
