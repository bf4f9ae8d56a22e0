"""Connected regions are those that scipy finds, at a cost that follows the set pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from spondyl.locate.regions import find_regions


def by_scipy(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.int32], int]:
    """Pixels, regions and their number, with regions joined in rows and columns only."""
    in_plane = np.zeros((3,) * mask.ndim, bool)
    in_plane[(1,) * (mask.ndim - 2)] = True
    labels, count = ndimage.label(mask, in_plane)
    pixels = np.flatnonzero(mask)
    return pixels, labels.ravel()[pixels] - 1, count


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 9), st.integers(1, 9)),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_regions_are_those_of_scipy_for_any_mask(shape: tuple[int, ...], share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random(shape) < share
    pixels, region, count = find_regions(mask)
    expected_pixels, expected_region, expected_count = by_scipy(mask)
    np.testing.assert_array_equal(pixels, expected_pixels)
    assert count == expected_count
    assert len(set(zip(region.tolist(), expected_region.tolist(), strict=True))) == count  # equal up to their names
    assert set(region.tolist()) == set(range(count))


@pytest.mark.parametrize(
    ("picture", "count"),
    [
        (["#.#", ".#.", "#.#"], 1),  # corners touch
        (["#####", "....#", "###.#", "#...#", "#####"], 1),  # a spiral joins its runs late
        (["#.#.#.#", "#.#.#.#", "#######"], 1),  # a comb joins many runs at once
        (["##..", "....", "..##"], 2),
        (["...#", "#..."], 2),  # the end of a row is not next to the beginning of the one below
    ],
)
def test_regions_as_worked_out_on_paper(picture: list[str], count: int) -> None:
    assert find_regions(np.array([[sign == "#" for sign in row] for row in picture]))[2] == count


def test_pictures_one_above_the_other_do_not_touch() -> None:
    assert find_regions(np.ones((4, 3, 5), bool))[2] == 4


def test_nothing_has_no_region() -> None:
    pixels, region, count = find_regions(np.zeros((2, 3, 4), bool))
    assert (len(pixels), len(region), count) == (0, 0, 0)
