"""The exact ordered decoder, which converts evidence about each candidate into descending levels with probabilities.

Vertebrae and discs are one chain: candidates of both kinds have one order from head to foot, and a disc lies midway
between its two vertebrae. One probabilistic model is summed and maximised exactly by dynamic programming. An
explanation of a scan is a numbering variant, the patient's size, and for each candidate either rejection or a name,
names descending the chain without repetition. Its log-weight is the sum of

- log of the variant's prior and of the size's prior (log-normal on a small grid; all sizes share it);
- per accepted candidate, its evidence: how much more likely its appearance is there than anywhere;
- per rejected candidate, minus a cost that grows with its detection score;
- per pair of accepted neighbours, the log-density of their distance (Student t, so that a fracture or slip is
  tolerated) around the published one times the size, through what is skipped;
- per vertebra from C2 to S1, and per disc between them, that was not detected, the log-probability of that: of a miss
  between two accepted neighbours; for the nearest above the first and below the last, of a miss or a place outside the
  field of view. A kind of which there is no candidate was not looked for.

The errors of networks on the vertebrae of a patient are correlated, not independent. So an explanation also includes
the number of levels by which their predictions are shifted in this patient; no shift is the most probable.

Fields of view begin and end anywhere, so apart from misses the first and last levels are free.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import NUMBERINGS, Numbering, total_prior
from spondyl.anatomy.spacing import VID, SpacingTable
from spondyl.errors import SettingError
from spondyl.identify.costs import OrderCosts
from spondyl.identify.evidence import DISC_COLUMNS, OFFICIAL_COLUMNS, level_evidence
from spondyl.identify.lattice import (
    Lattice,
    Marks,
    NodePath,
    Posterior,
    best_paths,
    forward_backward,
    log_weight,
)
from spondyl.identify.level_tree import StepKind, level_tree
from spondyl.identify.weights import Detections, build_lattice, find_missed
from spondyl.labelling import DISCS, LEVELS, Labelling, Labellings, MarkSequence
from spondyl.stage import Structure
from spondyl.types import Float

__all__ = ["decode", "decode_chain"]

Mark = TypeVar("Mark", Level, Disc)

MAX_PATHS = 4000
"""The number of paths that are examined to list the best answers; real scans need tens."""


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
    """Name ordered candidates for vertebrae.

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
    bodies = Detections.from_arrays(log_probabilities, scores, positions_mm, room_mm=room_mm)
    found = decode_chain(
        bodies, None, columns=columns, numberings=numberings, spacing=spacing, costs=costs, best=best
    ).vertebrae
    if found is None:
        raise SettingError("bodies were given, but none was named")
    return found


def decode_chain(
    bodies: Detections | None,
    discs: Detections | None,
    *,
    columns: tuple[Level, ...] = OFFICIAL_COLUMNS,
    disc_columns: tuple[Level, ...] = DISC_COLUMNS,
    numberings: tuple[Numbering, ...] = NUMBERINGS,
    spacing: SpacingTable = VID,
    costs: OrderCosts | None = None,
    best: int = 5,
) -> Labellings:
    """Name ordered candidates for vertebrae and discs as one chain.

    Args:
        bodies: candidates for vertebrae; None where no method located them.
        discs: candidates for discs; None where no method located them.
        columns: the level of each column of the bodies' evidence.
        disc_columns: the level below the disc of each column of the discs' evidence.
        numberings, spacing, costs, best: see `decode`.

    Returns:
        A labelling of each kind that was located. The log-probability of a sequence is that of the answer for both.

    Raises:
        SettingError: evidence has another number of columns, or values are not numbers.
    """
    settings = costs or OrderCosts()
    if best < 1:
        raise SettingError(f"at least one answer must be asked for, got {best}")
    given = {Structure.VERTEBRA: bodies, Structure.DISC: discs}
    found = {kind: those for kind, those in given.items() if those is not None}
    seen = {kind: those for kind, those in found.items() if len(those.scores)}
    shifts = settings.shifts()
    evidence = [_weigh_evidence(found, columns, disc_columns, settings, shift) for shift in shifts]
    tree = level_tree(numberings, spacing, settings.max_skipped)
    lattice = build_lattice(tree, seen, evidence[0], settings, spacing.within_patient)
    lattices = [_replace_evidence(lattice, seen, each, settings) for each in evidence]
    summed = _Sum.over_shifts(lattices, np.array(list(shifts.values())))
    answers = _answers(lattices, summed, best)
    return _label(found, lattice, summed, answers, numberings, settings)


