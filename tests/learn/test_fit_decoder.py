"""Fitting finds the settings under which examples were made, and measures them on others."""

from dataclasses import replace

import numpy as np
import pytest

from spondyl.anatomy.numbering import REGULAR
from spondyl.errors import SettingError
from spondyl.identify.costs import OrderCosts
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.learn.fit_decoder import CalibrationExample, ascend, fit_calibration

GIVEN = OrderCosts(spacing=0.0, rejection=20.0)


def overconfident_example(rng: np.random.Generator, factor: float, patient: str, count: int = 5) -> CalibrationExample:
    """Bodies whose logits are true log-probabilities except for a factor; even distances carry no information."""
    start = int(rng.integers(6, 18 - count))
    levels = REGULAR.levels[start : start + count]
    seen = [rng.choice(3, p=(0.25, 0.5, 0.25)) - 1 for _ in levels]
    places = np.array([REGULAR.levels.index(level) for level in OFFICIAL_COLUMNS])
    misses = places - (np.arange(start, start + count) + seen)[:, None]
    logits = np.select([misses == 0, abs(misses) == 1], [np.log(0.5), np.log(0.25)], np.log(1e-3))
    return CalibrationExample(
        patient=patient,
        logits=factor * logits,
        positions_mm=np.outer(np.arange(count), [0, 0, -25.0]),
        scores=np.full(count, 0.95),
        room_mm=np.zeros((count, 2)),
        levels=levels,
    )


@pytest.fixture(scope="module")
def overconfident() -> list[CalibrationExample]:
    rng = np.random.default_rng(0)
    return [overconfident_example(rng, 4.0, str(number)) for number in range(40)]


def test_logits_four_times_too_large_get_the_temperature_four(overconfident):
    fit = fit_calibration(overconfident, GIVEN, {"temperature": (1.0, 4.0, 16.0)})
    assert fit.costs.temperature == 4.0
    assert fit.log_likelihood[1] > fit.log_likelihood[0] + 0.2
    assert fit.after.expected_error < fit.before.expected_error
    assert fit.costs.rejection == GIVEN.rejection  # what is not fitted stays


def test_where_there_is_one_choice_before_and_after_are_that_choice(overconfident):
    fit = fit_calibration(overconfident[:8], GIVEN, {"temperature": (GIVEN.temperature,)})
    assert fit.costs == GIVEN
    assert fit.before.mean_probability == pytest.approx(fit.after.mean_probability)
    assert (fit.before.count, fit.before.accuracy) == (fit.after.count, fit.after.accuracy)
    assert fit.log_likelihood[0] == pytest.approx(fit.log_likelihood[1])


def test_an_example_without_detections_changes_nothing(overconfident):
    nothing = CalibrationExample(
        patient="nobody",
        logits=np.zeros((0, 24)),
        positions_mm=np.zeros((0, 3)),
        scores=np.zeros(0),
        room_mm=np.zeros((0, 2)),
        levels=(),
    )
    choices = {"temperature": (1.0, 4.0)}
    without = fit_calibration(overconfident[:6], GIVEN, choices)
    assert fit_calibration([nothing, *overconfident[:6]], GIVEN, choices) == without


def test_settings_that_depend_on_each_other_are_chosen_in_rounds():
    def ridge(costs: OrderCosts) -> float:
        return -5 * (costs.temperature - 2) ** 2 - (costs.beyond - 2 * costs.temperature) ** 2

    choices = {"shift_sd": (0.0,), "beyond": (2.0, 3.0, 4.0), "temperature": (1.0, 1.5, 2.0)}
    chosen = ascend(OrderCosts(beyond=2.0, temperature=1.0), choices, ridge)
    assert (chosen.temperature, chosen.beyond) == (2.0, 4.0)  # by way of (1.5, 2), (1.5, 3), (2, 3)


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
        (1, {"temperature": (1.0,)}, "1 patients"),
        (3, {"warmth": (1.0,)}, "warmth"),
        (3, {"temperature": ()}, "temperature"),
    ],
)
def test_what_cannot_be_fitted_is_refused(overconfident, count, choices, said):
    with pytest.raises(SettingError, match=said):
        fit_calibration(overconfident[:count], GIVEN, choices)


def test_a_false_detection_is_truth_too(overconfident):
    """The weight of a score is fitted to false detections with low scores."""
    false = [replace(example, levels=(None,) * 5, scores=np.full(5, 0.05)) for example in overconfident[:4]]
    given = OrderCosts(spacing=0.0, rejection=0.0)
    fit = fit_calibration([*false, *overconfident[:4]], given, {"rejection_per_logit": (0.0, 10.0)})
    assert fit.costs.rejection_per_logit == 10.0


def test_scans_of_one_patient_choose_no_settings_for_each_other(overconfident):
    """Each scan is measured with settings that only other patients' scans chose, in whatever order they are given."""
    patients = "a", "b", "a", "b", "b", "a"
    examples = [replace(example, patient=patient) for patient, example in zip(patients, overconfident, strict=False)]
    choices = {"temperature": (1.0, 2.0, 4.0, 8.0)}

    def chosen_on(patient: str) -> OrderCosts:
        """The settings that a patient's scans choose, by listing all."""

        def likelihood(temperature: float) -> float:
            options = {"temperature": (temperature,)}
            own = [replace(example, patient=str(n)) for n, example in enumerate(examples) if example.patient == patient]
            return fit_calibration(own, GIVEN, options).log_likelihood[1]

        return replace(GIVEN, temperature=max(choices["temperature"], key=likelihood))

    crossed = {"a": chosen_on("b"), "b": chosen_on("a")}
    total, count = 0.0, 0
    for example in examples:
        alone = [replace(example, patient="x"), replace(example, patient="y")]
        costs = crossed[example.patient]
        total += len(example.levels) * fit_calibration(alone, costs, {"beyond": (costs.beyond,)}).log_likelihood[0]
        count += len(example.levels)
    assert fit_calibration(examples, GIVEN, choices).log_likelihood[1] == pytest.approx(total / count)


def test_detections_of_which_nothing_is_known_choose_nothing_and_claim_nothing(overconfident):
    wrong = [
        replace(example, levels=(*example.levels[:2], None, None, None), known=(True, True, False, False, False))
        for example in overconfident[:6]
    ]
    right = [replace(example, known=(True, True, False, False, False)) for example in overconfident[:6]]
    choices = {"temperature": (1.0, 4.0)}
    assert fit_calibration(wrong, GIVEN, choices) == fit_calibration(right, GIVEN, choices)
    assert fit_calibration(right, GIVEN, choices).after.count <= 12
