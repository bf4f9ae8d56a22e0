"""The result of naming the vertebrae of one scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spondyl.anatomy.level import Level

Levels = tuple[Level | None, ...]
"""One level per candidate, top to bottom; None for a candidate that is no vertebra."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSequence:
    """One answer and the logarithm of its probability, nats."""

    levels: Levels
    log_probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """Levels of n candidates, top to bottom, with probabilities.

    Args:
        sequences: the best answers, most probable first; never empty.
        marginals: (n, 28) probability of each level in the order of `Level`, over all answers.
        rejected: (n,) probability that a candidate is no vertebra; with `marginals` each row sums to 1.
        numberings: probability of each numbering variant, by name.
        size: posterior mean of the patient's size relative to the spacing table.
    """

    sequences: tuple[LevelSequence, ...]
    marginals: NDArray[np.float64]
    rejected: NDArray[np.float64]
    numberings: dict[str, float]
    size: float

    @property
    def levels(self) -> Levels:
        """The best answer."""
        return self.sequences[0].levels

    @property
    def log_probability(self) -> float:
        """Logarithm of the best answer's probability, nats."""
        return self.sequences[0].log_probability

    @property
    def level_probability(self) -> NDArray[np.float64]:
        """Probability of each candidate's best level, or of its rejection, over all answers, (n,)."""
        pairs = enumerate(self.levels)
        return np.array([self.rejected[i] if one is None else self.marginals[i, one.rank] for i, one in pairs])

    def level_probabilities(self, candidate: int, threshold: float = 1e-3) -> dict[Level, float]:
        """The levels that a candidate may have with at least `threshold` probability, most probable first."""
        row = self.marginals[candidate]
        likely = [level for level in Level if row[level.rank] >= threshold]
        return {level: float(row[level.rank]) for level in sorted(likely, key=lambda one: -row[one.rank])}
