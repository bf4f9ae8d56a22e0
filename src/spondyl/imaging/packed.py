"""Reading of voxels and deflated data in pieces, so that memory grows with the data and not with what is claimed."""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO

import numpy as np

from spondyl.errors import InputError
from spondyl.imaging.limits import MAX_RATIO, RATIO_COUNTS_FROM_BYTES
from spondyl.types import Float32

__all__ = ["DeflatedStream", "read_at_most", "read_exactly", "read_voxels"]

_PIECE_BYTES = 2**20


class DeflatedStream(io.RawIOBase):
    """The content of a deflated stream, from its present position, unpacked as it is read.

    Args:
        packed: the source.
        wbits: its format, see `zlib.decompressobj`.

    Reading raises EOFError where the stream ends before its checksum, and zlib.error where it is damaged.
    """

    def __init__(self, packed: BinaryIO, wbits: int = zlib.MAX_WBITS) -> None:
        self._packed = packed
        self._inflater = zlib.decompressobj(wbits)

    def readable(self) -> bool:
        """Return True always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer up to the end of the stream."""
        content = b""
        while not content and not self._inflater.eof:
            packed = self._inflater.unconsumed_tail or self._packed.read(_PIECE_BYTES)
            content = self._inflater.decompress(packed, len(buffer))
            if not packed and not content and not self._inflater.eof:
                raise EOFError
        buffer[: len(content)] = content
        return len(content)


def read_voxels(
    stream: BinaryIO, dtype: np.dtype[np.generic], count: int, *, slope: float = 1.0, intercept: float = 0.0
) -> Float32:
    """Read voxels as single-precision numbers, rescaled.

    Args:
        stream: at the first voxel.
        dtype: type of the stored voxels.
        count: number of voxels.
        slope, intercept: from stored to real values.

    Returns:
        (count,), in the order of the stream; values beyond single precision become infinite.

    Raises:
        EOFError: the stream ends before the last.
    """
    voxels = np.empty(count, dtype=np.float32)
    step = _PIECE_BYTES // dtype.itemsize
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, count, step):
            piece = voxels[start : start + step]
            piece[:] = np.frombuffer(read_exactly(stream, len(piece) * dtype.itemsize), dtype)
            if (slope, intercept) != (1, 0):
                piece *= np.float32(slope)
                piece += np.float32(intercept)
    return voxels


def read_exactly(stream: BinaryIO, count: int) -> bytes:
    """Read exactly `count` bytes.

    Raises:
        EOFError: there are fewer.
    """
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def read_at_most(stream: BinaryIO, limit: int, stored_bytes: int) -> io.BytesIO:
    """Read to the end, into memory, unless there is more than a limit.

    Args:
        stream: unpacked as it is read.
        limit: largest number of bytes.
        stored_bytes: number of bytes before unpacking.

    Raises:
        InputError: there are more bytes, or the ratio is more than that of any scan.
    """
    limit = min(limit, max(RATIO_COUNTS_FROM_BYTES, MAX_RATIO * stored_bytes))
    content = io.BytesIO()
    while piece := stream.read(_PIECE_BYTES):
        content.write(piece)
        if content.tell() > limit:
            raise InputError(
                f"the file would unpack to more than {limit / 2**20:.0f} MiB from {stored_bytes / 2**20:.1f} MiB, "
                f"more than a scan needs; it was not unpacked"
            )
    content.seek(0)
    return content
