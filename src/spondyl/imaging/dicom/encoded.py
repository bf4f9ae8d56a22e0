"""Checks of encoded DICOM frames by their own headers, before a decoder allocates the memory that they claim.

Sources: PS3.5, annex G (RLE); ITU-T T.81, B.2.2 and T.87, C.2.2 (JPEG and JPEG-LS, frame header); ITU-T T.800, A.5.1
(JPEG 2000, image and tile size).
"""

from __future__ import annotations

import struct
from itertools import pairwise

from spondyl.errors import InputError

__all__ = ["max_encoded_bytes", "require_claimed_size"]

_JPEG_START = b"\xff\xd8"
_JPEG_2000_START = b"\xff\x4f\xff\x51"
_SCAN, _HUFFMAN_TABLES, _JPEG_LS = 0xDA, 0xC4, 0xF7
_FRAME_HEADERS = {*range(0xC0, 0xD0), _JPEG_LS} - {_HUFFMAN_TABLES, 0xC8, 0xCC}
"""The markers that begin a frame header, without those of tables."""

_STANDALONE = {0x01, *range(0xD0, 0xD8)}


def max_encoded_bytes(raw_bytes: int) -> int:
    """Return the largest plausible length of an encoded frame: twice the raw size, plus its headers."""
    return 2 * raw_bytes + 2**16


def require_claimed_size(encoded: bytes, rows: int, columns: int, bits: int) -> None:
    """Refuse a frame that does not decode to the image that its DICOM header states.

    Args:
        encoded: a whole frame, in any of the encodings.
        rows, columns: of the image; one sample a pixel.
        bits: allocated for a pixel.

    Raises:
        InputError: the frame's own header gives another size or several components, or cannot be read.
    """
    if encoded[:2] == _JPEG_START:
        claimed = _jpeg_size(encoded, min(bits, 16))
    elif (at := encoded.find(_JPEG_2000_START, 0, 2**16)) >= 0:
        claimed = _jpeg_2000_size(encoded, at)
    else:
        return _require_short_segments(encoded, rows * columns)
    if claimed != (rows, columns, 1):
        raise InputError("the pixels of a DICOM file do not have the size that its header states")
    return None


def _jpeg_size(encoded: bytes, bits: int) -> tuple[int, int, int] | None:
    """Read rows, columns and components, if the segments up to the scan are contiguous and a pixel fits its bits.

    Otherwise decoders search for the next segment, and some of them crash on a missing table or buffer.
    """
    at, has_tables = 2, False
    size: list[int] = []
    while at + 10 <= len(encoded) and encoded[at] == 0xFF:
        marker = encoded[at + 1]
        if marker == _SCAN:
            return (size[0], size[1], size[2]) if size and has_tables else None
        if marker in _FRAME_HEADERS:
            precision, *size = struct.unpack_from(">BHHB", encoded, at + 4)
            if not 2 <= precision <= bits:
                return None
        has_tables = has_tables or marker in (_HUFFMAN_TABLES, _JPEG_LS)
        at += 1 if marker == 0xFF else 2 if marker in _STANDALONE else 2 + int.from_bytes(encoded[at + 2 : at + 4])
    return None


def _jpeg_2000_size(encoded: bytes, at: int) -> tuple[int, int, int] | None:
    """Read rows, columns and components."""
    if len(encoded) < at + 42:
        return None
    width, height, left, top, *_, components = struct.unpack_from(">8IH", encoded, at + 8)
    return height - top, width - left, components


def _require_short_segments(encoded: bytes, pixels: int) -> None:
    """Refuse run-length encoded bytes that would unpack to far more than an image's pixels."""
    count, *offsets = struct.unpack_from("<16I", encoded.ljust(64, b"\0"))
    bounds = [*offsets[: min(count, 15)], len(encoded)]
    max_segment = max((stop - start for start, stop in pairwise(bounds)), default=0)
    if max_segment > pixels + pixels // 64 + 2**10:  # incompressible data takes 129 bytes for 128
        raise InputError("a DICOM file contains more data than its image needs")
