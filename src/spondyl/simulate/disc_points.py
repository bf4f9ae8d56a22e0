"""Simulated candidates for discs: the discs of a column in the sagittal plane, among false points.

The false points are those of the appendix of Azad et al. 2022 (Look-Once), as the authors' program draws them. Points
are (inferior, posterior) in mm, in a square field of view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import is_possible_pair
from spondyl.errors import SettingError
from spondyl.phantom.column.column import place_column
from spondyl.phantom.column.draw import draw_plan
from spondyl.types import Float, Mask

__all__ = [
    "ADDED",
    "ANY_FIELD",
    "HARD",
    "PAPER_FIELD",
    "PIXEL_MM",
    "TOTAL",
    "DiscChain",
    "FalsePoints",
    "FieldOfView",
    "NoisyDiscs",
    "add_false_points",
    "choose_section",
    "draw_chain",
    "draw_image",
    "find_chains",
]

PIXEL_MM = 1.25
"""The pixel of the paper's frame of 256 x 256: a field of view of 320 mm."""

_SPREAD_MM = 35 * PIXEL_MM
_MIN_TO_DISC_MM = 0.07 * 256 * PIXEL_MM
_MIN_TO_FALSE_MM = 0.06 * 256 * PIXEL_MM
_JITTER_MM = PIXEL_MM
"""Constants of the authors' program: scale of the false points about a disc, their least distances, and the standard
deviation of the shifts of all points at the end."""

_MAX_DRAWS = 4
"""Most draws about one disc in one round."""

_MAX_ROUNDS = 10_000

_BETWEEN = (0.3, 0.7)
"""Range of a false point between two discs, as a share of the way: within the vertebral body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldOfView:
    """The square in which all points lie, and how many discs it shows.

    Args:
        edge_mm: of the square.
        min_discs: fewest discs of an image.
        max_discs: most discs of an image.

    Raises:
        SettingError: a number is not positive, or the two are in the wrong order.
    """

    edge_mm: float
    min_discs: int
    max_discs: int

    def __post_init__(self) -> None:
        if self.edge_mm <= 0 or not 1 <= self.min_discs <= self.max_discs:
            raise SettingError(
                "a field of view needs an edge above 0 mm and 1 disc or more, got "
                f"{self.edge_mm:g} mm and {self.min_discs} to {self.max_discs} discs"
            )


PAPER_FIELD = FieldOfView(edge_mm=255 * PIXEL_MM, min_discs=5, max_discs=11)
"""The paper's frame: its heat maps have 11 channels, and the published normalisation needs the fifth disc."""

ANY_FIELD = FieldOfView(edge_mm=900.0, min_discs=2, max_discs=24)
"""A field that shows any part of a column or all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FalsePoints:
    """The numbers of false points and of missed discs.

    Args:
        count: false points, or with `in_total` all points; no fewer than the discs then.
        in_total: whether `count` includes the discs, as in the authors' program.
        between: chance of a further false point between two neighbouring discs, whatever its distance from them.
        missed: chance that a disc has no point; three always have.

    Raises:
        SettingError: a count is negative, or a chance is none.
    """

    count: int
    in_total: bool = False
    between: float = 0.0
    missed: float = 0.0

    def __post_init__(self) -> None:
        if self.count < 0 or not 0 <= self.between <= 1 or not 0 <= self.missed < 1:
            raise SettingError(
                "false points need a count of at least 0 and chances from 0 to 1, got "
                f"{self.count}, {self.between}, {self.missed}"
            )


TOTAL = FalsePoints(count=20, in_total=True)
"""Twenty points in all, as the authors' program draws them."""

ADDED = FalsePoints(count=20)
"""Twenty false points beside the discs, as the caption of the paper's Table 2 says."""

HARD = FalsePoints(count=20, between=0.25, missed=0.15)
"""False points on the spine too, which the authors' least distances exclude, and discs that no point shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyDiscs:
    """The candidates of one image in random order.

    Args:
        points_mm: (n, 2) as (inferior, posterior).
        is_disc: (n,) True for a disc.
    """

    points_mm: Annotated[Float, "n 2"]
    is_disc: Annotated[Mask, "n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscChain:
    """Neighbouring discs of one spine, head to foot.

    Args:
        uppers: the vertebra above each disc.
        points_mm: (n, 2) as (inferior, posterior).
    """

    uppers: tuple[Level, ...]
    points_mm: Annotated[Float, "n 2"]


def find_chains(levels: Sequence[Level], centres_ras_mm: Float) -> tuple[DiscChain, ...]:
    """Take the midpoints of neighbouring bodies for discs, and list their unbroken chains; C1/C2 has no disc.

    Args:
        levels: of n bodies, head to foot.
        centres_ras_mm: (n, 3).
    """
    chains: list[list[int]] = [[]]
    for place, (upper, lower) in enumerate(pairwise(levels)):
        if upper is not Level.C1 and is_possible_pair(upper, lower):
            chains[-1].append(place)
        else:
            chains.append([])
    middles = -(centres_ras_mm[:-1] + centres_ras_mm[1:])[:, [2, 1]] / 2
    return tuple(
        DiscChain(uppers=tuple(levels[place] for place in chain), points_mm=middles[chain]) for chain in chains if chain
    )


def draw_chain(rng: np.random.Generator) -> DiscChain:
    """Draw a patient's column as phantoms have it, and return its discs from C2/C3 to the one above S1."""
    vertebrae = place_column(draw_plan(rng)).vertebrae[:-1]
    centres = np.array([vertebra.centre_ras_mm for vertebra in vertebrae])
    (chain,) = find_chains([vertebra.level for vertebra in vertebrae], centres)
    return chain


