"""MetaImage files, written byte by byte."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from imaging.metaimage_files import OFFSET, SIZE, TURN, write_metaimage
from ramps import assert_is_ramp
from spondyl.errors import InputError
from spondyl.geometry.resample import to_sagittal
from spondyl.imaging.read import read_volume


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<i2", ">i2", "<u2", "<i4"])
def test_every_voxel_is_at_its_place(tmp_path: Path, dtype: str, packed: bool) -> None:
    volume = read_volume(write_metaimage(tmp_path / "scan.mha", dtype=dtype, packed=packed))
    assert_is_ramp(volume.voxels, volume.affine, 1.01)
    stack, _ = to_sagittal(volume.voxels, volume.affine)
    assert_is_ramp(stack.voxels, stack.affine, 1.01)
    assert volume.source == {"format": "metaimage", "files": 1}


def test_a_left_handed_matrix_is_followed(tmp_path: Path) -> None:
    volume = read_volume(write_metaimage(tmp_path / "scan.mha", turn=TURN @ np.diag([1, 1, -1])))
    assert_is_ramp(volume.voxels, volume.affine, 0.01)


@pytest.mark.parametrize(("known", "synonym"), [("Offset", "Position"), ("Offset", "Origin")])
def test_older_names_of_the_offset_are_read(tmp_path: Path, known: str, synonym: str) -> None:
    path = write_metaimage(tmp_path / "scan.mha", **{known: "", synonym: " ".join(map(str, OFFSET))})
    volume = read_volume(path)
    assert_is_ramp(volume.voxels, volume.affine, 0.01)


def test_a_missing_matrix_is_a_warning(tmp_path: Path) -> None:
    volume = read_volume(write_metaimage(tmp_path / "scan.mha", turn=np.eye(3), TransformMatrix=""))
    assert_is_ramp(volume.voxels, volume.affine, 0.01)
    assert any("no orientation" in w for w in volume.warnings)


@pytest.mark.parametrize("packed", [False, True])
def test_of_four_dimensions_the_first_frame_is_taken(tmp_path: Path, packed: bool) -> None:
    first = write_metaimage(tmp_path / "first", dtype="<f4").read_bytes()[-4 * int(np.prod(SIZE)) :]
    both = first + bytes(len(first))
    matrix = np.eye(4)
    matrix[:3, :3] = TURN.T
    text = write_metaimage(
        tmp_path / "scan.mha",
        packed=packed,
        NDims="4",
        DimSize="11 9 8 2",
        ElementSpacing="3 4 4.5 1",
        Offset="-12 30 -25 0",
        TransformMatrix=" ".join(map(str, matrix.ravel())),
    ).read_bytes()
    header = text[: text.index(b"LOCAL\n") + 6]
    (tmp_path / "scan.mha").write_bytes(header + (zlib.compress(both) if packed else both))
    volume = read_volume(tmp_path / "scan.mha")
    assert_is_ramp(volume.voxels, volume.affine, 0.01)
    assert "the first of 2 frames was read" in volume.warnings


# Refusals


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"NDims": "2", "DimSize": "11 9"}, "three dimensions"),
        ({"DimSize": "11 72 1"}, "three dimensions"),
        ({"DimSize": "1000 1000 1000"}, "too large"),
        ({"DimSize": "11 9 0"}, "empty axis"),
        ({"DimSize": "11 9 80"}, "damaged or truncated"),
        ({"DimSize": "eleven 9 8"}, "damaged or truncated"),
        ({"DimSize": ""}, "damaged or truncated"),
        ({"ElementSpacing": "3 4"}, "damaged or truncated"),
        ({"ElementSpacing": "3 4 0"}, "damaged or truncated"),
        ({"ElementSpacing": "3 4 nan"}, "damaged or truncated"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "damaged or truncated"),
        ({"ElementNumberOfChannels": "3"}, "colours or vectors"),
        ({"ElementDataFile": "scan.raw"}, "in two files"),
        ({"ElementDataFile": "../../secret"}, "in two files"),
        ({"BinaryData": "False"}, "as text"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, changes: dict[str, str], sentence: str) -> None:
    path = write_metaimage(tmp_path / "scan.mha", **changes)
    with pytest.raises(InputError, match=sentence):
        read_volume(path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("missing", [1, 3, 500])
def test_truncated_files_are_refused(tmp_path: Path, packed: bool, missing: int) -> None:
    path = write_metaimage(tmp_path / "scan.mha", packed=packed)
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(InputError, match="damaged or truncated"):
        read_volume(path)


def test_a_compressed_stream_that_is_longer_than_the_header_says_is_refused(tmp_path: Path) -> None:
    path = write_metaimage(tmp_path / "scan.mha", packed=True, DimSize="11 9 5")
    with pytest.raises(InputError, match="damaged or truncated"):
        read_volume(path)


def test_a_damaged_compressed_stream_is_refused(tmp_path: Path) -> None:
    path = write_metaimage(tmp_path / "scan.mha", packed=True)
    content = bytearray(path.read_bytes())
    content[-400] ^= 16
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged or truncated"):
        read_volume(path)


@pytest.mark.parametrize("size", ["348", "1000000000", "x"])
def test_a_file_with_a_header_of_another_size_is_refused(tmp_path: Path, size: str) -> None:
    path = write_metaimage(tmp_path / "scan.mha", HeaderSize=size)
    with pytest.raises(InputError, match="a header of its own size"):
        read_volume(path)
