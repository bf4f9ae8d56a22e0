"""The backdrop of a phantom: what lies where around the spine."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import NUMBERINGS, Numbering
from spondyl.phantom.column.column import Column, place_column
from spondyl.phantom.column.draw import draw_plan
from spondyl.phantom.surroundings.frame import Guide, Points, draw_waves, make_guide
from spondyl.phantom.surroundings.shapes import Paint, PaintedEllipsoid, Shell, make_longitudinal_tube, paint_shapes
from spondyl.phantom.surroundings.surroundings import Surroundings, draw_surroundings
from spondyl.phantom.surroundings.wall import Habitus, draw_layers

SEEDS = range(3)


@cache
def column(seed: int) -> Column:
    return place_column(draw_plan(np.random.default_rng(seed)))


@cache
def patient(seed: int) -> Surroundings:
    return draw_surroundings(column(seed), np.random.default_rng(seed))


def centres(seed: int) -> NDArray[np.float32]:
    return np.array([vertebra.centre_ras_mm for vertebra in column(seed).vertebrae], dtype=np.float32)


def centre(seed: int, level: Level) -> NDArray[np.float32]:
    return next(vertebra.centre_ras_mm for vertebra in column(seed).vertebrae if vertebra.level is level).astype(
        np.float32
    )


def scattered(seed: int, n: int) -> list[NDArray[np.float32]]:
    margin = np.array([230, 200, 150])
    low, high = centres(seed).min(axis=0) - margin, centres(seed).max(axis=0) + margin
    return list(np.random.default_rng(seed).uniform(low, high, (n, 3)).astype(np.float32).T)


def section(seed: int, level: Level) -> tuple[NDArray[np.uint16], NDArray[np.float32], NDArray[np.float32]]:
    """An axial section through a level: parts, and distances to the right and in front of the body's middle."""
    right, anterior = np.meshgrid(*(np.arange(-260, 261, 2, dtype=np.float32),) * 2, indexing="ij")
    middle = centre(seed, level)
    ids = patient(seed).paint(right + middle[0], anterior + middle[1], np.full_like(right, middle[2]))
    return ids, right, anterior


@pytest.mark.parametrize("seed", SEEDS)
def test_every_point_is_one_of_the_parts(seed: int) -> None:
    ids = patient(seed).paint(*scattered(seed, 30_000))
    assert ids.dtype == np.uint16
    assert ids.max() < len(patient(seed).parts) == len(Paint)


def test_no_two_parts_are_the_same() -> None:
    assert len(set(patient(0).parts)) == len(Paint)


def test_the_same_seed_is_the_same_patient_and_another_is_another() -> None:
    points = scattered(3, 30_000)
    first = draw_surroundings(column(3), np.random.default_rng(3)).paint(*points)
    assert np.array_equal(first, patient(3).paint(*points))
    other = draw_surroundings(column(3), np.random.default_rng(99)).paint(*points)
    assert (first != other).mean() > 0.03


def test_points_one_by_one_are_painted_as_together() -> None:
    points = scattered(4, 200)
    together = patient(4).paint(*points)
    alone = [int(patient(4).paint(*(axis[i : i + 1] for axis in points))[0]) for i in range(200)]
    assert together.tolist() == alone


def test_open_axes_are_painted_as_the_full_grid() -> None:
    axes = [np.linspace(-100, 100, n, dtype=np.float32) for n in (7, 40, 50)]
    opened = patient(2).paint(axes[0][:, None, None], axes[1][:, None], axes[2])
    assert np.array_equal(opened, patient(2).paint(*np.meshgrid(*axes, indexing="ij")))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_vertebra_lies_in_air_and_far_away_there_is_nothing_else(seed: int) -> None:
    assert (patient(seed).paint(*centres(seed).T) != Paint.AIR).all()
    for away in ((350, 0, 0), (-350, 0, 0), (0, 350, 0), (0, -280, 0)):
        assert (patient(seed).paint(*(centres(seed) + np.float32(away)).T) == Paint.AIR).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_going_out_through_the_skin_there_is_only_air_beyond(seed: int) -> None:
    for level in (Level.C5, Level.T4, Level.T9, Level.L2, Level.S1):
        ids, _, _ = section(seed, level)
        for lines in (ids, ids.T):
            for line in lines[::8]:
                skin = np.flatnonzero(line == Paint.SKIN)
                body = np.flatnonzero(line != Paint.AIR)
                if body.size:
                    assert skin.size
                    assert (body[0], body[-1]) == (skin[0], skin[-1])


