"""The context network of SpineNetV2 (Windsor et al. 2022, section 3.2), which refines a map of levels over heights.

The input is an image of one row per millimetre of height and one column per level, each detection's level
probabilities spread over the rows that it spans; the output is a map of logits of the same shape. The network is a
U-Net along the height: every pooling and resizing acts on rows alone, so any number of columns fits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spondyl.errors import SettingError

__all__ = ["STRIDE", "Context"]

STRIDE = 16  # four halvings of the height
_DOWN = (16, 32, 64, 128)


class Context(nn.Module):
    """The network, 510,337 parameters; names are those of the published checkpoint.

    Every convolution but the last is followed by ReLU, then batch normalisation; skips carry the pooled maps.
    """

    def __init__(self) -> None:
        super().__init__()
        for index, (inputs, outputs) in enumerate(zip((1, *_DOWN[:-1]), _DOWN, strict=True), start=1):
            self.add_module(f"conv{index}", _tall_conv(inputs, outputs))
            self.add_module(f"bnrm{index}", nn.BatchNorm2d(outputs))
        self.conv_mid = nn.Conv2d(128, 128, 3, padding=1)
        self.bnrm_mid = nn.BatchNorm2d(128)
        for index, (inputs, outputs) in enumerate(((128, 64), (128, 32), (64, 16)), start=5):
            self.add_module(f"conv{index}", _tall_conv(inputs, outputs))
            self.add_module(f"bnrm{index}", nn.BatchNorm2d(outputs))
        self.conv8 = _tall_conv(16, 1)

    def forward(self, map_b1hl: Tensor) -> Tensor:
        """Compute the logits of every level at every height.

        Args:
            map_b1hl: (B, 1, H, L), H heights in mm (a multiple of 16) and L levels.

        Returns:
            (B, 1, H, L), not normalised.

        Raises:
            SettingError: the height is no multiple of 16.
        """
        if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]  # torch's own export lacks both
            _check_input(map_b1hl)
        pooled = [map_b1hl]
        for index in range(1, 5):
            pooled.append(nn.functional.max_pool2d(self._layer(index, pooled[-1]), (2, 1)))
        x = self._layer("_mid", pooled[4])
        x = torch.cat((self._layer(5, _taller(x)), pooled[3]), dim=1)
        x = torch.cat((self._layer(6, _taller(x)), pooled[2]), dim=1)
        x = self._layer(7, _taller(x))
        out: Tensor = self.conv8(_taller(x))
        return out

    def _layer(self, name: int | str, x: Tensor) -> Tensor:
        out: Tensor = self.get_submodule(f"bnrm{name}")(self.get_submodule(f"conv{name}")(x).relu_())
        return out


def _tall_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """Make a convolution of 5 rows by 3 columns that takes every second row, over nine millimetres of height."""
    return nn.Conv2d(inputs, outputs, (5, 3), padding=(4, 1), dilation=(2, 1))


def _taller(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=(2.0, 1.0), mode="bilinear", align_corners=False)


def _check_input(map_b1hl: Tensor) -> None:
    shape = tuple(map_b1hl.shape)
    if len(shape) != 4 or shape[1] != 1 or shape[2] % STRIDE:
        raise SettingError(f"a height map must be (B, 1, H, L) with H a multiple of {STRIDE}, got {shape}")
