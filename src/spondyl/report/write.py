"""A report on disk: whole or not at all, and never over anything that is not an earlier report."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from spondyl.errors import OutputError
from spondyl.files import new_folder, refused
from spondyl.findings import Findings
from spondyl.study import Study

__all__ = ["OUR_FILES", "default_folder", "require_usable_folder", "write_report"]

OUR_FILES = frozenset(
    {
        "report.json",
        "vertebrae.csv",
        "discs.csv",
        "measurements.csv",
        "segmentation.nii.gz",
        "overview.png",
        "report.html",
        "segmentation.dcm",
        "report.dcm",
    }
)
"""What an output folder may hold to be replaced; one strange file and it is left alone."""

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


def write_report(findings: Findings, study: Study, folder: Path) -> None:
    """Write all files of a report into a folder that appears only when it is complete.

    Args:
        findings: what to report.
        study: the scan that they describe, for the picture and the mask.
        folder: replaced as a whole if it is empty or holds an earlier report.

    Raises:
        OutputError: the folder holds something else, or cannot be written; nothing is left behind.
    """
    require_usable_folder(folder)
    contents = _contents(findings, study)
    with new_folder(folder.resolve(), _WHAT) as fresh:
        for name, content in contents.items():
            (fresh / name).write_bytes(content)


def _contents(findings: Findings, study: Study) -> dict[str, bytes]:
    from spondyl.report.masks import rasterise
    from spondyl.report.overview import draw_overview
    from spondyl.report.page import html_report
    from spondyl.report.tables import discs_csv, measurements_csv, vertebrae_csv

    volume, stack = study.volume, study.sagittal
    overview = draw_overview(findings, stack)
    contents = {
        "report.json": findings.to_json().encode(),
        "vertebrae.csv": vertebrae_csv(findings).encode(),
        "overview.png": overview,
        "report.html": html_report(findings, overview).encode(),
    }
    if findings.discs:
        contents["discs.csv"] = discs_csv(findings).encode()
    if findings.measurements:
        contents["measurements.csv"] = measurements_csv(findings).encode()
    if findings.vertebrae:
        from spondyl.imaging.write import to_nifti_gz

        mask = rasterise(findings, volume.voxels.shape, volume.affine, stack.affine)
        contents["segmentation.nii.gz"] = to_nifti_gz(mask, volume.affine)
    return contents


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
