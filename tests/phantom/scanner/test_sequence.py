"""Sequences have times that their names promise."""

from collections import Counter
from itertools import pairwise
from math import exp

import numpy as np
import pytest

from spondyl.errors import SettingError
from spondyl.phantom.scanner.sequence import FAT_T1_MS, WATER_FAT_CYCLE_MS_T, Contrast, PulseSequence, draw_contrast


def many(sequence: PulseSequence, count: int = 60) -> list[Contrast]:
    rng = np.random.default_rng(0)
    return [draw_contrast(rng, sequence) for _ in range(count)]


@pytest.mark.parametrize(
    ("sequence", "tr_ms", "te_ms"),
    [
        (PulseSequence.T1_TSE, (446, 1000), (7, 14)),
        (PulseSequence.T2_TSE, (2800, 5570), (80, 124)),
        (PulseSequence.PD, (2000, 4000), (15, 40)),
        (PulseSequence.T2_FLAIR, (8000, 10000), (90, 120)),
        (PulseSequence.DIXON_WATER, (8, 20), (1.2, 3.0)),
    ],
)
def test_times_lie_in_their_published_ranges_and_fill_them(
    sequence: PulseSequence, tr_ms: tuple[float, float], te_ms: tuple[float, float]
) -> None:
    drawn = many(sequence)
    for (low, high), values in ((tr_ms, [c.tr_ms for c in drawn]), (te_ms, [c.te_ms for c in drawn])):
        assert low <= min(values) < low + 0.2 * (high - low)
        assert high - 0.2 * (high - low) < max(values) <= high


def test_the_weightings_are_ordered_by_their_times() -> None:
    middle = {s: np.mean([c.te_ms for c in many(s)]) for s in (PulseSequence.T1_TSE, PulseSequence.PD)}
    long_echo = np.mean([contrast.te_ms for contrast in many(PulseSequence.T2_TSE)])
    assert middle[PulseSequence.T1_TSE] < middle[PulseSequence.PD] < long_echo


@pytest.mark.parametrize("sequence", [PulseSequence.STIR, PulseSequence.TIRM])
def test_the_inversion_time_of_a_fat_suppressed_sequence_nulls_fat_within_its_scatter(sequence: PulseSequence) -> None:
    left = []
    for contrast in many(sequence):
        t1_ms = FAT_T1_MS[contrast.field_strength_t]
        left.append(1 - 2 * exp(-contrast.ti_ms / t1_ms) + exp(-contrast.tr_ms / t1_ms))
    assert np.mean(left) == pytest.approx(0, abs=0.02)
    assert np.std(left) < 0.04  # 3 % of about 0.69


def test_the_inversion_time_of_t2_flair_nulls_csf() -> None:
    left = [1 - 2 * exp(-c.ti_ms / 4000) + exp(-c.tr_ms / 4000) for c in many(PulseSequence.T2_FLAIR)]
    assert np.mean(left) == pytest.approx(0, abs=0.01)


def test_only_inversion_recoveries_have_an_inversion_time() -> None:
    inverting = {PulseSequence.STIR, PulseSequence.TIRM, PulseSequence.T1_FLAIR, PulseSequence.T2_FLAIR}
    assert {sequence for sequence in PulseSequence if many(sequence, 1)[0].ti_ms > 0} == inverting


def test_only_gradient_echoes_have_small_flip_angles() -> None:
    for sequence in PulseSequence:
        flips = [contrast.flip_deg for contrast in many(sequence, 20)]
        assert all(flip < 90 for flip in flips) is sequence.is_gradient_echo
        assert all(flip == 90 for flip in flips) is not sequence.is_gradient_echo


def test_a_cycle_of_water_and_fat_lasts_4_6_ms_at_1_5_tesla_and_half_as_long_at_3() -> None:
    assert pytest.approx(4.6, abs=0.02) == WATER_FAT_CYCLE_MS_T / 1.5
    for tesla in (1.5, 3.0):
        in_phase = draw_contrast(np.random.default_rng(0), PulseSequence.DIXON_IN, tesla)
        assert in_phase.te_ms * tesla == pytest.approx(WATER_FAT_CYCLE_MS_T)


def test_only_dixon_images_hide_water_or_fat() -> None:
    assert [sequence for sequence in PulseSequence if not sequence.shows_water] == [PulseSequence.DIXON_FAT]
    assert [sequence for sequence in PulseSequence if not sequence.shows_fat] == [PulseSequence.DIXON_WATER]


def test_sequences_are_drawn_in_the_order_of_their_frequency() -> None:
    rng = np.random.default_rng(0)
    counts = Counter(draw_contrast(rng).sequence for _ in range(2000))
    order = [PulseSequence.T2_TSE, PulseSequence.T1_TSE, PulseSequence.STIR, PulseSequence.T2_FLAIR]
    assert all(counts[first] > counts[second] for first, second in pairwise(order))
    assert counts[PulseSequence.T2_TSE] / 2000 == pytest.approx(0.38, abs=0.045)  # four deviations


def test_both_field_strengths_occur_and_a_given_one_is_kept() -> None:
    rng = np.random.default_rng(0)
    assert {draw_contrast(rng).field_strength_t for _ in range(30)} == {1.5, 3.0}
    assert {draw_contrast(rng, None, 3.0).field_strength_t for _ in range(10)} == {3.0}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"te_ms": 0.0}, "te_ms must be above 0 and below tr_ms, got 0"),
        ({"ti_ms": -1.0}, r"ti_ms must be 0 \(no inversion\) or below tr_ms, got -1"),
        ({"flip_deg": 181.0}, "flip_deg must be above 0 and at most 180, got 181"),
        ({"field_strength_t": 0.5}, "field_strength_t must be 1.5 or 3 tesla, got 0.5"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, float], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        Contrast(**{"sequence": PulseSequence.STIR, "tr_ms": 500.0, "te_ms": 20.0, **settings})  # type: ignore[arg-type]
