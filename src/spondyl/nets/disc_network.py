"""The contract of the networks that locate discs.

Each maps images (batch, 1, rows, columns) to heat maps in [0, 1]: one for each disc of a regular spine, C2/C3 to L5/S1,
and one for all posterior edges. The sizes named PAPER have the papers' 11 maps, C2/C3 and the discs below it, and
one input channel where the papers repeat the image in three.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["HEAT_MAPS", "DiscNetwork", "DiscPrediction", "count_scores", "make_score"]

HEAT_MAPS = 24
"""The number of maps of this project's own sizes: 23 discs, and all posterior edges."""

_FIRST_SCORE = -4.0
"""The first score of heat: nearly all of an image has none."""


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
        channels: number of heat maps.
        embedding_channels: dimensions of its embeddings; 0 where it has none.
    """

    channels = HEAT_MAPS
    embedding_channels = 0

    @abstractmethod
    def predict(self, x: Tensor) -> DiscPrediction:
        """Compute all that training looks at."""

    def forward(self, x: Tensor) -> Tensor:
        """Compute the heat in [0, 1]."""
        return self.predict(x).heat[-1]

    def to_heat(self, scores: Tensor) -> Tensor:
        """Compute heat (batch, channels, rows, columns) in [0, 1] from scores.

        With the papers' channels, each has a sigmoid of its own. With this project's, scores are of any disc, of a
        posterior edge, and of each disc's name: a disc's heat is that of any disc times the probability of its name. So
        a network learns at once where discs are, and their names, which many views leave open, afterwards.

        Args:
            scores: (batch, `count_scores`, rows, columns).
        """
        if self.channels != HEAT_MAPS:
            return torch.sigmoid(scores)
        disc, edge = torch.sigmoid(scores[:, :1]), torch.sigmoid(scores[:, 1:2])
        return torch.cat([disc * torch.softmax(scores[:, 2:], 1), edge], 1)


def count_scores(channels: int) -> int:
    """Count the scores from which a number of heat maps is computed."""
    return channels + 1 if channels == HEAT_MAPS else channels


def make_score(inputs: int, channels: int, *, kernel: int = 1, padding: int = 0) -> nn.Conv2d:
    """Make the layer that computes the scores of some heat maps, which has little heat at first."""
    layer = nn.Conv2d(inputs, count_scores(channels), kernel, padding=padding)
    with torch.no_grad():
        layer.bias[: 2 if channels == HEAT_MAPS else channels] = _FIRST_SCORE  # type: ignore[index]  # it has a bias
    return layer
