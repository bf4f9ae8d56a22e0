"""Laws of the stream of disc images: points lie on the discs that are shown, and what is uncertain is not taught."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from learn.painted import LEVELS, bodies, painted_exam
from spondyl.anatomy.disc import Disc
from spondyl.datasets.source import Exam
from spondyl.learn.augment import Augmentation
from spondyl.learn.recipes.discs import DiscBatch, DiscStream
from spondyl.locate.disc_channels import DISC_CHANNELS, POSTERIOR_CHANNEL, channel_of

SIZE = 160
STILL = Augmentation(rotation_deg=0.0, log_scale=0.0, stretch=0.0, bend_mm=0.0, shift=0.0)
UPPER, LOWER = (channel_of(Disc(*pair)) for pair in itertools.pairwise(LEVELS))


def draw(exam: Exam | None = None, *, count: int = 6, how: Augmentation = STILL) -> list[DiscBatch]:
    stream = DiscStream([[exam or painted_exam()]], batch=4, size=SIZE, seed=1)
    stream.augmentation = how
    return list(itertools.islice(stream, count))


@pytest.fixture
def as_painted(monkeypatch):
    """Pixels as they were painted: geometry alone is changed."""
    monkeypatch.setattr("spondyl.learn.recipes.discs.randomise_contrast", lambda images, *_: images)


@pytest.mark.usefixtures("as_painted")
def test_centres_lie_in_dark_gaps_between_the_bright_bodies_and_edges_on_their_line():
    compared = 0
    for batch in draw(how=Augmentation(bend_mm=0.0)):
        for image, points, channels in zip(batch.images[:, 0], batch.points, batch.channels, strict=True):
            for centre in points[(channels >= 0) & (channels < POSTERIOR_CHANNEL)].round().int():
                column = image[centre[0] - 8 : centre[0] + 9, centre[1]]
                if ((centre > 12) & (centre < torch.tensor(image.shape) - 12)).all():
                    assert image[centre[0], centre[1]] < 0.3
                    assert column[:8].max() > 0.7
                    assert column[9:].max() > 0.7
                    compared += 1
    assert compared > 20


def test_points_are_named_by_their_discs_and_each_has_a_posterior_edge_behind_it():
    for batch in draw():
        for points, channels in zip(batch.points, batch.channels, strict=True):
            named = channels[channels >= 0]
            discs = named[named < POSTERIOR_CHANNEL]
            assert set(discs.tolist()) <= {UPPER, LOWER}
            assert (named == POSTERIOR_CHANNEL).sum() == len(discs)
            centres, edges = points[: len(discs)], points[len(discs) : 2 * len(discs)]
            assert ((edges - centres)[:, 1] > 5).all()


def test_slices_in_which_no_disc_is_certain_teach_no_point_and_are_not_supervised_there():
    exam = painted_exam()
    unsure = replace(exam.outlines, certain=np.zeros_like(exam.outlines.certain))
    for batch in draw(replace(exam, outlines=unsure)):
        assert (batch.channels < 0).all()
        assert not batch.supervised.all()
        assert batch.supervised.any()


def test_the_places_above_and_below_the_labelled_discs_are_not_supervised():
    spacing = float(np.diff(bodies().mean(1)[:, 0]).mean()) * 0.8 / 1.2
    for batch in draw():
        for points, channels, supervised in zip(batch.points, batch.channels, batch.supervised[:, 0], strict=True):
            for channel, step in ((UPPER, -spacing), (LOWER, spacing)):
                (here,) = points[channels == channel][:1].tolist() or [None]
                if here is None or not 0 <= here[0] + step < SIZE or not 0 <= here[1] < supervised.shape[1]:
                    continue
                assert supervised[int(here[0]), int(here[1])]
                assert not supervised[int(here[0] + step), int(here[1])]


def test_the_same_seed_draws_the_same_batches():
    for one, other in zip(draw(count=2), draw(count=2), strict=True):
        for first, second in zip(one, other, strict=True):
            assert torch.equal(first, second)


def test_images_are_higher_than_wide():
    assert draw(count=1)[0].images.shape == (4, 1, SIZE, SIZE * 3 // 4)
    assert len(DISC_CHANNELS) == POSTERIOR_CHANNEL
