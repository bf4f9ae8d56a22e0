"""A tree of all numbering variants, which share the part of the column in which they do not differ.

Every variant starts at C1, so the variants form a tree that branches where they first disagree (after T11, T12, L4 and
L5). A node is a level in some of the variants; the path from the root to it is unique, hence so are the vertebra
`skips + 1` above it and the expected distance to it. Summing over the tree's paths, weighted by each node's share
of the priors, is the same as summing over the variants one by one, at a third of the cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import Numbering, total_prior
from spondyl.anatomy.spacing import SpacingTable
from spondyl.types import Float, Index

__all__ = ["LevelTree", "level_tree"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelTree:
    """The tree as arrays over its N nodes; K is the largest number of levels that one step may descend.

    Args:
        levels: the level of each node, parents before children.
        ranks: `Level.rank` of each node, (N,).
        log_mass: log of the summed priors of the variants through a node, (N,).
        shares: probability of each variant for a path that ends at a node, (N, variants).
        ancestors: the node k + 1 levels above, (N, K); 0 where there is none.
        descendants: the node k + 1 levels below in each variant, (N, variants, K); -1 where there is none.
        log_choice: log of the share of the ancestor's mass that goes through the node, (N, K); -inf where none.
        expected_mm: distance to that ancestor, (N, K).
        sd_mm: its deviation between patients, in-between pairs taken as independent, (N, K).
    """

    levels: tuple[Level, ...]
    ranks: Index
    log_mass: Float
    shares: Float
    ancestors: Index
    descendants: Index
    log_choice: Float
    expected_mm: Float
    sd_mm: Float

    def nodes_of(self, level: Level) -> list[int]:
        """List the nodes at which a level occurs."""
        return [node for node, known in enumerate(self.levels) if known is level]


@lru_cache(maxsize=16)
def level_tree(numberings: tuple[Numbering, ...], spacing: SpacingTable, max_skipped: int) -> LevelTree:
    """Build the tree of some variants whose steps skip at most `max_skipped` vertebrae.

    Raises:
        SettingError: no variant is given, or the spacing of a pair is not known.
    """
    prefixes = _prefixes(numberings)
    priors = np.array([numbering.prior for numbering in numberings]) / total_prior(numberings)
    member = np.array([[numbering.levels[: len(p)] == p for numbering in numberings] for p in prefixes])
    mass = member @ priors
    ancestors, expected, variance = _steps(prefixes, spacing, max_skipped + 1)
    with np.errstate(divide="ignore"):
        choice = np.log(np.where(np.isnan(expected), 0, mass[:, None] / mass[ancestors]))
    return LevelTree(
        levels=tuple(prefix[-1] for prefix in prefixes),
        ranks=np.array([prefix[-1].rank for prefix in prefixes]),
        log_mass=np.log(mass),
        shares=member * priors / mass[:, None],
        ancestors=ancestors,
        descendants=_find_descendants(prefixes, numberings, max_skipped + 1),
        log_choice=choice,
        expected_mm=np.nan_to_num(expected, nan=1.0),
        sd_mm=np.sqrt(np.nan_to_num(variance, nan=1.0)),
    )


def _prefixes(numberings: tuple[Numbering, ...]) -> list[tuple[Level, ...]]:
    found = {n.levels[:length] for n in numberings for length in range(1, len(n.levels) + 1)}
    return sorted(found, key=lambda prefix: (len(prefix), [level.rank for level in prefix]))


def _steps(prefixes: list[tuple[Level, ...]], spacing: SpacingTable, reach: int) -> tuple[Index, Float, Float]:
    """Compute ancestor, expected distance and variance (N, reach); NaN distances where there is no ancestor."""
    index = {prefix: node for node, prefix in enumerate(prefixes)}
    ancestors = np.zeros((len(prefixes), reach), dtype=np.intp)
    distance = np.full((len(prefixes), reach), np.nan)
    variance = np.full((len(prefixes), reach), np.nan)
    for node, prefix in enumerate(prefixes):
        total = spread = 0.0
        for k in range(min(reach, len(prefix) - 1)):
            pair = spacing.between(prefix[-k - 2], prefix[-k - 1])
            total, spread = total + pair.mean_mm, spread + pair.sd_mm**2
            ancestors[node, k], distance[node, k], variance[node, k] = index[prefix[: -k - 1]], total, spread
    return ancestors, distance, variance


def _find_descendants(prefixes: list[tuple[Level, ...]], numberings: tuple[Numbering, ...], reach: int) -> Index:
    index = {prefix: node for node, prefix in enumerate(prefixes)}
    found = np.full((len(prefixes), len(numberings), reach), -1, dtype=np.intp)
    for variant, numbering in enumerate(numberings):
        path = [index[numbering.levels[: length + 1]] for length in range(len(numbering.levels))]
        for place, node in enumerate(path):
            below = path[place + 1 : place + 1 + reach]
            found[node, variant, : len(below)] = below
    return found
