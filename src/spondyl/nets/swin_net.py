"""Swin-Net: a U-shaped network whose encoder attends within shifted windows (Liu et al. 2021; a baseline of MSA-Net).

The paper names it without describing it. The encoder is Swin-Tiny (patches of 4, windows of 7, widths of 96 * 2^i,
without the normalisation before patches are merged); here, the decoder of each level is one convolution of the
features beside it and those from below, and the input has one channel, not three. Windows that a shift wraps around
the border are not masked, and maps that windows do not divide are padded with zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from spondyl.errors import SettingError
from spondyl.nets.disc_network import DiscNetwork, DiscPrediction, make_score

__all__ = ["COMPACT", "PAPER", "SwinNet", "SwinPreset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwinPreset:
    """The settings of one size of the network.

    Args:
        width: channels at a quarter of the resolution; they double with every halving.
        blocks: blocks at each resolution, from a quarter down.
        head_width: channels of each head of attention.
        window: edge of a window, places.
        channels: heat maps.

    Raises:
        SettingError: a number is below one, or heads do not divide the width.
    """

    width: int
    blocks: tuple[int, ...]
    head_width: int = 32
    window: int = 7
    channels: int = 24

    def __post_init__(self) -> None:
        if (
            min(self.width, self.head_width, self.window, self.channels, *self.blocks) < 1
            or self.width % self.head_width
        ):
            raise SettingError(f"numbers of a Swin preset must be at least 1 and heads divide its width, got {self}")


PAPER = SwinPreset(width=96, blocks=(2, 2, 6, 2), channels=11)
COMPACT = SwinPreset(width=32, blocks=(2, 2, 2), head_width=16, window=4)


class _Block(nn.Module):
    """Attention within windows, and two layers on each place, both residual; every other block shifts its windows."""

    def __init__(self, width: int, preset: SwinPreset, *, is_shifted: bool) -> None:
        super().__init__()
        window = self.window = preset.window
        self.heads, self.shift = width // preset.head_width, window // 2 if is_shifted else 0
        self.before_attention, self.before_layers = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projection, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.layers = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.bias = nn.Parameter(torch.zeros(self.heads, (2 * window - 1) ** 2))
        places = list(product(range(window), repeat=2))
        self.steps = [
            (row - other_row + window - 1) * (2 * window - 1) + column - other_column + window - 1
            for (row, column), (other_row, other_column) in product(places, repeat=2)
        ]

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, rows, columns, width) to as much."""
        moved = torch.roll(self.before_attention(x), (-self.shift, -self.shift), (1, 2))
        x = x + torch.roll(self._attend(moved), (self.shift, self.shift), (1, 2))
        result: Tensor = x + self.layers(self.before_layers(x))
        return result

    def _attend(self, x: Tensor) -> Tensor:
        """Attend within windows; those that a shift wraps around the border see both sides."""
        window, shown_rows, shown_columns = self.window, x.shape[1], x.shape[2]
        x = nnf.pad(x, (0, 0, 0, -shown_columns % window, 0, -shown_rows % window))
        batch, rows, columns, width = x.shape
        tiled = x.reshape(batch, rows // window, window, columns // window, window, width)
        windows = tiled.permute(0, 1, 3, 2, 4, 5).reshape(-1, window * window, width)
        heads = self.projection(windows).reshape(-1, window * window, 3, self.heads, width // self.heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind()
        bias = self.bias[:, self.steps].reshape(self.heads, window**2, window**2)
        weights = torch.softmax(query @ key.transpose(2, 3) * (width // self.heads) ** -0.5 + bias, -1)
        mixed = self.output((weights @ value).transpose(1, 2).reshape(-1, window * window, width))
        back = mixed.reshape(batch, rows // window, columns // window, window, window, width)
        whole: Tensor = back.permute(0, 1, 3, 2, 4, 5).reshape(batch, rows, columns, width)
        return whole[:, :shown_rows, :shown_columns]


class _Stage(nn.Module):
    """The blocks of one resolution; maps (batch, width, rows, columns) to as much."""

    def __init__(self, width: int, preset: SwinPreset, count: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(width, preset, is_shifted=bool(number % 2)) for number in range(count))

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x)
        return x.permute(0, 3, 1, 2)


class SwinNet(DiscNetwork):
    """Swin-Net; maps (batch, 1, rows, columns) to (batch, channels, rows / 4, columns / 4).

    Args:
        preset: its size.
    """

    def __init__(self, preset: SwinPreset) -> None:
        super().__init__()
        self.channels = preset.channels
        widths = [preset.width * 2**level for level in range(len(preset.blocks))]
        self.patches = nn.Conv2d(1, preset.width, 4, stride=4)
        self.stages = nn.ModuleList(
            _Stage(width, preset, count) for width, count in zip(widths, preset.blocks, strict=True)
        )
        self.merges = nn.ModuleList(nn.Conv2d(above, below, 2, stride=2) for above, below in pairwise(widths))
        self.decoder = nn.ModuleList(
            nn.Sequential(nn.Conv2d(above + below, above, 3, padding=1), nn.BatchNorm2d(above), nn.ReLU(inplace=True))
            for above, below in pairwise(widths)
        )
        self.score = make_score(preset.width, preset.channels)

    def predict(self, x: Tensor) -> DiscPrediction:
        """Compute the heat."""
        x = self.patches(x)
        features = []
        for level, stage in enumerate(self.stages):
            x = stage(self.merges[level - 1](x) if level else x)
            features.append(x)
        for level in reversed(range(len(self.decoder))):
            risen = nnf.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.decoder[level](torch.cat([features[level], risen], 1))
        return DiscPrediction(heat=(self.to_heat(self.score(x)),))
