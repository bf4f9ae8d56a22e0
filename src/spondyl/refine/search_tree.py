"""Removal of false disc points by a search over all subsets (Azad et al. 2021), the baseline of Look-Once.

Every subset, ordered by height, is compared with the mean skeleton, and the one of the least error is kept. The number
of subsets doubles with each point, so it has a limit; `ordered_assignment` finds the same subset without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain as flatten
from itertools import combinations, islice
from math import comb
from typing import Annotated

import numpy as np

from spondyl.errors import SettingError
from spondyl.nets.network import LoadedNetwork
from spondyl.reading import Refine
from spondyl.refine.candidates import refine_by
from spondyl.refine.skeleton import MEAN_COLUMN, Chain, Skeleton, chain_errors
from spondyl.types import Float, Index, Mask

__all__ = ["MAX_SUBSETS", "count_subsets", "keep_by_search", "open_search_tree", "search_chain"]

MAX_SUBSETS = 4_000_000
"""The limit of the subsets that are compared, which takes some seconds: all those of 21 points."""

_TOGETHER = 50_000


def open_search_tree(_networks: Mapping[str, LoadedNetwork]) -> Refine:
    """Open the method."""
    return refine_by(keep_by_search)


def keep_by_search(points_mm: Annotated[Float, "n 2"]) -> Annotated[Mask, "n"]:
    """Tell which of n points, (inferior, posterior) mm, are discs; one alone is.

    Raises:
        SettingError: there are more subsets than `MAX_SUBSETS`.
    """
    if len(points_mm) < 2:
        return np.ones(len(points_mm), dtype=bool)
    return search_chain(points_mm, MEAN_COLUMN).to_mask(len(points_mm))


def search_chain(
    points_mm: Annotated[Float, "n 2"], skeleton: Skeleton, count: int | None = None, *, limit: int = MAX_SUBSETS
) -> Chain:
    """Find the chain of the least cost among all subsets of 2 points or more.

    Args:
        points_mm: 2 points or more.
        skeleton: to compare with.
        count: number of points of the chain; any when None.
        limit: of the number of subsets.

    Raises:
        SettingError: there are more subsets, or none of the count.
    """
    sizes = _sizes(len(points_mm), skeleton, count)
    subsets = count_subsets(len(points_mm), sizes)
    if subsets > limit:
        raise SettingError(
            f"a search over {len(points_mm)} points compares {subsets:.2g} subsets, at most {limit:.2g} are allowed: "
            "use ordered-assignment, which finds the same one"
        )
    order = np.argsort(points_mm[:, 0], kind="stable")
    best = Chain(members=(), cost=np.inf)
    for size in sizes:
        for chosen in _subsets(order, size):
            best = min(best, _best_of(points_mm, chosen, skeleton), key=lambda chain: chain.cost)
    return best


def count_subsets(points: int, sizes: range) -> int:
    """Count the subsets of these sizes."""
    return sum(comb(points, size) for size in sizes)


def _sizes(points: int, skeleton: Skeleton, count: int | None) -> range:
    longest = min(points, len(skeleton.places_mm) - min(skeleton.starts))
    sizes = range(2, longest + 1) if count is None else range(count, count + 1)
    if not sizes or not 2 <= sizes[0] <= sizes[-1] <= longest:
        raise SettingError(f"a chain needs 2 to {longest} of {points} points, got {count}")
    return sizes


def _subsets(order: Index, size: int) -> Iterator[Index]:
    """List subsets, each from head to foot, many at a time."""
    every = combinations(order.tolist(), size)
    while part := list(islice(every, _TOGETHER)):
        yield np.fromiter(flatten.from_iterable(part), dtype=np.intp, count=len(part) * size).reshape(-1, size)


def _best_of(points_mm: Float, chosen: Index, skeleton: Skeleton) -> Chain:
    best = Chain(members=(), cost=np.inf)
    for start in skeleton.starts:
        below = skeleton.below(start)
        if len(below) < chosen.shape[1]:
            continue
        errors = chain_errors(points_mm[chosen], below)
        first = int(errors.argmin())
        cost = float(errors[first]) - skeleton.worth * chosen.shape[1]
        if cost < best.cost:
            best = Chain(members=tuple(chosen[first].tolist()), cost=cost)
    return best
