"""What is wrong with phantoms is as frequent as published, and changes a column as its cause would."""

import csv
from dataclasses import fields, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from phantom.plans import a_plan
from real_data import DATA, needs_real_data
from spondyl.anatomy.disc import Disc, discs_of
from spondyl.anatomy.level import Level, Region
from spondyl.anatomy.numbering import NUMBERINGS, REGULAR
from spondyl.errors import SettingError
from spondyl.phantom.pathology import frequencies
from spondyl.phantom.pathology.draw import apply_slip, draw_fracture, draw_pathology
from spondyl.phantom.pathology.pathology import DiscState, Fracture, FractureKind, Pathology, apply_pathology

PATIENTS = 400
SPIDER_PLACES = 7
MOBILE = discs_of(REGULAR)[:-1][::-1]
"""From below, as SPIDER counts."""
NOTHING = Pathology(discs={disc: DiscState() for disc in discs_of(REGULAR)}, fractures={})


@cache
def patients(severity: float | None = None, count: int = PATIENTS) -> tuple[Pathology, ...]:
    rng = np.random.default_rng(1)
    plan = a_plan()
    return tuple(draw_pathology(rng, plan, severity=severity) for _ in range(count))


def graded(drawn: tuple[Pathology, ...], places: int = SPIDER_PLACES) -> np.ndarray:
    """SPIDER's gradings of the lowest discs, (patient, place, finding): its columns without patient and label."""
    return np.array([[gradings(patient.discs[disc]) for disc in MOBILE[:places]] for patient in drawn])


def gradings(state: DiscState) -> tuple[int, ...]:
    return (
        max(state.upper_modic, state.lower_modic),
        state.upper_endplate_defect,
        state.lower_endplate_defect,
        state.slip_mm >= 3,
        state.herniation_mm > 0,
        state.narrowing > 0,
        state.bulge_mm > 0,
        state.pfirrmann,
    )


@cache
def spider() -> np.ndarray:
    """(disc, column): patient, place from 1, then the gradings."""
    with (DATA / "gradings" / "spider_gradings.csv").open(newline="", encoding="utf-8") as stream:
        rows = np.array([[int(cell) for cell in row] for row in list(csv.reader(stream))[1:]])
    return rows[(rows[:, 1] >= 1) & (rows[:, 1] <= SPIDER_PLACES)]


def with_disc(name: str, state: DiscState) -> Pathology:
    return replace(NOTHING, discs={**NOTHING.discs, Disc.from_name(name): state})


# Laws


def test_a_healthy_patient_has_nothing_and_nothing_changes() -> None:
    plan = a_plan()
    drawn = draw_pathology(np.random.default_rng(0), plan, severity=0)
    assert drawn == NOTHING
    changed = apply_pathology(plan, drawn)
    for field in fields(plan):
        assert np.array_equal(getattr(changed, field.name), getattr(plan, field.name)), field.name


def test_the_same_generator_gives_the_same_patient_and_every_numbering_has_all_its_discs() -> None:
    for numbering in NUMBERINGS:
        plan = a_plan(numbering)
        first, again = (draw_pathology(np.random.default_rng(5), plan) for _ in range(2))
        assert first == again
        assert tuple(first.discs) == discs_of(numbering)


def test_what_does_not_move_does_not_wear() -> None:
    sacral = Disc(Level.S1, Level.S2)
    assert all(patient.discs[sacral] == DiscState() for patient in patients())


def test_the_more_severe_the_worse_the_discs() -> None:
    means = [graded(patients(severity, 60))[..., -1].mean() for severity in (0.05, 0.5, 0.95)]
    assert means[0] < means[1] - 0.5 < means[2] - 1


def test_every_grade_has_its_cause() -> None:
    for state in (state for patient in patients() for state in patient.discs.values()):
        low, high = ((0.9, 1), (0.7, 0.85), (0.5, 0.7), (0.3, 0.5))[state.narrowing]
        assert low <= state.height_factor <= high
        stenosis = np.searchsorted((0.59, 0.71, 0.85), state.canal_factor, side="right")
        assert state.central_stenosis == 3 - stenosis
        assert state.slip_mm == 0 or state.slip_mm >= 3
        assert state.herniation_mm == 0 or abs(state.herniation_right_mm) > 0
        for node in state.schmorl_nodes:
            assert state.lower_endplate_defect if node.is_below else state.upper_endplate_defect
        if state.pfirrmann == 1 and not state.narrowing:
            assert state.height_factor == 1


def test_fractures_lose_what_their_grade_says() -> None:
    rng = np.random.default_rng(2)
    drawn = [draw_fracture(rng) for _ in range(500)]
    for fracture in drawn:
        low, high = ((0.2, 0.25), (0.25, 0.4), (0.4, 0.6))[fracture.grade - 1]
        assert low <= fracture.loss <= high
    kinds = [np.mean([fracture.kind is kind for fracture in drawn]) for kind in FractureKind]
    assert kinds == pytest.approx(frequencies.FRACTURE_KINDS, abs=0.07)
    asked = draw_fracture(rng, kind=FractureKind.CRUSH, grade=3)
    assert (asked.kind, asked.grade) == (FractureKind.CRUSH, 3)


