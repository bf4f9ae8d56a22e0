"""Removal of false disc points: the laws of every method, and the two exact searches as each other's oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spondyl.engine.build import make_engine
from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.geometry.points import Landmarks
from spondyl.geometry.stack import SagittalStack
from spondyl.loaded_plan import open_method
from spondyl.locate.disc_channels import DISC_CHANNELS
from spondyl.methods import find_method, methods_of
from spondyl.nets.cards import find_card
from spondyl.nets.network import LoadedNetwork
from spondyl.nets.weight_sets import find_set
from spondyl.reading import Candidates
from spondyl.refine.candidates import to_plane_mm
from spondyl.refine.condition import keep_by_conditions
from spondyl.refine.look_once import (
    disc_probabilities,
    fill_up,
    normalise_by_discs,
    normalise_by_median,
)
from spondyl.refine.ordered_assignment import assign_chain, keep_by_assignment
from spondyl.refine.search_tree import keep_by_search, search_chain
from spondyl.refine.skeleton import MEAN_COLUMN, Skeleton, chain_errors, mean_skeleton
from spondyl.simulate.disc_points import TOTAL, add_false_points, choose_section, draw_chain
from spondyl.stage import Stage, Structure
from spondyl.study import Study

CARD = find_card(find_set("spondyl").card_name("look-once"))
NETWORK = make_engine(CARD.name, "openvino", "cpu", threads=1)

RULES = {
    "look-once": lambda points: disc_probabilities(points, NETWORK) >= 0.5,
    "condition": keep_by_conditions,
    "ordered-assignment": keep_by_assignment,
}


def image(seed):
    rng = np.random.default_rng(seed)
    return add_false_points(choose_section(draw_chain(rng).points_mm, rng), TOTAL, rng)


def turned(points, angle_deg):
    angle = np.deg2rad(angle_deg)
    return points @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_the_points_is_the_order_of_the_decisions_and_changes_none(rule, seed):
    points = image(seed).points_mm
    order = np.random.default_rng(seed).permutation(len(points))
    np.testing.assert_array_equal(RULES[rule](points[order]), RULES[rule](points)[order])


@pytest.mark.parametrize("seed", range(8))
def test_the_place_and_size_of_a_patient_change_no_probability(seed):
    points = image(seed).points_mm
    expected = disc_probabilities(points, NETWORK)
    moved = disc_probabilities(3.7 * points + [500.0, -80.0], NETWORK)
    np.testing.assert_allclose(moved, expected, atol=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_the_place_and_size_of_a_patient_change_no_chain(seed):
    points = image(seed).points_mm
    np.testing.assert_array_equal(keep_by_assignment(1.3 * points + [500.0, -80.0]), keep_by_assignment(points))


def test_turns_up_to_fifteen_degrees_leave_nineteen_decisions_in_twenty():
    """The network learns them from examples; an exact law would cost it the direction of the head."""
    same = [
        (disc_probabilities(turned(one, angle), NETWORK) >= 0.5) == (disc_probabilities(one, NETWORK) >= 0.5)
        for one in (image(seed).points_mm for seed in range(40))
        for angle in (-15, -8, 8, 15)
    ]
    assert np.mean(np.concatenate(same)) > 0.95


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), angle=st.floats(-180, 180), size=st.floats(0.01, 100))
def test_normalised_points_turn_with_the_points_and_know_no_place_or_size(seed, angle, size):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 300, (rng.integers(1, 30), 2))
    moved = normalise_by_median(size * turned(points, angle) + rng.uniform(-900, 900, 2))
    np.testing.assert_allclose(moved, turned(normalise_by_median(points), angle), atol=1e-6)


def test_the_published_normalisation_needs_five_true_discs():
    discs = np.array([[0.0, 0], [20, 0], [40, 0], [60, 0], [80, 0]])
    np.testing.assert_allclose(normalise_by_discs(np.array([[40.0, 40.0]]), discs), [[0.5, 0.5]])
    with pytest.raises(SettingError, match="needs five true discs, got 4"):
        normalise_by_discs(discs, discs[:4])


@pytest.mark.parametrize("rule", [*RULES, "search-tree"])
def test_nothing_is_made_of_nothing_and_a_single_point_gets_one_decision(rule):
    judge = RULES.get(rule, keep_by_search)
    assert judge(np.empty((0, 2))).shape == (0,)
    assert judge(np.array([[30.0, 40.0]])).shape == (1,)


@pytest.mark.parametrize("rule", RULES)
def test_points_at_one_place_are_no_reason_to_fail(rule):
    assert RULES[rule](np.full((4, 2), 7.0)).shape == (4,)


@pytest.mark.parametrize("rule", RULES)
def test_more_candidates_than_any_training_image_has_are_judged_one_by_one(rule):
    points = np.random.default_rng(0).uniform(0, 300, (130 if rule == "look-once" else 45, 2))
    assert RULES[rule](points).shape == (len(points),)


def test_the_probability_is_that_of_the_second_logit():
    logits = np.zeros((1, 1, 3, 2), np.float32)
    logits[0, 0, :, 1] = [np.log(3), 0, -np.log(3)]
    np.testing.assert_allclose(disc_probabilities(np.eye(3, 2), lambda _: logits), [0.75, 0.5, 0.25], atol=1e-6)


def test_a_network_of_twenty_points_gets_twenty_and_no_more():
    seen = []

    def network(batch):
        seen.append(batch.shape)
        return np.zeros_like(batch)

    points = image(0).points_mm
    assert disc_probabilities(points[:7], network, 20).shape == (7,)
    assert seen == [(1, 1, 20, 2)]
    with pytest.raises(SettingError, match=r"takes 20 points at most, got 21"):
        disc_probabilities(np.concatenate([points, points[:1]]), network, 20)


def test_a_network_that_returns_another_shape_is_refused():
    with pytest.raises(SettingError, match=r"must return \(1, 1, 20, 2\), got \(1, 1, 20, 3\)"):
        disc_probabilities(image(0).points_mm, lambda _: np.zeros((1, 1, 20, 3), np.float32))


def test_repeated_points_follow_their_order():
    np.testing.assert_array_equal(fill_up(np.array([[1.0, 1], [2, 2]]), 5)[:, 0], [1, 2, 1, 2, 1])


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_the_ordered_assignment_is_the_search_over_all_subsets(seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 200, (rng.integers(2, 10), 2))
    starts = tuple(rng.choice(20, rng.integers(1, 3), replace=False).tolist())
    places = MEAN_COLUMN.places_mm[: max(starts) + int(rng.integers(2, 9))]
    skeleton = Skeleton(places_mm=places, starts=starts, worth=rng.uniform(0, 0.3))
    longest = min(len(points), len(places) - min(starts))
    for count in (None, *range(2, longest + 1)):
        chain, oracle = assign_chain(points, skeleton, count), search_chain(points, skeleton, count)
        assert chain.cost == pytest.approx(oracle.cost, abs=1e-9)
        if count != 2:  # any two points are a chain without error
            assert chain.members == oracle.members or chain.cost == pytest.approx(oracle.cost, abs=1e-12)


def test_a_chain_that_is_the_skeleton_moved_and_resized_has_no_error():
    below = MEAN_COLUMN.below(6)
    moved = 0.8 * below[:7] + [10.0, 90.0]
    np.testing.assert_allclose(chain_errors(moved[None], below), 0, atol=1e-12)
    assert chain_errors(np.stack([moved[:, 0], moved[:, 1] + [0, *[5] * 6]], axis=1)[None], below)[0] > 1e-3


def test_the_mean_column_among_far_points_is_found_whole():
    column = MEAN_COLUMN.places_mm[8:17] + 100
    far = column[[1, 4, 7]] + [[6.0, 70.0], [9.0, -70.0], [5.0, 80.0]]
    points = np.concatenate([far, column])
    expected = np.arange(len(points)) >= 3
    for rule in (keep_by_assignment, keep_by_search):
        np.testing.assert_array_equal(rule(points), expected)


def test_the_search_tree_refuses_more_subsets_than_it_can_compare():
    with pytest.raises(SettingError, match=r"over 40 points compares .* subsets, .* use ordered-assignment"):
        keep_by_search(np.random.default_rng(0).uniform(0, 300, (40, 2)))


@pytest.mark.parametrize("find", [assign_chain, search_chain])
def test_chains_of_impossible_lengths_are_refused(find):
    for count in (1, 5):
        with pytest.raises(SettingError, match=f"a chain needs 2 to 4 of 4 points, got {count}"):
            find(image(0).points_mm[:4], MEAN_COLUMN, count)


@pytest.mark.parametrize(("places", "starts"), [(np.zeros((1, 2)), (0,)), (np.eye(2), (1,)), (np.eye(2), ())])
def test_a_skeleton_without_a_place_below_its_starts_is_refused(places, starts):
    with pytest.raises(SettingError, match="a skeleton needs two places and starts above the last"):
        Skeleton(places_mm=places, starts=starts)


def test_the_mean_skeleton_is_that_of_columns_shown_in_part():
    places = MEAN_COLUMN.places_mm[:6]
    shown = [(0, places[:4] + 7), (2, places[2:] - 30), (3, places[3:5])]
    np.testing.assert_allclose(mean_skeleton(shown), places, atol=1e-9)
    with pytest.raises(SettingError, match=r"no column shows the steps below the discs \[1\]"):
        mean_skeleton([(0, places[:2]), (2, places[2:])])


def test_points_aside_or_close_above_one_another_meet_the_conditions_as_published():
    straight = np.stack([np.arange(0.0, 200, 30), np.zeros(7)], axis=1)
    assert keep_by_conditions(straight).all()
    aside = np.concatenate([straight, [[100.0, 19.0]]])
    np.testing.assert_array_equal(keep_by_conditions(aside), [True] * 7 + [False])
    doubled = np.concatenate([straight, [[61.0, 0.0], [62.0, 0.0]]])
    np.testing.assert_array_equal(np.flatnonzero(~keep_by_conditions(doubled)), [2, 8])  # 61 is their mean


def study(slices=3):
    affine = Affine.from_axes([[-1.0, 0, 0], [0, 0, -1], [0, -1, 0]], (4.0, 0.8, 0.8), (10.0, 50.0, 300.0))
    voxels = np.random.default_rng(0).random((slices, 400, 200), dtype=np.float32)
    return Study.from_sagittal(SagittalStack(voxels=voxels, affine=affine))


def candidates(points_mm, given):
    index = np.insert(points_mm / 0.8, 0, 1.0, axis=1)
    centres = given.sagittal.affine.to_world(index)
    scores = np.linspace(0.2, 0.9, len(centres))
    return Candidates(
        structure=Structure.DISC,
        centres=Landmarks(points_ras_mm=centres, scores=scores),
        posterior_ras_mm=centres - np.array([0.0, 15.0, 0.0]),
        logits=np.random.default_rng(0).random((len(centres), len(DISC_CHANNELS))),
    )


@pytest.mark.parametrize("name", [method.name for method in methods_of(Stage.REFINE)])
def test_every_method_keeps_candidates_as_they_are_or_not_at_all(name):
    method = find_method(Stage.REFINE, name)
    refine = open_method(method, {"look-once": LoadedNetwork(card=CARD, run=NETWORK)})
    given = study()
    points = image(3).points_mm[:16]
    points = points[np.argsort(points[:, 0])]
    before = candidates(points, given)
    np.testing.assert_allclose(to_plane_mm(given, before.centres_ras_mm), points, atol=1e-9)
    after = refine(given, before)
    assert 0 < len(after) < len(before)
    kept = [int(np.flatnonzero((before.centres_ras_mm == point).all(1))[0]) for point in after.centres_ras_mm]
    assert kept == sorted(kept)
    np.testing.assert_array_equal(after.scores, before.scores[kept])
    np.testing.assert_array_equal(after.posterior_ras_mm, before.posterior_ras_mm[kept])
    np.testing.assert_array_equal(after.logits, before.logits[kept])
    assert len(refine(given, candidates(np.empty((0, 2)), given))) == 0
