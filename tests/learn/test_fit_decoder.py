"""Fitting finds the settings under which examples were made, and tells what they are worth on others."""

from dataclasses import replace

import numpy as np
import pytest

from spondyl.anatomy.numbering import REGULAR
from spondyl.errors import SettingError
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.identify.order import OrderCosts
from spondyl.learn.fit_decoder import CalibrationExample, ascend, fit_calibration

GIVEN = OrderCosts(spacing=0.0, rejection=20.0)


def boasting_example(rng: np.random.Generator, boast: float, count: int = 5) -> CalibrationExample:
    """Bodies whose logits are true log-probabilities but for a factor; even distances tell nothing."""
    start = int(rng.integers(6, 18 - count))
    levels = REGULAR.levels[start : start + count]
    seen = [rng.choice(3, p=(0.25, 0.5, 0.25)) - 1 for _ in levels]
    places = np.array([REGULAR.levels.index(level) for level in OFFICIAL_COLUMNS])
    misses = places - (np.arange(start, start + count) + seen)[:, None]
    logits = np.select([misses == 0, abs(misses) == 1], [np.log(0.5), np.log(0.25)], np.log(1e-3))
    return CalibrationExample(
        logits=boast * logits,
        positions_mm=np.outer(np.arange(count), [0, 0, -25.0]),
        scores=np.full(count, 0.95),
        levels=levels,
    )


@pytest.fixture(scope="module")
def boasts() -> list[CalibrationExample]:
    rng = np.random.default_rng(0)
    return [boasting_example(rng, 4.0) for _ in range(40)]


def test_a_network_that_boasts_fourfold_is_believed_a_quarter(boasts):
    fit = fit_calibration(boasts, GIVEN, {"temperature": (1.0, 4.0, 16.0)})
    assert fit.costs.temperature == 4.0
    assert fit.log_likelihood[1] > fit.log_likelihood[0] + 0.2
    assert fit.after.expected_error < fit.before.expected_error
    assert fit.costs.rejection == GIVEN.rejection  # what is not fitted stays


def test_where_there_is_one_choice_before_and_after_are_that_choice(boasts):
    fit = fit_calibration(boasts[:8], GIVEN, {"temperature": (GIVEN.temperature,)})
    assert fit.costs == GIVEN
    assert fit.before.claimed == pytest.approx(fit.after.claimed)
    assert (fit.before.claims, fit.before.held) == (fit.after.claims, fit.after.held)
    assert fit.log_likelihood[0] == pytest.approx(fit.log_likelihood[1])


def test_an_example_without_detections_changes_nothing(boasts):
    nothing = CalibrationExample(logits=np.zeros((0, 24)), positions_mm=np.zeros((0, 3)), scores=np.zeros(0), levels=())
    choices = {"temperature": (1.0, 4.0)}
    assert fit_calibration([nothing, *boasts[:6]], GIVEN, choices) == fit_calibration(boasts[:6], GIVEN, choices)


def test_settings_that_depend_on_each_other_are_chosen_in_rounds():
    def ridge(costs: OrderCosts) -> float:
        return -5 * (costs.temperature - 2) ** 2 - (costs.skip - 2 * costs.temperature) ** 2

    choices = {"shift_sd": (0.0,), "skip": (2.0, 3.0, 4.0), "temperature": (1.0, 1.5, 2.0)}
    chosen = ascend(OrderCosts(skip=2.0, temperature=1.0), choices, ridge)
    assert (chosen.temperature, chosen.skip) == (2.0, 4.0)  # by way of (1.5, 2), (1.5, 3), (2, 3)


def test_a_valley_between_two_values_of_the_first_setting_is_no_hindrance():
    def two_peaks(costs: OrderCosts) -> float:
        near, far = (costs.shift_sd == 0 and costs.temperature == 4), (costs.shift_sd == 1 and costs.temperature == 2)
        return near + 2 * far

    choices = {"shift_sd": (0.0, 0.5, 1.0), "temperature": (1.0, 2.0, 4.0)}
    chosen = ascend(OrderCosts(temperature=4.0), choices, two_peaks)
    assert (chosen.shift_sd, chosen.temperature) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("count", "choices", "said"),
    [
        (1, {"temperature": (1.0,)}, "1 scans"),
        (3, {"warmth": (1.0,)}, "warmth"),
        (3, {"temperature": ()}, "temperature"),
    ],
)
def test_what_cannot_be_fitted_is_refused(boasts, count, choices, said):
    with pytest.raises(SettingError, match=said):
        fit_calibration(boasts[:count], GIVEN, choices)


def test_a_false_detection_is_truth_too(boasts):
    """How much a score tells is learnt from detections that are none and score low."""
    false = [replace(example, levels=(None,) * 5, scores=np.full(5, 0.05)) for example in boasts[:4]]
    given = OrderCosts(spacing=0.0, rejection=0.0)
    fit = fit_calibration([*false, *boasts[:4]], given, {"rejection_per_logit": (0.0, 10.0)})
    assert fit.costs.rejection_per_logit == 10.0
