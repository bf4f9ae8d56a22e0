"""The measures of the removal of false points, worked out by hand."""

import numpy as np
import pytest

from spondyl.errors import SettingError
from spondyl.metrics.candidates import MEASURES, mean_score, score_kept

DISCS = np.array([True, True, True, False, False])


def test_the_measures_of_one_image_are_those_of_their_definitions():
    score = score_kept(np.array([True, True, False, True, False]), DISCS)
    np.testing.assert_allclose(score.values, [2 / 3, 3 / 5, 1 / 2, 2 / 3, 7 / 12])
    assert len(MEASURES) == len(score.values)


def test_keeping_nothing_has_no_f1_and_an_image_without_false_points_all_specificity():
    assert score_kept(np.zeros(5, dtype=bool), DISCS).f1 == 0
    assert score_kept(np.ones(3, dtype=bool), np.ones(3, dtype=bool)).values.tolist() == [1] * 5


def test_an_image_counts_once_whatever_its_number_of_points():
    good, bad = score_kept(DISCS, DISCS), score_kept(np.array([False]), np.array([True]))
    np.testing.assert_allclose(mean_score([good, bad, bad, bad]).values, [0.25, 0.25, 1, 0.25, 0.625])


def test_images_without_discs_and_means_of_nothing_are_refused():
    with pytest.raises(SettingError, match="without discs"):
        score_kept(np.ones(2, dtype=bool), np.zeros(2, dtype=bool))
    with pytest.raises(SettingError, match="an image or more"):
        mean_score([])
