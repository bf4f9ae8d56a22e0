"""Laws of the stream of training slices: what it says is where, is there."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.draw import polygon
from torch import nn

from learn.painted import painted_exam
from spondyl.anatomy.level import Level
from spondyl.learn.augment import Augmentation
from spondyl.learn.recipes.vfr import SliceStream, VfrBatch, VfrRecipe
from spondyl.locate.vfr_targets import render_targets

SIZE = 160


def stream(*, seed: int = 0, batch: int = 4, **how: float) -> SliceStream:
    made = SliceStream([[painted_exam()], [painted_exam("thin", slice_mm=2.0)]], batch=batch, size=SIZE, seed=seed)
    made.augmentation = Augmentation(**how)
    return made


def batches(made: SliceStream, count: int) -> list[VfrBatch]:
    return list(itertools.islice(made, count))


@pytest.fixture
def as_painted(monkeypatch):
    """Pixels as they were painted: geometry alone is changed."""
    monkeypatch.setattr("spondyl.learn.recipes.vfr.randomise_contrast", lambda images, *_: images)


def is_within(corners: torch.Tensor) -> bool:
    return bool(((corners > 1) & (corners < SIZE - 2)).all())


@pytest.mark.usefixtures("as_painted")
def test_corners_coincide_with_the_painted_bodies():
    compared = 0
    for batch in batches(stream(bend_mm=0.0), 6):
        for image, corners, certain in zip(batch.images[:, 0], batch.corners, batch.certain, strict=True):
            for body in corners[certain]:
                if not is_within(body):
                    continue
                drawn = np.zeros((SIZE, SIZE), bool)
                drawn[polygon(*body.numpy().T, drawn.shape)] = True
                # a margin about it, less than the 4 pixels to the next body
                low, high = body.min(0).values.int() - 1, body.max(0).values.int() + 2
                window = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])))
                seen = (image > 0.5).numpy()[window] & _near(body, 2.0)[window]
                overlap = (seen & drawn[window]).sum() / (seen | drawn[window]).sum()
                # the painting is true to half a source pixel: about 0.4 of the 100 pixels' rim of 500 pixels
                assert overlap > 0.9
                compared += 1
    assert compared > 20


def _near(body: torch.Tensor, margin: float) -> np.ndarray:
    grown = body.mean(0) + (body - body.mean(0)) * (1 + margin / 12)
    mask = np.zeros((SIZE, SIZE), bool)
    mask[polygon(*grown.numpy().T, mask.shape)] = True
    return mask


@pytest.mark.usefixtures("as_painted")
def test_bent_slices_show_bodies_where_their_centres_say():
    for batch in batches(stream(bend_mm=8.0), 4):
        for image, corners, certain in zip(batch.images[:, 0], batch.corners, batch.certain, strict=True):
            for body in corners[certain]:
                if is_within(body):
                    row, column = body.mean(0).round().int()
                    assert image[row, column] > 0.9


def test_uncertain_bodies_are_excluded_from_the_loss_and_certain_ones_are_not():
    uncertain, certain_centres = 0, 0
    for batch in batches(stream(seed=1), 8):
        for supervised, corners, certain in zip(batch.supervised[:, 0], batch.corners, batch.certain, strict=True):
            for body, is_certain in zip(corners, certain, strict=True):
                if is_within(body) and np.ptp(body.numpy(), axis=0).min() > 0:
                    row, column = body.mean(0).round().int()
                    assert supervised[row, column] == is_certain
                    uncertain += not is_certain
                    certain_centres += bool(is_certain)
    assert uncertain > 5
    assert certain_centres > 20


def test_the_body_above_the_topmost_is_uncertain_and_one_step_up():
    made = stream(rotation_deg=0, log_scale=0, stretch=0, bend_mm=0, shift=0)
    for batch in batches(made, 3):
        assert not batch.certain[:, 0].any()
        centres = batch.corners[:, :4].mean(2)
        torch.testing.assert_close(centres[:, 1] - centres[:, 0], centres[:, 2] - centres[:, 1])


def test_every_batch_has_its_own_randomness_and_a_resumed_stream_continues():
    whole = batches(stream(seed=5), 4)
    for one, other in itertools.combinations(whole, 2):
        assert one.images.shape != other.images.shape or (one.images - other.images).abs().max() > 0.1
    resumed = stream(seed=5)
    resumed.first = 2
    for expected, got in zip(whole[2:], batches(resumed, 2), strict=True):
        for a, b in zip(expected, got, strict=True):
            torch.testing.assert_close(a, b, atol=0, rtol=0)
    assert (batches(stream(seed=6), 1)[0].images - whole[0].images).abs().max() > 0.1


def test_groups_are_drawn_from_alike_whatever_their_size():
    dark, bright = painted_exam("dark"), painted_exam("bright", slice_mm=2.0)
    made = SliceStream([[dark] * 9, [bright]], batch=1, size=32, seed=0)
    rng = np.random.default_rng(0)
    spacings = [made._view(rng).pixel_mm is made.groups[1][0].pixel_mm for _ in range(300)]
    # binomial of 300 with one half: 4 standard deviations
    assert abs(np.mean(spacings) - 0.5) < 0.12


def test_slices_that_show_all_bodies_are_drawn_most():
    exam = painted_exam()
    o = exam.outlines
    # L4 is certain in slice 2 alone, as a hand-drawn S1 is
    certain = o.certain & ((o.levels != Level.L4) | (o.slices == 2))
    exam = replace(exam, outlines=replace(o, certain=certain))
    made = SliceStream([[exam]], batch=1, size=32, seed=0)
    rng = np.random.default_rng(0)
    seen = np.bincount([int(made._view(rng).certain.sum()) for _ in range(500)], minlength=4) / 500
    # 60 % of the draws take slice 2, 30 % one of three, 10 % one of five; 4 standard deviations are 0.09
    np.testing.assert_allclose(seen[[0, 2, 3]], [0.04, 0.24, 0.72], atol=0.09)
    assert seen[1] == 0


class Oracle(nn.Module):
    """Gives the targets of one batch, plus an error that is learnt."""

    def __init__(self, targets: torch.Tensor) -> None:
        super().__init__()
        self.targets, self.error = targets, nn.Parameter(torch.zeros_like(targets))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.targets + self.error


def test_a_perfect_network_has_no_loss_and_an_error_that_is_not_supervised_costs_nothing():
    batch = batches(stream(seed=1), 3)[2]
    targets, _ = render_targets(batch.corners, batch.certain, (SIZE, SIZE))
    network = Oracle(targets)
    recipe = VfrRecipe(network, steps=1)
    recipe.log = lambda *_: None
    assert recipe.training_step(batch, 0) == 0
    unsupervised = ~batch.supervised.expand_as(targets)
    assert unsupervised.any()
    network.error.data[unsupervised] = 1.0
    assert recipe.training_step(batch, 0) == 0
    network.error.data[~unsupervised] = 1.0
    assert recipe.training_step(batch, 0) > 0
