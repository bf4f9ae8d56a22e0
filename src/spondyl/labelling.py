"""The names of the candidates of one scan, with probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from spondyl.anatomy.disc import Disc, discs_of
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import NUMBERINGS
from spondyl.types import Float

__all__ = ["DISCS", "LEVELS", "Labelling", "Labellings", "Levels", "MarkSequence"]

LEVELS = tuple(Level)

DISCS = tuple(dict.fromkeys(disc for numbering in NUMBERINGS for disc in discs_of(numbering)))
"""The discs of all numbering variants."""

Mark = TypeVar("Mark", Level, Disc)
"""The name of a candidate: a vertebra's level, or a disc."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkSequence(Generic[Mark]):
    """One answer and the logarithm of its probability, nats.

    Args:
        levels: one name per candidate, top to bottom; None for a candidate that is rejected.
        log_probability: of the whole answer, which may be about other kinds of candidates as well.
    """

    levels: tuple[Mark | None, ...]
    log_probability: float


Levels = tuple[Level | None, ...]
"""One level per candidate, top to bottom; None for a candidate that is no vertebra."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling(Generic[Mark]):
    """Names of n candidates, top to bottom, with probabilities.

    Args:
        sequences: the best answers, most probable first; never empty.
        marks: the m names that there are.
        marginals: (n, m) probability of each name in the order of `marks`, over all answers.
        rejected: (n,) probability that a candidate is none of them; with `marginals` each row sums to 1.
        numberings: probability of each numbering variant, by name.
        size: posterior mean of the patient's size relative to the spacing table.
        trained_levels: the uppermost and the lowest level that the networks behind it were trained on; None where that
            is every level.
        missed: probability of each level that it has no candidate although the column has candidates above and below.
    """

    sequences: tuple[MarkSequence[Mark], ...]
    marks: tuple[Mark, ...]
    marginals: Float
    rejected: Float
    numberings: dict[str, float] = field(default_factory=dict)
    size: float = 1.0
    trained_levels: tuple[Level, Level] | None = None
    missed: dict[Level, float] = field(default_factory=dict)

    @property
    def levels(self) -> tuple[Mark | None, ...]:
        """The best answer."""
        return self.sequences[0].levels

    @property
    def log_probability(self) -> float:
        """Logarithm of the best answer's probability, nats."""
        return self.sequences[0].log_probability

    @property
    def level_probability(self) -> Float:
        """Probability of each candidate's best name, or of its rejection, over all answers, (n,)."""
        column = {mark: place for place, mark in enumerate(self.marks)}
        return np.array(
            [
                self.rejected[i] if mark is None else self.marginals[i, column[mark]]
                for i, mark in enumerate(self.levels)
            ]
        )

    def level_probabilities(self, candidate: int, threshold: float = 1e-3) -> dict[Mark, float]:
        """The names that a candidate may have with at least `threshold` probability, most probable first."""
        row = self.marginals[candidate]
        likely = {mark: float(p) for mark, p in zip(self.marks, row, strict=True) if p >= threshold}
        return dict(sorted(likely.items(), key=lambda item: -item[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Labellings:
    """The names of all candidates of a scan.

    Args:
        vertebrae: of the candidates for vertebrae; None where there are none.
        discs: of the candidates for discs; None where there are none.
    """

    vertebrae: Labelling[Level] | None = None
    discs: Labelling[Disc] | None = None
