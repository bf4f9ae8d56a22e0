"""A phantom is what was asked for, and its truth agrees with its picture, its masks and the anatomy."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from phantoms import lumbar, made
from spondyl.anatomy.codes import VERSE, Subregion, disc_code, verse_code
from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.geometry.resample import to_sagittal
from spondyl.imaging.volume import Modality
from spondyl.phantom.column.column import Transition
from spondyl.phantom.options import PhantomOptions
from spondyl.phantom.pathology.pathology import FractureKind
from spondyl.phantom.patient import (
    Phantom,
    _find_centres_in_view,
    _vote_centres,
    draw_protocol,
    make_paint_grid,
    make_patient,
    make_phantom,
)
from spondyl.phantom.scanner.protocol import FieldOfView, MrProtocol
from spondyl.phantom.scene.material import Tissue
from spondyl.phantom.scene.scene import Part, voxelise
from spondyl.phantom.scene.tissue_table import get_material
from spondyl.phantom.truth import make_masks


def code_at(phantom: Phantom, mask: np.ndarray, point_ras_mm: np.ndarray) -> int:
    """The mask's code in the voxel around a point."""
    i, j, k = np.round(phantom.volume.affine.to_index(point_ras_mm)).astype(int)
    return int(mask[i, j, k])


def levels_of(phantom: Phantom) -> list[str]:
    return [str(vertebra.level) for vertebra in phantom.truth.vertebrae]


# Laws


def test_the_same_options_give_the_same_phantom_and_another_seed_another_one() -> None:
    first = made(seed=4, sequence="t2")
    again = make_phantom(first.options)
    assert np.array_equal(again.volume.voxels, first.volume.voxels)
    assert np.array_equal(again.truth.masks.subregions, first.truth.masks.subregions)
    assert made(seed=6, variant="regular").truth.angles != first.truth.angles


@pytest.mark.slow
def test_one_seed_is_one_patient_however_it_is_scanned() -> None:
    scans = [made(seed=4, sequence="t2"), made(seed=4, sequence="t1"), made(seed=4, modality="ct")]
    for scan in scans[1:]:
        assert scan.truth.angles == scans[0].truth.angles
        shared = {v.level: v.centroid_ras_mm for v in scan.truth.vertebrae}
        for vertebra in scans[0].truth.vertebrae:
            if vertebra.level in shared:
                np.testing.assert_array_equal(shared[vertebra.level], vertebra.centroid_ras_mm)
    assert scans[0].volume.voxels.mean() != scans[1].volume.voxels.mean()
    assert scans[2].volume.modality is Modality.CT


def test_masks_and_points_agree() -> None:
    phantom = lumbar()
    masks = phantom.truth.masks
    assert masks.instances.shape == masks.subregions.shape == phantom.volume.voxels.shape
    for vertebra in phantom.truth.vertebrae:
        assert code_at(phantom, masks.instances, vertebra.centroid_ras_mm) == verse_code(vertebra.level)
        is_sacral = vertebra.level in (Level.S1, Level.S2)
        assert code_at(phantom, masks.subregions, vertebra.centroid_ras_mm) == (26 if is_sacral else 49)
        for pedicle in () if vertebra.pedicles_ras_mm is None else vertebra.pedicles_ras_mm:
            assert code_at(phantom, masks.instances, pedicle) == verse_code(vertebra.level)
    for disc in phantom.truth.discs:
        assert code_at(phantom, masks.instances, disc.centre_ras_mm) == disc_code(disc.disc)
        assert code_at(phantom, masks.subregions, disc.centre_ras_mm) == 101
        backward = disc.posterior_edge_ras_mm - disc.centre_ras_mm
        assert (
            code_at(phantom, masks.subregions, disc.centre_ras_mm - 0.92 * backward) == 100
        )  # the nucleus lies behind
        assert code_at(phantom, masks.instances, disc.centre_ras_mm + 0.9 * backward) == disc_code(disc.disc)
        assert code_at(phantom, masks.subregions, disc.centre_ras_mm + 1.35 * backward) in (0, 60, 61)


def test_left_and_right_are_the_patients() -> None:
    phantom = lumbar()
    where = phantom.volume.affine
    for left, right in ((43, 44), (45, 46), (47, 48)):
        sides = [
            where.to_world(np.argwhere(phantom.truth.masks.subregions == code)).mean(axis=0)[0]
            for code in (left, right)
        ]
        assert sides[0] < -3 < 3 < sides[1]
    pedicles = [v.pedicles_ras_mm for v in phantom.truth.vertebrae if v.pedicles_ras_mm is not None]
    assert all(right[0] > left[0] for right, left in pedicles)


