"""The settings of the exact ordered decoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from spondyl.errors import SettingError
from spondyl.identify.misses import MissRates
from spondyl.types import Float

__all__ = ["OrderCosts"]

MAX_SHIFT = 2
MIN_LOG_SHIFT = float(np.log(1e-4))
"""The lowest log-probability of a shift; rarer ones, and those beyond `MAX_SHIFT` levels, are ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCosts:
    """Penalties of the ordered decoder, in nats.

    Args:
        temperature: divisor of the networks' log-probabilities; above 1 gives them less weight.
        landmark_temperature: divisor where regions and landmark levels (`anatomy.landmarks`) are distinguished; as
            `temperature` when None. Ribs, sacrum and dens are visible, the levels between them are estimated.
        outlier_probability: probability that a network is confidently wrong about a candidate.
        shift_sd: deviation, in levels, of an error that the networks make throughout a patient; 0 for none.
        beyond: for S2, which detectors are not trained to find; about one in eight is found nevertheless.
        disc_temperature: divisor of the log-probabilities of the network that locates discs; until it is fitted to one,
            that of the shipped appearance network.
        misses: how often detectors miss a body.
        disc_miss: how often a disc is missed.
        max_skipped: largest number of levels without a candidate between two accepted neighbours; one more level is
            expected above the first and below the last.
        rejection: for rejecting a candidate of detection score 0.5.
        rejection_per_logit: added per unit of the score's logit, with the score clipped to 0.02 to 0.98.
        spacing: weight of the distances; 0 ignores them.
        localisation_mm: error of the distance between two detected centroids.
        sizes: patient's sizes relative to the spacing table.
        size_mean, size_sd: prior of the size's logarithm.

    Raises:
        SettingError: a number is outside its range.
    """

    temperature: float = 1.0
    landmark_temperature: float | None = None
    outlier_probability: float = 0.01
    shift_sd: float = 0.0
    beyond: float = 2.0
    disc_temperature: float = 5.0
    misses: MissRates = field(default_factory=MissRates)
    disc_miss: float = 0.05
    max_skipped: int = 4
    rejection: float = 3.0
    rejection_per_logit: float = 0.5
    spacing: float = 1.0
    localisation_mm: float = 1.5
    sizes: tuple[float, ...] = (0.79, 0.86, 0.93, 1.0, 1.07, 1.14, 1.22)
    size_mean: float = 0.03
    size_sd: float = 0.08

    def __post_init__(self) -> None:
        positive = (
            self.temperature,
            self.disc_temperature,
            self.temperature if self.landmark_temperature is None else self.landmark_temperature,
            self.localisation_mm,
            self.size_sd,
            *self.sizes,
        )
        if min(positive) <= 0 or not self.sizes:
            raise SettingError("temperatures, localisation_mm, size_sd and sizes must be positive")
        if not 0 <= self.outlier_probability <= 1:
            raise SettingError(f"outlier_probability must be in [0, 1], got {self.outlier_probability}")
        if not 0 < self.disc_miss < 1:
            raise SettingError(f"disc_miss must lie between 0 and 1, got {self.disc_miss}")
        if min(self.spacing, self.beyond, self.max_skipped, self.shift_sd) < 0:
            raise SettingError("spacing, beyond, max_skipped and shift_sd must not be negative")

    def shifts(self) -> dict[int, float]:
        """Compute the log-probability of each shift of the networks, in levels, that is not negligible."""
        if self.shift_sd == 0:
            return {0: 0.0}
        weights = {shift: -0.5 * (shift / self.shift_sd) ** 2 for shift in range(-MAX_SHIFT, MAX_SHIFT + 1)}
        total = np.log(sum(np.exp(weight) for weight in weights.values()))
        return {shift: float(weight - total) for shift, weight in weights.items() if weight - total > MIN_LOG_SHIFT}

    def rejections(self, scores: Annotated[Float, "n"]) -> Annotated[Float, "n"]:
        """Compute the cost of rejecting candidates of these detection scores, (n,)."""
        clipped = np.clip(scores, 0.02, 0.98)
        return np.asarray(self.rejection + self.rejection_per_logit * np.log(clipped / (1 - clipped)))
