"""The mean skeleton of the discs, and the error of points against it (Azad et al. 2021), which two methods minimise.

A chain of N points, head to foot, is compared with N neighbouring discs of the mean column: both are shifted to their
first and divided by the distance from the first to the fifth (the last, where there are fewer). The error is the sum
of squared distances. The published program knows N; where it is not known, each point explained is worth a fixed error,
so that a chain grows as long as its points lie near their places. The published skeleton begins at C2/C3; here it may
begin at any disc.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from spondyl.errors import SettingError
from spondyl.types import Float, Mask

__all__ = ["FIFTH", "MEAN_COLUMN", "Chain", "Skeleton", "chain_errors", "fifth_mm", "mean_skeleton"]

FIFTH = 4
"""Place of the point whose distance from the first is the unit of length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """The mean places of neighbouring discs.

    Args:
        places_mm: (m, 2) as (inferior, posterior), head to foot.
        starts: places at which a chain may begin.
        worth: error that a further point may add, in units of the squared distance from the first to the fifth.

    Raises:
        SettingError: there are fewer than two places, no start, or a start without a place below it.
    """

    places_mm: Annotated[Float, "m 2"]
    starts: tuple[int, ...] = (0,)
    worth: float = 0.01

    def __post_init__(self) -> None:
        count = len(self.places_mm)
        if count < 2 or not self.starts or not all(0 <= start < count - 1 for start in self.starts):
            raise SettingError(f"a skeleton needs two places and starts above the last, got {count} and {self.starts}")

    def below(self, start: int) -> Float:
        """The places from a start down, relative to it."""
        return np.asarray(self.places_mm[start:] - self.places_mm[start])


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Points, head to foot, that are taken for neighbouring discs.

    Args:
        members: places of the points among those given.
        cost: error of the chain less what its points are worth; lower is better.
    """

    members: tuple[int, ...]
    cost: float

    def to_mask(self, count: int) -> Mask:
        """Tell which of `count` points are members."""
        mask = np.zeros(count, dtype=bool)
        mask[list(self.members)] = True
        return mask


def chain_errors(chains_mm: Annotated[Float, "c n 2"], below_mm: Annotated[Float, "m 2"]) -> Annotated[Float, "c"]:
    """Compute the error of chains of n points, 2 or more, against as many places from a start down."""
    last = min(FIFTH, chains_mm.shape[1] - 1)
    offsets = chains_mm - chains_mm[:, :1]
    reaches = np.linalg.norm(offsets[:, last], axis=1)
    units = reaches / np.linalg.norm(below_mm[last])
    errors = ((offsets - units[:, None, None] * below_mm[: chains_mm.shape[1]]) ** 2).sum((1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = errors / (units * fifth_mm(below_mm)) ** 2
    return np.where(reaches > 0, scaled, np.inf)  # points at one place are no chain


def fifth_mm(below_mm: Annotated[Float, "m 2"]) -> float:
    """The distance from the start to the fifth place, in proportion to the last place where there are fewer."""
    last = min(FIFTH, len(below_mm) - 1)
    return float(np.linalg.norm(below_mm[last])) * FIFTH / last


def mean_skeleton(chains_mm: Sequence[tuple[int, Float]]) -> Annotated[Float, "m 2"]:
    """Compute the mean places of discs from columns that show some of them each.

    Args:
        chains_mm: for each column the number of its first disc, 0 for the uppermost of all, and its discs (n, 2), head
            to foot.

    Returns:
        The places, the uppermost at the origin, whose steps are the means of all steps between the same two discs.

    Raises:
        SettingError: no column shows a step between two that others show.
    """
    count = max(first + len(chain) for first, chain in chains_mm)
    sums, counts = np.zeros((count - 1, 2)), np.zeros(count - 1)
    for first, chain in chains_mm:
        sums[first : first + len(chain) - 1] += np.diff(chain, axis=0)
        counts[first : first + len(chain) - 1] += 1
    if not counts.all():
        raise SettingError(f"no column shows the steps below the discs {np.flatnonzero(counts == 0).tolist()}")
    return np.concatenate([np.zeros((1, 2)), np.cumsum(sums / counts[:, None], axis=0)])


_STEPS_MM = """
19.5 3.6  16.2 4.3  15.6 4.8  15.3 5.8  16.3 7.6  17.5 9.1
18.4 9.1  18.9 8.4  19.7 7.1  20.9 5.3  21.8 3.1  22.6 0.0  23.2 -2.8  24.0 -4.8  25.4 -5.9  27.3 -6.8  29.7 -7.7
31.9 -8.7  33.6 -8.7  35.1 -5.9  35.5 0.1  32.9 15.2
"""
"""Mean steps (inferior, posterior) from each disc, C2/C3 to L4/L5, to the next, mm.

The means of the 1,947 CT spines of VID (ImFusion, CC BY-SA 4.0) and the 80 of VerSe19 (Sekuboyina et al. 2021, CC BY-SA
4.0), discs taken as midpoints of neighbouring bodies; the last, which they do not show, from phantoms.
"""

MEAN_COLUMN = Skeleton(
    places_mm=np.concatenate([np.zeros((1, 2)), np.cumsum(np.array(_STEPS_MM.split(), float).reshape(-1, 2), axis=0)]),
    starts=tuple(range(len(_STEPS_MM.split()) // 2)),
)
"""The discs C2/C3 to L5/S1 of the mean column; a chain may begin at any but the last."""
