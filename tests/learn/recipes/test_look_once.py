"""The point network is trained on images of every kind, turned and filled up without a trace."""

import numpy as np
import pytest
import torch
from torch import nn

from spondyl.identify.targets import IGNORED
from spondyl.learn.recipes.look_once import LookOnceRecipe, PointBatch, PointImages, PointStream, simulate_image
from spondyl.nets.look_once import LookOnce, PointNet
from spondyl.refine.look_once import normalise_by_median
from spondyl.simulate.disc_points import ANY_FIELD, PAPER_FIELD


def pools(count=6, seed=0):
    return [PointImages(simulate_image, count, seed=(seed, number)) for number in range(2)]


def test_an_image_is_the_same_whenever_and_wherever_it_is_asked_for():
    one, other = pools()[0], pools()[0]
    other.draw_all()
    for place in (4, 0, 4):
        np.testing.assert_array_equal(one[place].points_mm, other[place].points_mm)
    assert (pools(seed=1)[0][0].points_mm[:3] != one[0].points_mm[:3]).any()


@pytest.mark.parametrize("field", [PAPER_FIELD, ANY_FIELD], ids=["paper", "any"])
def test_images_show_few_and_many_discs_with_no_false_point_and_with_many(field):
    images = [simulate_image(np.random.default_rng(seed), field) for seed in range(150)]
    discs = [int(image.is_disc.sum()) for image in images]
    false = [int((~image.is_disc).sum()) for image in images]
    assert min(false) == 0
    assert max(false) > 18
    assert min(discs) <= 4
    assert max(discs) >= (11 if field is PAPER_FIELD else 20)


def test_a_batch_is_normalised_images_of_one_pool_turned_and_filled_up():
    batch = next(iter(PointStream(pools(), batch=5, seed=3)))
    rng = np.random.default_rng((3, 0))
    pool = pools()[int(rng.integers(2))]
    images = [pool[place] for place in rng.integers(6, size=5).tolist()]
    count = max(len(image.is_disc) for image in images)
    assert batch.points.shape == (5, 1, count, 2)
    for points, classes, image in zip(batch.points[:, 0].numpy(), batch.classes.numpy(), images, strict=True):
        n = len(image.is_disc)
        np.testing.assert_array_equal(classes[:n], image.is_disc)
        assert (classes[n:] == IGNORED).all()
        np.testing.assert_array_equal(points[n:], points[np.arange(n, count) % n])
        own = normalise_by_median(image.points_mm)
        np.testing.assert_allclose(np.linalg.norm(points[:n], axis=1), np.linalg.norm(own, axis=1), atol=1e-5)
        far = np.linalg.norm(own, axis=1) > 0.1  # the median point may be at the origin
        turns = np.angle((points[:n] @ [1, 1j])[far] / (own @ [1, 1j])[far])
        np.testing.assert_allclose(turns, turns[0], atol=1e-4)
        assert abs(turns[0]) < 0.3


@pytest.mark.parametrize("build", [LookOnce, PointNet, lambda: PointNet("equivariant")])
def test_repeated_points_change_no_logit(build):
    torch.manual_seed(0)
    network = build().eval()
    points = torch.randn(1, 1, 7, 2)
    with torch.inference_mode():
        filled = network(points[:, :, torch.arange(16) % 7])
        torch.testing.assert_close(filled[:, :, :7], network(points), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(filled[:, :, 7:14], filled[:, :, :7], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("relation", "is_equivariant"), [(None, True), ("equivariant", True), ("linear", False)])
def test_only_the_authors_relation_depends_on_the_order_of_the_points(relation, is_equivariant):
    torch.manual_seed(0)
    network = PointNet(relation, points=9).eval()
    points, order = torch.randn(1, 1, 9, 2), torch.randperm(9)
    with torch.inference_mode():
        apart = (network(points[:, :, order]) - network(points)[:, :, order]).abs().max()
    assert bool(apart < 1e-5) is is_equivariant


def test_the_published_network_has_the_published_number_of_parameters():
    assert sum(parameter.numel() for parameter in PointNet("linear").parameters()) == 1_669_037


class Answer(nn.Module):
    """Predicts the same logits for every input."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, _points: torch.Tensor) -> torch.Tensor:
        return self.logits


def test_the_loss_is_cross_entropy_over_points_that_are_not_repeated():
    logits = torch.zeros(1, 1, 3, 2)
    logits[0, 0, 2] = torch.tensor([50.0, -50.0])
    recipe = LookOnceRecipe(Answer(logits), steps=1)
    recipe.log = lambda *_: None
    batch = PointBatch(torch.zeros(1, 1, 3, 2), torch.tensor([[1, 0, IGNORED]]))
    assert float(recipe.training_step(batch, 0).detach()) == pytest.approx(np.log(2))
