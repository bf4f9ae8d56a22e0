"""The published split and annotations are consistent, and exams are read as their truth says."""

import json
from importlib import resources
from itertools import combinations, pairwise

import nibabel
import numpy as np
import pytest

from real_data import DATA, needs_real_data
from spondyl.anatomy.level import Level
from spondyl.datasets.exams import find_fold, find_part, load_exam, load_exams
from spondyl.datasets.source import Fold
from spondyl.errors import InputError, SettingError
from spondyl.geometry.instance import polygon_areas, polygon_centroids

LEARN = resources.files("spondyl.datasets")
SPLIT = json.loads(LEARN.joinpath("split.json").read_text())
ANNOTATIONS = {
    path.name.removesuffix(".json"): json.loads(path.read_text())
    for path in sorted(LEARN.joinpath("annotations").iterdir(), key=lambda path: path.name)
}
MR = DATA / "mr"


def test_no_exam_is_in_two_parts_or_twice_in_one():
    for one, other in combinations(SPLIT, 2):
        assert not set(SPLIT[one]) & set(SPLIT[other])
    for names in SPLIT.values():
        assert len(names) == len(set(names))


def test_the_double_of_an_exam_is_in_no_other_part():
    assert find_part("lumbar_gre_18") == "train"
    assert find_part("lumbar_gre_19") == "excluded"


def test_validation_holds_enough_of_both_kinds():
    assert sum(name.startswith("lumbar_t2") for name in SPLIT["validation"]) >= 3
    assert sum(name.startswith("lumbar_gre") for name in SPLIT["validation"]) >= 6


def test_every_annotated_exam_is_in_the_split():
    for name in ANNOTATIONS:
        assert find_part(name) in {"train", "validation", "test"}


def test_an_exam_out_of_the_split_is_refused():
    with pytest.raises(InputError, match="not in the published split"):
        find_part("lumbar_t2_99")


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_annotations_are_convex_bodies_from_head_to_foot(name):
    corners = {Level(level): np.array(points) for level, points in ANNOTATIONS[name]["corners_ras_mm"].items()}
    assert set(ANNOTATIONS[name]["partial"]) <= {level.value for level in corners}
    for points in corners.values():
        assert points.shape == (4, 3)
        assert np.ptp(points[:, 0]) == 0  # one sagittal plane
        rows_columns = -points[:, [2, 1]]
        edges = np.roll(rows_columns, -1, 0) - rows_columns
        following = np.roll(edges, -1, 0)
        turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
        assert (turns < 0).all()  # convex, in the sense of `geometry.instance.CORNERS`
        posterior, anterior = points[:2], points[2:]
        superior, inferior = points[[0, 3]], points[[1, 2]]
        assert posterior[:, 1].mean() < anterior[:, 1].mean()
        assert superior[:, 2].mean() > inferior[:, 2].mean()
        area = abs(polygon_areas(rows_columns))
        assert 100 < area < 2000  # mm^2: from a C7 of 12 x 13 mm to an L5 of 30 x 45 mm
    order = sorted(corners, key=lambda level: level.rank)
    heights = [corners[level][:, 2].mean() for level in order]
    assert all(upper > lower for upper, lower in pairwise(heights))


