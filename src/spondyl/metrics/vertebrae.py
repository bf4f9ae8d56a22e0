"""Measures of detection and naming, as in SpineNetV2 (Windsor et al. 2022, section 5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import levels_apart
from spondyl.geometry.affine import Float
from spondyl.geometry.instance import VertebraInstance

__all__ = ["VertebraScore", "contains", "score_vertebrae"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VertebraScore:
    """Counts over one or more exams; scores add up.

    Args:
        truths: vertebrae that are there.
        detections: vertebrae that were reported where truth is known.
        found: truths whose centroid lies inside exactly one detected quadrilateral of their slice.
        correct: detections that found a truth.
        identified: found truths that were given their level.
        nearly_identified: found truths that were given their level or one next to it.
        errors_mm: distance of detected and true centroids, one for each found truth.
    """

    truths: int
    detections: int
    found: int
    correct: int
    identified: int
    nearly_identified: int
    errors_mm: tuple[float, ...]

    def __add__(self, other: VertebraScore) -> VertebraScore:
        return VertebraScore(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})

    @property
    def precision(self) -> float:
        """Share of detections that found a vertebra; NaN without detections."""
        return self.correct / self.detections if self.detections else float("nan")

    @property
    def recall(self) -> float:
        """Share of vertebrae that were found; NaN without truth."""
        return self.found / self.truths if self.truths else float("nan")

    @property
    def identification_rate(self) -> float:
        """Share of vertebrae found and rightly named (IDR)."""
        return self.identified / self.truths if self.truths else float("nan")

    @property
    def near_identification_rate(self) -> float:
        """Share of vertebrae found and named right or one off (IDR±1)."""
        return self.nearly_identified / self.truths if self.truths else float("nan")

    @property
    def localisation_error_mm(self) -> tuple[float, float]:
        """Mean and standard deviation of the centroids' distance (LE)."""
        if not self.errors_mm:
            return float("nan"), float("nan")
        return float(np.mean(self.errors_mm)), float(np.std(self.errors_mm))


def score_vertebrae(
    truth: Mapping[Level, VertebraInstance],
    detected: Sequence[VertebraInstance],
    levels: Sequence[Level | None],
) -> VertebraScore:
    """Compare one exam with its truth.

    A detection above the first or below the last true body is not counted, since scans show bodies that nobody
    outlined. Below a labelled S1 nobody outlined S2; a detection there with any other name is false.

    Args:
        truth: outlines of the bodies that are there, by level.
        detected: bodies that were found, in the same stack.
        levels: the level given to each of them; None for one that was rejected, which then counts as not reported.

    Returns:
        The counts.
    """
    reported = [(body, level) for body, level in zip(detected, levels, strict=True) if level is not None]
    hits = np.array(
        [[contains(body, true.centroid_index) for body, _ in reported] for true in truth.values()], dtype=bool
    ).reshape(len(truth), len(reported))
    alone = hits.sum(1) == 1
    which = hits.argmax(1) if reported else np.zeros(len(truth), int)
    known = hits.any(0) | _within_truth(truth, reported)
    steps = [levels_apart(reported[which[i]][1], level) for i, level in enumerate(truth) if alone[i]]
    errors = [_distance_mm(true, reported[which[i]][0]) for i, true in enumerate(truth.values()) if alone[i]]
    return VertebraScore(
        truths=len(truth),
        detections=int(known.sum()),
        found=int(alone.sum()),
        correct=int(hits[alone].any(0).sum()),
        identified=sum(step == 0 for step in steps),
        nearly_identified=sum(step <= 1 for step in steps),
        errors_mm=tuple(errors),
    )


def contains(body: VertebraInstance, point: Float) -> bool:
    """Say whether the quadrilateral in the slice nearest to a point (slice, row, column) contains it."""
    nearest = int(np.abs(np.array(body.slices) - point[0]).argmin())
    return bool(shapely.contains_xy(shapely.Polygon(body.outlines[nearest]), *point[1:]))


def _within_truth(
    truth: Mapping[Level, VertebraInstance], reported: Sequence[tuple[VertebraInstance, Level]]
) -> NDArray[np.bool_]:
    """Find the bodies between the first and the last true one, or below a true S1 without being named S2, (m,)."""
    rows = np.array([body.centroid_index[1] for body, _ in reported])
    true_rows = [true.centroid_index[1] for true in truth.values()]
    first, last = min(true_rows, default=np.inf), max(true_rows, default=-np.inf)
    is_false = np.array([Level.S1 in truth and level is not Level.S2 for _, level in reported], dtype=bool)
    return np.asarray((rows >= first) & ((rows <= last) | is_false))


def _distance_mm(true: VertebraInstance, body: VertebraInstance) -> float:
    """The distance of the centroids in the plane of the slices, since truth drawn in one slice has no depth."""
    a, b = true.centroid_index, body.centroid_index
    return float(np.linalg.norm((b - a)[1:] * true.affine.spacing_mm[1:]))
