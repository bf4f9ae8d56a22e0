"""Identification by SpineNetV2's context network and beam search; kept for comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spondyl.anatomy.level import Level
from spondyl.identify.appearance import BodyEvidence, open_appearance
from spondyl.identify.beam import BeamCosts, beam_search
from spondyl.identify.height_map import HeightMapSettings
from spondyl.identify.methods.argmax import label_each
from spondyl.identify.methods.context import ContextSettings, refine_logits
from spondyl.labelling import Labelling
from spondyl.nets.network import LoadedNetwork, Network
from spondyl.nets.settings import read_settings
from spondyl.reading import Identify

__all__ = ["BeamNamer", "open_beam"]

MIN_SCORE = 0.7
"""The score below which bodies are rejected first, since the beam search names every body that it is given. Of 0.55 to
0.8 the best on the phantoms to which the exact decoder was fitted."""


_SKIP = 4.0
"""The penalty for a level that is passed over, nats: that of a body of which one in fifty is missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamNamer:
    """Names bodies by `identify.beam.beam_search` on logits that the context network has refined.

    Args:
        context: a map (1, 1, rows, columns) to logits of the same shape.
        heights: settings of the maps, as the network was trained.
        costs: penalties of the search.
        min_score: bodies with a lower detection score are rejected.
    """

    context: Network
    heights: HeightMapSettings
    costs: BeamCosts
    min_score: float = MIN_SCORE

    def __call__(self, evidence: BodyEvidence) -> Labelling[Level]:
        """Name the bodies; the probabilities are those of each body separately."""
        refined = refine_logits(evidence, self.context, self.heights)
        shown = np.flatnonzero(evidence.scores >= self.min_score)
        levels: list[Level | None] = [None] * len(refined)
        for place, level in zip(shown, beam_search(refined[shown], costs=self.costs)[0], strict=True):
            levels[place] = level
        return label_each(tuple(levels), refined / self.costs.temperature)


def open_beam(networks: Mapping[str, LoadedNetwork]) -> Identify:
    """Open the method with the temperature in the context network's card and a penalty for a skip."""
    network = networks["context"]
    settings = read_settings(network.card, ContextSettings)
    costs = BeamCosts(temperature=settings.temperature, skip=_SKIP)
    return open_appearance(networks, BeamNamer(context=network.run, heights=settings.heights, costs=costs))
