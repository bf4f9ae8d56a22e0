"""The recipe of the look-once point network: discs of simulated columns among false points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spondyl.identify.targets import IGNORED
from spondyl.learn.recipes.table import TrainingRequest
from spondyl.learn.simulated import SimulatedRecipe
from spondyl.learn.trainer import Stream
from spondyl.learn.training import ExamGroups, NetworkTraining, train_network
from spondyl.refine.look_once import fill_up, normalise_by_median
from spondyl.simulate.disc_points import (
    ANY_FIELD,
    PAPER_FIELD,
    FalsePoints,
    FieldOfView,
    NoisyDiscs,
    add_false_points,
    choose_section,
    draw_chain,
)
from spondyl.types import Float

__all__ = [
    "BATCH",
    "LEARNING_RATE",
    "LookOnceRecipe",
    "PointBatch",
    "PointImages",
    "PointStream",
    "simulate_image",
    "train_look_once",
]

BATCH = 32
LEARNING_RATE = 5e-3
"""Five times the other recipes' peak; at twice as much F1 after 32,000 images fell by 0.012."""

_SIMULATED = (
    "discs of Spondyl's own phantoms (spondyl.phantom.column), drawn from published morphometry; licence: Apache-2.0",
)

_IMAGES = 8_000
"""Images of each field of view, drawn once and shown, turned, three times each in the mean."""

_MAX_TURN_RAD = 0.3
"""Largest turn of an image, by which patients are inclined."""

_MAX_FALSE, _MAX_CHANCE = 20, 0.25
"""Limits of the false points about the discs, of the chance of one between two discs and of that of a missed disc."""


def train_look_once(request: TrainingRequest) -> None:
    """Train the point network."""
    training = NetworkTraining(
        network="look-once",
        preset="compact",
        steps=1500,
        recipe=partial(LookOnceRecipe, learning_rate=LEARNING_RATE),
        stream=_make_stream,
        settings=lambda _: {},
        simulated=_SIMULATED,
    )
    train_network(training, request)


def _make_stream(_groups: ExamGroups, seed: int) -> PointStream:
    pools = [
        PointImages(partial(simulate_image, field=field), _IMAGES, seed=(seed, number))
        for number, field in enumerate((PAPER_FIELD, ANY_FIELD))
    ]
    return PointStream(pools, batch=BATCH, seed=seed)


def simulate_image(rng: np.random.Generator, field: FieldOfView = PAPER_FIELD) -> NoisyDiscs:
    """Draw a column, a field of view and any number of false points, some on the spine; some discs are missed."""
    how = FalsePoints(
        count=int(rng.integers(_MAX_FALSE + 1)),
        between=rng.uniform(0, _MAX_CHANCE) * rng.integers(2),
        missed=rng.uniform(0, _MAX_CHANCE) * rng.integers(2),
    )
    return add_false_points(choose_section(draw_chain(rng).points_mm, rng, field), how, rng, field)


class PointBatch(NamedTuple):
    """Normalised points (B, 1, n, 2) and classes (B, n), 1 for a disc, 0 for a false point, `IGNORED` if repeated."""

    points: Tensor
    classes: Tensor


class PointImages:
    """Images that are drawn when they are first asked for, each with a generator of its own.

    Args:
        draw: draws one.
        count: how many there are.
        seed: of all randomness, whole numbers.
    """

    def __init__(self, draw: Callable[[np.random.Generator], NoisyDiscs], count: int, *, seed: tuple[int, ...]) -> None:
        self._draw, self._count, self._seed = draw, count, seed
        self._drawn: dict[int, NoisyDiscs] = {}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> NoisyDiscs:
        if place not in self._drawn:
            self._drawn[place] = self._draw(np.random.default_rng((*self._seed, place)))
        return self._drawn[place]

    def draw_all(self) -> None:
        """Draw every image now, for several streams in processes of their own."""
        for place in range(self._count):
            self[place]


class PointStream(Stream[PointBatch]):
    """Images chosen and turned at random, those of a batch from one pool, since pools differ in numbers of points.

    Args:
        pools: images to choose from; each pool is drawn from equally often.
        batch: images for each step.
        seed: of all randomness.
        points: number to which the points of each image are filled up by repeating them; the largest of the batch when
            None.
        normalise: what makes coordinates of an image.
    """

    def __init__(
        self,
        pools: Sequence[PointImages],
        *,
        batch: int,
        seed: int,
        points: int | None = None,
        normalise: Callable[[NoisyDiscs], Float] = lambda image: normalise_by_median(image.points_mm),
    ) -> None:
        super().__init__(seed)
        self.pools, self.batch, self.points, self.normalise = pools, batch, points, normalise

    def draw(self, rng: np.random.Generator) -> PointBatch:
        """Draw a batch."""
        pool = self.pools[int(rng.integers(len(self.pools)))]
        chosen = [pool[place] for place in rng.integers(len(pool), size=self.batch).tolist()]
        count = self.points or max(len(image.is_disc) for image in chosen)
        turns = rng.uniform(-_MAX_TURN_RAD, _MAX_TURN_RAD, self.batch)
        points = [fill_up(_turn(self.normalise(image), turn), count) for image, turn in zip(chosen, turns, strict=True)]
        classes = np.full((self.batch, count), IGNORED)
        for row, image in zip(classes, chosen, strict=True):
            row[: len(image.is_disc)] = image.is_disc
        return PointBatch(torch.as_tensor(np.stack(points)[:, None], dtype=torch.float32), torch.as_tensor(classes))


def _turn(points: Float, angle_rad: float) -> Float:
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.asarray(points @ np.array([[cosine, sine], [-sine, cosine]]))


class LookOnceRecipe(SimulatedRecipe):
    """Learns which points are discs by cross entropy."""

    def predict_rows(self, batch: PointBatch) -> Tensor:
        """Logits (B, n, 2) of one batch."""
        logits: Tensor = self.network(batch.points)[:, 0]
        return logits
