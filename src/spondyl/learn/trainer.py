"""One trainer for every recipe: resumes where it stopped, averages the weights, runs on CPU or GPUs."""

from __future__ import annotations

import csv
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from spondyl.errors import SettingError

__all__ = ["Recipe", "Stream", "fit", "validate"]

Batch_co = TypeVar("Batch_co", covariant=True)

_AVERAGE_DECAY = 0.998
"""Decay of the running average of the weights: about the last 500 steps, and less early on, see `_average`."""


class Stream(IterableDataset[Batch_co], ABC):
    """An endless stream of batches, each drawn with a generator of its own, so that a resumed one goes on as before.

    Attributes:
        first: index of the batch with which iteration begins.

    Args:
        seed: of all randomness.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.first = 0

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Batch_co:
        """Draw one batch."""

    def __iter__(self) -> Iterator[Batch_co]:
        for index in itertools.count(self.first):
            yield self.draw(np.random.default_rng((self.seed, index)))


def fit(recipe: Recipe, stream: Stream[object], run: Path, *, steps_per_checkpoint: int = 100) -> None:
    """Train to the recipe's last step, from the last checkpoint in `run` where there is one.

    The network ends with the running average of its weights.

    Args:
        recipe: the network and its training step.
        stream: the batches.
        run: folder of checkpoints and the loss curve; made if it is missing.
        steps_per_checkpoint: how often a checkpoint replaces the one before.

    Raises:
        SettingError: the run was begun for another number of steps.
    """
    last = run / "last.ckpt"
    if last.exists():
        checkpoint = torch.load(last, map_location="cpu", weights_only=True)
        stream.first = _steps_done(checkpoint, recipe.steps)
        if stream.first == recipe.steps:
            # Lightning would leave the weights of the last step, not their average
            recipe.load_state_dict(checkpoint["state_dict"])
            return
    trainer = lightning.Trainer(
        max_steps=recipe.steps,
        precision="bf16-mixed",
        logger=_loss_curve(run, stream.first),
        callbacks=[
            ModelCheckpoint(
                run, filename="last", every_n_train_steps=steps_per_checkpoint, enable_version_counter=False
            ),
            WeightAveraging(avg_fn=_average),
        ],
        log_every_n_steps=10,
        gradient_clip_val=1.0,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    # a process of its own draws the next batches while the network is trained on this one
    batches = DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=4)
    trainer.fit(recipe, batches, ckpt_path=last if last.exists() else None)


def validate(recipe: Recipe, stream: Stream[object], *, batches: int = 20) -> dict[str, float]:
    """Measure a trained network on the first batches of a stream.

    Returns:
        The mean of each thing that the recipe logs; shares, such as the accuracy, in percent.
    """
    trainer = lightning.Trainer(
        precision="bf16-mixed",
        logger=False,
        limit_test_batches=batches,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    (logged,) = trainer.test(recipe, DataLoader(stream, batch_size=None, num_workers=1), verbose=False)
    measured = {name if name == "loss" else f"{name}_percent": value for name, value in logged.items()}
    return {name: round(value if name == "loss" else 100 * value, 3) for name, value in measured.items()}


def _average(average: Tensor, current: Tensor, averaged: Tensor | int) -> Tensor:
    """The running average with one more step; early on it forgets faster, or the random first weights would linger."""
    decay = min(_AVERAGE_DECAY, (1 + int(averaged)) / (10 + int(averaged)))
    return current + (average - current) * decay


def _steps_done(checkpoint: Mapping[str, Any], steps: int) -> int:
    planned = checkpoint["lr_schedulers"][0]["total_steps"]
    if planned != steps:
        # the schedule is the checkpoint's, and its learning rate has fallen to zero where it ends
        raise SettingError(
            f"the run was begun for {planned} steps, not {steps}: ask for {planned} or use another folder"
        )
    return int(checkpoint["global_step"])


def _loss_curve(run: Path, steps_done: int) -> CSVLogger:
    """The writer of `metrics.csv`, which holds what earlier sessions wrote; Lightning alone would delete it."""
    path = run / "metrics.csv"
    rows = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
    logger = CSVLogger(run, name="", version="")
    for row in rows:
        step = int(row.pop("step"))
        if step < steps_done:
            logger.log_metrics({name: float(value) for name, value in row.items() if value}, step)
    logger.save()
    return logger


class Recipe(lightning.LightningModule):
    """A network, a number of steps, and Adam on one cycle, which every recipe shares.

    The learning rate rises over the first 5 % of the steps and falls to zero along a cosine.

    Args:
        network: the network to train.
        steps: length of the schedule.
        learning_rate: peak of Adam's learning rate (the paper: 1e-3).
    """

    def __init__(self, network: nn.Module, *, steps: int, learning_rate: float = 1e-3) -> None:
        super().__init__()
        self.network = network
        self.steps, self.learning_rate = steps, learning_rate

    def test_step(self, *batch_and_index: Any) -> Tensor:
        """The loss that `validate` averages over the batches, computed as in training."""
        return cast(Tensor, self.training_step(*batch_and_index))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam and its schedule."""
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=self.learning_rate, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.learning_rate, self.steps, pct_start=0.05)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
