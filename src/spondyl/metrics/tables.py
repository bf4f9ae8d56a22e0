"""Plain tables for benchmarks: Markdown, so that a terminal, a README and `benchmarks/` show the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spondyl.metrics.vertebrae import VertebraScore

__all__ = ["SCORE_HEADER", "format_score", "format_table"]

SCORE_HEADER = ("bodies", "precision %", "recall %", "IDR %", "IDR±1 %", "LE mm")
"""Columns of `format_score`: the measures of SpineNetV2's section 5.1."""


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table whose columns are padded to one width, the first to the left and the others to the right.

    Args:
        header: one text per column.
        rows: as many texts each.
    """
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = [_format_row(row, widths) for row in table]
    rule = (
        "|" + "|".join("-" * (width + 1) + ("-" if column == 0 else ":") for column, width in enumerate(widths)) + "|"
    )
    return "\n".join([lines[0], rule, *lines[1:]])


def format_score(score: VertebraScore) -> tuple[str, ...]:
    """Format a score, one cell for each column of `SCORE_HEADER`; a dash where nothing was counted."""
    shares = (score.precision, score.recall, score.identification_rate, score.near_identification_rate)
    mean, sd = score.localisation_error_mm
    error = f"{mean:.1f} ± {sd:.1f}" if score.errors_mm else "-"
    return (str(score.truths), *("-" if math.isnan(share) else f"{100 * share:.1f}" for share in shares), error)


def _format_row(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if not i else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "| " + " | ".join([first, *others]) + " |"
