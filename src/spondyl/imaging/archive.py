"""The files of a folder or a zip as streams; nothing of an archive is ever written to disk.

A file's name never leaves this module: it may hold a patient's.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from spondyl.errors import InputError

MAX_UNPACKED_BYTES = 4 * 2**30
"""Twice a scan of 10^9 voxels of 16 bits."""

MAX_RATIO = 100
"""Scans shrink 2 to 5 times, a scan that is mostly air perhaps 30 times."""

RATIO_COUNTS_FROM_BYTES = 100 * 2**20
"""Small files of zeros are harmless, and tests and phantoms write them."""

MAX_FILES = 200_000


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a scan, on disk or in an archive.

    Args:
        open: opens it anew as a seekable stream of bytes; InputError where it cannot be read.
    """

    open: Callable[[], BinaryIO]

    def head(self, count: int) -> bytes:
        """The first bytes, fewer where the file is shorter."""
        with self.open() as stream:
            return stream.read(count)


def file_member(path: Path) -> Member:
    """A file on disk."""

    def open_file() -> BinaryIO:
        try:
            return path.open("rb")
        except OSError as error:
            raise InputError(f"a file of the scan cannot be opened: {error.strerror}") from error

    return Member(open_file)


def folder_members(folder: Path) -> list[Member]:
    """All regular files below a folder, in the order of their names; links to folders are not followed.

    Raises:
        InputError: the folder cannot be listed, or holds too many files.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"a folder of the scan cannot be listed: {error.strerror}") from error

    paths: list[Path] = []
    for root, _, names in os.walk(folder, onerror=refuse):
        paths += [path for path in (Path(root, name) for name in names) if path.is_file()]
        if len(paths) > MAX_FILES:
            raise InputError(f"the folder holds more than {MAX_FILES} files; give the folder of one study")
    return [file_member(path) for path in sorted(paths)]


def zip_members(path: Path) -> list[Member]:
    """All files in a zip, in the order of their names, judged by its directory before one is unpacked.

    Raises:
        InputError: not a zip, encrypted, with paths that lead out of it, or unpacking to more than a scan can hold.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = sorted((info for info in archive.infolist() if not info.is_dir()), key=lambda info: info.filename)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError("the zip is damaged or truncated") from error
    _refuse_unsafe(infos)
    return [_zip_member(path, info) for info in infos]


def _refuse_unsafe(infos: list[zipfile.ZipInfo]) -> None:
    if any(_leads_out(name) for info in infos for name in (info.filename, info.orig_filename)):
        raise InputError("the zip holds an absolute path or one with '..', which no scan needs; it was not unpacked")
    if any(info.flag_bits & 1 for info in infos):
        raise InputError("the zip is encrypted; unpack it first")
    unpacked, packed = (sum(getattr(info, size) for info in infos) for size in ("file_size", "compress_size"))
    is_bomb = unpacked > RATIO_COUNTS_FROM_BYTES and unpacked > MAX_RATIO * max(packed, 1)
    if len(infos) > MAX_FILES or unpacked > MAX_UNPACKED_BYTES or is_bomb:
        raise InputError(
            f"the zip would unpack to {len(infos)} files of {unpacked / 2**20:.0f} MiB from {packed / 2**20:.1f} MiB, "
            f"more than one study holds; it was not unpacked"
        )


def _leads_out(name: str) -> bool:
    windows = PureWindowsPath(name)
    return ".." in windows.parts or bool(windows.drive or windows.root) or PurePosixPath(name).is_absolute()


def _zip_member(path: Path, info: zipfile.ZipInfo) -> Member:
    def open_member() -> BinaryIO:
        try:
            with zipfile.ZipFile(path) as archive:
                return io.BytesIO(archive.read(info))
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise InputError("the zip is damaged, or packed in a way that is not read") from error

    return Member(open_member)
