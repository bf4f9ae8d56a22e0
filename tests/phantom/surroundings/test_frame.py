"""Curves, points and noise of the surroundings: look-ups agree with interpolation, boxes with a loop."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phantom.plans import upright_column
from spondyl.anatomy.level import Level
from spondyl.phantom.column.column import place_column
from spondyl.phantom.column.draw import draw_plan
from spondyl.phantom.surroundings.frame import STEP_MM, Guide, Points, atlas_canal_ras_mm, draw_waves, make_guide

LEVELS = ("C1", "C4", "C7", "T1", "T6", "T12", "L1", "L3", "L5", "S1", "S2")


@cache
def guide() -> Guide:
    return make_guide(upright_column())


@cache
def scoliotic() -> Guide:
    return make_guide(place_column(draw_plan(np.random.default_rng(2), scoliosis_cobb_deg=40.0)))


def some_points(n: int = 500, seed: int = 0) -> Points:
    x, y, z = np.random.default_rng(seed).uniform(-60, 60, (3, n)).astype(np.float32)
    return Points(x=x, y=y, z=z, row=guide().row(z))


# Rows and levels


@given(st.floats(-150, 350))
def test_a_row_is_the_nearest_one(height_mm: float) -> None:
    row = guide().row(np.array([height_mm]))[0]
    assert abs(guide().heights_mm[row] - height_mm) <= STEP_MM / 2 + 1e-3


def test_beyond_its_ends_a_guide_keeps_its_last_rows() -> None:
    assert guide().row(np.array([-1e5, 1e5])).tolist() == [0, guide().place.size - 1]


@pytest.mark.parametrize("curves", [guide(), scoliotic()], ids=["upright", "scoliotic"])
def test_places_fall_with_height_and_levels_lie_in_order(curves: Guide) -> None:
    assert (np.diff(curves.place) <= 0).all()
    heights = [curves.height_mm(level) for level in ("O", *LEVELS, "Co")]
    assert heights == sorted(heights, reverse=True)


def test_levels_lie_at_the_middles_of_their_vertebrae() -> None:
    for vertebra in upright_column().vertebrae:
        if vertebra.level.value in LEVELS:
            assert guide().height_mm(vertebra.level.value) == pytest.approx(vertebra.centre_ras_mm[2], abs=STEP_MM)


@given(st.sampled_from(LEVELS), st.floats(0, 3))
def test_going_down_by_levels_lowers_the_height(level: str, levels: float) -> None:
    assert guide().height_mm(level, levels) <= guide().height_mm(level)
    assert guide().height_mm(level, -levels) >= guide().height_mm(level)


def test_a_curve_runs_near_its_values_and_stays_constant_beyond_them() -> None:
    table = {"C4": 10.0, "T6": 30.0, "L3": 20.0}
    curve = guide().curve_through(table)
    for level, value in table.items():
        assert guide().at(curve, level) == pytest.approx(value, abs=0.6)  # smoothed by 5 mm
    assert guide().at(curve, "C1") == pytest.approx(10.0, abs=0.1)
    assert guide().at(curve, "S2") == pytest.approx(20.0, abs=0.1)
    middle = guide().at(curve, "T1")
    assert 10 < middle < 30
    assert curve.min() >= 10 - 1e-4
    assert curve.max() <= 30 + 1e-4


def test_the_order_of_a_table_does_not_matter() -> None:
    table = {"C4": 10.0, "T6": 30.0, "L3": 20.0}
    backward = dict(reversed(table.items()))
    np.testing.assert_array_equal(guide().curve_through(table), guide().curve_through(backward))


def test_rows_between_two_levels_have_their_heights() -> None:
    rows = guide().is_between("T6", "L3")
    heights = guide().heights_mm[rows]
    assert heights.max() == pytest.approx(guide().height_mm("T6"), abs=STEP_MM)
    assert heights.min() == pytest.approx(guide().height_mm("L3"), abs=STEP_MM)
    assert np.diff(np.flatnonzero(rows)).max() == 1


# Curves along the column


def test_a_straight_spine_has_a_straight_midline_without_twist() -> None:
    assert np.abs(guide().midline_mm).max() == pytest.approx(0, abs=1e-5)
    assert np.abs(guide().twist).max() == pytest.approx(0, abs=1e-6)
    assert np.abs(scoliotic().midline_mm).max() > 5


def test_curves_keep_the_order_of_anatomy_at_every_height_of_the_column() -> None:
    for curves in (guide(), scoliotic()):
        rows = curves.is_between("C3", "S1")
        for behind, before in pairwise((curves.tip_mm, curves.canal_mm, curves.back_mm, curves.front_mm)):
            assert (behind[rows] < before[rows]).all()


def test_an_upright_column_has_the_depth_of_its_bodies_between_front_and_back() -> None:
    for vertebra in upright_column().vertebrae:
        if vertebra.level in (Level.C4, Level.T6, Level.L3):
            row = guide().row(vertebra.centre_ras_mm[2:])[0]
            assert guide().front_mm[row] - guide().back_mm[row] == pytest.approx(vertebra.size.depth_mm, abs=0.3)
            assert guide().half_width_mm[row] == pytest.approx(vertebra.size.upper_width_mm / 2, abs=1.0)


def test_the_canal_of_the_atlas_lies_behind_its_dens() -> None:
    atlas = upright_column().vertebrae[0]
    right, anterior, superior = atlas.to_local(atlas_canal_ras_mm(atlas))
    assert (right, superior) == pytest.approx((0, 0))
    assert anterior == pytest.approx(-8 - atlas.size.canal_depth_mm / 2)


def test_mirroring_a_column_mirrors_its_midline_and_nothing_else() -> None:
    plan = draw_plan(np.random.default_rng(2), scoliosis_cobb_deg=40.0)
    mirrored = make_guide(place_column(replace(plan, coronal_deg=-plan.coronal_deg, axial_deg=-plan.axial_deg)))
    np.testing.assert_allclose(mirrored.midline_mm, -scoliotic().midline_mm, atol=1e-3)
    np.testing.assert_allclose(mirrored.twist, -scoliotic().twist, atol=1e-5)
    for name in ("front_mm", "back_mm", "canal_mm", "tip_mm", "axis_mm", "place"):
        np.testing.assert_allclose(getattr(mirrored, name), getattr(scoliotic(), name), atol=1e-2)


# Points


def test_points_in_a_box_are_those_that_a_loop_finds() -> None:
    points, box = some_points(), np.array([(-20, -30, -10), (40, 10, 35)])
    expected = [
        i
        for i, point in enumerate(zip(points.x, points.y, points.z, strict=True))
        if all(low < value < high for low, value, high in zip(box[0], point, box[1], strict=True))
    ]
    assert points.inside(box).tolist() == expected
    assert 0 < len(expected) < len(points.x)


def test_taken_points_keep_their_coordinates_and_lie_in_their_box() -> None:
    points = some_points()
    chosen = points.take(np.array([5, 3, 8]))
    assert chosen.x.tolist() == points.x[[5, 3, 8]].tolist()
    assert chosen.row.tolist() == points.row[[5, 3, 8]].tolist()
    low, high = points.box_mm()
    assert points.inside(np.array([low - 1, high + 1])).size == points.x.size


# Noise


def test_noise_is_a_sum_of_sinusoids_point_by_point() -> None:
    waves, points = draw_waves(np.random.default_rng(1), 30.0, 30.0, 60.0), some_points(50)
    for i in range(50):
        place = np.array([points.x[i], points.y[i], points.z[i]], dtype=np.float64)
        total = sum(np.sin(place @ vector + phase) for vector, phase in zip(waves.vectors, waves.phases, strict=True))
        assert waves.at(points)[i] == pytest.approx(total * np.sqrt(2 / 6), abs=1e-3)


def test_wavelengths_are_as_asked_for_along_each_axis() -> None:
    waves = draw_waves(np.random.default_rng(0), 10.0, 20.0, 40.0, count=400)
    typical = np.sqrt((waves.vectors.astype(float) ** 2).mean(axis=0))
    assert typical[0] / typical[1] == pytest.approx(2, rel=0.15)
    assert typical[1] / typical[2] == pytest.approx(2, rel=0.15)
    isotropic = draw_waves(np.random.default_rng(0), 10.0, count=400)
    lengths_mm = 2 * np.pi / np.linalg.norm(isotropic.vectors, axis=1)
    assert 10 / 1.4 - 1e-3 <= lengths_mm.min() < lengths_mm.max() <= 10 / 0.6 + 1e-3


def test_the_same_seed_draws_the_same_noise() -> None:
    first, again, other = (draw_waves(np.random.default_rng(seed), 30.0).at(some_points()) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
