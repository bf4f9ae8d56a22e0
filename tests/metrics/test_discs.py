"""Measures of disc points against cases worked by hand; rows run from head to foot, 1 mm each, slices 4 mm apart."""

import numpy as np
import pytest

from spondyl.anatomy.disc import Disc
from spondyl.datasets.source import DiscOutlines
from spondyl.geometry.affine import Affine
from spondyl.metrics.discs import DiscPoints, find_outline_points, match_points, score_discs

AFFINE = Affine.from_axes(np.array([(-1.0, 0, 0), (0, 0, -1.0), (0, -1.0, 0)]).T, (4.0, 1.0, 1.0), (0, 0, 0))
NAMES = tuple(Disc.from_name(name) for name in ("T12/L1", "L1/L2", "L2/L3"))
T12_L1, L1_L2, L2_L3 = NAMES


def at(*rows: float) -> np.ndarray:
    """Points in the middle slice and column, at some rows."""
    return np.array([(0.0, 0.0, -row) for row in rows]).reshape(-1, 3)


def truth(*, certain: tuple[bool, ...] = (True, True, True), names: tuple[Disc, ...] = NAMES) -> DiscPoints:
    return DiscPoints(discs=names, points_ras_mm=at(0, 30, 60), certain=np.array(certain))


def test_distances_are_in_space_in_the_sagittal_plane_and_along_the_column() -> None:
    found = at(0, 30, 60) + np.array([(2.0, 0, 1), (0, 3, 0), (0, 0, 0)])
    score = score_discs(truth(), found, NAMES, AFFINE)
    assert score.distances_mm == pytest.approx((5**0.5, 3, 0))
    assert score.in_plane_mm == pytest.approx((1, 3, 0))
    assert score.along_mm == pytest.approx((1, 0, 0))
    assert (score.truths, score.found, score.false, score.named) == (3, 3, 0, 3)


def test_a_point_beyond_the_gate_is_a_miss_and_a_false_point() -> None:
    score = score_discs(truth(), at(0, 35.1, 60), NAMES, AFFINE)
    assert (score.found, score.false) == (2, 1)
    assert score.false_negative_rate == pytest.approx(1 / 3)
    assert score.false_positive_rate == pytest.approx(1 / 3)


def test_a_point_beside_the_disc_finds_it_in_the_plane_alone() -> None:
    score = score_discs(truth(), at(0, 30, 60) + np.array([(9.0, 0, -2), (0, 0, 0), (0, 0, 0)]), NAMES, AFFINE)
    assert (score.found, score.false, score.named) == (2, 1, 2)
    assert score.false_negative_rate == pytest.approx(1 / 3)
    assert score.in_plane_mm == pytest.approx((2, 0, 0))
    assert (score.plane_false_negative_rate, score.plane_false_positive_rate) == (0, 0)


def test_a_second_point_at_a_disc_is_false_and_only_the_published_code_lets_it_pass() -> None:
    score = score_discs(truth(), at(0, 30, 32, 60), (T12_L1, L1_L2, L1_L2, L2_L3), AFFINE)
    assert (score.found, score.false, score.legacy.false) == (3, 1, 0)


def test_a_disc_counts_as_named_only_with_its_own_name() -> None:
    score = score_discs(truth(), at(0, 30, 60), (T12_L1, L2_L3, None), AFFINE)
    assert (score.found, score.named) == (3, 1)
    assert score.naming_rate == pytest.approx(1 / 3)


def test_points_beyond_the_labelled_discs_are_neither_right_nor_wrong() -> None:
    score = score_discs(truth(), at(-30, 0, 30, 60, 90), (None, *NAMES, None), AFFINE)
    assert (score.found, score.false, score.legacy.false) == (3, 0, 0)


def test_a_point_above_the_uppermost_disc_of_a_column_is_false() -> None:
    neck = tuple(Disc.from_name(name) for name in ("C2/C3", "C3/C4", "C4/C5"))
    score = score_discs(truth(names=neck), at(-30, 0, 30, 60, 90), (None, *neck, None), AFFINE)
    assert score.false == 1


def test_a_point_near_an_uncertain_disc_is_neither_right_nor_wrong_and_the_disc_is_no_miss() -> None:
    uncertain = truth(certain=(True, False, True))
    score = score_discs(uncertain, at(0, 24, 60), NAMES, AFFINE)
    assert (score.truths, score.found, score.false) == (2, 2, 0)
    assert score_discs(uncertain, at(0, 10, 60), NAMES, AFFINE).false == 1  # nearer to the certain disc


