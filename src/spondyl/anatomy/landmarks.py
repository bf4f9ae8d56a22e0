"""Levels that fix the numbering of a column, and the levels that a scan must show to identify a variant."""

from __future__ import annotations

from collections.abc import Iterable

from spondyl.anatomy.level import Level, Region
from spondyl.anatomy.numbering import REGULAR, Numbering

__all__ = ["ANCHORS", "DETECTED", "LANDMARKS", "STAND_INS", "is_detected", "variant_is_identifiable"]

LANDMARKS = (Level.C1, Level.C2, Level.C3, Level.S1, Level.S2)
"""Levels that show the dens or the sacrum: a patient-wide shift of the numbering never applies to them."""

ANCHORS = frozenset({Level.C1, Level.C2, Level.S1, Level.S2})
"""Levels from which the others can be counted."""

DETECTED = (Level.C2, Level.S1)
"""The uppermost and the lowest body that detectors are trained to find, as in the published networks."""

STAND_INS: dict[Level, Level] = {Level.T13: Level.T12, Level.L6: Level.L5, Level.S2: Level.S1}
"""The level whose output is used for a level that the networks do not have: the last ribs, the last above the sacrum,
and the paper's "double S1". C1 has none, since it has no body that a detector could find."""

_REGULAR_THORACIC = sum(level.region is Region.THORACIC for level in REGULAR.levels)


def is_detected(level: Level) -> bool:
    """Tell whether detectors are trained to find the body of a level."""
    return DETECTED[0].rank <= level.rank <= DETECTED[1].rank


def variant_is_identifiable(numbering: Numbering, levels: Iterable[Level | None]) -> bool:
    """Tell whether a scan that shows these levels distinguishes the numbering from others.

    Lumbar vertebrae are those between the last ribs and the sacrum, so both must be in view; they identify a regular
    column as well. Thoracic vertebrae can only be counted from C2 to the last ribs: without C2 in view, a column with
    one more or fewer looks regular.
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
