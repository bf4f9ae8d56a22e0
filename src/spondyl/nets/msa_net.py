"""MSA-Net: a stacked hourglass with multi-scale Gaussian context attention (Mathematics 2025, 13(23), 3811).

After each hourglass, features at two scales are excited by how usual their channels are in this image, and a gate
chooses between the scales at each place. The heat is predicted from the features of all hourglasses together. For
training, features of the stem and of the last hourglass are the embeddings of the contrastive loss.

The paper prints neither widths nor layers. These follow its prose (section 3.1), the published program of HCA-Net, on
which it builds (a stacked hourglass of half width), and its count of 2.96 million parameters: `PAPER` has 2.91 million,
and 2.92 with the layers that project the embeddings in training. To come so near, each path of the attention has half
of the channels, the gate's kernel is 3x3, and each hourglass is followed by one more residual block. The constant c is
the width in g = exp(-z^2 / (2 c^2)), whichever equation the text calls it from.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spondyl.nets.disc_network import DiscPrediction, make_score
from spondyl.nets.hourglass import Bottleneck, Hourglass, HourglassPreset

__all__ = ["COMPACT", "PAPER", "GaussianContextAttention", "MsaNet", "MsaPreset", "excite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MsaPreset(HourglassPreset):
    """The settings of one size of the network.

    Args:
        has_attention: whether features are refined by attention; without it the network is the ablation's baseline.
    """

    has_attention: bool = True


PAPER = MsaPreset(stem_width=32, width=128, channels=11)
COMPACT = MsaPreset(stem_width=16, width=64)

DEVIATION = 1.0
"""The width c of the Gaussian, a standard one in the paper."""

_EPSILON = 1e-5


def excite(features: Tensor) -> Tensor:
    """Scale each channel by the Gaussian of its mean, normalised over the channels of an image (eq. 5 to 8).

    Args:
        features: (batch, channels, rows, columns).

    Returns:
        As given: a channel as active as the average keeps its values, unusual ones are damped.
    """
    means = features.mean((2, 3), keepdim=True)
    centred = means - means.mean(1, keepdim=True)
    squared = centred**2
    normalised = squared / (squared.mean(1, keepdim=True) + _EPSILON)
    return features * torch.exp(-normalised / (2 * DEVIATION**2))


class GaussianContextAttention(nn.Module):
    """Multi-scale Gaussian context attention (M-GCA): paths of 3x3 and 7x7, excited, mixed by a gate, and added.

    Args:
        width: channels of the features; each path has half as many.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.local_path = nn.Conv2d(width, half, 3, padding=1)
        self.wide_path = nn.Conv2d(width, half, 7, padding=3)
        self.gate = nn.Conv2d(2 * half, half, 3, padding=1)
        self.output = nn.Conv2d(half, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Refine features (batch, width, rows, columns)."""
        near, wide = self.local_path(x), self.wide_path(x)
        share = torch.sigmoid(self.gate(torch.cat([near, wide], 1)))
        result: Tensor = x + self.output(share * excite(near) + (1 - share) * excite(wide))
        return result


class MsaNet(Hourglass):
    """MSA-Net; maps (batch, 1, rows, columns) to (batch, channels, rows / 4, columns / 4).

    Args:
        preset: its size.
    """

    def __init__(self, preset: MsaPreset) -> None:
        self.has_attention = preset.has_attention
        super().__init__(preset)
        self.embedding_channels = 2 * preset.width
        del self.scores[-1]  # the head takes its place
        both = preset.width * preset.stacks
        self.head = nn.Sequential(
            nn.Conv2d(both, preset.width, 1), nn.ReLU(inplace=True), make_score(preset.width, preset.channels)
        )

    def _refinement(self, width: int) -> tuple[nn.Module, ...]:
        return (Bottleneck(width, width), GaussianContextAttention(width)) if self.has_attention else ()

    def predict(self, x: Tensor) -> DiscPrediction:
        """Compute the heat of every hourglass but the last, that of all together, and the embeddings."""
        features, scores = self.stages(x)
        final = self.head(torch.cat(features[1:], 1))
        embeddings = torch.cat([features[0], features[-1]], 1)
        return DiscPrediction(heat=tuple(self.to_heat(score) for score in (*scores, final)), embeddings=embeddings)
