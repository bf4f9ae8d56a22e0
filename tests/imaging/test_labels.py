"""Label maps keep their codes whatever type they are stored as, and a scan is not taken for one."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from real_data import DATA, needs_real_data
from spondyl.errors import InputError
from spondyl.geometry.affine import Affine
from spondyl.imaging.labels import MAX_CODES, LabelMap, read_labels

GRID = Affine.from_axes(np.eye(3), (4.0, 1.0, 1.5), (-10.0, 20.0, -30.0))
CODES = np.zeros((5, 6, 7), np.uint16)
CODES[1:3, 2:5, 1:4] = 20
CODES[2, 3, 5] = 300


def save(path: Path, voxels: np.ndarray, *, slope: float = 1.0) -> Path:
    image = nib.Nifti1Image(voxels, GRID.matrix)
    image.header.set_slope_inter(slope, 0)
    image.header.set_xyzt_units("mm")
    path.write_bytes(image.to_bytes())
    return path


@pytest.mark.parametrize("dtype", ["u2", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_codes_are_the_same_in_every_type(tmp_path: Path, dtype: str, ending: str) -> None:
    image = nib.Nifti1Image(CODES.astype(dtype), GRID.matrix)
    nib.save(image, tmp_path / f"labels{ending}")
    labels = read_labels(tmp_path / f"labels{ending}")
    assert labels.codes.dtype == np.uint16
    np.testing.assert_array_equal(labels.codes, CODES)
    np.testing.assert_allclose(labels.affine.matrix, GRID.matrix)


@given(codes=arrays(np.uint8, (3, 4, 5), elements=st.integers(0, MAX_CODES - 1)))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, codes: np.ndarray) -> None:
    path = save(tmp_path_factory.mktemp("labels") / "labels.nii", codes)
    np.testing.assert_array_equal(read_labels(path).codes, codes)


def save_metaimage(path: Path) -> Path:
    """The codes on their grid, whose axes point to right, anterior and superior: in LPS, back from the first two."""
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "TransformMatrix": "-1 0 0 0 -1 0 0 0 1",
        "Offset": "10 -20 -30",
        "ElementSpacing": "4 1 1.5",
        "DimSize": "5 6 7",
        "ElementType": "MET_USHORT",
        "ElementDataFile": "LOCAL",
    }
    text = "".join(f"{key} = {value}\n" for key, value in header.items())
    path.write_bytes(text.encode() + CODES.tobytes(order="F"))
    return path


def test_a_metaimage_is_read_as_a_nifti_is(tmp_path: Path) -> None:
    labels = read_labels(save_metaimage(tmp_path / "labels.mha"))
    np.testing.assert_array_equal(labels.codes, CODES)
    np.testing.assert_allclose(labels.affine.matrix, GRID.matrix)


def test_an_empty_label_map_is_one(tmp_path: Path) -> None:
    labels = read_labels(save(tmp_path / "labels.nii", np.zeros((4, 5, 6), np.uint8)))
    assert not labels.codes.any()
    assert labels.codes.shape == (4, 5, 6)


def test_four_dimensions_with_one_volume_are_three(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_labels(save(tmp_path / "labels.nii", CODES[..., None])).codes, CODES)


def test_a_label_map_is_a_value() -> None:
    labels = LabelMap(codes=CODES, affine=GRID)
    with pytest.raises(AttributeError):
        labels.codes = CODES  # type: ignore[misc]
    assert not hasattr(labels, "__dict__")


def noise(low: int, high: int, dtype: str) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (12, 20, 20)).astype(dtype)


@pytest.mark.parametrize(
    ("voxels", "sentence"),
    [
        (noise(0, 256, "u1"), "at most 128 different codes, got 256; is it a scan"),
        (noise(0, 4000, "i2"), "at most 128 different codes, got 28"),
        (noise(-1000, 2000, "i2"), "codes from 0 to 65535, got -1000 to 1999; is it a scan"),
        (noise(0, 100_000, "i4"), "codes from 0 to 65535"),
        (noise(0, 20, "f4") + np.float32(0.5), "whole numbers, got fractions; is it a scan"),
        (np.where(CODES, np.nan, 0), "codes from 0 to 65535"),
        (np.stack([CODES, CODES], -1), r"one volume, got 2"),
    ],
)
def test_what_is_no_label_map_is_refused(tmp_path: Path, voxels: np.ndarray, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        read_labels(save(tmp_path / "secret.nii", voxels))
    assert "secret" not in str(caught.value)


def test_a_stored_slope_counts(tmp_path: Path) -> None:
    """Codes stored as halves of themselves are codes; stored as fractions of a step they are none."""
    assert set(np.unique(read_labels(save(tmp_path / "whole.nii", CODES, slope=2.0)).codes)) == {0, 40, 600}
    with pytest.raises(InputError, match="whole numbers"):
        read_labels(save(tmp_path / "part.nii", CODES, slope=0.125))


def nothing(path: Path) -> None:
    path.unlink()


def no_image(path: Path) -> None:
    path.write_bytes(b"no image at all")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def truncated_metaimage(path: Path) -> None:
    save_metaimage(path)
    truncated(path)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (nothing, "No such file"),
        (no_image, "must be a NIfTI or MetaImage"),
        (truncated, "damaged or truncated"),
        (truncated_metaimage, "damaged or truncated"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, damage: Callable[[Path], None], sentence: str) -> None:
    path = save(tmp_path / "labels.nii", CODES)
    damage(path)
    with pytest.raises(InputError, match=sentence):
        read_labels(path)


@needs_real_data
def test_real_masks_are_label_maps_and_the_scans_beside_them_are_none() -> None:
    for mask in (DATA / "mr" / "lumbar_gre").glob("*_0[1-3]_seg.nii.gz"):
        assert set(np.unique(read_labels(mask).codes)) == {0, 20, 21, 22, 23, 24}
        with pytest.raises(InputError, match="is it a scan"):
            read_labels(mask.with_name(mask.name.replace("_seg", "")))
