"""Laws of the map between voxels and the world."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geometry.grids import affines
from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine

few = settings(max_examples=30, deadline=None)  # a shared machine may pause at any time
points = arrays(np.float64, (5, 3), elements=st.floats(-300, 300))


@few
@given(affines(), points)
def test_to_index_undoes_to_world(affine: Affine, indices: np.ndarray) -> None:
    np.testing.assert_allclose(affine.to_index(affine.to_world(indices)), indices, atol=1e-6)


@few
@given(affines(), points)
def test_many_points_map_as_each_of_them_does(affine: Affine, indices: np.ndarray) -> None:
    one_by_one = np.array([affine.to_world(index) for index in indices])
    np.testing.assert_allclose(affine.to_world(indices), one_by_one, atol=1e-9)
    np.testing.assert_allclose(affine.to_world(indices.reshape(1, 5, 1, 3)).reshape(5, 3), one_by_one, atol=1e-9)


@few
@given(affines(), affines(), points)
def test_composition_maps_indices_first(affine: Affine, other: Affine, indices: np.ndarray) -> None:
    composed = affine @ other.matrix
    np.testing.assert_allclose(composed.to_world(indices), affine.to_world(other.to_world(indices)), atol=1e-6)


@few
@given(affines())
def test_spacing_and_directions_rebuild_the_affine(affine: Affine) -> None:
    rebuilt = Affine.from_axes(affine.directions, affine.spacing_mm, affine.to_world((0, 0, 0)))
    np.testing.assert_allclose(rebuilt.matrix, affine.matrix, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(affine.directions, axis=0), 1)


def test_neighbouring_voxels_are_one_spacing_apart() -> None:
    affine = Affine.from_axes(np.eye(3), (0.5, 1.0, 4.0), (10, 20, 30))
    np.testing.assert_array_equal(affine.to_world((2, 3, 1)), (11, 23, 34))


def test_the_matrix_is_a_copy_that_nobody_can_change() -> None:
    matrix = np.eye(4)
    affine = Affine(matrix)
    matrix[0, 0] = 9
    assert affine.matrix[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        affine.matrix[0, 0] = 2


@pytest.mark.parametrize("scale", [1e-4, 1e9])
def test_any_unit_of_length_gives_an_affine(scale: float) -> None:
    assert Affine(np.diag([scale, scale, scale, 1])).spacing_mm == pytest.approx(scale)


@pytest.mark.parametrize(
    "matrix",
    [np.eye(3), np.full((4, 4), np.nan), np.diag([1.0, 1, 0, 1]), np.diag([1.0, 1, 1, 2]), np.ones((4, 4))],
)
def test_what_is_no_invertible_affine_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(SettingError, match="an affine must be"):
        Affine(matrix)
