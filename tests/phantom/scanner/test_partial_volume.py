"""Voxel values are the means of their sub-voxels: nothing is lost, and nothing is added."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spondyl.errors import SettingError
from spondyl.phantom.scanner.partial_volume import average_slice, find_supersampling, pick_centres

FACTORS = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
TABLE = np.array([0.0, 1.0, 10.0, -4.0], dtype=np.float32)


def painted(factors: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint16]:
    """Two slices of 4 by 5 voxels, with random parts in their sub-voxels."""
    shape = (2 * factors[0], 4 * factors[1], 5 * factors[2])
    return np.random.default_rng(seed).integers(0, len(TABLE), shape, dtype=np.uint16)


def slow_average(ids: NDArray[np.uint16], index: int, factors: tuple[int, int, int], weights: Sequence[float]) -> list:
    """Loop over every sub-voxel of every voxel."""
    depth, down, across = factors
    rows = []
    for row in range(ids.shape[1] // down):
        means = []
        for column in range(ids.shape[2] // across):
            total = 0.0
            for place in range(depth):
                layer = ids[index * depth + place, row * down : (row + 1) * down]
                values = [TABLE[part] for part in layer[:, column * across : (column + 1) * across].ravel()]
                total += weights[place] * sum(values) / len(values)
            means.append(total)
        rows.append(means)
    return rows


@given(FACTORS, st.integers(0, 1), st.integers(0, 99))
def test_a_slice_agrees_with_a_loop_over_all_sub_voxels(factors: tuple[int, int, int], index: int, seed: int) -> None:
    ids = painted(factors, seed)
    equal = [1 / factors[0]] * factors[0]
    np.testing.assert_allclose(
        average_slice(TABLE, ids, index, factors), slow_average(ids, index, factors, equal), atol=1e-5
    )
    rising = np.arange(1, factors[0] + 1) / sum(range(1, factors[0] + 1))
    np.testing.assert_allclose(
        average_slice(TABLE, ids, index, factors, rising), slow_average(ids, index, factors, list(rising)), atol=1e-5
    )


@given(FACTORS, st.integers(0, 99))
def test_the_mass_of_all_voxels_is_the_mass_of_all_sub_voxels(factors: tuple[int, int, int], seed: int) -> None:
    ids = painted(factors, seed)
    voxels = np.stack([average_slice(TABLE, ids, index, factors) for index in range(2)])
    assert voxels.sum() * np.prod(factors) == pytest.approx(float(TABLE[ids].sum()), abs=1e-2)


def test_a_voxel_of_one_part_has_its_value_and_shares_are_linear() -> None:
    factors = (2, 2, 2)
    ids = np.ones((2, 4, 4), dtype=np.uint16)
    ids[:, :2, :2] = 2
    ids[0, 2, 2] = 2
    assert average_slice(TABLE, ids, 0, factors).tolist() == [[10.0, 1.0], [1.0, 1.0 + 9 / 8]]


def test_a_sum_of_tables_averages_to_the_sum_of_averages() -> None:
    ids, other = painted((3, 2, 1)), np.array([5.0, 2.0, 0.5, 1.0], dtype=np.float32)
    both = average_slice(TABLE + other, ids, 1, (3, 2, 1))
    apart = average_slice(TABLE, ids, 1, (3, 2, 1)) + average_slice(other, ids, 1, (3, 2, 1))
    np.testing.assert_allclose(both, apart, atol=1e-5)


def test_complex_tables_keep_their_phase() -> None:
    table = np.array([1j, -1j, 2.0, 0.0], dtype=np.complex64)
    ids = np.array([[[0, 1], [2, 3]]], dtype=np.uint16)
    assert average_slice(table, ids, 0, (1, 2, 2)).tolist() == [[0.5 + 0j]]


@given(FACTORS)
def test_without_supersampling_the_centre_is_the_voxel_and_with_it_a_sub_voxel_inside(
    factors: tuple[int, int, int],
) -> None:
    coarse = np.arange(2 * 4 * 5, dtype=np.uint16).reshape(2, 4, 5)
    fine = coarse.repeat(factors[0], 0).repeat(factors[1], 1).repeat(factors[2], 2)
    for index in range(2):
        np.testing.assert_array_equal(pick_centres(fine, factors, index), coarse[index])


def test_the_centre_of_an_odd_number_of_sub_voxels_is_the_middle_one() -> None:
    ids = np.arange(27, dtype=np.uint16).reshape(3, 3, 3)
    assert pick_centres(ids, (3, 3, 3), 0).tolist() == [[13]]


@given(FACTORS, st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)))
def test_supersampling_is_the_factor_between_the_shapes(
    factors: tuple[int, int, int], coarse: tuple[int, int, int]
) -> None:
    fine = tuple(factor * size for factor, size in zip(factors, coarse, strict=True))
    assert find_supersampling(fine, coarse) == factors


@pytest.mark.parametrize("fine", [(3, 4, 4), (1, 4, 4), (4, 4, 6), (4, 4), (4, 4, 4, 4)])
def test_a_grid_that_is_no_whole_multiple_is_refused(fine: tuple[int, ...]) -> None:
    coarse = (2, 4, 4)[: len(fine)] + (4,) * (len(fine) - 3)
    with pytest.raises(SettingError, match="painted grid must be a whole multiple"):
        find_supersampling(fine, coarse)
