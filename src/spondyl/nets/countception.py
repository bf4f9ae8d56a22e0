"""Countception: a fully convolutional network of inception blocks that counts (Rouhier et al. 2020, for discs).

The published network has one output map, images of 141x141 after the cord was segmented and straightened, and a patch
of 40 pixels; here it takes the image as the other networks do and predicts the same channels, at half the resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from spondyl.errors import SettingError
from spondyl.nets.disc_network import DiscNetwork, DiscPrediction, make_score

__all__ = ["COMPACT", "PAPER", "Countception", "CountceptionPreset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountceptionPreset:
    """The settings of one size of the network.

    Args:
        blocks: channels of the 3x3, 5x5 and 9x9 branches of each block.
        channels: heat maps.

    Raises:
        SettingError: a number is below one.
    """

    blocks: tuple[tuple[int, int, int], ...]
    channels: int = 24

    def __post_init__(self) -> None:
        if min(self.channels, *(width for block in self.blocks for width in block)) < 1:
            raise SettingError(f"every width of a Countception preset must be at least 1, got {self}")


PAPER = CountceptionPreset(
    blocks=((16, 16, 16), (16, 32, 16), (112, 48, 48), (64, 32, 32), (40, 40, 40), (32, 96, 32)), channels=1
)
COMPACT = CountceptionPreset(blocks=((16, 8, 4), (32, 16, 8), (32, 16, 8), (48, 24, 12)))


class _Block(nn.Module):
    """Parallel convolutions of 3x3, 5x5 and 9x9."""

    def __init__(self, inputs: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, width, kernel, padding=kernel // 2),
                nn.BatchNorm2d(width),
                nn.LeakyReLU(0.01, inplace=True),
            )
            for width, kernel in zip(widths, (3, 5, 9), strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Countception(DiscNetwork):
    """Countception; maps (batch, 1, rows, columns) to (batch, channels, rows / 4, columns / 4).

    Args:
        preset: its size.
    """

    def __init__(self, preset: CountceptionPreset) -> None:
        super().__init__()
        widths = (1, *(sum(block) for block in preset.blocks))
        self.blocks = nn.ModuleList(_Block(inputs, block) for inputs, block in zip(widths, preset.blocks, strict=False))
        self.patch = nn.Sequential(
            nn.Conv2d(widths[-1], widths[-1], 7, padding=3), nn.BatchNorm2d(widths[-1]), nn.LeakyReLU(0.01)
        )
        self.score = make_score(widths[-1], preset.channels)

    def predict(self, x: Tensor) -> DiscPrediction:
        """Compute the heat."""
        x = nnf.avg_pool2d(x, 2)
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number == len(self.blocks) // 2 - 1:
                x = nnf.max_pool2d(x, 2)
        return DiscPrediction(heat=(torch.sigmoid(self.score(self.patch(x))),))
