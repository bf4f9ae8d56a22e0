"""Counting right names, recognised numbering variants, and probabilities that held, over any kind of scans."""

from __future__ import annotations

from dataclasses import dataclass

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import REGULAR, Numbering, levels_apart
from spondyl.labelling import Labelling, Levels
from spondyl.metrics.vertebrae import VertebraScore

__all__ = [
    "RECOGNISED",
    "VariantTally",
    "claimed_variant",
    "claims",
    "score_levels",
]

RECOGNISED = 0.5
"""From this probability on a numbering variant counts as recognised: it is then likelier than all else together."""


def score_levels(given: Levels, true: Levels) -> VertebraScore:
    """Compare levels with what each detection is; None stands for no vertebra, on both sides.

    Vertebrae that were not detected at all are not counted: names are compared here, not detectors.
    """
    pairs = [(one, truth) for one, truth in zip(given, true, strict=True) if truth is not None]
    steps = [levels_apart(one, truth) for one, truth in pairs if one is not None]
    return VertebraScore(
        truths=len(pairs),
        detections=sum(level is not None for level in given),
        found=len(steps),
        correct=len(steps),
        identified=sum(step == 0 for step in steps),
        nearly_identified=sum(step <= 1 for step in steps),
        errors_mm=(),
    )


def claims(labelling: Labelling[Level], true: Levels) -> list[tuple[float, bool]]:
    """Probability of each level that is given, and whether it is right."""
    rows = zip(labelling.levels, labelling.level_probability, true, strict=True)
    return [(min(1.0, float(probability)), given is truth) for given, probability, truth in rows if given is not None]


def claimed_variant(labelling: Labelling[Level]) -> str | None:
    """Name of the numbering variant that is recognised, if one is."""
    name, probability = max(labelling.numberings.items(), key=lambda item: item[1])
    return name if name != REGULAR.name and probability >= RECOGNISED else None


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantTally:
    """How often numbering variants are recognised, over scans that can tell; tallies add up.

    Args:
        odd: patients with a variant.
        named: of these, those whose variant was recognised by its name.
        noticed: of these, those for whom some variant was recognised.
        regular: patients without.
        alarms: of these, those for whom some variant was recognised.
    """

    odd: int = 0
    named: int = 0
    noticed: int = 0
    regular: int = 0
    alarms: int = 0

    @classmethod
    def of(cls, labelling: Labelling[Level], numbering: Numbering) -> VariantTally:
        """Count one scan."""
        claimed = claimed_variant(labelling)
        if numbering.name == REGULAR.name:
            return cls(regular=1, alarms=int(claimed is not None))
        return cls(odd=1, named=int(claimed == numbering.name), noticed=int(claimed is not None))

    def __add__(self, other: VariantTally) -> VariantTally:
        return VariantTally(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})

    @property
    def sensitivity(self) -> float:
        """Share of the variants recognised by name; NaN without any."""
        return self.named / self.odd if self.odd else float("nan")

    @property
    def detection(self) -> float:
        """Share of the variants for which some variant was recognised; NaN without any."""
        return self.noticed / self.odd if self.odd else float("nan")

    @property
    def specificity(self) -> float:
        """Share of regular columns for which no variant was recognised; NaN without any."""
        return 1 - self.alarms / self.regular if self.regular else float("nan")
