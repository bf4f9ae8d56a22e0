"""The count behind the rate is right, and the rate is consistent with its parts."""

import numpy as np
import pytest

from spondyl.benches import rate
from spondyl.benches.rate import Rate, count_gflop, measure_rate


class Idle:
    name, precision = "idle", "float32"

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        return batch


def test_the_count_of_one_known_network_is_that_worked_out_by_hand() -> None:
    # eight 5x3 convolutions and one 3x3 at the heights where they stand, per row of 16 and column of 24
    tall = [(1, 16, 16), (16, 32, 8), (32, 64, 4), (64, 128, 2), (128, 64, 2), (128, 32, 4), (64, 16, 8), (16, 1, 16)]
    products = sum(15 * inputs * outputs * rows for inputs, outputs, rows in tall) + 9 * 128 * 128
    assert count_gflop("context", "spinenet", (1, 1, 16, 24)) == pytest.approx(2 * 24 * products / 1e9)


def test_the_count_grows_with_the_batch_and_the_area() -> None:
    one = count_gflop("vfr", "compact", (1, 1, 64, 64))
    assert count_gflop("vfr", "compact", (3, 1, 128, 64)) == pytest.approx(6 * one)


def test_the_share_is_the_ratio_of_the_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "_MATRIX_EDGE", 64)
    measured = measure_rate(Idle(), "context", "spinenet", (1, 1, 16, 24), repeats=2)
    assert isinstance(measured, Rate)
    assert measured.share == pytest.approx(measured.network_gflops / measured.matrix_gflops)
    expected = count_gflop("context", "spinenet", (1, 1, 16, 24))
    assert measured.network_gflops * measured.seconds == pytest.approx(expected)
