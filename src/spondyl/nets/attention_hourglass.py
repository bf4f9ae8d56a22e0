"""The stacked hourglass with attention (the second network of Azad et al. 2021, for discs by pose estimation).

The features of all hourglasses give one weight for each place, which scales the features of the last one before its
heat is predicted.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from spondyl.nets.disc_network import DiscPrediction
from spondyl.nets.hourglass import Hourglass, HourglassPreset

__all__ = ["AttentionHourglass"]


class AttentionHourglass(Hourglass):
    """The network; maps (batch, 1, rows, columns) to (batch, channels, rows / 4, columns / 4).

    Args:
        preset: its size.
    """

    def __init__(self, preset: HourglassPreset) -> None:
        super().__init__(preset)
        widths = (preset.width * preset.stacks, preset.width // 2, preset.width // 16, preset.width // 32)
        layers = [(nn.Conv2d(inputs, outputs, 1), nn.ReLU(inplace=True)) for inputs, outputs in pairwise(widths)]
        self.attention = nn.Sequential(
            *(layer for pair in layers for layer in pair), nn.Conv2d(widths[-1], 1, 1), nn.Sigmoid()
        )

    def predict(self, x: Tensor) -> DiscPrediction:
        """Compute the heat of every hourglass, that of the last from its weighted features."""
        features, scores = self.stages(x)
        final = self.scores[-1](features[-1] * self.attention(torch.cat(features[1:], 1)))
        return DiscPrediction(heat=tuple(self.to_heat(score) for score in (*scores[:-1], final)))
