"""Warnings about the levels of a labelling."""

from __future__ import annotations

from collections.abc import Iterator

from spondyl.anatomy.landmarks import ANCHORS, STAND_INS
from spondyl.anatomy.level import Level
from spondyl.labelling import Labelling

__all__ = ["NO_ANCHOR", "find_doubts"]

NO_ANCHOR = (
    "neither the sacrum nor C2 is in view: levels were inferred from appearance and spacing alone, and all may be off "
    "by one"
)
_MIN_ANCHOR_PROBABILITY = 0.5
"""The probability that the level of an anchor must have to count."""

_MIN_VARIANT_PROBABILITY = 0.2
"""The probability from which a numbering variant is reported."""

_MIN_MISSED_PROBABILITY = 0.2
"""The probability from which a vertebra is reported that was not found between two others."""


def find_doubts(labelling: Labelling[Level]) -> tuple[str, ...]:
    """List the reasons to doubt the levels.

    They are untrained levels, no anchor in view, a likely numbering variant, and a vertebra that was not found between
    two others.
    """
    return (*_untrained(labelling), *_unanchored(labelling), *_variants(labelling), *_missed(labelling))


def _untrained(labelling: Labelling[Level]) -> Iterator[str]:
    if labelling.trained_levels is None:
        return
    first, last = labelling.trained_levels
    levels = dict.fromkeys(level for level in labelling.levels if level is not None)
    untrained = [level for level in levels if not first.rank <= STAND_INS.get(level, level).rank <= last.rank]
    if untrained:
        yield (
            f"{', '.join(untrained)}: the weights were trained on no level outside {first} to {last}, "
            "so these levels rest on the distances between vertebrae alone"
        )


def _unanchored(labelling: Labelling[Level]) -> Iterator[str]:
    named = [(level, p) for level, p in zip(labelling.levels, labelling.level_probability, strict=True) if level]
    if named and not any(level in ANCHORS and p >= _MIN_ANCHOR_PROBABILITY for level, p in named):
        yield NO_ANCHOR


def _variants(labelling: Labelling[Level]) -> Iterator[str]:
    for name, probability in labelling.numberings.items():
        if name != "regular" and probability >= _MIN_VARIANT_PROBABILITY:
            verb = "seems to" if probability >= 0.5 else "may"
            yield f"the column {verb} have {name}, probability {probability:.2f}"


def _missed(labelling: Labelling[Level]) -> Iterator[str]:
    for level, probability in labelling.missed.items():
        if probability >= _MIN_MISSED_PROBABILITY:
            verb = "lies" if probability >= 0.5 else "may lie"
            yield (
                f"{level} {verb} in a gap between vertebrae that were found and was not found itself, "
                f"probability {probability:.2f}"
            )
