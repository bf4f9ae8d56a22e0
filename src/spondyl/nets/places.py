"""The folders of the user's own weights and of Spondyl's cache.

`SPONDYL_HOME` names one folder for both; otherwise each is in the usual place of the platform (XDG base directories on
Linux, Library on macOS, LOCALAPPDATA on Windows). If there is no such place, or it is another user's, the paths are
below the null device: nothing is found there, and writing fails with an `OSError`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["cache_folder", "shipped_weights_folder", "user_weights_folder"]

_NOWHERE = Path(os.devnull) / "spondyl"


def shipped_weights_folder() -> Path:
    """Return the folder of the weights inside the package."""
    return Path(__file__).parents[1] / "weights"


def user_weights_folder() -> Path:
    """Return the folder of the user's own weights, imported or trained; it may not exist yet."""
    return _base("XDG_DATA_HOME", ".local/share", "Library/Application Support") / "weights"


def cache_folder() -> Path:
    """Return the folder of caches, which can be made again at any time; it may not exist yet."""
    home = os.environ.get("SPONDYL_HOME")
    return Path(home) / "cache" if home else _base("XDG_CACHE_HOME", ".cache", "Library/Caches")


def _base(variable: str, linux: str, macos: str) -> Path:
    try:
        folder = _folder(variable, linux, macos)
        (folder / "any").stat()
    except FileNotFoundError:
        return folder
    except (OSError, RuntimeError):  # RuntimeError: no HOME, and a user that the system does not know
        return _NOWHERE
    return folder


def _folder(variable: str, linux: str, macos: str) -> Path:
    home = os.environ.get("SPONDYL_HOME")
    if home:
        return Path(home)
    if sys.platform == "darwin":
        return Path.home() / macos / "spondyl"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "spondyl"
    return Path(os.environ.get(variable) or Path.home() / linux) / "spondyl"
