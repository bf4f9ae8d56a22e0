"""Measures of the removal of false points, with Look-Once's definitions: each per image, then the mean over images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from spondyl.errors import SettingError
from spondyl.types import Float, Mask

__all__ = ["MEASURES", "KeptScore", "mean_score", "score_kept"]

MEASURES = ("F1", "accuracy", "specificity", "sensitivity", "AUC")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptScore:
    """The measures of one image or the mean of several, each within 0 and 1.

    Args:
        f1: harmonic mean of precision and sensitivity; 0 where no disc is kept.
        accuracy: share of the points that are rightly kept or removed.
        specificity: share of the false points that are removed; 1 where there is none.
        sensitivity: share of the discs that are kept.
    """

    f1: float
    accuracy: float
    specificity: float
    sensitivity: float

    @property
    def auc(self) -> float:
        """The area under the curve of the decisions themselves, as published: no probabilities enter."""
        return (self.specificity + self.sensitivity) / 2

    @property
    def values(self) -> Annotated[Float, "5"]:
        """The measures in the order of `MEASURES`."""
        return np.array([self.f1, self.accuracy, self.specificity, self.sensitivity, self.auc])


def score_kept(is_kept: Annotated[Mask, "n"], is_disc: Annotated[Mask, "n"]) -> KeptScore:
    """Measure one image.

    Raises:
        SettingError: no point is a disc.
    """
    discs, false = int(is_disc.sum()), int((~is_disc).sum())
    if not discs:
        raise SettingError("an image without discs has no sensitivity")
    right = int((is_kept & is_disc).sum())
    removed = int((~is_kept & ~is_disc).sum())
    return KeptScore(
        f1=2 * right / (discs + int(is_kept.sum())),
        accuracy=(right + removed) / len(is_disc),
        specificity=removed / false if false else 1.0,
        sensitivity=right / discs,
    )


def mean_score(scores: Iterable[KeptScore]) -> KeptScore:
    """Average the measures of images.

    Raises:
        SettingError: there is none.
    """
    listed = list(scores)
    if not listed:
        raise SettingError("a mean needs an image or more")
    f1, accuracy, specificity, sensitivity, _ = np.mean([score.values for score in listed], axis=0).tolist()
    return KeptScore(f1=f1, accuracy=accuracy, specificity=specificity, sensitivity=sensitivity)
