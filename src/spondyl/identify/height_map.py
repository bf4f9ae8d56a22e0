"""The height-probability map: an image of the level probabilities at each height, which the context network refines.

Rows are millimetres down from the top of the scan, columns the levels of the network (Windsor et al. 2022, section
3.2, steps 3 to 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from spondyl.errors import SettingError
from spondyl.identify.evidence import log_softmax
from spondyl.types import Float, Float32, Index, Mask

__all__ = ["HeightMapSettings", "HeightSpan", "height_map", "padded_rows", "read_rows", "rows_at"]


class HeightSpan(StrEnum):
    """The part of a detection's height on which its probabilities are drawn."""

    FULL = "full"
    """All from its upper to its lower edge, as in the paper."""
    CENTRAL = "central"
    """The central half, as the reference code does and the published weights expect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeightMapSettings:
    """The settings of the map.

    Args:
        span: the part of a detection that is drawn.
        temperature: divisor of the appearance logits before the softmax. 10 in section 3.2 and in the reference code;
            the 0.1 of section 4.4.2 would sharpen, which contradicts the word "recalibrated" beside it.
        multiple: the height is padded with zeros to a multiple of this.

    Raises:
        SettingError: a number is not positive.
    """

    span: HeightSpan = HeightSpan.CENTRAL
    temperature: float = 10.0
    multiple: int = 256

    def __post_init__(self) -> None:
        if self.temperature <= 0 or self.multiple < 1:
            raise SettingError("the temperature and the multiple of a height map must be positive")


def height_map(
    logits: Annotated[NDArray[np.floating], "n columns"],
    tops_mm: Annotated[Float, "n"],
    bottoms_mm: Annotated[Float, "n"],
    height_mm: float,
    settings: HeightMapSettings | None = None,
) -> Annotated[Float32, "rows columns"]:
    """Draw the map.

    Args:
        logits: (n, columns) of the appearance network.
        tops_mm: (n,) upper edges, mm down from the scan's top; a detection that extends beyond it is cut.
        bottoms_mm: (n,) lower edges.
        height_mm: of the scan.
        settings: of the map.

    Returns:
        (rows, columns) float32, rows of 1 mm, zero where nothing is detected; the mean where detections overlap.

    Raises:
        SettingError: the numbers of logits and edges disagree, or an edge lies above its upper one.
    """
    drawn = settings or HeightMapSettings()
    if not len(logits) == len(tops_mm) == len(bottoms_mm):
        raise SettingError(
            f"every detection needs logits and edges, got {len(logits)}, {len(tops_mm)}, {len(bottoms_mm)}"
        )
    if (bottoms_mm < tops_mm).any() or not 0 < height_mm < np.inf:
        raise SettingError("lower edges must lie below upper ones, in a scan of positive height")
    rows = padded_rows(height_mm, drawn.multiple)
    covered = _covered(tops_mm, bottoms_mm, rows, drawn.span)
    probabilities = np.exp(log_softmax(np.asarray(logits, dtype=np.float64) / drawn.temperature))
    total = covered.T.astype(np.float64) @ probabilities
    return np.asarray(total / np.maximum(covered.sum(axis=0), 1)[:, None], dtype=np.float32)


def padded_rows(height_mm: float, multiple: int) -> int:
    """Count the rows of a map for a scan of this height: whole millimetres, rounded up to the multiple."""
    return int(np.ceil(max(np.ceil(height_mm), 1) / multiple)) * multiple


def rows_at(heights_mm: Annotated[Float, "*heights"], rows: int) -> Annotated[Index, "*heights"]:
    """Find the row of each height; heights outside belong to the first or last row."""
    return np.clip(np.floor(heights_mm), 0, rows - 1).astype(np.intp)


def read_rows(
    refined: Annotated[NDArray[np.floating], "rows columns"], centroids_mm: Annotated[Float, "n"]
) -> Annotated[Float, "n columns"]:
    """Read the rows of a refined map (rows, columns) at the detections' centroids, (n, columns)."""
    return np.asarray(refined[rows_at(centroids_mm, len(refined))], dtype=np.float64)


def _covered(tops_mm: Float, bottoms_mm: Float, rows: int, span: HeightSpan) -> Mask:
    """Find the rows on which each detection is drawn, (n, rows): those whose middle it spans, at least its centre's."""
    centre, half = (tops_mm + bottoms_mm) / 2, (bottoms_mm - tops_mm) / 2
    half = half / 2 if span is HeightSpan.CENTRAL else half
    middles = np.arange(rows) + 0.5
    covered = np.abs(middles - centre[:, None]) <= half[:, None]
    covered[np.arange(len(centre)), rows_at(centre, rows)] = True
    return np.asarray(covered)
