"""The files of a folder, a zip or an upload as streams; no file of an archive is ever written to disk.

A message names a file by its place among all of them. A file name may contain a patient's name: it is used only to
recognise files that Spondyl wrote, and never leaves the reader.
"""

from __future__ import annotations

import io
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from stat import S_ISREG
from typing import BinaryIO, cast

from spondyl.errors import InputError
from spondyl.imaging.limits import MAX_RATIO, RATIO_COUNTS_FROM_BYTES

__all__ = ["Member", "file_member", "folder_members", "number_members", "open_zip"]

MAX_UNPACKED_BYTES = 4 * 2**30
"""The limit of all files of a zip together, twice a scan of 10^9 voxels of 16 bits."""

MAX_FILES = 200_000
"""The largest studies have some 20,000 slices."""

MAX_DIRECTORY_BYTES = 50 * 2**20
"""The directory of a zip of `MAX_FILES` files whose names have 200 characters."""

_DAMAGED_ZIP = "the zip is damaged, or its compression is not supported"
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,  # its subclass NotImplementedError too: a method of compression that is not known
    ValueError,  # of names that are not in the encoding that they claim
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of a scan: on disk, in an archive or in memory.

    Args:
        open: opens it anew as a stream of bytes; InputError where it cannot be read.
        stored_bytes: its actual size on disk or in the archive, whatever length it claims.
        name: path below its folder or in its archive, with slashes; not to be shown.
        place: its place among the files, as messages show it; empty where it is the only one.
        is_packed: whether seeking backwards unpacks it anew.
    """

    open: Callable[[], BinaryIO]
    stored_bytes: Callable[[], int]
    name: str = field(default="", repr=False)
    place: str = ""
    is_packed: bool = False

    @classmethod
    def from_bytes(cls, content: bytes, name: str = "") -> Member:
        """Make a member from bytes in memory, such as an uploaded file."""
        return cls(open=lambda: io.BytesIO(content), stored_bytes=lambda: len(content), name=name)

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open the file for the duration of the block; errors raised in it name the file.

        Raises:
            InputError: the file cannot be opened or read, or the block raised it.
        """
        try:
            with self.open() as stream:
                yield stream
        except InputError as error:
            raise InputError(f"{self.place}: {error}" if self.place else str(error)) from error
        except _ZIP_ERRORS as error:
            reason = getattr(error, "strerror", None) or "it is damaged"
            sentence = _DAMAGED_ZIP if self.is_packed else f"a file of the scan cannot be read: {reason}"
            raise InputError(f"{self.place}: {sentence}" if self.place else sentence) from error

    def head(self, count: int) -> bytes:
        """Read the first bytes, fewer where the file is shorter."""
        with self.opened() as stream:
            return stream.read(count)


def number_members(members: Sequence[Member]) -> list[Member]:
    """Set the places of the members, in the order given."""
    if len(members) == 1:
        return list(members)
    return [
        replace(member, place=f"the {_ordinal(number)} of {len(members)} files")
        for number, member in enumerate(members, 1)
    ]


def _ordinal(number: int) -> str:
    suffix = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def file_member(path: Path, name: str = "") -> Member:
    """Make a member from a file on disk."""
    return Member(open=lambda: _open_file(path), stored_bytes=lambda: _stored_bytes(path), name=name)