def test_a_wedge_loses_its_front_a_crush_all_and_a_biconcave_its_middle() -> None:
    plan = a_plan()
    at = plan.numbering.levels.index(Level.L1)
    before = plan.sizes[at]
    sizes = {}
    for kind in FractureKind:
        fracture = Fracture(kind=kind, grade=2, loss=0.3, is_recent=False)
        changed = apply_pathology(plan, replace(NOTHING, fractures={Level.L1: fracture}))
        sizes[kind] = changed.sizes[at]
        assert changed.sizes[:at] + changed.sizes[at + 1 :] == plan.sizes[:at] + plan.sizes[at + 1 :]
    assert sizes[FractureKind.WEDGE] == replace(before, anterior_height_mm=0.7 * before.anterior_height_mm)
    crushed = replace(before, anterior_height_mm=0.7 * 28, posterior_height_mm=0.7 * 28)
    assert sizes[FractureKind.CRUSH] == crushed
    sunk = 2 * (sizes[FractureKind.BICONCAVE].concavity_mm - before.concavity_mm)
    assert sunk == pytest.approx(0.3 * 28)


def test_a_wedge_makes_the_column_kyphotic_by_its_angle_and_leaves_the_discs_as_they_were() -> None:
    plan = a_plan()
    fracture = Fracture(kind=FractureKind.WEDGE, grade=2, loss=0.3, is_recent=False)
    changed = apply_pathology(plan, replace(NOTHING, fractures={Level.T8: fracture}))
    angle_deg = 2 * np.degrees(np.arctan(0.3 * 20 / 2 / 28))
    turned = changed.sagittal_deg - plan.sagittal_deg
    at = plan.numbering.levels.index(Level.T8)
    np.testing.assert_allclose(turned[:at] - turned[at], angle_deg / 2)
    np.testing.assert_allclose(turned[at] - turned[at + 1 :], angle_deg / 2)
    assert turned.mean() == pytest.approx(0, abs=1e-12)
    assert changed.angles.thoracic_kyphosis_deg - plan.angles.thoracic_kyphosis_deg == pytest.approx(angle_deg)
    assert changed.angles.lumbar_lordosis_deg == pytest.approx(plan.angles.lumbar_lordosis_deg)
    assert changed.angles.sacral_slope_deg - 38 == pytest.approx(turned[-2])


def test_a_narrowed_disc_loses_height_and_its_share_of_the_lordosis() -> None:
    plan = a_plan()
    changed = apply_pathology(plan, with_disc("L4/L5", DiscState(pfirrmann=5, narrowing=2, height_factor=0.5)))
    at = plan.numbering.levels.index(Level.L4)
    assert changed.discs[at] == replace(plan.discs[at], anterior_height_mm=4.0, posterior_height_mm=3.0)
    lost_deg = 2 * np.degrees(np.arctan(1 / 35) - np.arctan(0.5 / 35))
    assert plan.angles.lumbar_lordosis_deg - changed.angles.lumbar_lordosis_deg == pytest.approx(lost_deg)
    steps = np.diff(changed.sagittal_deg - plan.sagittal_deg)
    assert steps[at] == pytest.approx(-lost_deg)
    np.testing.assert_allclose(np.delete(steps, at), 0, atol=1e-12)


def test_a_slip_goes_to_the_disc_below_the_vertebra_that_slips() -> None:
    changed = apply_pathology(a_plan(), with_disc("L5/S1", DiscState(slip_mm=7.0)))
    slips = {pair: disc.slip_mm for pair, disc in zip(pairwise(REGULAR.levels), changed.discs, strict=True)}
    assert {pair: slip for pair, slip in slips.items() if slip} == {(Level.L5, Level.S1): 7.0}


def test_a_slip_takes_its_share_of_the_canal_and_gives_it_back() -> None:
    state = DiscState(pfirrmann=4, canal_factor=0.95)
    slipped = apply_slip(state, 10.0, canal_depth_mm=16.0)
    assert slipped.canal_factor == pytest.approx(0.95 - 0.4 * 10 / 16)
    assert (slipped.slip_mm, slipped.central_stenosis) == (10.0, 2)
    assert apply_slip(slipped, 0.0, canal_depth_mm=16.0).canal_factor == pytest.approx(0.95)


# Frequencies


@pytest.mark.parametrize(
    "table", [frequencies.PFIRRMANN_BY_PLACE, frequencies.NARROWING, frequencies.ENDPLATES, frequencies.MODIC_TYPES]
)
def test_probabilities_sum_to_one(table: np.ndarray) -> None:
    np.testing.assert_allclose(table.sum(axis=-1), 1, atol=0.002)


