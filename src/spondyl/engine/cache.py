"""Files in the cache that are checked before use: a damaged, exchanged or outdated one is ignored.

A file begins with the sha256 of its key and its content. The key states all inputs of the content, so that content
from other inputs has another digest. Nothing here raises: without a usable cache, everything only takes longer.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import stat
from contextlib import suppress
from functools import cache
from pathlib import Path

from spondyl.nets.places import cache_folder

__all__ = ["MAX_FOLDER_BYTES", "read_cached", "write_cached"]

MAX_FOLDER_BYTES = 512 * 2**20
"""The limit of each folder, beyond which the least recently used files are removed; a set of weights takes 25 MB."""

_LOG = logging.getLogger(__name__)
_DIGEST_BYTES = 32
_ENDING, _PARTIAL = ".blob", ".partial"


def read_cached(folder: str, name: str, key: str) -> bytes | None:
    """Read the content that was written under a name and a key; None if it is missing or damaged.

    Args:
        folder: a folder of the cache, for one kind of content.
        name: first part of the file's name.
        key: all inputs of the content.
    """
    path = _path(folder, name, key)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FOLDER_BYTES:
            return None  # opening a pipe would block
        with path.open("rb") as file:
            digest, content = file.read(_DIGEST_BYTES), file.read()
    except OSError:
        return None
    if digest != _digest(key, content):
        return None
    with suppress(OSError):
        os.utime(path)  # used just now
    return content


def write_cached(folder: str, name: str, key: str, content: bytes) -> None:
    """Write content for `read_cached`, atomically, replacing earlier content; log a warning on failure.

    Args:
        folder: a folder of the cache, for one kind of content; files that were not used recently are removed from it.
        name: first part of the file's name.
        key: all inputs of the content.
        content: at most `MAX_FOLDER_BYTES`, or it is removed at once.
    """
    path = _path(folder, name, key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, _digest(key, content), content)
    except OSError as error:
        _warn(path.parent, error.strerror or "it cannot be written")
    else:
        _remove_oldest(path.parent)


def _path(folder: str, name: str, key: str) -> Path:
    return cache_folder() / folder / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}{_ENDING}"


def _digest(key: str, content: bytes) -> bytes:
    digest = hashlib.sha256(hashlib.sha256(key.encode()).digest())  # of fixed length, to separate key and content
    digest.update(content)
    return digest.digest()


def _replace(path: Path, *parts: bytes) -> None:
    partial = path.with_suffix(f".{secrets.token_hex(8)}{_PARTIAL}")
    try:
        with partial.open("xb") as file:
            file.writelines(parts)
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _remove_oldest(folder: Path) -> None:
    """Keep the most recently used files that fit; those of earlier versions and killed processes count as well."""
    with suppress(OSError), os.scandir(folder) as entries:
        ours = [entry for entry in entries if entry.name.endswith((_ENDING, _PARTIAL)) and not entry.is_dir()]
        known = sorted(((_status(entry), entry) for entry in ours), key=lambda item: -item[0].st_mtime_ns)
        total = 0
        for status, entry in known:
            total += status.st_size
            if total > MAX_FOLDER_BYTES:
                with suppress(OSError):  # another process may remove it too
                    Path(entry).unlink()


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    return entry.stat(follow_symlinks=False)


@cache
def _warn(folder: Path, reason: str) -> None:
    """Log once per process and folder that every start takes longer."""
    _LOG.warning("the cache %s cannot be written, so each start takes longer: %s", folder, reason)
