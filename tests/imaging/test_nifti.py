"""NIfTI files, as good and as bad as they come."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import DTypeLike

from ramps import assert_is_ramp, ramp_volume
from real_data import DATA, needs_real_data
from spondyl.errors import InputError
from spondyl.geometry.affine import Affine
from spondyl.geometry.resample import to_sagittal
from spondyl.imaging.read import read_volume
from spondyl.imaging.volume import Modality, Volume

SHAPE = (7, 12, 14)
OBLIQUE = Affine(
    nib.affines.from_matvec(
        nib.eulerangles.euler2mat(0.2, -0.15, 0.1) @ np.diag([4.0, 3.0, 3.5]),
        [-13, -20, 40],
    )
)
LEFT_HANDED = OBLIQUE @ np.diag([-1.0, 1, 1, 1])
GUESS = "the modality was guessed from the values: MR"


def save(path: Path, affine: Affine, *, dtype: DTypeLike = np.float32, sform: int = 1, qform: int = 0) -> Path:
    image = nib.Nifti1Image(ramp_volume(affine, SHAPE).astype(dtype), None)
    image.set_sform(affine.matrix if sform else None, sform)
    image.set_qform(affine.matrix if qform else None, qform)
    image.header.set_zooms(affine.spacing_mm)
    nib.save(image, path)
    return path


def save_array(path: Path, voxels: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(voxels, OBLIQUE.matrix), path)
    return path


def read(path: Path) -> Volume:
    volume = read_volume(path)
    assert volume.source == {"format": "nifti", "files": 1}
    return volume


@pytest.mark.parametrize("affine", [OBLIQUE, LEFT_HANDED], ids=["right-handed", "left-handed"])
@pytest.mark.parametrize(("sform", "qform"), [(1, 0), (2, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_every_voxel_is_at_its_place_by_sform_or_qform(
    tmp_path: Path, affine: Affine, sform: int, qform: int, name: str
) -> None:
    volume = read(save(tmp_path / name, affine, sform=sform, qform=qform))
    assert_is_ramp(volume.voxels, volume.affine, 0.01)
    stack, _ = to_sagittal(volume.voxels, volume.affine)
    assert_is_ramp(stack.voxels, stack.affine, 0.01)
    assert volume.warnings == (GUESS,)


def test_the_sform_goes_before_the_qform(tmp_path: Path) -> None:
    path = save(tmp_path / "scan.nii", OBLIQUE)
    image = nib.load(path)
    image.set_qform(np.diag([4, 3, 3.5, 1]), 1)
    nib.save(image, tmp_path / "both.nii")
    np.testing.assert_allclose(read(tmp_path / "both.nii").affine.matrix, OBLIQUE.matrix, atol=1e-5)


def test_without_sform_and_qform_the_spacing_is_kept_and_a_warning_says_that_sides_are_uncertain(
    tmp_path: Path,
) -> None:
    path = save(tmp_path / "scan.nii", OBLIQUE)
    content = bytearray(path.read_bytes())
    content[252:256] = bytes(4)  # the codes of qform and sform
    path.write_bytes(content)
    volume = read(path)
    np.testing.assert_allclose(volume.affine.spacing_mm, (4, 3, 3.5), atol=1e-6)
    np.testing.assert_array_equal(volume.affine.matrix, nib.load(path).affine)
    assert any("left and right may be swapped" in w for w in volume.warnings)


def test_a_singular_sform_falls_back_to_the_qform_and_says_so(tmp_path: Path) -> None:
    path = save(tmp_path / "scan.nii", OBLIQUE, qform=1)
    content = bytearray(path.read_bytes())
    content[280:328] = bytes(48)
    path.write_bytes(content)
    volume = read(path)
    assert_is_ramp(volume.voxels, volume.affine, 0.01)
    assert any(w == "ignored: the sform, which is not a valid transform" for w in volume.warnings)


@pytest.mark.parametrize(("unit", "per_mm"), [("meter", 0.001), ("micron", 1000.0)])
def test_other_units_become_millimetres(tmp_path: Path, unit: str, per_mm: float) -> None:
    image = nib.Nifti1Image(ramp_volume(OBLIQUE, SHAPE), np.diag([per_mm, per_mm, per_mm, 1]) @ OBLIQUE.matrix)
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "scan.nii")
    volume = read(tmp_path / "scan.nii")
    assert_is_ramp(volume.voxels, volume.affine, 0.05)
    assert any("converted to mm" in w for w in volume.warnings)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float32, np.float64])
def test_every_real_type_keeps_its_values(tmp_path: Path, dtype: DTypeLike) -> None:
    values = np.random.default_rng(1).integers(0, 100, SHAPE).astype(dtype)
    nib.save(nib.Nifti1Image(values, OBLIQUE.matrix, dtype=dtype), tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(read(tmp_path / "scan.nii.gz").voxels, values)


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    image = nib.Nifti1Image(ramp_volume(OBLIQUE, SHAPE), OBLIQUE.matrix)
    image.set_data_dtype(np.int16)  # nibabel then scales
    nib.save(image, tmp_path / "scan.nii")
    volume = read(tmp_path / "scan.nii")
    assert_is_ramp(volume.voxels, volume.affine, 0.1)


def test_nifti_2_is_read(tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(ramp_volume(OBLIQUE, SHAPE), OBLIQUE.matrix), tmp_path / "scan.nii.gz")
    volume = read(tmp_path / "scan.nii.gz")
    assert_is_ramp(volume.voxels, volume.affine, 0.01)


def test_big_endian_is_read(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.dtype(">i2"))
    image = nib.Nifti1Image(np.round(ramp_volume(OBLIQUE, SHAPE)).astype(">i2"), OBLIQUE.matrix, header)
    nib.save(image, tmp_path / "scan.nii")
    volume = read(tmp_path / "scan.nii")
    assert_is_ramp(volume.voxels, volume.affine, 0.51)


@pytest.mark.parametrize("frames", [1, 3])
def test_of_four_dimensions_the_first_frame_is_taken(tmp_path: Path, frames: int) -> None:
    voxels = np.stack([ramp_volume(OBLIQUE, SHAPE) - 1000 * n for n in range(frames)], axis=-1)
    nib.save(nib.Nifti1Image(voxels, OBLIQUE.matrix), tmp_path / "scan.nii.gz")
    volume = read(tmp_path / "scan.nii.gz")
    assert_is_ramp(volume.voxels, volume.affine, 0.01)
    assert ("the first of 3 frames was read" in volume.warnings) == (frames == 3)


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    save(tmp_path / "scan.nii.gz", OBLIQUE)
    path = (tmp_path / "scan.nii.gz").rename(tmp_path / "anything.dcm")
    volume = read(path)
    assert_is_ramp(volume.voxels, volume.affine, 0.01)


def test_air_at_minus_1000_is_taken_for_ct_and_said_to_be_a_guess(tmp_path: Path) -> None:
    path = save_array(tmp_path / "scan.nii", ramp_volume(OBLIQUE, SHAPE) - 3000)
    assert read_volume(path).modality is Modality.CT
    assert "the modality was guessed from the values: CT" in read_volume(path).warnings
    known = read_volume(path, modality=Modality.MR)
    assert known.modality is Modality.MR
    assert known.warnings == ()


# Refusals


@pytest.mark.parametrize("shape", [(12, 14), (12, 14, 1), (1, 12, 14), (12, 14, 1, 3)])
def test_two_dimensions_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = save_array(tmp_path / "scan.nii", np.random.default_rng(0).random(shape, np.float32))
    with pytest.raises(InputError, match="three dimensions"):
        read_volume(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    voxels = ramp_volume(OBLIQUE, SHAPE)
    voxels[2, 3, 4] = value
    with pytest.raises(InputError, match="not numbers"):
        read_volume(save_array(tmp_path / "scan.nii.gz", voxels))


def test_a_constant_volume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="constant"):
        read_volume(save_array(tmp_path / "scan.nii.gz", np.full(SHAPE, 3, np.int16)))


@pytest.mark.parametrize("dtype", [np.complex64, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])])
def test_colours_and_complex_numbers_are_refused(tmp_path: Path, dtype: DTypeLike) -> None:
    with pytest.raises(InputError, match="not one real value"):
        read_volume(save_array(tmp_path / "scan.nii.gz", np.ones(SHAPE, dtype)))


@pytest.mark.parametrize("shape", [(1000, 1000, 1000), (32767, 32767, 32767), (600, 600, 600, 32000)])
@pytest.mark.parametrize("packed", [False, True])
def test_a_billion_voxels_are_refused_from_the_header_alone(
    tmp_path: Path, shape: tuple[int, ...], packed: bool
) -> None:
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header["magic"], header["vox_offset"] = b"n+1", 352
    content = header.binaryblock + bytes(8)
    path = tmp_path / "scan"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(InputError, match="too large"):
        read_volume(path)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.97, 0.999])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_truncated_files_are_refused(tmp_path: Path, share: float, name: str) -> None:
    path = save(tmp_path / name, OBLIQUE)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"damaged or truncated|is no scan"):
        read_volume(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_flipped_bit_in_a_compressed_file_is_found_by_its_checksum(tmp_path: Path, share: float) -> None:
    path = save(tmp_path / "scan.nii.gz", OBLIQUE)
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 4
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged or truncated"):
        read_volume(path)


def test_a_stream_that_goes_on_long_after_its_voxels_is_refused(tmp_path: Path) -> None:
    content = gzip.decompress(save(tmp_path / "scan.nii.gz", OBLIQUE).read_bytes())
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(content + bytes(5 << 20)))
    with pytest.raises(InputError, match="more data than its header states"):
        read_volume(tmp_path / "bomb.nii.gz")


@pytest.mark.slow
@needs_real_data
@pytest.mark.parametrize("path", sorted((DATA / "mr").rglob("*.nii.gz")), ids=lambda path: path.name)
def test_every_real_mr_reads_as_nibabel_reads_it_and_becomes_sagittal(path: Path) -> None:
    volume = read(path)
    image = nib.load(path)
    np.testing.assert_allclose(volume.affine.matrix, image.affine)
    assert volume.modality is Modality.MR
    stack, _ = to_sagittal(volume.voxels, volume.affine)
    assert nib.aff2axcodes(stack.affine.matrix) == ("L", "I", "P")
    probe = np.array(stack.voxels.shape) // 2
    nearest = np.round(volume.affine.to_index(stack.affine.to_world(probe))).astype(int)
    if stack.voxels.size == volume.voxels.size:
        assert stack.voxels[tuple(probe)] == volume.voxels[tuple(nearest)]
    if volume.voxels.size < 10**6:
        np.testing.assert_array_equal(volume.voxels, image.get_fdata(dtype=np.float32).reshape(volume.voxels.shape))
