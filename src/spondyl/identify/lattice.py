"""Sums and maxima over all assignments of names to ordered candidates; arrays in, arrays out.

Candidates are of two kinds, for vertebrae and for discs, in one order from head to foot. A state is (candidate i, tree
node u, size g): candidate i is accepted as the vertebra of node u, or as the disc above it, in a patient of size g. A
path visits states of increasing i that descend the column with one g; candidates that it passes over are rejected. All
weights are relative to rejecting every candidate, so a rejected candidate contributes nothing and an accepted one its
evidence plus the cost of its rejection. Reductions run over leading axes, which numpy does several times faster.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.identify.level_tree import LevelTree, StepKind
from spondyl.stage import Structure
from spondyl.types import Float, Index

__all__ = [
    "Lattice",
    "Marks",
    "NodePath",
    "Part",
    "Posterior",
    "Steps",
    "best_paths",
    "best_scores",
    "forward_backward",
    "log_weight",
    "triangular_buffers",
]

Marks = tuple[Level | Disc | None, ...]
"""The name of each candidate of both kinds, top to bottom; None for one that is rejected."""

NodePath = tuple[tuple[int, int], ...]
"""The accepted (candidate, node) pairs of a path, top to bottom."""

Steps = Mapping[Structure, Float]
"""Log-weights (earlier, K, N, G) of the steps to a candidate at a node from each earlier candidate of each kind."""

State = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The candidates of one kind and their log-weights.

    Args:
        places: the place of each among the candidates of both kinds, (n,).
        accept_scores: log-weight of accepting a candidate at a node over rejecting it, (n, N).
        starts: log-weight of a path that begins with a candidate at a node in a patient of some size, (n, N, G).
        ends: log-weight of a path that ends so, (n, N, G).
        variants: probability of each variant for a path that ends so, (variants, n, N, G).
    """

    places: Index
    accept_scores: Float
    starts: Float
    ends: Float
    variants: Float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """The graph and its log-weights.

    Args:
        tree: the levels.
        parts: the candidates of each kind.
        steps: for each candidate of both kinds, the steps to it.
    """

    tree: LevelTree
    parts: Mapping[Structure, Part]
    steps: tuple[Steps, ...]

    def order(self) -> list[tuple[Structure, int]]:
        """List the kind of each candidate and its number among those of the kind, top to bottom."""
        found = [(int(place), (kind, i)) for kind, part in self.parts.items() for i, place in enumerate(part.places)]
        return [candidate for _, candidate in sorted(found)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """Sums and probabilities over all paths.

    Args:
        log_total: log of the summed weight of all paths, relative to rejecting every candidate.
        nodes: probability that a candidate is accepted at a node, (n, N), by kind.
        last: probability that a path ends with a candidate at a node in a patient of some size, (n, N, G), by kind; the
            rest is the path that rejects everything.
        steps: probability of a step to a node, (K, N), by kind of step.
    """

    log_total: float
    nodes: Mapping[Structure, Float]
    last: Mapping[Structure, Float]
    steps: Mapping[StepKind, Float]


def triangular_buffers(kinds: Sequence[Structure], shape: tuple[int, ...]) -> list[dict[Structure, Float]]:
    """Allocate arrays (earlier, *shape) by kind for each candidate, in one block.

    Singly, each would be mapped and faulted in anew.
    """
    present = tuple(dict.fromkeys(kinds))
    block = np.empty((len(kinds) * (len(kinds) - 1) // 2, *shape))
    buffers, used, seen = [], 0, dict.fromkeys(present, 0)
    for kind in kinds:
        views = {}
        for earlier in present:
            views[earlier] = block[used : used + seen[earlier]]
            used += seen[earlier]
        buffers.append(views)
        seen[kind] += 1
    return buffers


def forward_backward(lattice: Lattice) -> Posterior:
    """Run the forward-backward algorithm over the lattice."""
    reached, flows = _forward(lattice)
    for kind, part in lattice.parts.items():
        reached[kind] += part.ends
    flat = np.concatenate([[0.0], *(scores.ravel() for scores in reached.values())])
    top = flat.max()
    log_total = float(top + np.log(np.exp(flat - top).sum()))
    last = {kind: np.exp(scores - log_total) for kind, scores in reached.items()}
    nodes, steps = _backward(lattice, last, flows)
    return Posterior(log_total=log_total, nodes=nodes, last=last, steps=steps)


Flow = tuple[dict[Structure, Float], Float]
"""The weights of the steps to a candidate by kind, (earlier, K, N, G), and their total with that of a start, (N, G)."""


def _forward(lattice: Lattice) -> tuple[dict[Structure, Float], list[Flow]]:
    """Compute the log-weight of all paths that end in a state, (n, N, G) by kind, and the flow into each candidate.

    The flow's weights are on the scale of the state.
    """
    order = lattice.order()
    reached = {kind: np.empty(part.starts.shape) for kind, part in lattice.parts.items()}
    flows = []
    shape = next((steps.shape[1:] for by_kind in lattice.steps for steps in by_kind.values()), ())
    for (kind, i), steps, out in zip(
        order, lattice.steps, triangular_buffers([kind for kind, _ in order], shape), strict=True
    ):
        start = lattice.parts[kind].starts[i]
        top = np.maximum(start, _arrive(lattice, reached, kind, steps, out))
        total = np.exp(start - top)
        for terms in out.values():
            terms -= top
            np.exp(terms, out=terms)
            total += terms.sum(axis=(0, 1))
        reached[kind][i] = top + np.log(total) + lattice.parts[kind].accept_scores[i][:, None]
        flows.append((out, total))
    return reached, flows


def _arrive(
    lattice: Lattice, reached: Mapping[Structure, Float], kind: Structure, steps: Steps, out: Mapping[Structure, Float]
) -> Float:
    """Fill `out` with the weights of arriving by each step, and return the largest for each node and size, (N, G)."""
    tops = []
    for earlier, weights in steps.items():
        sources = lattice.tree.steps[earlier, kind].sources.T
        terms = out[earlier]
        reached[earlier][: len(weights)].take(sources, axis=1, out=terms, mode="clip")  # other modes go through a copy
        terms += weights
        tops.append(terms.max(axis=(0, 1), initial=-np.inf))
    return np.asarray(np.max(tops, axis=0))


def _backward(
    lattice: Lattice, last: Mapping[Structure, Float], flows: list[Flow]
) -> tuple[dict[Structure, Float], dict[StepKind, Float]]:
    """Compute the probability of each state summed over sizes, from the last candidate up, and that of the steps."""
    states = {kind: ends.copy() for kind, ends in last.items()}
    passed = {(upper, lower): np.zeros(lattice.tree.ancestors.T.shape) for upper in states for lower in states}
    edges = {kind: _Edges.from_tree(lattice.tree, kind) for kind in passed}
    for (kind, i), (terms, total) in reversed(list(zip(lattice.order(), flows, strict=True))):
        share = states[kind][i] / total
        for earlier, weights in terms.items():
            if len(weights):
                weights *= share
                table = edges[earlier, kind]
                flow = weights.reshape(len(weights), -1, share.shape[-1]).take(table.used, axis=1, mode="clip")
                states[earlier][: len(weights), table.sources] += np.add.reduceat(flow, table.first, axis=1)
                passed[earlier, kind].ravel()[table.used] += flow.sum(axis=(0, 2))
    return {kind: np.asarray(probability.sum(axis=2)) for kind, probability in states.items()}, passed


@dataclass(frozen=True, slots=True)
class _Edges:
    """The steps of one kind that exist: places in a flat (K, N), by source; each source, and its first among them."""

    used: Index
    sources: Index
    first: Index

    @classmethod
    def from_tree(cls, tree: LevelTree, kind: StepKind) -> _Edges:
        table = tree.steps[kind]
        sources = table.sources.T.ravel()
        used = np.flatnonzero(table.log_choice.T.ravel() > -np.inf)
        used = used[np.argsort(sources[used], kind="stable")]
        found, first = np.unique(sources[used], return_index=True)
        return cls(used, found, first)


def best_scores(lattice: Lattice) -> dict[Structure, Float]:
    """Compute the log-weight of the best path that ends in each state, (n, N, G) by kind."""
    best: dict[Structure, Float] = {kind: np.empty(part.starts.shape) for kind, part in lattice.parts.items()}
    lengths, nodes = lattice.tree.ancestors.T.shape
    room = {kind: np.empty((len(scores), lengths, nodes, scores.shape[2])) for kind, scores in best.items()}
    for (kind, i), steps in zip(lattice.order(), lattice.steps, strict=True):
        out = {earlier: room[earlier][: len(weights)] for earlier, weights in steps.items()}
        part = lattice.parts[kind]
        arrived = _arrive(lattice, best, kind, steps, out)
        best[kind][i] = np.maximum(part.starts[i], arrived) + part.accept_scores[i][:, None]
    return best


def best_paths(lattice: Lattice) -> Iterator[tuple[float, NodePath]]:
    """Yield (log-weight, path) of single paths, best first; a path recurs for every size g.

    Best-first search from the end, with the scores of `best_scores` as exact estimate of what remains: each popped
    entry lies on a path of the reported weight, so the first paths cost about their length each.
    """
    search = _Search(lattice, best_scores(lattice))
    ticket = count()
    heap: list[tuple[float, int, _Partial]] = []

    def push(partial: _Partial) -> None:
        weight = search.weight(partial)
        if weight > -np.inf:
            heapq.heappush(heap, (-weight, next(ticket), partial))

    push(_Partial((), None, 0.0, 0))
    while heap:
        negative, _, partial = heapq.heappop(heap)
        push(_Partial(partial.tail, partial.state, partial.score, partial.choice + 1))
        extended = search.extend(partial)
        if extended is None:
            yield -negative, partial.tail
        else:
            push(extended)


@dataclass(frozen=True, slots=True)
class _Partial:
    """The lower end of a path, and the rank of the choice by which it continues upwards from `state`."""

    tail: NodePath
    state: State | None
    score: float
    choice: int


class _Search:
    """Ranks the continuations of partial paths; each state is ranked once."""

    def __init__(self, lattice: Lattice, best: Mapping[Structure, Float]) -> None:
        self.lattice = lattice
        self.best = best
        self.order = lattice.order()
        self.ranked: dict[State | None, tuple[Float, Index]] = {}

    def weight(self, partial: _Partial) -> float:
        """Return the log-weight of the best path with this choice; -inf when the choices are used up."""
        scores, _ = self._rank(partial.state)
        return partial.score + float(scores[partial.choice]) if partial.choice < len(scores) else -np.inf

    def extend(self, partial: _Partial) -> _Partial | None:
        """Make the choice; return None if the path begins here."""
        scores, order = self._rank(partial.state)
        chosen = int(order[partial.choice])
        if chosen == 0:
            return None
        place, node, size = self._source(partial.state, chosen - 1)
        kind, i = self.order[place]
        step = float(scores[partial.choice] - self.best[kind][i, node, size])
        accepted = float(self.lattice.parts[kind].accept_scores[i, node])
        return _Partial(((place, node), *partial.tail), (place, node, size), partial.score + step + accepted, 0)

    def _rank(self, state: State | None) -> tuple[Float, Index]:
        if state not in self.ranked:
            previous = (scores.ravel() for scores in self._options(state).values())
            options = np.concatenate([[self._begin(state)], *previous])
            order = np.argsort(-options, kind="stable")
            self.ranked[state] = (options[order], order)
        return self.ranked[state]

    def _begin(self, state: State | None) -> float:
        if state is None:
            return 0.0
        kind, i = self.order[state[0]]
        return float(self.lattice.parts[kind].starts[i, state[1], state[2]])

    def _options(self, state: State | None) -> dict[Structure, Float]:
        """Compute the scores of each possible previous state, by kind."""
        if state is None:
            return {kind: self.best[kind] + part.ends for kind, part in self.lattice.parts.items()}
        place, node, size = state
        kind, _ = self.order[place]
        return {
            earlier: self.best[earlier][: len(weights), self.lattice.tree.steps[earlier, kind].sources[node], size]
            + weights[:, :, node, size]
            for earlier, weights in self.lattice.steps[place].items()
        }

    def _source(self, state: State | None, choice: int) -> State:
        """Return the previous state of a choice, counted over all options."""
        if state is None:
            for kind, scores in self.best.items():
                if choice < scores.size:
                    i, node, size = np.unravel_index(choice, scores.shape)
                    return int(self.lattice.parts[kind].places[i]), int(node), int(size)
                choice -= scores.size
        else:
            kind, _ = self.order[state[0]]
            for earlier, weights in self.lattice.steps[state[0]].items():
                i, k = divmod(choice, weights.shape[1])
                if i < len(weights):
                    sources = self.lattice.tree.steps[earlier, kind].sources
                    return int(self.lattice.parts[earlier].places[i]), int(sources[state[1], k]), state[2]
                choice -= weights.shape[0] * weights.shape[1]
        raise IndexError(choice)


def log_weight(lattice: Lattice, marks: Marks) -> float:
    """Compute the log of the summed weight, over variants and sizes, of the paths that give these names."""
    order = lattice.order()
    accepted = [(*order[place], mark) for place, mark in enumerate(marks) if mark is not None]
    if not accepted:
        return 0.0
    kind, _, mark = accepted[-1]
    paths = [path for node in lattice.tree.nodes_of(kind, mark) for path in _climb(lattice.tree, accepted, node)]
    if not paths:
        return -np.inf
    weights = np.array([_path_weights(lattice, path) for path in paths]).ravel()
    top = weights.max()
    return float(top + np.log(np.exp(weights - top).sum())) if top > -np.inf else -np.inf


Accepted = tuple[Structure, int, Level | Disc]


def _climb(tree: LevelTree, accepted: list[Accepted], node: int) -> list[list[tuple[Structure, int, int, int]]]:
    """Find the path (kind, candidate, node, length of the step) that ends at the node; a list of none or one."""
    path: list[tuple[Structure, int, int, int]] = []
    for (upper, _, above), (lower, i, _) in reversed(list(pairwise(accepted))):
        table = tree.steps[upper, lower]
        matches = [
            k
            for k, source in enumerate(table.sources[node].tolist())
            if table.log_choice[node, k] > -np.inf and tree.mark(upper, source) == above
        ]
        if not matches:
            return []
        path.append((lower, i, node, matches[0]))
        node = int(table.sources[node, matches[0]])
    kind, first, _ = accepted[0]
    return [[*path, (kind, first, node, -1)]]


def _path_weights(lattice: Lattice, path: list[tuple[Structure, int, int, int]]) -> Float:
    """Compute the log-weights (G,) of one path, given from its lower end."""
    kind, first, top, _ = path[-1]
    lowest_kind, last, bottom, _ = path[0]
    upper, lowest = lattice.parts[kind], lattice.parts[lowest_kind]
    total = upper.starts[first, top] + upper.accept_scores[first, top] + lowest.ends[last, bottom]
    for (lower, i, u, k), (earlier, p, _, _) in pairwise(path):
        part = lattice.parts[lower]
        total = total + lattice.steps[part.places[i]][earlier][p, k, u] + part.accept_scores[i, u]
    return np.asarray(total)
