"""Countception, a fully convolutional network of inception blocks that counts discs (Rouhier et al. 2020).

`PAPER` is the published program's network: the image is padded by its patch of 40 pixels, layers shrink it back to
its size, and one map shows all discs, which are named by their order from the top. It took images of 141x141 pixels in
which the cord was straightened and contrast equalised. `COMPACT` has a quarter of the resolution, and the channels of
the other networks: a map for each disc, and one for all posterior edges.

The published program ends with batch normalisation and a leaky ReLU, whose values have no bounds; both sizes end
with a sigmoid here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from spondyl.errors import SettingError
from spondyl.nets.disc_network import DiscNetwork, DiscPrediction, make_score

__all__ = ["COMPACT", "PAPER", "Countception", "CountceptionPreset"]

Convolution = tuple[int, int]
"""Kernel and channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountceptionPreset:
    """The settings of one size of the network.

    Args:
        blocks: convolutions of each block, which are parallel.
        patch: the convolutions that gather a patch, one after another.
        score_kernel, score_padding: of the last convolution.
        margin: zeros around the image, which the layers take away again; 0: each layer keeps the size.
        stride: 1, or 4: the image is halved at first and again in the middle of the blocks.
        channels: heat maps.

    Raises:
        SettingError: a number is below one.
    """

    blocks: tuple[tuple[Convolution, ...], ...]
    patch: tuple[Convolution, ...]
    score_kernel: int = 1
    score_padding: int = 0
    margin: int = 0
    stride: Literal[1, 4] = 4
    channels: int = 24

    def __post_init__(self) -> None:
        numbers = [number for block in (*self.blocks, self.patch) for convolution in block for number in convolution]
        if min(self.channels, self.score_kernel, *numbers) < 1:
            raise SettingError(f"every kernel and width of a Countception preset must be at least 1, got {self}")


def _inception(small: int, middle: int, large: int) -> tuple[Convolution, ...]:
    return (3, small), (5, middle), (9, large)


PAPER = CountceptionPreset(
    blocks=(
        ((3, 64),),
        _inception(16, 16, 16),
        _inception(16, 32, 32),
        ((14, 16),),
        _inception(112, 48, 48),
        _inception(64, 32, 32),
        _inception(40, 40, 40),
        _inception(32, 96, 96),
    ),
    patch=((20, 32), (10, 64), (9, 32)),
    score_kernel=20,
    score_padding=1,
    margin=40,
    stride=1,
    channels=1,
)
COMPACT = CountceptionPreset(
    blocks=(_inception(16, 8, 4), _inception(32, 16, 8), _inception(32, 16, 8), _inception(48, 24, 12)),
    patch=((7, 84),),
)


def _convolve(inputs: int, convolution: Convolution, padding: int) -> tuple[nn.Module, ...]:
    kernel, outputs = convolution
    return nn.Conv2d(inputs, outputs, kernel, padding=padding), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.01)


class _Block(nn.Module):
    """Parallel convolutions; where the image has a margin, all shrink it as much as the smallest."""

    def __init__(self, inputs: int, convolutions: tuple[Convolution, ...], *, keeps_size: bool) -> None:
        super().__init__()
        smallest = 1 if keeps_size else min(kernel for kernel, _ in convolutions)
        self.branches = nn.ModuleList(
            nn.Sequential(*_convolve(inputs, convolution, (convolution[0] - smallest) // 2))
            for convolution in convolutions
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Countception(DiscNetwork):
    """Countception; maps (batch, 1, rows, columns) to (batch, channels, rows / stride, columns / stride).

    Args:
        preset: its size.
    """

    def __init__(self, preset: CountceptionPreset) -> None:
        super().__init__()
        self.channels = preset.channels
        self.preset, keeps_size = preset, preset.margin == 0
        widths = (1, *(sum(width for _, width in block) for block in preset.blocks))
        self.blocks = nn.ModuleList(
            _Block(inputs, block, keeps_size=keeps_size) for inputs, block in zip(widths, preset.blocks, strict=False)
        )
        inputs = (widths[-1], *(width for _, width in preset.patch))
        self.patch = nn.Sequential(
            *(
                layer
                for width, convolution in zip(inputs, preset.patch, strict=False)
                for layer in _convolve(width, convolution, convolution[0] // 2 if keeps_size else 0)
            )
        )
        self.score = make_score(inputs[-1], preset.channels, kernel=preset.score_kernel, padding=preset.score_padding)

    def predict(self, x: Tensor) -> DiscPrediction:
        """Compute the heat."""
        is_reduced = self.preset.stride == 4
        x = nnf.avg_pool2d(x, 2) if is_reduced else nnf.pad(x, [self.preset.margin] * 4)
        for number, block in enumerate(self.blocks):
            x = block(x)
            if is_reduced and number == len(self.blocks) // 2 - 1:
                x = nnf.max_pool2d(x, 2)
        return DiscPrediction(heat=(self.to_heat(self.score(self.patch(x))),))
