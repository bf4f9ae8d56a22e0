"""Numbering variants of the vertebral column as explicit sequences of levels from C1 to S2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError

__all__ = [
    "ELEVEN_THORACIC",
    "FOUR_LUMBAR",
    "NUMBERINGS",
    "REGULAR",
    "SIX_LUMBAR",
    "THIRTEEN_THORACIC",
    "Numbering",
    "is_possible_pair",
    "levels_apart",
    "list_levels",
    "total_prior",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbering:
    """A numbering variant of the vertebral column.

    Args:
        name: as reports show it, e.g. "six lumbar vertebrae".
        levels: the vertebrae from head to foot.
        prior: its frequency among patients, in (0, 1].

    Raises:
        SettingError: the levels do not descend strictly, or the prior is outside (0, 1].
    """

    name: str
    levels: tuple[Level, ...]
    prior: float

    def __post_init__(self) -> None:
        if not self.levels or any(lower.rank <= upper.rank for upper, lower in pairwise(self.levels)):
            raise SettingError(f"the levels of a numbering must descend strictly, got {'-'.join(self.levels)}")
        if not 0 < self.prior <= 1:
            raise SettingError(f"the prior of a numbering must be in (0, 1], got {self.prior}")


def list_levels(*, thoracic: int = 12, lumbar: int = 5) -> tuple[Level, ...]:
    """List the levels C1 to S2 of a column with 11 to 13 thoracic and 4 to 6 lumbar vertebrae.

    Raises:
        SettingError: no variant has these numbers of vertebrae.
    """
    if thoracic not in (11, 12, 13) or lumbar not in (4, 5, 6):
        raise SettingError(f"a column has 11 to 13 thoracic and 4 to 6 lumbar vertebrae, got {thoracic} and {lumbar}")
    absent = {f"T{n}" for n in range(thoracic + 1, 14)} | {f"L{n}" for n in range(lumbar + 1, 7)}
    return tuple(level for level in Level if level.value not in absent)


REGULAR = Numbering(name="regular", levels=list_levels(), prior=0.90)
ELEVEN_THORACIC = Numbering(name="eleven thoracic vertebrae", levels=list_levels(thoracic=11), prior=0.025)
THIRTEEN_THORACIC = Numbering(name="thirteen thoracic vertebrae", levels=list_levels(thoracic=13), prior=0.015)
FOUR_LUMBAR = Numbering(name="four lumbar vertebrae", levels=list_levels(lumbar=4), prior=0.02)
SIX_LUMBAR = Numbering(name="six lumbar vertebrae", levels=list_levels(lumbar=6), prior=0.04)

NUMBERINGS = (REGULAR, ELEVEN_THORACIC, THIRTEEN_THORACIC, FOUR_LUMBAR, SIX_LUMBAR)
"""The variants that are distinguished. Frequencies, rounded, from

- Yan et al. 2018, doi 10.1186/s13018-018-0835-9, 293 adults: 11 thoracic with 5 lumbar 4.1 %, 12 with 6 lumbar 3.8 %;
- Nakajima et al. 2014, doi 10.1007/s13244-013-0286-0, 226 adults: lumbarisation 6.2 %, sacralisation 2.7 %,
  lumbar ribs 5.8 %, of which five in six together with lumbarisation;
- Tins and Balain 2016, doi 10.1007/s13244-016-0468-7, 418 adults: one mobile vertebra more 4.3 %, one fewer 3.3 %,
  and besides sacralised L5 1.9 %, lumbarised S1 1.0 %.

Studies disagree by a factor of two; the figures lie below their means because some of their variants are partial
(transitional vertebrae) and keep the regular names. Double variants (11 thoracic with 6 lumbar) are not distinguished.
"""


@cache
def levels_apart(one: Level, other: Level) -> int:
    """Count the steps between two levels in the variant in which they are nearest: T12 and L1 are 1 apart."""
    orders = [numbering.levels for numbering in NUMBERINGS if {one, other} <= set(numbering.levels)]
    return min((abs(levels.index(one) - levels.index(other)) for levels in orders), default=abs(one.rank - other.rank))


def is_possible_pair(upper: Level, lower: Level) -> bool:
    """Tell whether the two vertebrae are neighbours in some numbering variant."""
    return any((upper, lower) in set(pairwise(numbering.levels)) for numbering in NUMBERINGS)


def total_prior(numberings: tuple[Numbering, ...]) -> float:
    """Sum the priors of some numberings, which need not be normalised.

    Raises:
        SettingError: there is no numbering.
    """
    if not numberings:
        raise SettingError("at least one numbering variant is needed, got none")
    return math.fsum(numbering.prior for numbering in numberings)