def _weigh_evidence(
    found: Mapping[Structure, Detections],
    columns: tuple[Level, ...],
    disc_columns: tuple[Level, ...],
    costs: OrderCosts,
    shift: int,
) -> dict[Structure, Float]:
    evidence = {}
    for kind, those in found.items():
        is_disc = kind is Structure.DISC
        evidence[kind] = level_evidence(
            those.log_probabilities,
            disc_columns if is_disc else columns,
            temperature=costs.disc_temperature if is_disc else costs.temperature,
            landmark_temperature=None if is_disc else costs.landmark_temperature,
            outlier_probability=costs.outlier_probability,
            beyond_cost=costs.beyond,
            shift=0 if is_disc else shift,
        )
    return evidence


def _replace_evidence(
    lattice: Lattice, found: Mapping[Structure, Detections], evidence: Mapping[Structure, Float], costs: OrderCosts
) -> Lattice:
    parts = {
        kind: replace(
            part,
            accept_scores=evidence[kind][:, lattice.tree.ranks] + costs.rejections(found[kind].scores)[:, None],
        )
        for kind, part in lattice.parts.items()
    }
    return replace(lattice, parts=parts)


@dataclass(frozen=True, slots=True)
class _Sum:
    """Sums over all shifts, each with its lattice and its prior.

    Args:
        log_shifts: of the prior of each shift.
        log_total: log of the summed weight of all paths.
        shares: probability of each shift.
        posteriors: given each shift.
    """

    log_shifts: Float
    log_total: float
    shares: Float
    posteriors: Sequence[Posterior]

    @classmethod
    def over_shifts(cls, lattices: Sequence[Lattice], log_shifts: Float) -> _Sum:
        posteriors = [forward_backward(lattice) for lattice in lattices]
        weights = log_shifts + [each.log_total for each in posteriors]
        log_total = float(np.logaddexp.reduce(weights))
        return cls(log_shifts, log_total, np.exp(weights - log_total), posteriors)

    def last(self, kind: Structure) -> Float:
        """Compute the probability that a path ends in a state, (n, N, G)."""
        return np.asarray(sum(share * each.last[kind] for share, each in self._pairs()))

    def nodes(self, kind: Structure) -> Float:
        """Compute the probability that a candidate is accepted at a node, (n, N)."""
        return np.asarray(sum(share * each.nodes[kind] for share, each in self._pairs()))

    def steps(self) -> dict[StepKind, Float]:
        """Compute the probability of each step, (K, N) by kind."""
        kinds = self.posteriors[0].steps
        return {kind: np.asarray(sum(share * each.steps[kind] for share, each in self._pairs())) for kind in kinds}

    def _pairs(self) -> Iterator[tuple[float, Posterior]]:
        return zip(self.shares.tolist(), self.posteriors, strict=True)


Answers = list[tuple[Marks, float]]
"""Answers for all candidates with the logarithms of their probabilities, most probable first."""


def _answers(lattices: Sequence[Lattice], summed: _Sum, best: int) -> Answers:
    order = lattices[0].order()
    found: dict[Marks, float] = {}
    for path in islice(_best_paths(lattices, summed.log_shifts), MAX_PATHS):
        marks: list[Level | Disc | None] = [None] * len(order)
        for place, node in path:
            marks[place] = lattices[0].tree.mark(order[place][0], node)
        answer = tuple(marks)
        if answer not in found:
            weights = [log_weight(lattice, answer) for lattice in lattices]
            found[answer] = float(np.logaddexp.reduce(summed.log_shifts + weights)) - summed.log_total
        if len(found) == best:
            break
    return sorted(found.items(), key=lambda item: -item[1])


