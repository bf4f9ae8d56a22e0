"""Files and folders that appear whole or not at all, even if the program is killed.

Everything is first written beside its place, in a hidden folder `.spondyl-<8 hex>-fresh` that its writer keeps locked:

- `new/NAME` will become NAME
- `old/NAME` is the folder NAME that it replaces; `old` exists only while complete things are moved to their places

Such a folder that nobody has locked belonged to a killed process. The next writer beside it completes the move that
`old` shows to have begun, and removes it. Where folders cannot be locked (NFS, Windows), it stays.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spondyl.errors import OutputError

__all__ = ["REASONS", "clear_dead", "new_file", "new_files", "new_folder", "refused"]

REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EIO: "the system refused it",
    errno.EFBIG: "the file would be too large",
    errno.EACCES: "there is no permission to write there",
    errno.EPERM: "there is no permission to write there",
    errno.EROFS: "the file system is read-only",
    errno.ENOENT: "the folder that it belongs in is missing",
    errno.ENOTDIR: "part of its path is a file",
    errno.ENAMETOOLONG: "its name is too long",
}
"""The reasons for which a system refuses to write, in words."""

_STAGING = re.compile(r"\.spondyl-[0-9a-f]{8}-fresh")


def refused(what: str, error: OSError) -> OutputError:
    """The error that says why something cannot be written, without a path."""
    return OutputError(f"{what} cannot be written: {REASONS.get(error.errno or 0, 'the system refused it')}")


@contextmanager
def new_folder(path: Path, what: str) -> Iterator[Path]:
    """Give a folder to fill, which takes the place of `path` when the block ends well and is gone when it does not.

    Args:
        path: a folder of that name is replaced as a whole; missing folders above it are made.
        what: names the output in a message.

    Raises:
        OutputError: the system refuses to write; nothing has changed.
    """
    with _parents_of(path, what), new_files(path.parent, what) as fresh:
        (fresh / path.name).mkdir()
        yield fresh / path.name


@contextmanager
def new_file(path: Path, what: str) -> Iterator[Path]:
    """Give a path to write, which replaces the file `path` in one step when the block ends well.

    Args:
        path: missing folders above it are made.
        what: names the output in a message.

    Raises:
        OutputError: the system refuses to write; nothing has changed.
    """
    with _parents_of(path, what), new_files(path.parent, what) as fresh:
        yield fresh / path.name


@contextmanager
def new_files(folder: Path, what: str) -> Iterator[Path]:
    """Give an empty folder; what the block puts there appears in `folder`, all of it or nothing.

    Args:
        folder: exists; several new files and folders must have names that are free in it.
        what: names the output in a message.

    Raises:
        OutputError: the system refuses to write; nothing has changed.
    """
    with _reasons(what):
        clear_dead(folder)
        staging = folder / f".spondyl-{os.urandom(4).hex()}-fresh"
        lock = None
        try:
            lock = _make_locked(staging)
            yield staging / "new"
            _move_in(staging)
        finally:
            _discard(staging)
            if lock is not None:
                os.close(lock)


@contextmanager
def _reasons(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refused(what, error) from error


def _make_locked(staging: Path) -> int | None:
    """Make a staging folder and lock it, with `new` in it; None where folders cannot be locked."""
    while True:
        staging.mkdir()
        try:
            lock = _lock(staging)
            (staging / "new").mkdir()
        except (BlockingIOError, FileNotFoundError):  # another writer took it for a dead one before it was locked
            shutil.rmtree(staging, ignore_errors=True)
        else:
            return lock


def _lock(folder: Path) -> int | None:
    """Lock a folder until the descriptor is closed or the process ends; None where folders cannot be locked.

    Raises:
        BlockingIOError: another process has locked it.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return descriptor


def _move_in(staging: Path) -> None:
    """Move everything in `new` to its place; a folder that has the place is kept in `old`."""
    new, old, parent = staging / "new", staging / "old", staging.parent
    names = sorted(path.name for path in new.iterdir())
    if len(names) > 1 or any((parent / name).is_dir() for name in names):
        old.mkdir()
    try:
        for name in names:
            if (parent / name).is_dir():
                (parent / name).rename(old / name)
            (new / name).replace(parent / name)
    except BaseException:
        _move_back(staging, names)
        raise


def _move_back(staging: Path, names: list[str]) -> None:
    new, old, parent = staging / "new", staging / "old", staging.parent
    with suppress(OSError):  # what cannot be restored now stays in `old`, for the next writer
        for name in names:
            if not (new / name).exists():
                (parent / name).rename(new / name)
            if (old / name).exists():
                (old / name).rename(parent / name)
        if old.exists():
            old.rmdir()


def _discard(staging: Path) -> None:
    """Remove a staging folder, unless it holds an old folder whose successor is not in its place."""
    if _is_empty(staging / "new") or _is_empty(staging / "old"):
        try:
            shutil.rmtree(staging, ignore_errors=True)
        except KeyboardInterrupt:
            shutil.rmtree(staging, ignore_errors=True)  # to its end; a second Ctrl-C soon after the first is ignored
            raise


def _is_empty(folder: Path) -> bool:
    return not folder.is_dir() or not any(folder.iterdir())


def clear_dead(folder: Path) -> None:
    """Complete or remove what killed writers have left in a folder; every writer beside does so."""
    with suppress(OSError):  # a folder that may be written need not be readable
        for staging in [path for path in folder.iterdir() if _STAGING.fullmatch(path.name)]:
            _clear(staging)


def _clear(staging: Path) -> None:
    with suppress(OSError):  # its writer lives, or it is not ours to remove
        lock = _lock(staging)
        if lock is not None:
            try:
                _complete(staging)
                _discard(staging)
            finally:
                os.close(lock)


def _complete(staging: Path) -> None:
    """Move to its place what was complete when its writer was killed; what is there meanwhile stays."""
    if not ((staging / "old").is_dir() and (staging / "new").is_dir()):
        return
    for path in (staging / "new").iterdir():
        if not (staging.parent / path.name).exists():
            path.rename(staging.parent / path.name)


@contextmanager
def _parents_of(path: Path, what: str) -> Iterator[None]:
    """Make the missing folders above, and remove them again when the block fails."""
    missing = [parent for parent in path.parents if not parent.exists()]
    try:
        with _reasons(what):
            for parent in reversed(missing):
                parent.mkdir()
        yield
    except BaseException:
        for parent in missing:
            with suppress(OSError):  # never made, or somebody else has put something there
                parent.rmdir()
        raise
