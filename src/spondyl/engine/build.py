"""The choice of an engine for a device."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from spondyl.engine.contract import Engine
from spondyl.errors import SettingError, requiring
from spondyl.nets.cards import Card, find_card, verify
from spondyl.nets.presets import network_entry

__all__ = ["EngineKind", "make_engine"]


class EngineKind(StrEnum):
    """The engine that runs a network."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"


def make_engine(
    name: str,
    kind: EngineKind | str = EngineKind.AUTO,
    device: str = "auto",
    *,
    bfloat16: bool | None = None,
    threads: int | None = None,
    folders: tuple[Path, ...] | None = None,
) -> Engine:
    """Make the engine for the weights of a name.

    Args:
        name: of a card.
        kind: "auto" is PyTorch on CUDA and OpenVINO on a CPU.
        device: "auto" (CUDA where PyTorch has it, unless the kind is OpenVINO), "cpu", "cuda" or "cuda:N".
        bfloat16: whether to compute in bfloat16; None: where the hardware has it and the network tolerates it.
        threads: of the CPU, for OpenVINO; None: as many as this process may use.
        folders: searched for the card; the package's and the user's own weights when None.

    Raises:
        SettingError: the kind or device is unknown, or CUDA is requested of OpenVINO or not available.
        WeightsError: the weights are missing, damaged or of another network.
        MissingExtraError: the kind is "torch" or the device CUDA, and PyTorch is not installed.
    """
    if kind not in set(EngineKind):
        raise SettingError(f"engine must be one of {', '.join(EngineKind)}, got {kind!r}")
    if device not in ("auto", "cpu", "cuda") and not device.startswith("cuda:"):
        raise SettingError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}")
    card = find_card(name, folders)
    if kind == EngineKind.OPENVINO or (kind == EngineKind.AUTO and not _uses_cuda(device)):
        return _openvino(card, device, bfloat16, threads)
    return _torch(card, ("cuda" if _uses_cuda(device) else "cpu") if device == "auto" else device, bfloat16)


def _uses_cuda(device: str) -> bool:
    if device != "auto":
        return device.startswith("cuda")
    if not any(Path(driver).exists() for driver in ("/dev/nvidiactl", "/dev/dxg", "C:/Windows/System32/nvcuda.dll")):
        return False  # without importing torch, which takes a second or two
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def _torch(card: Card, device: str, bfloat16: bool | None) -> Engine:
    with requiring("torch", "the engine 'torch', the only one for CUDA,"):
        from spondyl.engine.torch_engine import TorchEngine
        from spondyl.nets.weights import load_card
    entry = network_entry(card.network, card.preset)
    axes = len(entry.example_shape[card.preset])
    if bfloat16 is None and not entry.tolerates_bfloat16:
        bfloat16 = False
    return TorchEngine(load_card(card), axes=axes, multiples=entry.multiples, device=device, bfloat16=bfloat16)


def _openvino(card: Card, device: str, bfloat16: bool | None, threads: int | None) -> Engine:
    if device.startswith("cuda"):
        raise SettingError(f"the OpenVINO engine runs on the CPU, not on {device!r}; choose engine torch")
    import safetensors.numpy

    from spondyl.engine.openvino_engine import OpenVinoEngine

    state = safetensors.numpy.load_file(verify(card).weights_path)
    return OpenVinoEngine(
        card.network, card.preset, state, bfloat16=bfloat16, threads=threads, weights_sha256=card.sha256
    )
