"""Identification by SpineNetV2's context network and the exact decoder (Windsor et al. 2022, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.identify.appearance import AppearanceSettings, BodyEvidence, open_appearance
from spondyl.identify.costs import OrderCosts
from spondyl.identify.height_map import HeightMapSettings, height_map, read_rows
from spondyl.identify.order import decode, decode_chain
from spondyl.identify.weights import Detections
from spondyl.labelling import Labelling, Labellings
from spondyl.nets.network import LoadedNetwork, Network
from spondyl.nets.settings import read_settings
from spondyl.reading import Identify
from spondyl.types import Float

__all__ = ["ContextNamer", "ContextSettings", "open_context", "refine_logits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSettings:
    """The settings in the card of a context network.

    Args:
        temperature: see `OrderCosts`.
        outlier_probability: see `OrderCosts`.
        height_temperature: see `HeightMapSettings`.
        shift_sd: see `OrderCosts`.
    """

    temperature: float
    outlier_probability: float
    height_temperature: float
    shift_sd: float = 0.0

    @property
    def costs(self) -> OrderCosts:
        """The settings of the ordered decoder for this network."""
        return OrderCosts(
            temperature=self.temperature, outlier_probability=self.outlier_probability, shift_sd=self.shift_sd
        )

    @property
    def heights(self) -> HeightMapSettings:
        """The settings of the maps that the network was trained on."""
        return replace(HeightMapSettings(), temperature=self.height_temperature)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextNamer:
    """Names bodies by `identify.order.decode` on logits that the context network has refined.

    Args:
        context: a map (1, 1, rows, columns) to logits of the same shape.
        heights: settings of the maps, as the network was trained.
        costs: the decoder's settings.
    """

    context: Network
    heights: HeightMapSettings
    costs: OrderCosts

    def __call__(self, evidence: BodyEvidence) -> Labelling[Level]:
        """Name the bodies.

        Raises:
            SettingError: the network returns another shape.
        """
        refined = refine_logits(evidence, self.context, self.heights)
        return decode(refined, evidence.scores, evidence.positions_mm, room_mm=evidence.room_mm, costs=self.costs)

    def name_chain(self, evidence: BodyEvidence | None, discs: Detections) -> Labellings:
        """Name bodies and discs as one chain.

        Raises:
            SettingError: the network returns another shape.
        """
        bodies = None
        if evidence is not None:
            bodies = evidence.to_detections(refine_logits(evidence, self.context, self.heights))
        return decode_chain(bodies, discs, costs=self.costs)


def open_context(networks: Mapping[str, LoadedNetwork]) -> Identify:
    """Open the method with the settings in the context network's card, and the detector's miss rates."""
    network = networks["context"]
    settings = read_settings(network.card, ContextSettings)
    misses = read_settings(networks["appearance"].card, AppearanceSettings).misses
    costs = replace(settings.costs, misses=misses)
    namer = ContextNamer(context=network.run, heights=settings.heights, costs=costs)
    return open_appearance(networks, namer, namer.name_chain)


def refine_logits(evidence: BodyEvidence, context: Network, heights: HeightMapSettings) -> Float:
    """Refine appearance logits with the context network, (n, columns).

    Raises:
        SettingError: the network returns another shape than its input's.
    """
    picture = height_map(evidence.logits, evidence.tops_mm, evidence.bottoms_mm, evidence.height_mm, heights)
    refined = context(picture[None, None])
    if refined.shape != (1, 1, *picture.shape):
        raise SettingError(f"the context network must return {(1, 1, *picture.shape)}, got {refined.shape}")
    return read_rows(refined[0, 0], (evidence.tops_mm + evidence.bottoms_mm) / 2)
