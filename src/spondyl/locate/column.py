"""Selection of the vertebral column among detections, which include spinous processes and facet joints behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spondyl.geometry.instance import VertebraInstance
from spondyl.types import Float, Index, Mask

__all__ = ["find_disc_column", "keep_column"]

_MAX_TURN_DEG = 40.0
"""The largest angle between the line to the next body and the mean of both axes; at L5/S1 it is some 20 degrees."""

_MIN_DESCENT = 0.5
"""The smallest distance of the next body down the column, as a fraction of the body's height."""

_MAX_DISTANCE = 6.0
"""The largest distance, in heights of the smaller body: five levels, of which four may be missing."""


_MAX_DISC_TURN_DEG = 60.0
"""The largest angle between the line to the next disc and the vertical; at L5/S1 of a tilted scan it is 50 degrees."""

_MIN_DISC_STEP_MM, _MAX_DISC_STEP_MM = 10.0, 150.0
"""The range of the distance to the next disc: a child's neck, and three lumbar discs missed."""

_MAX_ASIDE = 0.5
"""The largest step to one side, as a share of the distance: scoliosis of 27 degrees between two discs."""


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
    chain = _find_best_chain(np.array([body.score for body in ordered]), follows)
    return tuple(ordered[place] for place in chain)


def find_disc_column(places_mm: Float, scores: Float) -> Index:
    """Find the discs that follow one another down a column: the chain with the highest sum of scores.

    Args:
        places_mm: (n, 3) as (slice, row, column) from any corner of the scan, from head to foot.
        scores: (n,) detection scores.

    Returns:
        The places of the chain's discs among those given, from head to foot.
    """
    if not len(scores):
        return np.empty(0, np.intp)
    aside, down, back = np.moveaxis(places_mm[None] - places_mm[:, None], -1, 0)
    lengths = np.hypot(down, back)
    is_straight = down > lengths * np.cos(np.radians(_MAX_DISC_TURN_DEG))
    is_near = (lengths >= _MIN_DISC_STEP_MM) & (lengths <= _MAX_DISC_STEP_MM)
    return _find_best_chain(scores, is_straight & is_near & (np.abs(aside) <= _MAX_ASIDE * lengths))


def _find_best_chain(scores: Float, follows: Mask) -> Index:
    """Find the chain with the highest sum of scores; `follows` (n, n) is True where j can follow i, above it."""
    best = scores.copy()
    previous = np.full(len(scores), -1)
    for lower in range(1, len(scores)):
        reached = np.where(follows[:lower, lower], best[:lower], 0.0)
        if reached.max() > 0:
            previous[lower] = reached.argmax()
            best[lower] += reached.max()
    chain = [int(best.argmax())]
    while previous[chain[-1]] >= 0:
        chain.append(int(previous[chain[-1]]))
    return np.array(chain[::-1], np.intp)


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