@pytest.mark.parametrize("seed", SEEDS)
def test_behind_the_spinous_processes_come_fat_and_skin_within_some_centimetres(seed: int) -> None:
    for level, nearest_mm, farthest_mm in (
        (Level.C4, 25, 85),
        (Level.T6, 30, 95),
        (Level.L3, 45, 125),
    ):
        ids, right, anterior = section(seed, level)
        behind = (np.abs(right) < 3) & (ids == Paint.SKIN) & (anterior < 0)
        from_body_mm = -anterior[behind]
        assert nearest_mm < from_body_mm.min()
        assert from_body_mm.max() < farthest_mm


@pytest.mark.parametrize("seed", SEEDS)
def test_the_aorta_lies_in_front_of_the_lumbar_bodies_to_their_left_and_the_vena_cava_to_their_right(seed: int) -> None:
    ids, right, anterior = section(seed, Level.L2)
    near = (np.abs(right) < 35) & (anterior > 10) & (anterior < 45)
    aorta, cava = (near & (ids == paint) for paint in (Paint.ARTERY, Paint.VEIN))
    assert right[aorta].mean() < 0 < right[cava].mean()
    assert 150 < 4 * aorta.sum() < 900  # mm2; a diameter of 14 to 30 mm with the mesenteric artery


@pytest.mark.parametrize("seed", SEEDS)
def test_lungs_are_in_the_chest_only_and_beside_the_column(seed: int) -> None:
    points = scattered(seed, 100_000)
    lung = patient(seed).paint(*points) == Paint.LUNG
    heights = points[2][lung]
    assert centre(seed, Level.L3)[2] < heights.min()
    assert heights.max() < centre(seed, Level.C6)[2]
    ids, right, _ = section(seed, Level.T7)
    assert np.abs(right[ids == Paint.LUNG]).min() > 3
    assert (ids == Paint.LUNG).mean() > 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_the_airway_runs_in_front_of_the_neck(seed: int) -> None:
    for level in (Level.C5, Level.C7, Level.T2):
        ids, right, anterior = section(seed, level)
        airway = (ids == Paint.AIR) & (np.hypot(right, anterior - 30) < 20)
        assert airway.any()
        assert anterior[airway].min() > 8


@pytest.mark.parametrize("seed", SEEDS)
def test_brain_lies_above_the_atlas_and_psoas_beside_the_lumbar_bodies(seed: int) -> None:
    points = scattered(seed, 100_000)
    ids = patient(seed).paint(*points)
    brain = np.isin(ids, (Paint.GREY_MATTER, Paint.WHITE_MATTER))
    assert points[2][brain].min() > centre(seed, Level.C1)[2] - 20
    axial, right, anterior = section(seed, Level.L4)
    for side in (1, -1):
        beside = np.hypot(right - side * 46, anterior - 3) < 8
        assert (axial[beside] == Paint.MUSCLE).mean() > 0.6


def habitus(fat: float) -> Habitus:
    return Habitus(fat=fat, abdomen_mm=80, chest_mm=120, breadth=1, muscle=1, fat_infiltration=0.3)


def test_who_has_more_fat_has_a_thicker_layer_of_it() -> None:
    guide = make_guide(column(1))
    height = np.full(400, guide.height_mm("L3"), dtype=np.float32)
    y = np.linspace(-200, 0, 400, dtype=np.float32) + np.float32(guide.at(guide.canal_mm, "L3"))
    points = Points(x=np.zeros(400, dtype=np.float32), y=y, z=height, row=guide.row(height))
    thickness = []
    for fat in (0.5, 1.0, 2.0):
        ids = np.zeros(400, dtype=np.uint16)
        draw_layers(guide, habitus(fat), np.random.default_rng(0)).paint(points, ids)
        thickness.append(int((ids == Paint.FAT).sum()))
    assert thickness == sorted(set(thickness))


