"""Reading of NIfTI-1 and NIfTI-2 in one file (.nii, .nii.gz).

The header is checked before any voxel is read, and a compressed stream is read to its end to verify its checksum.
World space is that of the sform, else of the qform, else of the spacing alone (with a warning), as nibabel reads it.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO, cast

import numpy as np

from spondyl.errors import InputError
from spondyl.geometry.affine import Affine
from spondyl.geometry.grid import Grid
from spondyl.imaging.limits import require_backed, require_plausible_grid, require_readable_shape
from spondyl.imaging.packed import read_exactly, read_voxels
from spondyl.imaging.stored import StoredImage
from spondyl.types import Float32

__all__ = ["GZIP_MAGIC", "is_nifti", "read_nifti"]

Header = Any
"""A Nifti1Header or Nifti2Header of nibabel, which has no types for their methods."""

GZIP_MAGIC = b"\x1f\x8b"
_MAGICS = {b"n+1\x00": (344, 348), b"n+2\x00": (4, 540)}
_PAIR_MAGICS = {b"ni1\x00": 344, b"ni2\x00": 4}
_SLACK_BYTES = 1 << 20
"""The limit of padding behind the voxels."""
_MAX_GAP_BYTES = 64 << 20
"""The limit of the gap before the voxels, in which extensions of the header store text."""

_MM_PER_UNIT = {1: 1000.0, 3: 0.001}
_UNIT_NAMES = {1: "metres", 3: "microns"}
_UNITS_OF_MM = (0, 2)
"""The codes of units that are read as mm: unknown, as many writers leave it, and mm (nifti1.h, XYZT_TO_SPACE)."""


def is_nifti(head: bytes) -> bool:
    """Tell whether the first 348 bytes (decompressed) are those of a NIfTI header."""
    magics = [(magic, at) for magic, (at, _) in _MAGICS.items()] + list(_PAIR_MAGICS.items())
    return any(head[at : at + 4] == magic for magic, at in magics)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """The layout of the voxels as a header states it.

    Args:
        shape: length of every axis, further frames included.
        dtype: type of the stored voxels.
        gap_bytes: between the header and the first voxel.
        rescale: slope and intercept from stored to real values.
        affine: (i, j, k) to RAS mm.
        warnings: guesses, one sentence each.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    gap_bytes: int
    rescale: tuple[float, float]
    affine: Affine
    warnings: tuple[str, ...]


def read_nifti(stream: BinaryIO, *, stored_bytes: int | None = None) -> StoredImage:
    """Read a NIfTI stream, gzipped or not.

    Args:
        stream: seekable, at its start.
        stored_bytes: its size on disk or in an archive, which is compared with what its header claims; None for a label
            map, which may shrink to a few bytes.

    Raises:
        InputError: damaged, truncated, of two dimensions, too large, or without real numbers in it.
    """
    is_packed = stream.read(2) == GZIP_MAGIC
    stream.seek(0)
    try:
        unpacked = cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if is_packed else stream
        layout = _layout(_parse_header(unpacked))
        if stored_bytes is not None:
            require_backed(layout.shape, layout.dtype.itemsize, stored_bytes)
        voxels = _first_frame(unpacked, layout)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError("the NIfTI file is damaged or truncated") from error
    return StoredImage(
        format="nifti",
        frames=prod(layout.shape[3:]),
        voxels=voxels,
        affine=layout.affine,
        warnings=layout.warnings,
    )


def _parse_header(stream: BinaryIO) -> Header:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    head = stream.read(348)
    if any(head[at : at + 4] == magic for magic, at in _PAIR_MAGICS.items()):
        raise InputError("NIfTI in two files (.hdr and .img) is not read; convert it to one .nii file")
    for magic, (at, size) in _MAGICS.items():
        if head[at : at + 4] == magic:
            kind: Any = Nifti1Header if size == 348 else Nifti2Header
            try:
                header = kind(head + read_exactly(stream, size - len(head)), check=False)
                header.check_fix(logger=_silent_logger())
                return header
            except (HeaderDataError, WrapStructError, ValueError) as error:
                raise InputError("the header of the NIfTI file is damaged") from error
    raise InputError("the file is not NIfTI")


