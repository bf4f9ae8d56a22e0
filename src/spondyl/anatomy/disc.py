"""Intervertebral discs, named by the two vertebrae that they lie between."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import REGULAR, Numbering, is_possible_pair
from spondyl.errors import SettingError

__all__ = ["Disc", "discs_of"]


@dataclass(frozen=True, slots=True)
class Disc:
    """The disc between two neighbouring vertebrae; ``str(Disc(Level.L4, Level.L5))`` is ``"L4/L5"``.

    Raises:
        SettingError: no numbering variant has the two as neighbours, or there is no disc between them (C1/C2).
    """

    upper: Level
    lower: Level

    def __post_init__(self) -> None:
        if not is_possible_pair(self.upper, self.lower) or self.upper is Level.C1:
            raise SettingError(f"there is no disc between {self.upper} and {self.lower}")

    @classmethod
    def from_name(cls, name: str) -> Disc:
        """Read a name such as "L4/L5".

        Raises:
            SettingError: the name is not that of two neighbouring vertebrae.
        """
        parts = name.split("/")
        if len(parts) != 2 or any(part not in Level.__members__ for part in parts):
            raise SettingError(f'a disc is named by two levels such as "L4/L5", got "{name}"')
        return cls(Level(parts[0]), Level(parts[1]))

    def __str__(self) -> str:
        """Return the name, upper vertebra first."""
        return f"{self.upper}/{self.lower}"


def discs_of(numbering: Numbering = REGULAR) -> tuple[Disc, ...]:
    """List every disc of a column from head to foot, C2/C3 to S1/S2."""
    return tuple(Disc(upper, lower) for upper, lower in pairwise(numbering.levels) if upper is not Level.C1)
