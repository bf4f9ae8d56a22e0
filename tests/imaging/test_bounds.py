"""What a file claims is held against what it is before memory is taken, and work grows with what is there."""

import io
import os
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import RLELossless

from imaging.bombs import BOMBS, GIB, deflated_zeros
from imaging.dicom_files import SAGITTAL, enhanced, image, write_series
from ramps import assert_is_ramp, ramp_volume
from spondyl.errors import InputError
from spondyl.geometry.affine import Affine
from spondyl.geometry.grid import Grid
from spondyl.imaging import archive
from spondyl.imaging.archive import Member, file_member
from spondyl.imaging.dicom import series as dicom_series
from spondyl.imaging.limits import require_backed, require_plausible_grid
from spondyl.imaging.read import read_members, read_volume

MAX_BYTES = 512 * 2**20
"""A header or what may be unpacked before its ratio is looked at, and what joining its pieces takes."""

GRID = Affine.from_axes(np.eye(3), (4, 3, 3), (-10, -20, -20))


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_by_any_road_is_refused_before_it_takes_memory(tmp_path: Path, name: str) -> None:
    make, sentence = BOMBS[name]
    path = make(tmp_path / "scan")
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=sentence):
            read_volume(path)
        assert tracemalloc.get_traced_memory()[1] < MAX_BYTES
    finally:
        tracemalloc.stop()


def test_memory_for_a_scan_of_double_precision_is_that_of_single_precision_and_a_little(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).random((40, 400, 400))
    nib.save(nib.Nifti1Image(voxels, GRID.matrix), tmp_path / "scan.nii")
    tracemalloc.start()
    try:
        volume = read_volume(tmp_path / "scan.nii")
        assert tracemalloc.get_traced_memory()[1] < 4 * voxels.size + 8 * 2**20
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(volume.voxels, voxels.astype(np.float32))


def test_a_large_scan_of_honest_size_passes_and_one_that_is_mostly_air_too() -> None:
    require_backed((512, 512, 2000), 2, 400 * 2**20)
    require_backed((512, 512, 2000), 2, 40 * 2**20)
    require_backed((512, 512, 1000), 8, 4 * 2**20)  # a mask
    with pytest.raises(InputError, match=r"20\.0 MiB are too few"):
        require_backed((512, 512, 2000), 2, 20 * 2**20)
    with pytest.raises(InputError, match="too few"):
        require_backed((512, 512, 100), 2, 1000)


def test_files_that_share_their_bytes_in_a_zip_count_once(tmp_path: Path) -> None:
    content = deflated_zeros(GIB // 16)
    infos = [zipfile.ZipInfo(f"{number}.nii") for number in range(50)]
    for info in infos:
        info.file_size, info.compress_size = GIB // 16, len(content) * 20
    with pytest.raises(InputError, match="would unpack to 50 files of 3200 MiB"):
        archive._refuse_unsafe(infos, len(content) * 20)


def test_the_directory_of_a_zip_is_measured_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as out:
        for number in range(100):
            out.writestr(f"{number}.txt", "")
    monkeypatch.setattr(archive, "MAX_DIRECTORY_BYTES", 4000)
    monkeypatch.setattr(zipfile, "ZipFile", lambda _: pytest.fail("was read"))
    with pytest.raises(InputError, match="lists more files than one study holds"):
        read_volume(path)


def test_a_zip_is_opened_once_however_many_files_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path / "study", SAGITTAL)
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as out:
        for path in (tmp_path / "study").iterdir():
            out.write(path, path.name)
        for number in range(300):
            out.writestr(f"{number}.txt", "no image")
    opened: list[object] = []
    original = zipfile.ZipFile.__init__
    monkeypatch.setattr(zipfile.ZipFile, "__init__", lambda *args: (opened.append(args), original(*args))[1])
    volume = read_volume(tmp_path / "study.zip")
    assert_is_ramp(volume.voxels, volume.affine, 0.3)
    assert len(opened) == 1
    assert "ignored: 300 files of other kinds" in volume.warnings


