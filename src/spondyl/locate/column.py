"""The one column among all that looks like a vertebral body: spinous processes are boxes too, and lie behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spondyl.geometry.instance import VertebraInstance
from spondyl.types import Float, Mask

__all__ = ["in_column"]

_MOST_TURN_DEG = 40.0
"""The way from one body to the next keeps this near to the mean of their axes; L5 to S1 differs by some 20 degrees."""

_NEAREST = 0.5
"""Share of a body's height by which the next one's middle must lie farther down."""

_FARTHEST = 6.0
"""... and at most so many heights of the smaller of the two: five levels, of which four may have been overlooked."""


def in_column(bodies: Sequence[VertebraInstance]) -> tuple[VertebraInstance, ...]:
    """Keep the bodies that follow one another down a column: the chain with the highest sum of scores.

    Args:
        bodies: of one stack, in any order.

    Returns:
        Bodies from head to foot.
    """
    if not bodies:
        return ()
    ordered = sorted(bodies, key=lambda body: float(body.centroid_index[1]))
    outlines = np.stack([body.middle_outline for body in ordered]) * ordered[0].affine.spacing_mm[1:]
    follows = _follows(outlines)
    best = np.array([body.score for body in ordered])
    previous = np.full(len(ordered), -1)
    for lower in range(1, len(ordered)):
        reached = np.where(follows[:lower, lower], best[:lower], 0.0)
        if reached.max() > 0:
            previous[lower] = reached.argmax()
            best[lower] += reached.max()
    chain = [int(best.argmax())]
    while previous[chain[-1]] >= 0:
        chain.append(int(previous[chain[-1]]))
    return tuple(ordered[place] for place in reversed(chain))


def _follows(outlines_mm: Float) -> Mask:
    """Whether the second of two bodies can come below the first, (n, n) booleans.

    Args:
        outlines_mm: (n, 4, 2) corners as (row, column), ordered as `geometry.instance.CORNERS`.
    """
    axes = outlines_mm[:, [1, 2]].mean(1) - outlines_mm[:, [0, 3]].mean(1)
    heights = np.linalg.norm(axes, axis=1)
    axes = axes / np.maximum(heights, 1e-6)[:, None]
    ways = outlines_mm.mean(1)[None] - outlines_mm.mean(1)[:, None]
    along = axes[:, None] + axes[None]
    along = along / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-6)
    lengths = np.linalg.norm(ways, axis=-1)
    descent = (ways * along).sum(-1)
    is_straight = descent > lengths * np.cos(np.radians(_MOST_TURN_DEG))
    is_near = lengths <= _FARTHEST * np.minimum(heights[:, None], heights)
    return np.asarray(is_straight & is_near & (descent > _NEAREST * heights[:, None]))
