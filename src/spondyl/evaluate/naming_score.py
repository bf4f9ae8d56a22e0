"""Counting right names, recognised numbering variants, and probabilities that held, over any kind of scans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spondyl.anatomy.level import Level, Region
from spondyl.anatomy.numbering import REGULAR, Numbering, levels_apart
from spondyl.evaluate.vertebrae import VertebraScore
from spondyl.labelling import Labelling, Levels

__all__ = [
    "RECOGNISED",
    "VariantTally",
    "claimed_variant",
    "claims",
    "odd_place_is_in_view",
    "score_levels",
]

RECOGNISED = 0.5
"""From this probability on a numbering variant counts as recognised: it is then likelier than all else together."""

_REGULAR_THORACIC = sum(level.region is Region.THORACIC for level in REGULAR.levels)


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


def odd_place_is_in_view(numbering: Numbering, levels: Iterable[Level | None]) -> bool:
    """Whether a scan can tell the variant: an anchor is in view, and the vertebrae that are counted from it.

    Lumbar vertebrae are those between the last ribs and the sacrum, which tell a regular column as well. Thoracic ones
    can only be counted from the neck to the last ribs: whoever has one more or fewer looks regular from below.
    """
    seen = set(levels)
    thoracic, lumbar = (
        [level for level in numbering.levels if level.region is region] for region in (Region.THORACIC, Region.LUMBAR)
    )
    if not {thoracic[-1], lumbar[0]} <= seen:
        return False
    if len(thoracic) != _REGULAR_THORACIC:
        return Level.C2 in seen
    return {lumbar[-1], Level.S1} <= seen


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