def _open_file(path: Path) -> BinaryIO:
    """Open without blocking, in case the file has been replaced by a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise InputError(f"a file of the scan cannot be opened: {error.strerror}") from error
    stream = os.fdopen(descriptor, "rb")
    if S_ISREG(os.fstat(descriptor).st_mode):
        return stream
    stream.close()
    raise InputError("a file of the scan is not a regular file")


def _stored_bytes(path: Path) -> int:
    """Count the bytes of a file without its holes, where the file system reports them; stop once it is dense enough."""
    with _open_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size <= RATIO_COUNTS_FROM_BYTES or not hasattr(os, "SEEK_DATA"):
            return size
        stored = at = 0
        while at < size and stored * MAX_RATIO < size:
            try:
                start = os.lseek(stream.fileno(), at, os.SEEK_DATA)
                at = os.lseek(stream.fileno(), start, os.SEEK_HOLE)
            except OSError:  # no data behind this point
                return stored
            stored += at - start
        return size


def folder_members(folder: Path) -> list[Member]:
    """List all regular files below a folder, in the order of their names; links to folders are not followed.

    Raises:
        InputError: the folder cannot be listed, or holds too many files.
    """
    names: list[tuple[str, ...]] = []
    pending: list[tuple[str, ...]] = [()]
    while pending:
        parts = pending.pop()
        for name, is_folder in _entries(folder.joinpath(*parts)):
            (pending if is_folder else names).append((*parts, name))
            if len(names) + len(pending) > MAX_FILES:
                raise InputError(f"the folder holds more than {MAX_FILES} files; give the folder of one study")
    return number_members([file_member(folder.joinpath(*parts), "/".join(parts)) for parts in sorted(names)])


def _entries(folder: Path) -> Iterator[tuple[str, bool]]:
    """Names of the folders, which this is said of, and of the regular files in a folder."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if (is_folder := entry.is_dir(follow_symlinks=False)) or _is_file(entry):
                    yield entry.name, is_folder
    except OSError as error:
        raise InputError(f"a folder of the scan cannot be listed: {error.strerror}") from error


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a circular link, or one to a place without access
        return False


@contextmanager
def open_zip(member: Member) -> Iterator[list[Member]]:
    """List all files in a zip, in the order of their names, checked by its directory before one is unpacked.

    The archive is open, and its members can be read, for the duration of the block.

    Raises:
        InputError: not a zip, encrypted, with paths that lead out of it, or unpacking to more than a scan can hold.
    """
    with member.open() as stream:
        try:
            _require_short_directory(stream)
            archive = zipfile.ZipFile(stream)
        except _ZIP_ERRORS as error:
            raise InputError("the zip is damaged or truncated") from error
        with archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            _refuse_unsafe(infos, member.stored_bytes())
            yield number_members([_zip_member(archive, info) for info in sorted(infos, key=lambda info: info.filename)])


def _require_short_directory(stream: BinaryIO) -> None:
    """Refuse a zip whose directory, which must be read whole before anything else, is too large.

    Source: APPNOTE.TXT 4.3.14 to 4.3.16, where the end records of a zip hold that size.
    """
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - 2**16 - 200))
    tail = stream.read()
    stream.seek(0)
    end, long_end = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")
    if end < 0:
        raise zipfile.BadZipFile
    size = int.from_bytes(tail[end + 12 : end + 16], "little")
    if long_end >= 0:
        size = int.from_bytes(tail[long_end + 40 : long_end + 48], "little")
    if size > MAX_DIRECTORY_BYTES:
        raise InputError("the zip lists more files than one study holds; it was not unpacked")


def _refuse_unsafe(infos: Sequence[zipfile.ZipInfo], archive_bytes: int) -> None:
    if any(_leads_out(name) for info in infos for name in {info.filename, info.orig_filename}):
        raise InputError("the zip holds an absolute path or one with '..', which no scan needs; it was not unpacked")
    if any(info.flag_bits & 1 for info in infos):
        raise InputError("the zip is encrypted; unpack it first")
    unpacked = sum(info.file_size for info in infos)
    packed = min(sum(info.compress_size for info in infos), archive_bytes)  # files that overlap count once
    is_bomb = unpacked > RATIO_COUNTS_FROM_BYTES and unpacked > MAX_RATIO * max(packed, 1)
    if len(infos) > MAX_FILES or unpacked > MAX_UNPACKED_BYTES or is_bomb:
        raise InputError(
            f"the zip would unpack to {len(infos)} files of {unpacked / 2**20:.0f} MiB from {packed / 2**20:.1f} MiB, "
            f"more than one study holds; it was not unpacked"
        )


def _leads_out(name: str) -> bool:
    windows = PureWindowsPath(name)
    return ".." in windows.parts or bool(windows.drive or windows.root) or PurePosixPath(name).is_absolute()


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    def open_member() -> BinaryIO:
        try:
            return cast(BinaryIO, archive.open(info))
        except _ZIP_ERRORS as error:
            raise InputError(_DAMAGED_ZIP) from error

    return Member(open=open_member, stored_bytes=lambda: info.compress_size, name=info.filename, is_packed=True)
