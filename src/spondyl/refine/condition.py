"""Removal of false disc points by conditions on their places (Rouhier et al. 2019), a baseline of Look-Once.

The conditions are those of the authors' program, in pixels of the Look-Once paper's frame of 1.25 mm; there a group of
points is replaced by its mean, and here by the point nearest to it, since candidates are kept or removed. The program
straightens the cord beforehand, which points alone do not allow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import numpy as np

from spondyl.nets.network import LoadedNetwork
from spondyl.reading import Refine
from spondyl.refine.candidates import refine_by
from spondyl.types import Float, Index, Mask

__all__ = ["keep_by_conditions", "open_condition"]

_PIXEL_MM = 1.25
_MAX_ASIDE_MM = 15 * _PIXEL_MM
"""Largest distance from the median of the posterior coordinates."""

_MAX_STEP_MM, _MAX_SPAN_MM = 10 * _PIXEL_MM, 20 * _PIXEL_MM
"""Points whose heights follow one another more closely are one group, up to a span."""

_ABOVE, _BELOW = 0.9, 0.3
"""A point is removed that is nearer to the one above and the one below than these shares of the mean gap."""


def open_condition(_networks: Mapping[str, LoadedNetwork]) -> Refine:
    """Open the method."""
    return refine_by(keep_by_conditions)


def keep_by_conditions(points_mm: Annotated[Float, "n 2"]) -> Annotated[Mask, "n"]:
    """Tell which of n points, (inferior, posterior) mm, are discs."""
    kept = np.zeros(len(points_mm), dtype=bool)
    if not len(points_mm):
        return kept
    is_near = np.abs(points_mm[:, 1] - np.median(points_mm[:, 1])) <= _MAX_ASIDE_MM
    chosen = [_nearest_to_mean(points_mm, group) for group in _groups(points_mm, np.flatnonzero(is_near))]
    kept[_without_close(points_mm, np.array(chosen, dtype=np.intp))] = True
    return kept


def _groups(points_mm: Float, places: Index) -> Iterator[Index]:
    """Split places by height where the step, or the span of the group, grows too large."""
    group: list[int] = []
    for place in places[np.argsort(points_mm[places, 0], kind="stable")].tolist():
        height = points_mm[place, 0]
        if group and (
            height - points_mm[group[-1], 0] >= _MAX_STEP_MM or height - points_mm[group[0], 0] > _MAX_SPAN_MM
        ):
            yield np.array(group)
            group = []
        group.append(place)
    if group:
        yield np.array(group)


def _nearest_to_mean(points_mm: Float, group: Index) -> int:
    offsets = np.linalg.norm(points_mm[group] - points_mm[group].mean(0), axis=1)
    return int(group[offsets.argmin()])


def _without_close(points_mm: Float, places: Index) -> Index:
    """Remove points between two gaps that are both small against the mean gap."""
    gaps = np.diff(points_mm[places, 0])
    if len(gaps) < 2:
        return places
    mean = gaps.mean()
    is_close = (gaps[:-1] < _ABOVE * mean) & (gaps[1:] < _BELOW * mean)
    return np.asarray(places[~np.concatenate([[False], is_close, [False]])])
