"""Streams of DICOM files for pydicom: seekable, not deflated, and limited to what an image needs."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from spondyl.errors import InputError
from spondyl.imaging.archive import Member
from spondyl.imaging.packed import DeflatedStream, read_at_most

__all__ = ["BoundedStream", "bounded_header", "open_dicom"]

MAX_PACKED_FILE_BYTES = 2**30
"""The largest file of a zip that is unpacked into memory; an object of 2000 CT slices has this size."""

MAX_DEFLATED_FILE_BYTES = 2**29
"""The largest deflated file; this transfer syntax is rare and used for single images."""

MAX_HEADER_VALUE_BYTES = 64 * 2**20
MAX_HEADER_BYTES = 128 * 2**20
MAX_READS = 5_000_000
"""The limits of one header; an enhanced object of 12,000 frames has 30 MB in 500,000 elements, a slice a few kB."""

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_EXPLICIT = b"1.2.840.10008.1.2.1"
_LONG_FORMS = (b"OB", b"OW", b"SQ", b"UN", b"UT")
_MAX_META_ELEMENTS = 100
_MAX_META_BYTES = 2**20


class BoundedStream:
    """A stream for pydicom that refuses to read what no image needs.

    Args:
        stream: seekable.
        max_read_bytes, max_bytes, max_reads: limits of one read, of all reads together, and of their number.
    """

    def __init__(self, stream: BinaryIO, *, max_read_bytes: int, max_bytes: int, max_reads: int = MAX_READS) -> None:
        self._read, self.seek, self.tell = stream.read, stream.seek, stream.tell
        self._max_read_bytes, self._bytes_left, self._reads_left = max_read_bytes, max_bytes, max_reads

    def read(self, count: int) -> bytes:
        """Read up to `count` bytes.

        Raises:
            InputError: one of the limits is exceeded.
        """
        self._bytes_left -= count
        self._reads_left -= 1
        if count > self._max_read_bytes or self._bytes_left < 0 or self._reads_left < 0:
            raise InputError("a DICOM file contains more data than its image needs")
        return self._read(count)


def bounded_header(stream: BinaryIO) -> BinaryIO:
    """Limit a stream to the length of a header."""
    limits = {"max_read_bytes": MAX_HEADER_VALUE_BYTES, "max_bytes": MAX_HEADER_BYTES}
    return cast(BinaryIO, BoundedStream(stream, **limits))


@contextmanager
def open_dicom(member: Member) -> Iterator[BinaryIO]:
    """Open a file that looks like DICOM for the duration of the block; a deflated data set is inflated.

    Raises:
        InputError: the file cannot be read, or unpacks to more than an image needs; see also `Member.opened`.
    """
    with member.opened() as stream:
        seekable: BinaryIO = stream
        if member.is_packed:
            seekable = read_at_most(stream, MAX_PACKED_FILE_BYTES, member.stored_bytes())
        yield _inflate(seekable, member)


def _inflate(stream: BinaryIO, member: Member) -> BinaryIO:
    """Return the stream itself, or its inflated content in the explicit transfer syntax: PS3.5, A.2 and A.5."""
    start = _find_deflated(stream)
    stream.seek(0)
    if start is None:
        return stream
    meta = stream.read(start).replace(_DEFLATED, _EXPLICIT.ljust(len(_DEFLATED), b"\0"))
    inflated = io.BufferedReader(DeflatedStream(stream, -zlib.MAX_WBITS))
    try:
        data_set = read_at_most(inflated, MAX_DEFLATED_FILE_BYTES, member.stored_bytes())
    except (EOFError, zlib.error) as error:
        raise InputError("a deflated DICOM file is damaged or truncated") from error
    return io.BytesIO(meta + data_set.getbuffer())


def _find_deflated(stream: BinaryIO) -> int | None:
    """Find the start of the data set if the meta information declares it deflated, else None: PS3.10, 7.1."""
    stream.seek(128)
    is_deflated = False
    if stream.read(4) != b"DICM":
        return None
    for _ in range(_MAX_META_ELEMENTS):
        start, head = stream.tell(), stream.read(8)
        if head[:2] != b"\x02\x00" or start > _MAX_META_BYTES:
            return start if is_deflated and start <= _MAX_META_BYTES else None
        length = int.from_bytes(stream.read(4) if head[4:6] in _LONG_FORMS else head[6:8], "little")
        if head[2:4] == b"\x10\x00":
            is_deflated = stream.read(min(length, 64)).rstrip(b"\0 ") == _DEFLATED
        else:
            stream.seek(length, io.SEEK_CUR)
    return None
