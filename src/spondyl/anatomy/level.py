"""Vertebral levels as anatomical names, in head-to-foot order."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property

__all__ = ["Level", "Region"]


class Region(StrEnum):
    """The regions of the column."""

    CERVICAL = "cervical"
    THORACIC = "thoracic"
    LUMBAR = "lumbar"
    SACRAL = "sacral"


class Level(StrEnum):
    """A vertebra by its anatomical name; members are listed from head to foot.

    T13 and L6 exist in numbering variants only. S1 and S2 stand for the first two sacral bodies.
    """

    C1 = "C1"
    C2 = "C2"
    C3 = "C3"
    C4 = "C4"
    C5 = "C5"
    C6 = "C6"
    C7 = "C7"
    T1 = "T1"
    T2 = "T2"
    T3 = "T3"
    T4 = "T4"
    T5 = "T5"
    T6 = "T6"
    T7 = "T7"
    T8 = "T8"
    T9 = "T9"
    T10 = "T10"
    T11 = "T11"
    T12 = "T12"
    T13 = "T13"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    L4 = "L4"
    L5 = "L5"
    L6 = "L6"
    S1 = "S1"
    S2 = "S2"

    @cached_property
    def rank(self) -> int:
        """The position from the head, 0 for C1; two levels compare by rank, never by name."""
        return list(Level).index(self)

    @cached_property
    def region(self) -> Region:
        """The region, by the first letter of the name."""
        letters = {"C": Region.CERVICAL, "T": Region.THORACIC, "L": Region.LUMBAR, "S": Region.SACRAL}
        return letters[self.value[0]]