def _silent_logger() -> logging.Logger:
    """Return a logger for nibabel, which would otherwise print the repairs that it makes in a header."""
    logger = logging.Logger(__name__)
    logger.addHandler(logging.NullHandler())
    return logger


def _layout(header: Header) -> _Layout:
    try:
        shape = tuple(int(n) for n in header.get_data_shape())
        dtype = header.get_data_dtype()
        gap_bytes = max(0, int(header.get_data_offset()) - int(header["sizeof_hdr"]))
        slope, intercept = header.get_slope_inter()
    except Exception as error:  # nibabel raises many kinds on invalid numbers
        raise InputError("the header of the NIfTI file is damaged") from error
    require_readable_shape(shape)
    if len(shape) < 3 or min(shape[:3]) < 2:
        raise InputError(f"a scan must have three dimensions, the NIfTI file has the shape {shape}")
    if dtype.kind not in "iuf":
        raise InputError("the NIfTI file contains colours or complex numbers, not one real value per voxel")
    if gap_bytes > _MAX_GAP_BYTES:
        raise InputError("the header of the NIfTI file is damaged")
    affine, warnings = _world(header)
    require_plausible_grid(Grid((shape[0], shape[1], shape[2]), affine))
    rescale = (1.0, 0.0) if slope is None else (float(slope), float(intercept or 0))
    return _Layout(shape=shape, dtype=dtype, gap_bytes=gap_bytes, rescale=rescale, affine=affine, warnings=warnings)


def _first_frame(stream: BinaryIO, layout: _Layout) -> Float32:
    read_exactly(stream, layout.gap_bytes)
    shape = layout.shape[:3]
    slope, intercept = layout.rescale
    voxels = read_voxels(stream, layout.dtype, prod(shape), slope=slope, intercept=intercept)
    _drain(stream, (prod(layout.shape) - prod(shape)) * layout.dtype.itemsize + _SLACK_BYTES)
    return voxels.reshape(shape, order="F")


def _drain(stream: BinaryIO, limit: int) -> None:
    """Read to the end, where gzip stores its checksum, unless that is farther than the header states."""
    while chunk := stream.read(1 << 20):
        limit -= len(chunk)
        if limit < 0:
            raise InputError("the NIfTI file contains more data than its header states")


@np.errstate(over="ignore", invalid="ignore")  # `Affine` refuses what is not finite
def _world(header: Header) -> tuple[Affine, tuple[str, ...]]:
    unit = int(header["xyzt_units"]) % 8  # the rest is the unit of time
    scale = np.diag([*(3 * [_MM_PER_UNIT.get(unit, 1.0)]), 1.0])
    warnings: tuple[str, ...] = ()
    if unit not in (*_MM_PER_UNIT, *_UNITS_OF_MM):
        warnings += ("the unit of positions is unknown to NIfTI and was assumed to be mm",)
    elif unit in _MM_PER_UNIT:
        warnings += (f"positions are stored in {_UNIT_NAMES[unit]} and were converted to mm",)
    for kind in ("sform", "qform"):
        if int(header[f"{kind}_code"]) <= 0:
            continue
        try:
            return Affine(scale @ getattr(header, f"get_{kind}")()), warnings
        except Exception:  # as above
            warnings += (f"ignored: the {kind}, which is not a valid transform",)
    try:
        affine = Affine(scale @ header.get_base_affine())
    except Exception as error:  # as above
        raise InputError("the NIfTI file gives its voxels no valid position") from error
    return affine, (*warnings, "no orientation is stored (neither sform nor qform): left and right may be swapped")
