"""Reading of MetaImage in one file (.mha), as ITK writes it: a text header, then the voxels, raw or deflated.

`Offset` is the LPS position of voxel (0, 0, 0) and row n of `TransformMatrix` the LPS direction of index axis n, mm;
the first axis varies fastest. Source: the MetaIO documentation of ITK.
"""

from __future__ import annotations

import io
import zlib
from math import prod
from typing import BinaryIO

import numpy as np

from spondyl.errors import InputError, SettingError
from spondyl.geometry.affine import Affine
from spondyl.geometry.grid import Grid
from spondyl.imaging.limits import require_backed, require_plausible_grid, require_readable_shape
from spondyl.imaging.packed import DeflatedStream, read_voxels
from spondyl.imaging.patient_space import affine_from_lps
from spondyl.imaging.stored import StoredImage
from spondyl.types import Float, Float32

__all__ = ["is_metaimage", "read_metaimage"]

_FIRST_KEYS = (b"ObjectType", b"NDims", b"Comment", b"ObjectSubType")
_MAX_HEADER_LINES = 1000
_MAX_LINE = 10_000
_ELEMENT_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}


def is_metaimage(head: bytes) -> bool:
    """Tell whether a file's first bytes are those of a MetaImage header."""
    key, equals, _ = head.partition(b"=")
    return bool(equals) and key.strip() in _FIRST_KEYS


def read_metaimage(stream: BinaryIO, *, stored_bytes: int | None = None) -> StoredImage:
    """Read a MetaImage stream.

    Args:
        stream: at its start.
        stored_bytes: its size on disk or in an archive, which is compared with what its header claims; None for a label
            map, which may shrink to a few bytes.

    Raises:
        InputError: damaged, truncated, of two dimensions, too large, in two files, or without real numbers in it.
    """
    try:
        header = _read_header(stream)
        shape, dtype = _layout(header)
        affine = _world(header)
        require_plausible_grid(Grid((shape[0], shape[1], shape[2]), affine))
        if stored_bytes is not None:
            require_backed(shape, dtype.itemsize, stored_bytes)
        voxels = _first_frame(stream, header, shape, dtype)
    except (KeyError, ValueError, OverflowError, EOFError, zlib.error, SettingError) as error:
        raise InputError("the MetaImage file is damaged or truncated") from error
    warnings: tuple[str, ...] = ()
    if "TransformMatrix" not in header:
        warnings += ("no orientation is stored: the axes were assumed to point to left, posterior and superior",)
    return StoredImage(format="metaimage", frames=prod(shape[3:]), voxels=voxels, affine=affine, warnings=warnings)


def _read_header(stream: BinaryIO) -> dict[str, str]:
    """Read keys and values up to `ElementDataFile`, which is the last; synonyms are replaced by one name."""
    synonyms = {
        "Position": "Offset",
        "Origin": "Offset",
        "Rotation": "TransformMatrix",
        "Orientation": "TransformMatrix",
        "ElementByteOrderMSB": "BinaryDataByteOrderMSB",
    }
    header: dict[str, str] = {}
    for _ in range(_MAX_HEADER_LINES):
        key, equals, value = stream.readline(_MAX_LINE).decode("latin-1").partition("=")
        if not equals:
            raise EOFError
        header[synonyms.get(key.strip(), key.strip())] = value.strip()
        if key.strip() == "ElementDataFile":
            return header
    raise EOFError


def _layout(header: dict[str, str]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Read the shape, further frames included, and the type of the voxels."""
    shape = tuple(int(n) for n in header["DimSize"].split())
    require_readable_shape(shape)
    if len(shape) < 3 or min(shape[:3]) < 2:
        raise InputError(f"a scan must have three dimensions, the MetaImage file has the shape {shape}")
    if int(header["NDims"]) != len(shape):
        raise ValueError
    if header.get("HeaderSize", "0") not in ("0", "-1"):
        raise InputError("the MetaImage file states a header of its own size, which is not read; write it without one")
    if header["ElementDataFile"].upper() != "LOCAL":
        raise InputError("MetaImage in two files (.mhd and .raw) is not read; convert it to one .mha file")
    if int(header.get("ElementNumberOfChannels", "1")) != 1 or header["ElementType"] not in _ELEMENT_TYPES:
        raise InputError("the MetaImage file contains colours or vectors, not one real value per voxel")
    if header.get("BinaryData", "True").lower() != "true":
        raise InputError("the MetaImage file stores its voxels as text, which is not read")
    is_big_endian = header.get("BinaryDataByteOrderMSB", "False").lower() == "true"
    return shape, np.dtype((">" if is_big_endian else "<") + _ELEMENT_TYPES[header["ElementType"]])


def _first_frame(
    stream: BinaryIO, header: dict[str, str], shape: tuple[int, ...], dtype: np.dtype[np.generic]
) -> Float32:
    is_packed = header.get("CompressedData", "False").lower() == "true"
    voxel_stream = io.BufferedReader(DeflatedStream(stream)) if is_packed else stream
    voxels = read_voxels(voxel_stream, dtype, prod(shape[:3]))
    rest = (prod(shape) - len(voxels)) * dtype.itemsize
    while rest > 0:
        if not (piece := voxel_stream.read(min(rest, 1 << 20))):
            raise EOFError
        rest -= len(piece)
    if is_packed and voxel_stream.read(1):  # reading on also verifies the checksum
        raise ValueError
    return voxels.reshape(shape[:3], order="F")


def _world(header: dict[str, str]) -> Affine:
    dimensions = int(header["NDims"])
    spacing_mm = _numbers(header.get("ElementSpacing") or header["ElementSize"], dimensions)
    offset = _numbers(header["Offset"], dimensions) if "Offset" in header else np.zeros(dimensions)
    rows = np.eye(dimensions)
    if "TransformMatrix" in header:
        rows = _numbers(header["TransformMatrix"], dimensions**2).reshape(dimensions, dimensions)
    return affine_from_lps(rows.T[:3, :3] * spacing_mm[:3], offset[:3])


def _numbers(text: str, count: int) -> Float:
    numbers = np.array([float(word) for word in text.split()])
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError
    return numbers
