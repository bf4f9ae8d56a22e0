"""The vector-field regression network of SpineNetV2 (Windsor et al. 2022, section 3.1), a U-Net with a ResNet encoder.

It maps a sagittal slice to 13 maps at the same resolution. The channels are those of the published weights:
0-3 corner heat maps (rt, rb, lb, lt), 4 centroid heat map, 5-8 the x and 9-12 the y components of the arrows
that lead from each corner to its centroid. The output is linear.

The paper's text names a ResNet-18 encoder in section 4.2, its architecture section and its weights a ResNet-50;
`SPINENET` is the latter (139.4 M parameters), `COMPACT` the former at half width, for two CPU cores
(4.0 M parameters, 1.29 GMAC for a slice of 256x256).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from spondyl.errors import SettingError

__all__ = ["COMPACT", "OUTPUT_CHANNELS", "SPINENET", "STRIDE", "Vfr", "VfrPreset"]

OUTPUT_CHANNELS = 13
STRIDE = 32  # the encoder halves five times, so both edges of a slice must be multiples of this

Five = tuple[int, int, int, int, int]
Four = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class VfrPreset:
    """The settings of one size of the network.

    Args:
        block: residual block; "bottleneck" widens its output four times.
        blocks: residual blocks in each of the four encoder stages, at 1/4, 1/8, 1/16 and 1/32 of the resolution.
        widths: inner channels of the blocks of each stage.
        stem_width: channels of the 7x7 stride-2 convolution.
        bridge_convs: 3x3 convolutions at 1/32.
        decoder_widths: channels of the up blocks at 1/16, 1/8, 1/4, 1/2 and 1/1.
        decoder_convs: 3x3 convolutions of each up block, 1 or 2.

    Raises:
        SettingError: a count or width below one, or an up block with other than 1 or 2 convolutions.
    """

    block: Literal["basic", "bottleneck"]
    blocks: Four
    widths: Four
    stem_width: int
    bridge_convs: int
    decoder_widths: Five
    decoder_convs: Five

    def __post_init__(self) -> None:
        counts = (*self.blocks, *self.widths, self.stem_width, self.bridge_convs, *self.decoder_widths)
        if min(counts) < 1:
            raise SettingError(f"every width and count of a VFR preset must be at least 1, got {self}")
        if not set(self.decoder_convs) <= {1, 2}:
            raise SettingError(f"decoder_convs must be 1 or 2 for each up block, got {self.decoder_convs}")


SPINENET = VfrPreset(
    block="bottleneck",
    blocks=(3, 4, 6, 3),
    widths=(64, 128, 256, 512),
    stem_width=64,
    bridge_convs=2,
    decoder_widths=(1024, 512, 256, 128, 64),
    decoder_convs=(2, 2, 2, 2, 2),
)

COMPACT = VfrPreset(
    block="basic",
    blocks=(2, 2, 2, 2),
    widths=(32, 64, 128, 256),
    stem_width=32,
    bridge_convs=1,
    decoder_widths=(128, 64, 32, 16, 16),
    decoder_convs=(2, 2, 2, 2, 1),
)


class Vfr(nn.Module):
    """The network; parameter names are those of the published checkpoint.

    Args:
        preset: its size, `SPINENET` (139,421,581 parameters) or `COMPACT`.
    """

    def __init__(self, preset: VfrPreset = COMPACT) -> None:
        super().__init__()
        self.preset = preset
        self.input_block = nn.Sequential(
            nn.Conv2d(1, preset.stem_width, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(preset.stem_width),
            nn.ReLU(inplace=True),
        )
        self.input_pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.down_blocks, skips = _encoder(preset)
        self.bridge = _Bridge(skips[-1], preset.bridge_convs)
        inputs = (skips[-1], *preset.decoder_widths[:-1])
        self.up_blocks = nn.ModuleList(
            _UpBlock(narrow, skip, width, convs)
            for narrow, skip, width, convs in zip(
                inputs, skips[-2::-1], preset.decoder_widths, preset.decoder_convs, strict=True
            )
        )
        self.out = nn.Conv2d(preset.decoder_widths[-1], OUTPUT_CHANNELS, 1)

    def forward(self, slices_b1hw: Tensor) -> Tensor:
        """Regress the 13 maps of each slice.

        Args:
            slices_b1hw: (B, 1, H, W) float, H and W multiples of 32; intensities as the recipe normalises them.

        Returns:
            (B, 13, H, W), linear; channels as listed above.

        Raises:
            SettingError: the number of channels is not 1, or an edge is no multiple of 32.
        """
        if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]  # torch's own export lacks both
            _check_input(slices_b1hw)
        skips = [slices_b1hw, self.input_block(slices_b1hw)]
        x = self.input_pool(skips[-1])
        for stage in self.down_blocks:
            x = stage(x)
            skips.append(x)
        x = self.bridge(skips.pop())
        for block in self.up_blocks:
            x = block(x, skips.pop())
        out: Tensor = self.out(x)
        return out


def _check_input(slices_b1hw: Tensor) -> None:
    shape = tuple(slices_b1hw.shape)
    if len(shape) != 4 or shape[1] != 1 or shape[2] % STRIDE or shape[3] % STRIDE:
        raise SettingError(f"slices must be (B, 1, H, W) with H and W multiples of {STRIDE}, got {shape}")


def _encoder(preset: VfrPreset) -> tuple[nn.ModuleList, tuple[int, ...]]:
    """Build the four residual stages, and list the channels of every skip from full resolution to 1/32."""
    block = _Bottleneck if preset.block == "bottleneck" else _BasicBlock
    stages, channels = [], [1, preset.stem_width]
    for index, (count, width) in enumerate(zip(preset.blocks, preset.widths, strict=True)):
        layers: list[nn.Module] = [block(channels[-1], width, 1 if index == 0 else 2)]
        channels.append(width * block.expansion)
        layers += [block(channels[-1], width, 1) for _ in range(count - 1)]
        stages.append(nn.Sequential(*layers))
    return nn.ModuleList(stages), tuple(channels)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (He et al. 2016, figure 5 left)."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x)).relu_()
        x = self.bn2(self.conv2(x))
        return (x + shortcut).relu_()


class _Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a shortcut; the stride sits in the 3x3 as the published weights were trained."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x)).relu_()
        x = self.bn2(self.conv2(x)).relu_()
        x = self.bn3(self.conv3(x))
        return (x + shortcut).relu_()


class _ConvBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        # The bias has no effect before batch normalisation, but the published checkpoint has it.
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn(self.conv(x)).relu_()
        return out


class _Bridge(nn.Module):
    def __init__(self, width: int, convs: int) -> None:
        super().__init__()
        self.bridge = nn.Sequential(*(_ConvBlock(width, width) for _ in range(convs)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bridge(x)
        return out


class _UpBlock(nn.Module):
    """Doubles the resolution, joins the skip and convolves once or twice."""

    def __init__(self, inputs: int, skip: int, outputs: int, convs: int) -> None:
        super().__init__()
        self.upsample = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), nn.Conv2d(inputs, outputs, 1)
        )
        self.conv_block_1 = _ConvBlock(outputs + skip, outputs)
        self.conv_block_2 = _ConvBlock(outputs, outputs) if convs == 2 else nn.Identity()

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        # A 1x1 convolution and bilinear interpolation commute (the weights sum to one, so the bias passes too):
        # convolving first costs a quarter.
        resize, convolve = self.upsample
        x = torch.cat((resize(convolve(x)), skip), dim=1)
        out: Tensor = self.conv_block_2(self.conv_block_1(x))
        return out
