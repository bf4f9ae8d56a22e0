"""The way of every recipe that trains a network: data in, a checkpoint and a weights file with its card out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from spondyl.datasets.source import Exam, Source, SplitPart
from spondyl.errors import InputError, SettingError
from spondyl.identify.costs import OrderCosts
from spondyl.learn.provenance import describe_command, find_commit
from spondyl.learn.recipes.table import TrainingRequest
from spondyl.learn.trainer import Recipe, Stream, fit, validate
from spondyl.nets.cards import Card, Setting, find_card
from spondyl.nets.presets import build
from spondyl.nets.weights import load_card, save

__all__ = ["UNCOUNTED_MISSES", "UNFITTED_DECODER", "ExamGroups", "NetworkTraining", "train_network"]

ExamGroups = Sequence[Sequence[Exam]]
"""Exams in groups that are drawn from equally often."""

UNFITTED_DECODER: dict[str, Setting] = {
    "temperature": OrderCosts().temperature,
    "outlier_probability": OrderCosts().outlier_probability,
}
"""Settings of the ordered decoder for a network to which nothing has fitted them yet."""

UNCOUNTED_MISSES: dict[str, Setting] = {f"miss_{name}": rate for name, rate in asdict(OrderCosts().misses).items()}
"""Settings of the ordered decoder for a detector whose misses nothing has counted yet."""

_VALIDATION_SEED = 2_000_000_000
"""Seed of the batches that a trained network is measured on: the same for every training, and no training's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTraining:
    """The facts by which one recipe differs from another.

    Args:
        network: a key of `presets.NETWORKS`.
        preset: which size of it.
        steps: from random weights; a card names those of its own training.
        recipe: makes the recipe from the network and the keyword `steps`.
        stream: makes the batches from exams and a seed; a recipe that simulates its data gets no exams.
        settings: makes the settings of the card from the training exams.
        simulated: sentences on the data of a recipe that simulates them, with licences; else none.
        needs_bodies: whether every exam must have outlined bodies; those of some kinds of data have disc points alone.
    """

    network: str
    preset: str
    steps: int
    recipe: Callable[..., Recipe]
    stream: Callable[[ExamGroups, int], Stream[Any]]
    settings: Callable[[Sequence[Exam]], dict[str, Setting]]
    simulated: tuple[str, ...] = field(default=())
    needs_bodies: bool = False


def train_network(training: NetworkTraining, request: TrainingRequest) -> None:
    """Train a network, resuming where the run stopped, and write its weights and card after the last step.

    Raises:
        SettingError: the run was begun for another number of steps, or the weights to start from are of another
            network.
        WeightsError: there are no weights to start from of that name.
        InputError: the data cannot be read, or have no exam to train on.
    """
    torch.manual_seed(request.seed)
    start = None if request.start is None else _find_start(training, request.start)
    network = build(training.network, training.preset) if start is None else load_card(start).train()
    sources, held_out = request.open(SplitPart.TRAINING), request.open(SplitPart.VALIDATION)
    groups = [group for source in sources for group in source.groups]
    if sources and not groups:
        raise InputError("the data hold no exam of the training part")
    if training.needs_bodies and any(not len(exam.outlines.levels) for group in groups for exam in group):
        raise InputError(f"the recipe {request.recipe} needs outlined bodies: leave out data with disc points alone")
    recipe = training.recipe(network, steps=request.steps or training.steps)
    commit = find_commit()  # before hours pass
    fit(recipe, training.stream(groups, request.seed), request.run)
    sentences = (*training.simulated, *(line for source in sources for line in source.sentences))
    card = Card(
        name=f"trained-{training.network}",
        network=training.network,
        preset=training.preset,
        trained_on=tuple(dict.fromkeys((*(start.trained_on if start else ()), *sentences))),
        metrics=_measure(training, recipe, held_out),
        commit=commit,
        recipe=describe_command(
            request.recipe, request.sources, start=start, options=_describe_options(request, recipe.steps)
        ),
        licence="as the data",
        settings=training.settings([exam for group in groups for exam in group]),
    )
    save(network, card, request.run)


def _describe_options(request: TrainingRequest, steps: int) -> str:
    fold = "" if request.fold is None else f" --fold {request.fold}"
    return f" --steps {steps} --seed {request.seed}{fold}"


def _find_start(training: NetworkTraining, name: str) -> Card:
    card = find_card(name)
    if (card.network, card.preset) != (training.network, training.preset):
        raise SettingError(
            f"{name} holds the network {card.network} ({card.preset}), not {training.network} ({training.preset})"
        )
    return card


def _measure(training: NetworkTraining, recipe: Recipe, held_out: Sequence[Source]) -> dict[str, dict[str, float]]:
    """Measure on the validation part of each source, or on simulated columns that no training draws."""
    if training.simulated:
        return {"validation, simulated columns": validate(recipe, training.stream([], _VALIDATION_SEED))}
    return {
        f"validation, {source.name}, augmented": validate(recipe, training.stream(source.groups, _VALIDATION_SEED))
        for source in held_out
        if source.groups
    }