@pytest.mark.parametrize("seed", SEEDS)
def test_curves_pass_the_bodies_walls_and_the_canal(seed: int) -> None:
    guide, spine = make_guide(column(seed)), column(seed)
    for vertebra in spine.vertebrae[2:-1]:
        row = guide.row(vertebra.centre_ras_mm[2:])[0]
        half = (vertebra.size.upper_depth_mm + vertebra.size.lower_depth_mm) / 4 / vertebra.axes[1, 1]
        tolerance = 3 + 6 * abs(vertebra.axes[2, 1])  # a tilted body is longer across than it is deep
        assert guide.front_mm[row] == pytest.approx(vertebra.centre_ras_mm[1] + half, abs=tolerance)
        assert guide.back_mm[row] == pytest.approx(vertebra.centre_ras_mm[1] - half, abs=tolerance)
        assert guide.tip_mm[row] < guide.canal_mm[row] < guide.back_mm[row] < guide.front_mm[row]


@pytest.mark.parametrize("numbering", NUMBERINGS, ids=lambda numbering: numbering.name)
def test_the_ends_of_chest_and_loins_keep_their_places_in_every_numbering(numbering: Numbering) -> None:
    spine = place_column(draw_plan(np.random.default_rng(0), numbering=numbering))
    guide = make_guide(spine)
    for letter, level in (("T", "T12"), ("L", "L5")):
        last = [vertebra for vertebra in spine.vertebrae if vertebra.level.value.startswith(letter)][-1]
        assert guide.height_mm(level) == pytest.approx(last.centre_ras_mm[2], abs=0.6)


def test_waves_have_no_mean_and_unit_variance() -> None:
    rng = np.random.default_rng(0)
    x, y, z = rng.uniform(-3000, 3000, (3, 200_000)).astype(np.float32)
    values = draw_waves(rng, 40.0).at(Points(x=x, y=y, z=z, row=np.zeros(len(x), dtype=np.intp)))
    assert values.mean() == pytest.approx(0, abs=0.02)
    assert values.std() == pytest.approx(1, abs=0.02)


def grid(guide: Guide, height_mm: float) -> Points:
    x, y = (axis.ravel() for axis in np.meshgrid(*(np.arange(-60, 60.5, 1, dtype=np.float32),) * 2))
    z = np.full_like(x, height_mm)
    return Points(x=x, y=y + np.float32(guide.at(guide.front_mm, "L2")), z=z, row=guide.row(z))


def test_a_tube_has_the_area_of_its_ellipse_and_ends_at_its_levels() -> None:
    guide = make_guide(column(0))
    tube = make_longitudinal_tube(guide, Paint.ARTERY, guide.front_mm, {"L1": (-5, 3, 10, 20), "L3": (-5, 3, 10, 20)})
    for levels_below, area in ((0.0, np.pi * 10 * 20), (2.5, 0.0)):
        points = grid(guide, guide.height_mm("L2", levels_below))
        ids = np.zeros(points.x.size, dtype=np.uint16)
        paint_shapes([tube], points, ids)
        assert (ids == Paint.ARTERY).sum() == pytest.approx(area, rel=0.03)


@pytest.mark.parametrize("pitch_deg", [0.0, 35.0])
def test_a_box_holds_its_ellipsoid_and_no_more(pitch_deg: float) -> None:
    solid = PaintedEllipsoid(part=Paint.LIVER, centre_mm=(5, -10, 3), radii_mm=(20, 40, 10), pitch_deg=pitch_deg)
    x, y, z = np.random.default_rng(0).uniform(-60, 60, (3, 400_000)).astype(np.float32)
    points = Points(x=x, y=y, z=z, row=np.zeros(x.size, dtype=np.intp))
    inside = points.take(np.flatnonzero(solid.radius2(points) < 1))
    np.testing.assert_allclose(inside.box_mm(), solid.box_mm, atol=1.5)
    assert inside.inside(solid.box_mm).size == inside.x.size


def test_a_shell_is_an_ellipse_or_nearly_a_rectangle() -> None:
    curve = np.ones(1, dtype=np.float32)
    x, y = (axis.ravel() for axis in np.meshgrid(*(np.linspace(-1, 1, 401, dtype=np.float32),) * 2))
    points = Points(x=30 * x, y=20 * y, z=x, row=np.zeros(x.size, dtype=np.intp))
    for square, share in ((0.0, np.pi / 4), (1.0, 1.0)):
        shell = Shell(front_mm=20 * curve, back_mm=-20 * curve, half_width_mm=30 * curve, square=square)
        assert (shell.within(points) >= 0).mean() == pytest.approx(share, abs=0.01)
