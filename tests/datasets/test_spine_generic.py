"""A miniature of Spine Generic's folder: points become discs on whose posterior side they lie."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from spondyl.anatomy.disc import Disc
from spondyl.datasets.source import Exam, Fold, SplitPart
from spondyl.datasets.spine_generic import open_spine_generic, split_subjects
from spondyl.errors import InputError
from spondyl.learn.recipes.discs import DiscStream
from spondyl.locate.disc_channels import POSTERIOR_CHANNEL, channel_of
from spondyl.metrics.discs import find_outline_points

SHAPE, AFFINE = (40, 90, 100), np.diag([1.5, 1.0, 1.0, 1.0])
POINTS = {3: (20, 40, 80), 4: (20, 38, 62), 5: (20, 39, 45), 6: (20, 42, 29)}
"""Code and voxel of C2/C3 to C5/C6; columns run to the front, rows to the head."""
OTHERS = {1: (20, 40, 95), 2: (20, 40, 90), 49: (20, 40, 98)}
SUBJECTS = [f"sub-{number:02}" for number in range(1, 12)]


def write_subject(root: Path, subject: str, labelled: tuple[str, ...] = ("T1w", "T2w")) -> None:
    voxels = np.random.default_rng(0).integers(1, 200, SHAPE).astype(np.int16)
    marks = np.zeros(SHAPE, np.uint8)
    for code, place in (POINTS | OTHERS).items():
        marks[place] = code
    scans, labels = root / subject / "anat", root / "derivatives" / "labels" / subject / "anat"
    for folder in (scans, labels):
        folder.mkdir(parents=True)
    for contrast in ("T1w", "T2w"):
        nibabel.save(nibabel.Nifti1Image(voxels, AFFINE), scans / f"{subject}_{contrast}.nii.gz")
    for contrast in labelled:
        name = f"{subject}_{contrast}_labels-disc-manual.nii.gz"
        nibabel.save(nibabel.Nifti1Image(marks, AFFINE), labels / name)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("generic")
    for subject in SUBJECTS:
        write_subject(root, subject, ("T2w",) if subject == SUBJECTS[0] else ("T1w", "T2w"))
    (root / "dataset_description.json").write_text(json.dumps({"License": "CC BY\n4.0"}))
    return root


def an_exam(tree: Path) -> Exam:
    return open_spine_generic(tree, SplitPart.VALIDATION).groups[0][0]


def test_subjects_are_split_as_in_the_published_code_and_none_is_in_two_parts(tree: Path) -> None:
    names = [f"{number:03}" for number in range(200)]
    training, validation = (split_subjects(names, part) for part in (SplitPart.TRAINING, SplitPart.VALIDATION))
    assert (training, validation) == (names[:162], names[162:180])
    source = open_spine_generic(tree, SplitPart.TRAINING)
    assert {exam.patient for exam in source.exams} == set(SUBJECTS[:8])
    assert [len(group) for group in source.groups] == [7, 8]  # the first subject has no points on T1
    fold = open_spine_generic(tree, Fold(number=2, is_held_out=True))
    assert {exam.patient for exam in fold.exams} == {SUBJECTS[8]}


def test_the_licence_is_that_which_the_data_state(tree: Path, tmp_path: Path) -> None:
    (sentence,) = open_spine_generic(tree, SplitPart.TRAINING).sentences
    assert "15 scans of 8 subjects of the train part; licence: CC BY 4.0" in sentence
    for subject in SUBJECTS:
        write_subject(tmp_path, subject)
    assert open_spine_generic(tmp_path, SplitPart.VALIDATION).sentences[0].endswith("licence: none stated")


def test_points_lie_on_the_posterior_sides_of_their_discs_and_other_codes_are_none(tree: Path) -> None:
    exam = an_exam(tree)
    centres, edges = find_outline_points(exam.disc_outlines(), exam.stack.affine)
    assert [str(disc) for disc in edges.discs] == ["C2/C3", "C3/C4", "C4/C5", "C5/C6"]
    assert edges.points_ras_mm == pytest.approx(np.array(list(POINTS.values())) * (1.5, 1, 1), abs=1e-6)
    ahead = centres.points_ras_mm - edges.points_ras_mm
    assert ((ahead[:, 1] > 7) & (ahead[:, 1] < 9)).all()  # half of a cervical disc's 15 to 18 mm
    assert (np.abs(ahead[:, 2]) < 2).all()
    outlines = exam.discs
    assert outlines is not None
    assert (outlines.corners[:, 0, 0] < outlines.corners[:, 1, 0]).all()  # the posterior side runs down
    assert (outlines.corners[:, :2, 1] > outlines.corners[:, 2:, 1]).all()  # posterior is to the right


def test_a_point_is_certain_in_slices_near_it_alone(tree: Path) -> None:
    outlines = an_exam(tree).disc_outlines()
    of_one = outlines.discs == Disc.from_name("C3/C4")
    certain = outlines.slices[of_one & outlines.certain]
    assert sorted(abs(certain - certain.mean())) == [0, 1, 1, 2, 2, 3, 3, 4, 4]  # 6 mm to both sides
    assert of_one.sum() == 37  # 28 mm


def test_the_stream_of_disc_images_draws_them(tree: Path) -> None:
    exam = an_exam(tree)
    batch = DiscStream([[exam]], batch=8, size=96, seed=0).draw(np.random.default_rng(0))
    channels = set(batch.channels.flatten().tolist()) - {-1}
    assert POSTERIOR_CHANNEL in channels
    names = ("C2/C3", "C3/C4", "C4/C5", "C5/C6")
    assert channels - {POSTERIOR_CHANNEL} <= {channel_of(Disc.from_name(name)) for name in names}
    assert len(channels) > 3


@pytest.mark.parametrize("part", [SplitPart.TRAINING, SplitPart.VALIDATION])
def test_a_folder_without_points_is_refused(tmp_path: Path, part: SplitPart) -> None:
    with pytest.raises(InputError, match=r"no scan of the .* part has disc points"):
        open_spine_generic(tmp_path, part)
    for subject in SUBJECTS:
        write_subject(tmp_path, subject, ())
    with pytest.raises(InputError, match="labels-disc-manual"):
        open_spine_generic(tmp_path, part)
