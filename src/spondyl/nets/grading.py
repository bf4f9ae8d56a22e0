"""The grading network of SpineNetV2 (Windsor et al. 2022, section 3.3), with eleven radiological gradings of a disc.

A 3-D ResNet-34 with one head per grading. The published network differs from the paper's text in three ways,
and `SPINENET` follows the network: kernels are 3x3x3 throughout, the second stage keeps the resolution, heads are
single linear layers ("mlp" gives the paper's two).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from spondyl.errors import SettingError

__all__ = ["SPINENET", "SPINENET_HEADS", "Grading", "GradingHead", "GradingPreset", "split_gradings"]

Four = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class GradingHead:
    """A grading: its name, its abbreviation in the checkpoint and its number of classes."""

    name: str
    key: str
    classes: int


SPINENET_HEADS = tuple(
    GradingHead(name=name, key=key, classes=classes)
    for name, key, classes in (
        ("pfirrmann", "pf", 5),
        ("disc_narrowing", "nar", 4),
        ("central_canal_stenosis", "ccs", 4),
        ("spondylolisthesis", "spn", 3),
        ("upper_endplate_defect", "ued", 2),
        ("lower_endplate_defect", "led", 2),
        ("upper_marrow_change", "umc", 2),
        ("lower_marrow_change", "lmc", 2),
        ("left_foraminal_stenosis", "fsl", 2),
        ("right_foraminal_stenosis", "fsr", 2),
        ("herniation", "hrn", 2),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GradingPreset:
    """The settings of one size of the network.

    Args:
        blocks: residual blocks of each stage.
        widths: channels of each stage; the first is also the stem's.
        heads: the gradings, in the order of the output.
        head: "linear" for one layer each, "mlp" for two with a ReLU between.

    Raises:
        SettingError: a count below one, or two heads of one name.
    """

    blocks: Four = (3, 4, 6, 3)
    widths: Four = (64, 128, 256, 512)
    heads: tuple[GradingHead, ...] = SPINENET_HEADS
    head: Literal["linear", "mlp"] = "linear"

    def __post_init__(self) -> None:
        if min(*self.blocks, *self.widths, *(head.classes for head in self.heads)) < 1:
            raise SettingError(f"every width and count of a grading preset must be at least 1, got {self}")
        if len({head.key for head in self.heads}) != len(self.heads):
            raise SettingError("the heads of a grading preset must have different keys")


SPINENET = GradingPreset()


class Grading(nn.Module):
    """The network; parameter names are those of the published checkpoint.

    Args:
        preset: its size; `SPINENET` has 63,472,542 parameters.
    """

    def __init__(self, preset: GradingPreset = SPINENET) -> None:
        super().__init__()
        self.preset = preset
        stem = preset.widths[0]
        self.conv1 = nn.Conv3d(1, stem, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3))
        self.bn1 = nn.BatchNorm3d(stem)
        self.maxpool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        inputs = (stem, *preset.widths[:-1])
        strides = ((1, 1, 1), (1, 1, 1), (1, 2, 2), (1, 2, 2))
        for index, numbers in enumerate(zip(inputs, preset.widths, preset.blocks, strides, strict=True), start=1):
            self.add_module(f"layer{index}", _stage(*numbers))
        for head in preset.heads:
            self.add_module(f"fc_{head.key}", _head(preset.widths[-1], head.classes, preset.head))

    def forward(self, discs_b1shw: Tensor) -> Tensor:
        """Compute the logits of all gradings of each disc, one head after another.

        Args:
            discs_b1shw: (B, 1, S, H, W), sagittal slices first; the published weights take (9, 112, 224).

        Returns:
            (B, sum of classes), not normalised; `split_gradings` splits them.

        Raises:
            SettingError: another number of axes or channels.
        """
        if discs_b1shw.dim() != 5 or discs_b1shw.shape[1] != 1:
            raise SettingError(f"discs must be (B, 1, S, H, W), got {tuple(discs_b1shw.shape)}")
        x = self.maxpool(self.bn1(self.conv1(discs_b1shw)).relu_())
        for index in range(1, 5):
            x = self.get_submodule(f"layer{index}")(x)
        x = x.mean(dim=(2, 3, 4))
        return torch.cat([self.get_submodule(f"fc_{head.key}")(x) for head in self.preset.heads], dim=1)


def split_gradings(logits_bc: Tensor, heads: tuple[GradingHead, ...] = SPINENET_HEADS) -> dict[str, Tensor]:
    """Split the output of the network into its gradings.

    Args:
        logits_bc: (B, sum of classes).
        heads: in the order of the preset.

    Returns:
        (B, classes) for each grading's name.
    """
    parts = torch.split(logits_bc, [head.classes for head in heads], dim=1)
    return {head.name: part for head, part in zip(heads, parts, strict=True)}


def _stage(inputs: int, width: int, blocks: int, stride: tuple[int, int, int]) -> nn.Sequential:
    rest = [_BasicBlock3d(width, width, (1, 1, 1)) for _ in range(blocks - 1)]
    return nn.Sequential(_BasicBlock3d(inputs, width, stride), *rest)


def _head(inputs: int, classes: int, kind: Literal["linear", "mlp"]) -> nn.Module:
    if kind == "linear":
        return nn.Linear(inputs, classes)
    return nn.Sequential(nn.Linear(inputs, inputs), nn.ReLU(), nn.Linear(inputs, classes))


class _BasicBlock3d(nn.Module):
    """Two 3x3x3 convolutions with a shortcut (He et al. 2016, figure 5 left, with one more axis)."""

    def __init__(self, inputs: int, width: int, stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.downsample = None
        if inputs != width or stride != (1, 1, 1):
            self.downsample = nn.Sequential(
                nn.Conv3d(inputs, width, 1, stride=stride, bias=False), nn.BatchNorm3d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x)).relu_()
        x = self.bn2(self.conv2(x))
        return (x + shortcut).relu_()
