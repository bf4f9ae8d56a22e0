"""Calibration of probabilities: of the statements made with 90 %, nine in ten should be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spondyl.errors import SettingError

__all__ = ["BINS", "Calibration", "describe_calibration", "measure_calibration"]

BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Probabilities compared with outcomes.

    Args:
        count: number of statements.
        mean_probability: mean of their probabilities.
        accuracy: share of them that was right.
        expected_error: expected calibration error: the difference between mean probability and accuracy in each bin of
            probabilities, averaged over the statements (Guo et al. 2017, arXiv 1706.04599, equation 3).
    """

    count: int
    mean_probability: float
    accuracy: float
    expected_error: float


def measure_calibration(probabilities: ArrayLike, outcomes: ArrayLike, bins: int = BINS) -> Calibration:
    """Compare probabilities with outcomes.

    Args:
        probabilities: (n,) in [0, 1], n > 0.
        outcomes: (n,) whether each statement was right.
        bins: number of bins of equal width over [0, 1].

    Raises:
        SettingError: there is no statement, the lengths differ, or a probability is outside [0, 1].
    """
    given, right = np.asarray(probabilities, dtype=np.float64), np.asarray(outcomes, dtype=np.float64)
    if given.ndim != 1 or given.shape != right.shape or not len(given):
        raise SettingError(f"calibration needs as many outcomes as probabilities, got {right.shape} and {given.shape}")
    if not ((given >= 0) & (given <= 1)).all():
        raise SettingError("probabilities must be within [0, 1]")
    which = np.minimum((given * bins).astype(int), bins - 1)
    gaps = np.bincount(which, given - right, bins)  # within a bin: its statements times its gap
    return Calibration(
        count=len(given),
        mean_probability=float(given.mean()),
        accuracy=float(right.mean()),
        expected_error=float(np.abs(gaps).sum() / len(given)),
    )


def describe_calibration(scans: str, claims: Sequence[tuple[float, bool]], *, bodies: str = "bodies") -> str:
    """Describe the calibration of the probabilities of levels in a sentence.

    Args:
        scans: the scans that were measured.
        claims: probability of each level, and whether it was right.
        bodies: the noun for what is counted.
    """
    if not claims:
        return f"`level_probability` on {scans}: nothing was named."
    probabilities, outcomes = zip(*claims, strict=True)
    found = measure_calibration(probabilities, outcomes)
    return (
        f"`level_probability` on {scans}, {found.count} {bodies}: {found.mean_probability:.3f} in the mean, "
        f"{found.accuracy:.3f} of the levels right, expected calibration error {found.expected_error:.3f}."
    )
