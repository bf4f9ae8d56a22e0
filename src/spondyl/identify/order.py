"""The exact ordered decoder: from evidence about each candidate to levels that descend, with probabilities.

One probabilistic model, summed and maximised exactly by dynamic programming. A scan's explanation is a numbering
variant, the patient's size, and for each candidate either rejection or a level, levels descending without repetition.
Its log-weight is the sum of

- log of the variant's prior and of the size's prior (log-normal on a small grid; all sizes share it);
- per accepted candidate, its evidence: how much more likely its appearance is at that level than anywhere;
- per rejected candidate, minus a cost that grows with its detection score;
- per pair of accepted neighbours, the log-density of their distance (Student t, so that a fracture or slip is
  tolerated) around the published one times the size, through the skipped levels, minus a cost per skipped level.

Networks err alike on all vertebrae of a patient, whose build misleads them; what they say of each is no independent
witness. So an explanation also holds by how many levels they are shifted in this patient, none being the likeliest.

The first and last levels are free: fields of view begin and end anywhere.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import NUMBERINGS, Numbering, total_prior
from spondyl.anatomy.spacing import VID, SpacingTable
from spondyl.errors import SettingError
from spondyl.identify.evidence import OFFICIAL_COLUMNS, level_evidence
from spondyl.identify.lattice import Lattice, Way, best_ways, log_weight, posterior, triangle
from spondyl.identify.level_tree import LevelTree, level_tree
from spondyl.labelling import LEVELS, Labelling, Levels, MarkSequence
from spondyl.types import Float

__all__ = ["OrderCosts", "build_lattice", "decode"]

STUDENT_DEGREES = 4.0
"""Degrees of freedom of the distance's density: near a normal for the usual, forgiving beyond three deviations."""

REFERENCE_SD_MM = 2.0
"""Unit of the distance's density; a perfect distance of that deviation weighs nothing."""

MOST_SHIFT = 2
RAREST_SHIFT = float(np.log(1e-4))
"""Shifts beyond two levels, and those rarer than this, are left out."""

