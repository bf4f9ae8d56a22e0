"""The difficulties under which naming methods are compared: simulated scans that lack, add or hide something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import NUMBERINGS, REGULAR, Numbering
from spondyl.simulate.appearance import AppearanceSimulation
from spondyl.simulate.columns import (
    SimulatedColumn,
    View,
    add_false_detections,
    choose_any_view,
    draw_column,
    drop_detections,
)

__all__ = [
    "CONDITIONS",
    "CONTROL",
    "USUAL",
    "Condition",
    "choose_view_down_to_sacrum",
    "choose_view_with_anchor",
    "choose_view_without_anchor",
    "draw_patients",
]

_VARIANTS = tuple(numbering for numbering in NUMBERINGS if numbering is not REGULAR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One difficulty.

    Args:
        name: its name in tables.
        view: chooses the part of the patient that a scan shows.
        numberings: the numberings that occur.
        dropped: share of the detections that are lost.
        false: chance of a false detection between two others, or beyond the ends.
    """

    name: str
    view: View = choose_any_view
    numberings: tuple[Numbering, ...] = NUMBERINGS
    dropped: float = 0.0
    false: float = 0.0


def choose_view_without_anchor(levels: Sequence[Level], rng: np.random.Generator) -> slice:
    """Choose five to ten vertebrae between C4 and L4."""
    first, last = levels.index(Level.C4), levels.index(Level.L4)
    count = int(rng.integers(5, 11))
    start = int(rng.integers(first, last + 2 - count))
    return slice(start, start + count)


def choose_view_with_anchor(levels: Sequence[Level], rng: np.random.Generator) -> slice:
    """Choose five to ten vertebrae down from C2 or up from S1."""
    count = int(rng.integers(5, 11))
    top, bottom = levels.index(Level.C2), levels.index(Level.S1) + 1
    return slice(top, top + count) if rng.random() < 0.5 else slice(bottom - count, bottom)


def choose_view_down_to_sacrum(levels: Sequence[Level], rng: np.random.Generator) -> slice:
    """Choose the levels from somewhere between C2 and T9 to S1, so that both ends of the lumbar spine are in view."""
    start = int(rng.integers(levels.index(Level.C2), levels.index(Level.T9) + 1))
    return slice(start, levels.index(Level.S1) + 1)


CONDITIONS = (
    Condition(name="all seen"),
    Condition(name="10 % dropped", dropped=0.1),
    Condition(name="10 % false", false=0.1),
    Condition(name="partial, no anchor", view=choose_view_without_anchor),
    Condition(name="partial, anchor", view=choose_view_with_anchor),
    Condition(name="T11, T13, L4, L6", view=choose_view_down_to_sacrum, numberings=_VARIANTS),
)
USUAL = CONDITIONS[:-1]
"""Conditions in which variants are as frequent as among patients, so that calibration can be measured."""

CONTROL = Condition(name="regular", view=choose_view_down_to_sacrum, numberings=(REGULAR,))
"""The control group, which measures false-positive variants."""


def draw_patients(
    condition: Condition, simulation: AppearanceSimulation, count: int, seed: int
) -> Iterator[SimulatedColumn]:
    """Draw patients; patient i is the same in all conditions that differ only in their detections."""
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        column = draw_column(rng, numberings=condition.numberings, view=condition.view, simulation=simulation)
        column = drop_detections(column, rng, condition.dropped)
        yield add_false_detections(column, rng, condition.false, simulation)