def write_exam(folder, name, voxels, mask):
    affine = np.diag([4.0, 1.0, 1.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(voxels, affine), folder / f"{name}.nii.gz")
    if mask is not None:
        nibabel.save(nibabel.Nifti1Image(mask, affine), folder / f"{name}_seg.nii.gz")


def test_a_mask_becomes_outlines_that_are_certain_where_the_body_is_wide(tmp_path):
    """RAS voxels: columns run anterior, rows superior; L1 is code 20, L2 21, the sacrum 26 is no body."""
    voxels = np.random.default_rng(0).uniform(1, 2, (6, 80, 90)).astype(np.float32)
    mask = np.zeros(voxels.shape, np.uint8)
    mask[1:5, 20:60, 50:80] = 20
    mask[2:4, 20:60, 12:42] = 21
    mask[4, 20:60, 12:24] = 21  # 40 % of its widest slice
    mask[1:5, 20:60, 0:8] = 26
    write_exam(tmp_path, "lumbar_t2_99", voxels, mask)
    exam = load_exam(tmp_path / "lumbar_t2_99.nii.gz")
    assert set(exam.outlines.levels) == {Level.L1, Level.L2}
    bodies = exam.bodies()
    assert list(bodies) == [Level.L1, Level.L2]
    world = {level: body.outlines_ras_mm for level, body in bodies.items()}
    # corners: the mask's rim, half a pixel beyond its pixels' centres; each a mean of three pixels, so 1 mm inside
    expected = np.array([(19.5, 79.5), (19.5, 49.5), (59.5, 49.5), (59.5, 79.5)])
    assert np.abs(world[Level.L1][..., 1:] - expected).max() < 1.2
    assert set(world[Level.L1][..., 0].ravel()) == {4.0, 8.0, 12.0, 16.0}
    assert set(world[Level.L2][..., 0].ravel()) == {8.0, 12.0}
    assert (~exam.outlines.certain).sum() == 1


def test_a_scan_without_any_labelled_body_is_refused(tmp_path):
    voxels = np.random.default_rng(0).uniform(1, 2, (4, 20, 20)).astype(np.float32)
    write_exam(tmp_path, "lumbar_t2_99", voxels, None)
    with pytest.raises(InputError, match="no labelled body"):
        load_exam(tmp_path / "lumbar_t2_99.nii.gz")


def test_an_empty_mask_labels_no_body(tmp_path):
    voxels = np.random.default_rng(0).uniform(1, 2, (4, 20, 20)).astype(np.float32)
    write_exam(tmp_path, "lumbar_t2_99", voxels, np.zeros(voxels.shape, np.uint8))
    with pytest.raises(InputError, match="no labelled body"):
        load_exam(tmp_path / "lumbar_t2_99.nii.gz")


def test_a_folder_without_exams_is_refused(tmp_path):
    with pytest.raises(InputError, match="no exams"):
        list(load_exams(tmp_path, "train"))


@needs_real_data
@pytest.mark.parametrize("path", ["lumbar_t2/lumbar_t2_05.nii.gz", "lumbar_gre/lumbar_gre_04.nii.gz"])
def test_outlines_of_real_exams_lie_about_their_published_centroids(path):
    exam = load_exam(MR / path)
    truth = json.loads((MR / path.replace(".nii.gz", ".json")).read_text())["centroids_ras_mm"]
    bodies = exam.bodies()
    assert {Level(name) for name in truth} <= set(bodies)
    for name, centroid in truth.items():
        body = bodies[Level(name)]
        row_column = polygon_centroids(body.outlines).mean(0)
        index = exam.stack.affine.to_index(centroid)
        assert np.linalg.norm((row_column - index[1:]) * exam.stack.pixel_mm) < 3.0


@needs_real_data
def test_every_labelled_real_exam_is_in_the_split():
    for folder in ("lumbar_t2", "lumbar_gre", "discs_t2"):
        for path in (MR / folder).glob("*_seg.nii.gz"):
            find_part(path.name.removesuffix("_seg.nii.gz"))


@needs_real_data
def test_the_excluded_exam_is_its_double():
    one, other = (nibabel.load(MR / "lumbar_gre" / f"lumbar_gre_{n}.nii.gz") for n in (18, 19))
    np.testing.assert_array_equal(np.asanyarray(one.dataobj), np.asanyarray(other.dataobj))


def test_folds_part_the_patients_of_every_set_evenly_and_hold_no_excluded_exam():
    taught = [*SPLIT["train"], *SPLIT["validation"]]
    folds = {name: find_fold(name) for name in taught}
    assert set(folds.values()) == {1, 2, 3}
    for kind in {name.rpartition("_")[0] for name in taught}:
        counts = [sum(fold == n and name.startswith(kind) for name, fold in folds.items()) for n in (1, 2, 3)]
        assert max(counts) - min(counts) <= 1
    assert {find_fold(name) for name in (*SPLIT["excluded"], *SPLIT["test"])} == {None}


@needs_real_data
def test_a_fold_is_held_out_as_a_whole():
    folder = MR / "discs_t2"
    for number in (1, 2, 3):
        inside = {exam.name for exam in load_exams(folder, Fold(number=number, is_held_out=True))}
        outside = {exam.name for exam in load_exams(folder, Fold(number=number, is_held_out=False))}
        assert inside | outside == {"discs_t2_11", "discs_t2_25", "discs_t2_42"}
        assert {find_fold(name) for name in inside} == {number}
        assert not inside & outside


def test_a_fold_that_is_not_there_is_refused():
    with pytest.raises(SettingError, match="a number from 1 to 3, got 4"):
        Fold(number=4, is_held_out=True)


@needs_real_data
@pytest.mark.parametrize("name", ["spider/spider_005", "discs_t2/discs_t2_11"])
def test_discs_of_a_mask_are_outlined_where_their_centres_are_stated(name):
    exam = load_exam(MR / f"{name}.nii.gz")
    stated = json.loads((MR / f"{name}.json").read_text())
    discs = exam.disc_outlines()
    for disc, centre in stated.get("discs_ras_mm", stated.get("centroids_ras_mm")).items():
        here = (discs.discs.astype(str) == disc) & discs.certain
        places = np.column_stack([discs.slices[here], polygon_centroids(discs.corners[here])])
        assert np.abs(exam.stack.affine.to_world(places).mean(0) - centre)[1:].max() < 1.5
