"""The table of all networks and their sizes by name; importing it does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spondyl.errors import WeightsError, requiring

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NETWORKS", "NetworkEntry", "build", "network_entry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkEntry:
    """The description of a network without building it.

    Args:
        presets: names of its sizes.
        builder: from the name of a preset to the module.
        sources: the files that define it.
        multiples: of which the spatial axes of its input must be multiples; empty where they are fixed.
        example_shape: the smallest convenient input of each preset, for tracing.
        tolerates_bfloat16: whether bfloat16 leaves its results practically unchanged.
    """

    presets: tuple[str, ...]
    builder: Callable[[str], nn.Module]
    sources: tuple[Path, ...]
    multiples: tuple[int, ...]
    example_shape: dict[str, tuple[int, ...]]
    tolerates_bfloat16: bool = True


def _build_vfr(preset: str) -> nn.Module:
    from spondyl.nets import vfr

    return vfr.Vfr({"spinenet": vfr.SPINENET, "compact": vfr.COMPACT}[preset])


def _build_appearance(preset: str) -> nn.Module:
    from spondyl.nets import appearance

    return appearance.Appearance({"spinenet": appearance.SPINENET, "compact": appearance.COMPACT}[preset])


def _build_context(preset: str) -> nn.Module:
    from spondyl.nets import context

    return {"spinenet": context.Context}[preset]()


def _build_bilstm(preset: str) -> nn.Module:
    from spondyl.nets import bilstm

    return bilstm.BiLstm({"compact": bilstm.COMPACT}[preset])


def _build_hourglass(preset: str) -> nn.Module:
    from spondyl.nets import hourglass

    return hourglass.Hourglass({"paper": hourglass.PAPER, "compact": hourglass.COMPACT}[preset])


def _build_msa_net(preset: str) -> nn.Module:
    from spondyl.nets import msa_net

    return msa_net.MsaNet({"paper": msa_net.PAPER, "compact": msa_net.COMPACT}[preset])


def _build_unet(preset: str) -> nn.Module:
    from spondyl.nets import unet

    return unet.UNet({"paper": unet.PAPER, "compact": unet.COMPACT}[preset])


def _build_shape_unet(preset: str) -> nn.Module:
    from spondyl.nets import shape_unet

    return shape_unet.ShapeUNet({"paper": shape_unet.PAPER, "compact": shape_unet.COMPACT}[preset])


def _build_attention_hourglass(preset: str) -> nn.Module:
    from spondyl.nets import attention_hourglass, hourglass

    return attention_hourglass.AttentionHourglass({"paper": hourglass.PAPER, "compact": hourglass.COMPACT}[preset])


def _build_hca_net(preset: str) -> nn.Module:
    from spondyl.nets import hca_net

    return hca_net.HcaNet({"paper": hca_net.PAPER, "compact": hca_net.COMPACT}[preset])


def _build_countception(preset: str) -> nn.Module:
    from spondyl.nets import countception

    return countception.Countception({"paper": countception.PAPER, "compact": countception.COMPACT}[preset])


def _build_swin_net(preset: str) -> nn.Module:
    from spondyl.nets import swin_net

    return swin_net.SwinNet({"paper": swin_net.PAPER, "compact": swin_net.COMPACT}[preset])


def _build_look_once(preset: str) -> nn.Module:
    from spondyl.nets import look_once

    if preset == "compact":
        return look_once.LookOnce(look_once.COMPACT)
    return {"pointnet": look_once.PointNet, "equivariant": lambda: look_once.PointNet("equivariant")}[preset]()


def _build_look_once_20(preset: str) -> nn.Module:
    from spondyl.nets import look_once

    return {"published": lambda: look_once.PointNet("linear", points=20)}[preset]()


def _build_grading(preset: str) -> nn.Module:
    from spondyl.nets import grading

    return grading.Grading({"spinenet": grading.SPINENET}[preset])


def _files(*names: str) -> tuple[Path, ...]:
    return tuple(Path(__file__).with_name(f"{name}.py") for name in names)


def _disc_network(builder: Callable[[str], nn.Module], *files: str) -> NetworkEntry:
    """Describe a network that locates discs; all have the same sizes and take images of multiples of 64 pixels."""
    return NetworkEntry(
        presets=("paper", "compact"),
        builder=builder,
        sources=_files(*files),
        multiples=(64, 64),
        example_shape={"paper": (1, 1, 64, 64), "compact": (1, 1, 64, 64)},
    )


NETWORKS: dict[str, NetworkEntry] = {
    "vfr": NetworkEntry(
        presets=("spinenet", "compact"),
        builder=_build_vfr,
        sources=_files("vfr"),
        multiples=(32, 32),
        example_shape={"spinenet": (1, 1, 32, 32), "compact": (1, 1, 32, 32)},
    ),
    "appearance": NetworkEntry(
        presets=("spinenet", "compact"),
        builder=_build_appearance,
        sources=_files("appearance"),
        multiples=(),
        example_shape={"spinenet": (1, 1, 224, 224, 16), "compact": (1, 1, 64, 64, 8)},
    ),
    "context": NetworkEntry(
        presets=("spinenet",),
        builder=_build_context,
        sources=_files("context"),
        multiples=(16, 1),
        example_shape={"spinenet": (1, 1, 16, 24)},
        tolerates_bfloat16=False,  # its logits differ by less than bfloat16 resolves, and it is fast enough
    ),
    "bilstm": NetworkEntry(
        presets=("compact",),
        builder=_build_bilstm,
        sources=_files("bilstm"),
        multiples=(1, 1),
        example_shape={"compact": (1, 1, 3, 25)},
        tolerates_bfloat16=False,  # not measured, and it is fast enough
    ),
    "unet": _disc_network(_build_unet, "unet", "disc_network"),
    "shape-unet": _disc_network(_build_shape_unet, "shape_unet", "unet", "disc_network"),
    "hourglass": _disc_network(_build_hourglass, "hourglass", "disc_network"),
    "attention-hourglass": _disc_network(
        _build_attention_hourglass, "attention_hourglass", "hourglass", "disc_network"
    ),
    "hca-net": _disc_network(_build_hca_net, "hca_net", "hourglass", "disc_network"),
    "msa-net": _disc_network(_build_msa_net, "msa_net", "hourglass", "disc_network"),
    "countception": _disc_network(_build_countception, "countception", "disc_network"),
    "swin-net": _disc_network(_build_swin_net, "swin_net", "disc_network"),
    "look-once": NetworkEntry(
        presets=("compact", "pointnet", "equivariant"),
        builder=_build_look_once,
        sources=_files("look_once"),
        multiples=(1, 1),
        example_shape={"compact": (1, 1, 3, 2), "pointnet": (1, 1, 3, 2), "equivariant": (1, 1, 3, 2)},
        tolerates_bfloat16=False,  # differences of near points are less than it resolves, and it is fast enough
    ),
    "look-once-20": NetworkEntry(
        presets=("published",),
        builder=_build_look_once_20,
        sources=_files("look_once"),
        multiples=(),
        example_shape={"published": (1, 1, 20, 2)},
        tolerates_bfloat16=False,  # as "look-once"
    ),
    "grading": NetworkEntry(
        presets=("spinenet",),
        builder=_build_grading,
        sources=_files("grading"),
        multiples=(),
        example_shape={"spinenet": (1, 1, 9, 112, 224)},
    ),
}


def network_entry(network: str, preset: str) -> NetworkEntry:
    """Find a network and preset.

    Raises:
        WeightsError: no network or no preset of that name.
    """
    entry = NETWORKS.get(network)
    if entry is None:
        raise WeightsError(f"there is no network {network!r}; known are {', '.join(sorted(NETWORKS))}")
    if preset not in entry.presets:
        raise WeightsError(f"network {network!r} has no preset {preset!r}; it has {', '.join(entry.presets)}")
    return entry


def build(network: str, preset: str) -> nn.Module:
    """Build a module with random weights.

    Raises:
        WeightsError: no network or no preset of that name.
        MissingExtraError: PyTorch is not installed.
    """
    entry = network_entry(network, preset)
    with requiring("torch", f"building the network {network!r}"):
        return entry.builder(preset)
