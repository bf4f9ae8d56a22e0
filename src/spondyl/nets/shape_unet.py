"""The shape-attention U-Net of Look-Once (Azad et al. 2022, sections 2.1 and 2.2).

The image's gradient is a signal of shape. It recalibrates the features of all levels of the encoder, which are brought
to one resolution and summed, and the sum joins the deepest level of the decoder.

Where the paper is silent or contradicts itself: the shape signal is the magnitude of the Sobel gradient of the input,
scaled to [0, 1] in each image (figure 1 shows one; the published code lacks it); features join at an eighth of the
resolution, as in figure 1, that is 32x32 for the paper's 256x256; the layers W3 and W4 of the spatial weights are
either fully connected over all places, as figure 2 draws them, or 7x7 convolutions. Connected layers have a fixed
number of places: images of other sizes are brought to 32x32 for them and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from spondyl.nets.disc_network import DiscPrediction
from spondyl.nets.unet import UNet, UNetPreset

__all__ = ["COMPACT", "PAPER", "ShapeAttention", "ShapeUNet", "ShapeUNetPreset", "measure_gradient"]

_JOIN = 8
"""The features join at this fraction of the resolution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeUNetPreset(UNetPreset):
    """The settings of one size of the network.

    Args:
        shape_width: channels of the shape signal and of the recalibrated features.
        reduction: by which the channel weights' inner layer is narrower.
        spatial: how the spatial weights are computed.
        grid: rows and columns of the places that "connected" weights connect.
    """

    shape_width: int
    reduction: int
    spatial: Literal["connected", "convolved"] = "convolved"
    grid: int = 32


PAPER = ShapeUNetPreset(
    widths=(64, 128, 256, 512, 1024), channels=11, shape_width=512, reduction=16, spatial="connected"
)
COMPACT = ShapeUNetPreset(widths=(8, 16, 32, 64, 128), shape_width=32, reduction=4)


def measure_gradient(images: Tensor) -> Tensor:
    """Compute the magnitude of the Sobel gradient, scaled to [0, 1] in each image.

    Args:
        images: (batch, 1, rows, columns).
    """
    smooth, change = images.new_tensor([1.0, 2.0, 1.0]), images.new_tensor([-1.0, 0.0, 1.0])
    kernels = torch.stack([torch.outer(change, smooth), torch.outer(smooth, change)])[:, None]
    along = nnf.conv2d(nnf.pad(images, (1, 1, 1, 1), mode="replicate"), kernels)
    magnitude = (along.square().sum(1, keepdim=True) + 1e-12).sqrt()
    low, high = magnitude.amin((2, 3), keepdim=True), magnitude.amax((2, 3), keepdim=True)
    return (magnitude - low) / (high - low + 1e-6)


class ShapeAttention(nn.Module):
    """Equations 1 and 2: features of all levels, weighted by channel and by place, plus the shape, summed.

    Args:
        widths: channels of each level of the encoder, from the full resolution down.
        preset: sizes.
    """

    def __init__(self, widths: tuple[int, ...], preset: ShapeUNetPreset) -> None:
        super().__init__()
        width, inner = preset.shape_width, max(1, preset.shape_width // preset.reduction)
        self.shape_layers = nn.Sequential(
            *(_convolve(inputs, width, stride) for inputs, stride in ((1, 2), (width, 2), (width, 2), (width, 1)))
        )
        self.alignments = nn.ModuleList(nn.Conv2d(features, width, 1) for features in widths)
        self.channel_weights = nn.ModuleList(
            nn.Sequential(nn.Linear(width, inner), nn.ReLU(inplace=True), nn.Linear(inner, width)) for _ in widths
        )
        self.spatial_weights = (
            _ConnectedPlaces(preset.grid)
            if preset.spatial == "connected"
            else nn.Sequential(nn.Conv2d(1, 8, 7, padding=3), nn.ReLU(inplace=True), nn.Conv2d(8, 1, 7, padding=3))
        )
        self.level_weights = nn.Parameter(torch.ones(len(widths)))

    def forward(self, image: Tensor, features: list[Tensor]) -> Tensor:
        """Recalibrate the features (batch, width, rows / 2^level, columns / 2^level) of an image."""
        shape = self.shape_layers(measure_gradient(image))
        place = torch.sigmoid(self.spatial_weights(shape.mean(1, keepdim=True)))
        total = torch.zeros_like(shape)
        for level, maps in enumerate(features):
            aligned = self.alignments[level](_to_join(maps, level))
            weights = torch.sigmoid(self.channel_weights[level](aligned.mean((2, 3))))[:, :, None, None]
            total = total + self.level_weights[level] * (place * (weights * aligned) + shape)
        return torch.sigmoid(total)


class _ConnectedPlaces(nn.Module):
    """Two fully connected layers over all places of a map, which is brought to their grid and back."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.layers = nn.Sequential(nn.Linear(grid**2, grid**2), nn.ReLU(inplace=True), nn.Linear(grid**2, grid**2))

    def forward(self, x: Tensor) -> Tensor:
        weights = self.layers(nnf.adaptive_avg_pool2d(x, self.grid).flatten(1))
        return nnf.interpolate(weights.reshape(-1, 1, self.grid, self.grid), size=x.shape[2:], mode="bilinear")


def _convolve(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _to_join(maps: Tensor, level: int) -> Tensor:
    """Bring the maps of a level of the encoder to the resolution at which they join."""
    factor = 2**level
    if factor <= _JOIN:
        return nnf.avg_pool2d(maps, _JOIN // factor) if factor < _JOIN else maps
    return nnf.interpolate(maps, scale_factor=float(factor // _JOIN), mode="nearest")


class ShapeUNet(UNet):
    """The shape-attention U-Net; maps (batch, 1, rows, columns) to (batch, channels, rows, columns).

    Args:
        preset: its size.
    """

    def __init__(self, preset: ShapeUNetPreset) -> None:
        super().__init__(preset, extra=preset.shape_width)
        self.attention = ShapeAttention(preset.widths, preset)

    def predict(self, x: Tensor) -> DiscPrediction:
        """Compute the heat."""
        features = self.encode(x)
        return DiscPrediction(heat=(self.decode(features, self.attention(x, features)),))
