"""Naming of discs by the vertebrae above and below them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import levels_apart
from spondyl.labelling import DISCS, LEVELS, Labelling, MarkSequence
from spondyl.reading import Candidates
from spondyl.types import Float

__all__ = ["name_discs"]


def name_discs(discs: Candidates, bodies: Candidates | None, vertebrae: Labelling[Level] | None) -> Labelling[Disc]:
    """Name each disc by the two neighbouring vertebrae that enclose it; a disc that no two enclose is rejected.

    The probability of a name is proportional to the product of the probabilities of its two levels, and all names
    together have that of the less probable of the two vertebrae.

    Args:
        discs: n candidates.
        bodies: the candidates for vertebrae, in the order of `vertebrae`; None where no method located them.
        vertebrae: their names; None where there are none.
    """
    names: list[Disc | None] = [None] * len(discs)
    marginals = np.zeros((len(discs), len(DISCS)))
    pairs = [] if bodies is None or vertebrae is None else _neighbours(bodies, vertebrae)
    for number, centre in enumerate(discs.centres_ras_mm):
        for upper, lower, name, probabilities in pairs:
            if _encloses(upper, lower, centre):
                names[number], marginals[number] = name, probabilities
    return Labelling(
        sequences=(MarkSequence(levels=tuple(names), log_probability=0.0),),
        marks=DISCS,
        marginals=marginals,
        rejected=np.clip(1 - marginals.sum(axis=1), 0, 1),
    )


def _neighbours(bodies: Candidates, vertebrae: Labelling[Level]) -> list[tuple[Float, Float, Disc, Float]]:
    """List the centres (3,) of neighbouring vertebrae, the disc between them, and the probability of every disc."""
    named = [(i, level) for i, level in enumerate(vertebrae.levels) if level is not None]
    named.sort(key=lambda item: -bodies.centres_ras_mm[item[0], 2])
    return [
        (bodies.centres_ras_mm[i], bodies.centres_ras_mm[j], Disc(upper, lower), _joint(vertebrae, i, j))
        for (i, upper), (j, lower) in pairwise(named)
        if levels_apart(upper, lower) == 1 and upper.rank < lower.rank and upper is not Level.C1
    ]


def _joint(vertebrae: Labelling[Level], upper: int, lower: int) -> Float:
    columns = [(LEVELS.index(disc.upper), LEVELS.index(disc.lower)) for disc in DISCS]
    above, below = np.array(columns).T
    product = vertebrae.marginals[upper, above] * vertebrae.marginals[lower, below]
    accepted = 1 - max(vertebrae.rejected[upper], vertebrae.rejected[lower])
    return np.asarray(product * accepted / max(product.sum(), 1e-300))


def _encloses(upper: Float, lower: Float, point: Float) -> bool:
    """Tell whether a point lies between two others, (3,) each, along the line that joins them."""
    along = lower - upper
    share = float((point - upper) @ along / (along @ along))
    return 0 < share < 1
