"""Findings as tables for spreadsheets: CSV after RFC 4180, one header row, numbers with a decimal point."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from spondyl.findings import Findings, Vertebra

__all__ = ["discs_csv", "measurements_csv", "vertebrae_csv"]

_VERTEBRA_COLUMNS = (
    "level",
    "level_probability",
    "second_level",
    "second_level_probability",
    "detection_score",
    "centroid_r_mm",
    "centroid_a_mm",
    "centroid_s_mm",
    "first_slice",
    "last_slice",
)


_DISC_COLUMNS = (
    "level",
    "probability",
    "centroid_r_mm",
    "centroid_a_mm",
    "centroid_s_mm",
    "posterior_r_mm",
    "posterior_a_mm",
    "posterior_s_mm",
)


def vertebrae_csv(findings: Findings) -> str:
    """One row per vertebra, from head to foot."""
    return _table(_VERTEBRA_COLUMNS, (_vertebra_row(vertebra) for vertebra in findings.vertebrae))


def discs_csv(findings: Findings) -> str:
    """One row per disc, one column per grading and one for the probability of its grade; blank where not graded."""
    names = list(dict.fromkeys(name for disc in findings.discs for name in disc.gradings))
    graded = [column for name in names for column in (name, f"{name}_probability")]
    rows = []
    for disc in findings.discs:
        edge = ("", "", "") if disc.posterior_mm is None else disc.posterior_mm
        row: list[object] = [disc.level, disc.probability, *disc.centroid_mm, *edge]
        for name in names:
            grading = disc.gradings.get(name)
            row += ["", ""] if grading is None else [grading.grade, max(grading.probabilities)]
        rows.append(row)
    return _table([*_DISC_COLUMNS, *graded], rows)


def measurements_csv(findings: Findings) -> str:
    """One row per measurement."""
    columns = ("name", "level", "value", "unit", "method")
    return _table(columns, ([getattr(row, column) for column in columns] for row in findings.measurements))


def _vertebra_row(vertebra: Vertebra) -> list[object]:
    others = {level: p for level, p in vertebra.level_probabilities.items() if level != vertebra.level}
    second = max(others, key=lambda level: others[level], default=None)
    return [
        vertebra.level,
        vertebra.level_probability,
        "" if second is None else second,
        "" if second is None else others[second],
        vertebra.detection_score,
        *vertebra.centroid_mm,
        min(vertebra.slices),
        max(vertebra.slices),
    ]


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
