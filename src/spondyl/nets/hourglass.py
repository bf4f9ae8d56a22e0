"""The stacked hourglass that locates discs by pose estimation (Azad et al. 2021), a baseline of Look-Once and MSA-Net.

It maps an image to heat maps at a quarter of its resolution, one for each disc and one for all posterior edges. Two
hourglasses follow each other; the second gets the features and the heat of the first. The paper upsamples the heat to
the image's resolution, which adds nothing that interpolating a peak does not. Its scores have no bounds; here, they
pass a sigmoid, as in Look-Once and MSA-Net. Blocks and their number are those of the published program: one block for
each place, biases everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as nnf

from spondyl.errors import SettingError
from spondyl.nets.disc_network import DiscNetwork, DiscPrediction, count_scores, make_score

__all__ = [
    "COMPACT",
    "PAPER",
    "Bottleneck",
    "Hourglass",
    "HourglassPreset",
    "make_stem",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class HourglassPreset:
    """The settings of one size of the network.

    Args:
        stem_width: channels of the 7x7 stride-2 convolution.
        width: channels of the features.
        stacks: number of hourglasses.
        depth: halvings in each.
        channels: heat maps.

    Raises:
        SettingError: a number is below one, or a width is odd.
    """

    stem_width: int
    width: int
    stacks: int = 2
    depth: int = 4
    channels: int = 24

    def __post_init__(self) -> None:
        if min(self.stem_width, self.width, self.stacks, self.depth, self.channels) < 1 or self.width % 2:
            raise SettingError(f"numbers of an hourglass preset must be at least 1 and its width even, got {self}")


PAPER = HourglassPreset(stem_width=64, width=256, channels=11)
COMPACT = HourglassPreset(stem_width=16, width=64)


class Bottleneck(nn.Module):
    """A residual block of three convolutions, normalised before each (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        inner = outputs // 2
        self.layers = nn.Sequential(
            *_normalised(nn.Conv2d(inputs, inner, 1)),
            *_normalised(nn.Conv2d(inner, inner, 3, padding=1)),
            *_normalised(nn.Conv2d(inner, outputs, 1)),
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, rows, columns) to as many outputs."""
        result: Tensor = self.layers(x) + self.shortcut(x)
        return result


def _normalised(convolution: nn.Conv2d) -> tuple[nn.Module, ...]:
    return nn.BatchNorm2d(convolution.in_channels), nn.ReLU(inplace=True), convolution


class _Level(nn.Module):
    """One halving of an hourglass with all that lies below it."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.beside, self.above, self.below = (Bottleneck(width, width) for _ in range(3))
        self.inner = _Level(width, depth - 1) if depth > 1 else Bottleneck(width, width)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.below(self.inner(self.above(nnf.max_pool2d(x, 2))))
        result: Tensor = self.beside(x) + nnf.interpolate(inner, scale_factor=2.0, mode="nearest")
        return result


def make_stem(preset: HourglassPreset) -> nn.Sequential:
    """Make the layers that bring an image of one channel to features at a quarter of its resolution."""
    return nn.Sequential(
        nn.Conv2d(1, preset.stem_width, 7, stride=2, padding=3),
        nn.BatchNorm2d(preset.stem_width),
        nn.ReLU(inplace=True),
        Bottleneck(preset.stem_width, preset.width // 2),
        nn.MaxPool2d(2),
        Bottleneck(preset.width // 2, preset.width // 2),
        Bottleneck(preset.width // 2, preset.width),
    )


class Hourglass(DiscNetwork):
    """The stacked hourglass; maps (batch, 1, rows, columns) to (batch, channels, rows / 4, columns / 4).

    Args:
        preset: its size.
    """

    def __init__(self, preset: HourglassPreset) -> None:
        super().__init__()
        self.channels = preset.channels
        width, stacks = preset.width, range(preset.stacks)
        self.stem = make_stem(preset)
        self.hourglasses = nn.ModuleList(
            nn.Sequential(_Level(width, preset.depth), Bottleneck(width, width), *self._refinement(width))
            for _ in stacks
        )
        self.feature_layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)) for _ in stacks
        )
        self.scores = nn.ModuleList(make_score(width, preset.channels) for _ in stacks)
        self.feature_returns = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in stacks[1:])
        self.score_returns = nn.ModuleList(nn.Conv2d(count_scores(preset.channels), width, 1) for _ in stacks[1:])

    def _refinement(self, width: int) -> tuple[nn.Module, ...]:
        """Make the layers that refine the features of each hourglass; a plain one has none."""
        return ()

    def stages(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Compute the features, of the stem and of each hourglass, and the scores, before the sigmoid."""
        x = self.stem(x)
        features, scores = [x], []
        for number, hourglass in enumerate(self.hourglasses):
            features.append(self.feature_layers[number](hourglass(x)))
            if number < len(self.scores):
                scores.append(self.scores[number](features[-1]))
            if number < len(self.feature_returns):
                x = self._hand_on(x, number, features[-1], scores[-1])
        return features, scores

    def _hand_on(self, x: Tensor, number: int, features: Tensor, score: Tensor) -> Tensor:
        """Compute the input of the next hourglass."""
        handed: Tensor = x + self.feature_returns[number](features) + self.score_returns[number](score)
        return handed

    def predict(self, x: Tensor) -> DiscPrediction:
        """Compute the heat of every hourglass."""
        return DiscPrediction(heat=tuple(self.to_heat(score) for score in self.stages(x)[1]))
