"""The weights of the ordered decoder's lattice; `identify.order` describes the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.identify.costs import OrderCosts
from spondyl.identify.lattice import Lattice, Part, Steps, triangular_buffers
from spondyl.identify.level_tree import LevelTree, StepKind
from spondyl.identify.misses import inside_probability
from spondyl.stage import Structure
from spondyl.types import Float, Index

__all__ = ["Detections", "build_lattice", "find_missed"]

STUDENT_DEGREES = 4.0
"""The degrees of freedom of the distance's density: nearly normal, but tolerant beyond three deviations."""

REFERENCE_SD_MM = 2.0
"""The unit of the distance's density; the expected distance at that deviation has log-weight 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detections:
    """The candidates of one kind that the decoder names, from head to foot.

    Args:
        log_probabilities: (n, columns) evidence of the networks, nats; rows need not be normalised.
        scores: (n,) detection scores in [0, 1].
        positions_mm: (n, 3) centroids, mm, in a frame that is the same for all kinds.
        depths_mm: (n,) ascending, by which candidates of all kinds are put in order.
        room_mm: (n, 2) distance that the column runs on above and below each candidate inside the scan.

    Raises:
        SettingError: shapes disagree, or values are not numbers.
    """

    log_probabilities: Float
    scores: Float
    positions_mm: Float
    depths_mm: Float
    room_mm: Float

    def __post_init__(self) -> None:
        n = len(self.scores)
        shapes = self.scores.shape, self.positions_mm.shape, self.depths_mm.shape, self.room_mm.shape
        if shapes != ((n,), (n, 3), (n,), (n, 2)) or len(self.log_probabilities) != n:
            raise SettingError(
                f"{len(self.log_probabilities)} candidates need scores, positions (n, 3) and room (n, 2) for each, got "
                f"{', '.join(map(str, shapes))}"
            )
        if not (np.isfinite(self.positions_mm).all() and np.isfinite(self.depths_mm).all()):
            raise SettingError("the positions of candidates must be finite")
        if (np.diff(self.depths_mm) < 0).any():
            raise SettingError("candidates must be given from head to foot")
        if not (((self.scores >= 0) & (self.scores <= 1)).all() and (self.room_mm >= 0).all()):
            raise SettingError("detection scores must be within [0, 1], and room must not be negative")

    @classmethod
    def from_arrays(
        cls,
        log_probabilities: ArrayLike,
        scores: ArrayLike,
        positions_mm: ArrayLike,
        *,
        depths_mm: ArrayLike | None = None,
        room_mm: ArrayLike | None = None,
    ) -> Detections:
        """Make detections from any arrays; the scan ends at the first and the last candidate where no room is given."""
        values = np.asarray(scores, dtype=np.float64)
        return cls(
            log_probabilities=np.asarray(log_probabilities, dtype=np.float64),
            scores=values,
            positions_mm=np.asarray(positions_mm, dtype=np.float64),
            depths_mm=np.arange(float(len(values))) if depths_mm is None else np.asarray(depths_mm, dtype=np.float64),
            room_mm=np.zeros((len(values), 2)) if room_mm is None else np.asarray(room_mm, dtype=np.float64),
        )


def build_lattice(
    tree: LevelTree,
    found: Mapping[Structure, Detections],
    evidence: Mapping[Structure, Float],
    costs: OrderCosts,
    within_patient: float,
) -> Lattice:
    """Compute the weights of every state and step.

    Args:
        tree: the levels.
        found: the candidates of each kind that was found.
        evidence: (n, 28) log-likelihood ratios of each kind, by rank; those of a disc by the rank of its lower level.
        costs: the decoder's settings.
        within_patient: share of a distance's deviation that remains when the patient's size is known.
    """
    places = _find_places(found)
    unsought = np.zeros(len(tree.levels))
    missed = {kind: _log_missed(tree, kind, costs) if kind in found else unsought for kind in Structure}
    tables = {
        (upper, lower): _Densities.from_tree(tree, (upper, lower), missed, costs, within_patient)
        for upper in found
        for lower in found
    }
    return Lattice(
        tree=tree,
        parts={kind: _make_part(tree, kind, found, evidence[kind], places[kind], costs) for kind in found},
        steps=tuple(_weigh_all_steps(found, places, tables, costs.spacing)),
    )


def _find_places(found: Mapping[Structure, Detections]) -> dict[Structure, Index]:
    """Put the candidates of all kinds in one order, and find the place of each, (n,) by kind."""
    kinds = [kind for kind, those in found.items() for _ in those.scores]
    depths = np.concatenate([np.zeros(0), *(those.depths_mm for those in found.values())])
    ranks = np.argsort(np.argsort(depths, kind="stable"), kind="stable")
    return {kind: ranks[[other is kind for other in kinds]] for kind in found}


def _log_missed(tree: LevelTree, kind: Structure, costs: OrderCosts) -> Float:
    """Compute the log of the miss rate of each node's structure, (N,)."""
    if kind is Structure.VERTEBRA:
        return np.log([costs.misses.of(level) for level in tree.levels])
    return np.log([1.0 if disc is None or disc.lower is Level.S2 else costs.disc_miss for disc in tree.discs])


