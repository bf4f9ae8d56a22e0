"""Selection of the vertebral column among detected bodies, which include spinous processes behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spondyl.geometry.instance import VertebraInstance
from spondyl.types import Float, Mask

__all__ = ["keep_column"]

_MAX_TURN_DEG = 40.0
"""The largest angle between the line to the next body and the mean of both axes; at L5/S1 it is some 20 degrees."""

_MIN_DESCENT = 0.5
"""The smallest distance of the next body down the column, as a fraction of the body's height."""

_MAX_DISTANCE = 6.0
"""The largest distance, in heights of the smaller body: five levels, of which four may be missing."""


def keep_column(bodies: Sequence[VertebraInstance]) -> tuple[VertebraInstance, ...]:
    """Keep the bodies that follow one another down a column: the chain with the highest sum of scores.

    Args:
        bodies: detected in one stack, in any order.

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
    """Tell which bodies can follow others down the column, (n, n): True where body j can follow body i.

    Args:
        outlines_mm: (n, 4, 2) corners as (row, column), ordered as `geometry.instance.CORNERS`.
    """
    axes = outlines_mm[:, [1, 2]].mean(1) - outlines_mm[:, [0, 3]].mean(1)
    heights = np.linalg.norm(axes, axis=1)
    axes = axes / np.maximum(heights, 1e-6)[:, None]
    lines = outlines_mm.mean(1)[None] - outlines_mm.mean(1)[:, None]
    along = axes[:, None] + axes[None]
    along = along / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-6)
    lengths = np.linalg.norm(lines, axis=-1)
    descent = (lines * along).sum(-1)
    is_straight = descent > lengths * np.cos(np.radians(_MAX_TURN_DEG))
    is_near = lengths <= _MAX_DISTANCE * np.minimum(heights[:, None], heights)
    return np.asarray(is_straight & is_near & (descent > _MIN_DESCENT * heights[:, None]))
