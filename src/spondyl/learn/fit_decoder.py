"""Fit the ordered decoder's settings to a network: the temperatures of its logits, and the chances of its errors.

The settings under which the truth of held-out examples is most probable are chosen. Their calibration is measured on
examples that did not choose them: each half of the patients is measured with the settings chosen on the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.geometry.affine import Float
from spondyl.identify.costs import OrderCosts
from spondyl.identify.order import decode
from spondyl.labelling import Labelling, Levels
from spondyl.metrics.calibration import Calibration, measure_calibration
from spondyl.metrics.naming import level_claims

__all__ = ["CHOICES", "CalibrationExample", "CalibrationFit", "ascend", "fit_calibration"]

CHOICES: Mapping[str, tuple[float, ...]] = {
    "shift_sd": (0.0, 0.3, 0.5, 0.8),
    "temperature": (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6),
    "landmark_temperature": (0.7, 1.0, 1.4, 2.0, 2.8),
    "outlier_probability": (0.01, 0.03, 0.1, 0.2),
}
"""Values to try for each setting of `OrderCosts`; `ascend` treats the first setting differently."""

_MAX_ROUNDS = 3
"""Most rounds in which each setting is chosen anew with the others fixed; the second seldom changes anything."""

_MIN_PROBABILITY = 1e-6
"""Lower bound of the truth's probability, so that one example that is impossible in the model cannot decide alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationExample:
    """A scan whose detections have a truth.

    Args:
        patient: the same for all scans of one patient.
        logits: (n, columns) of the network whose logits the decoder reads: the appearance or the context network.
        positions_mm: (n, 3) centroids, head to foot, in any frame.
        scores: (n,) detection scores.
        room_mm: (n, 2) distance that the column runs on above and below each detection inside the scan.
        levels: the true level of each detection; None for one that is no vertebra.
        known: False for detections whose truth is not known, which the decoder reads but which do not count; None where
            all are known.
        detected: for each body that lies wholly inside the scan, whether it was detected.
    """

    patient: str
    logits: Float
    positions_mm: Float
    scores: Float
    room_mm: Float
    levels: Levels
    known: tuple[bool, ...] | None = None
    detected: Mapping[Level, bool] = field(default_factory=dict)

    @property
    def counted(self) -> tuple[bool, ...]:
        """True for each detection that counts."""
        return (True,) * len(self.levels) if self.known is None else self.known


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationFit:
    """The chosen settings and their measures.

    Args:
        costs: the decoder's settings.
        before: calibration of `level_probability` with the settings that were given.
        after: the same with fitted settings, each half of the patients with those chosen on the other half.
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
    """Choose the decoder's temperatures and chances of error for a network.

    Args:
        examples: held-out scans; every second patient, in the order of their first scans, is in the second half.
        costs: the other settings, and those to begin and to compare with.
        choices: values to try, by name of a setting of `OrderCosts`.

    Raises:
        SettingError: fewer than two patients have detections that count, a setting is not known, or has no values.
    """
    given = costs or OrderCosts()
    useful = [example for example in examples if any(example.counted)]
    patients = {patient: place for place, patient in enumerate(dict.fromkeys(example.patient for example in useful))}
    halves = [[i for i, example in enumerate(useful) if patients[example.patient] % 2 == half] for half in (0, 1)]
    unknown = [name for name, values in choices.items() if name not in OrderCosts.__slots__ or not len(values)]
    if len(patients) < 2 or unknown or not choices:
        raise SettingError(
            f"fitting needs at least two patients with detections, and settings of the decoder with values to try, got "
            f"{len(patients)} patients" + (f" and {', '.join(unknown)}" if unknown else "")
        )
    judged: dict[OrderCosts, list[_Judged]] = {}

    def judge(option: OrderCosts, half: int | None = None) -> list[_Judged]:
        if option not in judged:
            judged[option] = [_judge(example, option) for example in useful]
        return judged[option] if half is None else [judged[option][i] for i in halves[half]]

    first = ascend(given, choices, lambda option: _mean(judge(option, 0)))
    second = ascend(given, choices, lambda option: _mean(judge(option, 1)))
    crossed = judge(second, 0) + judge(first, 1)
    return CalibrationFit(
        costs=ascend(given, choices, lambda option: _mean(judge(option))),
        before=_measure_calibration(judge(given)),
        after=_measure_calibration(crossed),
        log_likelihood=(_mean(judge(given)), _mean(crossed)),
    )


def ascend(
    costs: OrderCosts, choices: Mapping[str, Sequence[float]], worth: Callable[[OrderCosts], float]
) -> OrderCosts:
    """Choose settings by coordinate ascent, started anew for each value of the first setting; the best of all is taken.

    A shared error and a high temperature explain the same mistakes, so that changing one setting at a time would not
    get from one to the other.
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
    """Choose one setting after the other, the best of its values with the others fixed, until nothing changes."""
    for _ in range(_MAX_ROUNDS):
        before = costs
        for name, values in choices:
            costs = max((_with(costs, name, value) for value in values), key=worth)
        if costs == before:
            break
    return costs


def _with(costs: OrderCosts, name: str, value: float) -> OrderCosts:
    return replace(costs, **{name: value})  # type: ignore[arg-type]  # fitted settings are numbers


@dataclass(frozen=True, slots=True)
class _Judged:
    """One example decoded with one choice of settings: log-probabilities of its truth (n,), and its claims."""

    likelihoods: Float
    claims: list[tuple[float, bool]]


def _judge(example: CalibrationExample, costs: OrderCosts) -> _Judged:
    labelling = decode(
        example.logits, example.scores, example.positions_mm, room_mm=example.room_mm, costs=costs, best=1
    )
    return _Judged(
        _log_probabilities(labelling, example), level_claims(labelling, example.levels, known=example.counted)
    )


def _log_probabilities(labelling: Labelling[Level], example: CalibrationExample) -> Float:
    probabilities = [
        labelling.rejected[place] if level is None else labelling.marginals[place, level.rank]
        for place, (level, counts) in enumerate(zip(example.levels, example.counted, strict=True))
        if counts
    ]
    return np.log(np.maximum(probabilities, _MIN_PROBABILITY))


def _mean(judged: Sequence[_Judged]) -> float:
    return float(np.concatenate([example.likelihoods for example in judged]).mean())


def _measure_calibration(judged: Sequence[_Judged]) -> Calibration:
    claims = [claim for example in judged for claim in example.claims]
    return measure_calibration([probability for probability, _ in claims], [is_right for _, is_right in claims])
