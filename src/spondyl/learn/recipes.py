"""The recipes by name, as `spondyl train` runs them: data in, a checkpoint and a weights file with its card out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from spondyl.errors import SettingError
from spondyl.learn.appearance import AppearanceRecipe, CropStream
from spondyl.learn.bilstm import BiLstmRecipe, SequenceStream
from spondyl.learn.context import ContextRecipe, MapStream
from spondyl.learn.exams import Exam, load_exams
from spondyl.learn.phantoms import load_phantoms, make_phantoms
from spondyl.learn.trainer import Recipe, Stream, fit
from spondyl.learn.vfr import SliceStream, VfrRecipe
from spondyl.nets.cards import Card, find_card
from spondyl.nets.presets import build
from spondyl.nets.weights import load_card, save

STEPS = {"vfr": 4800, "appearance": 1200, "context": 700, "bilstm": 3000}
"""Steps with which the shipped weights were trained."""

PHANTOM_SEEDS = range(240)
"""Patients from which the shipped weights learnt; benches draw others."""

_PRESETS = {"vfr": "compact", "appearance": "compact", "context": "spinenet", "bilstm": "compact"}

_SIMULATING = ("context", "bilstm")
"""Recipes that draw what they learn from and read no data."""


def run_recipe(
    name: str,
    sources: Sequence[tuple[str, Path]],
    run: Path,
    *,
    start: str | None = None,
    steps: int | None = None,
    seed: int = 0,
) -> None:
    """Train a network, resuming in `run`, and write its weights and their card there once the last step is done.

    Args:
        name: "vfr", "appearance", "context" or "bilstm".
        sources: (kind, path) of the data. "exams" is a folder of scans with masks, of which the training part of the
            published split is used; "phantoms" a folder in which phantoms are kept, and made where they are missing.
            Every folder of exams and every field of view of the phantoms is drawn from equally often. The recipes
            "context" and "bilstm" simulate what they learn from and read none.
        run: folder of checkpoints.
        start: name of the weights to go on from; random ones when None.
        steps: in all; the recipe's own number when None.
        seed: of the network's first weights and of all augmentation.

    Raises:
        SettingError: no such recipe or kind of data, a recipe without the data that it needs, or a run that was begun
            for another number of steps, or weights to start from that are of another network.
        WeightsError: there are no weights of the name `start`.
        InputError: the data cannot be read.
    """
    if name not in STEPS:
        raise SettingError(f"the recipes are {', '.join(STEPS)}, got {name!r}")
    unknown = {kind for kind, _ in sources} - {"exams", "phantoms"}
    if unknown:
        raise SettingError(f"--data must be exams:PATH or phantoms:PATH, got the kind {unknown.pop()!r}")
    if name not in _SIMULATING and not sources:
        raise SettingError(f"the recipe {name} needs labelled scans: --data exams:PATH or phantoms:PATH")
    torch.manual_seed(seed)
    network = build(name, _PRESETS[name]) if start is None else _started(name, start)
    steps = steps or STEPS[name]
    fit(*_recipe_and_stream(name, network, sources, steps, seed), run)
    card = Card(
        name=f"trained-{name}",
        network=name,
        preset=_PRESETS[name],
        trained_on=tuple(path.name for _, path in sources),
        metrics={},
        commit="",
        recipe=f"spondyl train {name} --steps {steps} --seed {seed}" + (f" --start {start}" if start else ""),
        licence="as the data",
    )
    save(network, card, run)


def _groups(kind: str, folder: Path) -> list[list[Exam]]:
    """The exams of one source, in groups that are drawn from equally often."""
    if kind == "exams":
        return [list(load_exams(folder, "train"))]
    make_phantoms(folder, PHANTOM_SEEDS)
    return list(load_phantoms(folder, PHANTOM_SEEDS).values())


def _started(name: str, start: str) -> nn.Module:
    card = find_card(start)
    if (card.network, card.preset) != (name, _PRESETS[name]):
        raise SettingError(f"{start} holds the network {card.network} ({card.preset}), not {name} ({_PRESETS[name]})")
    return load_card(card).train()


def _recipe_and_stream(
    name: str, network: nn.Module, sources: Sequence[tuple[str, Path]], steps: int, seed: int
) -> tuple[Recipe, Stream[object]]:
    if name == "context":
        return ContextRecipe(network, steps=steps), MapStream(batch=16, seed=seed)
    if name == "bilstm":
        return BiLstmRecipe(network, steps=steps), SequenceStream(batch=64, seed=seed)
    exams = [group for kind, folder in sources for group in _groups(kind, folder)]
    if name == "vfr":
        return VfrRecipe(network, steps=steps), SliceStream(exams, batch=16, size=224, seed=seed)
    return AppearanceRecipe(network, steps=steps), CropStream(exams, exams_per_batch=6, seed=seed)
