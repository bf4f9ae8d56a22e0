"""Weights on disk, saved in half precision with a card and loaded only if they match the card exactly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from spondyl.errors import OutputError, WeightsError
from spondyl.files import new_file
from spondyl.nets.cards import Card, file_sha256, find_card, list_cards, verify, with_digest
from spondyl.nets.presets import build

__all__ = ["describe_difference", "expected_shapes", "find_card", "list_cards", "load", "load_card", "save", "write"]


def load(name: str, folders: tuple[Path, ...] | None = None) -> nn.Module:
    """Load the network and weights that a card describes, in float32 and evaluation mode, on the CPU.

    Args:
        name: of the card.
        folders: to search; the package's and the user's own weights when None.

    Raises:
        WeightsError: no such card, or the weights are missing, damaged or of another network.
    """
    return load_card(find_card(name, folders))


def load_card(card: Card) -> nn.Module:
    """Load the network that a card describes, see `load`.

    Raises:
        WeightsError: the weights are missing, damaged or of another network.
    """
    path = verify(card).weights_path
    try:
        state = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise WeightsError(f"the weights {path} are not a safetensors file: {error}") from error
    wrong = describe_difference(state, expected_shapes(card.network, card.preset))
    if wrong:
        raise WeightsError(f"the weights {path} do not fit {card.network} ({card.preset}): {wrong}")
    with torch.device("meta"):  # without random numbers that would be replaced at once
        module = build(card.network, card.preset)
    module.load_state_dict({key: _to_float(value) for key, value in state.items()}, strict=True, assign=True)
    return module.eval()


def save(module: nn.Module, card: Card, folder: Path) -> Card:
    """Write the weights of a module and their card.

    Matrices and kernels are stored in half precision; vectors (biases, batch statistics), which have a wider range and
    take little space, are stored unchanged.

    Args:
        module: a network of the kind that the card names.
        card: its sha256 and folder are filled in.
        folder: created if missing; files of the card's name are replaced.

    Returns:
        The card as written.

    Raises:
        WeightsError: the module is not the card's network, or a number is not finite or too large for half precision.
        OutputError: the folder cannot be written.
    """
    state = module.state_dict()
    wrong = describe_difference(state, expected_shapes(card.network, card.preset))
    if wrong:
        raise WeightsError(f"the module is not {card.network} ({card.preset}): {wrong}")
    return write({key: _to_half(key, value) for key, value in state.items()}, card, folder)


def write(state: Mapping[str, Tensor], card: Card, folder: Path) -> Card:
    """Write tensors, unchanged, and their card; the card last, so that a card always has its weights.

    Raises:
        OutputError: the folder cannot be written.
    """
    what = f"the weights {card.name}"
    sealed = with_digest(card, folder, "")
    with new_file(sealed.card_path, what) as card_file, new_file(sealed.weights_path, what) as weights_file:
        try:  # straight to the file: a copy of the bytes of a large network would not fit beside it
            safetensors.torch.save_file({key: value.contiguous() for key, value in state.items()}, weights_file)
        except safetensors.SafetensorError as error:
            raise OutputError(f"{what} cannot be written: the disk is full, or the system refused it") from error
        sealed = with_digest(card, folder, file_sha256(weights_file))
        card_file.write_text(sealed.to_toml(), encoding="utf-8")
    return sealed


def expected_shapes(network: str, preset: str) -> dict[str, tuple[int, ...]]:
    """List name and shape of every tensor of a network, without allocating it.

    Raises:
        WeightsError: no network or no preset of that name.
    """
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in build(network, preset).state_dict().items()}


def describe_difference(state: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> str:
    """Describe how a state differs from what a network expects, by the first tensors of each kind; empty if equal."""
    missing = [key for key in expected if key not in state]
    unknown = [key for key in state if key not in expected]
    shapes = [
        f"{key} {tuple(state[key].shape)} instead of {shape}"
        for key, shape in expected.items()
        if key in state and tuple(state[key].shape) != shape
    ]
    kinds = (("missing", missing), ("unknown", unknown), ("of another shape", shapes))
    return "; ".join(f"{len(names)} tensors {what} ({_first(names)})" for what, names in kinds if names)


def _first(names: list[str], count: int = 3) -> str:
    return ", ".join(names[:count]) + (", …" if len(names) > count else "")


def _to_float(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _to_half(key: str, tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu()
    if not tensor.is_floating_point():
        return tensor
    halved = tensor.half() if tensor.dim() > 1 else tensor.float()
    if not halved.isfinite().all():
        raise WeightsError(f"tensor {key} contains numbers that are not finite or too large for half precision")
    return halved
