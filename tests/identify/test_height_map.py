"""The height-probability map and the targets of the two networks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.identify.height_map import HeightMapSettings, HeightSpan, height_map, padded_rows, read_rows
from spondyl.identify.targets import IGNORED, context_example, level_classes

FULL = HeightMapSettings(span=HeightSpan.FULL)


def test_the_full_span_runs_from_edge_to_edge_and_the_central_one_over_the_middle_half():
    logits = np.zeros((1, 24))
    full = height_map(logits, np.array([100.0]), np.array([140.0]), 300, FULL)
    central = height_map(logits, np.array([100.0]), np.array([140.0]), 300)
    assert np.flatnonzero(full.sum(1)).tolist() == list(range(100, 140))
    assert np.flatnonzero(central.sum(1)).tolist() == list(range(110, 130))


def test_drawn_rows_hold_the_softmax_at_a_tenth_of_the_logits():
    logits = np.random.default_rng(0).normal(size=(2, 24)) * 20
    picture = height_map(logits, np.array([10.0, 50.0]), np.array([30.0, 70.0]), 90)
    expected = np.exp(logits / 10) / np.exp(logits / 10).sum(1, keepdims=True)
    np.testing.assert_allclose(read_rows(picture, np.array([20.0, 60.0])), expected, rtol=1e-5)
    assert picture.dtype == np.float32


@given(st.lists(st.tuples(st.floats(-50, 600), st.floats(0.1, 60)), max_size=8), st.floats(1, 700))
def test_every_row_is_a_distribution_or_empty_and_every_detection_is_drawn(edges, height):
    tops = np.array([top for top, _ in edges])
    bottoms = tops + np.array([size for _, size in edges])
    picture = height_map(np.zeros((len(edges), 24)), tops, bottoms, height)
    sums = picture.sum(1)
    assert np.all((np.abs(sums - 1) < 1e-5) | (sums == 0))
    assert len(picture) % 256 == 0
    assert height <= len(picture) < height + 257
    assert np.all(read_rows(picture, (tops + bottoms) / 2).sum(1) > 0.99)


@pytest.mark.parametrize(("height", "rows"), [(1, 256), (256, 256), (256.5, 512), (800, 1024)])
def test_heights_are_padded_to_the_next_multiple(height, rows):
    assert padded_rows(height, 256) == rows


@pytest.mark.usefixtures("unchecked_types")
def test_maps_that_make_no_sense_are_refused():
    one = np.array([1.0])
    with pytest.raises(SettingError, match="every detection needs"):
        height_map(np.zeros((2, 24)), one, one, 100)
    with pytest.raises(SettingError, match="below"):
        height_map(np.zeros((1, 24)), one, one - 1, 100)
    with pytest.raises(SettingError, match="positive"):
        HeightMapSettings(temperature=0)


LEVELS = (Level.L3, Level.L4, Level.L5, Level.S1)
TOPS = np.array([20.0, 60.0, 100.0, 140.0])
BOTTOMS = TOPS + 30


def test_a_dropped_detection_is_supervised_but_not_drawn():
    logits = np.zeros((4, 24))
    example = context_example(logits, TOPS, BOTTOMS, 200, LEVELS, np.random.default_rng(0), dropout=1.0)
    assert not example.heights.any()
    assert example.heights.shape == (1, 256, 24)
    supervised = np.flatnonzero(example.classes != IGNORED)
    assert supervised.tolist() == [35, 75, 115, 155]
    assert [OFFICIAL_COLUMNS[c] for c in example.classes[supervised]] == list(LEVELS)


def test_detections_are_dropped_at_the_given_rate_and_by_the_given_generator():
    logits, rng = np.zeros((4, 24)), np.random.default_rng(3)
    maps = [context_example(logits, TOPS, BOTTOMS, 200, LEVELS, rng).heights for _ in range(500)]
    drawn = np.mean([[m[0, row].any() for row in (35, 75, 115, 155)] for m in maps])
    assert drawn == pytest.approx(0.9, abs=0.03)
    again = context_example(logits, TOPS, BOTTOMS, 200, LEVELS, np.random.default_rng(3))
    np.testing.assert_array_equal(again.heights, maps[0])


def test_an_undetected_vertebra_is_supervised_and_an_unknown_one_is_only_drawn():
    logits = np.zeros((4, 24))
    logits[0] = np.nan
    levels = (*LEVELS[:3], None)
    example = context_example(logits, TOPS, BOTTOMS, 200, levels, np.random.default_rng(0), dropout=0, whole_span=True)
    assert not example.heights[0, 20:50].any()
    assert (example.classes[20:50] == OFFICIAL_COLUMNS.index(Level.L3)).all()
    assert example.heights[0, 155].any()
    assert (example.classes[140:170] == IGNORED).all()


def test_levels_without_a_column_are_not_supervised():
    assert level_classes([Level.S1, Level.C2, Level.L6, Level.S2, None]).tolist() == [0, 23, IGNORED, IGNORED, IGNORED]
    with pytest.raises(SettingError, match="probability"):
        context_example(np.zeros((4, 24)), TOPS, BOTTOMS, 200, LEVELS, np.random.default_rng(0), dropout=2)
