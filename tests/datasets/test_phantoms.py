"""Phantoms as exams: what is kept is what was drawn, and bodies that the image cuts are uncertain."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from spondyl.anatomy.level import Level
from spondyl.datasets.phantoms import _variant, load_phantoms, make_phantoms, outline_bodies
from spondyl.datasets.source import Exam
from spondyl.geometry.affine import Affine
from spondyl.phantom.column.column import Column, place_column
from spondyl.phantom.column.draw import draw_plan
from spondyl.phantom.options import Variant
from spondyl.phantom.scanner.protocol import FieldOfView
from spondyl.phantom.scanner.sequence import PulseSequence

SEED = 1  # the second field of view, lumbar


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    make_phantoms(folder, [SEED])
    return folder


@pytest.fixture(scope="module")
def exams(kept: Path) -> list[Exam]:
    return load_phantoms(kept, [SEED])[FieldOfView.LUMBAR]


@cache
def column() -> Column:
    return place_column(draw_plan(np.random.default_rng(4), scoliosis_cobb_deg=0.0))


def stack_around(level: Level, rows: int) -> tuple[Affine, tuple[int, int, int]]:
    """Fifteen sagittal slices of 4 mm, with the vertebra in the middle of so many rows of 1 mm."""
    centre = next(v.centre_ras_mm for v in column().vertebrae if v.level is level)
    axes = np.array([(-1.0, 0, 0), (0, 0, -1.0), (0, -1.0, 0)]).T
    shape = (15, rows, 160)
    half = axes @ ((np.array(shape) - 1) / 2 * (4.0, 1.0, 1.0))
    return Affine.from_axes(axes, (4.0, 1.0, 1.0), centre - half), shape


@pytest.mark.slow
def test_contrasts_of_a_patient_share_their_truth_and_differ_in_their_greys(exams: list[Exam]) -> None:
    first, second = exams
    assert np.array_equal(first.outlines.corners, second.outlines.corners)
    assert first.stack.affine.matrix.tolist() == second.stack.affine.matrix.tolist()
    assert abs(np.corrcoef(first.stack.voxels.ravel(), second.stack.voxels.ravel())[0, 1]) < 0.98
    assert 0 <= first.stack.voxels.min() < 5 < 200 < first.stack.voxels.max() <= 255


@pytest.mark.slow
def test_the_contrasts_of_a_patient_can_be_chosen_and_leave_the_patient_as_it_is(
    exams: list[Exam], tmp_path: Path
) -> None:
    make_phantoms(tmp_path, [SEED], contrasts=(None, PulseSequence.T1_TSE, PulseSequence.T2_TSE))
    drawn, t1, t2 = load_phantoms(tmp_path, [SEED])[FieldOfView.LUMBAR]
    assert np.array_equal(drawn.stack.voxels, exams[0].stack.voxels)
    assert np.array_equal(t1.outlines.corners, t2.outlines.corners)
    canal, bodies = (brightness(t1, t2, place) for place in (behind, within))
    assert canal[0] < bodies[0]  # CSF beside marrow: dark in T1, bright in T2
    assert canal[1] > bodies[1]


def within(corners: np.ndarray) -> np.ndarray:
    return corners.mean(0)


def behind(corners: np.ndarray) -> np.ndarray:
    """Half a body's depth behind the body, in the canal."""
    posterior, anterior = corners[:2].mean(0), corners[2:].mean(0)
    return posterior + 0.25 * (posterior - anterior)


def brightness(one: Exam, other: Exam, place: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """The median grey of both at a place by each lumbar body, in its middle slice."""
    found = []
    for body in one.bodies().values():
        middle = len(body.slices) // 2
        row, column = place(body.outlines[middle]).round().astype(int)
        found.append([exam.stack.voxels[body.slices[middle], row, column] for exam in (one, other)])
    greys = np.median(found, axis=0)
    return float(greys[0]), float(greys[1])


def test_a_lumbar_phantom_shows_lumbar_bodies_in_order(exams: list[Exam]) -> None:
    bodies = exams[0].bodies()
    assert {Level.L2, Level.L3, Level.L4} <= set(bodies)
    rows = [body.centroid_index[1] for body in bodies.values()]
    assert rows == sorted(rows)


def test_half_of_the_patients_have_a_variant_where_a_scan_can_identify_it() -> None:
    made = [_variant(seed) for seed in range(64)]
    assert {one for field in (0, 3) for one in made[field::4]} == {None}  # cervical and thoracic
    for field, variants in ((1, (Variant.L4, Variant.L6)), (2, (Variant.T11, Variant.T13, Variant.L4, Variant.L6))):
        assert made[field::4].count(None) == 8
        assert {one: made[field::4].count(one) for one in variants} == dict.fromkeys(variants, 8 // len(variants))


def test_what_exists_is_not_made_again(kept: Path) -> None:
    (path,) = kept.iterdir()
    before = path.stat().st_mtime_ns
    make_phantoms(kept, [SEED])
    assert path.stat().st_mtime_ns == before


def test_bodies_that_the_image_cuts_are_uncertain_and_those_outside_are_absent() -> None:
    outlines = outline_bodies(column(), *stack_around(Level.T8, rows=60))
    certain = {level for level, sure in zip(outlines.levels, outlines.certain, strict=True) if sure}
    named = set(outlines.levels)
    assert Level.T8 in certain
    assert certain < named
    assert not {Level.T5, Level.T11} & named
    for corners, sure in zip(outlines.corners, outlines.certain, strict=True):
        inside = (corners > -0.5).all() and (corners < (59.5, 159.5)).all()
        assert inside or not sure


def test_lateral_slices_are_uncertain_before_they_are_empty() -> None:
    outlines = outline_bodies(column(), *stack_around(Level.L3, rows=60))
    own = outlines.levels == Level.L3
    sure, uncertain = outlines.slices[own & outlines.certain], outlines.slices[own & ~outlines.certain]
    assert len(sure) >= 7
    assert len(uncertain) >= 1
    assert set(uncertain) <= {sure.min() - 1, sure.max() + 1}


def test_neither_the_atlas_nor_the_lower_sacrum_is_outlined() -> None:
    whole = outline_bodies(column(), *stack_around(Level.T8, rows=1200))
    assert Level.C2 in whole.levels
    assert Level.S1 in whole.levels
    assert not {Level.C1, Level.S2} & set(whole.levels)
