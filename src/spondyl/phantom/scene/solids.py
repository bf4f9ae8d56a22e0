"""The solids that a phantom's spine consists of, defined by how deep a point lies inside them.

A solid has a frame of its own (origin and axes in RAS mm) and a box in that frame that holds it. Depths are in mm,
positive inside; near the surface they are close to the distance to it, farther away only their sign is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spondyl.geometry.affine import Float

__all__ = [
    "BodySolid",
    "Coordinates",
    "DiscSolid",
    "Ellipsoid",
    "LocalFrame",
    "Solid",
    "Tube",
    "make_tube",
    "trace_section_rim",
]

Coordinates = NDArray[np.floating[Any]]
"""One coordinate of some points, float32 in painting; the three coordinates broadcast to one shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFrame:
    """A frame with an origin and an orientation.

    Args:
        origin_ras_mm: (3,).
        axes: (3, 3), columns are unit vectors in RAS.
    """

    origin_ras_mm: Float
    axes: Float

    def to_world(self, local_mm: ArrayLike) -> Float:
        """Convert points (..., 3) of the frame to RAS mm."""
        return np.asarray(np.asarray(local_mm, dtype=np.float64) @ self.axes.T + self.origin_ras_mm)


class Solid(Protocol):
    """A shape in a frame of its own."""

    @property
    def frame(self) -> LocalFrame:
        """Return its frame."""
        ...

    @property
    def box_mm(self) -> Float:
        """Return the lowest and highest coordinates in its frame, (2, 3)."""
        ...

    def depth_mm(self, x: Coordinates, y: Coordinates, z: Coordinates) -> Coordinates:
        """Return how deep points of its frame lie inside it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ellipsoid:
    """An ellipsoid with these semi-axes along its frame's axes."""

    frame: LocalFrame
    radii_mm: tuple[float, float, float]

    @property
    def box_mm(self) -> Float:
        """See `Solid`."""
        return np.array([np.negative(self.radii_mm), self.radii_mm])

    def depth_mm(self, x: Coordinates, y: Coordinates, z: Coordinates) -> Coordinates:
        """See `Solid`."""
        a, b, c = self.radii_mm
        return np.asarray((1 - np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)) * min(self.radii_mm))


_MIN_RADIUS_MM = 0.4
"""The smallest semi-axis of a tube in mm: half of the finest detail that a scan could show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tube:
    """A tapered tube of elliptic section along z from 0 to its length, with rounded ends.

    Args:
        frame: frame with its origin at the start and z along the tube.
        length_mm: distance between the middles of its ends.
        start_mm, end_mm: semi-axes of the section along x and y at either end.
    """

    frame: LocalFrame
    length_mm: float
    start_mm: tuple[float, float]
    end_mm: tuple[float, float]

    def shrink(self, by_mm: float) -> Tube:
        """Return the tube without its outermost layer; something of it always remains."""
        a, b, c, d = (max(_MIN_RADIUS_MM, half_mm - by_mm) for half_mm in (*self.start_mm, *self.end_mm))
        return replace(self, start_mm=(a, b), end_mm=(c, d))

    @property
    def box_mm(self) -> Float:
        """See `Solid`."""
        x, y = np.maximum(self.start_mm, self.end_mm)
        return np.array([(-x, -y, -min(self.start_mm)), (x, y, self.length_mm + min(self.end_mm))])

    def depth_mm(self, x: Coordinates, y: Coordinates, z: Coordinates) -> Coordinates:
        """See `Solid`."""
        share = np.clip(z / self.length_mm, 0, 1)
        a = self.start_mm[0] + share * (self.end_mm[0] - self.start_mm[0])
        b = self.start_mm[1] + share * (self.end_mm[1] - self.start_mm[1])
        least = np.minimum(a, b)
        beyond = z - share * self.length_mm
        return np.asarray((1 - np.sqrt((x / a) ** 2 + (y / b) ** 2 + (beyond / least) ** 2)) * least)


def make_tube(
    start_ras_mm: ArrayLike,
    end_ras_mm: ArrayLike,
    start_mm: tuple[float, float],
    end_mm: tuple[float, float] | None = None,
    *,
    across: ArrayLike = (1.0, 0.0, 0.0),
) -> Tube:
    """Make a tube between two points.

    Args:
        start_ras_mm, end_ras_mm: middles of its ends, (3,).
        start_mm, end_mm: semi-axes along `across` and at right angles to it; the end's are the start's when None.
        across: RAS direction of the first semi-axis, made orthogonal to the tube.
    """
    start, along = np.asarray(start_ras_mm, float), np.subtract(end_ras_mm, start_ras_mm)
    length = max(float(np.linalg.norm(along)), 1e-3)
    z = along / length
    x = np.asarray(across, float) - z * np.dot(across, z)
    if np.linalg.norm(x) < 1e-3:  # it runs along `across`
        x = np.cross(z, (0.0, 1.0, 0.3))
    x = x / np.linalg.norm(x)
    frame = LocalFrame(origin_ras_mm=start, axes=np.stack([x, np.cross(z, x), z], axis=1))
    return Tube(frame=frame, length_mm=length, start_mm=start_mm, end_mm=end_mm or start_mm)


_FRONT_SHARE = 0.58
"""The share of a body's depth in front of its widest line; behind it the section is blunter."""

