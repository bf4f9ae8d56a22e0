"""Organs, bones and vessels lie on their sides and at their levels, in patients of every build."""

from functools import cache

import numpy as np
import pytest

from phantom.plans import upright_column, vertebra_of
from spondyl.anatomy.level import Level
from spondyl.phantom.surroundings.shapes import Paint
from spondyl.phantom.surroundings.surroundings import Surroundings, draw_surroundings
from spondyl.phantom.surroundings.wall import draw_habitus

SEEDS = range(3)
STEP_MM = 6.0


@cache
def patient(seed: int) -> Surroundings:
    return draw_surroundings(upright_column(), np.random.default_rng(seed))


@cache
def voxels(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Parts of a coarse grid around the whole patient, (n,), and its points, (n, 3) RAS mm."""
    column = upright_column()
    low_mm, high_mm = column.vertebrae[-1].centre_ras_mm[2] - 120, column.vertebrae[0].centre_ras_mm[2] + 120
    axes = (np.arange(-220, 221, STEP_MM), np.arange(-140, 221, STEP_MM), np.arange(low_mm, high_mm, STEP_MM))
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
    return patient(seed).paint(*points.T), points


def centre_of(seed: int, *paints: Paint) -> np.ndarray:
    """The middle of all voxels of some parts, (3,)."""
    ids, points = voxels(seed)
    return np.asarray(points[np.isin(ids, paints)].mean(axis=0))


def height_mm(level: Level) -> float:
    return float(vertebra_of(upright_column(), level).centre_ras_mm[2])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_liver_lies_to_the_right_and_the_spleen_to_the_left_below_the_diaphragm(seed: int) -> None:
    liver, spleen = centre_of(seed, Paint.LIVER), centre_of(seed, Paint.SPLEEN)
    assert liver[0] > 20
    assert spleen[0] < -40
    for organ in (liver, spleen):
        assert height_mm(Level.L4) < organ[2] < height_mm(Level.T7)


@pytest.mark.parametrize("seed", SEEDS)
def test_kidneys_lie_beside_the_upper_lumbar_spine_the_right_one_lower(seed: int) -> None:
    ids, points = voxels(seed)
    sides = [points[(ids == Paint.KIDNEY) & (points[:, 0] * side > 0)] for side in (1, -1)]
    right, left = (side.mean(axis=0) for side in sides)
    for kidney in (right, left):
        assert 30 < abs(kidney[0]) < 85
        assert height_mm(Level.L4) < kidney[2] < height_mm(Level.T11)
    assert right[2] < left[2] + 10


@pytest.mark.parametrize("seed", SEEDS)
def test_the_bladder_lies_in_the_pelvis_in_front(seed: int) -> None:
    ids, points = voxels(seed)
    bladder = points[(ids == Paint.URINE) & (points[:, 2] < height_mm(Level.L5))]
    assert len(bladder) > 5
    assert bladder[:, 2].max() < height_mm(Level.S1)
    assert abs(bladder[:, 0].mean()) < 15
    assert bladder[:, 1].mean() > vertebra_of(upright_column(), Level.S2).centre_ras_mm[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_both_lungs_fill_much_of_the_chest_and_the_left_one_leaves_room_for_the_heart(seed: int) -> None:
    ids, points = voxels(seed)
    litres = {side: (((ids == Paint.LUNG) & (points[:, 0] * side > 0)).sum() * STEP_MM**3) / 1e6 for side in (1, -1)}
    assert 0.5 < litres[-1] < 4
    assert 0.5 < litres[1] < 4


@pytest.mark.parametrize("seed", SEEDS)
def test_the_sternum_lies_in_front_of_the_chest_and_the_scapulae_behind_it(seed: int) -> None:
    ids, points = voxels(seed)
    bone = np.isin(ids, (Paint.BONE, Paint.MARROW))
    chest = (points[:, 2] < height_mm(Level.T4)) & (points[:, 2] > height_mm(Level.T7))
    lungs = points[(ids == Paint.LUNG) & chest]
    midline = points[bone & chest & (np.abs(points[:, 0]) < 15) & (points[:, 1] > 20)]
    assert midline[:, 1].mean() > np.quantile(lungs[:, 1], 0.9)
    lateral = points[bone & chest & (np.abs(points[:, 0]) > 70) & (points[:, 1] < 0)]
    assert len(lateral) > 10
    assert (lateral[:, 0] > 0).mean() == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_hips_are_as_much_on_the_left_as_on_the_right(seed: int) -> None:
    ids, points = voxels(seed)
    pelvis = np.isin(ids, (Paint.BONE, Paint.MARROW)) & (points[:, 2] < height_mm(Level.L5))
    sides = [(pelvis & (points[:, 0] * side > 40)).sum() for side in (1, -1)]
    assert min(sides) > 50
    assert sides[0] / sides[1] == pytest.approx(1, abs=0.1)


def test_the_trachea_lies_in_front_of_the_oesophagus() -> None:
    column, body = vertebra_of(upright_column(), Level.T2), patient(0)
    y = np.arange(0, 60, 0.5, dtype=np.float32)
    fan = [np.full_like(y, x) for x in np.arange(-8, 9, 1.0)]
    front = column.centre_ras_mm[1] + column.size.depth_mm / 2
    ids = np.array([body.paint(x, y + np.float32(front), np.full_like(y, column.centre_ras_mm[2])) for x in fan])
    airway, mucosa = np.argwhere(ids == Paint.AIR)[:, 1], np.argwhere(ids == Paint.MUCOSA)[:, 1]
    assert airway.size
    assert mucosa.size
    assert mucosa.mean() < airway.mean()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_brain_is_closed_in_by_bone_and_the_eyes_look_forward(seed: int) -> None:
    ids, points = voxels(seed)
    brain = points[np.isin(ids, (Paint.WHITE_MATTER, Paint.GREY_MATTER))]
    eyes = points[(ids == Paint.URINE) & (points[:, 2] > height_mm(Level.C1))]
    assert abs(brain[:, 0].mean()) < 5
    assert np.ptp(brain[:, 0]) == pytest.approx(135, abs=25)
    assert eyes[:, 1].min() > brain[:, 1].mean()
    assert {np.sign(x) for x in eyes[:, 0]} == {1, -1}
    bone = points[(ids == Paint.BONE) & (points[:, 2] > brain[:, 2].mean())]
    for axis in (0, 1):
        assert bone[:, axis].min() < brain[:, axis].min() + STEP_MM
        assert bone[:, axis].max() > brain[:, axis].max() - STEP_MM


@pytest.mark.parametrize("seed", SEEDS)
def test_about_as_much_of_a_patient_is_on_the_left_as_on_the_right(seed: int) -> None:
    ids, points = voxels(seed)
    inside = ids != Paint.AIR
    sides = [(inside & (points[:, 0] * side > 3)).sum() for side in (1, -1)]
    assert sides[0] / sides[1] == pytest.approx(1, abs=0.05)


def test_builds_vary_within_their_limits_and_fat_comes_with_a_larger_abdomen() -> None:
    drawn = [draw_habitus(np.random.default_rng(seed)) for seed in range(300)]
    assert all(0.4 <= build.fat <= 2.6 and 45 <= build.abdomen_mm <= 170 for build in drawn)
    assert all(90 <= build.chest_mm <= 160 and 0 <= build.fat_infiltration <= 1 for build in drawn)
    fat, abdomen = [build.fat for build in drawn], [build.abdomen_mm for build in drawn]
    assert np.corrcoef(fat, abdomen)[0, 1] > 0.6
    assert np.median(fat) == pytest.approx(1, abs=0.1)
