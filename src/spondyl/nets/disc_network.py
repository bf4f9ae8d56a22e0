"""The contract of the networks that locate discs.

Each maps images (batch, 1, rows, columns) to heat maps in [0, 1]: one for each disc of a regular spine, C2/C3 to L5/S1,
and one for all posterior edges. The sizes named PAPER have the papers' 11 maps, C2/C3 and the discs below it, and
one input channel where the papers repeat the image in three.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

__all__ = ["DiscNetwork", "DiscPrediction", "make_score"]

_FIRST_SCORE = -4.0


class DiscPrediction(NamedTuple):
    """The output of a disc network for training.

    Args:
        heat: maps (batch, channels, rows, columns) of every stage in [0, 1]; the last is the result.
        embeddings: (batch, dimensions, rows, columns) for the contrastive loss; None where the network has none.
    """

    heat: tuple[Tensor, ...]
    embeddings: Tensor | None = None


class DiscNetwork(nn.Module, ABC):
    """A network that locates discs.

    Attributes:
        embedding_channels: dimensions of its embeddings; 0 where it has none.
    """

    embedding_channels = 0

    @abstractmethod
    def predict(self, x: Tensor) -> DiscPrediction:
        """Compute all that training looks at."""

    def forward(self, x: Tensor) -> Tensor:
        """Compute the heat in [0, 1]."""
        return self.predict(x).heat[-1]


def make_score(inputs: int, channels: int, *, kernel: int = 1, padding: int = 0) -> nn.Conv2d:
    """Make the layer before the sigmoid, which predicts little heat at first: nearly all of an image has none."""
    layer = nn.Conv2d(inputs, channels, kernel, padding=padding)
    nn.init.constant_(layer.bias, _FIRST_SCORE)  # type: ignore[arg-type]  # it has a bias
    return layer
