"""The recipe of the context network: simulated columns, as an appearance network sees them, and one step of learning.

The network reads only heights and probabilities, so it learns from columns drawn from published spacings, for every
field of view, rather than from the few real exams. An appearance network is imitated: it tells near levels apart badly,
the ends of the column well, errs alike on neighbours, and is now sure, now unsure.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import NUMBERINGS
from spondyl.anatomy.spacing import VID
from spondyl.geometry.affine import Float
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.identify.height_map import HeightMapSettings
from spondyl.identify.targets import IGNORED, ContextExample, context_example
from spondyl.learn.trainer import Recipe, Stream

_BODY_SHARE = 0.75
"""Height of a body over the distance to its neighbours; discs take the rest (0.7 in the neck to 0.8 in the chest)."""

HEIGHTS = HeightMapSettings(temperature=1.0)
"""How maps are drawn for this recipe. The published temperature of 10 leaves next to nothing of what an appearance
network says with a few nats; so drawn, the context network learnt to ignore its input."""

_SIZE_SD = 0.08
"""Spread of patients' sizes, as the ordered decoder assumes."""


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
    priors = np.array([numbering.prior for numbering in NUMBERINGS])
    levels = NUMBERINGS[rng.choice(len(priors), p=priors / priors.sum())].levels
    pairs = [VID.between(upper, lower) for upper, lower in pairwise(levels)]
    size = np.exp(rng.normal(0, _SIZE_SD))
    steps = size * np.array([max(5.0, rng.normal(p.mean_mm, p.sd_mm * VID.within_patient)) for p in pairs])
    # a curved column is seen in projection on the vertical
    heights = np.concatenate([[0], np.cumsum(steps * np.cos(np.deg2rad(rng.uniform(0, 35, len(steps)))))])
    reach = np.concatenate([steps[:1], (steps[1:] + steps[:-1]) / 2, steps[-1:]]) * _BODY_SHARE / 2
    first = int(rng.integers(1, len(levels) - 4))
    last = min(len(levels) - 1, first + int(rng.integers(3, 25)))
    seen = slice(first, last)
    top = heights[first] - rng.uniform(10, 60)
    height_mm = float(heights[last - 1] + rng.uniform(10, 60) - top)
    logits = _imitate_appearance(levels[seen], rng)
    return context_example(
        logits,
        heights[seen] - reach[seen] - top,
        heights[seen] + reach[seen] - top,
        height_mm,
        levels[seen],
        rng,
        settings=HEIGHTS,
    )


def _imitate_appearance(levels: tuple[Level, ...], rng: np.random.Generator) -> Float:
    """Logits (n, columns) that fall off with the distance from a place near the true level."""
    ranks = np.array([level.rank for level in OFFICIAL_COLUMNS], dtype=float)
    true = np.array([level.rank for level in levels], dtype=float)
    drift = rng.normal(0, rng.uniform(0, 1.2)) + np.cumsum(rng.normal(0, 0.15, len(true)))
    anchored = np.isin(true, [Level.C2.rank, Level.C3.rank, Level.S1.rank, Level.S2.rank])
    place = true + np.where(anchored, 0, drift) + rng.normal(0, 0.5, len(true))
    place = np.where(rng.random(len(true)) < 0.03, rng.uniform(ranks.min(), ranks.max(), len(true)), place)
    slope = rng.uniform(0.3, 4.5) * np.where(anchored, 2.0, 1.0)
    return np.asarray(
        -slope[:, None] * np.abs(ranks - place[:, None]) + rng.normal(0, rng.uniform(0.1, 0.8), (len(true), len(ranks)))
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
