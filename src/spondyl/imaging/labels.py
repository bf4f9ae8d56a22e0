"""Label maps: the structure of each voxel as an integer code, read from NIfTI or MetaImage.

Nothing is guessed: no modality, no choice among several frames, no rounding of codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spondyl.errors import InputError
from spondyl.geometry.affine import Affine
from spondyl.geometry.grid import Grid
from spondyl.imaging.archive import file_member
from spondyl.imaging.metaimage import is_metaimage, read_metaimage
from spondyl.imaging.nifti import GZIP_MAGIC, is_nifti, read_nifti
from spondyl.types import Float32

__all__ = ["MAX_CODES", "LabelMap", "read_labels"]

MAX_CODES = 128
"""The largest number of codes; vertebrae, discs and endplates have 84, an 8-bit scan about 200 grey values."""

_HEAD_BYTES = 540
"""The length of the longest header by which a format is recognised, that of NIfTI-2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """The structures of a scan on its own grid.

    Args:
        codes: (i, j, k), uint16; 0 where no structure is labelled, which may be everywhere.
        affine: (i, j, k) to RAS mm.
    """

    codes: NDArray[np.uint16]
    affine: Affine

    @property
    def grid(self) -> Grid:
        """The grid of its voxels."""
        return Grid(self.codes.shape, self.affine)


def read_labels(path: Path) -> LabelMap:
    """Read a label map from a file.

    Args:
        path: NIfTI (.nii, .nii.gz) or MetaImage (.mha); whole numbers in any type, floating point included.

    Raises:
        InputError: the file is missing or damaged, or contains several volumes or a scan instead of codes.
    """
    with file_member(path).open() as stream:
        head = stream.read(_HEAD_BYTES)
        stream.seek(0)
        if is_metaimage(head):
            image = read_metaimage(stream)
        elif head[:2] == GZIP_MAGIC or is_nifti(head):
            image = read_nifti(stream)
        else:
            raise InputError("a label map must be a NIfTI or MetaImage (.mha) file")
    if image.frames != 1:
        raise InputError(f"a label map must contain one volume, got {image.frames}")
    return LabelMap(codes=_codes(image.voxels), affine=image.affine)


def _codes(voxels: Float32) -> NDArray[np.uint16]:
    """Convert the voxels to codes, refusing values that are not codes."""
    lowest, highest = float(voxels.min()), float(voxels.max())
    if not (lowest >= 0 and highest <= np.iinfo(np.uint16).max):  # NaN included
        raise InputError(f"a label map must hold codes from 0 to 65535, got {lowest:g} to {highest:g}; is it a scan?")
    codes = voxels.astype(np.uint16)
    if not np.array_equal(codes, voxels):
        raise InputError("a label map must contain whole numbers, got fractions; is it a scan?")
    is_used = np.zeros(2**16, np.bool_)
    for plane in codes:
        is_used[plane] = True
    if is_used.sum() > MAX_CODES:
        raise InputError(
            f"a label map must contain at most {MAX_CODES} different codes, got {is_used.sum()}; is it a scan?"
        )
    return codes