_FRONT_SQUARE, _BACK_SQUARE = 0.2, 0.72
"""The rectangularity of a section in front and behind, from 0 for an ellipse to 1: the posterior wall is flat."""


def _section_radius(x: Coordinates, y: Coordinates) -> Coordinates:
    """Return the norm of points over a body's section, 1 on its rim; (x, y) are over the half width and the depth."""
    forward = y + (_FRONT_SHARE - 0.5)
    is_front = forward > 0
    v = np.abs(forward) / np.where(is_front, np.float32(_FRONT_SHARE), np.float32(1 - _FRONT_SHARE))
    u = np.abs(x)
    square = np.where(is_front, np.float32(_FRONT_SQUARE), np.float32(_BACK_SQUARE))
    round_ = np.sqrt(u * u + v * v)
    return np.asarray(round_ + square * (np.maximum(u, v) - round_))


def trace_section_rim(n: int) -> Float:
    """Return points around the rim of a body's section, (n, 2), over the half width and the depth."""
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    direction = np.stack([np.cos(angle), np.sin(angle) * 0.5], axis=1)
    centre = np.array([0.0, -(_FRONT_SHARE - 0.5)])
    radius = _section_radius(direction[:, 0], direction[:, 1] + centre[1])
    return np.asarray(direction / radius[:, None] + centre)


@dataclass(frozen=True, slots=True, kw_only=True)
class BodySolid:
    """A vertebral body: waisted, with endplates that are concave, wedged, and lipped at the sides in the neck.

    Args:
        frame: right, anterior and superior, origin in its middle.
        anterior_height_mm, posterior_height_mm: height from rim to rim.
        upper_mm, lower_mm: (width, depth) of the endplates.
        concavity_mm: depth of the middles of the upper and lower endplate inside their rims' planes.
        waist: share of width and depth that is lost halfway up.
        lip_mm: height of the uncinate lips of the upper endplate.
        rounding_mm: radius of the rims.
    """

    frame: LocalFrame
    anterior_height_mm: float
    posterior_height_mm: float
    upper_mm: tuple[float, float]
    lower_mm: tuple[float, float]
    concavity_mm: tuple[float, float]
    waist: float = 0.08
    lip_mm: float = 0.0
    rounding_mm: float = 0.0

    @property
    def box_mm(self) -> Float:
        """See `Solid`."""
        x, y = np.maximum(self.upper_mm, self.lower_mm) / 2
        z = max(self.anterior_height_mm, self.posterior_height_mm) / 2 + self.lip_mm
        return np.array([(-x, -y, -z), (x, y, z)])

    def depth_mm(self, x: Coordinates, y: Coordinates, z: Coordinates) -> Coordinates:
        """See `Solid`."""
        mean_height = (self.anterior_height_mm + self.posterior_height_mm) / 2
        share = np.clip(z / mean_height + 0.5, 0, 1)
        slender = 1 - self.waist * 4 * share * (1 - share)
        half_width = (self.lower_mm[0] + share * (self.upper_mm[0] - self.lower_mm[0])) * slender / 2
        depth = (self.lower_mm[1] + share * (self.upper_mm[1] - self.lower_mm[1])) * slender
        radius = _section_radius(x / half_width, y / depth)
        dent = np.clip(1 - radius * radius, 0, 1)
        edge = self._half_height(y)
        above = edge - self.concavity_mm[0] * dent - z
        if self.lip_mm:
            above = above + self.lip_mm * np.clip(np.abs(x) / half_width * 2 - 1, 0, 1) ** 2
        below = edge - self.concavity_mm[1] * dent + z
        return _round_edge(np.minimum(above, below), (1 - radius) * (depth / 2), self.rounding_mm)

    def rim_mm(self, *, upper: bool, n: int = 96) -> Float:
        """Return the edge of an endplate in the body's frame, (n, 3)."""
        width, depth = self.upper_mm if upper else self.lower_mm
        around = trace_section_rim(n) * (width / 2, depth)
        height = self._half_height(around[:, 1]) * (1 if upper else -1)
        return np.concatenate([around, height[:, None]], axis=1)

    def endplate_mm(self, right_mm: float, anterior_mm: float, *, upper: bool) -> float:
        """Return the height of an endplate's surface over the middle of the body; negative for the lower one."""
        width, depth = self.upper_mm if upper else self.lower_mm
        x, y = np.array(2 * right_mm / width), np.array(anterior_mm / depth)
        dent = np.clip(1 - _section_radius(x, y) ** 2, 0, 1)
        height = self._half_height(np.array(anterior_mm)) - self.concavity_mm[0 if upper else 1] * dent
        return float(height if upper else -height)

    def _half_height(self, y: Coordinates) -> Coordinates:
        depth = (self.upper_mm[1] + self.lower_mm[1]) / 2
        share = np.clip(y / depth + 0.5, 0, 1)
        return np.asarray((self.posterior_height_mm + share * (self.anterior_height_mm - self.posterior_height_mm)) / 2)


