"""A report on disk: whole or not at all, and never over anything that is not an earlier report."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from spondyl.errors import OutputError
from spondyl.files import new_folder, refused
from spondyl.findings import Findings
from spondyl.reading import Reading
from spondyl.report.outputs import OUTPUTS, Report

__all__ = ["OUR_FILES", "default_folder", "require_usable_folder", "write_report"]

OUR_FILES = frozenset(output.name for output in OUTPUTS)
"""The files that an output folder may hold to be replaced; with any other file in it, it is left alone."""

_WHAT = "the output folder"


def default_folder(source: Path) -> Path:
    """The folder beside an input that takes its report: `<input>_spondyl`, without the ending of an image file."""
    source = source.resolve()
    name = source.name
    if not source.is_dir():
        for ending in (".gz", ".nii", ".mha", ".dcm", ".zip"):
            name = name.removesuffix(ending)
    return source.with_name(f"{name or source.name}_spondyl")


def require_usable_folder(folder: Path) -> None:
    """Refuse early, before any work, what `write_report` would refuse to replace.

    Raises:
        OutputError: the folder is a file, or holds anything but an earlier report.
    """
    try:
        if not folder.exists() and not folder.is_symlink():
            _require_writable(next(parent for parent in folder.resolve().parents if parent.exists()))
            return
        if not folder.is_dir():
            raise OutputError("the output must be a folder, and a file of that name is there")
        names = {entry.name for entry in folder.iterdir()}
        if names and not (names <= OUR_FILES and _is_report(folder / "report.json")):
            raise OutputError("the output folder is not empty and holds more than an earlier report; name another one")
    except OSError as error:
        raise refused(_WHAT, error) from error


def write_report(findings: Findings, reading: Reading, folder: Path) -> None:
    """Write all files of a report into a folder that appears only when it is complete.

    Args:
        findings: what to report.
        reading: what they were made from, with the scan.
        folder: replaced as a whole if it is empty or holds an earlier report.

    Raises:
        OutputError: the folder holds something else, or cannot be written; nothing is left behind.
    """
    require_usable_folder(folder)
    report = Report(findings=findings, reading=reading)
    contents = {output.name: output.content(report) for output in OUTPUTS if output.is_wanted(report)}
    with new_folder(folder.resolve(), _WHAT) as fresh:
        for name, content in contents.items():
            (fresh / name).write_bytes(content)


def _require_writable(folder: Path) -> None:
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _is_report(path: Path) -> bool:
    try:
        return str(json.loads(path.read_bytes())["schema"]).startswith("spondyl.findings/")
    except (OSError, ValueError, KeyError, TypeError):
        return False
