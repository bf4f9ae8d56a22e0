"""The published decoders, kept for comparison: SpineNetV2's beam search, and the best level of each candidate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.identify.evidence import OFFICIAL_COLUMNS, log_softmax
from spondyl.labelling import Levels
from spondyl.types import Float, Index

__all__ = ["BeamCosts", "argmax_levels", "beam_search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamCosts:
    """Penalties of the beam search, nats; the defaults are those of the reference code.

    The paper (section 3.2, step 6) gives repeated levels a probability of 0 and a second S1 no penalty: `PAPER`.

    Args:
        width: sequences kept after each candidate.
        temperature: divisor of the log-probabilities; 10 for the published networks.
        disorder: for a level that is not below the previous one, or repeats it.
        double_end: for a second S1, and for a second C3 where the columns end there; they become S2 and C2.
        skip: for skipping any number of levels; None for no penalty.

    Raises:
        SettingError: a number is outside its range.
    """

    width: int = 100
    temperature: float = 1.0
    disorder: float = 1000.0
    double_end: float = 100.0
    skip: float | None = 100.0

    def __post_init__(self) -> None:
        if self.width < 1 or self.temperature <= 0 or min(self.disorder, self.double_end, self.skip or 0) < 0:
            raise SettingError("a beam needs a width of 1 or more, a positive temperature and penalties of 0 or more")


PAPER = BeamCosts(disorder=float("inf"), double_end=0.0)
"""The penalties of the paper, which gives no value for skips."""


def beam_search(
    log_probabilities: ArrayLike, columns: tuple[Level, ...] = OFFICIAL_COLUMNS, costs: BeamCosts | None = None
) -> tuple[Levels, float]:
    """Find the cheapest sequence of levels from the top candidate down (Windsor et al. 2022, section 3.2).

    The paper starts from the bottom. Penalties apply to pairs, so the sum is the same, and results differ only where
    the width is too small for an exact search.

    Args:
        log_probabilities: (n, columns), nats, candidates top to bottom; rows need not be normalised.
        columns: the level of each column.
        costs: the penalties.

    Returns:
        One level per candidate, and the sequence's cost in nats. The order may be violated, at its penalty, where it
        must be, as with more candidates than levels; then a level can occur twice.

    Raises:
        SettingError: shapes disagree, values are not numbers, or every sequence is forbidden.
    """
    settings = costs or BeamCosts()
    evidence = -log_softmax(_check(log_probabilities, columns) / settings.temperature)
    transitions = _transition_costs(columns, settings)
    total, paths = np.zeros(1), np.zeros((1, 0), dtype=np.intp)
    for i, row in enumerate(evidence):
        extended = total[:, None] + row + (transitions[paths[:, -1]] if i else 0.0)
        if i > 1:
            extended += _third_repeat_costs(paths, len(columns), settings.disorder)
        kept = np.argsort(extended, axis=None, kind="stable")[: settings.width]
        before, level = np.unravel_index(kept, extended.shape)
        total, paths = extended[before, level], np.concatenate([paths[before], level[:, None]], axis=1)
    if not np.isfinite(total[0]):
        raise SettingError(
            f"no order of levels is possible for {len(evidence)} candidates; use a finite disorder penalty"
        )
    return _rename_doubled([columns[column] for column in paths[0]], columns), float(total[0])


def argmax_levels(log_probabilities: ArrayLike, columns: tuple[Level, ...] = OFFICIAL_COLUMNS) -> Levels:
    """Return the most probable level of each candidate; the order is ignored.

    Raises:
        SettingError: shapes disagree, or values are not numbers.
    """
    return tuple(columns[column] for column in _check(log_probabilities, columns).argmax(axis=1))


def _check(log_probabilities: ArrayLike, columns: tuple[Level, ...]) -> Float:
    values = np.asarray(log_probabilities, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(columns):
        raise SettingError(f"log-probabilities must be (n, {len(columns)}), one column per level, got {values.shape}")
    if np.isnan(values).any():
        raise SettingError("log-probabilities must be numbers, got NaN")
    return values


def _map_doubled_levels(columns: tuple[Level, ...]) -> dict[Level, Level]:
    """Map each level that may occur twice to the name of the outer one of the two."""
    pairs = {Level.S1: Level.S2, Level.C3: Level.C2}
    return {level: outer for level, outer in pairs.items() if level in columns and outer not in columns}


def _transition_costs(columns: tuple[Level, ...], costs: BeamCosts) -> Float:
    """Compute the cost of each column after each other one, (columns, columns); skips are counted in columns."""
    order = np.argsort(np.argsort([level.rank for level in columns]))
    descent = order[None, :] - order[:, None]
    result = np.where(descent <= 0, costs.disorder, 0.0)
    if costs.skip is not None:
        result = result + np.where(np.abs(descent) > 1, costs.skip, 0.0)
    for level in _map_doubled_levels(columns):
        column = columns.index(level)
        result[column, column] = costs.double_end
    return result


def _third_repeat_costs(paths: Index, columns: int, cost: float) -> Float:
    """Compute the cost of each column for paths that already end in one level twice, (paths, columns)."""
    result = np.zeros((len(paths), columns))
    doubled = np.flatnonzero(paths[:, -1] == paths[:, -2])
    result[doubled, paths[doubled, -1]] = cost
    return result


def _rename_doubled(levels: list[Level], columns: tuple[Level, ...]) -> Levels:
    """Rename the outer one of two equal levels at an end of the columns."""
    result: list[Level] = list(levels)
    for level, outer in _map_doubled_levels(columns).items():
        places = [i for i, known in enumerate(levels) if known is level]
        if len(places) > 1:
            result[places[-1] if outer.rank > level.rank else places[0]] = outer
    return tuple(result)
