"""Evidence from logits: what temperatures, outliers, shifts and stand-ins do to it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondyl.anatomy.landmarks import LANDMARKS
from spondyl.anatomy.level import Level, Region
from spondyl.anatomy.numbering import REGULAR
from spondyl.identify.evidence import level_evidence

REGULAR_INNER = [level for level in REGULAR.levels if level not in LANDMARKS]
seeds = st.integers(0, 2**32 - 1)


def logits_of(seed: int, n: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 24)) * 4


@given(seed=seeds, temperature=st.sampled_from([0.5, 1.0, 3.0]))
def test_one_temperature_for_landmarks_and_the_rest_is_that_temperature(seed, temperature):
    logits = logits_of(seed)
    np.testing.assert_allclose(
        level_evidence(logits, temperature=temperature, landmark_temperature=temperature),
        level_evidence(logits, temperature=temperature),
        atol=1e-12,
    )


@given(seed=seeds)
def test_regions_and_ends_are_believed_at_one_temperature_and_levels_within_a_region_at_another(seed):
    logits = logits_of(seed)
    apart, doubted, sure = (
        np.exp(level_evidence(logits, temperature=inner, landmark_temperature=landmark))
        for inner, landmark in ((3.0, 1.0), (3.0, 3.0), (1.0, 1.0))
    )
    for region in (Region.CERVICAL, Region.THORACIC, Region.LUMBAR):
        of = [level.rank for level in REGULAR_INNER if level.region is region]
        np.testing.assert_allclose(apart[:, of].sum(1), sure[:, of].sum(1))
        ratios = apart[:, of] / doubted[:, of]
        np.testing.assert_allclose(ratios, ratios[:, :1].repeat(len(of), axis=1))
    for level in (Level.C2, Level.C3, Level.S1):
        np.testing.assert_allclose(apart[:, level.rank], sure[:, level.rank])


@given(seed=seeds, shift=st.integers(-3, 3))
def test_a_shift_moves_inner_levels_and_leaves_the_ends(seed, shift):
    logits = logits_of(seed)
    plain, moved = level_evidence(logits), level_evidence(logits, shift=shift)
    for level in LANDMARKS:
        np.testing.assert_array_equal(moved[:, level.rank], plain[:, level.rank])
    for place, level in enumerate(REGULAR_INNER):
        seen = REGULAR_INNER[min(max(place + shift, 0), len(REGULAR_INNER) - 1)]
        np.testing.assert_array_equal(moved[:, level.rank], plain[:, seen.rank])


@pytest.mark.parametrize(("level", "alike"), [(Level.T13, Level.T12), (Level.L6, Level.L5)])
def test_a_level_without_column_looks_like_the_last_of_its_region(level, alike):
    evidence = level_evidence(logits_of(0), beyond_cost=2.0)
    np.testing.assert_array_equal(evidence[:, level.rank], evidence[:, alike.rank])


def test_a_second_sacral_body_looks_like_the_first_and_an_atlas_like_nothing():
    evidence = level_evidence(logits_of(0), beyond_cost=2.0)
    np.testing.assert_allclose(evidence[:, Level.S2.rank], evidence[:, Level.S1.rank] - 2)
    assert np.isneginf(evidence[:, Level.C1.rank]).all()


def test_an_outlier_probability_bounds_what_is_held_against_a_level():
    certain = np.full((1, 24), -1e4)
    certain[0, 7] = 0
    evidence = level_evidence(certain, outlier_probability=0.1)
    assert evidence[:, 1:-1].min() == pytest.approx(np.log(0.1))  # of all but C1 and S2
    assert evidence.max() == pytest.approx(np.log(0.9 * 24 + 0.1))