class _Counted(io.BytesIO):
    """A stream that knows how much was read from it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:  # type: ignore[override]
        content = super().read(size)
        type(self).count += len(content)
        return content


def test_a_compressed_file_of_many_frames_is_read_through_and_not_once_for_each_frame() -> None:
    dataset = enhanced(replace(SAGITTAL, slices=150, step_mm=(1, 0, 0)))
    dataset.compress(RLELossless, generate_instance_uid=False)
    stream = io.BytesIO()
    dataset.save_as(stream)
    content = stream.getvalue()
    _Counted.count = 0
    volume = read_members([Member(open=lambda: _Counted(content), stored_bytes=lambda: len(content))])
    assert_is_ramp(volume.voxels, volume.affine, 0.3)
    assert _Counted.count < 5 * len(content)


@pytest.mark.parametrize("keyword", ["ImageOrientationPatient", "ImagePositionPatient"])
def test_a_series_of_images_that_form_no_stacks_is_refused_before_each_is_compared_with_each(
    tmp_path: Path, keyword: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom_series, "MAX_STACKS_OF_SERIES", 10)

    def scatter(dataset: object, number: int) -> None:
        angle = 0.1 * number
        axes = [0, np.cos(angle), np.sin(angle), 0, -np.sin(angle), np.cos(angle)]
        place = [number % 3, 100.0 * number, 0]
        setattr(dataset, keyword, [f"{value:.6f}" for value in (axes if len(keyword) == 23 else place)])

    write_series(tmp_path, SAGITTAL, numbers=range(30), edit=scatter)
    with pytest.raises(InputError, match="more than 10 stacks of images"):
        read_volume(tmp_path)


# Grids that no scanner makes


@pytest.mark.parametrize(
    ("spacing_mm", "origin_mm", "sentence"),
    [
        ((0.001, 1, 1), (0, 0, 0), "0.01 to 50 mm apart, the header gives 0.001 x 1 x 1 mm"),
        ((1, 1, 1000), (0, 0, 0), "0.01 to 50 mm apart"),
        ((45, 1, 1), (0, 0, 0), "at most 10 m long"),
        ((1, 1, 1), (1e9, 0, 0), "within 100 m of the origin"),
    ],
)
def test_a_grid_out_of_all_proportion_is_refused_with_the_reason(
    tmp_path: Path, spacing_mm: tuple[float, ...], origin_mm: tuple[float, ...], sentence: str
) -> None:
    affine = Affine.from_axes(np.eye(3), spacing_mm, origin_mm)
    with pytest.raises(InputError, match=sentence):
        require_plausible_grid(Grid((256, 8, 8), affine))
    nib.save(nib.Nifti1Image(np.arange(2**14, dtype=np.int16).reshape(256, 8, 8), affine.matrix), tmp_path / "a.nii")
    with pytest.raises(InputError, match=sentence):
        read_volume(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"PixelSpacing": [0.001, 0.001]}, "0.01 to 50 mm apart"),
        ({"PixelSpacing": [60, 60]}, "0.01 to 50 mm apart"),
        ({"ImagePositionPatient": ["1e9", "0", "0"]}, "within 100 m"),
        ({"ImagePositionPatient": ["1e300", "0", "0"]}, "within 100 m"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "no greyscale image"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "no greyscale image"),
        ({"RescaleSlope": "1e200"}, "not numbers"),
    ],
)
def test_a_dicom_image_out_of_all_proportion_is_refused(
    tmp_path: Path, values: dict[str, object], sentence: str
) -> None:
    dataset = image(SAGITTAL, 2)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.save_as(tmp_path / "one")
    with pytest.raises(InputError, match=sentence):
        read_volume(tmp_path / "one")


def test_slices_a_metre_apart_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, replace(SAGITTAL, step_mm=(1000, 0, 0)))
    with pytest.raises(InputError, match=r"0\.01 to 50 mm apart"):
        read_volume(tmp_path)


# Files that are none


def test_pipes_sockets_devices_and_links_in_a_circle_are_passed_over(tmp_path: Path) -> None:
    import socket

    nib.save(nib.Nifti1Image(ramp_volume(GRID, (7, 12, 14)), GRID.matrix), tmp_path / "scan.nii")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "folder").symlink_to(tmp_path)
    (tmp_path / "device").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        volume = read_volume(tmp_path)
    assert_is_ramp(volume.voxels, volume.affine, 0.01)
    assert not [warning for warning in volume.warnings if "ignored" in warning]


def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        file_member(tmp_path / "pipe").open()
