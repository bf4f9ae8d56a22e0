"""HCA-Net: a stacked hourglass with attention from large kernels at several scales (Bozorgpour et al. 2023).

Its features are refined by depthwise convolutions of 3, 5 and 7 with growing dilation, and after the first hourglass
the joints that it predicts are drawn again as Gaussians and modulate the second. The published program draws the joints
from five random samples of the heat; here they are the heat's mean place, so that the same scan gives the same result.
Its layers that bring the heat to the image's resolution, and the terms of its loss for distances between joints, are
left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spondyl.nets.hourglass import Hourglass, HourglassPreset

__all__ = ["COMPACT", "PAPER", "HcaNet", "LargeKernelAttention", "redraw"]

PAPER = HourglassPreset(stem_width=32, width=128, channels=11)
COMPACT = HourglassPreset(stem_width=16, width=64)

_MIN_HEAT = 0.1
"""A channel with less heat shows no joint."""

_VARIANCE = 0.625
"""Variance of a redrawn joint in pixels of the heat maps: 10 in the image's own."""


class LargeKernelAttention(nn.Module):
    """Attention of a large receptive field: a depthwise 5x5, then 3x3, 5x5 and 7x7 with dilations of 1, 2 and 3.

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.Conv2d(width, width, 1), nn.GELU())
        self.near = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.far = nn.ModuleList(
            nn.Conv2d(width, width, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=width)
            for kernel, dilation in ((3, 1), (5, 2), (7, 3))
        )
        self.mix = nn.Conv2d(3 * width, width, 1)
        self.after = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Refine features (batch, width, rows, columns)."""
        inner = self.before(x)
        near = self.near(inner)
        weights = self.mix(torch.cat([far(near) for far in self.far], 1))
        result: Tensor = x + self.after(inner * weights)
        return result


def redraw(heat: Tensor) -> Tensor:
    """Draw each channel of heat again as a Gaussian at its mean place, nothing where the heat is low.

    Args:
        heat: (batch, channels, rows, columns) in [0, 1].

    Returns:
        (batch, 1, rows, columns), the highest of all channels.
    """
    rows = torch.arange(heat.shape[2], dtype=heat.dtype, device=heat.device)[:, None]
    columns = torch.arange(heat.shape[3], dtype=heat.dtype, device=heat.device)
    weights = heat**4  # about the peak alone
    total = weights.sum((2, 3), keepdim=True) + 1e-6
    row, column = ((weights * axis).sum((2, 3), keepdim=True) / total for axis in (rows, columns))
    drawn = torch.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * _VARIANCE))
    is_shown = heat.amax((2, 3), keepdim=True) > _MIN_HEAT
    return (drawn * is_shown).amax(1, keepdim=True)


class HcaNet(Hourglass):
    """HCA-Net; maps (batch, 1, rows, columns) to (batch, channels, rows / 4, columns / 4).

    Args:
        preset: its size.
    """

    def __init__(self, preset: HourglassPreset) -> None:
        super().__init__(preset)
        self.modulation = nn.Conv2d(1, preset.width, 7, padding=3)

    def _refinement(self, width: int) -> tuple[nn.Module, ...]:
        return (LargeKernelAttention(width),)

    def _hand_on(self, x: Tensor, number: int, features: Tensor, score: Tensor) -> Tensor:
        joints = redraw(self.to_heat(score)[:, :-1])
        return super()._hand_on(x, number, features, score) * (1 + torch.sigmoid(self.modulation(joints)))
