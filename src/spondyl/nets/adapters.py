"""Foreign weights, brought into Spondyl's own form with a card that says whose they are."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from spondyl.errors import WeightsError
from spondyl.nets.cards import Card
from spondyl.nets.places import user_weights_folder
from spondyl.nets.presets import NETWORKS
from spondyl.nets.weights import difference, expected_shapes, write

__all__ = ["SPINENET_PREFIX", "import_spinenet"]

SPINENET_PREFIX = "spinenet-official"
_SUFFIXES = (".pt", ".pth", ".tar")
_LICENCE = "non-commercial: the published SpineNetV2 weights may be used as their authors' licence allows, see upstream"
_ORIGIN = "https://github.com/rwindsor1/SpineNet"
_CITATION = "Windsor et al. 2022, SpineNetV2, arXiv 2205.01683: Genodisc and OWS (not public)"


def import_spinenet(folder: Path, store: Path | None = None) -> list[Card]:
    """Bring the published SpineNetV2 checkpoints into the user's own weights, exactly as they are.

    Which network a file holds is told by its tensors, whatever its name. Nothing is written unless all files fit.

    Args:
        folder: searched with its subfolders for `.pt`, `.pth` and `.tar` files, pickles of `{"net": state, ...}`.
        store: where to write; the user's own weights when None.

    Returns:
        A card for each network found, named `spinenet-official-<network>`.

    Raises:
        WeightsError: no checkpoint there, one is unreadable or differs from the published tensors, or two hold
            the same network.
        OutputError: the store cannot be written.
    """
    found: dict[str, tuple[Path, dict[str, Tensor]]] = {}
    for path in sorted(p for p in Path(folder).rglob("*") if p.suffix in _SUFFIXES and p.is_file()):
        state = _read_state(path)
        network = _recognise(state, path)
        if network in found:
            raise WeightsError(f"{found[network][0]} and {path} both hold the network {network!r}; leave one")
        found[network] = (path, state)
    if not found:
        raise WeightsError(f"there is no checkpoint ({', '.join(_SUFFIXES)}) in {folder}")
    target = user_weights_folder() if store is None else store
    return [write(state, _spinenet_card(network), target) for network, (_, state) in found.items()]


def _read_state(path: Path) -> dict[str, Tensor]:
    try:
        # weights_only: a pickle from elsewhere must not run code
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path} cannot be read as a checkpoint of tensors") from error
    state = content.get("net") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path} holds no state under 'net', as the published checkpoints do")
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def _recognise(state: Mapping[str, Tensor], path: Path) -> str:
    """The published network that shares most tensors with the state, if it shares them all."""
    manifests = {
        network: expected_shapes(network, "spinenet")
        for network, entry in NETWORKS.items()
        if "spinenet" in entry.presets
    }
    network = max(manifests, key=lambda name: _likeness(state, manifests[name]))
    wrong = difference(state, manifests[network])
    if wrong:
        raise WeightsError(
            f"{path} is no published SpineNetV2 checkpoint; it is nearest to {network!r} but has {wrong}"
        )
    return network


def _likeness(state: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> float:
    same = sum(key in state and tuple(state[key].shape) == shape for key, shape in expected.items())
    return same / max(len(expected.keys() | state.keys()), 1)


def _spinenet_card(network: str) -> Card:
    return Card(
        name=f"{SPINENET_PREFIX}-{network}",
        network=network,
        preset="spinenet",
        trained_on=(_CITATION,),
        metrics={},
        commit=_ORIGIN,
        recipe="spondyl models import spinenet DIR",
        licence=_LICENCE,
        settings={"temperature": 10.0},  # of the decoder (section 3.2, step 3: logits are divided by it)
    )
