"""The recurrent baseline is trained on the context network's patients, and only on known detections."""

import numpy as np
import pytest
import torch
from torch import nn

from spondyl.identify.bilstm import sequence_features
from spondyl.identify.targets import IGNORED, level_classes
from spondyl.learn.recipes.bilstm import BiLstmRecipe, SequenceBatch, SequenceStream, simulate_sequence
from spondyl.simulate.columns import draw_column


def test_both_recipes_draw_the_same_patients():
    """A sequence is the drawn column but for what was lost or is false."""
    for seed in range(30):
        column = draw_column(np.random.default_rng(seed))
        features, classes = simulate_sequence(np.random.default_rng(seed))
        own = sequence_features(column.logits, column.positions_mm)[:, :-1]
        known = level_classes(column.levels)
        for row, true in zip(features[:, :-1], classes, strict=True):
            if true != len(row):
                match = np.flatnonzero((own == row).all(1))
                assert len(match) == 1
                assert known[match[0]] == true


def test_a_batch_is_its_sequences_padded_with_nothing():
    stream = SequenceStream(batch=5, seed=3)
    batch = next(iter(stream))
    rng = np.random.default_rng((3, 0))
    for features, length, classes in zip(batch.features, batch.lengths, batch.classes, strict=True):
        own, known = simulate_sequence(rng)
        np.testing.assert_array_equal(features[0, :length], own)
        np.testing.assert_array_equal(classes[:length], known)
        assert not features[0, length:].any()
        assert (classes[length:] == IGNORED).all()


def test_false_detections_and_variants_occur_as_they_should():
    classes = np.concatenate([simulate_sequence(np.random.default_rng(seed))[1] for seed in range(300)])
    assert np.mean(classes == 24) == pytest.approx(0.05, abs=0.02)
    assert 0 < np.mean(classes == IGNORED) < 0.02  # T13 and L6


class Answer(nn.Module):
    """Predicts the same logits for every input."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, _features: torch.Tensor, _lengths: torch.Tensor) -> torch.Tensor:
        return self.logits


def loss_of(logits: torch.Tensor) -> float:
    classes = torch.tensor([[3, 0, IGNORED], [1, IGNORED, IGNORED]])
    batch = SequenceBatch(torch.zeros(2, 1, 3, 4), torch.tensor([2, 1]), classes)
    recipe = BiLstmRecipe(Answer(logits), steps=1)
    recipe.log = lambda *_: None
    return float(recipe.training_step(batch, 0).detach())


def test_the_loss_is_cross_entropy_over_known_detections():
    assert loss_of(torch.zeros(2, 1, 3, 4)) == pytest.approx(np.log(4))
    right = torch.zeros(2, 1, 3, 4)
    right[0, 0, 0, 3] = right[0, 0, 1, 0] = right[1, 0, 0, 1] = 40.0
    right[:, :, 2] = torch.randn(4) * 50
    assert loss_of(right) == pytest.approx(0, abs=1e-6)
