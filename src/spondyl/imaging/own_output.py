"""Recognition of Spondyl's own files in an input folder: reports, the truth of phantoms, and remains of a run.

A report and a truth are recognised by the schema in their JSON, and with them the files that are written beside them,
so that a scan that happens to have such a name is still read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from spondyl.imaging.archive import Member

__all__ = ["find_own_output"]

REPORT_FILES = frozenset(
    {
        "report.json",
        "vertebrae.csv",
        "discs.csv",
        "measurements.csv",
        "segmentation.nii.gz",
        "subregions.nii.gz",
        "overview.png",
        "report.html",
        "segmentation.dcm",
        "report.dcm",
    }
)
"""The files that `spondyl analyze` writes into one folder."""

_TRUTH = "_truth.json"
_TRUTH_FILES = ("_seg.nii.gz", "_subregions.nii.gz", _TRUTH)
"""The endings of the files that `spondyl phantom` writes beside a scan."""

_REMAINS = re.compile(r"\.spondyl-[0-9a-f]{8}-(fresh|previous)")
"""The temporary folders of output, which remain after a run was killed."""

_SCHEMA = re.compile(rb'\s*\{\s*"schema"\s*:\s*"spondyl\.(findings|phantom)/\d+"')
"""The first element of Spondyl's own JSON files."""

_HEAD_BYTES = 200


def find_own_output(members: Sequence[Member]) -> set[str]:
    """List the names of files that Spondyl wrote and that are no scans."""
    return {member.name for member in members if _is_remains(member)} | set(_described(members))


def _is_remains(member: Member) -> bool:
    return any(_REMAINS.fullmatch(part) for part in PurePosixPath(member.name).parts)


def _described(members: Sequence[Member]) -> Iterator[str]:
    for member in members:
        path = PurePosixPath(member.name)
        if path.name == "report.json" and _schema(member) == b"findings":
            yield from (str(path.with_name(name)) for name in REPORT_FILES)
        elif path.name.endswith(_TRUTH) and _schema(member) == b"phantom":
            scan = path.name.removesuffix(_TRUTH)
            yield from (str(path.with_name(scan + ending)) for ending in _TRUTH_FILES)


def _schema(member: Member) -> bytes | None:
    match = _SCHEMA.match(member.head(_HEAD_BYTES))
    return match[1] if match else None
