"""The recipe of the recurrent baseline: the context network's simulated columns, read as sequences of detections."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spondyl.identify.bilstm import sequence_features
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.identify.targets import IGNORED, level_classes
from spondyl.learn.recipes.table import TrainingRequest
from spondyl.learn.simulated import SIMULATED, SimulatedRecipe
from spondyl.learn.trainer import Stream
from spondyl.learn.training import NetworkTraining, train_network
from spondyl.simulate.columns import add_false_detections, draw_column, drop_detections

__all__ = ["BiLstmRecipe", "SequenceBatch", "SequenceStream", "simulate_sequence", "train_bilstm"]

_DROPPED = 0.1
"""Share of detections that are lost, as for the context network (section 4.4.2 of the paper)."""

_FALSE = 0.05
"""Chance of a false detection between two others."""


def train_bilstm(request: TrainingRequest) -> None:
    """Train the recurrent baseline."""
    training = NetworkTraining(
        network="bilstm",
        preset="compact",
        steps=3000,
        recipe=BiLstmRecipe,
        stream=lambda _, seed: SequenceStream(batch=64, seed=seed),
        settings=lambda _: {},
        simulated=SIMULATED,
    )
    train_network(training, request)


class SequenceBatch(NamedTuple):
    """Features (B, 1, n, columns + 1), lengths (B,) and classes (B, n), `IGNORED` past the end or where unknown."""

    features: Tensor
    lengths: Tensor
    classes: Tensor


class SequenceStream(Stream[SequenceBatch]):
    """Simulated sequences of detections.

    Args:
        batch: sequences for each step.
        seed: of all randomness.
    """

    def __init__(self, *, batch: int, seed: int) -> None:
        super().__init__(seed)
        self.batch = batch

    def draw(self, rng: np.random.Generator) -> SequenceBatch:
        """Draw sequences, padded at their ends to the longest."""
        drawn = [simulate_sequence(rng) for _ in range(self.batch)]
        lengths = [len(classes) for _, classes in drawn]
        features = np.zeros((len(drawn), 1, max(lengths), drawn[0][0].shape[1]), dtype=np.float32)
        padded = np.full((len(drawn), max(lengths)), IGNORED)
        for place, ((own, classes), length) in enumerate(zip(drawn, lengths, strict=True)):
            features[place, 0, :length], padded[place, :length] = own, classes
        return SequenceBatch(torch.as_tensor(features), torch.as_tensor(lengths), torch.as_tensor(padded))


def simulate_sequence(rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw a column with lost and false detections: features (n, columns + 1) and classes (n,).

    A false detection has the last class; T13 and L6, which have no column, are not supervised.
    """
    column = add_false_detections(drop_detections(draw_column(rng), rng, _DROPPED), rng, _FALSE)
    classes = level_classes(column.levels)
    classes[[level is None for level in column.levels]] = len(OFFICIAL_COLUMNS)
    return sequence_features(column.logits, column.positions_mm), classes


class BiLstmRecipe(SimulatedRecipe):
    """Learns the level of each detection by cross entropy."""

    def predict_rows(self, batch: SequenceBatch) -> Tensor:
        """Logits (B, n, classes) of one batch."""
        logits: Tensor = self.network(batch.features, batch.lengths.cpu())[:, 0]
        return logits