def choose_section(
    chain_mm: Annotated[Float, "m 2"], rng: np.random.Generator, field: FieldOfView = PAPER_FIELD
) -> Annotated[Float, "n 2"]:
    """Choose neighbouring discs that fit into the field of view, and move them to its middle.

    Raises:
        SettingError: the chain is shorter.
    """
    if len(chain_mm) < field.min_discs:
        raise SettingError(f"a section needs a chain of {field.min_discs} discs or more, got {len(chain_mm)}")
    count = int(rng.integers(field.min_discs, min(len(chain_mm), field.max_discs) + 1))
    first = int(rng.integers(len(chain_mm) - count + 1))
    section = chain_mm[first : first + count]
    while np.ptp(section, axis=0).max() > field.edge_mm:
        section = section[:-1]
    return np.asarray(section - (section.min(0) + section.max(0)) / 2 + field.edge_mm / 2)


def draw_image(chains: Sequence[DiscChain], how: FalsePoints, rng: np.random.Generator) -> NoisyDiscs:
    """Draw a section of a chain chosen at random, and false points about it."""
    chain = chains[int(rng.integers(len(chains)))]
    return add_false_points(choose_section(chain.points_mm, rng), how, rng)


def add_false_points(
    discs_mm: Annotated[Float, "n 2"], how: FalsePoints, rng: np.random.Generator, field: FieldOfView = PAPER_FIELD
) -> NoisyDiscs:
    """Draw the false points of the appendix about the discs of one image.

    In rounds, each disc p gets up to four draws q = p + 35 z pixels, z normal. The covariance is a matrix of four
    uniform numbers, neither symmetric nor positive: NumPy's generator then uses the roots of its singular values and
    its right singular vectors, which is done here explicitly. A draw is kept inside the field of view, more than 17.9
    pixels from every disc and 15.4 from every earlier false point. At the end all points are shifted by a normal error
    of one pixel.

    Args:
        discs_mm: (n, 2) true points, inside the field of view.
        how: how many are false.
        rng: of all randomness.
        field: of the image.

    Raises:
        SettingError: the field of view cannot hold so many false points, or there are more discs than points in total.
    """
    wanted = how.count - len(discs_mm) if how.in_total else how.count
    if wanted < 0:
        raise SettingError(f"{len(discs_mm)} discs are more than {how.count} points in total")
    false = _draw_about(discs_mm, wanted, rng, field)
    between = _draw_between(discs_mm, how.between, rng)
    kept = discs_mm[_draw_seen(len(discs_mm), how.missed, rng)]
    points = np.concatenate([kept, false, between])
    order = rng.permutation(len(points))
    jittered = points + rng.normal(0, _JITTER_MM, points.shape)
    return NoisyDiscs(points_mm=jittered[order], is_disc=order < len(kept))


def _draw_about(discs_mm: Float, wanted: int, rng: np.random.Generator, field: FieldOfView) -> Float:
    """Draw the false points about the discs, `wanted` at random of those that the rounds gave."""
    accepted: list[Float] = []
    for _ in range(_MAX_ROUNDS):
        if len(accepted) >= wanted:
            chosen = rng.permutation(len(accepted))[:wanted]
            return np.array([accepted[place] for place in chosen]).reshape(-1, 2)
        for point in _draw_round(discs_mm, rng, field):
            if not accepted or _nearest_mm(point, np.array(accepted)) > _MIN_TO_FALSE_MM:
                accepted.append(point)
    raise SettingError(f"the field of view holds only {len(accepted)} of {wanted} false points at their distances")


def _draw_round(discs_mm: Float, rng: np.random.Generator, field: FieldOfView) -> Float:
    """Draw up to four points about each disc, and keep those that are far from every disc."""
    counts = np.rint(rng.random(len(discs_mm)) * rng.integers(_MAX_DRAWS + 1, size=len(discs_mm))).astype(int)
    about = np.repeat(discs_mm, counts, axis=0)
    _, roots, axes = np.linalg.svd(rng.random((len(about), 2, 2)))
    scaled = rng.normal(size=(len(about), 2)) * np.sqrt(roots)
    points = about + _SPREAD_MM * (scaled[:, None] @ axes)[:, 0]
    is_inside = ((points >= 0) & (points <= field.edge_mm)).all(1)
    return np.array([p for p in points[is_inside] if _nearest_mm(p, discs_mm) > _MIN_TO_DISC_MM]).reshape(-1, 2)


def _nearest_mm(point: Float, others: Float) -> float:
    offsets = others - point
    return float(np.sqrt((offsets * offsets).sum(1).min()))


def _draw_between(discs_mm: Float, chance: float, rng: np.random.Generator) -> Float:
    gaps = np.flatnonzero(rng.random(max(len(discs_mm) - 1, 0)) < chance)
    shares = rng.uniform(*_BETWEEN, (len(gaps), 1))
    return np.asarray((1 - shares) * discs_mm[gaps] + shares * discs_mm[gaps + 1])


def _draw_seen(count: int, missed: float, rng: np.random.Generator) -> Mask:
    """Tell which discs have a point: each by chance, but never fewer than three."""
    lots = rng.random(count)
    return np.asarray(lots >= min(missed, np.sort(lots)[-min(3, count)]))
