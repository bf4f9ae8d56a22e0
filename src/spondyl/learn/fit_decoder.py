"""Fitting what the ordered decoder believes to a network: how far its logits are to be trusted, and how it errs.

The settings under which the truth of held-out examples is most probable are taken. How well probabilities hold after
that is told of examples that did not choose: the settings that one half prefers are judged on the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.geometry.affine import Float
from spondyl.identify.order import OrderCosts, decode
from spondyl.labelling import Labelling, Levels
from spondyl.metrics.calibration import Calibration, calibration
from spondyl.metrics.naming import claims

__all__ = ["CHOICES", "CalibrationExample", "CalibrationFit", "ascend", "fit_calibration"]

CHOICES: Mapping[str, tuple[float, ...]] = {
    "shift_sd": (0.0, 0.3, 0.5, 0.8),
    "temperature": (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6),
    "landmark_temperature": (0.7, 1.0, 1.4, 2.0, 2.8),
    "outlier_probability": (0.01, 0.03, 0.1, 0.2),
}
"""What is tried of each setting of `OrderCosts`; see `ascend` for the first."""

_ROUNDS = 3
"""Each setting is chosen anew, the others held, so many times at most; the second round seldom changes anything."""

_LEAST_PROBABILITY = 1e-6
"""Of the truth; or one example that the model takes for impossible would decide alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationExample:
    """A scan whose detections have a truth.

    Args:
        logits: (n, columns) of the network whose word the decoder is to take: the context network's or, where that is
            left out, the appearance network's.
        positions_mm: (n, 3) centroids, head to foot, in any frame.
        scores: (n,) detection scores.
        levels: what each detection is; None for one that is no vertebra.
    """

    logits: Float
    positions_mm: Float
    scores: Float
    levels: Levels


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationFit:
    """The chosen settings and what they are worth.

    Args:
        costs: the decoder's settings.
        before: how far `level_probability` held with the settings that were given.
        after: the same with fitted settings, each half of the examples judged by what the other prefers.
        log_likelihood: mean log-probability of a detection's truth, nats, before and after.
    """

    costs: OrderCosts
    before: Calibration
    after: Calibration
    log_likelihood: tuple[float, float]


def fit_calibration(
    examples: Sequence[CalibrationExample],
    costs: OrderCosts | None = None,
    choices: Mapping[str, Sequence[float]] = CHOICES,
) -> CalibrationFit:
    """Choose the decoder's temperature and the chances of error that it reckons with, for a network.

    Args:
        examples: held-out scans; those of one patient must not fall into both halves, which every second one makes.
        costs: the other settings, and those to begin and to compare with.
        choices: values to try, by name of a setting of `OrderCosts`.

    Raises:
        SettingError: fewer than two examples have detections, a setting is not known, or has no values.
    """
    given = costs or OrderCosts()
    useful = [example for example in examples if example.levels]
    unknown = [name for name, values in choices.items() if name not in OrderCosts.__slots__ or not len(values)]
    if len(useful) < 2 or unknown or not choices:
        raise SettingError(
            f"fitting takes two scans with detections or more and settings of the decoder with values to try, got "
            f"{len(useful)} scans" + (f" and {', '.join(unknown)}" if unknown else "")
        )
    judged: dict[OrderCosts, list[_Judged]] = {}

    def judge(option: OrderCosts) -> list[_Judged]:
        if option not in judged:
            judged[option] = [_judge(example, option) for example in useful]
        return judged[option]

    first = ascend(given, choices, lambda option: _mean(judge(option)[::2]))
    second = ascend(given, choices, lambda option: _mean(judge(option)[1::2]))
    crossed = judge(second)[::2] + judge(first)[1::2]
    return CalibrationFit(
        costs=ascend(given, choices, lambda option: _mean(judge(option))),
        before=_calibration(judge(given)),
        after=_calibration(crossed),
        log_likelihood=(_mean(judge(given)), _mean(crossed)),
    )


def ascend(
    costs: OrderCosts, choices: Mapping[str, Sequence[float]], worth: Callable[[OrderCosts], float]
) -> OrderCosts:
    """Choose settings: the others climb anew for each value of the first, and the best of all that is taken.

    A shared error and a high temperature excuse the same mistakes, so that neither leaves its place for the other
    where one is changed at a time.
    """
    (first, values), *rest = choices.items()
    tops = []
    for value in values:
        costs = _climb(_with(costs, first, value), rest, worth)
        tops.append(costs)
    return max(tops, key=worth)


def _climb(
    costs: OrderCosts, choices: Sequence[tuple[str, Sequence[float]]], worth: Callable[[OrderCosts], float]
) -> OrderCosts:
    """Choose one setting after the other, the best of its values while the others hold, until nothing changes."""
    for _ in range(_ROUNDS):
        before = costs
        for name, values in choices:
            costs = max((_with(costs, name, value) for value in values), key=worth)
        if costs == before:
            break
    return costs


def _with(costs: OrderCosts, name: str, value: float) -> OrderCosts:
    return replace(costs, **{name: value})  # type: ignore[arg-type]  # what is fitted is a number


@dataclass(frozen=True, slots=True)
class _Judged:
    """What one setting makes of one example: log-probabilities of its truth (n,), and what it claims."""

    likelihoods: Float
    claims: list[tuple[float, bool]]


def _judge(example: CalibrationExample, costs: OrderCosts) -> _Judged:
    labelling = decode(example.logits, example.scores, example.positions_mm, costs=costs, best=1)
    return _Judged(_log_probabilities(labelling, example.levels), claims(labelling, example.levels))


def _log_probabilities(labelling: Labelling[Level], levels: Levels) -> Float:
    of_truth = [
        labelling.rejected[place] if level is None else labelling.marginals[place, level.rank]
        for place, level in enumerate(levels)
    ]
    return np.log(np.maximum(of_truth, _LEAST_PROBABILITY))


def _mean(judged: Sequence[_Judged]) -> float:
    return float(np.concatenate([one.likelihoods for one in judged]).mean())


def _calibration(judged: Sequence[_Judged]) -> Calibration:
    made = [claim for one in judged for claim in one.claims]
    return calibration([probability for probability, _ in made], [held for _, held in made])
