"""Identification by the exact ordered decoder on the appearance network alone; the default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spondyl.anatomy.level import Level
from spondyl.identify.appearance import AppearanceSettings, BodyEvidence, open_appearance
from spondyl.identify.costs import OrderCosts
from spondyl.identify.order import decode
from spondyl.labelling import Labelling
from spondyl.nets.network import LoadedNetwork
from spondyl.nets.settings import read_settings
from spondyl.reading import Identify

__all__ = ["OrderNamer", "open_order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNamer:
    """Names bodies by `identify.order.decode`.

    Args:
        costs: the decoder's settings, as fitted to the appearance network.
    """

    costs: OrderCosts

    def __call__(self, evidence: BodyEvidence) -> Labelling[Level]:
        """Name the bodies."""
        return decode(
            evidence.logits, evidence.scores, evidence.positions_mm, room_mm=evidence.room_mm, costs=self.costs
        )


def open_order(networks: Mapping[str, LoadedNetwork]) -> Identify:
    """Open the method with the settings in the appearance network's card."""
    settings = read_settings(networks["appearance"].card, AppearanceSettings)
    return open_appearance(networks, OrderNamer(costs=settings.costs))
