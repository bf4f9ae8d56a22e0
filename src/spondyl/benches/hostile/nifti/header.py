"""NIfTI headers: one field after the other set to what no scanner writes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np

from spondyl.benches.hostile.base import make_base_affine, make_base_voxels
from spondyl.benches.hostile.case import Case, Family, Prepare, Workspace
from spondyl.benches.hostile.nifti.damage import NAME, make_base_nifti, make_nifti, make_nifti_2, pack_dim, patch_header

__all__ = ["list_nifti_header_cases"]

_FAMILY = Family("NIfTI header")
_HUGE = 1e30

_REFUSED: dict[str, tuple[Any, ...]] = {
    "vox_offset": (nan, inf, 1e9, _HUGE),
    "scl_inter": (inf, -inf, 3e38),
    "dim_0": (1, 2, 8, 32767),
    "dim_1": (-1, 0, 1, 32767),
    "dim_3": (-1, 0, 32767),
    "datatype": (32, 128, 255, 1792, 2304, -1),
    "magic": (b"ni1\0", b"n+9\0", b"\0\0\0\0"),
}
"""Values with which there is no scan that could be read."""

_HANDLED: dict[str, tuple[Any, ...]] = {
    "sizeof_hdr": (0, 540),
    "vox_offset": (-1.0, 0.0, 351.0, 353.0),
    "scl_slope": (nan, inf, -1.0, 0.0, _HUGE),
    "scl_inter": (nan, -1.0),
    "dim_0": (-1, 0, 4),
    "dim_4": (-1, 2),
    "datatype": (0, 1, 2, 8, 16, 1536),
    "bitpix": (-1,),
    "xyzt_units": (0, 1, 3, 7, 64, 255),
    "pixdim_0": (nan, 5.0),
    "pixdim_1": (nan,),
    "qform_code": (99,),
    "sform_code": (0, 99),
    "extension": (b"\1\0\0\0", b"\xff\xff\xff\xff"),
}
"""Values that may be refused, or repaired with a warning, or that do not matter."""

_IDLE: dict[str, Any] = {
    "dim_info": 255,
    "extents": -1,
    "intent_code": -1,
    "intent_p1": nan,
    "slice_code": 255,
    "slice_end": -1,
    "cal_max": nan,
    "toffset": inf,
}

_QFORM: dict[str, tuple[Any, ...]] = {
    "pixdim_1": (nan, inf, 0.0, -1.0, _HUGE, 1e-30),
    "pixdim_3": (nan, 0.0, -1.0),
    "quatern_b": (nan, 2.0, _HUGE),
    "qoffset_x": (nan, inf, 1e9),
    "pixdim_0": (nan, 0.0),
}
"""Changed in a scan that has no sform."""

_SFORM: dict[str, tuple[tuple[float, ...], ...]] = {
    "srow_x": ((0, 0, 0, 0), (nan, 0, 0, 0), (inf, 0, 0, 0), (_HUGE, 0, 0, 0), (-4.4, 0, 0, nan), (-4.4, 0, 0, 1e9)),
    "srow_y": ((0, 0, -2.4, nan), (0, 2.4, 2.4, 0), (0, 0, -1e-9, 0)),
    "srow_z": ((0, -2.4, -2.4, 0), (-4.4, 0, 0, 0)),
}
"""Changed in a scan that has no qform."""


def list_nifti_header_cases() -> Iterator[Case]:
    """List all cases of this family."""
    for field, values in _REFUSED.items():
        yield from (_FAMILY.refused(f"{field} {value}", _file({field: value})) for value in values)
    for field, values in _HANDLED.items():
        yield from (_FAMILY.handled(f"{field} {value}", _file({field: value})) for value in values)
    for field, values in _QFORM.items():
        changes = [{"sform_code": 0, field: value} for value in values]
        yield from (_FAMILY.handled(f"qform alone, {field} {c[field]}", _file(c)) for c in changes)
    for field, rows in _SFORM.items():
        for row in rows:
            yield _FAMILY.handled(f"sform alone, {field} {row}", _file({field: row, "qform_code": 0}))
    yield from _whole()
    yield from _second_version()


def _file(fields: dict[str, Any]) -> Prepare:
    return partial(_put, fields)


def _put(fields: dict[str, Any], site: Workspace) -> Path:
    return site.put(NAME, patch_header(make_base_nifti(), **fields))


def _whole() -> Iterator[Case]:
    """Headers changed in several fields at once."""
    yield _FAMILY.alike("as it is", _file({}))
    yield _FAMILY.handled("fields that do not matter", _file(_IDLE))
    yield _FAMILY.handled("an honest qform beside an sform of zeros", _file({"srow_x": (0.0,) * 4}))
    yield _FAMILY.alike("mirrored, and its affine with it", _mirrored)
    yield _FAMILY.alike("big endian", _big_endian)
    yield _FAMILY.alike("64-bit floating point", lambda site: _typed(site, np.float64))
    yield _FAMILY.alike("32-bit integers", lambda site: _typed(site, np.int32))
    yield _FAMILY.alike("metres", _in_metres)
    yield _FAMILY.refused("every dimension 32767", _file({"dim": pack_dim(*[32767] * 7)}))
    yield _FAMILY.refused("every dimension -32768", _file({"dim": tuple([-32768] * 8)}))
    yield _FAMILY.refused("every byte of the header 255", lambda site: site.put(NAME, _filled(255)))
    yield _FAMILY.refused("every byte of the header 0", lambda site: site.put(NAME, _filled(0)))
    yield _FAMILY.handled("neither sform nor qform", _file({"sform_code": 0, "qform_code": 0}))
    yield _FAMILY.handled(
        "no orientation and no spacing", _file({"sform_code": 0, "qform_code": 0, "pixdim": (0.0,) * 8})
    )
    for number in range(5):
        yield _FAMILY.handled(f"random header {number}", _random)


def _random(site: Workspace) -> Path:
    """The honest header with twelve bytes drawn at random, but for what makes it NIfTI."""
    content, rng = bytearray(make_base_nifti()), site.rng()
    for at in rng.integers(40, 344, 12):
        content[at] = rng.integers(256)
    return site.put(NAME, bytes(content))


def _filled(byte: int) -> bytes:
    content = make_base_nifti()
    return bytes([byte]) * 344 + content[344:]


def _mirrored(site: Workspace) -> Path:
    voxels, affine = make_base_voxels(), make_base_affine()
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = len(voxels) - 1
    return site.put(NAME, make_nifti(np.ascontiguousarray(voxels[::-1]), affine @ flip))


def _big_endian(site: Workspace) -> Path:
    import nibabel

    header = nibabel.Nifti1Header(endianness=">")
    image = nibabel.Nifti1Image(make_base_voxels(), make_base_affine(), header)
    return site.put(NAME, image.to_bytes())


def _typed(site: Workspace, dtype: Any) -> Path:
    return site.put(NAME, make_nifti(make_base_voxels().astype(dtype), make_base_affine()))


def _in_metres(site: Workspace) -> Path:
    scale = np.diag([0.001, 0.001, 0.001, 1])
    return site.put(NAME, patch_header(make_nifti(make_base_voxels(), scale @ make_base_affine()), xyzt_units=1))


def _second_version() -> Iterator[Case]:
    yield _FAMILY.alike("NIfTI-2", lambda site: site.put(NAME, make_nifti_2()))
    for field, value in (("dim_1", 2**62), ("dim_1", -1), ("dim_0", 2**40), ("vox_offset", 2**62), ("vox_offset", -1)):
        prepare = partial(_put_second, {field: value})
        yield _FAMILY.handled(f"NIfTI-2, {field} {value}", prepare)


def _put_second(changes: dict[str, int], site: Workspace) -> Path:
    return site.put(NAME, make_nifti_2(**changes))