def test_outlines_cover_the_bodies_of_the_mask() -> None:
    """In the middle slice; between the corners a body is waisted and its endplates are hollow."""
    from skimage.draw import polygon2mask

    phantom = lumbar()
    stack, _ = to_sagittal(phantom.volume.voxels, phantom.volume.affine)
    np.testing.assert_array_equal(stack.affine.matrix, phantom.truth.stack_affine.matrix)
    middle = phantom.volume.voxels.shape[0] // 2
    bodies = phantom.truth.masks.subregions[middle] == 49
    drawn = np.zeros_like(bodies)
    for vertebra in phantom.truth.vertebrae:
        if vertebra.instance is None or vertebra.level in (Level.S1, Level.S2):
            continue
        outline = vertebra.instance.outlines[vertebra.instance.slices.index(middle)]
        drawn |= polygon2mask(bodies.shape, outline)
        np.testing.assert_allclose(outline.mean(axis=0), stack.affine.to_index(vertebra.centroid_ras_mm)[1:], atol=2)
    bodies[: np.argwhere(drawn)[:, 0].min()] = False  # of the vertebra above, whose middle is out of view
    assert (bodies & drawn).sum() > 0.98 * bodies.sum()
    assert 0.8 * drawn.sum() < bodies.sum() < 0.95 * drawn.sum()


def test_water_is_bright_in_t2_where_the_mask_says_canal_and_marrow_is_darker() -> None:
    phantom = lumbar()
    voxels, subregions = phantom.volume.voxels, phantom.truth.masks.subregions
    means = {code: voxels[subregions == code].mean() for code in (49, 61, 100, 101)}
    assert means[61] > 1.3 * means[49]
    assert means[101] > 1.5 * means[100]  # a healthy nucleus holds water


def test_ct_shows_bone_in_hounsfield_units() -> None:
    phantom = made(modality="ct", seed=4, severity=0)
    masks = phantom.truth.masks
    assert 80 < np.median(phantom.volume.voxels[masks.subregions == 49]) < 400
    assert phantom.volume.voxels.min() >= -1024
    assert phantom.volume.affine.directions[2, 2] > 0.99


# What was asked for


@pytest.mark.parametrize(
    ("field", "first", "last"), [("cervical", "C1", "T2"), ("thoracic", "T1", "T12"), ("whole", "C1", "S2")]
)
def test_a_field_of_view_shows_its_region(field: str, first: str, last: str) -> None:
    seen = levels_of(made(field=field, seed=3, cobb_deg=30.0))
    assert {first, last} <= set(seen)
    assert seen == [level.value for level in Level if level.value in seen]


@pytest.mark.parametrize(("variant", "pair"), [("L6", "L6/S1"), ("L4", "L4/S1"), ("T13", "T13/L1"), ("T11", "T11/L1")])
def test_a_variants_vertebrae_and_discs_are_named_and_painted(variant: str, pair: str) -> None:
    phantom = made(variant=variant, seed=6)
    disc = Disc.from_name(pair)
    assert disc in [truth.disc for truth in phantom.truth.discs]
    painted = set(np.unique(phantom.truth.masks.instances).tolist())
    assert {verse_code(disc.upper), verse_code(disc.lower), disc_code(disc)} <= painted
    assert [pair for pair in pairwise(levels_of(phantom)) if pair == (disc.upper, disc.lower)]
    assert set(levels_of(phantom)) <= {VERSE[code].value for code in painted if code in VERSE} | {"S2"}


def test_only_a_lumbarised_s1_has_a_disc_below_it() -> None:
    sacral = Disc(Level.S1, Level.S2)
    for variant, transition in (("lumbarised", Transition.LUMBARISED), ("regular", Transition.NONE)):
        phantom = made(variant=variant, seed=6)
        assert phantom.truth.transition is transition
        is_disc = transition is Transition.LUMBARISED
        assert (sacral in [truth.disc for truth in phantom.truth.discs]) is is_disc
        assert (disc_code(sacral) in phantom.truth.masks.instances) is is_disc


def test_a_fracture_a_slip_and_screws_are_where_they_were_asked_for() -> None:
    phantom = made(
        seed=1,
        variant="regular",
        severity=0,
        fractures=("L1:wedge:3",),
        slips=("L4/L5:8",),
        screws="L4,L5",
    )
    healthy = {v.level: v for v in lumbar().truth.vertebrae}
    by_level = {v.level: v for v in phantom.truth.vertebrae}
    broken = by_level[Level.L1]
    assert broken.fracture is not None
    assert (broken.fracture.kind, broken.fracture.grade) == (FractureKind.WEDGE, 3)
    back, front = (np.linalg.norm(broken.corners_ras_mm[i] - broken.corners_ras_mm[j]) for i, j in ((0, 1), (2, 3)))
    assert front < 0.7 * back
    assert sum(v.fracture is not None for v in phantom.truth.vertebrae) == 1
    assert [v.level for v in phantom.truth.vertebrae if v.has_screws] == [Level.L4, Level.L5]
    state = next(truth.state for truth in phantom.truth.discs if truth.disc == Disc(Level.L4, Level.L5))
    assert state.slip_mm == 8
    assert state.central_stenosis >= 1

    def forward_mm(of: dict) -> float:
        upper, lower = of[Level.L4].corners_ras_mm, of[Level.L5].corners_ras_mm
        along = (lower[3] - lower[0]) / np.linalg.norm(lower[3] - lower[0])
        return float((upper[1] - lower[0]) @ along)

    assert forward_mm(by_level) - forward_mm(healthy) == pytest.approx(8, abs=1)