MOST_WAYS = 4000
"""Ways looked at when the best answers are listed; far beyond what real scans need (tens)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCosts:
    """What the decoder holds against an explanation, in nats.

    Args:
        temperature: divides the networks' log-probabilities; above 1 trusts them less.
        landmark_temperature: divides them where the regions and the landmark levels (`anatomy.landmarks`) are told
            apart; as `temperature` when None. Ribs, sacrum and dens are seen, the levels between them estimated.
        outlier_probability: chance that a network is confidently wrong about a candidate.
        shift_sd: deviation, in levels, of an error that the networks make throughout a patient; 0 for none.
        beyond: for S2, which lies past what detectors are taught to find; about one in eight is found all the same.
        skip: per level between two accepted neighbours that no candidate fills.
        max_skipped: most such levels between two neighbours.
        rejection: for rejecting a candidate of detection score 0.5.
        rejection_per_logit: added per unit of the score's logit, the score taken within 0.02 to 0.98.
        spacing: weight of the distances; 0 ignores them.
        localisation_mm: error of the distance between two detected centroids.
        sizes: patient's sizes relative to the spacing table.
        size_mean, size_sd: prior of the size's logarithm.

    Raises:
        SettingError: a number is outside its range.
    """

    temperature: float = 1.0
    landmark_temperature: float | None = None
    outlier_probability: float = 0.01
    shift_sd: float = 0.0
    beyond: float = 2.0
    skip: float = 4.0
    max_skipped: int = 4
    rejection: float = 3.0
    rejection_per_logit: float = 0.5
    spacing: float = 1.0
    localisation_mm: float = 1.5
    sizes: tuple[float, ...] = (0.79, 0.86, 0.93, 1.0, 1.07, 1.14, 1.22)
    size_mean: float = 0.03
    size_sd: float = 0.08

    def __post_init__(self) -> None:
        positive = (
            self.temperature,
            self.temperature if self.landmark_temperature is None else self.landmark_temperature,
            self.localisation_mm,
            self.size_sd,
            *self.sizes,
        )
        if min(positive) <= 0 or not self.sizes:
            raise SettingError("temperature, localisation_mm, size_sd and sizes must be positive")
        if not 0 <= self.outlier_probability <= 1:
            raise SettingError(f"outlier_probability must be in [0, 1], got {self.outlier_probability}")
        if min(self.skip, self.spacing, self.beyond, self.max_skipped, self.shift_sd) < 0:
            raise SettingError("skip, spacing, beyond, max_skipped and shift_sd must not be negative")

    def shifts(self) -> dict[int, float]:
        """Log-probability of each shift of the networks, in levels, as far as it matters."""
        if self.shift_sd == 0:
            return {0: 0.0}
        weights = {shift: -0.5 * (shift / self.shift_sd) ** 2 for shift in range(-MOST_SHIFT, MOST_SHIFT + 1)}
        total = np.log(sum(np.exp(weight) for weight in weights.values()))
        return {shift: float(weight - total) for shift, weight in weights.items() if weight - total > RAREST_SHIFT}

    def rejections(self, scores: Annotated[Float, "n"]) -> Annotated[Float, "n"]:
        """Cost of rejecting candidates of these detection scores, (n,)."""
        clipped = np.clip(scores, 0.02, 0.98)
        return np.asarray(self.rejection + self.rejection_per_logit * np.log(clipped / (1 - clipped)))


def decode(
    log_probabilities: ArrayLike,
    scores: ArrayLike,
    positions_mm: ArrayLike,
    *,
    columns: tuple[Level, ...] = OFFICIAL_COLUMNS,
    numberings: tuple[Numbering, ...] = NUMBERINGS,
    spacing: SpacingTable = VID,
    costs: OrderCosts | None = None,
    best: int = 5,
) -> Labelling[Level]:
    """Name ordered candidates.

    Args:
        log_probabilities: (n, columns) evidence of the networks, nats; rows need not be normalised.
        scores: (n,) detection scores in [0, 1].
        positions_mm: (n, 3) centroids, mm, in any frame, top to bottom.
        columns: the level of each column of `log_probabilities`.
        numberings: the variants that are told apart; priors need not sum to 1.
        spacing: expected distances.
        costs: the decoder's settings.
        best: how many answers to list.

    Returns:
        The answers and probabilities. Listed are those with the best single explanations (a size, and the variants that
        agree down to the lowest level given), in the order of their probability, which sums over explanations.

    Raises:
        SettingError: shapes disagree, or values are not numbers.
    """
    settings = costs or OrderCosts()
    if best < 1:
        raise SettingError(f"at least one answer must be asked for, got {best}")
    shifts = settings.shifts()
    evidence = [_evidence(log_probabilities, columns, settings, shift) for shift in shifts]
    scores, positions = _checked(scores, positions_mm, len(evidence[0]))
    tree = level_tree(numberings, spacing, settings.max_skipped)
    lattice = build_lattice(tree, evidence[0], scores, positions, settings, spacing.within_patient)
    gains = [each[:, tree.ranks] + settings.rejections(scores)[:, None] for each in evidence]
    lattices = [replace(lattice, gains=each) for each in gains]
    return _labelling(lattices, np.array(list(shifts.values())), numberings, settings, best)


def _evidence(log_probabilities: ArrayLike, columns: tuple[Level, ...], costs: OrderCosts, shift: int) -> Float:
    return level_evidence(
        log_probabilities,
        columns,
        temperature=costs.temperature,
        landmark_temperature=costs.landmark_temperature,
        outlier_probability=costs.outlier_probability,
        beyond_cost=costs.beyond,
        shift=shift,
    )


def _checked(scores: ArrayLike, positions_mm: ArrayLike, n: int) -> tuple[Float, Float]:
    values = np.asarray(scores, dtype=np.float64)
    positions = np.asarray(positions_mm, dtype=np.float64)
    if values.shape != (n,) or positions.shape != (n, 3):
        raise SettingError(
            f"{n} candidates need scores ({n},) and positions ({n}, 3), got {values.shape}, {positions.shape}"
        )
    if not (np.isfinite(positions).all() and ((values >= 0) & (values <= 1)).all()):
        raise SettingError("positions must be finite and detection scores within [0, 1]")
    return values, positions


def build_lattice(
    tree: LevelTree,
    evidence: Annotated[Float, "n 28"],
    scores: Annotated[Float, "n"],
    positions_mm: Annotated[Float, "n 3"],
    costs: OrderCosts,
    within_patient: float,
) -> Lattice:
    """Weigh every state and step; see the module for the model, `decode` for the arguments."""
    sizes = np.array(costs.sizes)
    log_prior = -0.5 * ((np.log(sizes) - costs.size_mean) / costs.size_sd) ** 2
    log_prior -= np.log(np.exp(log_prior).sum())
    expected = tree.expected_mm.T[:, :, None] * sizes
    patient_sd = tree.sd_mm.T[:, :, None] * sizes * within_patient
    sd = np.sqrt(patient_sd**2 + costs.localisation_mm**2)
    skipped = np.arange(len(expected))[:, None, None]
    fixed = tree.log_choice.T[:, :, None] - costs.skip * skipped - costs.spacing * np.log(sd / REFERENCE_SD_MM)
    distances = np.linalg.norm(positions_mm[:, None] - positions_mm[None], axis=-1)
    steps = triangle(len(distances), expected.shape)
    for i, room in enumerate(steps):
        _weigh_steps(room, distances[i, :i], expected, sd, fixed, costs.spacing)
    return Lattice(
        tree=tree,
        gains=evidence[:, tree.ranks] + costs.rejections(scores)[:, None],
        starts=tree.log_mass[:, None] + log_prior,
        steps=tuple(steps),
    )


def _weigh_steps(room: Float, distances: Float, expected: Float, sd: Float, fixed: Float, weight: float) -> None:
    """Fill `room` (i, K, N, G) with the log-weights of the steps over these distances (i,); the bulk of the work."""
    scale = 1 / (sd * np.sqrt(STUDENT_DEGREES))
    np.multiply(distances[:, None, None, None], scale, out=room)
    room -= expected * scale
    room *= room
    room += 1
    np.log(room, out=room)  # vectorised, which log1p is not
    room *= -weight * (STUDENT_DEGREES + 1) / 2
    room += fixed


def _labelling(
    lattices: Sequence[Lattice],
    log_shifts: Float,
    numberings: tuple[Numbering, ...],
    costs: OrderCosts,
    best: int,
) -> Labelling[Level]:
    """The answer over all shifts, of which each has its lattice and its prior."""
    summed = [posterior(lattice) for lattice in lattices]
    weights = log_shifts + [one.log_total for one in summed]
    log_total = float(np.logaddexp.reduce(weights))
    shares = np.exp(weights - log_total)
    tree = lattices[0].tree
    last = np.einsum("s,sN->N", shares, [one.last for one in summed])
    accepted = shares * [one.last.sum() for one in summed]
    scales = np.einsum("s,sG->G", accepted, [one.scales for one in summed])
    priors = np.array([numbering.prior for numbering in numberings]) / total_prior(numberings)
    variants = last @ tree.shares + (1 - last.sum()) * priors
    marginals = np.zeros((len(lattices[0].gains), len(Level)))
    np.add.at(marginals.T, tree.ranks, np.einsum("s,snN->Nn", shares, [one.nodes for one in summed]))
    return Labelling(
        sequences=_answers(lattices, log_shifts, log_total, best),
        marks=LEVELS,
        marginals=marginals,
        rejected=np.clip(1 - marginals.sum(axis=1), 0, 1),
        numberings={numbering.name: float(p) for numbering, p in zip(numberings, variants, strict=True)},
        size=float(scales @ np.array(costs.sizes) / scales.sum()) if scales.any() else 1.0,
    )


def _answers(
    lattices: Sequence[Lattice], log_shifts: Float, log_total: float, best: int
) -> tuple[MarkSequence[Level], ...]:
    found: dict[Levels, float] = {}
    for way in islice(_best_ways(lattices, log_shifts), MOST_WAYS):
        levels: list[Level | None] = [None] * len(lattices[0].gains)
        for candidate, node in way:
            levels[candidate] = lattices[0].tree.levels[node]
        sequence = tuple(levels)
        if sequence not in found:
            weights = [log_weight(lattice, sequence) for lattice in lattices]
            found[sequence] = float(np.logaddexp.reduce(log_shifts + weights)) - log_total
        if len(found) == best:
            break
    ordered = sorted(found.items(), key=lambda item: -item[1])
    return tuple(MarkSequence(levels=levels, log_probability=value) for levels, value in ordered)


def _best_ways(lattices: Sequence[Lattice], log_shifts: Float) -> Iterator[Way]:
    """The ways through any of the lattices, best first."""
    streams = map(_weighed_ways, lattices, log_shifts.tolist())
    return (way for _, way in heapq.merge(*streams, key=lambda item: -item[0]))


def _weighed_ways(lattice: Lattice, log_shift: float) -> Iterator[tuple[float, Way]]:
    return ((weight + log_shift, way) for weight, way in best_ways(lattice))
