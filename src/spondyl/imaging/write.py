"""Writing of NIfTI: equal voxels give equal bytes, and only voxels and their position are stored."""

from __future__ import annotations

import gzip

import numpy as np
from numpy.typing import NDArray

from spondyl.geometry.affine import Affine

__all__ = ["to_nifti_gz"]

_COMPRESSION = 4  # masks shrink a hundredfold at any level; higher levels only take longer


def to_nifti_gz(voxels: NDArray[np.generic], affine: Affine) -> bytes:
    """Make the content of a `.nii.gz` file, NIfTI-1, with sform and qform set to scanner space.

    Args:
        voxels: (i, j, k), of a type that NIfTI can store.
        affine: (i, j, k) to RAS mm.
    """
    import nibabel

    image = nibabel.Nifti1Image(voxels, affine.matrix)
    image.set_sform(affine.matrix, code=1)
    image.set_qform(affine.matrix, code=1)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), _COMPRESSION, mtime=0)