def test_a_curve_is_as_large_as_asked_for() -> None:
    assert made(field="whole", cobb_deg=30.0, seed=3).truth.angles.scoliosis_cobb_deg == pytest.approx(30, abs=0.5)


def test_a_varied_scan_is_a_valid_phantom_too() -> None:
    phantom = made(seed=4, is_varied=True)
    affine = phantom.volume.affine
    assert np.abs(affine.directions).max(axis=0).min() < 0.9999  # oblique
    for vertebra in phantom.truth.vertebrae:
        assert code_at(phantom, phantom.truth.masks.instances, vertebra.centroid_ras_mm) == verse_code(vertebra.level)


# Refusals


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"fractures": ("C5",)}, "fracture must be in the field of view, which shows T1[01] to S[12], got C5"),
        ({"screws": "T3"}, "screws must be in the field of view.*got T3"),
        ({"slips": ("C4/C5:4",)}, "slip must be in the field of view.*got C4"),
        ({"fractures": ("L6",)}, "fracture must be in a vertebra that this patient has, got L6"),
        ({"slips": ("T13/L1:4",)}, "slip must be at a disc that this patient has, got T13/L1"),
    ],
)
def test_what_the_scan_or_the_patient_lacks_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        made(seed=1, variant="regular", **options)


def test_pathology_without_a_field_of_view_is_refused_before_the_scan_is_drawn() -> None:
    with pytest.raises(SettingError, match="variant L6 can only be seen"):
        PhantomOptions.from_text(variant="L6", field="cervical")


# Masks of painted parts, worked out on paper


def a_part(subregion: Subregion, level: Level | None, tissue: Tissue = Tissue.MARROW) -> Part:
    return Part(material=get_material(tissue), subregion=subregion, level=level)


@pytest.mark.parametrize(
    ("part", "instance", "subregion"),
    [
        (a_part(None, None, Tissue.AIR), 0, 0),
        (a_part(Subregion.BODY, Level.L1), 20, 49),
        (a_part(Subregion.BODY, Level.T13), 28, 49),
        (a_part(Subregion.SPINOUS, Level.C7), 7, 42),
        (a_part(Subregion.RIB, Level.T12), 0, 0),
        (a_part(Subregion.SACRUM, Level.S2), 26, 26),
        (a_part(Subregion.COCCYX, None), 27, 0),
        (a_part(Subregion.NUCLEUS, Level.L5, Tissue.NUCLEUS), 124, 101),
        (a_part(Subregion.ANNULUS, Level.C2, Tissue.ANNULUS), 102, 100),
        (a_part(Subregion.ANNULUS, Level.S1, Tissue.ANNULUS), 26, 26),
        (a_part(Subregion.CORD, None, Tissue.CORD), 0, 60),
        (a_part(Subregion.CANAL, None, Tissue.CSF), 0, 61),
        (a_part(Subregion.IMPLANT, Level.L4, Tissue.METAL), 0, 0),
        (a_part(Subregion.BODY, Level.L1, Tissue.ENDPLATE), 20, 62),
    ],
)
def test_a_part_has_the_codes_of_what_it_is(part: Part, instance: int, subregion: int) -> None:
    masks = make_masks(np.zeros((1, 1, 1), np.uint16), (part,), Transition.NONE)
    assert (masks.instances.item(), masks.subregions.item()) == (instance, subregion)


def test_the_middle_of_a_voxel_is_what_most_sub_voxels_around_it_are() -> None:
    fine = np.array([[[1, 9, 2], [3, 5, 4], [6, 7, 8]]], np.uint16)
    assert _vote_centres(fine, (1, 1, 1)).item() == 5
    split = np.array([[[4, 7], [7, 7]], [[4, 4], [4, 4]], [[9, 9], [9, 9]]], np.uint16)
    assert _vote_centres(split, (3, 1, 1)).ravel().tolist() == [7, 4, 9]
    assert _vote_centres(split, (1, 1, 1)).item() == 4


@pytest.mark.slow
def test_masks_hold_the_field_of_view_alone_where_tissue_wraps_around() -> None:
    options = PhantomOptions(seed=3, field=FieldOfView.LUMBAR, spacing_mm=2.4)
    patient = make_patient(options)
    plain = draw_protocol(patient, options)
    assert isinstance(plain, MrProtocol)
    wrapped = replace(plain, imperfections=replace(plain.imperfections, wrapped_px=12))
    centres = [
        _find_centres_in_view(voxelise(patient.scene, make_paint_grid(protocol)), protocol)
        for protocol in (plain, wrapped)
    ]
    assert centres[1].shape == plain.shape
    assert np.mean(centres[0] == centres[1]) > 0.999  # the backdrop is painted from the grid's corner
