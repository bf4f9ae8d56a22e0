"""The recipe of the context network: simulated columns with simulated appearance logits, as height maps.

The network reads only heights and probabilities, so it is trained on columns drawn from published spacings, for every
field of view, rather than on the few real exams. `simulate.appearance` has the model of an appearance network.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spondyl.identify.height_map import HeightMapSettings
from spondyl.identify.targets import IGNORED, ContextExample, context_example
from spondyl.learn.recipes.table import TrainingRequest
from spondyl.learn.simulated import SIMULATED, SimulatedRecipe
from spondyl.learn.trainer import Stream
from spondyl.learn.training import UNFITTED_DECODER, NetworkTraining, train_network
from spondyl.simulate.columns import draw_column

__all__ = ["HEIGHTS", "ContextRecipe", "MapBatch", "MapStream", "simulate_map", "train_context"]

HEIGHTS = HeightMapSettings(temperature=1.0)
"""Settings of the maps of this recipe. The published temperature of 10 leaves next to nothing of logits of a few nats,
and a context network trained on such maps learnt to ignore its input."""


def train_context(request: TrainingRequest) -> None:
    """Train the context network."""
    training = NetworkTraining(
        network="context",
        preset="spinenet",
        steps=700,
        recipe=ContextRecipe,
        stream=lambda _, seed: MapStream(batch=16, seed=seed),
        settings=lambda _: UNFITTED_DECODER | {"height_temperature": HEIGHTS.temperature},
        simulated=SIMULATED,
    )
    train_network(training, request)


class MapBatch(NamedTuple):
    """Height maps (n, 1, rows, columns) and the column at each row (n, rows), `IGNORED` where nothing is known."""

    maps: Tensor
    classes: Tensor


class MapStream(Stream[MapBatch]):
    """Simulated height maps.

    Args:
        batch: maps for each step.
        seed: of all randomness.
    """

    def __init__(self, *, batch: int, seed: int) -> None:
        super().__init__(seed)
        self.batch = batch

    def draw(self, rng: np.random.Generator) -> MapBatch:
        """Draw maps, padded to the tallest."""
        examples = [simulate_map(rng) for _ in range(self.batch)]
        rows = max(len(example.classes) for example in examples)
        return MapBatch(
            torch.as_tensor(np.stack([_pad(example.heights, rows, 1, 0.0) for example in examples])),
            torch.as_tensor(np.stack([_pad(example.classes, rows, 0, IGNORED) for example in examples])),
        )


def simulate_map(rng: np.random.Generator) -> ContextExample:
    """Draw a column, a field of view, and an appearance network's logits of it, as a height map with its classes."""
    column = draw_column(rng)
    return context_example(
        column.logits, column.tops_mm, column.bottoms_mm, column.height_mm, column.levels, rng, settings=HEIGHTS
    )


def _pad(values: NDArray[np.generic], rows: int, axis: int, filler: float) -> NDArray[np.generic]:
    missing = [(0, rows - n if a == axis else 0) for a, n in enumerate(values.shape)]
    return np.pad(values, missing, constant_values=filler)


class ContextRecipe(SimulatedRecipe):
    """Learns levels at heights by cross entropy over the columns of each supervised row (section 4.4.2).

    The network maps (n, 1, rows, columns) to logits of the same shape.
    """

    def predict_rows(self, batch: MapBatch) -> Tensor:
        """Logits (n, rows, columns) of one batch."""
        logits: Tensor = self.network(batch.maps)[:, 0]
        return logits
