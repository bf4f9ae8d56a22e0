"""What is written as NIfTI reads back as it was."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import DTypeLike

from geometry.grids import affines
from spondyl.geometry.affine import Affine
from spondyl.imaging.read import read_volume
from spondyl.imaging.write import to_nifti_gz

LABELS = np.random.default_rng(0).integers(0, 128, (5, 6, 7))
SHEARED = Affine(np.array([[1, 0.4, 0, 5], [0, 2, 0.3, -7], [0, 0, 3, 9], [0, 0, 0, 1]]))


@settings(max_examples=30, deadline=None)
@given(affines())
def test_labels_and_their_place_come_back_on_any_grid(affine: Affine) -> None:
    image = nib.Nifti1Image.from_bytes(_unpacked(to_nifti_gz(LABELS.astype(np.uint8), affine)))
    np.testing.assert_array_equal(np.asarray(image.dataobj), LABELS)
    np.testing.assert_allclose(image.affine, affine.matrix, atol=1e-4)  # stored as float32
    np.testing.assert_allclose(image.get_qform(), affine.matrix, atol=1e-2)  # near half a turn, sqrt(1 - b² - c² - d²)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
def test_our_own_reader_reads_what_was_written(tmp_path: Path, dtype: DTypeLike) -> None:
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(to_nifti_gz(LABELS.astype(dtype), SHEARED))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.voxels, LABELS)
    np.testing.assert_allclose(volume.affine.matrix, SHEARED.matrix, atol=1e-5)


def test_the_same_labels_give_the_same_bytes() -> None:
    assert to_nifti_gz(LABELS.astype(np.uint8), SHEARED) == to_nifti_gz(LABELS.astype(np.uint8), SHEARED)


def _unpacked(content: bytes) -> bytes:

    return gzip.decompress(content)
