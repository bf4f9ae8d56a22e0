"""Deflated streams that unpack to far more than they hold, and files with holes; small on disk, quick to write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["deflate_zeros", "make_gzip_bomb", "make_zlib_bomb", "write_sparse_file"]

_BLOCK = 1 << 24
_GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_ZLIB_HEAD = b"\x78\x9c"
_WRONG_CHECKSUM = 0x12345678
"""A checksum that is wrong, since a reader that gets to it has unpacked the bomb."""


def deflate_zeros(prefix: bytes, zeros: int) -> Iterator[bytes]:
    """Make a raw deflate stream of the prefix and at least so many zeros, a thousandth of their size.

    After a full flush the packer remembers nothing, so that one packed block can be repeated.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    yield packer.compress(prefix) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(_BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(-(-zeros // _BLOCK)):
        yield block
    yield packer.flush(zlib.Z_FINISH)


def make_gzip_bomb(prefix: bytes, zeros: int) -> bytes:
    """Make a gzip file that unpacks to the prefix and zeros."""
    size = (len(prefix) + zeros) & 0xFFFFFFFF
    return _GZIP_HEAD + b"".join(deflate_zeros(prefix, zeros)) + struct.pack("<II", _WRONG_CHECKSUM, size)


def make_zlib_bomb(prefix: bytes, zeros: int) -> bytes:
    """Make a zlib stream that unpacks to the prefix and zeros."""
    return _ZLIB_HEAD + b"".join(deflate_zeros(prefix, zeros)) + struct.pack(">I", _WRONG_CHECKSUM)


def write_sparse_file(path: Path, content: bytes, size: int, tail: bytes = b"") -> Path:
    """Write a file of a given size that takes no space except for its beginning and its tail."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(content)
        stream.truncate(size)
        stream.seek(size - len(tail))
        stream.write(tail)
    return path
