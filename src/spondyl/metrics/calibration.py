"""Whether probabilities mean what they say: of what is claimed with 90 %, nine in ten should hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spondyl.errors import SettingError

__all__ = ["Calibration", "calibration", "calibration_line"]

BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Claims compared with what was true.

    Args:
        claims: how many.
        claimed: their mean probability.
        held: share that was true.
        expected_error: mean over the claims of how far the bin of probabilities that each falls in is from the share
            that was true there (Guo et al. 2017, arXiv 1706.04599, equation 3).
    """

    claims: int
    claimed: float
    held: float
    expected_error: float


def calibration(probabilities: ArrayLike, held: ArrayLike, bins: int = BINS) -> Calibration:
    """Compare probabilities with what came true.

    Args:
        probabilities: (n,) in [0, 1], n > 0.
        held: (n,) whether each claim was true.
        bins: of equal width over [0, 1].

    Raises:
        SettingError: there is no claim, the lengths differ, or a probability is outside [0, 1].
    """
    claimed, true = np.asarray(probabilities, dtype=np.float64), np.asarray(held, dtype=np.float64)
    if claimed.ndim != 1 or claimed.shape != true.shape or not len(claimed):
        raise SettingError(f"calibration needs as many outcomes as probabilities, got {true.shape} and {claimed.shape}")
    if not ((claimed >= 0) & (claimed <= 1)).all():
        raise SettingError("probabilities must be within [0, 1]")
    which = np.minimum((claimed * bins).astype(int), bins - 1)
    gaps = np.bincount(which, claimed - true, bins)  # within a bin: its claims times its gap
    return Calibration(
        claims=len(claimed),
        claimed=float(claimed.mean()),
        held=float(true.mean()),
        expected_error=float(np.abs(gaps).sum() / len(claimed)),
    )


def calibration_line(scans: str, claims: Sequence[tuple[float, bool]], *, bodies: str = "bodies") -> str:
    """How far the probabilities of levels held, as a sentence.

    Args:
        scans: on what they were claimed.
        claims: probability of each level, and whether it was right.
        bodies: what is counted.
    """
    if not claims:
        return f"`level_probability` on {scans}: nothing was named."
    probabilities, outcomes = zip(*claims, strict=True)
    held = calibration(probabilities, outcomes)
    return (
        f"`level_probability` on {scans}, {held.claims} {bodies}: {held.claimed:.3f} in the mean, "
        f"{held.held:.3f} of the levels right, expected calibration error {held.expected_error:.3f}."
    )
