"""The backdrop of a phantom: what lies where around the spine."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from spondyl.anatomy.level import Level
from spondyl.phantom.column import Column, place
from spondyl.phantom.column_draw import draw_plan
from spondyl.phantom.surroundings import Surroundings, draw_surroundings
from spondyl.phantom.surroundings_shapes import Paint


def column(seed: int) -> Column:
    return place(draw_plan(np.random.default_rng(seed)))


def patient(seed: int) -> Surroundings:
    return draw_surroundings(column(seed), np.random.default_rng(seed))


def scattered(around: Column, n: int, seed: int = 0) -> list[NDArray[np.float32]]:
    centres = np.array([vertebra.centre_ras_mm for vertebra in around.vertebrae])
    margin = np.array([230, 200, 150])
    low, high = centres.min(axis=0) - margin, centres.max(axis=0) + margin
    return list(np.random.default_rng(seed).uniform(low, high, (n, 3)).astype(np.float32).T)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_point_is_one_of_the_parts(seed: int) -> None:
    backdrop = patient(seed)
    ids = backdrop.paint(*scattered(column(seed), 50_000))
    assert ids.dtype == np.uint16
    assert ids.max() < len(backdrop.parts)


def test_the_same_seed_is_the_same_patient_and_another_is_another() -> None:
    points = scattered(column(3), 40_000)
    first = patient(3).paint(*points)
    assert np.array_equal(first, patient(3).paint(*points))
    other = draw_surroundings(column(3), np.random.default_rng(99)).paint(*points)
    assert (first != other).mean() > 0.03


def test_points_one_by_one_are_painted_as_together() -> None:
    backdrop, points = patient(4), scattered(column(4), 300)
    together = backdrop.paint(*points)
    alone = [int(backdrop.paint(*(axis[i : i + 1] for axis in points))[0]) for i in range(300)]
    assert together.tolist() == alone


def test_open_axes_are_painted_as_the_full_grid() -> None:
    backdrop = patient(5)
    right, anterior, superior = (np.linspace(-100, 100, n, dtype=np.float32) for n in (7, 40, 50))
    full = np.meshgrid(right, anterior, superior, indexing="ij")
    opened = backdrop.paint(right[:, None, None], anterior[:, None], superior)
    assert np.array_equal(opened, backdrop.paint(*full))


@pytest.mark.parametrize("seed", range(4))
def test_there_is_no_air_at_the_vertebrae_and_only_air_far_from_them(seed: int) -> None:
    spine, backdrop = column(seed), patient(seed)
    centres = np.array([vertebra.centre_ras_mm for vertebra in spine.vertebrae], dtype=np.float32)
    assert (backdrop.paint(*centres.T) != Paint.AIR).all()
    for axis, away in ((0, 350), (0, -350), (1, 350), (1, -250), (2, 700)):
        far = centres.copy()
        far[:, axis] += away
        assert (backdrop.paint(*far.T) == Paint.AIR).all() or axis == 2


def of(spine: Column, level: Level) -> NDArray[np.float64]:
    return next(vertebra.centre_ras_mm for vertebra in spine.vertebrae if vertebra.level is level)