@dataclass(frozen=True, slots=True)
class _Densities:
    """The steps of one kind in patients of each size, (K, N, G): expected distance, deviation, and what is fixed."""

    expected_mm: Float
    sd_mm: Float
    fixed: Float

    @classmethod
    def from_tree(
        cls,
        tree: LevelTree,
        kind: StepKind,
        missed: Mapping[Structure, Float],
        costs: OrderCosts,
        within_patient: float,
    ) -> _Densities:
        table, sizes = tree.steps[kind], np.array(costs.sizes)
        expected = table.expected_mm.T[:, :, None] * sizes
        patient_sd = table.sd_mm.T[:, :, None] * sizes * within_patient
        sd = np.sqrt(patient_sd**2 + costs.localisation_mm**2)
        gaps = _weigh_gaps(tree, kind, missed)
        fixed = (table.log_choice + gaps).T[:, :, None] - costs.spacing * np.log(sd / REFERENCE_SD_MM)
        return cls(expected, sd, fixed)


def _weigh_gaps(tree: LevelTree, kind: StepKind, missed: Mapping[Structure, Float]) -> Float:
    """Compute the log-probability that all structures that the steps of a kind pass over are missed, (N, K)."""
    vertebrae, discs = missed[Structure.VERTEBRA], missed[Structure.DISC]
    inner = np.cumsum(vertebrae[tree.ancestors], axis=1) - vertebrae[tree.ancestors]
    discs_above = np.cumsum(discs[tree.ancestors], axis=1) - discs[tree.ancestors]
    match kind:
        case (Structure.VERTEBRA, Structure.VERTEBRA):
            return np.asarray(inner + discs[:, None] + discs_above)
        case (Structure.VERTEBRA, Structure.DISC):
            return np.asarray(inner + discs_above)
        case (Structure.DISC, Structure.VERTEBRA):
            shifted = discs[:, None] + discs_above[:, :-1]
            return np.asarray(inner + np.concatenate([np.zeros_like(discs_above[:, :1]), shifted], axis=1))
        case _:
            return np.asarray(inner + vertebrae[tree.ancestors] + discs_above)


def _weigh_all_steps(
    found: Mapping[Structure, Detections],
    places: Mapping[Structure, Index],
    tables: Mapping[StepKind, _Densities],
    weight: float,
) -> list[Steps]:
    """Compute the log-weights of the steps to each candidate, in the order of all."""
    order = sorted((int(place), kind, i) for kind in found for i, place in enumerate(places[kind]))
    shape = next((table.fixed.shape for table in tables.values()), ())
    buffers = triangular_buffers([kind for _, kind, _ in order], shape)
    for (_, kind, i), steps in zip(order, buffers, strict=True):
        for earlier, out in steps.items():
            before = found[earlier].positions_mm[: len(out)]
            distances = np.linalg.norm(before - found[kind].positions_mm[i], axis=-1)
            _weigh_steps(out, distances, tables[earlier, kind], weight)
    return list(buffers)


