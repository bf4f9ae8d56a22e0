"""A U-Net that locates discs, the baseline of Look-Once (Azad et al. 2022, figure 1; Ronneberger et al. 2015).

It maps an image to heat maps at its own resolution, one for each disc and one for all posterior edges; the paper's has
11 channels and images of 256x256.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from spondyl.errors import SettingError
from spondyl.nets.disc_network import DiscNetwork, DiscPrediction, make_score

__all__ = ["COMPACT", "PAPER", "UNet", "UNetPreset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetPreset:
    """The settings of one size of the network.

    Args:
        widths: channels of each level of the encoder, from the full resolution down; the decoder has the same.
        channels: heat maps.

    Raises:
        SettingError: a number is below one.
    """

    widths: tuple[int, int, int, int, int]
    channels: int = 24

    def __post_init__(self) -> None:
        if min(*self.widths, self.channels) < 1:
            raise SettingError(f"every width of a U-Net preset must be at least 1, got {self}")


PAPER = UNetPreset(widths=(64, 128, 256, 512, 1024), channels=11)
COMPACT = UNetPreset(widths=(8, 16, 32, 64, 128))


def _convolve_twice(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class UNet(DiscNetwork):
    """The U-Net; maps (batch, 1, rows, columns) to (batch, channels, rows, columns).

    Args:
        preset: its size.
        extra: channels that a subclass adds to the input of the deepest level of the decoder.
    """

    def __init__(self, preset: UNetPreset, *, extra: int = 0) -> None:
        super().__init__()
        self.channels = preset.channels
        widths = preset.widths
        self.encoder = nn.ModuleList(
            _convolve_twice(above, width) for above, width in zip((1, *widths), widths, strict=False)
        )
        self.ups = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(below, width, 2, stride=2), nn.BatchNorm2d(width))
            for width, below in pairwise(widths)
        )
        deepest = len(widths) - 2
        self.decoder = nn.ModuleList(
            _convolve_twice(2 * width + extra * (level == deepest), width) for level, width in enumerate(widths[:-1])
        )
        self.score = make_score(widths[0], preset.channels)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Compute the features of each level, from the full resolution down."""
        features = []
        for level, layers in enumerate(self.encoder):
            x = layers(nnf.max_pool2d(x, 2) if level else x)
            features.append(x)
        return features

    def decode(self, features: list[Tensor], extra: Tensor | None = None) -> Tensor:
        """Compute the heat from the features; `extra` joins the deepest level of the decoder."""
        x = features[-1]
        for level in reversed(range(len(self.decoder))):
            joined = [self.ups[level](x), features[level]]
            if extra is not None and level == len(self.decoder) - 1:
                joined.append(extra)
            x = self.decoder[level](torch.cat(joined, 1))
        return self.to_heat(self.score(x))

    def predict(self, x: Tensor) -> DiscPrediction:
        """Compute the heat."""
        return DiscPrediction(heat=(self.decode(self.encode(x)),))
