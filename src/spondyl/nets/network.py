"""Networks that are ready to run, with the cards that describe them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spondyl.errors import WeightsError
from spondyl.nets.cards import Card
from spondyl.types import Float32

__all__ = ["LoadedNetwork", "Network"]

Network = Callable[[Float32], Float32]
"""A network on any engine: it maps a batch (n, channels, ...) to its output; axes as documented in its module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedNetwork:
    """A network with its weights.

    Args:
        card: of the weights.
        run: the network.
    """

    card: Card
    run: Network

    def require_preset(self, preset: str) -> LoadedNetwork:
        """Return the network itself if it has the preset.

        Raises:
            WeightsError: it has another one.
        """
        if self.card.preset != preset:
            raise WeightsError(
                f"this method needs a network of preset {preset!r}, and {self.card.name!r} has {self.card.preset!r}"
            )
        return self
