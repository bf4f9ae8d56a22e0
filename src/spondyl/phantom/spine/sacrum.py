"""Sacrum and coccyx: five fused bodies that curve forward, their wings, and the bone behind the canal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from spondyl.geometry.affine import Float
from spondyl.phantom.column.column import PlacedVertebra
from spondyl.phantom.scene.solids import Ellipsoid, LocalFrame, Solid, Tube, make_tube

__all__ = ["extrapolate_sacrum", "make_coccyx", "make_sacral_wings", "make_wing_bridges"]

_TURN_DEG = (11.0, 14.0, 14.0)
"""The angle by which S3, S4 and S5 each point farther forward; the sacral kyphosis is some 60 degrees in all."""

_TAPER = 0.82
_GAP_MM = 1.5

_WINGS_MM = (30.0, 24.0, 17.0, 10.0)
"""The reach of the wings of S1 to S4 beyond the bodies, in mm; the sacrum is about 115 mm wide in all, as is usual."""


def extrapolate_sacrum(second: PlacedVertebra) -> tuple[PlacedVertebra, ...]:
    """Extrapolate S3 to S5 from S2; they keep its level, since they have no names here."""
    tail = []
    above = second
    for turn_deg in _TURN_DEG:
        size = replace(
            above.size,
            anterior_height_mm=0.9 * above.size.anterior_height_mm,
            posterior_height_mm=0.88 * above.size.posterior_height_mm,
            upper_depth_mm=above.size.lower_depth_mm,
            lower_depth_mm=_TAPER * above.size.lower_depth_mm,
            upper_width_mm=above.size.lower_width_mm,
            lower_width_mm=_TAPER * above.size.lower_width_mm,
        )
        axes = above.axes @ _make_pitch(-np.radians(turn_deg))
        half = (above.size.posterior_height_mm + above.size.anterior_height_mm) / 4 + _GAP_MM / 2
        below = (size.posterior_height_mm + size.anterior_height_mm) / 4 + _GAP_MM / 2
        centre = above.centre_ras_mm - above.axes[:, 2] * half - axes[:, 2] * below
        above = replace(above, size=size, axes=axes, centre_ras_mm=centre)
        tail.append(above)
    return tuple(tail)


def _make_pitch(angle: float) -> Float:
    """Make a turn about the right axis; a positive angle lowers the front."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([(1, 0, 0), (0, c, s), (0, -s, c)])


def make_sacral_wings(sacrum: tuple[PlacedVertebra, ...]) -> Iterator[Tube]:
    """Make the wings and the lateral mass beside S1 to S4, and the laminae behind the canal."""
    for number, (vertebra, reach) in enumerate(zip(sacrum[:4], _WINGS_MM, strict=True)):
        size, at = vertebra.size, vertebra.to_world
        half = (size.upper_width_mm + size.lower_width_mm) / 4
        height = size.posterior_height_mm / 2
        behind = -size.upper_depth_mm / 2 - min(size.canal_depth_mm, 18.0) * (1 - 0.15 * number)
        for side in (1, -1):
            inner = at((side * half * 0.7, -size.upper_depth_mm * 0.15, 0))
            outer = at((side * (half + reach), -size.upper_depth_mm * 0.35, -2))
            thick = (max(5.0, 13.0 - 2.5 * number), height * 1.35)
            yield make_tube(inner, outer, thick, (0.85 * thick[0], thick[1]), across=vertebra.axes[:, 1])
            mass = at((side * half * 0.9, -size.upper_depth_mm * 0.5, 0)), at((side * 9, behind - 2, 0))
            yield make_tube(*mass, (height, 3.5), across=vertebra.axes[:, 2])
        yield make_tube(
            at((-9, behind - 2, 0)), at((9, behind - 2, 0)), (0.8 * height, 2.5), across=vertebra.axes[:, 2]
        )
        crest = at((0, behind - 2, 0)), at((0, behind - 9 + 1.5 * number, -2))
        yield make_tube(*crest, (2.5, 0.6 * height), across=vertebra.axes[:, 0])


def make_wing_bridges(vertebra: PlacedVertebra) -> Iterator[Tube]:
    """Make the bone that joins the body of a sacral vertebra and its wings."""
    size, at = vertebra.size, vertebra.to_world
    half = (size.upper_width_mm + size.lower_width_mm) / 4
    for side in (1, -1):
        inner, outer = (at((side * share * half, -0.15 * size.upper_depth_mm, 0)) for share in (0.6, 1.2))
        thick = (0.3 * size.upper_depth_mm, 0.35 * size.posterior_height_mm)
        yield make_tube(inner, outer, thick, across=vertebra.axes[:, 1])


def make_coccyx(last: PlacedVertebra) -> Iterator[Solid]:
    """Make three small bodies below the sacrum, curving forward."""
    axes, centre, half = last.axes, last.centre_ras_mm, last.size.posterior_height_mm / 2
    for radius in (6.0, 5.0, 4.0):
        axes = axes @ _make_pitch(-np.radians(14.0))
        centre = centre - axes[:, 2] * (half + radius)
        yield Ellipsoid(
            frame=LocalFrame(origin_ras_mm=centre, axes=axes), radii_mm=(1.5 * radius, 0.75 * radius, radius)
        )
        half = radius
