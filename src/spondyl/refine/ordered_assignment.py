"""Removal of false disc points by the exact minimum of the search tree's error, by dynamic programming.

The error of a chain of points against the mean skeleton (`skeleton.py`) has two unknowns that bind all its terms: the
first point, and the point whose distance from the first is the unit of length. With these two given, terms add up
along the chain, and points descend as discs do, so the best chain through both is found by dynamic programming. All
pairs are tried: the same chain as the search tree's, in a time that grows with the cube of the number of points.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import numpy as np

from spondyl.errors import SettingError
from spondyl.nets.network import LoadedNetwork
from spondyl.reading import Refine
from spondyl.refine.candidates import refine_by
from spondyl.refine.skeleton import FIFTH, MEAN_COLUMN, Chain, Skeleton, fifth_mm
from spondyl.types import Float, Mask

__all__ = ["assign_chain", "keep_by_assignment", "open_ordered_assignment"]


def open_ordered_assignment(_networks: Mapping[str, LoadedNetwork]) -> Refine:
    """Open the method."""
    return refine_by(keep_by_assignment)


def keep_by_assignment(points_mm: Annotated[Float, "n 2"]) -> Annotated[Mask, "n"]:
    """Tell which of n points, (inferior, posterior) mm, are discs; one alone is."""
    if len(points_mm) < 2:
        return np.ones(len(points_mm), dtype=bool)
    return assign_chain(points_mm, MEAN_COLUMN).to_mask(len(points_mm))


def assign_chain(points_mm: Annotated[Float, "n 2"], skeleton: Skeleton, count: int | None = None) -> Chain:
    """Find the chain of the least cost.

    Args:
        points_mm: 2 points or more.
        skeleton: to compare with.
        count: number of points of the chain; any when None.

    Raises:
        SettingError: there is no chain of the count.
    """
    longest = min(len(points_mm), len(skeleton.places_mm) - min(skeleton.starts))
    if longest < 2 or (count is not None and not 2 <= count <= longest):
        raise SettingError(f"a chain needs 2 to {longest} of {len(points_mm)} points, got {count}")
    order = np.argsort(points_mm[:, 0], kind="stable")
    best = Chain(members=(), cost=np.inf)
    for start in skeleton.starts:
        below = skeleton.below(start)
        for first in range(len(order) - 1):
            for found in _chains_from(points_mm[order[first:]], below, skeleton.worth, count, best.cost):
                best = Chain(members=tuple(order[first + np.array(found.members)].tolist()), cost=found.cost)
    return best


def _chains_from(points_mm: Float, below_mm: Float, worth: float, count: int | None, bound: float) -> Iterator[Chain]:
    """List chains from the first point down, each better than the one before and than a bound."""
    for last in range(1, min(FIFTH, len(below_mm) - 1, len(points_mm) - 1) + 1):
        if last == FIFTH or count in (None, last + 1):
            for chain in _chains_with_unit(points_mm, below_mm, last, worth, count, bound):
                if chain.cost < bound:
                    bound = chain.cost
                    yield chain


def _chains_with_unit(
    points_mm: Float, below_mm: Float, last: int, worth: float, count: int | None, bound: float
) -> Iterator[Chain]:
    """List the best chain of each length whose place `last` sets the unit; one that is not the fifth ends the chain.

    Tables have a row for each point that may set the unit, and a column for each point that may be the chain's latest.
    Rows whose error alone exceeds the bound, whatever further points are worth, are dropped.
    """
    places = len(below_mm) if last == FIFTH else last + 1
    places = places if count is None else min(places, count)
    latest = np.arange(len(points_mm))
    units = np.linalg.norm(points_mm - points_mm[0], axis=1) / np.linalg.norm(below_mm[last])
    alive = latest[units > 0]  # points at one place are no chain
    tables = [np.where(latest == 0, 0.0, np.full((len(alive), 1), np.inf))]
    for place in range(1, places):
        errors = _errors(points_mm, units[alive], below_mm[place]) / fifth_mm(below_mm) ** 2
        if place <= last:
            is_excluded = latest >= alive[:, None] if place < last else latest != alive[:, None]
            errors[is_excluded] = np.inf
        tables.append(_least_before(tables[-1]) + errors)
        is_hopeful = tables[-1].min(1) - worth * places < bound
        alive, tables = alive[is_hopeful], [table[is_hopeful] for table in tables]
        if not len(alive):
            return
        if place >= last and (count is None or place == count - 1):
            row, column = np.unravel_index(tables[-1].argmin(), tables[-1].shape)
            cost = float(tables[-1][row, column]) - worth * (place + 1)
            yield Chain(members=_trace([table[row] for table in tables], int(column)), cost=cost)


def _errors(points_mm: Float, units: Float, place_mm: Float) -> Float:
    """Squared distances (row, column) of points from a place of the skeleton, over the squared unit of the row."""
    offsets = (points_mm - points_mm[0]) / units[:, None, None] - place_mm
    return np.asarray((offsets**2).sum(2))


def _least_before(table: Float) -> Float:
    """The least of the columns before each."""
    least = np.minimum.accumulate(table, axis=1)
    return np.concatenate([np.full((len(table), 1), np.inf), least[:, :-1]], axis=1)


def _trace(rows: list[Float], column: int) -> tuple[int, ...]:
    """Follow the least columns back from the last point of a chain to its first."""
    members = [column]
    for row in reversed(rows[:-1]):
        members.append(int(row[: members[-1]].argmin()) if members[-1] else 0)
    return tuple(reversed(members))
