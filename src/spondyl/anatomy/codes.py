"""Integer codes of public data sets; nowhere else in the library is a level an integer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from spondyl.anatomy.disc import Disc, discs_of
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import REGULAR
from spondyl.errors import SettingError

__all__ = [
    "DISC_OFFSET",
    "SCT_DISCS",
    "VERSE",
    "VERSE_COCCYX",
    "VERSE_SACRUM",
    "SpiderCode",
    "Structure",
    "Subregion",
    "disc_code",
    "level_of",
    "read_spider",
    "spider_level",
    "subregion_code",
    "verse_code",
]

VERSE_SACRUM = 26
VERSE_COCCYX = 27
SPIDER_CANAL = 100
SPIDER_PARTIAL_OFFSET = 100
SPIDER_DISC_OFFSET = 200
DISC_OFFSET = 100
"""A disc in Spondyl's own masks carries this plus the VerSe code of the vertebra above it."""
TOTAL_SEGMENTATOR_SACRUM = 25


class Structure(StrEnum):
    """The kind of structure that a code of the SPIDER data set names."""

    VERTEBRA = "vertebra"
    PARTIAL_VERTEBRA = "partial vertebra"
    CANAL = "canal"
    DISC = "disc"


class Subregion(StrEnum):
    """A part of a vertebra or of its surroundings, as masks of subregions distinguish them.

    Coccyx, rib and implant have no code in `SUBREGIONS`.
    """

    ARCH = "arch"
    SPINOUS = "spinous process"
    TRANSVERSE_LEFT = "left transverse process"
    TRANSVERSE_RIGHT = "right transverse process"
    SUPERIOR_ARTICULAR_LEFT = "left superior articular process"
    SUPERIOR_ARTICULAR_RIGHT = "right superior articular process"
    INFERIOR_ARTICULAR_LEFT = "left inferior articular process"
    INFERIOR_ARTICULAR_RIGHT = "right inferior articular process"
    BODY = "body"
    SACRUM = "sacrum"
    CORD = "cord"
    CANAL = "canal"
    ENDPLATE = "endplate"
    ANNULUS = "annulus"
    NUCLEUS = "nucleus"
    COCCYX = "coccyx"
    RIB = "rib"
    IMPLANT = "implant"


@dataclass(frozen=True, slots=True)
class SpiderCode:
    """A decoded SPIDER code: a structure and its place counted upwards from the lowest, 1 (0 for the canal)."""

    structure: Structure
    place: int


def _numbered(first: int, *levels: Level) -> dict[int, Level]:
    return {first + offset: level for offset, level in enumerate(levels)}


_CERVICAL_TO_T12 = tuple(Level)[: Level.T12.rank + 1]
_T12_TO_C1 = _CERVICAL_TO_T12[::-1]
_LUMBAR = (Level.L1, Level.L2, Level.L3, Level.L4, Level.L5)

VERSE: Mapping[int, Level] = MappingProxyType(
    _numbered(1, *_CERVICAL_TO_T12) | _numbered(20, *_LUMBAR, Level.L6, Level.S1) | {28: Level.T13}
)
"""VerSe (Sekuboyina et al. 2021): C1..C7 1 to 7, T1..T12 8 to 19, L1..L6 20 to 25, T13 28; sacrum 26, read as S1."""

TOTAL_SEGMENTATOR: Mapping[int, Level] = MappingProxyType(_numbered(26, Level.S1, *_LUMBAR[::-1], *_T12_TO_C1))
"""TotalSegmentator 2, task "total": S1 26, L5 27 ... C1 50; 25 is the sacrum."""

MRSPINESEG: Mapping[int, Level] = MappingProxyType(
    _numbered(1, Level.S1, *_LUMBAR[::-1], Level.T12, Level.T11, Level.T10, Level.T9)
)
"""MRSpineSeg challenge: sacrum 1 (read as S1), L5 2 ... T9 10."""

