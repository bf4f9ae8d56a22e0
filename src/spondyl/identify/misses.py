"""The bodies that a detector misses: how often at which level, and whether a place lies inside the field of view.

A column runs on beyond its first and its last detection. A level whose place lies inside the field of view and that was
not detected is a miss, which is rare; so where a scan ends is evidence of the levels.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from spondyl.anatomy.landmarks import DETECTED, is_detected
from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.types import Float

__all__ = ["MissRates", "find_group", "inside_probability", "measure_room"]

_EDGE_SHARE, _EDGE_SD_SHARE = 0.1, 0.1
"""The depth inside the field, as a share of the distance between neighbours, at which half of the bodies are detected,
and its deviation: of 116 phantoms' bodies, a half where an eighth of the height lies beyond the centre, all where a
third does."""

_PLACE_SD_SHARE = 0.06
"""The deviation of a place from the one expected, as a share of the distance over which it is extrapolated.

Measured along the column's direction on the spines of VID, sizes being known: 0.055 to 0.063, upwards and downwards,
one level away as well as five, directions taken over one, two or three vertebrae.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissRates:
    """The share of bodies, wholly inside the field of view, that a detector misses, by groups of levels.

    Args:
        c2: of the dens.
        cervical: of C3 to C7.
        thoracic: of T1 to T13.
        lumbar: of L1 to L6.
        s1: of the first sacral body.

    Raises:
        SettingError: a rate is not between 0 and 1.
    """

    c2: float = 0.02
    cervical: float = 0.02
    thoracic: float = 0.02
    lumbar: float = 0.02
    s1: float = 0.02

    def __post_init__(self) -> None:
        if not all(0 < rate < 1 for rate in astuple(self)):
            raise SettingError(f"miss rates must lie between 0 and 1, got {astuple(self)}")

    def of(self, level: Level) -> float:
        """Return the rate of a level; 1 for C1 and S2, which detectors are not trained to find."""
        return float(getattr(self, find_group(level))) if is_detected(level) else 1.0


def find_group(level: Level) -> str:
    """Return the name of the rate in `MissRates` for a level from C2 to S1."""
    if level in DETECTED:
        return level.value.lower()
    return level.region.value


def measure_room(points_mm: Annotated[Float, "n 3"], low_mm: ArrayLike, high_mm: ArrayLike) -> Annotated[Float, "n 2"]:
    """Measure how far the column runs on, above and below each point, until it leaves the field of view, mm.

    Its direction at a point is that from the point two places nearer to the other end of the column, or from the next
    one where there are only two; a single point's is that of the second axis.

    Args:
        points_mm: centres of bodies from head to foot, in a frame whose axes are the field's, the second toward the
            feet.
        low_mm, high_mm: edges of the field along each axis, (3,); infinite where it does not matter.
    """
    edges = np.asarray(low_mm, dtype=np.float64), np.asarray(high_mm, dtype=np.float64)
    above = _reach(points_mm[::-1], -1.0, *edges)[::-1]
    return np.stack([above, _reach(points_mm, 1.0, *edges)], axis=1)


def _reach(points: Float, sense: float, low: Float, high: Float) -> Float:
    """Measure the way (n,) from each point to the edge, in the direction in which the points are listed."""
    behind = np.maximum(np.arange(len(points)) - 2, 0)
    moves = points - points[behind]
    moves[:1] = points[1:2] - points[:1] if len(points) > 1 else [(0.0, sense, 0.0)]
    lengths = np.linalg.norm(moves, axis=1, keepdims=True)
    directions = np.where(lengths > 1e-6, moves / np.maximum(lengths, 1e-6), (0.0, sense, 0.0))
    edges = np.where(directions > 0, high, low)
    with np.errstate(divide="ignore", invalid="ignore"):
        ways = np.where(directions == 0, np.inf, (edges - points) / directions)
    return np.asarray(np.maximum(ways.min(axis=1), 0))


def inside_probability(
    room_mm: Annotated[Float, "n"], distances_mm: Annotated[Float, "*steps"], counts: ArrayLike
) -> Annotated[Float, "n *steps"]:
    """Compute the probability that a body so far beyond each point lies inside the field as far as detectors need it.

    Args:
        room_mm: as `measure_room` gives it for one end.
        distances_mm: expected distances along the column.
        counts: the number of levels in each distance; of a shape that agrees with theirs.
    """
    between = distances_mm / np.asarray(counts)
    sd = np.hypot(_PLACE_SD_SHARE * distances_mm, _EDGE_SD_SHARE * between)
    room = room_mm.reshape(-1, *(1 for _ in distances_mm.shape))
    return np.asarray(ndtr((room - distances_mm - _EDGE_SHARE * between) / sd))
