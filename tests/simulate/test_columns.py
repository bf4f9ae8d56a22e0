"""Simulated columns are columns, lost detections are listed, false ones lie between others, qualities are as named."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import FOUR_LUMBAR, NUMBERINGS, REGULAR, SIX_LUMBAR, THIRTEEN_THORACIC
from spondyl.anatomy.spacing import VID
from spondyl.errors import SettingError
from spondyl.identify.beam import argmax_levels
from spondyl.simulate.appearance import FAIR, GOOD, MIXED, AppearanceSimulation, simulate_appearance
from spondyl.simulate.columns import add_false_detections, choose_any_view, draw_column, drop_detections

SURE = AppearanceSimulation(
    slope=(3.0, 3.0), patient_bias_sd=0, bias_step_sd=0, vertebra_error_sd=0, noise_sd=0, outlier_share=0
)


def whole(levels, _rng):
    return slice(0, len(levels))


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), dropped=st.floats(0, 1), false=st.floats(0, 1))
def test_whatever_is_lost_or_false_the_rest_is_the_column_that_was_drawn(seed, dropped, false):
    rng = np.random.default_rng(seed)
    drawn = draw_column(rng)
    spoilt = add_false_detections(drop_detections(drawn, rng, dropped), rng, false)
    true = [place for place, level in enumerate(spoilt.levels) if level is not None]
    levels = [spoilt.levels[place] for place in true]
    assert sorted([*levels, *spoilt.missed], key=lambda level: level.rank) == list(drawn.levels)
    kept = [drawn.levels.index(level) for level in levels]
    for name in ("logits", "positions_mm", "tops_mm", "bottoms_mm", "scores"):
        np.testing.assert_array_equal(getattr(spoilt, name)[true], getattr(drawn, name)[kept])
        assert len(getattr(spoilt, name)) == len(spoilt.levels)
    assert np.all(np.diff(spoilt.positions_mm[:, 2]) <= 0)
    assert np.all((spoilt.scores > 0) & (spoilt.scores < 1))
    centres = (spoilt.tops_mm + spoilt.bottoms_mm) / 2
    np.testing.assert_allclose(np.diff(centres), -np.diff(spoilt.positions_mm[:, 2]), atol=1e-9)


def test_every_share_is_taken_at_its_word():
    rng = np.random.default_rng(0)
    drawn = draw_column(rng, view=whole)
    assert drop_detections(drawn, rng, 0).levels == drawn.levels
    assert len(drop_detections(drawn, rng, 1).levels) == 1
    assert add_false_detections(drawn, rng, 0).levels == drawn.levels
    full = add_false_detections(drawn, rng, 1).levels
    assert full == (None, *itertools.chain.from_iterable((level, None) for level in drawn.levels))
    lost = [len(drop_detections(drawn, rng, 0.3).missed) for _ in range(300)]
    assert np.mean(lost) / len(drawn.levels) == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("spoil", [drop_detections, add_false_detections])
@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_that_is_none_is_refused(spoil, share):
    rng = np.random.default_rng(0)
    with pytest.raises(SettingError, match="within 0 and 1"):
        spoil(draw_column(rng), rng, share)


def test_an_empty_view_is_refused():
    with pytest.raises(SettingError, match="must show a vertebra"):
        draw_column(np.random.default_rng(0), view=lambda levels, rng: slice(3, 3))


def test_distances_are_the_published_ones_and_variants_as_frequent_as_their_priors():
    ratios, names = [], []
    for seed in range(300):
        column = draw_column(np.random.default_rng(seed), view=whole)
        steps = np.linalg.norm(np.diff(column.positions_mm, axis=0), axis=1)
        means = [VID.between(a, b).mean_mm for a, b in itertools.pairwise(column.numbering.levels)]
        ratios.append(np.mean(steps / means))
        names.append(column.numbering.name)
    assert np.mean(ratios) == pytest.approx(1, abs=0.02)
    assert np.std(np.log(ratios)) == pytest.approx(0.08, abs=0.015)
    for numbering in NUMBERINGS:
        assert names.count(numbering.name) / 300 == pytest.approx(numbering.prior, abs=0.035)


def test_a_network_without_error_names_every_level_that_it_knows():
    rng = np.random.default_rng(0)
    levels = REGULAR.levels[1:-1]
    assert argmax_levels(simulate_appearance(levels, REGULAR, rng, SURE)) == levels


@pytest.mark.parametrize(
    ("numbering", "level", "seen"),
    [
        (THIRTEEN_THORACIC, Level.T13, {Level.T12, Level.L1}),
        (SIX_LUMBAR, Level.L6, {Level.L5, Level.S1}),
        (FOUR_LUMBAR, Level.L4, {Level.L4, Level.L5}),
    ],
    ids=["T13", "L6", "last of four"],
)
def test_the_last_vertebra_of_a_variant_appears_as_either_neighbour(numbering, level, seen):
    rng = np.random.default_rng(0)
    names = [argmax_levels(simulate_appearance([level], numbering, rng, SURE))[0] for _ in range(60)]
    assert set(names) == seen


def test_landmark_levels_are_right_where_the_rest_of_the_patient_is_biased():
    biased = replace(SURE, patient_bias_sd=20)
    rng = np.random.default_rng(2)
    levels = REGULAR.levels[1:-1]
    for _ in range(20):
        given = argmax_levels(simulate_appearance(levels, REGULAR, rng, biased))
        assert (given[0], given[1], given[-1]) == (Level.C2, Level.C3, Level.S1)


@pytest.mark.parametrize(
    ("simulation", "right", "near"),
    [(GOOD, 0.90, 0.98), (FAIR, 0.58, 0.94), (MIXED, 0.48, 0.88)],
    ids=["good", "fair", "any"],
)
def test_simulated_networks_are_as_good_as_they_are_called(simulation, right, near):
    rng = np.random.default_rng(1)
    columns = [draw_column(rng, numberings=(REGULAR,), simulation=simulation) for _ in range(300)]
    pairs = [pair for column in columns for pair in zip(argmax_levels(column.logits), column.levels, strict=True)]
    miss = np.array([abs(REGULAR.levels.index(given) - REGULAR.levels.index(true)) for given, true in pairs])
    assert np.mean(miss == 0) == pytest.approx(right, abs=0.04)
    assert np.mean(miss <= 1) == pytest.approx(near, abs=0.04)


@pytest.mark.parametrize(
    "change", [{"patient_bias_sd": -1}, {"outlier_share": 1.5}, {"slope": (2.0, 1.0)}, {"slope": (-1.0, 1.0)}]
)
def test_impossible_qualities_are_refused(change):
    with pytest.raises(SettingError):
        AppearanceSimulation(**change)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_a_scan_ends_before_the_next_vertebra_that_a_detector_could_find(seed):
    rng = np.random.default_rng(seed)
    chosen = []

    def view(levels, rng):
        chosen.append(choose_any_view(levels, rng))
        return slice(chosen[-1].start, chosen[-1].stop)

    drawn = draw_column(rng, view=view)
    levels = drawn.numbering.levels
    centres = (drawn.tops_mm + drawn.bottoms_mm) / 2
    assert centres[0] > 0
    assert centres[-1] < drawn.height_mm
    twin = np.random.default_rng(seed)
    whole_column = draw_column(twin, view=lambda levels, rng: (choose_any_view(levels, rng), whole(levels, rng))[1])
    depths = -whole_column.positions_mm[:, 2]
    first, last = chosen[0].start, chosen[0].stop
    if levels[first] is not Level.C2:
        assert depths[first - 1] <= depths[first] - centres[0] + 1e-9
    if last < len(levels) and levels[last] is not Level.S2:
        assert depths[last] >= depths[last - 1] + drawn.height_mm - centres[-1] - 1e-9


def test_a_straight_column_runs_on_as_far_as_its_scan():
    column = replace(
        draw_column(np.random.default_rng(1), view=whole),
        positions_mm=np.outer(-np.arange(26) * 25.0, (0, 0, 1)),
        tops_mm=np.arange(26) * 25.0 + 5,
        bottoms_mm=np.arange(26) * 25.0 + 25,
        height_mm=700.0,
        numbering=REGULAR,
    )
    depths = 15 + 25.0 * np.arange(26)
    np.testing.assert_allclose(column.room_mm, np.stack([depths, 700 - depths], axis=1))
