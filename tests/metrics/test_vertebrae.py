"""Scores of vertebrae on cases worked out on paper."""

import math
from dataclasses import replace

import numpy as np
import pytest

from spondyl.anatomy.level import Level
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance
from spondyl.metrics.vertebrae import VertebraScore, score_vertebrae

AFFINE = Affine(np.diag([4.0, 0.5, 2.0, 1.0]))
"""Slices 4 mm apart, rows 0.5 mm, columns 2 mm."""

L3, L4, L5, S1 = Level.L3, Level.L4, Level.L5, Level.S1


def box(
    row: float, column: float = 50.0, *, slices: tuple[int, ...] = (1, 2, 3), half: float = 10.0
) -> VertebraInstance:
    """A square body about (row, column)."""
    square = np.array((row, column)) + half * np.array([(-1, 1), (1, 1), (1, -1), (-1, -1)])
    return VertebraInstance(slices=slices, outlines=np.tile(square, (len(slices), 1, 1)), score=1.0, affine=AFFINE)


TRUTH = {L3: box(100), L4: box(130), L5: box(160)}


def counts(score: VertebraScore) -> tuple[int, ...]:
    return (score.truths, score.detections, score.found, score.correct, score.identified, score.nearly_identified)


def test_perfect_detections_score_full_marks():
    score = score_vertebrae(TRUTH, list(TRUTH.values()), list(TRUTH))
    assert counts(score) == (3, 3, 3, 3, 3, 3)
    assert score.precision == score.recall == score.identification_rate == score.near_identification_rate == 1
    assert score.localisation_error_mm == (0, 0)


def test_one_found_and_two_missed():
    score = score_vertebrae(TRUTH, [box(130)], [L4])
    assert counts(score) == (3, 1, 1, 1, 1, 1)
    assert score.precision == 1
    assert score.recall == pytest.approx(1 / 3)


def test_a_false_body_between_true_ones_costs_precision():
    score = score_vertebrae(TRUTH, [*TRUTH.values(), box(130, column=90)], [L3, L4, L5, L4])
    assert counts(score) == (3, 4, 3, 3, 3, 3)
    assert score.precision == 0.75


def test_a_body_above_the_topmost_true_one_is_left_out_of_account():
    score = score_vertebrae(TRUTH, [box(70), *TRUTH.values()], [Level.L2, L3, L4, L5])
    assert counts(score) == (3, 3, 3, 3, 3, 3)


def test_a_body_below_counts_as_false_only_where_s1_is_true_and_it_is_not_named_s2():
    below = box(220)
    without = score_vertebrae(TRUTH, [*TRUTH.values(), below], [L3, L4, L5, S1])
    assert counts(without) == (3, 3, 3, 3, 3, 3)
    truth = {**TRUTH, S1: box(190)}
    bodies = [*truth.values(), below]
    assert counts(score_vertebrae(truth, bodies, [L3, L4, L5, S1, Level.S2])) == (4, 4, 4, 4, 4, 4)
    assert counts(score_vertebrae(truth, bodies, [L3, L4, L4, L5, S1])) == (4, 5, 4, 4, 2, 4)


def test_a_level_one_off_is_nearly_identified_and_two_off_is_not():
    score = score_vertebrae(TRUTH, list(TRUTH.values()), [L4, L5, L3])
    assert counts(score) == (3, 3, 3, 3, 0, 2)
    assert score.identification_rate == 0
    assert score.near_identification_rate == pytest.approx(2 / 3)


def test_two_detections_of_one_body_find_nothing_and_are_both_false():
    score = score_vertebrae(TRUTH, [box(100), box(130), box(132), box(160)], [L3, L4, L4, L5])
    assert counts(score) == (3, 4, 2, 2, 2, 2)
    assert score.precision == 0.5
    assert score.recall == pytest.approx(2 / 3)


def test_one_detection_over_two_bodies_finds_both_but_is_one_detection():
    score = score_vertebrae(TRUTH, [box(115, half=20), box(160)], [L3, L5])
    assert counts(score) == (3, 2, 3, 2, 2, 3)


def test_a_rejected_detection_counts_as_not_reported():
    score = score_vertebrae(TRUTH, [box(100), box(130), box(131)], [L3, L4, None])
    assert counts(score) == (3, 2, 2, 2, 2, 2)


def test_nothing_reported_leaves_precision_undefined():
    score = score_vertebrae(TRUTH, [], [])
    assert counts(score) == (3, 0, 0, 0, 0, 0)
    assert math.isnan(score.precision)
    assert score.recall == 0
    assert all(math.isnan(value) for value in score.localisation_error_mm)


def test_without_truth_nothing_is_known_of_detections():
    score = score_vertebrae({}, [box(100)], [L3])
    assert counts(score) == (0, 0, 0, 0, 0, 0)
    assert math.isnan(score.recall)


def test_errors_are_in_mm_in_the_plane_whatever_the_slices():
    moved = [box(106, 50), box(130, 54, slices=(3, 4, 5))]  # 6 rows of 0.5 mm, 4 columns of 2 mm
    score = score_vertebrae(TRUTH, moved, [L3, L4])
    assert score.errors_mm == pytest.approx((3.0, 8.0))
    mean, deviation = score.localisation_error_mm
    assert mean == pytest.approx(5.5)
    assert deviation == pytest.approx(2.5)


def test_a_body_is_found_by_its_outline_in_the_slice_of_the_true_centre():
    """Where a column leans sideways, the outline of a far slice may lie elsewhere."""
    leaning = box(100)
    shifted = leaning.outlines + np.array([-15.0, 0.0, 15.0])[:, None, None]
    leaning = replace(leaning, outlines=shifted)
    assert score_vertebrae({L3: box(100)}, [leaning], [L3]).found == 1
    assert score_vertebrae({L3: box(100, slices=(3,))}, [leaning], [L3]).found == 0


def test_scores_add_up():
    one = score_vertebrae(TRUTH, [box(130)], [L4])
    two = score_vertebrae(TRUTH, [box(106)], [L4])
    both = one + two
    assert counts(both) == (6, 2, 2, 2, 1, 2)
    assert both.errors_mm == pytest.approx((0.0, 3.0))
