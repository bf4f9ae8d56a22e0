"""Whatever is wrong with a file, it is read or refused in one sentence; nothing else comes out.

`SPONDYL_DAMAGED=5000 pytest tests/imaging/test_damage.py` damages each file that often.
"""

import gzip
import os
import random
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from imaging.dicom.test_stack import LARGE_ENOUGH, transcode
from imaging.dicom_files import PATIENT, SAGITTAL, enhanced, image, write_series
from imaging.metaimage_files import write_metaimage
from ramps import assert_is_ramp, ramp_volume
from spondyl.errors import InputError
from spondyl.geometry.affine import Affine
from spondyl.imaging.archive import Member
from spondyl.imaging.read import read_members, read_volume

GRID = Affine.from_axes(np.eye(3), (4, 3, 3), (-10, -20, -20))
TIMES = int(os.environ.get("SPONDYL_DAMAGED", "40"))


def nifti(path: Path, *, version: type = nib.Nifti1Image) -> Path:
    image_ = version(ramp_volume(GRID, (7, 12, 14)), GRID.matrix)
    image_.set_qform(GRID.matrix, 1)
    nib.save(image_, path)
    return path


def in_syntax(syntax: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        (made,) = write_series(path.parent / "one", LARGE_ENOUGH, numbers=[1])
        transcode(made, syntax)
        made.rename(path)

    return make


def many_frames(path: Path) -> None:
    enhanced(SAGITTAL).save_as(path, enforce_file_format=True)


def many_encoded_frames(path: Path) -> None:
    dataset = enhanced(SAGITTAL)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(path)


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for file in write_series(path.parent / "study", SAGITTAL):
            out.write(file, file.name)


SOUND: dict[str, Callable[[Path], object]] = {
    "scan.nii": nifti,
    "scan.nii.gz": nifti,
    "second.nii": lambda path: nifti(path, version=nib.Nifti2Image),
    "scan.mha": write_metaimage,
    "packed.mha": lambda path: write_metaimage(path, packed=True),
    "multi-frame": many_frames,
    "encoded multi-frame": many_encoded_frames,
    "implicit": in_syntax(ImplicitVRLittleEndian),
    "deflated": in_syntax(DeflatedExplicitVRLittleEndian),
    "RLE": in_syntax(RLELossless),
    "JPEG": in_syntax(JPEGLosslessSV1),
    "JPEG-LS": in_syntax(JPEGLSLossless),
    "JPEG 2000": in_syntax(JPEG2000Lossless),
    "scan.zip": zipped,
}


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Change, cut out or insert a few bytes, most often where headers are."""
    result = bytearray(content)
    for _ in range(chance.choice((1, 1, 3, 10))):
        if len(result) < 200:
            break
        at = chance.randrange(min(len(result), chance.choice((64, 400, 4000, len(content)))))
        kind = chance.randrange(10)
        if kind < 7:
            result[at] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
        elif kind == 7:
            result[at : at + 4] = struct.pack(chance.choice(("<f", ">f")), chance.choice((np.nan, np.inf, -1, 1e30)))
        elif kind == 8:
            del result[at : at + chance.choice((1, 2, 8, 100))]
        else:
            del result[max(at, 100) :]
    return bytes(result)


@pytest.mark.parametrize("name", SOUND)
def test_random_damage_is_either_read_or_refused_in_one_sentence(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    SOUND[name](path)
    content, chance = path.read_bytes(), random.Random(name)
    read_volume(path)
    capfd.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning is printed for the user
        for _ in range(TIMES):
            with suppress(InputError):
                read_members([Member.from_bytes(damaged(content, chance))])
    assert capfd.readouterr() == ("", "")


# NIfTI, field by field


def changed(path: Path, at: int, form: str, *values: float) -> Path:
    content = bytearray(nifti(path).read_bytes())
    struct.pack_into(form, content, at, *values)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("at", "form", "values"),
    [
        *((108, "<f", (value,)) for value in (np.nan, np.inf, 1e30, 3e9)),
        *((116, "<f", (value,)) for value in (np.nan, np.inf)),
        *((40, "<h", (value,)) for value in (-1, 0, 8, 32767)),
        *((42, "<h", (value,)) for value in (-1, 0, 32767)),
        *((46, "<h", (value,)) for value in (-1, 0)),
        *((70, "<h", (value,)) for value in (0, 1, 32, 128, 999, -1)),
        *((280, "<f", (value,)) for value in (1e-4, 1e4, 1e30)),
        *((292, "<f", (value,)) for value in (1e9, 1e30)),
    ],
)
def test_a_nifti_header_that_makes_no_sense_is_refused(
    tmp_path: Path, at: int, form: str, values: tuple[float, ...], packed: bool
) -> None:
    path = changed(tmp_path / "scan.nii", at, form, *values)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(InputError) as raised:
        read_volume(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("code", "is_said"), [(0, False), (2, False), (10, False), (64, False), (7, True), (255, True)]
)
def test_an_unknown_unit_of_positions_is_taken_for_mm_and_said(tmp_path: Path, code: int, is_said: bool) -> None:
    volume = read_volume(changed(tmp_path / "scan.nii", 123, "<B", code))
    assert_is_ramp(volume.voxels, volume.affine, 0.01)
    assert any("unit of positions" in warning for warning in volume.warnings) == is_said


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_scaling_that_is_no_number_is_none(tmp_path: Path, value: float) -> None:
    volume = read_volume(changed(tmp_path / "scan.nii", 112, "<ff", value, 0))
    assert_is_ramp(volume.voxels, volume.affine, 0.01)


# MetaImage


@pytest.mark.parametrize(
    "changes",
    [
        {"NDims": "1000000000"},
        {"NDims": "4"},
        {"NDims": ""},
        {"DimSize": "-11 -9 8"},
        {"DimSize": "11 9 8e0"},
        {"ElementSpacing": "1e400 1 1"},
        {"ElementSpacing": "0.001 1 1"},
        {"Offset": "1e9 0 0"},
        {"Offset": "nan 0 0"},
        {"ElementType": "MET_NONE"},
        {"ElementType": ""},
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_metaimage_header_that_makes_no_sense_is_refused(
    tmp_path: Path, changes: dict[str, str], packed: bool
) -> None:
    with pytest.raises(InputError):
        read_volume(write_metaimage(tmp_path / "scan.mha", packed=packed, **changes))


# DICOM, element by element


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        *(("BitsAllocated", value) for value in (0, 1, 8, 15, 32, 65535)),
        *((keyword, value) for keyword in ("Rows", "Columns") for value in (0, 1, 13, 15, 65535)),
        *(("NumberOfFrames", value) for value in ("0", "2", "1000000", "-3")),
        *(("BitsStored", value) for value in (0, 17)),
        *(("SamplesPerPixel", value) for value in (0, 3, 65535)),
        *(("PixelRepresentation", value) for value in (2, 65535)),
        *(("PixelData", bytes(count)) for count in (0, 2, 300, 1000)),
        ("PhotometricInterpretation", "RGB"),
        ("PixelSpacing", ["0", "0"]),
        ("RescaleSlope", "1e300"),
    ],
)
def test_a_dicom_header_that_makes_no_sense_is_read_as_it_was_or_refused(
    tmp_path: Path, keyword: str, value: object
) -> None:
    path = tmp_path / "one"
    image(SAGITTAL, 2).save_as(path)
    expected = read_volume(path).voxels
    dataset = image(SAGITTAL, 2)
    setattr(dataset, keyword, value)
    dataset.save_as(path)
    try:
        np.testing.assert_array_equal(read_volume(path).voxels, expected)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("keyword", sorted(element.keyword for element in image(SAGITTAL, 2)))
def test_any_element_of_dicom_may_be_missing(tmp_path: Path, keyword: str) -> None:
    dataset = image(SAGITTAL, 2)
    delattr(dataset, keyword)
    dataset.save_as(tmp_path / "one", enforce_file_format=False)
    with suppress(InputError):
        assert read_volume(tmp_path / "one").voxels.shape == (12, 14, 1)


@pytest.mark.parametrize(
    ("count", "is_read"), [(-1, False), (0, True), (1, True), (13, True), (14, False), (100, False)]
)
def test_pixels_may_be_padded_but_not_by_a_frame(tmp_path: Path, count: int, is_read: bool) -> None:
    dataset = image(SAGITTAL, 2)
    pixels = dataset.PixelData
    row = len(pixels) // 14
    dataset.PixelData = pixels[: count * row] if count < 0 else pixels + bytes(count * row)
    dataset.save_as(tmp_path / "one")
    if is_read:
        volume = read_volume(tmp_path / "one")
        assert_is_ramp(volume.voxels, volume.affine, 0.3)
        return
    with pytest.raises(InputError, match="do not have the size"):
        read_volume(tmp_path / "one")


# Which of the files


@pytest.mark.parametrize(
    ("count", "number", "place"),
    [(7, 3, "the 3rd of 7 files"), (12, 11, "the 11th of 12 files"), (25, 22, "the 22nd of 25 files")],
)
def test_a_damaged_file_of_many_is_named_by_its_place(tmp_path: Path, count: int, number: int, place: str) -> None:
    write_series(tmp_path / PATIENT, replace(SAGITTAL, slices=count))
    path = sorted((tmp_path / PATIENT).iterdir())[number - 1]
    path.write_bytes(path.read_bytes()[:-20])
    shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / PATIENT)
    for source in (tmp_path / PATIENT, tmp_path / "study.zip"):
        with pytest.raises(InputError, match=f"^{place}: the pixels of a DICOM file are damaged") as raised:
            read_volume(source)
        assert path.name not in str(raised.value)


def test_a_zip_packed_in_an_unknown_way_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.zip"
    zipped(path)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 10 : at + 12] = (97).to_bytes(2, "little")
    at = content.index(b"PK\x03\x04")
    content[at + 8 : at + 10] = (97).to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match="of 7 files: the zip is damaged, or its compression is not supported"):
        read_volume(path)
