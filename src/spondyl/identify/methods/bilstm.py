"""Identification by the recurrent baseline of SpineNetV2's section 5.1; kept for comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spondyl.anatomy.level import Level
from spondyl.identify.appearance import BodyEvidence, open_appearance
from spondyl.identify.bilstm import recurrent_levels
from spondyl.identify.methods.argmax import label_each
from spondyl.labelling import Labelling
from spondyl.nets.network import LoadedNetwork, Network
from spondyl.reading import Identify

__all__ = ["RecurrentNamer", "open_bilstm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentNamer:
    """Names bodies by `identify.bilstm.recurrent_levels`.

    Args:
        network: the trained LSTM.
    """

    network: Network

    def __call__(self, evidence: BodyEvidence) -> Labelling[Level]:
        """Name the bodies; the probabilities are those of the appearance network, of each body separately."""
        levels = recurrent_levels(evidence.logits, evidence.positions_mm, self.network)
        return label_each(levels, evidence.logits)


def open_bilstm(networks: Mapping[str, LoadedNetwork]) -> Identify:
    """Open the method."""
    return open_appearance(networks, RecurrentNamer(network=networks["bilstm"].run))
