"""Identification by the exact ordered decoder on the appearance network alone; the default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spondyl.anatomy.level import Level
from spondyl.identify.appearance import AppearanceSettings, BodyEvidence, open_appearance
from spondyl.identify.costs import OrderCosts
from spondyl.identify.order import decode, decode_chain
from spondyl.identify.weights import Detections
from spondyl.labelling import Labelling, Labellings
from spondyl.nets.network import LoadedNetwork
from spondyl.nets.settings import read_settings
from spondyl.reading import Identify

__all__ = ["OrderNamer", "open_order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNamer:
    """Names bodies, and discs with them, by the exact ordered decoder.

    Args:
        costs: the decoder's settings, as fitted to the appearance network.
    """

    costs: OrderCosts

    def __call__(self, evidence: BodyEvidence) -> Labelling[Level]:
        """Name the bodies."""
        return decode(
            evidence.logits, evidence.scores, evidence.positions_mm, room_mm=evidence.room_mm, costs=self.costs
        )

    def name_chain(self, evidence: BodyEvidence | None, discs: Detections) -> Labellings:
        """Name bodies and discs as one chain."""
        return decode_chain(None if evidence is None else evidence.to_detections(), discs, costs=self.costs)


def open_order(networks: Mapping[str, LoadedNetwork]) -> Identify:
    """Open the method with the settings in the appearance network's card."""
    settings = read_settings(networks["appearance"].card, AppearanceSettings)
    namer = OrderNamer(costs=settings.costs)
    return open_appearance(networks, namer, namer.name_chain)
