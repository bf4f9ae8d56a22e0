"""Resizing keeps places, means and straight lines, and blurs rather than aliases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondyl.geometry.resize import resize_slices


@given(st.integers(8, 30), st.integers(8, 30), st.floats(1.0, 4.0) | st.integers(1, 4).map(lambda n: 1 / n))
def test_a_linear_field_keeps_its_value_at_every_place(rows: int, columns: int, pixel_mm: float) -> None:
    """When pixels shrink to 1 mm, or a whole number of them becomes one; between, weights are only nearly balanced."""
    rows, columns = (n * round(max(1.0, 1 / pixel_mm)) for n in (rows, columns))
    row, column = np.indices((rows, columns), dtype=np.float32)
    resized, scale = resize_slices((2 * row + 3 * column)[None], np.array([pixel_mm, pixel_mm]), 1.0)
    at_row, at_column = ((np.arange(n) + 0.5) * s - 0.5 for n, s in zip(resized.shape[1:], scale, strict=True))
    inner = np.ix_(  # beyond, the edge continues the image
        (at_row >= scale[0]) & (at_row <= rows - 1 - scale[0]),
        (at_column >= scale[1]) & (at_column <= columns - 1 - scale[1]),
    )
    expected = 2 * at_row[:, None] + 3 * at_column
    np.testing.assert_allclose(resized[0][inner], expected[inner], rtol=1e-4, atol=1e-3)


@given(st.floats(0.3, 2.5), st.floats(0.5, 2.0))
def test_a_constant_stays_constant(pixel: float, target: float) -> None:
    resized, _ = resize_slices(np.full((2, 17, 23), 7, np.float32), np.array([pixel, pixel]), target)
    np.testing.assert_allclose(resized, 7, rtol=1e-5)


def test_each_slice_is_resized_for_itself_and_the_input_kept() -> None:
    slices = np.random.default_rng(0).random((3, 30, 20), dtype=np.float32)
    before = slices.copy()
    together, _ = resize_slices(slices, np.array([0.6, 0.9]), 1.2)
    alone = [resize_slices(one[None], np.array([0.6, 0.9]), 1.2)[0][0] for one in slices]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_array_equal(slices, before)


def test_halving_weighs_the_pixels_by_a_triangle() -> None:
    line = np.arange(8, dtype=np.float32) ** 2
    resized, scale = resize_slices(np.tile(line[:, None], (1, 4))[None], np.array([0.6, 1.2]), 1.2)
    assert scale == pytest.approx([2, 1])
    # around 2.5: pixels 1 to 4 with weights 1/4, 3/4, 3/4, 1/4
    assert resized[0, 1, 0] == pytest.approx((1 + 3 * 4 + 3 * 9 + 16) / 8)


def test_stripes_finer_than_the_new_pixels_become_grey() -> None:
    stripes = np.tile(np.arange(64) % 2, (1, 64, 1)).astype(np.float32)
    resized, _ = resize_slices(stripes, np.array([0.25, 0.25]), 1.0)
    np.testing.assert_allclose(resized[:, :, 1:-1], 0.5, atol=1e-5)
