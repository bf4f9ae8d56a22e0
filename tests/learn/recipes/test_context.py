"""Simulated columns are columns, and the context recipe is trained on supervised rows alone."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.identify.targets import IGNORED
from spondyl.learn.recipes.context import ContextRecipe, MapBatch, MapStream, simulate_map


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32))
def test_levels_descend_and_rows_are_probabilities_or_nothing(seed):
    example = simulate_map(np.random.default_rng(seed))
    known = example.classes[example.classes != IGNORED]
    ranks = [OFFICIAL_COLUMNS[column].rank for column in known]
    assert len(ranks) >= 2
    assert all(upper < lower for upper, lower in itertools.pairwise(ranks))
    sums = example.heights[0].sum(1)
    assert np.all((np.abs(sums - 1) < 1e-4) | (sums == 0))
    assert example.heights.shape == (1, len(example.classes), len(OFFICIAL_COLUMNS))


def test_neighbours_are_as_far_apart_as_vertebrae():
    gaps = []
    for seed in range(60):
        classes = simulate_map(np.random.default_rng(seed)).classes
        rows = np.flatnonzero(classes != IGNORED)
        ranks = np.array([OFFICIAL_COLUMNS[column].rank for column in classes[rows]])
        gaps += list(np.diff(rows)[np.diff(ranks) == 1])
    # from 12 mm in a small child-sized neck to 48 mm in a large lumbar spine
    assert min(gaps) > 8
    assert max(gaps) < 55
    assert 20 < np.mean(gaps) < 32


def test_a_simulated_appearance_is_mostly_near_the_truth_but_errs():
    near, right, rows_seen = [], [], 0
    for seed in range(60):
        example = simulate_map(np.random.default_rng(seed))
        for row in np.flatnonzero(example.classes != IGNORED):
            if example.heights[0, row].any():
                guess = OFFICIAL_COLUMNS[int(example.heights[0, row].argmax())].rank
                miss = abs(guess - OFFICIAL_COLUMNS[example.classes[row]].rank)
                near.append(miss <= 2)
                right.append(miss == 0)
                rows_seen += 1
    assert rows_seen > 300
    assert np.mean(near) > 0.85
    assert 0.3 < np.mean(right) < 0.8


def test_maps_of_a_batch_are_padded_to_one_height_with_nothing():
    stream = MapStream(batch=6, seed=4)
    for index, batch in enumerate(itertools.islice(stream, 3)):
        rng = np.random.default_rng((4, index))
        for heights, classes in zip(batch.maps, batch.classes, strict=True):
            example = simulate_map(rng)
            rows = len(example.classes)
            np.testing.assert_array_equal(heights[:, :rows], example.heights)
            np.testing.assert_array_equal(classes[:rows], example.classes)
            assert not heights[:, rows:].any()
            assert (classes[rows:] == IGNORED).all()


class Answer(nn.Module):
    """Predicts the same logits for every input."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, _maps: torch.Tensor) -> torch.Tensor:
        return self.logits


@pytest.fixture
def asked() -> MapBatch:
    classes = torch.full((2, 8), IGNORED)
    classes[0, 2], classes[1, 5] = 3, 1
    return MapBatch(torch.zeros(2, 1, 8, 4), classes)


def loss_of(logits: torch.Tensor, batch: MapBatch) -> float:
    recipe = ContextRecipe(Answer(logits), steps=1)
    recipe.log = lambda *_: None
    return float(recipe.training_step(batch, 0).detach())


def test_the_context_loss_is_cross_entropy_over_the_columns_of_known_rows(asked):
    assert loss_of(torch.zeros(2, 1, 8, 4), asked) == pytest.approx(np.log(4))
    right = torch.zeros(2, 1, 8, 4)
    right[0, 0, 2, 3] = right[1, 0, 5, 1] = 50.0
    assert loss_of(right, asked) == pytest.approx(0, abs=1e-6)
    elsewhere = right + 100 * torch.rand(2, 1, 8, 4) * (asked.classes == IGNORED)[:, None, :, None]
    assert loss_of(elsewhere, asked) == pytest.approx(0, abs=1e-6)