def _weigh_steps(out: Float, distances: Float, table: _Densities, weight: float) -> None:
    """Fill `out` (i, K, N, G) with the log-weights of the steps over these distances (i,); most of the work."""
    scale = 1 / (table.sd_mm * np.sqrt(STUDENT_DEGREES))
    np.multiply(distances[:, None, None, None], scale, out=out)
    out -= table.expected_mm * scale
    out *= out
    out += 1
    np.log(out, out=out)  # vectorised, which log1p is not
    out *= -weight * (STUDENT_DEGREES + 1) / 2
    out += table.fixed


def _make_part(
    tree: LevelTree,
    kind: Structure,
    found: Mapping[Structure, Detections],
    evidence: Float,
    places: Index,
    costs: OrderCosts,
) -> Part:
    sizes = np.array(costs.sizes)
    log_prior = -0.5 * ((np.log(sizes) - costs.size_mean) / costs.size_sd) ** 2
    log_prior -= np.log(np.exp(log_prior).sum())
    room = found[kind].room_mm
    above = sum(_weigh_upper_end(tree, (other, kind), room[:, 0], costs) for other in found)
    below = sum(_weigh_lower_end(tree, (kind, other), room[:, 1], costs) for other in found)
    with np.errstate(divide="ignore"):
        shares = np.log(tree.shares.T)[:, None, :, None]
    ends = np.logaddexp.reduce(shares + below)
    return Part(
        places=places,
        accept_scores=evidence[:, tree.ranks] + costs.rejections(found[kind].scores)[:, None],
        starts=tree.log_mass[:, None] + log_prior + above,
        ends=ends,
        variants=np.exp(shares + below - ends),
    )


def _weigh_upper_end(tree: LevelTree, kind: StepKind, room_mm: Float, costs: OrderCosts) -> Float:
    """Compute the log-probability that nothing of the upper kind is detected above a first candidate, (n, N, G)."""
    table = tree.steps[kind]
    found = np.where(table.log_choice > -np.inf, 1 - np.exp(_log_missed(tree, kind[0], costs))[table.sources], 0.0)
    inside = inside_probability(room_mm, table.expected_mm[..., None] * costs.sizes, table.lengths[:, None])
    return np.asarray(np.log1p(-inside * found[..., None]).sum(axis=2))


def _weigh_lower_end(tree: LevelTree, kind: StepKind, room_mm: Float, costs: OrderCosts) -> Float:
    """Compute the log-probability that no structure of the lower kind is detected below a last candidate.

    Returns:
        (variants, n, N, G), since the levels below differ between the variants.
    """
    table = tree.steps[kind]
    found = 1 - np.exp(_log_missed(tree, kind[1], costs))
    inside = inside_probability(room_mm, table.expected_mm[..., None] * costs.sizes, table.lengths[:, None])
    missed = np.log1p(-inside * found[:, None, None])  # of each node, (n, N, K, G)
    missed = np.concatenate([missed, np.zeros_like(missed[:, :1])], axis=1)  # node -1 is none
    following = (missed[:, targets, k] for k, targets in enumerate(table.targets.transpose(2, 1, 0)))
    return np.asarray(sum(following)).swapaxes(0, 1)


def find_missed(tree: LevelTree, steps: Mapping[StepKind, Float]) -> dict[Level, float]:
    """Compute the probability of each level that it is passed over between two detections.

    Args:
        tree: the levels.
        steps: probability of each step, (K, N) by kind.
    """
    passed = np.zeros(len(tree.levels))
    for (upper, lower), probabilities in steps.items():
        beyond = np.cumsum(probabilities[::-1], axis=0)[::-1]  # that a step is at least so long
        own = beyond if upper is lower is Structure.DISC else beyond - probabilities
        np.add.at(passed, tree.ancestors, own.T)
    by_level: dict[Level, float] = {}
    for level, probability in zip(tree.levels, passed.tolist(), strict=True):
        by_level[level] = by_level.get(level, 0.0) + probability
    return by_level
