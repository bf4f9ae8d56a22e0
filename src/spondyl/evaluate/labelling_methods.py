"""Every method that names detected vertebrae, side by side: the published ones, the baselines, and ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from spondyl.anatomy.level import Level
from spondyl.engine.build import make_engine
from spondyl.geometry.affine import Float
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.beam import BeamCosts, argmax_levels, beam_search
from spondyl.identify.bilstm import recurrent_levels
from spondyl.identify.context import extents_mm, level_logits
from spondyl.identify.height_map import HeightMapSettings, height_map, read_rows
from spondyl.identify.labelling import Labelling, Levels
from spondyl.identify.order import OrderCosts, decode
from spondyl.pipeline import Network, Networks, Plan

__all__ = [
    "ALONE",
    "ARGMAX",
    "BEAM",
    "DECODERS",
    "EXACT",
    "METHODS",
    "RECURRENT",
    "Candidates",
    "Namers",
    "candidates_of",
]

ARGMAX = "each body by itself (argmax)"
RECURRENT = "bi-directional LSTM"
BEAM = "context network, beam search (the paper's)"
EXACT = "context network, exact decoder"
ALONE = "exact decoder, no context network"
DECODERS = (EXACT, ALONE)
METHODS = (ARGMAX, RECURRENT, BEAM, *DECODERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What is known of the n detections of one scan, head to foot, before they have names.

    Args:
        logits: (n, columns) of the appearance network.
        refined: (n, columns) of the context network.
        positions_mm: (n, 3) centroids in any frame.
        scores: (n,) detection scores.
    """

    logits: Float
    refined: Float
    positions_mm: Float
    scores: Float


@dataclass(frozen=True, slots=True, kw_only=True)
class Namers:
    """The methods' settings.

    Args:
        recurrent: the trained bi-directional LSTM.
        beam: of the beam search.
        beam_score: what a candidate must have to be shown to the beam search, which must give a level to each.
        refined: of the exact decoder where it reads the context network.
        alone: of the exact decoder where it reads the appearance network.
    """

    recurrent: Network
    beam: BeamCosts = field(default_factory=BeamCosts)
    beam_score: float = 0.0
    refined: OrderCosts = field(default_factory=OrderCosts)
    alone: OrderCosts = field(default_factory=OrderCosts)

    def labellings(self, candidates: Candidates) -> dict[str, Labelling]:
        """What the exact decoder says with and without context network, by method."""
        c = candidates
        return {
            EXACT: decode(c.refined, c.scores, c.positions_mm, costs=self.refined),
            ALONE: decode(c.logits, c.scores, c.positions_mm, costs=self.alone),
        }

    def levels(self, candidates: Candidates, labellings: Mapping[str, Labelling]) -> dict[str, Levels]:
        """The levels that each of `METHODS` gives, head to foot; None for what it takes for no vertebra.

        Args:
            candidates: the detections.
            labellings: what `labellings` gives for them.
        """
        decoded = {name: one.levels for name, one in labellings.items()}
        return {
            ARGMAX: argmax_levels(candidates.logits),
            RECURRENT: recurrent_levels(candidates.logits, candidates.positions_mm, self.recurrent),
            BEAM: self._searched(candidates),
            **decoded,
        }

    def _searched(self, candidates: Candidates) -> Levels:
        shown = np.flatnonzero(candidates.scores >= self.beam_score)
        levels: list[Level | None] = [None] * len(candidates.scores)
        for place, level in zip(shown, beam_search(candidates.refined[shown], costs=self.beam)[0], strict=True):
            levels[place] = level
        return tuple(levels)


_BEAM_SCORE = 0.7
"""Of 0.55 to 0.8, the score with which the beam search does best on phantoms to which our own decoder was fitted."""


def candidates_of(stack: SagittalStack, found: Sequence[VertebraInstance], networks: Networks) -> Candidates:
    """Let the networks look at the detections of a scan.

    Args:
        stack: the scan.
        found: its detections, head to foot.
        networks: whose appearance and context network are asked.
    """
    logits = level_logits(stack, found, networks.appearance, None, crops=networks.crops)
    tops, bottoms, height_mm = extents_mm(stack, found)
    centroids = np.array([instance.centroid_index for instance in found]).reshape(-1, 3)
    return Candidates(
        logits=logits,
        refined=refine(logits, tops, bottoms, height_mm, networks.context, networks.heights),
        positions_mm=stack.affine.to_world(centroids),
        scores=np.array([instance.score for instance in found]),
    )


def refine(
    logits: Float, tops_mm: Float, bottoms_mm: Float, height_mm: float, context: Network, heights: HeightMapSettings
) -> Float:
    """What the context network makes of the appearance network's logits, (n, columns); edges as in `height_map`."""
    picture = height_map(logits, tops_mm, bottoms_mm, height_mm, heights)
    return read_rows(context(picture[None, None])[0, 0], (tops_mm + bottoms_mm) / 2)


def load_namers(networks: Networks, plan: Plan) -> Namers:
    """The methods as they go with loaded networks.

    Raises:
        WeightsError: the bi-directional LSTM's weights are missing or damaged.
    """
    return Namers(
        recurrent=make_engine("spondyl-bilstm", plan.engine, plan.device),
        beam=BeamCosts(temperature=networks.context_costs.temperature, skip=networks.context_costs.skip),
        beam_score=_BEAM_SCORE,
        refined=networks.context_costs,
        alone=networks.costs,
    )
