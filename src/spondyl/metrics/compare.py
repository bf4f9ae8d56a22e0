"""`spondyl evaluate`: reports against the truth, by case and pooled, with the measures of SpineNetV2's section 5.1."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from spondyl.datasets.truth import Centroids, VoxelCentroids, read_truth
from spondyl.errors import InputError, SettingError
from spondyl.findings import SCHEMA, Findings, Vertebra
from spondyl.geometry.affine import Affine, Float
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.resample import sagittal_axes
from spondyl.metrics.tables import SCORE_HEADER, format_score, format_table
from spondyl.metrics.vertebrae import VertebraScore, score_vertebrae

__all__ = ["compare", "score_report"]

_REPORT = "report.json"
_SCHEMA = SCHEMA.partition("/")[0]
_FILE_ENDINGS = (".nii.gz", ".nii", ".mha", ".json")
_SUFFIX = re.compile(r"_(spondyl|seg(-\w+)?|ctd|truth|msk|ct|mr|t1w?|t2w?)$", re.IGNORECASE)
"""Suffixes that `spondyl analyze` and data sets add to the name of a case for its scan, truth and report."""

_NO_TRUTH = re.compile(r"_(subregions|seg-subreg)", re.IGNORECASE)
"""Masks that label the parts of a vertebra, but not the vertebrae."""

_RANKS = (
    re.compile(r"_(truth|ctd)\.json$", re.IGNORECASE),
    re.compile(r"_(seg|msk).*(?<!\.json)$", re.IGNORECASE),
    re.compile(r"\.json$", re.IGNORECASE),
)
"""Patterns of truth in their order of preference: centroids, then a mask, then any JSON, which may hold centroids."""


def compare(predicted: Path, truth: Path) -> str:
    """Compare reports with the truth.

    A report and a truth belong together when their names begin alike: those of the case `case01` are
    `case01_spondyl/report.json` or `case01.json`, and the first that is there of `case01_truth.json` (or `_ctd`),
    `case01_seg.nii.gz` (or `_msk`), `case01.json` and `case01.nii.gz`. Where there is one report, and the truth is a
    file or a folder with files of one case, they belong together whatever their names.

    Args:
        predicted: a report, a folder that `spondyl analyze` wrote, or a folder of either.
        truth: a file as `datasets.truth` lists them, or a folder of such files, as `spondyl phantom` writes it.

    Returns:
        A Markdown table, one row for each case and one for all, and how many reports and truths have no partner.

    Raises:
        SettingError: no report has a truth, or two of one name are given.
        InputError: a report or a truth cannot be read, or is none.
    """
    reports = _reports(predicted)
    truths = dict.fromkeys(reports, truth) if truth.is_file() else _truths(truth)
    if len(reports) == len(truths) == 1:
        truths = dict(zip(reports, truths.values(), strict=True))
    _require_pairs(reports, truths, one_truth=truth.is_file())
    scores = {case: _score(report, truths[case]) for case, report in reports.items() if case in truths}
    rows = [(case, *format_score(score)) for case, score in scores.items()]
    if len(rows) > 1:
        rows.append((f"all {len(rows)}", *format_score(reduce(add, scores.values()))))
    lone = {"reports without a truth": len(reports), "truths without a report": len(truths)}
    notes = [f"not counted: {count - len(scores)} {kind}" for kind, count in lone.items() if count > len(scores)]
    return "\n\n".join([format_table(("case", *SCORE_HEADER), rows), *notes])


def score_report(findings: Findings, centroids: Centroids) -> VertebraScore:
    """Compare one report with the true centroids; see `score_vertebrae` for the rules.

    Centroids and outlines meet in the planes of the scan's own sagittal slices; the error is measured in these planes.

    Args:
        findings: the report.
        centroids: by level, (3,) RAS mm.
    """
    affine = _sagittal_affine(findings)
    true = {level: _as_instance(point, affine) for level, point in centroids.items()}
    found = [_instance(vertebra, affine) for vertebra in findings.vertebrae]
    return score_vertebrae(true, found, [vertebra.level for vertebra in findings.vertebrae])


def _score(report: Path, true: Path) -> VertebraScore:
    try:
        findings = Findings.from_json(report.read_bytes())
    except OSError as error:
        raise InputError(f"a report cannot be read: {error.strerror}") from error
    truth = read_truth(true)
    if isinstance(truth, VoxelCentroids):
        truth = truth.to_world(Affine(np.array(findings.image.affine_ras)), findings.image.shape)
    return score_report(findings, truth)


def _reports(path: Path) -> dict[str, Path]:
    """List the reports by case."""
    if path.is_file():
        files = [path]
    elif (path / _REPORT).is_file():
        files = [path / _REPORT]
    else:
        files = sorted([*path.glob(f"*/{_REPORT}"), *filter(_may_be_report, path.glob("*.json"))])
    if not files:
        raise InputError("there is no report in PREDICTED")
    cases = [_case(file.resolve().parent.name if file.name == _REPORT else file.name) for file in files]
    if len(set(cases)) < len(cases):
        raise SettingError(f"{len(cases)} reports are of only {len(set(cases))} cases; give one report for each case")
    return dict(zip(cases, files, strict=True))


def _may_be_report(file: Path) -> bool:
    """Say whether a JSON file is a report or damaged, rather than plainly something else, such as a truth."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return True
    return isinstance(content, dict) and str(content.get("schema")).startswith(_SCHEMA)


