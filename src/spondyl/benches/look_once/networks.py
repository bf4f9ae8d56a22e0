"""Training of the compared point networks on discs of real spines, all by the trainer of the recipes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from spondyl.benches.look_once.judges import Judge
from spondyl.learn.recipes.look_once import BATCH, LEARNING_RATE, LookOnceRecipe, PointImages, PointStream
from spondyl.learn.trainer import fit
from spondyl.nets.look_once import LookOnce, PointNet
from spondyl.refine.look_once import MIN_PROBABILITY, disc_shares, fill_up, normalise_by_discs, normalise_by_median
from spondyl.simulate.disc_points import DiscChain, FalsePoints, NoisyDiscs, draw_image
from spondyl.types import Float, Mask

__all__ = ["train_judges"]

MAX_POINTS = 41
"""The most points of an image: 11 discs, 20 false points and 10 between the discs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    """The facts by which one compared network differs from another.

    Args:
        name: of the row of the table.
        build: makes the network.
        batch: images for each step.
        learning_rate: its peak.
        points: the only number of points that the network takes.
        is_as_published: normalised by the true discs, and trained on the first setting alone.
    """

    name: str
    build: Callable[[], nn.Module]
    batch: int = 64
    learning_rate: float = 1e-3
    points: int | None = None
    is_as_published: bool = False

    def coordinates(self, image: NoisyDiscs) -> Float:
        """Normalise the points of an image."""
        if self.is_as_published:
            return normalise_by_discs(image.points_mm, image.points_mm[image.is_disc])
        return normalise_by_median(image.points_mm)


TRAININGS = (
    _Training(name="pointnet", build=PointNet),
    _Training(name="published", build=lambda: PointNet("linear", MAX_POINTS), points=MAX_POINTS),
    _Training(name="leak", build=lambda: PointNet("linear", 20), points=20, is_as_published=True),
    _Training(name="equivariant", build=lambda: PointNet("equivariant")),
    _Training(name="compact", build=LookOnce, batch=BATCH, learning_rate=LEARNING_RATE),
)


def train_judges(
    chains: Sequence[DiscChain], settings: Sequence[FalsePoints], *, seed: int, shown: tuple[int, int], drawn: int
) -> dict[str, Judge]:
    """Train every network once.

    Args:
        chains: of the training spines.
        settings: each batch is of one, chosen at random.
        seed: of the networks' first weights and of all images.
        shown: images that are shown to each published form and to the proposed network.
        drawn: images of each setting, which are shown several times, turned.
    """
    pools = [
        PointImages(partial(draw_image, chains, how), drawn, seed=(seed, number)) for number, how in enumerate(settings)
    ]
    torch.set_num_threads(1)  # the benchmark runs on one core
    for pool in pools:
        pool.draw_all()  # before processes part
    return {training.name: _train(training, pools, seed, shown[training.build is LookOnce]) for training in TRAININGS}


def _train(training: _Training, pools: Sequence[PointImages], seed: int, shown: int) -> Judge:
    torch.manual_seed(seed)
    network = training.build()
    recipe = LookOnceRecipe(network, steps=shown // training.batch, learning_rate=training.learning_rate)
    stream = PointStream(
        pools[:1] if training.is_as_published else pools,
        batch=training.batch,
        seed=seed,
        points=training.points,
        normalise=training.coordinates,
    )
    with TemporaryDirectory() as run:
        fit(recipe, stream, Path(run), steps_per_checkpoint=recipe.steps)
    network.eval()

    def judge(image: NoisyDiscs) -> Mask:
        count = len(image.is_disc)
        points = fill_up(training.coordinates(image), training.points or count)
        with torch.inference_mode():
            logits = network(torch.as_tensor(points, dtype=torch.float32)[None, None])[0, 0, :count]
        return np.asarray(disc_shares(logits.numpy()) >= MIN_PROBABILITY)

    return judge
