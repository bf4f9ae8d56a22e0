"""The honest scan as NIfTI, and the places of the fields in its header."""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spondyl.benches.hostile.base import PATIENT, PATIENT_ID, make_base_affine, make_base_voxels

__all__ = ["DATA_AT", "NAME", "make_base_nifti", "make_nifti", "make_nifti_2", "pack_dim", "patch_header"]

NAME = f"{PATIENT}.nii"
DATA_AT = 352
"""Offset of the voxels, behind the header of 348 bytes and the flag that there is no extension."""

_FIELDS: dict[str, tuple[int, str]] = {
    "sizeof_hdr": (0, "i"),
    "db_name": (14, "18s"),
    "extents": (32, "i"),
    "dim_info": (39, "B"),
    "dim": (40, "8h"),
    "intent_p1": (56, "f"),
    "intent_code": (68, "h"),
    "datatype": (70, "h"),
    "bitpix": (72, "h"),
    "slice_start": (74, "h"),
    "pixdim": (76, "8f"),
    "vox_offset": (108, "f"),
    "scl_slope": (112, "f"),
    "scl_inter": (116, "f"),
    "slice_end": (120, "h"),
    "slice_code": (122, "B"),
    "xyzt_units": (123, "B"),
    "cal_max": (124, "f"),
    "toffset": (136, "f"),
    "descrip": (148, "80s"),
    "aux_file": (228, "24s"),
    "qform_code": (252, "h"),
    "sform_code": (254, "h"),
    "quatern_b": (256, "f"),
    "quatern_c": (260, "f"),
    "quatern_d": (264, "f"),
    "qoffset_x": (268, "f"),
    "srow_x": (280, "4f"),
    "srow_y": (296, "4f"),
    "srow_z": (312, "4f"),
    "intent_name": (328, "16s"),
    "magic": (344, "4s"),
    "extension": (348, "4s"),
}
"""Offset and type of each field of NIfTI-1, as nifti1.h gives them."""


@cache
def make_base_nifti() -> bytes:
    """Make the honest scan, little endian, with the planted patient in every field of text."""
    return make_nifti(make_base_voxels(), make_base_affine())


def make_nifti(voxels: NDArray[Any], affine: NDArray[np.float64]) -> bytes:
    """Make NIfTI-1 of any voxels, with the planted patient."""
    import nibabel

    image = nibabel.Nifti1Image(voxels, affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units("mm")
    texts = {"descrip": PATIENT, "aux_file": PATIENT_ID, "db_name": PATIENT[:17], "intent_name": PATIENT_ID}
    return patch_header(image.to_bytes(), **{name: text.encode() for name, text in texts.items()})


def patch_header(content: bytes, **fields: Any) -> bytes:
    """Change fields of a little-endian header; `pixdim_3` is the fourth number of `pixdim`."""
    changed = bytearray(content)
    for field, value in fields.items():
        name, _, index = field.rpartition("_")
        if name not in _FIELDS or not index.isdecimal():
            name, index = field, "0"
        at, kind = _FIELDS[name]
        if kind[:-1].isdecimal() and kind[-1] != "s" and not isinstance(value, tuple):
            at, kind = at + int(index) * struct.calcsize(kind[-1]), kind[-1]
        struct.pack_into(f"<{kind}", changed, at, *(value if isinstance(value, tuple) else (value,)))
    return bytes(changed)


def pack_dim(*shape: int) -> tuple[int, ...]:
    """Pack the value of `dim` for a shape."""
    return (len(shape), *shape, *([1] * (7 - len(shape))))


def make_nifti_2(**changes: int) -> bytes:
    """Make the honest scan as NIfTI-2; `dim_1` to `dim_7` and `vox_offset` may be changed."""
    import nibabel

    image = nibabel.Nifti2Image(make_base_voxels(), make_base_affine())
    image.header.set_xyzt_units("mm")
    changed = bytearray(image.to_bytes())
    for field, value in changes.items():
        at = 168 if field == "vox_offset" else 16 + 8 * int(field.removeprefix("dim_"))
        struct.pack_into("<q", changed, at, value)
    return bytes(changed)
