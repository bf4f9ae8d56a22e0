"""A written series reads back as the scan it was, is valid DICOM, and names nobody."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.geometry.resample import to_sagittal
from spondyl.imaging.dicom.write import MrTimes, Series, in_dicom_order, project_uid, to_dicom_slices
from spondyl.imaging.patient_space import affine_from_lps, lps_from_affine
from spondyl.imaging.read import read_volume
from spondyl.imaging.volume import Modality, Volume

TIMES = MrTimes(
    tr_ms=4321.0987654321,
    te_ms=98.7,
    ti_ms=0.0,
    flip_deg=90.0,
    field_strength_t=1.5,
    is_gradient_echo=False,
    slice_mm=4.0,
)
MR = Series(patient="17", scan="T2 TSE lumbar", description="T2 TSE", mr=TIMES)
CT = Series(patient="17", scan="CT lumbar", description="CT")
LIP = np.array([[-1.0, 0, 0], [0, 0, -1], [0, -1, 0]])


def a_scan(modality: Modality = Modality.MR, turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Volume:
    rng = np.random.default_rng(3)
    directions = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
    if modality is Modality.MR:
        affine = Affine.from_axes(directions @ LIP, (4.4, 0.7, 0.9), (28.123456789, -33.3, 141.7))
        return Volume(voxels=rng.integers(0, 3000, (7, 40, 30)).astype(np.float32), affine=affine, modality=modality)
    affine = Affine.from_axes(directions @ np.diag([-1.0, -1, 1]), (0.9, 0.9, 1.5), (50, 60, -70))
    return Volume(voxels=rng.integers(-1024, 3071, (30, 40, 20)).astype(np.float32), affine=affine, modality=modality)


def files(volume: Volume) -> list[bytes]:
    is_mr = volume.modality is Modality.MR
    return list(to_dicom_slices(volume, MR if is_mr else CT, slice_axis=0 if is_mr else 2))


def write(folder: Path, volume: Volume) -> Path:
    folder.mkdir()
    for number, content in enumerate(files(volume)):
        (folder / f"IM{number:04}").write_bytes(content)
    return folder


# Laws


@pytest.mark.parametrize("modality", list(Modality))
@pytest.mark.parametrize("turn_deg", [(0.0, 0.0, 0.0), (7.0, -3.0, 4.0)])
def test_what_is_written_reads_back_with_equal_voxels_and_place(
    tmp_path: Path, modality: Modality, turn_deg: tuple[float, float, float]
) -> None:
    volume = a_scan(modality, turn_deg)
    read = read_volume(write(tmp_path / "series", volume))
    assert (read.modality, read.warnings) == (modality, ())
    voxels, affine = in_dicom_order(volume.voxels, volume.affine, 0 if modality is Modality.MR else 2)
    np.testing.assert_array_equal(read.voxels, voxels)
    np.testing.assert_allclose(read.affine.matrix, affine.matrix, atol=1e-9)


def test_a_sagittal_stack_is_the_same_stack_after_writing_and_reading(tmp_path: Path) -> None:
    volume = a_scan(turn_deg=(5.0, 2.0, -2.0))
    read = read_volume(write(tmp_path / "series", volume))
    stack, _ = to_sagittal(read.voxels, read.affine)
    np.testing.assert_array_equal(stack.voxels, volume.voxels)
    np.testing.assert_allclose(stack.affine.matrix, volume.affine.matrix, atol=1e-9)


@given(
    numbers=arrays(np.float64, (3, 3), elements=st.floats(-1, 1)).filter(lambda m: abs(np.linalg.det(m)) > 0.05),
    slice_axis=st.integers(0, 2),
)
def test_dicom_order_moves_no_voxel_and_counts_slices_along_their_normal(numbers: np.ndarray, slice_axis: int) -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = numbers
    affine, voxels = Affine(matrix), np.arange(24).reshape(2, 3, 4)
    turned, turned_affine = in_dicom_order(voxels, affine, slice_axis)
    assert turned.shape[2] == voxels.shape[slice_axis]
    for value in (0, 7, 23):
        before, after = np.argwhere(voxels == value)[0], np.argwhere(turned == value)[0]
        np.testing.assert_allclose(turned_affine.to_world(after), affine.to_world(before), atol=1e-12)
    steps, _ = lps_from_affine(turned_affine)
    assert np.cross(steps[:, 0], steps[:, 1]) @ steps[:, 2] > 0


def test_lps_is_stated_as_it_is_read() -> None:
    affine = a_scan(turn_deg=(9.0, 8.0, 7.0)).affine
    np.testing.assert_allclose(affine_from_lps(*lps_from_affine(affine)).matrix, affine.matrix, atol=1e-12)
    _, origin = lps_from_affine(affine)
    np.testing.assert_allclose(origin, affine.matrix[:3, 3] * (-1, -1, 1))


def test_the_same_scan_gives_the_same_bytes() -> None:
    assert files(a_scan()) == files(a_scan())


# Identifiers


def test_identifiers_are_the_projects_own_and_each_instance_has_its_own() -> None:
    heads = [pydicom.dcmread(io.BytesIO(content)) for content in files(a_scan()) + files(a_scan(Modality.CT))]
    instances = [str(head.SOPInstanceUID) for head in heads]
    assert len(set(instances)) == len(instances)
    assert len({head.StudyInstanceUID for head in heads}) == len({head.FrameOfReferenceUID for head in heads}) == 1
    assert len({head.SeriesInstanceUID for head in heads}) == 2
    for uid in (*instances, heads[0].StudyInstanceUID, heads[0].file_meta.ImplementationClassUID):
        assert pydicom.uid.UID(uid).is_valid
        assert uid.startswith("2.25.")
    assert project_uid("study", "17") == heads[0].StudyInstanceUID != project_uid("study", "18")
    assert [head.InstanceNumber for head in heads[:7]] == list(range(1, 8))


def test_a_phantom_says_that_it_is_none() -> None:
    head = pydicom.dcmread(io.BytesIO(files(a_scan())[0]))
    assert str(head.PatientName) == "Phantom"
    assert (head.QualityControlSubject, head.PatientBirthDate, head.StudyDate) == ("YES", "", "")
    assert head.StudyDescription == "Synthetic spine, for research only"


def test_times_and_spacing_are_stated_in_the_standards_order() -> None:
    head = pydicom.dcmread(io.BytesIO(files(a_scan())[0]))
    assert head.RepetitionTime == pytest.approx(TIMES.tr_ms)
    assert (head.Rows, head.Columns) == (40, 30)
    assert [float(mm) for mm in head.PixelSpacing] == [0.7, 0.9]  # between rows, between columns
    assert (head.SliceThickness, head.SpacingBetweenSlices) == (4.0, 4.4)
    assert [float(cosine) for cosine in head.ImageOrientationPatient] == [0, 1, 0, 0, 0, -1]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy (Debian: dicom3tools)")
@pytest.mark.parametrize("modality", list(Modality))
def test_an_independent_validator_finds_no_error(tmp_path: Path, modality: Modality) -> None:
    path = tmp_path / "one.dcm"
    path.write_bytes(files(a_scan(modality, (7.0, -3.0, 4.0)))[0])
    said = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
    without_date = ("build DICOMDIR", "Retired Person Name form")  # nobody was scanned on no day
    said_of_it = [line for line in said.stderr.splitlines() if line.startswith(("Error", "Warning"))]
    assert [line for line in said_of_it if not line.endswith(without_date)] == []


# Refusals


@pytest.mark.parametrize(("modality", "value"), [(Modality.MR, -1.0), (Modality.MR, 65536.0), (Modality.CT, -1025.0)])
def test_values_that_do_not_fit_are_refused(modality: Modality, value: float) -> None:
    volume = a_scan(modality)
    volume.voxels[2, 3, 4] = value
    with pytest.raises(SettingError, match="fit into 16 bits"):
        files(volume)


def test_a_series_of_the_other_modality_is_refused() -> None:
    for volume, series in ((a_scan(), CT), (a_scan(Modality.CT), MR)):
        with pytest.raises(SettingError, match="an MR series needs its times"):
            next(to_dicom_slices(volume, series, slice_axis=0))
