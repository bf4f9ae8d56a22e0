"""What the appearance and the context network are taught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.identify.height_map import Float, Float32, HeightMapSettings, HeightSpan, height_map, padded_rows, rows_at

IGNORED = -100
"""Class of what is not supervised; the number that torch's cross entropy leaves out by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextExample:
    """One training example of the context network.

    Args:
        heights: (1, rows, columns) float32, its input.
        classes: (rows,) int64, the column to be found at each row, `IGNORED` where nothing is known.
    """

    heights: Float32
    classes: NDArray[np.int64]


def level_classes(levels: Sequence[Level | None], columns: tuple[Level, ...] = OFFICIAL_COLUMNS) -> NDArray[np.int64]:
    """Column of each level, (n,); `IGNORED` for an unknown level and for one without a column."""
    found = [columns.index(level) if level in columns else IGNORED for level in levels]
    return np.array(found, dtype=np.int64)


def context_example(
    logits: NDArray[np.floating],
    tops_mm: Float,
    bottoms_mm: Float,
    height_mm: float,
    levels: Sequence[Level | None],
    rng: np.random.Generator,
    *,
    dropout: float = 0.1,
    whole_span: bool = False,
    columns: tuple[Level, ...] = OFFICIAL_COLUMNS,
    settings: HeightMapSettings | None = None,
) -> ContextExample:
    """Draw the input map without some detections, and the classes at every vertebra, the left out ones included.

    Args:
        logits: (n, columns) of the appearance network for each true vertebra; a row of NaN for one that was not
            detected: it is supervised, not drawn.
        tops_mm: (n,) upper edges, mm down from the scan's top.
        bottoms_mm: (n,) lower edges.
        height_mm: of the scan.
        levels: the truth; None where it is not known, which is drawn, not supervised.
        rng: decides which detections are left out.
        dropout: probability of leaving one out (0.1 in section 4.4.2 of the paper).
        whole_span: supervise every row from edge to edge instead of the centroid's row alone (the reference code).
        columns: the level of each column.
        settings: how the map is drawn.

    Raises:
        SettingError: numbers of vertebrae disagree, or `dropout` is not a probability.
    """
    if len(levels) != len(logits) or not 0 <= dropout <= 1:
        raise SettingError("every vertebra needs logits and a level, and dropout must be a probability")
    drawn = settings or HeightMapSettings()
    seen = ~np.isnan(logits).any(axis=1) & (rng.random(len(logits)) >= dropout)
    picture = height_map(logits[seen], tops_mm[seen], bottoms_mm[seen], height_mm, drawn)
    if not seen.any():
        picture = np.zeros((padded_rows(height_mm, drawn.multiple), len(columns)), dtype=np.float32)
    classes = np.full(len(picture), IGNORED, dtype=np.int64)
    for top, bottom, column in zip(tops_mm, bottoms_mm, level_classes(levels, columns), strict=True):
        if whole_span and column != IGNORED:
            first, last = rows_at(np.array([top, bottom]), len(picture))
            classes[first : last + 1] = column
    _supervise_centres(classes, (tops_mm + bottoms_mm) / 2, height_mm, level_classes(levels, columns))
    return ContextExample(heights=picture[None], classes=classes)


def _supervise_centres(
    classes: NDArray[np.int64], centres_mm: Float, height_mm: float, columns: NDArray[np.int64]
) -> None:
    known = (columns != IGNORED) & (centres_mm >= 0) & (centres_mm < height_mm)
    classes[rows_at(centres_mm[known], len(classes))] = columns[known]


__all__ = ["IGNORED", "ContextExample", "HeightSpan", "context_example", "level_classes"]
