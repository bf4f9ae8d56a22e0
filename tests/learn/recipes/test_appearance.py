"""Crops carry the class of the body that they show."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from learn.painted import LEVELS, bodies, painted_exam
from spondyl.identify.crops import CropGrid
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.learn.recipes import appearance
from spondyl.learn.recipes.appearance import AppearanceRecipe, CropBatch, CropStream

GRID = CropGrid(size=24, slices=4)


def stream(seed: int = 0) -> CropStream:
    exams = [[painted_exam()], [painted_exam("thin", slice_mm=2.0)]]
    return CropStream(exams, exams_per_batch=2, seed=seed, grid=GRID)


@pytest.fixture
def shown(monkeypatch):
    """Instances that were cropped, one list for each exam; pixels are left alone."""
    calls = []
    cut = appearance.appearance_crops

    def recording(stack, instances, grid):
        calls.append((stack, instances))
        return cut(stack, instances, grid)

    monkeypatch.setattr(appearance, "appearance_crops", recording)
    return calls


def test_every_crop_has_the_class_of_the_body_that_it_was_cut_around(shown):
    centres = dict(zip(LEVELS, bodies().mean(1), strict=True))
    for batch in itertools.islice(stream(), 10):
        instances = [instance for _, instances in shown for instance in instances]
        shown.clear()
        assert batch.crops.shape == (len(instances), 1, 24, 24, 4)
        for instance, column in zip(instances, batch.classes, strict=True):
            true = centres[OFFICIAL_COLUMNS[column]]
            # corners are jittered by 5 % of a body's edge; the next body is a whole edge away
            assert np.linalg.norm(instance.middle_outline.mean(0) - true) < 10


def test_a_body_out_of_the_field_of_view_is_not_asked_for(shown):
    counts = []
    for batch in itertools.islice(stream(seed=2), 12):
        assert len(batch.classes) > 0
        for stack, instances in shown:
            counts.append(len(instances))
            rows = stack.voxels[2].max(1)
            for instance in instances:
                assert rows[int(instance.middle_outline[:, 0].mean())] > 0.5
        shown.clear()
    assert min(counts) < len(LEVELS)
    assert max(counts) == len(LEVELS)


def test_crops_are_normalised_and_differ_between_draws_but_not_between_runs():
    first, second = itertools.islice(stream(seed=3), 2)
    for batch in (first, second):
        flat = batch.crops.flatten(1)
        torch.testing.assert_close(flat.amin(1), torch.zeros(len(flat)))
        assert torch.quantile(flat, 0.95, dim=1) == pytest.approx(np.ones(len(flat)), rel=0.05)
    again, resumed = stream(seed=3), stream(seed=3)
    resumed.first = 1
    torch.testing.assert_close(next(iter(again)).crops, first.crops, atol=0, rtol=0)
    torch.testing.assert_close(next(iter(resumed)).crops, second.crops, atol=0, rtol=0)
    assert first.crops.shape != second.crops.shape or (first.crops - second.crops).abs().max() > 0.1


class Answer(nn.Module):
    """Predicts the same logits for every input."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, _crops: torch.Tensor) -> torch.Tensor:
        return self.logits


def test_the_appearance_loss_falls_with_the_right_answer():
    batch = CropBatch(torch.zeros(2, 1, 4, 4, 2), torch.tensor([3, 20]))
    losses = []
    for strength in (-4.0, 0.0, 4.0):
        logits = torch.zeros(2, 24)
        logits[0, 3] = logits[1, 20] = strength
        recipe = AppearanceRecipe(Answer(logits), steps=1)
        recipe.log = lambda *_: None
        losses.append(float(recipe.training_step(batch, 0).detach()))
    assert losses[0] > losses[1] > losses[2]
    assert losses[1] == pytest.approx(np.log(24))
