"""Training targets of the appearance and the context network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.identify.height_map import HeightMapSettings, height_map, padded_rows, rows_at
from spondyl.types import Float, Float32

__all__ = ["IGNORED", "ContextExample", "context_example", "level_classes"]

IGNORED = -100
"""The class of unsupervised rows, which the cross entropy of torch ignores by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextExample:
    """One training example of the context network.

    Args:
        heights: (1, rows, columns) float32, its input.
        classes: (rows,) int64, the column to be found at each row, `IGNORED` where the truth is unknown.
    """

    heights: Float32
    classes: NDArray[np.int64]


def level_classes(levels: Sequence[Level | None], columns: tuple[Level, ...] = OFFICIAL_COLUMNS) -> NDArray[np.int64]:
    """Find the column of each level, (n,); `IGNORED` for an unknown level and for one without a column."""
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
    """Draw the input map without some detections, and the classes at every vertebra, including those.

    Args:
        logits: (n, columns) of the appearance network for each true vertebra; a row of NaN for one that was not
            detected: it is supervised, not drawn.
        tops_mm: (n,) upper edges, mm down from the scan's top.
        bottoms_mm: (n,) lower edges.
        height_mm: of the scan.
        levels: the truth; None where it is unknown, which is drawn, not supervised.
        rng: decides which detections are dropped.
        dropout: probability of dropping one (0.1 in section 4.4.2 of the paper).
        whole_span: supervise every row from edge to edge instead of only the centroid's row (the reference code).
        columns: the level of each column.
        settings: of the map.

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
    supervised = level_classes(levels, columns)
    centres = (tops_mm + bottoms_mm) / 2
    inside = (supervised != IGNORED) & (centres >= 0) & (centres < height_mm)
    edges = np.stack([tops_mm, bottoms_mm] if whole_span else [centres, centres], axis=1)[inside]
    classes = np.full(len(picture), IGNORED, dtype=np.int64)
    for (first, last), column in zip(rows_at(edges, len(picture)), supervised[inside], strict=True):
        classes[first : last + 1] = column
    return ContextExample(heights=picture[None], classes=classes)
