"""DICOM written by hand: elements as bytes, and objects of many frames from the honest scan."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from spondyl.benches.hostile.base import make_base_series, to_bytes, to_dataset

__all__ = [
    "find_pixel_data",
    "insert_elements",
    "make_enhanced",
    "make_honest_enhanced",
    "pack_element",
    "pack_sequence",
    "pack_unsigned",
]

_LONG_FORM = (b"OB", b"OW", b"SQ", b"UN", b"UT")
_ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
_PIXEL_DATA = struct.pack("<HH", 0x7FE0, 0x0010)


def pack_unsigned(number: int) -> bytes:
    """Pack a value of 16 bits."""
    return struct.pack("<H", number)


def pack_element(group: int, number: int, representation: bytes, value: bytes, length: int | None = None) -> bytes:
    """Pack an element, explicit and little endian; the length may be a lie."""
    value += b" " * (len(value) % 2)
    stated = len(value) if length is None else length
    is_long = representation in _LONG_FORM
    return (
        struct.pack("<HH2s", group, number, representation)
        + struct.pack("<HI" if is_long else "<H", *((0, stated) if is_long else (stated,)))
        + value
    )


def pack_sequence(group: int, number: int, items: Iterable[bytes]) -> bytes:
    """Pack a sequence of items, each the bytes of its elements."""
    packed = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    return pack_element(group, number, b"SQ", packed)


def find_pixel_data(content: bytes) -> int:
    """Find the offset of the pixels' element in a file."""
    return content.rindex(_PIXEL_DATA)


def insert_elements(content: bytes, elements: bytes) -> bytes:
    """Insert elements before the pixels of a file."""
    at = find_pixel_data(content)
    return content[:at] + elements + content[at:]


def make_enhanced(
    pixels: NDArray[np.uint16],
    position_mm: Callable[[int], tuple[float, ...]],
    time: Callable[[int], int] = lambda _: 1,
) -> bytes:
    """Make an enhanced MR object.

    Args:
        pixels: (frame, row, column).
        position_mm: of a frame's first pixel, LPS.
        time: of a frame, from 1.
    """
    dataset = to_dataset(make_base_series()[0])
    shared = _shared(dataset.ImageOrientationPatient, dataset.PixelSpacing)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        del dataset[keyword]
    del dataset.SpacingBetweenSlices
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = _ENHANCED_MR
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = pixels.astype("<u2").tobytes()
    frames = (_frame(position_mm(number), time(number)) for number in range(len(pixels)))
    return insert_elements(to_bytes(dataset), shared + pack_sequence(0x5200, 0x9230, frames))


@cache
def make_honest_enhanced() -> bytes:
    """Make the honest scan as one enhanced object."""
    slices = [to_dataset(content) for content in make_base_series()]
    pixels = np.stack([np.frombuffer(s.PixelData, "<u2").reshape(s.Rows, s.Columns) for s in slices])
    positions = [tuple(map(float, s.ImagePositionPatient)) for s in slices]
    return make_enhanced(pixels, lambda number: positions[number])


def _shared(orientation: Iterable[object], spacing: Iterable[object]) -> bytes:
    directions = pack_element(0x0020, 0x0037, b"DS", _decimals(orientation))
    measures = pack_element(0x0018, 0x0050, b"DS", b"4.4") + pack_element(0x0028, 0x0030, b"DS", _decimals(spacing))
    groups = pack_sequence(0x0020, 0x9116, [directions]) + pack_sequence(0x0028, 0x9110, [measures])
    return pack_sequence(0x5200, 0x9229, [groups])


def _frame(position_mm: tuple[float, ...], time: int) -> bytes:
    content = pack_element(0x0020, 0x9128, b"UL", struct.pack("<I", time))
    place = pack_element(0x0020, 0x0032, b"DS", _decimals(f"{mm:.6g}" for mm in position_mm))
    return pack_sequence(0x0020, 0x9111, [content]) + pack_sequence(0x0020, 0x9113, [place])


def _decimals(values: Iterable[object]) -> bytes:
    return "\\".join(map(str, values)).encode()
