"""The recipe of the look-once point network: discs of simulated columns among false points."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spondyl.identify.targets import IGNORED
from spondyl.learn.recipes.table import TrainingRequest
from spondyl.learn.simulated import SIMULATED, SimulatedRecipe
from spondyl.learn.trainer import Stream
from spondyl.learn.training import NetworkTraining, train_network
from spondyl.refine.look_once import fill_up, normalise_by_median
from spondyl.simulate.disc_points import (
    ANY_FIELD,
    PAPER_FIELD,
    FalsePoints,
    NoisyDiscs,
    add_false_points,
    choose_section,
    draw_chain,
)
from spondyl.types import Float

__all__ = ["LookOnceRecipe", "PointBatch", "PointImages", "PointStream", "simulate_image", "train_look_once"]

BATCH = 32
_IMAGES = 24_000
"""Images that are drawn once and then shown, turned, about six times each."""

_MAX_TURN_RAD = 0.3
"""Largest turn of an image, by which patients are inclined."""

_MAX_FALSE, _MAX_CHANCE = 20, 0.25
"""Limits of the false points about the discs, of the chance of one between two discs and of that of a missed disc."""


def train_look_once(request: TrainingRequest) -> None:
    """Train the point network."""
    training = NetworkTraining(
        network="look-once",
        preset="compact",
        steps=4500,
        recipe=LookOnceRecipe,
        stream=lambda _, seed: PointStream(PointImages(simulate_image, _IMAGES, seed), batch=BATCH, seed=seed),
        settings=lambda _: {},
        simulated=SIMULATED,
    )
    train_network(training, request)


def simulate_image(rng: np.random.Generator) -> NoisyDiscs:
    """Draw a column, a field of view and false points of any number, some of them on the spine; some discs are missed."""
    how = FalsePoints(
        count=int(rng.integers(_MAX_FALSE + 1)),
        between=rng.uniform(0, _MAX_CHANCE) * rng.integers(2),
        missed=rng.uniform(0, _MAX_CHANCE) * rng.integers(2),
    )
    field = PAPER_FIELD if rng.integers(2) else ANY_FIELD
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
        seed: of all randomness.
    """

    def __init__(self, draw: Callable[[np.random.Generator], NoisyDiscs], count: int, seed: int) -> None:
        self._draw, self._count, self._seed = draw, count, seed
        self._drawn: dict[int, NoisyDiscs] = {}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> NoisyDiscs:
        if place not in self._drawn:
            self._drawn[place] = self._draw(np.random.default_rng((self._seed, _OWN, place)))
        return self._drawn[place]


_OWN = 1
"""Separates the generators of images from those of the stream."""


class PointStream(Stream[PointBatch]):
    """Images chosen and turned at random.

    Args:
        images: to choose from.
        batch: images for each step.
        seed: of all randomness.
        points: number to which the points of each image are filled up by repeating them; the largest of the batch when
            None.
        normalise: what makes coordinates of an image.
    """

    def __init__(
        self,
        images: PointImages,
        *,
        batch: int,
        seed: int,
        points: int | None = None,
        normalise: Callable[[NoisyDiscs], Float] = lambda image: normalise_by_median(image.points_mm),
    ) -> None:
        super().__init__(seed)
        self.images, self.batch, self.points, self.normalise = images, batch, points, normalise

    def draw(self, rng: np.random.Generator) -> PointBatch:
        """Draw a batch."""
        chosen = [self.images[int(place)] for place in rng.integers(len(self.images), size=self.batch)]
        count = self.points or max(len(image.is_disc) for image in chosen)
        turns = rng.uniform(-_MAX_TURN_RAD, _MAX_TURN_RAD, self.batch)
        points = [
            fill_up(_turn(self.normalise(image), turn), count) for image, turn in zip(chosen, turns, strict=True)
        ]
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
