"""A tree of all numbering variants, which share the part of the column in which they do not differ.

Every variant starts at C1, so the variants form a tree that branches where they first disagree (after T11, T12, L4 and
L5). A node is a level in some of the variants; the path from the root to it is unique, hence so are the vertebra
`skips + 1` above it and the expected distance to it. Summing over the tree's paths, weighted by each node's share
of the priors, is the same as summing over the variants one by one, at a third of the cost.

Above every node below C2 there is a disc, midway to the vertebra above. It has the number of the node below
it, so that vertebrae and discs are two kinds of structures on one tree, and a step leads from one kind to the other or
to the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import Numbering, total_prior
from spondyl.anatomy.spacing import SpacingTable
from spondyl.stage import Structure
from spondyl.types import Float, Index, Mask

__all__ = ["LevelTree", "StepKind", "StepTable", "level_tree"]

StepKind = tuple[Structure, Structure]
"""The kinds of structures that a step leads from and to, the upper one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTable:
    """The steps from one kind of structure down to one kind, by their lower node and by their length, K of them.

    Args:
        sources: the upper node, (N, K); any where there is no step.
        targets: the lower node of the step of each length down from a node in each variant, (N, variants, K); -1 where
            there is none.
        log_choice: log of the share of the upper node's mass that goes through the lower one, (N, K); -inf where there
            is no step.
        expected_mm: distance, (N, K).
        sd_mm: its deviation between patients, different pairs of vertebrae taken as independent, (N, K).
        lengths: the distance in vertebrae, (K,).
    """

    sources: Index
    targets: Index
    log_choice: Float
    expected_mm: Float
    sd_mm: Float
    lengths: Float


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelTree:
    """The tree as arrays over its N nodes; K is the largest number of levels that one step may descend.

    Args:
        levels: the level of each node, parents before children.
        discs: the disc above each node; None where there is none.
        ranks: `Level.rank` of each node, (N,).
        log_mass: log of the summed priors of the variants through a node, (N,).
        shares: probability of each variant for a path that ends at a node, (N, variants).
        ancestors: the node k + 1 levels above, (N, K); 0 where there is none.
        steps: the steps of each kind.
    """

    levels: tuple[Level, ...]
    discs: tuple[Disc | None, ...]
    ranks: Index
    log_mass: Float
    shares: Float
    ancestors: Index
    steps: Mapping[StepKind, StepTable]

    def mark(self, structure: Structure, node: int) -> Level | Disc | None:
        """Return the name of a structure at a node."""
        return self.levels[node] if structure is Structure.VERTEBRA else self.discs[node]

    def nodes_of(self, structure: Structure, mark: Level | Disc) -> list[int]:
        """List the nodes at which a name occurs."""
        return [node for node in range(len(self.levels)) if self.mark(structure, node) == mark]


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
    chain = _Chain.from_prefixes(prefixes, numberings, spacing, max_skipped + 1)
    return LevelTree(
        levels=tuple(prefix[-1] for prefix in prefixes),
        discs=tuple(_disc_above(prefix) for prefix in prefixes),
        ranks=np.array([prefix[-1].rank for prefix in prefixes]),
        log_mass=np.log(mass),
        shares=member * priors / mass[:, None],
        ancestors=chain.ancestors[:, 1:],
        steps={(upper, lower): chain.steps((upper, lower), mass) for upper in Structure for lower in Structure},
    )


def _prefixes(numberings: tuple[Numbering, ...]) -> list[tuple[Level, ...]]:
    found = {n.levels[:length] for n in numberings for length in range(1, len(n.levels) + 1)}
    return sorted(found, key=lambda prefix: (len(prefix), [level.rank for level in prefix]))


def _disc_above(prefix: tuple[Level, ...]) -> Disc | None:
    return Disc(*prefix[-2:]) if len(prefix) > 1 and prefix[-2] is not Level.C1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chain:
    """Nodes up to K levels above and below each of N nodes, itself first.

    Args:
        ancestors: (N, K + 1); 0 where there is none.
        descendants: in each variant, (N, variants, K + 1); -1 where there is none.
        distance_mm: to the ancestor, (N, K + 1); NaN where there is none.
        variance: of the distance, mm², (N, K + 1).
        has_disc: whether there is a disc above the node, (N,).
    """

    ancestors: Index
    descendants: Index
    distance_mm: Float
    variance: Float
    has_disc: Mask

    @classmethod
    def from_prefixes(
        cls, prefixes: list[tuple[Level, ...]], numberings: tuple[Numbering, ...], spacing: SpacingTable, reach: int
    ) -> _Chain:
        index = {prefix: node for node, prefix in enumerate(prefixes)}
        ancestors = np.zeros((len(prefixes), reach + 1), dtype=np.intp)
        distance, variance = (np.full(ancestors.shape, np.nan) for _ in range(2))
        descendants = np.full((len(prefixes), len(numberings), reach + 1), -1, dtype=np.intp)
        for node, prefix in enumerate(prefixes):
            total = spread = 0.0
            for k in range(min(reach + 1, len(prefix))):
                ancestors[node, k] = index[prefix[: len(prefix) - k]]
                distance[node, k], variance[node, k] = total, spread
                if k + 1 < len(prefix):
                    pair = spacing.between(prefix[-k - 2], prefix[-k - 1])
                    total, spread = total + pair.mean_mm, spread + pair.sd_mm**2
        for variant, numbering in enumerate(numberings):
            path = [index[numbering.levels[: length + 1]] for length in range(len(numbering.levels))]
            for place, node in enumerate(path):
                below = path[place : place + reach + 1]
                descendants[node, variant, : len(below)] = below
        return cls(
            ancestors=ancestors,
            descendants=descendants,
            distance_mm=distance,
            variance=variance,
            has_disc=np.array([_disc_above(prefix) is not None for prefix in prefixes]),
        )

    def steps(self, kind: StepKind, mass: Float) -> StepTable:
        """Make the table of the steps of one kind; a disc lies half a distance above its node."""
        is_from_disc, is_to_disc = (structure is Structure.DISC for structure in kind)
        chosen = slice(0, -1) if is_from_disc and not is_to_disc else slice(1, None)
        sources = self.ancestors[:, chosen]
        above = self.distance_mm[:, 1] / 2, self.variance[:, 1] / 4
        distance, variance = self.distance_mm[:, chosen].copy(), self.variance[:, chosen].copy()
        if is_from_disc:
            distance, variance = distance + above[0][sources], variance + above[1][sources]
        if is_to_disc:
            distance, variance = distance - above[0][:, None], variance - 3 * above[1][:, None]
        exists = ~np.isnan(distance)
        if is_from_disc:
            exists &= self.has_disc[sources]
        if is_to_disc:
            exists &= self.has_disc[:, None]
        with np.errstate(divide="ignore"):
            choice = np.log(np.where(exists, mass[:, None] / mass[sources], 0))
        return StepTable(
            sources=sources,
            targets=self.descendants[:, :, chosen],
            log_choice=choice,
            expected_mm=np.where(exists, distance, 1.0),
            sd_mm=np.sqrt(np.where(exists, variance, 1.0)),
            lengths=np.arange(1.0, sources.shape[1] + 1) - (is_from_disc is not is_to_disc) / 2,
        )