def _round_edge(first: Coordinates, second: Coordinates, radius_mm: float) -> Coordinates:
    """Return the lesser of two depths, with the edge where both are small rounded."""
    least = np.minimum(first, second)
    if not radius_mm:
        return least
    corner = np.hypot(np.maximum(radius_mm - first, 0), np.maximum(radius_mm - second, 0))
    return np.asarray(np.minimum(least, radius_mm - corner))


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscSolid:
    """A disc, painted before the bodies on both sides, which cut it to its shape.

    Args:
        frame: right, anterior and superior, origin in its middle.
        anterior_height_mm, posterior_height_mm: height at its edges.
        size_mm: (width, depth) of the neighbouring endplates.
        swell_mm: additional height of its middle over its edge, in each direction.
        bulge_mm: protrusion around the endplates.
        share: factor on section and height, below 1 for the nucleus.
        offset: shift of its middle forward, over its depth; the nucleus lies a little behind.
    """

    frame: LocalFrame
    anterior_height_mm: float
    posterior_height_mm: float
    size_mm: tuple[float, float]
    swell_mm: float
    bulge_mm: float = 0.0
    share: float = 1.0
    offset: float = 0.0

    @property
    def box_mm(self) -> Float:
        """See `Solid`."""
        x, y = np.array(self.size_mm) / 2 + self.bulge_mm
        z = max(self.anterior_height_mm, self.posterior_height_mm) / 2 + self.swell_mm + 1
        return np.array([(-x, -y, -z), (x, y, z)])

    def depth_mm(self, x: Coordinates, y: Coordinates, z: Coordinates) -> Coordinates:
        """See `Solid`."""
        width, depth = np.array(self.size_mm) + 2 * self.bulge_mm
        radius = _section_radius(x * np.float32(2 / width), y * np.float32(1 / depth) - np.float32(self.offset))
        radius = radius * np.float32(1 / self.share)
        share = np.clip(y / depth + 0.5, 0, 1)
        edge = (self.posterior_height_mm + share * (self.anterior_height_mm - self.posterior_height_mm)) / 2
        square = radius * radius
        half_height = edge + self.swell_mm * np.clip(1 - square, 0, 1)
        if self.share < 1:  # a nucleus is a blunt lens between the endplates
            half_height = half_height * np.sqrt(np.clip(1 - square * square, 0, 1))
        return np.asarray(np.minimum(half_height - np.abs(z), (1 - radius) * (depth * self.share / 2)))
