"""The exact ordered decoder, which converts evidence about each candidate into descending levels with probabilities.

It sums and maximises one probabilistic model exactly by dynamic programming. An explanation of a scan is a numbering
variant, the patient's size, and for each candidate either rejection or a level, levels descending without repetition.
Its log-weight is the sum of

- log of the variant's prior and of the size's prior (log-normal on a small grid; all sizes share it);
- per accepted candidate, its evidence: how much more likely its appearance is at that level than anywhere;
- per rejected candidate, minus a cost that grows with its detection score;
- per pair of accepted neighbours, the log-density of their distance (Student t, so that a fracture or slip is
  tolerated) around the published one times the size, through the skipped levels;
- per level that was not detected, the log-probability of that: of a miss between two accepted neighbours; above the
  first and below the last, of a miss or a place outside the field of view, for the nearest levels from C2 to S1.

The errors of networks on the vertebrae of a patient are correlated, not independent. So an explanation also includes
the number of levels by which their predictions are shifted in this patient; no shift is the most probable.

Fields of view begin and end anywhere, so apart from misses the first and last levels are free.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import NUMBERINGS, Numbering, total_prior
from spondyl.anatomy.spacing import VID, SpacingTable
from spondyl.errors import SettingError
from spondyl.identify.evidence import OFFICIAL_COLUMNS, level_evidence
from spondyl.identify.lattice import Lattice, LevelPath, best_paths, forward_backward, log_weight, triangular_buffers
from spondyl.identify.level_tree import LevelTree, level_tree
from spondyl.identify.misses import MissRates, inside_probability
from spondyl.labelling import LEVELS, Labelling, Levels, MarkSequence
from spondyl.types import Float

__all__ = ["Detections", "OrderCosts", "build_lattice", "decode"]

STUDENT_DEGREES = 4.0
"""The degrees of freedom of the distance's density: nearly normal, but tolerant beyond three deviations."""

REFERENCE_SD_MM = 2.0
"""The unit of the distance's density; the expected distance at that deviation has log-weight 0."""

MAX_SHIFT = 2
MIN_LOG_SHIFT = float(np.log(1e-4))
"""The lowest log-probability of a shift; rarer ones, and those beyond `MAX_SHIFT` levels, are ignored."""

MAX_PATHS = 4000
"""The number of paths that are examined to list the best answers; real scans need tens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCosts:
    """Penalties of the ordered decoder, in nats.

    Args:
        temperature: divisor of the networks' log-probabilities; above 1 gives them less weight.
        landmark_temperature: divisor where regions and landmark levels (`anatomy.landmarks`) are distinguished; as
            `temperature` when None. Ribs, sacrum and dens are visible, the levels between them are estimated.
        outlier_probability: probability that a network is confidently wrong about a candidate.
        shift_sd: deviation, in levels, of an error that the networks make throughout a patient; 0 for none.
        beyond: for S2, which detectors are not trained to find; about one in eight is found nevertheless.
        misses: how often detectors miss a body.
        max_skipped: largest number of levels without a candidate between two accepted neighbours; one more level is
            expected above the first and below the last.
        rejection: for rejecting a candidate of detection score 0.5.
        rejection_per_logit: added per unit of the score's logit, with the score clipped to 0.02 to 0.98.
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
    misses: MissRates = field(default_factory=MissRates)
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
        if min(self.spacing, self.beyond, self.max_skipped, self.shift_sd) < 0:
            raise SettingError("spacing, beyond, max_skipped and shift_sd must not be negative")

    def shifts(self) -> dict[int, float]:
        """Compute the log-probability of each shift of the networks, in levels, that is not negligible."""
        if self.shift_sd == 0:
            return {0: 0.0}
        weights = {shift: -0.5 * (shift / self.shift_sd) ** 2 for shift in range(-MAX_SHIFT, MAX_SHIFT + 1)}
        total = np.log(sum(np.exp(weight) for weight in weights.values()))
        return {shift: float(weight - total) for shift, weight in weights.items() if weight - total > MIN_LOG_SHIFT}

    def rejections(self, scores: Annotated[Float, "n"]) -> Annotated[Float, "n"]:
        """Compute the cost of rejecting candidates of these detection scores, (n,)."""
        clipped = np.clip(scores, 0.02, 0.98)
        return np.asarray(self.rejection + self.rejection_per_logit * np.log(clipped / (1 - clipped)))


