"""The expected calibration error is what its definition says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondyl.errors import SettingError
from spondyl.metrics.calibration import measure_calibration

CLAIMS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30)


def by_definition(claims: list[tuple[float, bool]], bins: int) -> float:
    """The sum over bins of their share of the claims times the gap between mean probability and share that held."""
    total = 0.0
    for bin_ in range(bins):
        inside = [(p, held) for p, held in claims if min(int(p * bins), bins - 1) == bin_]
        if inside:
            gap = np.mean([p for p, _ in inside]) - np.mean([held for _, held in inside])
            total += len(inside) / len(claims) * abs(gap)
    return total


@given(CLAIMS, st.integers(1, 12))
def test_the_error_is_the_one_of_the_definition(claims: list[tuple[float, bool]], bins: int) -> None:
    found = measure_calibration(*zip(*claims, strict=True), bins=bins)
    assert found.expected_error == pytest.approx(by_definition(claims, bins), abs=1e-12)
    assert found.count == len(claims)
    assert 0 <= found.expected_error <= 1


def test_sure_and_right_is_perfect_and_sure_and_wrong_is_worst() -> None:
    assert measure_calibration([1, 1, 0], [True, True, False]).expected_error == 0
    assert measure_calibration([1, 0], [False, True]).expected_error == 1


def test_a_case_worked_out_on_paper() -> None:
    found = measure_calibration([0.92, 0.98, 0.55], [True, False, True])
    # two claims of 0.95 in the mean of which half held, one of 0.55 that held
    assert found.expected_error == pytest.approx((2 * 0.45 + 0.45) / 3)
    assert (found.mean_probability, found.accuracy) == pytest.approx((2.45 / 3, 2 / 3))


@pytest.mark.parametrize(
    ("probabilities", "held", "sentence"),
    [([], [], "as many outcomes"), ([0.5], [True, False], "as many outcomes"), ([1.5], [True], "within")],
)
def test_what_is_no_claim_is_refused(probabilities: list[float], held: list[bool], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        measure_calibration(probabilities, held)