MRSPINESEG_DISCS: Mapping[int, Disc] = MappingProxyType(
    {code: disc for code, disc in enumerate(reversed(discs_of(REGULAR)[:-1]), start=11) if code <= 19}
)
"""MRSpineSeg challenge: L5/S1 11, L4/L5 12 ... T9/T10 19."""

SCT_DISCS: Mapping[int, Disc] = MappingProxyType(dict(enumerate(discs_of(REGULAR)[:-1], start=3)))
"""Spinal Cord Toolbox and Spine Generic: the disc above the n-th vertebra, C2/C3 3, C7/T1 8 ... L5/S1 25.

1 (top of C1), 2 (C1/C2) and 49, 50 (pontomedullary landmarks) are no discs and not in the map.
"""

SUBREGIONS: Mapping[int, Subregion] = MappingProxyType(
    {
        VERSE_SACRUM: Subregion.SACRUM,
        41: Subregion.ARCH,
        42: Subregion.SPINOUS,
        43: Subregion.TRANSVERSE_LEFT,
        44: Subregion.TRANSVERSE_RIGHT,
        45: Subregion.SUPERIOR_ARTICULAR_LEFT,
        46: Subregion.SUPERIOR_ARTICULAR_RIGHT,
        47: Subregion.INFERIOR_ARTICULAR_LEFT,
        48: Subregion.INFERIOR_ARTICULAR_RIGHT,
        49: Subregion.BODY,
        60: Subregion.CORD,
        61: Subregion.CANAL,
        62: Subregion.ENDPLATE,
        100: Subregion.ANNULUS,
        101: Subregion.NUCLEUS,
    }
)
"""Subregions of SPINEPS (Moeller et al. 2024, doi 10.1007/s00330-024-11155-y) and TPTBox, left and right the patient's.

They label a disc as a whole, 100; here 100 is the annulus, and 101, which they do not use, the nucleus.
"""


def subregion_code(subregion: Subregion) -> int:
    """Return the code of a subregion, 0 for one that masks of subregions leave out."""
    return next((code for code, known in SUBREGIONS.items() if known is subregion), 0)


def verse_code(level: Level) -> int:
    """Return the VerSe code of a level; S2 belongs to the sacrum, 26."""
    return next(code for code, known in VERSE.items() if known is (Level.S1 if level is Level.S2 else level))


def disc_code(disc: Disc) -> int:
    """Return the code of a disc in Spondyl's masks: 100 plus the VerSe code of the vertebra above."""
    return DISC_OFFSET + verse_code(disc.upper)


def level_of(code: int, scheme: Mapping[int, Level]) -> Level:
    """Return the level that a code names.

    Raises:
        SettingError: the scheme has no such vertebra.
    """
    if code not in scheme:
        raise SettingError(f"{code} is no vertebra of this code scheme")
    return scheme[code]


def read_spider(code: int) -> SpiderCode:
    """Decode a SPIDER code: vertebrae 1 to 25 counted from the lowest, partly visible ones 100 more, discs 200 more.

    Raises:
        SettingError: SPIDER has no such code.
    """
    if code == SPIDER_CANAL:
        return SpiderCode(Structure.CANAL, 0)
    kinds = {
        0: Structure.VERTEBRA,
        SPIDER_PARTIAL_OFFSET: Structure.PARTIAL_VERTEBRA,
        SPIDER_DISC_OFFSET: Structure.DISC,
    }
    offset = code // 100 * 100
    if offset not in kinds or not 1 <= code - offset <= 25:
        raise SettingError(f"{code} is no code of the SPIDER data set")
    return SpiderCode(kinds[offset], code - offset)


def spider_level(place: int, lowest: Level = Level.L5) -> Level:
    """Name the vertebra at a SPIDER place in a regular column, given the name of the lowest one.

    Raises:
        SettingError: the column ends before that place, or it has no such lowest vertebra.
    """
    upwards = REGULAR.levels[::-1]
    if lowest not in upwards:
        raise SettingError(f"{lowest} is not a level of the regular column")
    index = upwards.index(lowest) + place - 1
    if place < 1 or index >= len(upwards):
        raise SettingError(f"there is no vertebra at place {place} above {lowest}")
    return upwards[index]