def decode(
    log_probabilities: ArrayLike,
    scores: ArrayLike,
    positions_mm: ArrayLike,
    *,
    room_mm: ArrayLike | None = None,
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
        room_mm: (n, 2) distance that the column runs on above and below each candidate inside the scan; the scan ends
            at the first and the last candidate when None.
        columns: the level of each column of `log_probabilities`.
        numberings: the variants that are distinguished; priors need not sum to 1.
        spacing: expected distances.
        costs: the decoder's settings.
        best: number of answers to list.

    Returns:
        The answers and probabilities. Those with the best single explanations (a size, and the variants that agree down
        to the lowest level given) are listed in the order of their probability, which sums over explanations.

    Raises:
        SettingError: shapes disagree, or values are not numbers.
    """
    settings = costs or OrderCosts()
    if best < 1:
        raise SettingError(f"at least one answer must be asked for, got {best}")
    shifts = settings.shifts()
    evidence = [_evidence(log_probabilities, columns, settings, shift) for shift in shifts]
    found = _check(scores, positions_mm, room_mm, len(evidence[0]))
    tree = level_tree(numberings, spacing, settings.max_skipped)
    lattice = build_lattice(tree, evidence[0], found, settings, spacing.within_patient)
    accept_scores = [each[:, tree.ranks] + settings.rejections(found.scores)[:, None] for each in evidence]
    lattices = [replace(lattice, accept_scores=each) for each in accept_scores]
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


@dataclass(frozen=True, slots=True)
class Detections:
    """Scores (n,), positions (n, 3) and room (n, 2) of candidates, as `decode` takes them."""

    scores: Float
    positions_mm: Float
    room_mm: Float


def _check(scores: ArrayLike, positions_mm: ArrayLike, room_mm: ArrayLike | None, n: int) -> Detections:
    values = np.asarray(scores, dtype=np.float64)
    positions = np.asarray(positions_mm, dtype=np.float64)
    room = np.zeros((n, 2)) if room_mm is None else np.asarray(room_mm, dtype=np.float64)
    if values.shape != (n,) or positions.shape != (n, 3) or room.shape != (n, 2):
        raise SettingError(
            f"{n} candidates need scores ({n},), positions ({n}, 3) and room ({n}, 2), "
            f"got {values.shape}, {positions.shape} and {room.shape}"
        )
    if not (np.isfinite(positions).all() and ((values >= 0) & (values <= 1)).all() and (room >= 0).all()):
        raise SettingError("positions must be finite, detection scores within [0, 1] and room must not be negative")
    return Detections(values, positions, room)


def build_lattice(
    tree: LevelTree, evidence: Annotated[Float, "n 28"], found: Detections, costs: OrderCosts, within_patient: float
) -> Lattice:
    """Compute the weights of every state and step; see the module for the model, `decode` for the arguments."""
    sizes = np.array(costs.sizes)
    log_prior = -0.5 * ((np.log(sizes) - costs.size_mean) / costs.size_sd) ** 2
    log_prior -= np.log(np.exp(log_prior).sum())
    expected = tree.expected_mm.T[:, :, None] * sizes
    patient_sd = tree.sd_mm.T[:, :, None] * sizes * within_patient
    sd = np.sqrt(patient_sd**2 + costs.localisation_mm**2)
    log_missed = _weigh_gaps(tree, costs.misses).T[:, :, None]
    fixed = tree.log_choice.T[:, :, None] + log_missed - costs.spacing * np.log(sd / REFERENCE_SD_MM)
    distances = np.linalg.norm(found.positions_mm[:, None] - found.positions_mm[None], axis=-1)
    steps = triangular_buffers(len(distances), expected.shape)
    for i, out in enumerate(steps):
        _weigh_steps(out, distances[i, :i], expected, sd, fixed, costs.spacing)
    above, below = _weigh_ends(tree, found.room_mm, sizes, costs.misses)
    ends = np.logaddexp.reduce(below)
    return Lattice(
        tree=tree,
        accept_scores=evidence[:, tree.ranks] + costs.rejections(found.scores)[:, None],
        starts=tree.log_mass[:, None] + log_prior + above,
        ends=ends,
        variants=np.exp(below - ends),
        steps=tuple(steps),
    )


def _weigh_gaps(tree: LevelTree, misses: MissRates) -> Float:
    """Compute the log-probability that all levels between a node and each of its ancestors are missed, (N, K)."""
    missed = np.log([misses.of(level) for level in tree.levels])[tree.ancestors]
    return np.cumsum(missed, axis=1) - missed


def _weigh_ends(tree: LevelTree, room_mm: Float, sizes: Float, misses: MissRates) -> tuple[Float, Float]:
    """Compute the log-probability that nothing was detected above the first candidate and below the last.

    Returns:
        For a first candidate at a node in a patient of some size, (n, N, G); and for a last one, with the share of each
        variant, (variants, n, N, G).
    """
    steps = tree.expected_mm[..., None] * sizes, np.arange(1, tree.expected_mm.shape[1] + 1)[:, None]
    rates = np.array([misses.of(level) for level in tree.levels])
    is_step = (tree.log_choice > -np.inf)[..., None]
    detected_above = inside_probability(room_mm[:, 0], *steps) * (1 - rates[tree.ancestors][..., None]) * is_step
    detected_below = inside_probability(room_mm[:, 1], *steps) * (1 - rates[:, None, None])
    missed_below = np.log1p(-detected_below)  # at the node that is missed
    missed_below = np.concatenate([missed_below, np.zeros_like(missed_below[:, :1])], axis=1)  # at node -1, none
    with np.errstate(divide="ignore"):
        shares = np.log(tree.shares.T)[:, None, :, None]
    following = missed_below[:, tree.descendants, np.arange(tree.descendants.shape[-1])]  # (n, N, variants, K, G)
    return np.log1p(-detected_above).sum(axis=2), shares + following.sum(axis=3).transpose(2, 0, 1, 3)


def _weigh_steps(out: Float, distances: Float, expected: Float, sd: Float, fixed: Float, weight: float) -> None:
    """Fill `out` (i, K, N, G) with the log-weights of the steps over these distances (i,); most of the work."""
    scale = 1 / (sd * np.sqrt(STUDENT_DEGREES))
    np.multiply(distances[:, None, None, None], scale, out=out)
    out -= expected * scale
    out *= out
    out += 1
    np.log(out, out=out)  # vectorised, which log1p is not
    out *= -weight * (STUDENT_DEGREES + 1) / 2
    out += fixed


def _labelling(
    lattices: Sequence[Lattice],
    log_shifts: Float,
    numberings: tuple[Numbering, ...],
    costs: OrderCosts,
    best: int,
) -> Labelling[Level]:
    """Combine all shifts, each with its lattice and its prior, into one labelling."""
    posteriors = [forward_backward(lattice) for lattice in lattices]
    weights = log_shifts + [each.log_total for each in posteriors]
    log_total = float(np.logaddexp.reduce(weights))
    shares = np.exp(weights - log_total)
    tree = lattices[0].tree
    last = np.einsum("s,snNG->nNG", shares, [each.last for each in posteriors])
    scales = last.sum(axis=(0, 1))
    priors = np.array([numbering.prior for numbering in numberings]) / total_prior(numberings)
    variants = np.einsum("nNG,vnNG->v", last, lattices[0].variants) + (1 - last.sum()) * priors
    marginals = np.zeros((len(lattices[0].accept_scores), len(Level)))
    np.add.at(marginals.T, tree.ranks, np.einsum("s,snN->Nn", shares, [each.nodes for each in posteriors]))
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
    for path in islice(_best_paths(lattices, log_shifts), MAX_PATHS):
        levels: list[Level | None] = [None] * len(lattices[0].accept_scores)
        for candidate, node in path:
            levels[candidate] = lattices[0].tree.levels[node]
        sequence = tuple(levels)
        if sequence not in found:
            weights = [log_weight(lattice, sequence) for lattice in lattices]
            found[sequence] = float(np.logaddexp.reduce(log_shifts + weights)) - log_total
        if len(found) == best:
            break
    ordered = sorted(found.items(), key=lambda item: -item[1])
    return tuple(MarkSequence(levels=levels, log_probability=value) for levels, value in ordered)


def _best_paths(lattices: Sequence[Lattice], log_shifts: Float) -> Iterator[LevelPath]:
    """List the paths through any of the lattices, best first."""
    streams = map(_weighted_paths, lattices, log_shifts.tolist())
    return (path for _, path in heapq.merge(*streams, key=lambda item: -item[0]))


def _weighted_paths(lattice: Lattice, log_shift: float) -> Iterator[tuple[float, LevelPath]]:
    return ((weight + log_shift, path) for weight, path in best_paths(lattice))
