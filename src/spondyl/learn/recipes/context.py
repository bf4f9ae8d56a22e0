"""The recipe of the context network: simulated columns, as an appearance network sees them, and one step of learning.

The network reads only heights and probabilities, so it learns from columns drawn from published spacings, for every
field of view, rather than from the few real exams. An appearance network is imitated: it tells near levels apart badly,
the ends of the column well, errs alike on neighbours, and is now sure, now unsure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from spondyl.identify.height_map import HeightMapSettings
from spondyl.identify.targets import IGNORED, ContextExample, context_example
from spondyl.learn.trainer import Recipe, Stream
from spondyl.simulate.columns import draw_column

__all__ = ["HEIGHTS", "ContextRecipe", "MapBatch", "MapStream", "simulate"]

HEIGHTS = HeightMapSettings(temperature=1.0)
"""How maps are drawn for this recipe. The published temperature of 10 leaves next to nothing of what an appearance
network says with a few nats; so drawn, the context network learnt to ignore its input."""


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
        """Maps of one height, padded to the tallest."""
        examples = [simulate(rng) for _ in range(self.batch)]
        rows = max(len(example.classes) for example in examples)
        return MapBatch(
            torch.as_tensor(np.stack([_pad(example.heights, rows, 1, 0.0) for example in examples])),
            torch.as_tensor(np.stack([_pad(example.classes, rows, 0, IGNORED) for example in examples])),
        )


def simulate(rng: np.random.Generator) -> ContextExample:
    """Draw a column, a field of view, and what an appearance network says of it."""
    column = draw_column(rng)
    return context_example(
        column.logits, column.tops_mm, column.bottoms_mm, column.height_mm, column.levels, rng, settings=HEIGHTS
    )


def _pad(values: NDArray[np.generic], rows: int, axis: int, filler: float) -> NDArray[np.generic]:
    missing = [(0, rows - n if a == axis else 0) for a, n in enumerate(values.shape)]
    return np.pad(values, missing, constant_values=filler)


class ContextRecipe(Recipe):
    """Learns levels at heights by cross entropy over the columns of each supervised row (section 4.4.2).

    The network maps (n, 1, rows, columns) to logits of the same shape.
    """

    def training_step(self, batch: MapBatch, _index: int) -> Tensor:
        """Loss of one batch."""
        logits = self.network(batch.maps)[:, 0].float()
        loss = nnf.cross_entropy(logits.permute(0, 2, 1), batch.classes, ignore_index=IGNORED)
        known = batch.classes != IGNORED
        self.log("loss", loss)
        self.log("accuracy", (logits.argmax(-1) == batch.classes)[known].float().mean())
        return loss
