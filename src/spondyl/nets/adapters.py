"""Import of published weights into Spondyl's own form, with a card that states their origin."""

from __future__ import annotations

import codecs
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spondyl.errors import WeightsError
from spondyl.files import refused
from spondyl.nets.cards import Card, Setting
from spondyl.nets.places import user_weights_folder
from spondyl.nets.presets import NETWORKS
from spondyl.nets.weight_sets import WeightSet, set_path
from spondyl.nets.weights import describe_difference, expected_shapes, write

__all__ = ["SPINENET_PREFIX", "import_spinenet"]

SPINENET_PREFIX = "spinenet-official"
_SUFFIXES = (".pt", ".pth", ".tar")
_STATE_KEYS = ("net", "model_weights")
"""The keys under which checkpoints store their tensors; that of the grading network uses the second."""

_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}

_LICENCE = "non-commercial: the published SpineNetV2 weights may be used as their authors' licence allows, see upstream"
_ORIGIN = "https://github.com/rwindsor1/SpineNet"
_CITATION = "Windsor et al. 2022, SpineNetV2, arXiv 2205.01683: Genodisc and OWS (not public)"
_ADVICE = "give a folder that holds the published checkpoints and no others"

_DECODER: dict[str, Setting] = {"temperature": 10.0, "outlier_probability": 0.01}
"""The temperature of section 3.2, step 3, and the decoder's default for networks to which it was not fitted; likewise
below for the misses of the detector."""

_SETTINGS: dict[str, dict[str, Setting]] = {
    "vfr": {},
    "appearance": {
        "uppermost_level": "C2",
        "lowest_level": "S1",
        **_DECODER,
        "landmark_temperature": 10.0,
        **dict.fromkeys(("miss_c2", "miss_cervical", "miss_thoracic", "miss_lumbar", "miss_s1"), 0.02),
    },
    "context": {**_DECODER, "height_temperature": 10.0},
    "grading": {},
}
"""The settings in the card of each network, which its methods read."""


def import_spinenet(folder: Path, store: Path | None = None) -> list[Card]:
    """Import the published SpineNetV2 checkpoints, unchanged, into the user's own weights.

    The network of a file is recognised by its tensors, whatever its name. All networks are installed or none: if one is
    refused, or the disk is full, the earlier weights are still there.

    Args:
        folder: searched with its subfolders for `.pt`, `.pth` and `.tar` files, pickles of `{"net": state, ...}` or
            `{"model_weights": state, ...}`.
        store: folder to write to; the user's own weights when None.

    Returns:
        The cards, named `spinenet-official-<network>`; a set of weights `spinenet-official` names them.

    Raises:
        WeightsError: a network's checkpoint is missing, one is unreadable or differs from the published tensors, or
            two hold the same network.
        OutputError: the store cannot be written.
    """
    found: dict[str, tuple[str, Path]] = {}
    for path in sorted(p for p in Path(folder).rglob("*") if p.suffix in _SUFFIXES and p.is_file()):
        name = str(path.relative_to(folder))
        network = _recognise(_read_state(path, name), name)
        if network in found:
            raise WeightsError(f"{found[network][0]} and {name} both contain the network {network!r}; leave one")
        found[network] = (name, path)
    if not found:
        raise WeightsError(f"there is no checkpoint ({', '.join(_SUFFIXES)}) in the folder; {_ADVICE}")
    missing = [network for network in _SETTINGS if network not in found]
    if missing:
        raise WeightsError(f"the folder lacks the checkpoint of {', '.join(missing)}; give all {len(_SETTINGS)}")
    target = user_weights_folder() if store is None else store
    with _staging(target) as staged:
        # each is read again, so that one network at a time is in memory
        cards = [
            write(_read_state(path, name), _spinenet_card(network), staged) for network, (name, path) in found.items()
        ]
        files = [path for card in cards for path in (card.weights_path, card.card_path)]
        _install([*files, _write_set(staged)], staged, target)
    return [replace(card, folder=target) for card in cards]


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """Make a folder inside the target, without remains of an interrupted import, and remove it afterwards."""
    staged = target / ".importing"
    is_new = not target.exists()
    try:
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
    except OSError as error:
        raise refused("the weights", error) from error
    try:
        yield staged
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        if is_new:
            with suppress(OSError):
                set_path(target, SPINENET_PREFIX).parent.rmdir()
            with suppress(OSError):
                target.rmdir()
        raise
    shutil.rmtree(staged, ignore_errors=True)


