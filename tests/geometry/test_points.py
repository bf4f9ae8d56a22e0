"""Landmarks are points with a score each, and nothing else."""

import numpy as np
import pytest

from spondyl.errors import SettingError
from spondyl.geometry.points import Landmarks


def test_landmarks_are_as_many_as_their_points() -> None:
    assert len(Landmarks(points_ras_mm=np.zeros((3, 3)), scores=np.ones(3))) == 3
    assert len(Landmarks(points_ras_mm=np.empty((0, 3)), scores=np.empty(0))) == 0


@pytest.mark.parametrize(("points", "scores"), [((2, 3), (3,)), ((3, 2), (3,)), ((3,), (3,)), ((3, 3), (3, 1))])
def test_points_and_scores_that_do_not_fit_are_refused(points: tuple[int, ...], scores: tuple[int, ...]) -> None:
    with pytest.raises(SettingError, match=r"landmarks need points \(n, 3\) and scores \(n,\), got"):
        Landmarks(points_ras_mm=np.zeros(points), scores=np.zeros(scores))


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(SettingError, match="must be finite"):
        Landmarks(points_ras_mm=np.full((1, 3), np.nan), scores=np.zeros(1))
    with pytest.raises(SettingError, match="must be finite"):
        Landmarks(points_ras_mm=np.zeros((1, 3)), scores=np.full(1, np.inf))
