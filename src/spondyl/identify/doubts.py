"""Sentences on what a reader must know before trusting the levels of a labelling."""

from __future__ import annotations

from collections.abc import Iterator

from spondyl.anatomy.landmarks import ANCHORS
from spondyl.anatomy.level import Level
from spondyl.identify.evidence import STAND_INS
from spondyl.labelling import Labelling

__all__ = ["NO_ANCHOR", "find_doubts"]

NO_ANCHOR = (
    "neither the sacrum nor C2 is in view: levels were inferred from appearance and spacing alone, and all may be off "
    "by one"
)
_SURE_ANCHOR = 0.5
"""An anchor whose level has a lower probability does not count."""

_NOTABLE_VARIANT = 0.2
"""From this probability on a reader should know that the column may be numbered otherwise."""


def find_doubts(labelling: Labelling[Level]) -> tuple[str, ...]:
    """List what casts doubt on the levels: untrained levels, no anchor in view, a likely numbering variant."""
    return (*_untrained(labelling), *_unanchored(labelling), *_variants(labelling))


def _untrained(labelling: Labelling[Level]) -> Iterator[str]:
    if labelling.trained_levels is None:
        return
    first, last = labelling.trained_levels
    levels = dict.fromkeys(level for level in labelling.levels if level is not None)
    strange = [level for level in levels if not first.rank <= STAND_INS.get(level, level).rank <= last.rank]
    if strange:
        yield (
            f"{', '.join(strange)}: the weights were trained on no level outside {first} to {last}, "
            "so these levels rest on the distances between vertebrae alone"
        )


def _unanchored(labelling: Labelling[Level]) -> Iterator[str]:
    named = [(level, p) for level, p in zip(labelling.levels, labelling.level_probability, strict=True) if level]
    if named and not any(level in ANCHORS and p >= _SURE_ANCHOR for level, p in named):
        yield NO_ANCHOR


def _variants(labelling: Labelling[Level]) -> Iterator[str]:
    for name, probability in labelling.numberings.items():
        if name != "regular" and probability >= _NOTABLE_VARIANT:
            verb = "seems to" if probability >= 0.5 else "may"
            yield f"the column {verb} have {name}, probability {probability:.2f}"