def _best_paths(lattices: Sequence[Lattice], log_shifts: Float) -> Iterator[NodePath]:
    """List the paths through any of the lattices, best first."""
    streams = map(_weighted_paths, lattices, log_shifts.tolist())
    return (path for _, path in heapq.merge(*streams, key=lambda item: -item[0]))


def _weighted_paths(lattice: Lattice, log_shift: float) -> Iterator[tuple[float, NodePath]]:
    return ((weight + log_shift, path) for weight, path in best_paths(lattice))


def _label(
    found: Mapping[Structure, Detections],
    lattice: Lattice,
    summed: _Sum,
    answers: Answers,
    numberings: tuple[Numbering, ...],
    costs: OrderCosts,
) -> Labellings:
    """Make a labelling of each kind that was located."""
    last = {kind: summed.last(kind) for kind in lattice.parts}
    scales = np.sum([np.zeros(len(costs.sizes)), *(each.sum(axis=(0, 1)) for each in last.values())], axis=0)
    variants = (1 - scales.sum()) * np.array([numbering.prior for numbering in numberings]) / total_prior(numberings)
    for kind, ends in last.items():
        variants = variants + np.einsum("nNG,vnNG->v", ends, lattice.parts[kind].variants)
    shared = _Shared(
        numberings={numbering.name: float(p) for numbering, p in zip(numberings, variants, strict=True)},
        size=float(scales @ np.array(costs.sizes) / scales.sum()) if scales.any() else 1.0,
        order=lattice.order(),
        answers=answers,
    )
    none = np.zeros((0, len(lattice.tree.levels)))
    nodes = {kind: summed.nodes(kind) if kind in lattice.parts else none for kind in found}
    vertebrae = discs = None
    if Structure.VERTEBRA in found:
        vertebrae = shared.label(Structure.VERTEBRA, LEVELS, nodes[Structure.VERTEBRA], lattice.tree.levels)
        vertebrae = replace(vertebrae, missed=find_missed(lattice.tree, summed.steps()))
    if Structure.DISC in found:
        discs = shared.label(Structure.DISC, DISCS, nodes[Structure.DISC], lattice.tree.discs)
    return Labellings(vertebrae=vertebrae, discs=discs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """The facts and answers from which the labellings of both kinds are made."""

    numberings: dict[str, float]
    size: float
    order: list[tuple[Structure, int]]
    answers: Answers

    def label(
        self, kind: Structure, marks: tuple[Mark, ...], nodes: Float, names: Sequence[Mark | None]
    ) -> Labelling[Mark]:
        """Make the labelling of one kind.

        Args:
            kind: of candidates.
            marks: the names that there are.
            nodes: probability of each candidate at each node, (n, N).
            names: of the nodes.
        """
        marginals = np.zeros((len(nodes), len(marks)))
        for node, name in enumerate(names):
            if name is not None:
                marginals[:, marks.index(name)] += nodes[:, node]
        return Labelling(
            sequences=self._sequences(kind),
            marks=marks,
            marginals=marginals,
            rejected=np.clip(1 - marginals.sum(axis=1), 0, 1),
            numberings=self.numberings,
            size=self.size,
        )

    def _sequences(self, kind: Structure) -> tuple[MarkSequence[Mark], ...]:
        """The part of the answers that is about one kind; of those that differ elsewhere the most probable stands."""
        places = [place for place, (each, _) in enumerate(self.order) if each is kind]
        parts: dict[tuple[Any, ...], float] = {}
        for answer, log_probability in self.answers:
            parts.setdefault(tuple(answer[place] for place in places), log_probability)
        return tuple(MarkSequence(levels=levels, log_probability=value) for levels, value in parts.items())
