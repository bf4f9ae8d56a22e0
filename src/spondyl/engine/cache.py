"""Files in our cache that are checked before use: a damaged, exchanged or outdated one is as good as none.

A file begins with the sha256 of its key and its content. The key names all that the content was made from, so that
what was made from anything else has another digest. Nothing here raises: a cache that cannot be used costs time only.
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
"""Of each folder; beyond it the files used longest ago go. The compiled networks of one set of weights are 25 MB."""

_LOG = logging.getLogger(__name__)
_DIGEST_BYTES = 32
_ENDING, _PARTIAL = ".blob", ".partial"


def read_cached(folder: str, name: str, key: str) -> bytes | None:
    """Read what was written under a name and a key; None where that is not there, whole and unchanged.

    Args:
        folder: a folder of the cache, of one kind of content.
        name: how the file's name begins.
        key: all that the content depends on.
    """
    path = _path(folder, name, key)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FOLDER_BYTES:
            return None  # opening a pipe would wait for ever
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
    """Write content for `read_cached`, atomically, in the place of what is there; warn where that cannot be done.

    Args:
        folder: a folder of the cache, of one kind of content; files used long ago are removed from it.
        name: how the file's name begins.
        key: all that the content depends on.
        content: at most `MAX_FOLDER_BYTES`, or it will not stay.
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
    digest = hashlib.sha256(hashlib.sha256(key.encode()).digest())  # of fixed length, so that key and content part
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
    """Keep the files used last that fit, those of earlier versions and of killed processes counted."""
    with suppress(OSError), os.scandir(folder) as entries:
        ours = [entry for entry in entries if entry.name.endswith((_ENDING, _PARTIAL)) and not entry.is_dir()]
        known = sorted(((_status(entry), entry) for entry in ours), key=lambda item: -item[0].st_mtime_ns)
        total = 0
        for status, entry in known:
            total += status.st_size
            if total > MAX_FOLDER_BYTES:
                with suppress(OSError):  # another process removes too
                    Path(entry).unlink()


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    return entry.stat(follow_symlinks=False)


@cache
def _warn(folder: Path, reason: str) -> None:
    """Say once per process and folder that every start will take longer."""
    _LOG.warning("the cache %s cannot be written, so each start takes longer: %s", folder, reason)
