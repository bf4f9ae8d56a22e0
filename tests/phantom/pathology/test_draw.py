"""Drawn pathology: grades follow their causes in order, and the mean tilt of a patient is kept."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phantom.plans import a_plan
from spondyl.anatomy.disc import Disc, discs_of
from spondyl.anatomy.level import Level, Region
from spondyl.anatomy.numbering import REGULAR
from spondyl.phantom.column.column import place_column
from spondyl.phantom.pathology.draw import apply_slip, draw_fracture, draw_pathology
from spondyl.phantom.pathology.pathology import DiscState, Fracture, FractureKind, Pathology, apply_pathology

HEALTHY = Pathology(discs={disc: DiscState() for disc in discs_of(REGULAR)}, fractures={})


@cache
def patients() -> tuple[Pathology, ...]:
    rng, plan = np.random.default_rng(8), a_plan()
    return tuple(draw_pathology(rng, plan, severity=severity) for severity in np.linspace(0.02, 0.98, 60))


def states() -> list[tuple[Disc, DiscState]]:
    return [pair for patient in patients() for pair in patient.discs.items()]


# Slips


@given(st.floats(0, 15), st.floats(0, 15), st.floats(12, 25))
def test_a_longer_slip_leaves_less_of_the_canal_and_a_higher_grade(first: float, more: float, depth_mm: float) -> None:
    near, far = (apply_slip(DiscState(), slip, depth_mm) for slip in (first, first + more))
    assert far.canal_factor <= near.canal_factor
    assert far.central_stenosis >= near.central_stenosis
    assert 0.3 <= far.canal_factor <= 1


@given(st.floats(0, 15), st.floats(0.3, 1))
def test_the_same_slip_twice_is_the_slip_once(slip_mm: float, canal_factor: float) -> None:
    once = apply_slip(DiscState(canal_factor=canal_factor), slip_mm, 17.0)
    assert apply_slip(once, slip_mm, 17.0) == once


def test_a_slip_keeps_everything_else_of_the_disc() -> None:
    state = DiscState(pfirrmann=4, narrowing=2, height_factor=0.6, bulge_mm=2.0, upper_modic=2)
    slipped = apply_slip(state, 5.0, 17.0)
    changed = {"slip_mm", "canal_factor", "central_stenosis"}
    for name in set(DiscState.__dataclass_fields__) - changed:
        assert getattr(slipped, name) == getattr(state, name)


# Causes and grades


def test_worse_discs_have_more_of_everything() -> None:
    by_grade = {grade: [state for _, state in states() if state.pfirrmann == grade] for grade in (1, 3, 5)}
    for measure in (
        lambda state: 1 - state.height_factor,
        lambda state: state.bulge_mm > 0,
        lambda state: 1 - state.canal_factor,
        lambda state: state.upper_endplate_defect + state.lower_endplate_defect,
        lambda state: max(state.upper_modic, state.lower_modic) > 0,
    ):
        means = [np.mean([measure(state) for state in group]) for group in by_grade.values()]
        assert means[0] < means[1] < means[2]


def test_a_disc_narrows_its_foramina_and_a_slip_too() -> None:
    narrowed = {
        grade: [max(state.left_foraminal_stenosis, state.right_foraminal_stenosis) for _, state in states()
                if state.narrowing == grade and not state.slip_mm]
        for grade in range(4)
    }  # fmt: skip
    means = [np.mean(values) for values in narrowed.values()]
    assert means == sorted(means)
    assert max(narrowed[0]) == 0


def test_protrusions_stay_inside_the_canal_and_small_discs_have_small_ones() -> None:
    for disc, state in states():
        assert 0 <= state.bulge_mm < 4
        canal_mm = {Region.CERVICAL: 14.0, Region.THORACIC: 15.0, Region.LUMBAR: 17.0, Region.SACRAL: 16.0}
        assert state.herniation_mm <= 0.6 * canal_mm[disc.upper.region] + 1e-9
    bulges = {
        region: [state.bulge_mm for disc, state in states() if disc.upper.region is region and state.bulge_mm]
        for region in (Region.CERVICAL, Region.LUMBAR)
    }
    assert max(bulges[Region.CERVICAL]) < 0.6 * max(bulges[Region.LUMBAR])


def test_the_thoracic_canal_hardly_ever_narrows() -> None:
    narrowed = {
        region: np.mean([state.central_stenosis >= 2 for disc, state in states() if disc.upper.region is region])
        for region in (Region.THORACIC, Region.LUMBAR)
    }
    assert narrowed[Region.THORACIC] < 0.02 < narrowed[Region.LUMBAR]


def test_every_schmorl_node_fits_an_endplate_of_its_disc() -> None:
    nodes = [(disc, node) for disc, state in states() for node in state.schmorl_nodes]
    assert nodes
    for _, node in nodes:
        assert 0 < node.depth_mm <= 6
        assert 0 < node.radius_mm <= 7


def test_severity_moves_every_factor_of_a_patient() -> None:
    plan = a_plan()
    mild, severe = (draw_pathology(np.random.default_rng(0), plan, severity=severity) for severity in (0.1, 0.9))
    for measure in (
        lambda state: state.pfirrmann,
        lambda state: 1 - state.height_factor,
        lambda state: state.upper_endplate_defect,
    ):
        assert np.mean([measure(s) for s in mild.discs.values()]) < np.mean([measure(s) for s in severe.discs.values()])


# Applied to a column


@pytest.mark.parametrize("index", [0, 20, 40, 59])
def test_any_pathology_keeps_the_mean_tilt_and_the_scoliosis_of_a_patient(index: int) -> None:
    plan = replace(a_plan(), coronal_deg=np.linspace(-8, 8, len(a_plan().sizes)))
    changed = apply_pathology(plan, patients()[index])
    assert changed.sagittal_deg.mean() == pytest.approx(plan.sagittal_deg.mean())
    np.testing.assert_array_equal(changed.coronal_deg, plan.coronal_deg)
    assert changed.numbering is plan.numbering


@pytest.mark.parametrize("index", [0, 20, 40, 59])
def test_a_patient_becomes_shorter_by_what_discs_and_bodies_lose(index: int) -> None:
    plan, patient = a_plan(), patients()[index]
    changed = apply_pathology(plan, patient)

    def sum_mm(of: object) -> float:
        return sum(disc.height_mm for disc in of.discs) + sum(size.height_mm for size in of.sizes)  # type: ignore[attr-defined]

    lost_mm = sum(
        (1 - patient.discs[Disc(upper, lower)].height_factor) * 7.0
        for upper, lower in zip(REGULAR.levels[1:], REGULAR.levels[2:], strict=False)
    )
    in_bodies_mm = sum(
        before.height_mm - after.height_mm for before, after in zip(plan.sizes, changed.sizes, strict=True)
    )
    assert sum_mm(plan) - sum_mm(changed) == pytest.approx(lost_mm + in_bodies_mm)
    assert in_bodies_mm >= 0


@given(st.floats(0.2, 0.55), st.floats(0.01, 0.05))
def test_a_deeper_wedge_makes_more_kyphosis(loss: float, more: float) -> None:
    def kyphosis_deg(loss: float) -> float:
        fracture = Fracture(kind=FractureKind.WEDGE, grade=2, loss=loss, is_recent=False)
        changed = apply_pathology(a_plan(), replace(HEALTHY, fractures={Level.T9: fracture}))
        return changed.angles.thoracic_kyphosis_deg

    assert kyphosis_deg(loss + more) > kyphosis_deg(loss)


def test_two_fractures_add_their_angles() -> None:
    wedge = Fracture(kind=FractureKind.WEDGE, grade=2, loss=0.3, is_recent=False)
    plan = a_plan()

    def gained_deg(*levels: Level) -> float:
        changed = apply_pathology(plan, replace(HEALTHY, fractures=dict.fromkeys(levels, wedge)))
        return changed.angles.thoracic_kyphosis_deg - plan.angles.thoracic_kyphosis_deg

    assert gained_deg(Level.T7, Level.T9) == pytest.approx(gained_deg(Level.T7) + gained_deg(Level.T9))


def test_a_biconcave_body_never_sinks_through() -> None:
    fracture = Fracture(kind=FractureKind.BICONCAVE, grade=3, loss=0.6, is_recent=False)
    changed = apply_pathology(a_plan(), replace(HEALTHY, fractures=dict.fromkeys(REGULAR.levels[2:-2], fracture)))
    for size in changed.sizes:
        assert 2 * size.concavity_mm < min(size.anterior_height_mm, size.posterior_height_mm)


def test_a_slip_measured_between_placed_bodies_is_the_one_applied() -> None:
    at = REGULAR.levels.index(Level.L4)
    disc = Disc(Level.L4, Level.L5)
    slipped = replace(HEALTHY, discs={**HEALTHY.discs, disc: DiscState(slip_mm=9.0)})
    forward = []
    for pathology in (HEALTHY, slipped):
        upper, lower = place_column(apply_pathology(a_plan(), pathology)).vertebrae[at : at + 2]
        gap = upper.endplate_centre(upper=False) - lower.endplate_centre(upper=True)
        axis = upper.axes[:, 1] + lower.axes[:, 1]
        forward.append(gap @ axis / np.linalg.norm(axis))
    assert forward[1] - forward[0] == pytest.approx(9.0)


def test_grades_of_fractures_span_all_of_genants_and_a_third_are_recent() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_fracture(rng) for _ in range(300)]
    assert {fracture.grade for fracture in drawn} == {1, 2, 3}
    assert np.mean([fracture.is_recent for fracture in drawn]) == pytest.approx(0.3, abs=0.1)