def _write_set(folder: Path) -> Path:
    """Write the set of weights that uses the published networks as the published program does."""
    path = set_path(folder, SPINENET_PREFIX)
    weights = WeightSet(
        name=SPINENET_PREFIX,
        networks={network: f"{SPINENET_PREFIX}-{network}" for network in _SETTINGS},
        methods={"mr": {"locate": ("spinenet",), "identify": ("spinenet",)}},
    )
    try:
        path.parent.mkdir()
        path.write_text(weights.to_toml(), encoding="utf-8")
    except OSError as error:
        raise refused("the weights", error) from error
    return path


def _install(files: Sequence[Path], staged: Path, target: Path) -> None:
    """Move staged files to their places and earlier files aside; if one cannot be moved, move all back."""
    moves: list[tuple[Path, Path]] = []
    try:
        for file in files:
            place, aside = target / file.relative_to(staged), file.with_name(f"{file.name}.before")
            place.parent.mkdir(exist_ok=True)
            for source, destination in ((place, aside), (file, place)):
                if source.exists():
                    source.replace(destination)
                    moves.append((source, destination))
    except BaseException as error:
        for source, destination in reversed(moves):
            destination.replace(source)
        if isinstance(error, OSError):
            raise refused("the weights", error) from error
        raise


def _read_state(path: Path, name: str) -> dict[str, Tensor]:
    try:
        # weights_only: a pickle from elsewhere must not run code
        with _with_numpy_scalars():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        raise WeightsError(f"{name} cannot be read as a checkpoint of tensors; {_ADVICE}") from error
    states = [content[key] for key in _STATE_KEYS if key in content] if isinstance(content, Mapping) else []
    if not states or not isinstance(states[0], Mapping) or not all(isinstance(v, Tensor) for v in states[0].values()):
        raise WeightsError(
            f"{name} contains no state under 'net' or 'model_weights', as the published checkpoints do; {_ADVICE}"
        )
    state = {str(key).removeprefix("module."): value.detach() for key, value in states[0].items()}
    wrong = _unsound(state)
    if wrong:
        raise WeightsError(f"{name} contains {wrong}, which no published checkpoint does; {_ADVICE}")
    return state


@contextmanager
def _with_numpy_scalars() -> Iterator[None]:
    """Let pickles of tensors hold numpy numbers too, named as numpy 2 or numpy 1 pickles them."""
    from numpy._core.multiarray import scalar

    def scalar_of_numpy_1(dtype: np.dtype[Any], data: bytes) -> object:
        return scalar(dtype, data)

    # torch finds what is allowed by its own names; only versions after 2.5 take another name beside it
    scalar_of_numpy_1.__module__ = "numpy.core.multiarray"
    scalar_of_numpy_1.__name__ = scalar_of_numpy_1.__qualname__ = "scalar"
    codes = np.typecodes["AllInteger"] + np.typecodes["Float"]
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals(
        # later versions of torch allow `encode`, the bytes of protocol 2, of themselves
        [scalar, scalar_of_numpy_1, np.dtype, codecs.encode, *{type(np.dtype(code)) for code in codes}]
    )
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def _recognise(state: Mapping[str, Tensor], name: str) -> str:
    """Find the published network that has exactly the tensors of the state."""
    manifests = {
        network: expected_shapes(network, "spinenet")
        for network, entry in NETWORKS.items()
        if "spinenet" in entry.presets
    }
    network = max(manifests, key=lambda name: _likeness(state, manifests[name]))
    wrong = describe_difference(state, manifests[network])
    if wrong:
        raise WeightsError(
            f"{name} is not a published SpineNetV2 checkpoint; it is nearest to {network!r} but has {wrong}; {_ADVICE}"
        )
    return network


def _unsound(state: Mapping[str, Tensor]) -> str:
    """Describe the first tensor that is not finite, of another type or shared with another; empty if there is none."""
    storages: dict[int, str] = {}
    for key, value in state.items():
        expected = {torch.int64} if key.endswith("num_batches_tracked") else _FLOATS
        if value.dtype not in expected or value.layout is not torch.strided or value.is_meta:
            return f"{key} as a tensor of {value.dtype}".replace("torch.", "")
        if not value.isfinite().all():
            return f"numbers in {key} that are not finite"
        other = storages.setdefault(value.untyped_storage().data_ptr(), key)
        if other != key:
            return f"{other} and {key} in one storage"
    return ""


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
        settings=dict(_SETTINGS[network]),
    )
