"""NIfTI-1 and NIfTI-2 in one file (.nii, .nii.gz): from a stream of bytes to a volume.

The header is judged before any voxel is read, and a compressed stream is read to its end so that its checksum counts.
World space is that of the sform, else of the qform, else of the spacing alone (with a warning), as nibabel reads it.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from math import prod
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from spondyl.errors import InputError, SettingError
from spondyl.geometry.affine import Affine
from spondyl.imaging.limits import require_readable_shape
from spondyl.imaging.volume import Modality, Volume, guess_modality

Header = Any
"""nibabel's Nifti1Header or Nifti2Header; nibabel leaves its methods without types."""

GZIP_MAGIC = b"\x1f\x8b"
_MAGICS = {b"n+1\x00": (344, 348), b"n+2\x00": (4, 540)}
_PAIR_MAGICS = {b"ni1\x00": 344, b"ni2\x00": 4}
_SLACK_BYTES = 1 << 20
"""Writers pad or append little; more than this behind the voxels is no NIfTI."""
_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}


def is_nifti(head: bytes) -> bool:
    """Whether the first 348 bytes (decompressed) are those of a NIfTI header."""
    magics = [(magic, at) for magic, (at, _) in _MAGICS.items()] + list(_PAIR_MAGICS.items())
    return any(head[at : at + 4] == magic for magic, at in magics)


def read_nifti(stream: BinaryIO, modality: Modality | None = None) -> Volume:
    """Read one NIfTI stream, gzipped or not.

    Args:
        stream: seekable, at its start.
        modality: MR or CT where the caller knows it; None guesses by the values, with a warning.

    Raises:
        InputError: damaged, truncated, of two dimensions, too large, or without real numbers in it.
    """
    is_packed = stream.read(2) == GZIP_MAGIC
    stream.seek(0)
    try:
        unpacked = cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if is_packed else stream
        header, voxels, warnings = _read_header_and_voxels(unpacked)
        affine, affine_warnings = _world(header)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError("the NIfTI file is damaged or truncated") from error
    except SettingError as error:
        raise InputError(f"the NIfTI file places its voxels nowhere: {error}") from error
    guess_warnings: tuple[str, ...] = ()
    if modality is None:
        modality, guess_warnings = guess_modality(voxels)
    return Volume(
        voxels=voxels,
        affine=affine,
        modality=modality,
        source={"format": "nifti", "files": 1},
        warnings=(*warnings, *affine_warnings, *guess_warnings),
    )


def _read_header_and_voxels(stream: BinaryIO) -> tuple[Header, NDArray[np.float32], tuple[str, ...]]:
    header = _parse_header(stream)
    shape = header.get_data_shape()
    require_readable_shape(shape)
    frames = prod(shape[3:])
    if len(shape) < 3 or min(shape[:3]) < 2:
        raise InputError(f"a scan must have three dimensions, the NIfTI file has the shape {tuple(shape)}")
    warnings = (f"first of {frames} frames taken",) if frames > 1 else ()
    return header, _first_frame(stream, header, shape[:3]), warnings


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
                header = kind(head + _read_exactly(stream, size - len(head)), check=False)
                header.check_fix(logger=_silent_logger())
                return header
            except (HeaderDataError, WrapStructError, ValueError) as error:
                raise InputError("the header of the NIfTI file is damaged") from error
    raise InputError("the file is not NIfTI")


def _silent_logger() -> logging.Logger:
    """For nibabel, which would otherwise print what it repairs in a header."""
    logger = logging.Logger(__name__)
    logger.addHandler(logging.NullHandler())
    return logger


def _first_frame(stream: BinaryIO, header: Header, shape: tuple[int, ...]) -> NDArray[np.float32]:
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise InputError("the NIfTI file holds colours or complex numbers, not one real value per voxel")
    header_bytes = int(header["sizeof_hdr"])
    _read_exactly(stream, max(0, int(header.get_data_offset()) - header_bytes))
    raw = _read_exactly(stream, prod(shape) * dtype.itemsize)
    _drain(stream, prod(header.get_data_shape()) * dtype.itemsize - len(raw) + _SLACK_BYTES)
    slope, intercept = header.get_slope_inter()
    stored = np.frombuffer(raw, dtype).reshape(shape, order="F")
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and Volume refuses that
        voxels = stored.astype(np.float32)
        if slope is not None and (slope, intercept) != (1, 0):
            voxels = voxels * np.float32(slope) + np.float32(intercept or 0)
    return voxels


def _drain(stream: BinaryIO, limit: int) -> None:
    """Read to the end, where gzip keeps its checksum, unless that is further than the header says."""
    while chunk := stream.read(1 << 20):
        limit -= len(chunk)
        if limit < 0:
            raise InputError("the NIfTI file holds more data than its header says")


def _read_exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _world(header: Header) -> tuple[Affine, tuple[str, ...]]:
    unit = header.get_xyzt_units()[0]
    scale = np.diag([*(3 * [_MM_PER_UNIT.get(unit, 1.0)]), 1.0])
    warnings: tuple[str, ...] = ()
    if unit in _MM_PER_UNIT:
        warnings += (f"positions are stored in {unit}s and were converted to mm",)
    for kind in ("sform", "qform"):
        if int(header[f"{kind}_code"]) <= 0:
            continue
        try:
            return Affine(scale @ getattr(header, f"get_{kind}")()), warnings
        except (SettingError, ValueError, np.linalg.LinAlgError):
            warnings += (f"the {kind} is not a valid transform and was left aside",)
    affine = Affine(scale @ header.get_base_affine())
    return affine, (*warnings, "no orientation is stored (neither sform nor qform): left and right may be swapped")
