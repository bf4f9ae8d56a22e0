"""Deflated streams that unpack to far more than they hold, and files with holes; small on disk, quick to write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["deflated_zeros", "gzip_bomb", "sparse_file", "zlib_bomb"]

_BLOCK = 1 << 24
_GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_ZLIB_HEAD = b"\x78\x9c"
_WRONG_CHECKSUM = 0x12345678
"""Whoever comes as far as the checksum has unpacked the bomb."""


def deflated_zeros(prefix: bytes, zeros: int) -> Iterator[bytes]:
    """A raw deflate stream of the prefix and at least so many zeros, a thousandth of their size.

    After a full flush the packer remembers nothing, so that one packed block can be repeated.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    yield packer.compress(prefix) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(_BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(-(-zeros // _BLOCK)):
        yield block
    yield packer.flush(zlib.Z_FINISH)


def gzip_bomb(prefix: bytes, zeros: int) -> bytes:
    """A gzip file that unpacks to the prefix and zeros."""
    size = (len(prefix) + zeros) & 0xFFFFFFFF
    return _GZIP_HEAD + b"".join(deflated_zeros(prefix, zeros)) + struct.pack("<II", _WRONG_CHECKSUM, size)


def zlib_bomb(prefix: bytes, zeros: int) -> bytes:
    """A zlib stream that unpacks to the prefix and zeros."""
    return _ZLIB_HEAD + b"".join(deflated_zeros(prefix, zeros)) + struct.pack(">I", _WRONG_CHECKSUM)


def sparse_file(path: Path, content: bytes, size: int, tail: bytes = b"") -> Path:
    """A file of so many bytes that takes no space but for its beginning and its tail."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(content)
        stream.truncate(size)
        stream.seek(size - len(tail))
        stream.write(tail)
    return path
