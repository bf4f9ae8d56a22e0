"""A volume knows the DICOM images that it was read from, and tells nobody but the writers of DICOM."""

import copy
import gzip
import logging
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from imaging.dicom_files import PATIENT, SAGITTAL, enhanced, write_series
from loaded_plans import plan_of_functions
from spondyl import cli, pipeline
from spondyl.anatomy.level import Level
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.methods.argmax import label_each
from spondyl.imaging.origin import DicomOrigin
from spondyl.imaging.read import read_volume
from spondyl.imaging.write import to_nifti_gz

STUDY, SPACE = "1.2.826.0.4711.1", "1.2.826.0.4711.2"


def instance_uid(number: float) -> str:
    return f"1.2.826.0.4711.3.{round(10 * number)}"


def plant(dataset: Dataset, number: float) -> None:
    """Write identifiers that a test can look for."""
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = instance_uid(number)
    dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = STUDY, SPACE
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName, dataset.StudyDescription = f"{PATIENT}=Müller", "Rücken"
    dataset.AccessionNumber, dataset.StudyDate, dataset.PatientWeight = "ACC0815", "20190228", "71.5"
    dataset.DeidentificationMethod = ["first", "second"]


def origin_of(folder: Path) -> DicomOrigin:
    origin = read_volume(folder).origin
    assert origin is not None
    return origin


def uids(origin: DicomOrigin) -> list[list[str]]:
    return [[image.instance_uid for image in images] for images in origin.slices]


def test_each_slice_of_the_volume_has_the_instance_that_shows_it(tmp_path: Path) -> None:
    write_series(tmp_path, SAGITTAL, edit=plant)
    origin, volume = origin_of(tmp_path), read_volume(tmp_path)
    assert len(origin.slices) == volume.voxels.shape[2] == SAGITTAL.slices
    for index, images in enumerate(origin.slices):
        ras = SAGITTAL.position(int(images[0].instance_uid.rpartition(".")[2]) / 10) * (-1, -1, 1)
        np.testing.assert_allclose(volume.affine.to_world((0, 0, index)), ras, atol=1e-4)
        assert [image.frame for image in images] == [1]
    assert (origin.study_uid, origin.frame_of_reference_uid) == (STUDY, SPACE)
    assert origin.sop_class_uid == "1.2.840.10008.5.1.4.1.1.4"


def test_a_slice_that_was_interpolated_has_both_its_neighbours(tmp_path: Path) -> None:
    write_series(tmp_path, SAGITTAL, edit=plant, numbers=[0, 1, 2, 4, 5, 6])
    expected = [[instance_uid(n)] for n in range(7)]
    expected[3] = [instance_uid(2), instance_uid(4)]
    assert uids(origin_of(tmp_path)) in (expected, [pair[::-1] for pair in expected[::-1]])


def test_a_single_slice_has_one_instance(tmp_path: Path) -> None:
    write_series(tmp_path, replace(SAGITTAL, slices=1), edit=plant)
    assert uids(origin_of(tmp_path)) == [[instance_uid(0)]]


def test_the_frames_of_a_multi_frame_object_are_numbered_from_one(tmp_path: Path) -> None:
    dataset = enhanced(SAGITTAL)
    plant(dataset, 0)
    dataset.save_as(tmp_path / "object", enforce_file_format=True)
    volume = read_volume(tmp_path)
    assert volume.origin is not None
    groups = dataset.PerFrameFunctionalGroupsSequence
    assert sorted(image.frame for (image,) in volume.origin.slices) == list(range(1, SAGITTAL.slices + 1))
    for index, (image,) in enumerate(volume.origin.slices):
        lps = np.array(groups[image.frame - 1].PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        np.testing.assert_allclose(volume.affine.to_world((0, 0, index)), lps * (-1, -1, 1), atol=1e-4)


def test_patient_and_study_are_kept_as_text(tmp_path: Path) -> None:
    write_series(tmp_path, SAGITTAL, edit=plant)
    elements = dict(origin_of(tmp_path).patient_and_study)
    assert elements["PatientName"] == f"{PATIENT}=Müller"
    assert elements["StudyDescription"] == "Rücken"
    assert elements["DeidentificationMethod"] == "first\\second"
    assert (elements["PatientWeight"], elements["StudyDate"]) == ("71.5", "20190228")
    assert "PatientSex" not in elements  # which the files do not state


@pytest.mark.filterwarnings("ignore:The PN component length")  # pydicom's, of what this test writes
def test_a_value_of_a_thousand_words_is_not_kept(tmp_path: Path) -> None:
    def edit(dataset: Dataset, number: float) -> None:
        plant(dataset, number)
        dataset.PatientName = "Roessler " * 1000

    write_series(tmp_path, SAGITTAL, edit=edit)
    assert "PatientName" not in dict(origin_of(tmp_path).patient_and_study)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # pydicom's, of what this test writes
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("value", ["", "1.2.x"])
def test_images_that_nothing_can_refer_to_have_no_origin(tmp_path: Path, keyword: str, value: str) -> None:
    def edit(dataset: Dataset, number: float) -> None:
        plant(dataset, number)
        setattr(dataset, keyword, value)

    write_series(tmp_path, SAGITTAL, edit=edit)
    assert read_volume(tmp_path).origin is None


def test_other_formats_have_no_origin(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 100, (8, 60, 60), dtype=np.int16)
    (tmp_path / "a.nii.gz").write_bytes(to_nifti_gz(voxels, Affine(np.eye(4))))
    assert read_volume(tmp_path / "a.nii.gz").origin is None


def test_no_output_of_an_analysis_holds_an_identifier(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def one_body(stack: SagittalStack) -> tuple[VertebraInstance, ...]:
        corners = np.array([[4.0, 8], [9, 8], [9, 3], [4, 3]])
        return (VertebraInstance(slices=(3,), outlines=corners[None], score=0.9, affine=stack.affine),)

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(
        pipeline, "load", lambda *_: plan_of_functions(one_body, lambda _: label_each((Level.L4,), np.zeros((1, 24))))
    )
    write_series(tmp_path / "in", SAGITTAL, edit=plant)
    with pytest.raises(SystemExit) as left:
        cli.main(["analyze", str(tmp_path / "in"), "-o", str(tmp_path / "out")])
    assert not left.value.code
    volume = read_volume(tmp_path / "in")
    assert volume.origin is not None
    said = capsys.readouterr()
    shown = [said.out, said.err, caplog.text, repr(volume), str(volume.origin), repr(volume.origin.slices)]
    files = [path.read_bytes() for path in (tmp_path / "out").iterdir()]
    files += [gzip.decompress(content) for content in files if content[:2] == b"\x1f\x8b"]
    assert len(files) >= 5
    values = [
        volume.origin.series_uid,
        STUDY,
        SPACE,
        instance_uid(3),
        "Roessler",
        "Müller",
        "Rücken",
        "ID-4711",
        "ACC0815",
    ]
    for value in values:
        assert not [text for text in shown if value in text]
        assert not [content for content in (*files, pickle.dumps(volume)) if value.encode() in content]


def test_no_copy_of_an_origin_leaves_the_process(tmp_path: Path) -> None:
    write_series(tmp_path, SAGITTAL, edit=plant)
    volume = read_volume(tmp_path)
    assert pickle.loads(pickle.dumps(volume)).origin is None
    assert copy.deepcopy(volume).origin is None
    assert replace(volume, warnings=()).origin is volume.origin
