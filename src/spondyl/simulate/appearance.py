"""An appearance network, imitated: what it would say of the vertebrae of a column, good or poor, right or wrong.

It tells near levels apart badly and far ones well; it errs alike on neighbours, but for the ends of the column, which
look like nothing else; now and then it is far off; and it knows the 24 levels of a regular column only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spondyl.anatomy.landmarks import LANDMARKS
from spondyl.anatomy.level import Level, Region
from spondyl.anatomy.numbering import REGULAR, Numbering
from spondyl.errors import SettingError
from spondyl.geometry.affine import Float
from spondyl.identify.evidence import OFFICIAL_COLUMNS

__all__ = ["FAIR", "GOOD", "MIXED", "Looks", "imitate_appearance", "logits_around"]

_PLACES = {level: float(place) for place, level in enumerate(REGULAR.levels)}
"""Where each level of a regular column lies along it; what a level looks like is a place on this line."""

_RIBBED = 2 / 3
"""Chance that T13's ribs are long enough to make it look like T12, and T12 half like T11; else T13 looks like L1."""

_SQUARED = 0.4
"""Chance that L6 is a lumbarised S1 that still looks like S1 (square, with a low disc below); else it looks like L5."""

_LAST_OF_ITS_KIND = 0.5
"""Chance that the last of too few thoracic or lumbar vertebrae looks like the last of a regular column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """How good the imitated network is.

    It is better for some patients than for others: each has a slope, drift, jitter and noise between a tenth of these
    (of `slope`: the first of the two) and these.

    Args:
        slope: nats that it holds against a level for each level of distance, the least and the most.
        drift: deviation of the error that a patient's vertebrae share, levels.
        wander: deviation by which that error changes from one vertebra to the next, levels.
        jitter: deviation of each vertebra's own error, levels.
        noise: deviation added to each logit, nats.
        astray: share of the vertebrae that are taken for any level.

    Raises:
        SettingError: a number is negative, or a share above 1.
    """

    slope: tuple[float, float] = (0.3, 4.5)
    drift: float = 1.2
    wander: float = 0.15
    jitter: float = 0.5
    noise: float = 0.8
    astray: float = 0.03

    def __post_init__(self) -> None:
        least, most = self.slope
        if min(least, self.drift, self.wander, self.jitter, self.noise, self.astray) < 0 or self.astray > 1:
            raise SettingError(
                "slope, drift, wander, jitter, noise and astray must not be negative, nor astray above 1"
            )
        if most < least:
            raise SettingError(f"the slope must be given as its least and its most, got {self.slope}")


MIXED = Looks()
"""Networks of every quality, so that what learns from them relies on none; alone they miss half of the levels."""

GOOD = Looks(slope=(2.5, 4.5), drift=0.2, wander=0.05, jitter=0.3, noise=0.5, astray=0.01)
"""A network that names nine in ten levels rightly by itself."""

FAIR = Looks(slope=(1.0, 3.0), drift=0.8, wander=0.1, jitter=0.5, noise=0.8, astray=0.03)
"""A network that by itself names six in ten levels rightly and nine in ten within one."""


def imitate_appearance(
    levels: Sequence[Level], numbering: Numbering, rng: np.random.Generator, looks: Looks = MIXED
) -> Float:
    """Logits (n, 24) of some vertebrae of one patient, in the order of `OFFICIAL_COLUMNS`.

    Args:
        levels: what they are, head to foot.
        numbering: of the patient's whole column.
        rng: of all randomness.
        looks: how good the network is.
    """
    known = _PLACES | _places_of_variant(numbering, rng)
    places = np.array([known[level] for level in levels])
    sharing = np.array([level not in LANDMARKS for level in levels])
    drift = rng.normal(0, _some(looks.drift, rng)) + np.cumsum(rng.normal(0, looks.wander, len(levels)))
    seen = places + np.where(sharing, drift, 0) + rng.normal(0, _some(looks.jitter, rng), len(levels))
    return logits_around(seen, np.where(sharing, 1.0, 2.0), rng, looks)


def _places_of_variant(numbering: Numbering, rng: np.random.Generator) -> dict[Level, float]:
    """Where the levels at the odd end of a region look to be; no two studies say how often, so these are guesses."""
    chance = rng.random()
    last = {region: [x for x in numbering.levels if x.region is region][-1] for region in Region}
    places: dict[Level, float] = {}
    if last[Region.THORACIC] is Level.T13:
        ribbed = chance < _RIBBED
        places = {Level.T12: _PLACES[Level.T12] - 0.5 * ribbed, Level.T13: _PLACES[Level.T12 if ribbed else Level.L1]}
    elif last[Region.THORACIC] is Level.T11:
        places = {Level.T11: _PLACES[Level.T12 if chance < _LAST_OF_ITS_KIND else Level.T11]}
    if last[Region.LUMBAR] is Level.L6:
        places |= {Level.L6: _PLACES[Level.S1 if chance < _SQUARED else Level.L5]}
    elif last[Region.LUMBAR] is Level.L4:
        places |= {Level.L4: _PLACES[Level.L5 if chance < _LAST_OF_ITS_KIND else Level.L4]}
    return places


def logits_around(places: Float, sureness: Float, rng: np.random.Generator, looks: Looks = MIXED) -> Float:
    """Logits (n, 24) that fall off on both sides of each place.

    Args:
        places: (n,) along the regular column, 0 for C1.
        sureness: (n,) factor of the slope.
        rng: of all randomness.
        looks: how good the network is.
    """
    columns = np.array([_PLACES[level] for level in OFFICIAL_COLUMNS])
    anywhere = rng.uniform(columns.min(), columns.max(), len(places))
    places = np.where(rng.random(len(places)) < looks.astray, anywhere, places)
    slope = rng.uniform(*looks.slope) * sureness
    noise = rng.normal(0, _some(looks.noise, rng), (len(places), len(columns)))
    return np.asarray(noise - slope[:, None] * np.abs(columns - places[:, None]))


def _some(most: float, rng: np.random.Generator) -> float:
    return most * rng.uniform(0.1, 1)