def test_the_published_rules_look_along_the_column_alone_and_are_looser() -> None:
    """In pixels of 1.2 mm: missed beyond 8.4 mm, false beyond 12 mm; 40 mm to the front is no fault."""
    found = at(8.3, 38.5, 47.9) + np.array([(0, 40.0, 0), (0, 0, 0), (0, 0, 0)])
    legacy = score_discs(truth(), found, NAMES, AFFINE).legacy
    assert (legacy.truths, legacy.missed, legacy.false) == (3, 2, 1)
    assert legacy.along_mm == pytest.approx((8.3, 8.5, 12.1))
    assert legacy.distances_mm[0] == pytest.approx(38.5)  # the nearest in the plane is the second point
    assert legacy.distances_mm[1] == pytest.approx(8.5)


def test_nothing_found_is_missed_and_has_no_distance() -> None:
    score = score_discs(truth(), at(), (), AFFINE)
    assert (score.found, score.false, score.false_negative_rate) == (0, 0, 1)
    assert (score.legacy.missed, score.legacy.distances_mm) == (3, ())
    assert np.isnan(score.naming_rate)


def test_a_scan_without_any_disc_adds_nothing() -> None:
    empty = DiscPoints(discs=(), points_ras_mm=at(), certain=np.array([], dtype=bool))
    score = score_discs(empty, at(3, 9), (None, None), AFFINE)
    assert (score.truths, score.false, score.legacy.false) == (0, 0, 0)
    assert np.isnan(score.false_negative_rate)


def test_scores_add_up() -> None:
    one = score_discs(truth(), at(0, 31), (T12_L1, None), AFFINE)
    other = score_discs(truth(), at(0, 15, 60), (None, None, L2_L3), AFFINE)
    both = one + other
    assert (both.truths, both.found, both.false, both.named) == (6, 4, 1, 2)
    assert both.distances_mm == one.distances_mm + other.distances_mm
    assert both.legacy.missed == one.legacy.missed + other.legacy.missed == 2


def test_as_many_points_as_possible_are_matched() -> None:
    """Taking the nearest pair first, 5 at 4.9, would leave 0 without a point; a far pair breaks no near one."""
    rows, columns = match_points(at(0, 5), at(4.9, 9.9))
    assert list(zip(rows, columns, strict=True)) == [(0, 0), (1, 1)]
    rows, columns = match_points(at(0, 6), at(5, -9))
    assert list(zip(rows, columns, strict=True)) == [(1, 0)]


def test_the_centre_of_an_outlined_disc_is_that_of_its_mask_and_its_edge_lies_behind() -> None:
    """Two slices, of 10 x 4 and 10 x 8 mm; a third is uncertain and does not count."""

    def box(left: float, right: float, top: float, bottom: float) -> list[tuple[float, float]]:
        return [(top, right), (bottom, right), (bottom, left), (top, left)]

    outlines = DiscOutlines(
        corners=np.array([box(0, 10, 0, 4), box(0, 10, 0, 8), box(50, 60, 50, 60), box(0, 10, 30, 34)], dtype=float),
        slices=np.array([1, 2, 3, 2]),
        discs=np.array([L1_L2, L1_L2, L1_L2, L2_L3], dtype=object),
        certain=np.array([True, True, False, False]),
    )
    centres, edges = find_outline_points(outlines, AFFINE)
    assert centres.discs == (L1_L2, L2_L3)
    assert centres.certain.tolist() == [True, False]
    share = 2 / 3  # of the wider slice
    row, k = 2 / 3 * 4 + 1 / 3 * 2, 1 + share
    assert AFFINE.to_index(centres.points_ras_mm[0]) == pytest.approx([k, row, 5])
    assert AFFINE.to_index(edges.points_ras_mm[0]) == pytest.approx([k, row, 10])
    assert AFFINE.to_index(centres.points_ras_mm[1]) == pytest.approx([2, 32, 5])


def test_points_are_matched_one_to_one_and_only_when_near() -> None:
    marked = np.array([[0.0, 0, 0], [0, 0, 30], [0, 0, 60]])
    found = np.array([[0.0, 0, 31], [0, 0, 32], [0, 3, 0], [0, 0, 70]])
    rows, columns = match_points(marked, found)
    assert list(zip(rows, columns, strict=True)) == [(0, 2), (1, 0)]
    assert len(match_points(marked, np.empty((0, 3)))[0]) == 0
