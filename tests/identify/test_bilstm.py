"""The recurrent baseline: what it reads, what it answers, and that the batched network is the single one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.identify.bilstm import recurrent_levels, sequence_features
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.nets.bilstm import BiLstm, BiLstmPreset


@st.composite
def detections(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 12))
    return rng.normal(size=(n, 24)) * 5, np.cumsum(rng.normal([0, 0, -25], 6, (n, 3)), axis=0), rng


@settings(max_examples=40)
@given(case=detections())
def test_where_the_patient_lies_and_numbers_added_to_rows_change_nothing(case):
    logits, positions, rng = case
    turned, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    moved = sequence_features(
        logits + rng.normal(size=(len(logits), 1)) * 9, positions @ turned + rng.normal(size=3) * 99
    )
    np.testing.assert_allclose(moved, sequence_features(logits, positions), atol=1e-5)


def test_features_are_log_probabilities_in_tens_of_nats_and_steps_of_thirty_millimetres():
    features = sequence_features(np.log([[0.5, 0.25, 0.25, 1e-9]] * 3), [[0, 0, 0], [0, 30, 0], [0, 30, -15]])
    said = np.log([0.5, 0.25, 0.25]) / 10
    for row, step in zip(features, (0, 1, 0.5), strict=True):
        np.testing.assert_allclose(row, [*said, -1, step], atol=1e-6)


def test_each_detection_gets_its_likeliest_level_and_the_last_column_means_none():
    answers = np.zeros((1, 1, 3, 25), np.float32)
    for place, column in enumerate((OFFICIAL_COLUMNS.index(Level.L3), 24, OFFICIAL_COLUMNS.index(Level.C2))):
        answers[0, 0, place, column] = 1
    given = recurrent_levels(np.zeros((3, 24)), np.zeros((3, 3)), lambda features: answers)
    assert given == (Level.L3, None, Level.C2)  # nothing keeps the order


def test_no_detection_has_no_level_and_asks_no_network():
    assert recurrent_levels(np.zeros((0, 24)), np.zeros((0, 3)), lambda _: pytest.fail("asked")) == ()


@pytest.mark.parametrize(
    ("logits", "positions", "said"),
    [
        (np.zeros((2, 24)), np.zeros((3, 3)), "positions"),
        (np.zeros(24), np.zeros((1, 3)), "positions"),
        (np.full((1, 24), np.nan), np.zeros((1, 3)), "numbers"),
        (np.zeros((1, 24)), [[0, 0, np.inf]], "numbers"),
    ],
)
def test_input_that_makes_no_sense_is_refused(logits, positions, said):
    with pytest.raises(SettingError, match=said):
        sequence_features(logits, positions)


def test_a_network_of_another_width_is_refused():
    with pytest.raises(SettingError, match=r"\(1, 1, 2, 25\)"):
        recurrent_levels(np.zeros((2, 24)), np.zeros((2, 3)), lambda features: features[..., :-1])


@pytest.fixture
def network() -> BiLstm:
    torch.manual_seed(0)
    return BiLstm(BiLstmPreset(columns=5, hidden=8)).eval()


def test_padding_changes_no_answer(network):
    long, short = torch.randn(1, 1, 9, 6), torch.randn(1, 1, 4, 6)
    padded = torch.cat([long, torch.nn.functional.pad(short, (0, 0, 0, 5), value=7.0)])
    with torch.inference_mode():
        together = network(padded, torch.tensor([9, 4]))
        torch.testing.assert_close(together[:1], network(long))
        torch.testing.assert_close(together[1:, :, :4], network(short))


def test_every_detection_hears_of_those_above_and_below(network):
    x = torch.randn(1, 1, 7, 6, requires_grad=True)
    network(x)[0, 0, 3].sum().backward()
    assert (x.grad[0, 0].abs().sum(1) > 0).all()


def test_features_of_another_width_are_refused(network):
    with pytest.raises(SettingError, match=r"\(B, 1, n, 6\)"):
        network(torch.zeros(1, 1, 3, 25))


def test_a_preset_of_nothing_is_refused():
    with pytest.raises(SettingError, match="at least 1"):
        BiLstmPreset(layers=0)