def test_discs_are_graded_as_often_as_the_tables_say() -> None:
    drawn = graded(patients(), 8)[..., -1]
    shares = np.stack([(drawn == grade).mean(axis=0) for grade in range(1, 6)], axis=1)
    np.testing.assert_allclose(shares, frequencies.PFIRRMANN_BY_PLACE, atol=0.08)  # 3 deviations of 400 patients
    neck = [np.mean([patient.discs[Disc(Level.C5, Level.C6)].pfirrmann == g for patient in patients()]) for g in (4, 5)]
    assert neck == pytest.approx([0.20, 0.10], abs=0.06)


@needs_real_data
def test_findings_are_as_frequent_as_in_spider_at_each_place_and_grade() -> None:
    real, drawn = spider(), graded(patients()).reshape(-1, 8)
    places = np.tile(np.arange(1, SPIDER_PLACES + 1), PATIENTS)
    for finding in range(7):
        for place in range(1, SPIDER_PLACES + 1):
            share = (real[real[:, 1] == place][:, 2 + finding] > 0).mean()
            assert (drawn[places == place][:, finding] > 0).mean() == pytest.approx(share, abs=0.1)
        for grade in range(1, 6):
            share = (real[real[:, 9] == grade][:, 2 + finding] > 0).mean()
            assert (drawn[drawn[:, 7] == grade][:, finding] > 0).mean() == pytest.approx(share, abs=0.1)


@needs_real_data
def test_discs_of_a_patient_resemble_each_other_as_in_spider() -> None:
    real = spider()
    whole = [rows for rows in (real[real[:, 0] == p] for p in np.unique(real[:, 0])) if len(rows) == SPIDER_PLACES]
    in_order = np.stack([rows[np.argsort(rows[:, 1]), 2:] for rows in whole])
    drawn = graded(patients())
    difference = correlations(drawn[..., -1]) - correlations(in_order[..., -1])
    assert np.abs(difference).max() < 0.22
    assert abs(difference.mean()) < 0.06
    for finding in (0, 1, 2, 5, 6):
        spread, true = ((cases[..., finding] > 0).sum(axis=1).std() for cases in (drawn, in_order))
        assert spread == pytest.approx(true, rel=0.15)


def correlations(grades: np.ndarray) -> np.ndarray:
    """Rank correlation between the discs of a patient."""
    from scipy.stats import rankdata

    return np.corrcoef(rankdata(grades, axis=0), rowvar=False)


@pytest.mark.slow
def test_fractures_screws_and_stenoses_are_as_rare_as_published() -> None:
    rng, plan = np.random.default_rng(3), a_plan()
    drawn = [*patients(), *(draw_pathology(rng, plan) for _ in range(500))]
    assert np.mean([bool(patient.fractures) for patient in drawn]) == pytest.approx(0.054, abs=0.02)
    assert np.mean([bool(patient.screws) for patient in drawn]) == pytest.approx(0.015, abs=0.01)
    broken = [level for patient in drawn for level in patient.fractures]
    assert np.mean([Level.T7.rank <= level.rank <= Level.L2.rank for level in broken]) > 0.6
    severe = [max(patient.discs[disc].central_stenosis for disc in MOBILE[:5]) for patient in drawn]
    assert np.mean(np.array(severe) >= 2) == pytest.approx(0.225, abs=0.06)
    assert np.mean(np.array(severe) >= 3) == pytest.approx(0.073, abs=0.04)


def test_screws_are_in_neighbours_of_the_lumbar_spine_and_where_they_are_asked_for() -> None:
    fixed = [patient.screws for patient in patients() if patient.screws]
    for levels in fixed:
        assert np.diff([REGULAR.levels.index(level) for level in levels]).tolist() == [1] * (len(levels) - 1)
        assert {level.region for level in levels} <= {Region.LUMBAR, Region.SACRAL}
    asked = draw_pathology(np.random.default_rng(0), a_plan(), severity=0, screws=(Level.L4, Level.L5))
    assert asked == replace(NOTHING, screws=(Level.L4, Level.L5))


# Refusals


def test_impossible_requests_are_refused_by_name_and_range() -> None:
    rng, plan = np.random.default_rng(0), a_plan()
    for severity in (-0.1, 1.1, float("nan")):
        with pytest.raises(SettingError, match="severity must be in 0 to 1"):
            draw_pathology(rng, plan, severity=severity)
    for level in (Level.L6, Level.C4):
        with pytest.raises(SettingError, match=f"screws must be in thoracic.*got {level}"):
            draw_pathology(rng, plan, screws=(level,))
    with pytest.raises(SettingError, match="grade of a fracture must be 1, 2 or 3, got 4"):
        draw_fracture(rng, grade=4)
