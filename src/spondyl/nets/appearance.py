"""The appearance network of SpineNetV2 (Windsor et al. 2022, section 3.2), from a crop to level logits.

Axes of a crop are (H, W, S): rows, columns and sagittal slices, slices last as in the published weights. With those
weights class 0 is S1, 1 is L5 and so on up to 23, C2. Every convolution is followed by ReLU, then batch normalisation
(in this order), then pooling. The paper says "VGG-F" and 23 classes; the published network has the five layers
below and 24 classes, as in `SPINENET`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spondyl.errors import SettingError

__all__ = ["COMPACT", "LAYERS", "LEVEL_CLASSES", "SPINENET", "Appearance", "AppearancePreset", "ConvLayer"]

LEVEL_CLASSES = 24
LAYERS = 5

Triple = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvLayer:
    """One 3-D convolution, (H, W, S) each, and the max pooling after it (window and stride alike)."""

    channels: int
    kernel: Triple = (3, 3, 3)
    stride: Triple = (1, 1, 1)
    padding: Triple = (0, 0, 0)
    pool: Triple = (1, 1, 1)

    def size_after(self, size: Triple) -> Triple:
        """Compute the (H, W, S) of the output for an input of `size`."""
        h, w, s = (
            ((n + 2 * p - k) // t + 1) // q
            for n, p, k, t, q in zip(size, self.padding, self.kernel, self.stride, self.pool, strict=True)
        )
        return h, w, s


@dataclass(frozen=True, slots=True, kw_only=True)
class AppearancePreset:
    """The settings of one size of the network.

    Args:
        crop: (H, W, S) of the input.
        layers: the five convolutions.
        features: width of the hidden fully connected layer.
        classes: number of logits.
        dropout: probability before each fully connected layer.

    Raises:
        SettingError: there are not five layers, or they reduce the crop to nothing.
    """

    crop: Triple
    layers: tuple[ConvLayer, ...]
    features: int = 256
    classes: int = LEVEL_CLASSES
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if len(self.layers) != LAYERS:
            raise SettingError(f"an appearance preset has {LAYERS} layers, got {len(self.layers)}")
        if min(self.final_size()) < 1:
            raise SettingError(f"a crop of {self.crop} is too small for the layers: {self.final_size()} remains")

    def final_size(self) -> Triple:
        """Compute the (H, W, S) of the last feature map."""
        size = self.crop
        for layer in self.layers:
            size = layer.size_after(size)
        return size


SPINENET = AppearancePreset(
    crop=(224, 224, 16),
    layers=(
        ConvLayer(channels=8, kernel=(3, 3, 1), stride=(2, 2, 1), padding=(3, 3, 0)),
        ConvLayer(channels=16, kernel=(3, 3, 1), padding=(3, 3, 0), pool=(2, 2, 1)),
        ConvLayer(channels=32, pool=(2, 2, 1)),
        ConvLayer(channels=64, pool=(2, 2, 2)),
        ConvLayer(channels=128, pool=(2, 2, 2)),
    ),
)

COMPACT = AppearancePreset(
    crop=(64, 64, 8),
    layers=(
        ConvLayer(channels=16, kernel=(3, 3, 1), stride=(2, 2, 1), padding=(1, 1, 0)),
        ConvLayer(channels=32, kernel=(3, 3, 1), padding=(1, 1, 0), pool=(2, 2, 1)),
        ConvLayer(channels=64, padding=(1, 1, 1), pool=(2, 2, 2)),
        ConvLayer(channels=96, padding=(1, 1, 1), pool=(2, 2, 2)),
        ConvLayer(channels=128, padding=(1, 1, 1)),
    ),
)


class Appearance(nn.Module):
    """The network; parameter names are those of the published checkpoint.

    Args:
        preset: its size, `SPINENET` (1,937,096 parameters) or `COMPACT` (1.6 M, 0.2 GMAC a crop).
    """

    def __init__(self, preset: AppearancePreset = COMPACT) -> None:
        super().__init__()
        self.preset = preset
        inputs = 1
        for index, layer in enumerate(preset.layers, start=1):
            conv = nn.Conv3d(inputs, layer.channels, layer.kernel, layer.stride, layer.padding)
            self.add_module(f"conv{index}", conv)
            self.add_module(f"bnrm{index}", nn.BatchNorm3d(layer.channels))
            inputs = layer.channels
        h, w, s = preset.final_size()
        self.dropout = nn.Dropout(preset.dropout)
        self.fc1 = nn.Linear(inputs * h * w * s, preset.features)
        self.fc2 = nn.Linear(preset.features, preset.classes)

    def forward(self, crops_b1hws: Tensor) -> Tensor:
        """Compute the level logits of each crop.

        Args:
            crops_b1hws: (B, 1, H, W, S) of the preset's crop size; intensities as the recipe normalises them.

        Returns:
            (B, classes), not normalised.

        Raises:
            SettingError: a crop of another size.
        """
        logits: Tensor = self.fc2(self.dropout(self.features(crops_b1hws)))
        return logits

    def features(self, crops_b1hws: Tensor) -> Tensor:
        """Compute the hidden layer, (B, features), not negative, as input for sequence models of levels."""
        if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]  # torch's own export lacks both
            self._check_input(crops_b1hws)
        x = crops_b1hws
        for index, layer in enumerate(self.preset.layers, start=1):
            x = self.get_submodule(f"conv{index}")(x).relu_()
            x = self.get_submodule(f"bnrm{index}")(x)
            if layer.pool != (1, 1, 1):
                x = nn.functional.max_pool3d(x, layer.pool)
        hidden: Tensor = self.fc1(self.dropout(x.flatten(1)))
        return hidden.relu()

    def _check_input(self, crops_b1hws: Tensor) -> None:
        shape = tuple(crops_b1hws.shape)
        if len(shape) != 5 or shape[1:] != (1, *self.preset.crop):
            raise SettingError(f"crops must be (B, 1, H, W, S) with (H, W, S) {self.preset.crop}, got {shape}")
