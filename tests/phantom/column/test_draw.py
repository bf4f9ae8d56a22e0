"""Columns as drawn: angles measured back from the placed vertebrae, mirror images, and published variation."""

from dataclasses import replace

import numpy as np
import pytest

from phantom.plans import drawn_plans
from spondyl.anatomy.level import Level, Region
from spondyl.anatomy.numbering import NUMBERINGS, REGULAR, Numbering
from spondyl.phantom.column.column import (
    Column,
    ColumnPlan,
    Transition,
    corners_ras_mm,
    disc_depth_mm,
    place_column,
)
from spondyl.phantom.column.draw import draw_plan


def a_column(seed: int, **asked: object) -> Column:
    return place_column(draw_plan(np.random.default_rng(seed), **asked))  # type: ignore[arg-type]


def centres(column: Column) -> np.ndarray:
    return np.array([vertebra.centre_ras_mm for vertebra in column.vertebrae])


def by_level(plan: ColumnPlan, name: str) -> dict[Level, float]:
    return {level: getattr(size, name) for level, size in zip(plan.numbering.levels, plan.sizes, strict=True)}


# Measured back


@pytest.mark.parametrize("cobb_deg", [0.0, 12.0, 35.0, 80.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_cobb_angle_measured_on_the_endplates_is_the_one_asked_for(seed: int, cobb_deg: float) -> None:
    plan = draw_plan(np.random.default_rng(seed), scoliosis_cobb_deg=cobb_deg)
    column = place_column(replace(plan, axial_deg=np.zeros(len(plan.sizes))))
    right = np.array([vertebra.axes[:, 0] for vertebra in column.vertebrae])
    tilts_deg = np.degrees(np.arctan2(-right[:, 2], right[:, 0]))
    assert np.ptp(tilts_deg) == pytest.approx(cobb_deg, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_a_slip_measured_between_bodies_is_the_slip_of_the_disc(seed: int) -> None:
    plan = draw_plan(np.random.default_rng(seed))
    flat = np.zeros(len(plan.sizes))
    column = place_column(replace(plan, sagittal_deg=flat, coronal_deg=flat, axial_deg=flat))
    steps = np.diff(centres(column), axis=0)
    assert -steps[:, 1] == pytest.approx([disc.slip_mm for disc in plan.discs])
    spacing = [
        upper.height_mm / 2 + disc.height_mm + lower.height_mm / 2
        for upper, disc, lower in zip(plan.sizes, plan.discs, plan.sizes[1:], strict=False)
    ]
    assert -steps[:, 2] == pytest.approx(spacing)


@pytest.mark.parametrize("seed", range(3))
def test_the_lordosis_measured_on_corners_is_the_one_of_the_plan(seed: int) -> None:
    column = a_column(seed, scoliosis_cobb_deg=0.0)
    tilts = {}
    for vertebra in column.vertebrae:
        back, front = corners_ras_mm(vertebra)[[0, 3]]
        tilts[vertebra.level] = np.degrees(np.arctan2(back[2] - front[2], front[1] - back[1]))
    angles = column.plan.angles
    assert tilts[Level.S1] == pytest.approx(angles.sacral_slope_deg, abs=0.05)
    assert tilts[Level.S1] - tilts[Level.L1] == pytest.approx(angles.lumbar_lordosis_deg, abs=0.1)


# Mirror, turn and scale


@pytest.mark.parametrize("seed", range(3))
def test_a_mirrored_scoliosis_is_the_mirror_image_of_the_column(seed: int) -> None:
    plan = draw_plan(np.random.default_rng(seed), scoliosis_cobb_deg=40.0)
    mirrored = place_column(replace(plan, coronal_deg=-plan.coronal_deg, axial_deg=-plan.axial_deg))
    flip = np.diag([-1.0, 1, 1])
    np.testing.assert_allclose(centres(mirrored), centres(place_column(plan)) @ flip, atol=1e-9)
    for vertebra, other in zip(mirrored.vertebrae, place_column(plan).vertebrae, strict=True):
        np.testing.assert_allclose(vertebra.axes, flip @ other.axes @ flip, atol=1e-12)


def test_without_scoliosis_every_vertebra_lies_in_the_midline() -> None:
    plan = draw_plan(np.random.default_rng(1), scoliosis_cobb_deg=0.0)
    column = place_column(replace(plan, axial_deg=np.zeros(len(plan.sizes))))
    assert np.abs(centres(column)[:, 0]).max() < 1e-9


@pytest.mark.parametrize("angle_deg", [-30.0, 7.0, 25.0])
def test_tilting_every_vertebra_tilts_the_column_as_a_whole(angle_deg: float) -> None:
    plan = draw_plan(np.random.default_rng(2))
    flat = np.zeros(len(plan.sizes))
    sagittal = replace(plan, coronal_deg=flat, axial_deg=flat)
    tilted = place_column(replace(sagittal, sagittal_deg=sagittal.sagittal_deg + angle_deg))
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turn = np.array([(1, 0, 0), (0, c, s), (0, -s, c)])  # lowers the front
    np.testing.assert_allclose(centres(tilted), centres(place_column(sagittal)) @ turn.T, atol=1e-9)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_column_of_larger_parts_is_larger_by_as_much(factor: float) -> None:
    plan = draw_plan(np.random.default_rng(3))

    def scaled(values: tuple) -> tuple:
        return tuple(
            replace(value, **{name: factor * getattr(value, name) for name in value.__dataclass_fields__})
            for value in values
        )

    large = place_column(replace(plan, sizes=scaled(plan.sizes), discs=scaled(plan.discs)))
    np.testing.assert_allclose(centres(large), factor * centres(place_column(plan)), atol=1e-9)


@pytest.mark.parametrize("numbering", NUMBERINGS, ids=lambda numbering: numbering.name)
def test_every_numbering_is_one_column_from_head_to_foot(numbering: Numbering) -> None:
    column = a_column(0, numbering=numbering)
    assert tuple(vertebra.level for vertebra in column.vertebrae) == numbering.levels
    assert (np.diff(centres(column)[:, 2]) < 0).all()


# Variation


def test_the_size_of_patients_varies_as_published() -> None:
    regular = [plan for plan in drawn_plans() if plan.numbering is REGULAR]
    sizes = [np.log(np.mean(list(by_level(plan, "anterior_height_mm").values()))) for plan in regular]
    # one size for all (0.056), one deviation of heights (0.02), and what neighbours share
    assert np.std(sizes) == pytest.approx(np.hypot(0.056, 0.02), rel=0.15)


def test_large_patients_are_large_everywhere() -> None:
    regular = [plan for plan in drawn_plans() if plan.numbering is REGULAR]
    depth = [np.log(by_level(plan, "upper_depth_mm")[Level.L3]) for plan in regular]
    width = [np.log(by_level(plan, "pedicle_distance_mm")[Level.T8]) for plan in regular]
    assert np.corrcoef(depth, width)[0, 1] > 0.2


def test_the_canal_always_fits_between_the_pedicles() -> None:
    for plan in drawn_plans():
        for size in plan.sizes:
            assert size.pedicle_distance_mm >= size.canal_width_mm + 0.6 * size.pedicle_width_mm - 1e-9


def test_steps_between_healthy_bodies_are_small_and_none_is_in_the_sacrum_or_at_the_atlas() -> None:
    shares = []
    for plan in drawn_plans():
        for i, level in enumerate(plan.numbering.levels[:-1]):
            slip = plan.discs[i].slip_mm / disc_depth_mm(plan.sizes[i], plan.sizes[i + 1])
            if level is Level.C1 or level.region is Region.SACRAL:
                assert slip == 0
            else:
                shares.append(slip)
    assert np.std(shares) == pytest.approx(0.02, rel=0.05)
    assert np.mean(shares) == pytest.approx(0, abs=0.001)


def test_some_seven_percent_of_the_columns_are_scoliotic_and_none_is_beyond_45_degrees() -> None:
    cobbs = np.array([plan.angles.scoliosis_cobb_deg for plan in drawn_plans()])
    assert cobbs.min() >= 1
    assert cobbs.max() <= 45
    assert np.mean(cobbs >= 10) == pytest.approx(0.07, abs=0.06)  # four deviations of 300 columns


def test_thoracic_curves_mostly_bend_to_the_right() -> None:
    right = []
    for seed in range(60):
        column = a_column(seed, scoliosis_cobb_deg=40.0)
        aside = centres(column)[:, 0] - np.linspace(*centres(column)[[0, -1], 0], len(column.vertebrae))
        apex = column.vertebrae[int(np.argmax(np.abs(aside)))].level
        if Level.T6.rank <= apex.rank <= Level.T10.rank:
            right.append(aside[np.argmax(np.abs(aside))] > 0)
    assert len(right) > 15
    assert np.mean(right) > 0.65


def test_a_transition_changes_nothing_above_the_transitional_vertebra() -> None:
    regular, changed = (
        draw_plan(np.random.default_rng(5), numbering=REGULAR, transition=transition)
        for transition in (Transition.NONE, Transition.LUMBARISED)
    )
    first = REGULAR.levels.index(Level.S1)
    assert changed.sizes[:first] == regular.sizes[:first]
    assert changed.discs[: first - 1] == regular.discs[: first - 1]
    assert changed.sizes[first] != regular.sizes[first]
