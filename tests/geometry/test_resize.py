"""Laws of resizing: what is flat stays flat, what is straight stays in place, what is too fine vanishes."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spondyl.geometry.resize import resize_slices

EDGES = st.tuples(st.integers(20, 60), st.integers(20, 60))
SPACINGS = st.tuples(st.floats(0.4, 2.0), st.floats(0.4, 2.0))


def ramp(shape: tuple[int, int]) -> np.ndarray:
    """Two slices whose values say where they are: the row in one, the column in the other."""
    return np.stack(np.mgrid[: shape[0], : shape[1]]).astype(np.float32)


@given(edges=EDGES, pixel_mm=SPACINGS, target_mm=st.floats(0.5, 2.0), value=st.floats(-100, 100))
def test_a_constant_stays(edges, pixel_mm, target_mm, value):
    flat, _ = resize_slices(np.full((1, *edges), value, np.float32), np.array(pixel_mm), target_mm)
    np.testing.assert_allclose(flat, value, rtol=1e-5, atol=1e-5)


@given(edges=EDGES, pixel_mm=SPACINGS, target_mm=st.floats(0.5, 2.0))
def test_spacing_becomes_the_target_up_to_a_whole_number_of_pixels(edges, pixel_mm, target_mm):
    slices, scale = resize_slices(ramp(edges), np.array(pixel_mm), target_mm)
    new = np.array(slices.shape[1:])
    np.testing.assert_allclose(scale, np.array(edges) / new)
    field_mm = np.array(edges) * pixel_mm
    assert (np.abs(new * target_mm - field_mm) <= target_mm / 2 + 1e-9).all()


def interior(shape: tuple[int, ...], scale: np.ndarray) -> tuple[slice, slice]:
    """New pixels whose whole triangle lies in the image."""
    rows, columns = (int(np.ceil(1 / min(s, 1))) + 1 for s in scale)
    return slice(rows, shape[1] - rows), slice(columns, shape[2] - columns)


@given(edges=EDGES, pixel_mm=SPACINGS, target_mm=st.floats(0.5, 2.0))
def test_a_ramp_stays_in_place(edges, pixel_mm, target_mm):
    slices, scale = resize_slices(ramp(edges), np.array(pixel_mm), target_mm)
    expected = (ramp(slices.shape[1:]) + 0.5) * scale[:, None, None] - 0.5
    where = interior(slices.shape, scale)
    # exact where pixels shrink; where they grow by a broken factor, a triangle on whole pixels leans by up to 0.1
    tolerance = np.where(scale <= 1, 1e-4, 0.1)
    for axis in range(2):
        error = np.abs(slices[axis] - expected[axis])[where]
        assert error.max(initial=0) <= tolerance[axis]


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_ramp_is_exact_where_pixels_grow_by_a_whole_factor(factor):
    slices, scale = resize_slices(ramp((48, 60)), np.ones(2), float(factor))
    expected = (ramp(slices.shape[1:]) + 0.5) * factor - 0.5
    np.testing.assert_allclose(scale, factor)
    np.testing.assert_allclose(slices[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-4)


@given(edges=EDGES, spacing=st.floats(0.3, 3.0), seed=st.integers(0, 2**32))
def test_the_same_spacing_changes_nothing(edges, spacing, seed):
    slices = np.random.default_rng(seed).normal(size=(2, *edges)).astype(np.float32)
    same, scale = resize_slices(slices, np.full(2, spacing), spacing)
    np.testing.assert_allclose(same, slices, atol=1e-6)
    np.testing.assert_array_equal(scale, 1)


@pytest.mark.parametrize("factor", [2.0, 2.5, 3.0, 4.0])
def test_stripes_of_one_pixel_vanish_where_pixels_grow(factor):
    stripes = np.tile(np.array([1.0, -1.0], np.float32), (1, 120, 60))
    slices, _ = resize_slices(stripes, np.ones(2), factor)
    # picking every second pixel would keep them whole; of the triangle's 1, 2, 3, 2, 1 ninths one ninth is left
    assert np.abs(slices[:, 2:-2, 2:-2]).max() < 1 / 9 + 1e-3


@given(seed=st.integers(0, 2**32), pixel_mm=SPACINGS)
def test_slices_do_not_mix_and_the_input_is_left_alone(seed, pixel_mm):
    slices = np.random.default_rng(seed).normal(size=(3, 20, 25)).astype(np.float32)
    before = slices.copy()
    together, _ = resize_slices(slices, np.array(pixel_mm), 1.0)
    for k in range(3):
        alone, _ = resize_slices(slices[k : k + 1], np.array(pixel_mm), 1.0)
        np.testing.assert_allclose(alone[0], together[k], atol=1e-6)
    np.testing.assert_array_equal(slices, before)
    assert together.dtype == np.float32


def dense_weights(old: int, new: int) -> np.ndarray:
    """(new, old) triangles of the wider spacing around the new pixels' centres, cut at the image's edges."""
    centres = (np.arange(new) + 0.5) * old / new - 0.5
    weights = np.clip(1 - np.abs(centres[:, None] - np.arange(old)) / max(1, old / new), 0, None)
    return weights / weights.sum(1, keepdims=True)


@settings(max_examples=30, deadline=None)
@given(
    edges=st.tuples(st.integers(1, 20), st.sampled_from([7, 1024, 1025, 1500])),
    pixel_mm=SPACINGS,
    target_mm=st.floats(1.0, 4.0),
    seed=st.integers(0, 2**32),
)
def test_every_new_pixel_is_the_triangle_around_its_centre(edges, pixel_mm, target_mm, seed):
    slices = np.random.default_rng(seed).random((2, *edges), dtype=np.float32)
    resized, _ = resize_slices(slices, np.array(pixel_mm), target_mm)
    by_row, by_column = (dense_weights(old, new) for old, new in zip(edges, resized.shape[1:], strict=True))
    np.testing.assert_allclose(resized, by_row @ slices @ by_column.T, atol=1e-5)


def test_a_wide_image_is_resized_without_weights_for_all_pairs_of_pixels():
    slices = np.zeros((1, 20, 40_000), np.float32)
    tracemalloc.start()
    resized, _ = resize_slices(slices, np.array([1.0, 0.1]), 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert resized.shape == (1, 20, 4000)
    assert peak < 20e6  # the weights of all pairs would take 640 MB
