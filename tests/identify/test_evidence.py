"""Evidence from logits: what temperatures, outliers, shifts and stand-ins do to it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import REGULAR
from spondyl.identify.evidence import ENDS, OFFICIAL_COLUMNS, level_evidence

REGULAR_INNER = [level for level in REGULAR.levels if level not in ENDS]
seeds = st.integers(0, 2**32 - 1)


def logits_of(seed: int, n: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 24)) * 4


@given(seed=seeds, temperature=st.sampled_from([0.5, 1.0, 3.0]))
def test_one_temperature_for_ends_and_the_rest_is_that_temperature(seed, temperature):
    logits = logits_of(seed)
    np.testing.assert_allclose(
        level_evidence(logits, temperature=temperature, end_temperature=temperature),
        level_evidence(logits, temperature=temperature),
        atol=1e-12,
    )


@given(seed=seeds)
def test_the_ends_own_temperature_changes_neither_the_ratios_of_inner_levels_nor_the_sum(seed):
    logits = logits_of(seed)
    apart, plain = (
        level_evidence(logits, temperature=3.0, end_temperature=end)[:, [level.rank for level in OFFICIAL_COLUMNS]]
        for end in (1.0, 3.0)
    )
    inner = [OFFICIAL_COLUMNS.index(level) for level in REGULAR_INNER]
    differences = (apart - plain)[:, inner]
    np.testing.assert_allclose(differences, differences[:, :1].repeat(len(inner), axis=1), atol=1e-9)
    np.testing.assert_allclose(np.exp(apart).sum(1), 24)
    sure = level_evidence(logits, temperature=1.0)
    for level in (Level.C2, Level.C3, Level.S1):
        np.testing.assert_allclose(apart[:, OFFICIAL_COLUMNS.index(level)], sure[:, level.rank], atol=1e-9)


@given(seed=seeds, shift=st.integers(-3, 3))
def test_a_shift_moves_inner_levels_and_leaves_the_ends(seed, shift):
    logits = logits_of(seed)
    plain, moved = level_evidence(logits), level_evidence(logits, shift=shift)
    for level in ENDS:
        np.testing.assert_array_equal(moved[:, level.rank], plain[:, level.rank])
    for place, level in enumerate(REGULAR_INNER):
        seen = REGULAR_INNER[min(max(place + shift, 0), len(REGULAR_INNER) - 1)]
        np.testing.assert_array_equal(moved[:, level.rank], plain[:, seen.rank])


@pytest.mark.parametrize(("level", "alike"), [(Level.T13, ("T12", "L1")), (Level.L6, ("L5", "S1"))])
def test_a_level_without_column_is_the_mean_of_what_it_looks_like(level, alike):
    evidence = np.exp(level_evidence(logits_of(0)))
    expected = np.mean([evidence[:, Level(name).rank] for name in alike], axis=0)
    np.testing.assert_allclose(evidence[:, level.rank], expected)


def test_an_outlier_probability_bounds_what_is_held_against_a_level():
    certain = np.full((1, 24), -1e4)
    certain[0, 7] = 0
    evidence = level_evidence(certain, outlier_probability=0.1)
    assert evidence.min() == pytest.approx(np.log(0.1))
    assert evidence.max() == pytest.approx(np.log(0.9 * 24 + 0.1))
