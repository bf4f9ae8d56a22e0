"""What Spondyl wrote into an input folder is ignored, and nothing that a user may have put there."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from imaging.dicom_files import SAGITTAL, write_series
from ramps import assert_is_ramp, ramp_volume
from spondyl.errors import InputError
from spondyl.geometry.affine import Affine
from spondyl.imaging.archive import Member
from spondyl.imaging.read import read_members, read_volume
from spondyl.imaging.volume import Volume

GRID = Affine.from_axes(np.eye(3), (4, 3, 3), (-10, -20, -20))
REPORT = b'{\n "schema": "spondyl.findings/1",\n "software": {}\n}\n'
TRUTH = b'{\n "schema": "spondyl.phantom/1",\n "options": {}\n}\n'


def scan(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(ramp_volume(GRID, (7, 12, 14)), GRID.matrix), path)
    return path


def mask(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.zeros((7, 12, 14), np.uint8)
    labels[3] = 20
    nib.save(nib.Nifti1Image(labels, GRID.matrix), path)
    return path


def write_report(folder: Path, schema: bytes = REPORT) -> None:
    mask(folder / "segmentation.nii.gz")
    mask(folder / "subregions.nii.gz")
    (folder / "report.json").write_bytes(schema)
    (folder / "vertebrae.csv").write_text("level\n")


def write_truth(scan_path: Path, schema: bytes = TRUTH) -> None:
    stem = scan_path.name.removesuffix(".nii.gz")
    mask(scan_path.with_name(f"{stem}_seg.nii.gz"))
    mask(scan_path.with_name(f"{stem}_subregions.nii.gz"))
    scan_path.with_name(f"{stem}_truth.json").write_bytes(schema)


def assert_is_the_scan(volume: Volume, *ignored: str) -> None:
    assert_is_ramp(volume.voxels, volume.affine, 0.3)
    assert [warning for warning in volume.warnings if "ignored" in warning] == list(ignored)


def test_the_scan_beside_our_report_is_read(tmp_path: Path) -> None:
    scan(tmp_path / "scan.nii.gz")
    write_report(tmp_path / "out")
    assert_is_the_scan(read_volume(tmp_path), "ignored: 4 files that Spondyl wrote")


def test_the_series_beside_our_report_is_read_though_the_report_holds_dicom(tmp_path: Path) -> None:
    write_series(tmp_path / "series", SAGITTAL)
    write_report(tmp_path / "series" / "out")
    (path,) = write_series(tmp_path / "other", SAGITTAL, numbers=[0], name="x")
    path.rename(tmp_path / "series" / "out" / "segmentation.dcm")
    assert_is_the_scan(read_volume(tmp_path / "series"), "ignored: 5 files that Spondyl wrote")


@pytest.mark.parametrize("part", ["fresh", "previous"])
def test_what_a_run_left_that_was_killed_is_ignored(tmp_path: Path, part: str) -> None:
    scan(tmp_path / "scan.nii.gz")
    mask(tmp_path / f".spondyl-0a1b2c3d-{part}" / "segmentation.nii.gz")
    assert_is_the_scan(read_volume(tmp_path), "ignored: 1 files that Spondyl wrote")


def test_the_truth_about_a_phantom_is_ignored_beside_its_scan(tmp_path: Path) -> None:
    write_truth(scan(tmp_path / "p.nii.gz"))
    assert_is_the_scan(read_volume(tmp_path), "ignored: 3 files that Spondyl wrote")


def test_the_same_holds_in_a_zip_and_for_files_at_hand(tmp_path: Path) -> None:
    write_truth(scan(tmp_path / "study" / "p.nii.gz"))
    write_report(tmp_path / "study" / "out")
    files = [path for path in sorted((tmp_path / "study").rglob("*")) if path.is_file()]
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as out:
        for path in files:
            out.write(path, path.relative_to(tmp_path / "study"))
    members = [Member.from_bytes(path.read_bytes(), str(path.relative_to(tmp_path))) for path in files]
    for volume in (
        read_volume(tmp_path / "study.zip"),
        read_members(members),
        read_members([Member.from_bytes((tmp_path / "study.zip").read_bytes())]),
    ):
        assert_is_the_scan(volume, "ignored: 7 files that Spondyl wrote")


def test_a_phantom_that_was_made_and_a_report_that_was_written_are_recognised(tmp_path: Path) -> None:
    from spondyl.assemble import assemble_findings
    from spondyl.phantom.options import PhantomOptions
    from spondyl.phantom.patient import make_phantom
    from spondyl.phantom.write import Format, write_phantom
    from spondyl.reading import Reading
    from spondyl.report.write import write_report as write
    from spondyl.study import Study

    write_phantom(make_phantom(PhantomOptions(seed=1, spacing_mm=4.0)), tmp_path / "p.nii.gz", Format.NIFTI)
    volume = read_volume(tmp_path)
    assert volume.warnings[-1] == "ignored: 3 files that Spondyl wrote"
    reading = Reading(study=Study.from_volume(volume))
    write(assemble_findings(reading), reading, tmp_path / "out")
    np.testing.assert_array_equal(read_volume(tmp_path).voxels, volume.voxels)


# What is not ours


@pytest.mark.parametrize(
    "schema",
    [b"", b"{}", b"[1]", b'{"schema": "other/1"}', b'{"made_by": "spondyl.findings/1"}', b'{"schema": "spondyl"}'],
)
@pytest.mark.parametrize("name", ["segmentation.nii.gz", "subregions.nii.gz"])
def test_a_scan_with_the_name_of_ours_is_read(tmp_path: Path, name: str, schema: bytes) -> None:
    scan(tmp_path / name)
    (tmp_path / "report.json").write_bytes(schema)
    assert_is_the_scan(read_volume(tmp_path), "ignored: 1 files of other kinds")


@pytest.mark.parametrize("name", ["p_seg.nii.gz", "p_subregions.nii.gz"])
def test_a_scan_with_the_name_of_a_phantoms_mask_is_read(tmp_path: Path, name: str) -> None:
    scan(tmp_path / name)
    (tmp_path / "q_truth.json").write_bytes(TRUTH)
    assert_is_ramp(read_volume(tmp_path).voxels, GRID, 0.01)


def test_a_scan_that_was_put_into_a_report_is_read(tmp_path: Path) -> None:
    write_report(tmp_path / "out")
    scan(tmp_path / "out" / "scan.nii.gz")
    assert_is_the_scan(read_volume(tmp_path), "ignored: 4 files that Spondyl wrote")


def test_a_mask_that_is_given_by_itself_is_read(tmp_path: Path) -> None:
    write_truth(scan(tmp_path / "p.nii.gz"))
    assert read_volume(tmp_path / "p_seg.nii.gz").voxels.max() == 20


@pytest.mark.parametrize("make", [write_report, lambda folder: mask(folder / ".spondyl-00000000-fresh" / "a.nii")])
def test_a_folder_with_nothing_else_is_refused_as_such(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path)
    make(tmp_path / "more")
    with pytest.raises(InputError, match="the folder contains only files that Spondyl wrote"):
        read_volume(tmp_path)
