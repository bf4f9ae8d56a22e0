"""Sums and maxima over all assignments of levels to ordered candidates; arrays in, arrays out.

A state is (candidate i, tree node u, size g): candidate i is accepted as node u in a patient of size g. A path visits
states of increasing i and descending u with one g; candidates that it passes over are rejected. All weights are
relative to rejecting every candidate, so a rejected candidate contributes nothing and an accepted one its evidence plus
the cost of its rejection. Reductions run over leading axes, which numpy does several times faster.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np

from spondyl.anatomy.level import Level
from spondyl.identify.level_tree import LevelTree
from spondyl.types import Float, Index

__all__ = [
    "Lattice",
    "LevelPath",
    "Posterior",
    "best_paths",
    "best_scores",
    "forward_backward",
    "log_weight",
    "triangular_buffers",
]

LevelPath = tuple[tuple[int, int], ...]
"""The accepted (candidate, node) pairs of a path, top to bottom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """The graph and its log-weights.

    Args:
        tree: the levels.
        accept_scores: log-weight of accepting a candidate as a node over rejecting it, (n, N).
        starts: log-weight of a path that begins with a candidate at a node in a patient of some size, (n, N, G).
        ends: log-weight of a path that ends so, (n, N, G).
        variants: probability of each variant for a path that ends so, (variants, n, N, G).
        steps: per candidate i, log-weights (i, K, N, G) of a step to a node from an earlier candidate, k + 1 levels up.
    """

    tree: LevelTree
    accept_scores: Float
    starts: Float
    ends: Float
    variants: Float
    steps: tuple[Float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """Sums and probabilities over all paths.

    Args:
        log_total: log of the summed weight of all paths, relative to rejecting every candidate.
        nodes: probability that a candidate is accepted as a node, (n, N).
        last: probability that a path ends with a candidate at a node in a patient of some size, (n, N, G); the rest is
            the path that rejects everything.
    """

    log_total: float
    nodes: Float
    last: Float


def forward_backward(lattice: Lattice) -> Posterior:
    """Run the forward-backward algorithm over the lattice."""
    reached, parts = _forward(lattice)
    reached += lattice.ends
    flat = np.concatenate([[0.0], reached.ravel()])
    top = flat.max()
    log_total = float(top + np.log(np.exp(flat - top).sum()))
    last = np.exp(reached - log_total)
    return Posterior(log_total=log_total, nodes=_backward(lattice.tree, last, parts), last=last)


def triangular_buffers(n: int, shape: tuple[int, ...]) -> list[Float]:
    """Allocate arrays (i, *shape) for i below n, in one block: singly, each would be mapped and faulted in anew."""
    block = np.empty((n * (n - 1) // 2, *shape))
    return [block[i * (i - 1) // 2 : i * (i + 1) // 2] for i in range(n)]


def _forward(lattice: Lattice) -> tuple[Float, list[tuple[Float, Float]]]:
    """Compute the log-weight of all paths that end in a state, (n, N, G), and for each i the incoming weights.

    These are the weights of the steps (i, K, N, G) and their total (N, G), on the scale of the state.
    """
    ancestors = lattice.tree.ancestors.T
    reached: Float = np.empty(lattice.starts.shape)
    parts = []
    out = triangular_buffers(len(reached), (*ancestors.shape, reached.shape[-1]))
    for i, (steps, terms) in enumerate(zip(lattice.steps, out, strict=True)):
        reached[:i].take(ancestors, axis=1, out=terms, mode="clip")  # other modes go through a copy
        terms += steps
        top = np.maximum(lattice.starts[i], terms.max(axis=(0, 1), initial=-np.inf))
        terms -= top
        np.exp(terms, out=terms)
        total = np.exp(lattice.starts[i] - top) + terms.sum(axis=(0, 1))
        reached[i] = top + np.log(total) + lattice.accept_scores[i][:, None]
        parts.append((terms, total))
    return reached, parts


def _backward(tree: LevelTree, ends: Float, parts: list[tuple[Float, Float]]) -> Float:
    """Compute the probability of each state summed over sizes, (n, N), from the last candidate up."""
    states = ends.copy()
    ancestors = tree.ancestors.T.ravel()
    edges = np.flatnonzero(tree.log_choice.T.ravel() > -np.inf)
    edges = edges[np.argsort(ancestors[edges], kind="stable")]
    found, first = np.unique(ancestors[edges], return_index=True)
    out = np.empty((len(states), len(edges), states.shape[-1]))
    for i in range(len(states) - 1, 0, -1):
        weights, total = parts[i]
        weights *= states[i] / total
        flow = weights.reshape(i, -1, states.shape[-1]).take(edges, axis=1, out=out[:i], mode="clip")
        states[:i, found] += np.add.reduceat(flow, first, axis=1)
    return np.asarray(states.sum(axis=2))


def best_scores(lattice: Lattice) -> Float:
    """Compute the log-weight of the best path that ends in each state, (n, N, G)."""
    ancestors = lattice.tree.ancestors.T
    best: Float = np.empty(lattice.starts.shape)
    out = np.empty((len(best), *ancestors.shape, best.shape[-1]))
    for i, steps in enumerate(lattice.steps):
        terms = best[:i].take(ancestors, axis=1, out=out[:i], mode="clip")
        terms += steps
        top = terms.max(axis=(0, 1), initial=-np.inf)
        best[i] = np.maximum(lattice.starts[i], top) + lattice.accept_scores[i][:, None]
    return best


def best_paths(lattice: Lattice) -> Iterator[tuple[float, LevelPath]]:
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

    tail: LevelPath
    state: tuple[int, int, int] | None
    score: float
    choice: int


class _Search:
    """Ranks the continuations of partial paths; each state is ranked once."""

    def __init__(self, lattice: Lattice, best: Float) -> None:
        self.lattice = lattice
        self.best = best
        self.ranked: dict[tuple[int, int, int] | None, tuple[Float, Index]] = {}

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
        state = self._source(partial.state, chosen - 1)
        i, u, _ = state
        step = float(scores[partial.choice] - self.best[state])
        return _Partial(
            ((i, u), *partial.tail), state, partial.score + step + float(self.lattice.accept_scores[i, u]), 0
        )

    def _rank(self, state: tuple[int, int, int] | None) -> tuple[Float, Index]:
        if state not in self.ranked:
            options = self._options(state)
            order = np.argsort(-options, kind="stable")
            self.ranked[state] = (options[order], order)
        return self.ranked[state]

    def _options(self, state: tuple[int, int, int] | None) -> Float:
        """Compute the scores of the choices: first to begin here, then each possible previous state."""
        if state is None:
            return np.concatenate([[0.0], (self.best + self.lattice.ends).ravel()])
        i, u, g = state
        before = self.best[:i, self.lattice.tree.ancestors[u], g] + self.lattice.steps[i][:, :, u, g]
        return np.concatenate([[self.lattice.starts[i, u, g]], before.ravel()])

    def _source(self, state: tuple[int, int, int] | None, choice: int) -> tuple[int, int, int]:
        if state is None:
            end, node, size = np.unravel_index(choice, self.best.shape)
            return int(end), int(node), int(size)
        ancestors = self.lattice.tree.ancestors[state[1]]
        i, k = divmod(choice, len(ancestors))
        return i, int(ancestors[k]), state[2]


def log_weight(lattice: Lattice, levels: tuple[Level | None, ...]) -> float:
    """Compute the log of the summed weight, over variants and sizes, of the paths that give these levels."""
    accepted = [(i, level) for i, level in enumerate(levels) if level is not None]
    if not accepted:
        return 0.0
    paths = [path for node in lattice.tree.nodes_of(accepted[-1][1]) for path in _climb(lattice.tree, accepted, node)]
    if not paths:
        return -np.inf
    weights = np.array([_path_weights(lattice, path) for path in paths]).ravel()
    top = weights.max()
    return float(top + np.log(np.exp(weights - top).sum())) if top > -np.inf else -np.inf


def _climb(tree: LevelTree, accepted: list[tuple[int, Level]], node: int) -> list[list[tuple[int, int, int]]]:
    """Find the path (candidate, node, descent) that ends at the node; a list of none or one."""
    path: list[tuple[int, int, int]] = []
    for (i, _), (_, above) in zip(accepted[:0:-1], accepted[-2::-1], strict=True):
        matches = [
            k
            for k, ancestor in enumerate(tree.ancestors[node])
            if tree.log_choice[node, k] > -np.inf and tree.levels[ancestor] is above
        ]
        if not matches:
            return []
        path.append((i, node, matches[0]))
        node = int(tree.ancestors[node, matches[0]])
    return [[*path, (accepted[0][0], node, -1)]]


def _path_weights(lattice: Lattice, path: list[tuple[int, int, int]]) -> Float:
    """Compute the log-weights (G,) of one path, given from its lower end."""
    (last, lowest_node, _), (first, top_node, _) = path[0], path[-1]
    total = lattice.starts[first, top_node] + lattice.accept_scores[first, top_node] + lattice.ends[last, lowest_node]
    for (i, u, k), (p, _, _) in pairwise(path):
        total = total + lattice.steps[i][p, k, u] + lattice.accept_scores[i, u]
    return np.asarray(total)
