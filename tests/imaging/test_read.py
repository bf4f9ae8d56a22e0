"""Folders and zips, and everything that is no scan."""

import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import pytest

from imaging.dicom_files import SAGITTAL, write_series
from ramps import assert_is_ramp, ramp_volume
from spondyl.errors import InputError
from spondyl.geometry.affine import Affine
from spondyl.imaging import archive
from spondyl.imaging.read import read_volume

AFFINE = Affine.from_axes(np.eye(3), (4, 3, 3), (-10, -20, -20))


@pytest.fixture
def nifti(tmp_path: Path) -> Path:
    path = tmp_path / "source" / "scan.nii.gz"
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(ramp_volume(AFFINE, (7, 12, 14)), AFFINE.matrix), path)
    return path


def zipped(folder: Path, target: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(target, "w", compression) as out:
        for path in sorted(folder.rglob("*")):
            out.write(path, path.relative_to(folder))
    return target


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_zip_reads_as_the_folder_that_was_packed(tmp_path: Path, compression: int) -> None:
    write_series(tmp_path / "study" / "deep" / "er", SAGITTAL)
    (tmp_path / "study" / "readme.txt").write_text("not an image")
    from_folder = read_volume(tmp_path / "study")
    from_zip = read_volume(zipped(tmp_path / "study", tmp_path / "study.zip", compression))
    np.testing.assert_array_equal(from_zip.voxels, from_folder.voxels)
    np.testing.assert_array_equal(from_zip.affine.matrix, from_folder.affine.matrix)
    assert_is_ramp(from_zip.voxels, from_zip.affine, 0.3)
    assert "ignored: 1 files of other kinds" in from_zip.warnings


def test_a_folder_or_zip_with_one_nifti_is_that_scan(nifti: Path, tmp_path: Path) -> None:
    for path in (nifti.parent, zipped(nifti.parent, tmp_path / "x")):
        volume = read_volume(path)
        assert_is_ramp(volume.voxels, volume.affine, 0.01)


def test_reading_leaves_nothing_behind_and_changes_nothing(tmp_path: Path) -> None:
    write_series(tmp_path / "study", SAGITTAL)
    zipped(tmp_path / "study", tmp_path / "study.zip")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    read_volume(tmp_path / "study.zip")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_linked_folder_is_not_followed_round_in_circles(tmp_path: Path) -> None:
    write_series(tmp_path / "study", SAGITTAL)
    (tmp_path / "study" / "again").symlink_to(tmp_path / "study")
    assert read_volume(tmp_path / "study").source["files"] == 7


# Refusals


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b""), "the file is empty"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(600)), "is no scan"),
        (lambda path: path.write_text("not an image" * 100), "is no scan"),
        (lambda path: path.mkdir(), "the folder is empty"),
        (lambda path: (path.mkdir(), (path / "a.txt").write_text("x"), (path / "b").write_bytes(b"")), "none of the 2"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "the zip is empty"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(100)), "zip is damaged"),
        (lambda path: os.mkfifo(path), "neither a regular file"),
    ],
)
def test_what_is_no_scan_is_refused_in_one_sentence(
    tmp_path: Path, make: Callable[[Path], object], sentence: str
) -> None:
    path = tmp_path / "input"
    make(path)
    with pytest.raises(InputError, match=sentence) as raised:
        read_volume(path)
    assert str(tmp_path) not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_two_scans_in_one_folder_are_refused(nifti: Path) -> None:
    shutil.copy(nifti, nifti.with_name("other.nii.gz"))
    with pytest.raises(InputError, match="contains 2 NIfTI or MetaImage files; give one of them"):
        read_volume(nifti.parent)


@pytest.mark.parametrize("name", ["../a.nii", "/a.nii", "x/../../a.nii", "C:\\a.nii", "..\\a.nii", "\\\\host\\a.nii"])
def test_a_zip_with_a_path_that_leads_out_is_refused(nifti: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr(zipfile.ZipInfo(name), nifti.read_bytes())
    with pytest.raises(InputError, match=r"absolute path or one with '\.\.'"):
        read_volume(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "RATIO_COUNTS_FROM_BYTES", 2**20)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a.nii", bytes(4 * 2**20))
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("was unpacked"))
    with pytest.raises(InputError, match="would unpack to 1 files of 4 MiB"):
        read_volume(path)


def test_a_zip_of_more_than_a_study_is_refused_whatever_its_ratio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 1000)
    path = tmp_path / "large.zip"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("a.nii", bytes(1001))
    with pytest.raises(InputError, match="more than one study holds"):
        read_volume(path)


def test_a_zip_whose_directory_understates_a_size_is_refused(nifti: Path, tmp_path: Path) -> None:
    path = zipped(nifti.parent, tmp_path / "liar.zip")
    content = bytearray(path.read_bytes())
    directory = content.rindex(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = (500).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match="zip is damaged"):
        read_volume(path)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_truncated_zip_is_refused(nifti: Path, tmp_path: Path, share: float) -> None:
    path = zipped(nifti.parent, tmp_path / "cut.zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="zip is damaged"):
        read_volume(path)


def test_an_encrypted_zip_is_refused(nifti: Path, tmp_path: Path) -> None:
    path = zipped(nifti.parent, tmp_path / "secret.zip")
    content = bytearray(path.read_bytes())
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + at] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="encrypted"):
        read_volume(path)


@contextmanager
def without_permission(path: Path) -> Iterator[None]:
    """Nobody may read the path; root, who may read everything, steps down for as long."""
    user, mode = os.geteuid(), path.stat().st_mode
    path.chmod(0)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        path.chmod(mode)


@pytest.mark.parametrize("locked", ["file", "folder", "parent"])
def test_what_may_not_be_read_is_refused(locked: str) -> None:
    with TemporaryDirectory() as base:
        folder = Path(base, "parent", "study")
        (path,) = write_series(folder, SAGITTAL, numbers=[0])
        Path(base).chmod(0o755)
        place = {"file": path, "folder": folder, "parent": folder.parent}[locked]
        with (
            without_permission(place),
            pytest.raises(InputError, match=r"cannot be (opened|listed): Permission denied"),
        ):
            read_volume(path if locked == "file" else folder)
