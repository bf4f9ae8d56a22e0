"""Importing matplotlib so that its list of fonts is kept in our own cache, and nothing in the user's home."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from spondyl.engine.cache import read_cached, write_cached
from spondyl.nets.places import cache_folder

__all__ = ["import_matplotlib"]

_VARIABLES = ("MPLCONFIGDIR", "XDG_CACHE_HOME")
"""They name the folders of matplotlib, and of fontconfig, which it asks for the system's fonts."""
_SEAL = ("matplotlib", "fonts", "of the system")


def import_matplotlib() -> None:
    """Import matplotlib with a folder in our cache as its own, or one that is removed where that cannot be written.

    A program that has imported matplotlib before keeps it as it is.
    """
    if "matplotlib" in sys.modules:
        return
    folder = cache_folder() / _SEAL[0]
    if not _is_writable(folder):
        with TemporaryDirectory() as passing:
            _import_with(Path(passing))
        return
    known = read_cached(*_SEAL)
    if _font_lists(folder) != known:  # a damaged list can stop the drawing; without one the fonts are listed anew
        for path in folder.glob("fontlist-*.json"):
            with suppress(OSError):
                path.unlink()
    _import_with(folder)
    if _font_lists(folder) != known:
        write_cached(*_SEAL, _font_lists(folder))


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _font_lists(folder: Path) -> bytes:
    """The lists that matplotlib keeps, one per version of it; empty where one cannot be read."""
    try:
        return b"".join(path.read_bytes() for path in sorted(folder.glob("fontlist-*.json")))
    except OSError:
        return b""


def _import_with(folder: Path) -> None:
    with _environment(dict.fromkeys(_VARIABLES, str(folder))):
        import matplotlib.figure  # noqa: F401


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value