def _truths(folder: Path) -> dict[str, Path]:
    """List the truth of each case in a folder."""
    files = [file for file in sorted(folder.glob("*")) if file.name.endswith(_FILE_ENDINGS)]
    ranked = sorted((file for file in files if not _NO_TRUTH.search(file.name)), key=_rank, reverse=True)
    if not ranked:
        raise InputError("there is neither a mask nor a JSON of centroids in TRUTH")
    return {_case(file.name): file for file in ranked}  # the last, best ranked, stays


def _rank(file: Path) -> int:
    return next((rank for rank, pattern in enumerate(_RANKS) if pattern.search(file.name)), len(_RANKS))


def _require_pairs(reports: Mapping[str, Path], truths: Mapping[str, Path], *, one_truth: bool) -> None:
    if one_truth and len(reports) > 1:
        raise SettingError(f"there are {len(reports)} reports and one truth; give a folder of truths")
    if not reports.keys() & truths.keys():
        raise SettingError(f"reports and truths must have names that begin alike; {len(reports)} reports have no truth")


def _case(name: str) -> str:
    """The name of a case from that of one of its files."""
    case = _stem(name)
    while _SUFFIX.search(case):
        case = _SUFFIX.sub("", case)
    return case


def _stem(name: str) -> str:
    return next((name.removesuffix(ending) for ending in _FILE_ENDINGS if name.endswith(ending)), name)


def _sagittal_affine(findings: Findings) -> Affine:
    """The affine of the scan's own slices, (slice, row downwards, column) to RAS mm; slices count as in the report."""
    affine = Affine(np.array(findings.image.affine_ras))
    slices, rows, columns = sagittal_axes(affine)
    index_map = np.zeros((4, 4))
    index_map[slices, 0] = 1
    index_map[rows, 1] = -1 if affine.directions[2, rows] > 0 else 1
    index_map[columns, 2] = 1
    index_map[3, 3] = 1
    return affine @ index_map


def _as_instance(point_ras_mm: Float, affine: Affine) -> VertebraInstance:
    """A centroid as a body without extent."""
    index = affine.to_index(point_ras_mm)
    outlines = np.tile(index[1:], (1, 4, 1))
    return VertebraInstance(slices=(round(index[0]),), outlines=outlines, score=1.0, affine=affine)


def _instance(vertebra: Vertebra, affine: Affine) -> VertebraInstance:
    outlines = affine.to_index(np.array(vertebra.outline_mm))[..., 1:]
    return VertebraInstance(slices=vertebra.slices, outlines=outlines, score=vertebra.detection_score, affine=affine)
