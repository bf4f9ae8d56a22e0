"""Landmarks: points in space with the scores of their detection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spondyl.errors import SettingError
from spondyl.types import Float

__all__ = ["Landmarks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmarks:
    """Detected points, such as the centres of discs.

    Args:
        points_ras_mm: (n, 3).
        scores: (n,) detection scores in [0, 1].

    Raises:
        SettingError: the numbers of points and scores disagree, or a number is not finite.
    """

    points_ras_mm: Float
    scores: Float

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or self.points_ras_mm.shape != (len(self.scores), 3):
            raise SettingError(
                f"landmarks need points (n, 3) and scores (n,), got {self.points_ras_mm.shape}, {self.scores.shape}"
            )
        if not (np.isfinite(self.points_ras_mm).all() and np.isfinite(self.scores).all()):
            raise SettingError("the points and scores of landmarks must be finite")

    def __len__(self) -> int:
        return len(self.scores)
