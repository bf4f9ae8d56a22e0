"""The recipes by name, as `spondyl train` runs them: data in, a checkpoint and a weights file with its card out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from spondyl.datasets.exams import Exam, load_exams
from spondyl.datasets.phantoms import load_phantoms, make_phantoms
from spondyl.errors import SettingError
from spondyl.learn.provenance import SIMULATED, commit, describe_exams, describe_phantoms, settings_of
from spondyl.learn.recipes.appearance import AppearanceRecipe, CropStream
from spondyl.learn.recipes.bilstm import BiLstmRecipe, SequenceStream
from spondyl.learn.recipes.context import ContextRecipe, MapStream
from spondyl.learn.recipes.vfr import SliceStream, VfrRecipe
from spondyl.learn.trainer import Recipe, Stream, fit, validate
from spondyl.nets.cards import Card, find_card
from spondyl.nets.presets import build
from spondyl.nets.weights import load_card, save

__all__ = ["run_recipe"]

STEPS = {"vfr": 4800, "appearance": 1200, "context": 700, "bilstm": 3000}
"""Steps from random weights; a card names those of its own training."""

PHANTOM_SEEDS = {"train": range(240), "validation": range(240, 248)}
"""Patients by part of the split; benches draw others."""

_VALIDATION_SEED = 2_000_000_000
"""Of what a trained network is measured on: the same for every training, and no training's own."""

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
            Every folder of exams and every field of view of the phantoms is drawn from equally often; the validation
            part of each is what the card's metrics are measured on. The recipes "context" and "bilstm" simulate what
            they learn from and read none.
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
    _require_known(name, sources)
    torch.manual_seed(seed)
    begun = None if start is None else _start_card(name, start)
    network = build(name, _PRESETS[name]) if begun is None else load_card(begun).train()
    sets = () if name in _SIMULATING else tuple(_load(kind, folder.resolve()) for kind, folder in sources)
    recipe = _recipe(name, network, steps or STEPS[name])
    code = commit()
    fit(recipe, _stream(name, [group for data in sets for group in data.training], seed), run)
    learnt_from = SIMULATED if name in _SIMULATING else tuple(line for data in sets for line in data.sentences)
    card = Card(
        name=f"trained-{name}",
        network=name,
        preset=_PRESETS[name],
        trained_on=tuple(dict.fromkeys((*(begun.trained_on if begun else ()), *learnt_from))),
        metrics=_measure(name, recipe, sets),
        commit=code,
        recipe=_command(name, sources, recipe.steps, seed, begun),
        licence="as the data",
        settings=settings_of(name, [exam for data in sets for group in data.training for exam in group]),
    )
    save(network, card, run)


def _require_known(name: str, sources: Sequence[tuple[str, Path]]) -> None:
    if name not in STEPS:
        raise SettingError(f"the recipes are {', '.join(STEPS)}, got {name!r}")
    unknown = {kind for kind, _ in sources} - {"exams", "phantoms"}
    if unknown:
        raise SettingError(f"--data must be exams:PATH or phantoms:PATH, got the kind {unknown.pop()!r}")
    if name not in _SIMULATING and not sources:
        raise SettingError(f"the recipe {name} needs labelled scans: --data exams:PATH or phantoms:PATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One source of data, loaded.

    Args:
        name: for people.
        training, validation: exams in groups that are drawn from equally often.
        sentences: what a card says of it.
    """

    name: str
    training: list[list[Exam]]
    validation: list[list[Exam]]
    sentences: tuple[str, ...]


def _load(kind: str, folder: Path) -> _Source:
    if kind == "exams":
        training, validation = (list(load_exams(folder, part)) for part in ("train", "validation"))
        return _Source(
            name=f"{len(validation)} exam{'s' * (len(validation) > 1)} of {folder.name}",
            training=[training],
            validation=[validation] if validation else [],
            sentences=describe_exams(training),
        )
    parts = {}
    for part, seeds in PHANTOM_SEEDS.items():
        make_phantoms(folder, seeds)
        parts[part] = list(load_phantoms(folder, seeds).values())
    scans = [exam for group in parts["train"] for exam in group]
    return _Source(
        name=f"{len(PHANTOM_SEEDS['validation'])} phantoms",
        training=parts["train"],
        validation=parts["validation"],
        sentences=describe_phantoms(scans, PHANTOM_SEEDS["train"]),
    )


def _measure(name: str, recipe: Recipe, sets: Sequence[_Source]) -> dict[str, dict[str, float]]:
    """Metrics of a trained network on the validation part of each source, or on columns that nobody learnt from."""
    if name in _SIMULATING:
        return {"validation, simulated columns": validate(recipe, _stream(name, [], _VALIDATION_SEED))}
    return {
        f"validation, {data.name}, augmented": validate(recipe, _stream(name, data.validation, _VALIDATION_SEED))
        for data in sets
        if data.validation
    }


def _command(name: str, sources: Sequence[tuple[str, Path]], steps: int, seed: int, begun: Card | None) -> str:
    """The command that trains the weights again, with the digest of those that it starts from."""
    data = "".join(f" --data {kind}:{folder.resolve().name}" for kind, folder in sources)
    started = "" if begun is None else f" --start {begun.name} (sha256 {begun.sha256})"
    return f"spondyl train {name}{data} --steps {steps} --seed {seed}{started}"


def _start_card(name: str, start: str) -> Card:
    card = find_card(start)
    if (card.network, card.preset) != (name, _PRESETS[name]):
        raise SettingError(f"{start} holds the network {card.network} ({card.preset}), not {name} ({_PRESETS[name]})")
    return card


def _recipe(name: str, network: nn.Module, steps: int) -> Recipe:
    recipes: dict[str, type[Recipe]] = {
        "vfr": VfrRecipe,
        "appearance": AppearanceRecipe,
        "context": ContextRecipe,
        "bilstm": BiLstmRecipe,
    }
    return recipes[name](network, steps=steps)


def _stream(name: str, groups: Sequence[Sequence[Exam]], seed: int) -> Stream[object]:
    """Batches for a recipe, of these exams unless it simulates its own."""
    if name == "context":
        return MapStream(batch=16, seed=seed)
    if name == "bilstm":
        return SequenceStream(batch=64, seed=seed)
    if name == "vfr":
        return SliceStream(groups, batch=16, size=224, seed=seed)
    return CropStream(groups, exams_per_batch=6, seed=seed)
