"""Counts of right levels and of recognised numbering variants, and the probabilities given to levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import REGULAR, Numbering, levels_apart
from spondyl.labelling import Labelling, Levels
from spondyl.metrics.vertebrae import VertebraScore

__all__ = [
    "RECOGNISED",
    "VariantTally",
    "level_claims",
    "recognised_variant",
    "score_levels",
]

RECOGNISED = 0.5
"""A numbering variant counts as recognised from this probability on: it is then likelier than all others together."""


def score_levels(given: Levels, true: Levels) -> VertebraScore:
    """Compare given with true levels of detections; None stands for no vertebra, on both sides.

    Vertebrae that were not detected at all are not counted, since levels are compared here, not detectors.
    """
    pairs = [(level, truth) for level, truth in zip(given, true, strict=True) if truth is not None]
    steps = [levels_apart(level, truth) for level, truth in pairs if level is not None]
    return VertebraScore(
        truths=len(pairs),
        detections=sum(level is not None for level in given),
        found=len(steps),
        correct=len(steps),
        identified=sum(step == 0 for step in steps),
        nearly_identified=sum(step <= 1 for step in steps),
        errors_mm=(),
    )


def level_claims(
    labelling: Labelling[Level], true: Levels, known: Sequence[bool] | None = None
) -> list[tuple[float, bool]]:
    """List the probability of each level that is given, and whether it is right.

    Args:
        labelling: the levels that are given to detections.
        true: the true level of each detection; None for no vertebra.
        known: False for detections whose truth is not known, which are left out; None where all are known.
    """
    counted = [True] * len(true) if known is None else known
    rows = zip(labelling.levels, labelling.level_probability, true, counted, strict=True)
    return [(min(1.0, float(p)), given is truth) for given, p, truth, counts in rows if counts and given is not None]


def recognised_variant(labelling: Labelling[Level]) -> str | None:
    """The name of the numbering variant that is recognised; None where none is."""
    name, probability = max(labelling.numberings.items(), key=lambda item: item[1])
    return name if name != REGULAR.name and probability >= RECOGNISED else None


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantTally:
    """Counts of recognised numbering variants, over scans that can identify them; tallies add up.

    Args:
        variants: patients with a variant.
        named: of these, those whose variant was recognised by its name.
        noticed: of these, those for whom some variant was recognised.
        regular: patients without.
        false_positives: of these, those for whom some variant was recognised.
    """

    variants: int = 0
    named: int = 0
    noticed: int = 0
    regular: int = 0
    false_positives: int = 0

    @classmethod
    def from_labelling(cls, labelling: Labelling[Level], numbering: Numbering) -> Self:
        """Count one scan."""
        recognised = recognised_variant(labelling)
        if numbering.name == REGULAR.name:
            return cls(regular=1, false_positives=int(recognised is not None))
        return cls(variants=1, named=int(recognised == numbering.name), noticed=int(recognised is not None))

    def __add__(self, other: VariantTally) -> VariantTally:
        return VariantTally(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})

    @property
    def sensitivity(self) -> float:
        """Share of the variants recognised by name; NaN without any."""
        return self.named / self.variants if self.variants else float("nan")

    @property
    def detection(self) -> float:
        """Share of the variants for which some variant was recognised; NaN without any."""
        return self.noticed / self.variants if self.variants else float("nan")

    @property
    def specificity(self) -> float:
        """Share of regular columns for which no variant was recognised; NaN without any."""
        return 1 - self.false_positives / self.regular if self.regular else float("nan")
