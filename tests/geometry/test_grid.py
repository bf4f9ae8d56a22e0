"""A grid's crops, corners and turned copies keep every voxel in its place."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geometry.grids import affines
from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.geometry.grid import Grid

SHAPES = st.tuples(*[st.integers(1, 6)] * 3)


def centres(grid: Grid) -> np.ndarray:
    """The centre of every voxel, in the order of the grid, (i, j, k, 3)."""
    return grid.affine.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))


@given(affine=affines(), shape=SHAPES, data=st.data())
def test_a_crop_holds_the_voxels_of_the_slice(affine: Affine, shape: tuple[int, int, int], data: st.DataObject) -> None:
    start = [data.draw(st.integers(0, n - 1)) for n in shape]
    stop = [data.draw(st.integers(first + 1, n)) for first, n in zip(start, shape, strict=True)]
    cropped = Grid(shape, affine).crop(start, stop)
    kept = tuple(map(slice, start, stop))
    np.testing.assert_allclose(centres(cropped), centres(Grid(shape, affine))[kept], atol=1e-9)


@given(
    affine=affines(),
    shape=SHAPES,
    axes=st.sampled_from(list(permutations(range(3)))),
    flips=st.sampled_from(list(product((False, True), repeat=3))),
)
def test_a_grid_turned_by_an_index_map_is_that_of_the_turned_voxels(
    affine: Affine, shape: tuple[int, int, int], axes: tuple[int, ...], flips: tuple[bool, ...]
) -> None:
    index_map = np.zeros((4, 4))
    index_map[3, 3] = 1
    for new, (old, is_flipped) in enumerate(zip(axes, flips, strict=True)):
        index_map[old, new] = -1 if is_flipped else 1
        index_map[old, 3] = shape[old] - 1 if is_flipped else 0
    turned = Grid(shape, affine) @ index_map
    voxels = np.flip(centres(Grid(shape, affine)).transpose(*axes, 3), tuple(np.flatnonzero(flips)))
    assert turned.shape == voxels.shape[:3]
    np.testing.assert_allclose(centres(turned), voxels, atol=1e-9)


@given(affine=affines(), shape=SHAPES)
def test_corners_are_the_outermost_centres(affine: Affine, shape: tuple[int, int, int]) -> None:
    ends = centres(Grid(shape, affine))[:: max(1, shape[0] - 1), :: max(1, shape[1] - 1), :: max(1, shape[2] - 1)]
    corners = Grid(shape, affine).corners_ras_mm
    assert corners.shape == (8, 3)
    for end in ends.reshape(-1, 3):
        assert np.abs(corners - end).max(axis=1).min() < 1e-9


@given(affine=affines(), shape=SHAPES)
def test_a_grid_contains_its_voxels_to_their_faces_and_nothing_beyond(
    affine: Affine, shape: tuple[int, int, int]
) -> None:
    grid = Grid(shape, affine)
    assert grid.contains(centres(grid)).all()
    for axis in range(3):
        for end, outwards in ((0, -1), (shape[axis] - 1, 1)):
            index = (np.array(shape) - 1) / 2
            index[axis] = end + 0.499 * outwards
            assert grid.contains(affine.to_world(index))
            index[axis] = end + 0.501 * outwards
            assert not grid.contains(affine.to_world(index))


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 5), (2, 0, 4), (2, -1, 4), (2, 2.5, 4)])
def test_what_is_no_grid_is_refused(shape: tuple[float, ...]) -> None:
    with pytest.raises(SettingError, match="three positive whole numbers, got"):
        Grid(shape, Affine(np.eye(4)))  # type: ignore[arg-type]


@pytest.mark.parametrize(("start", "stop"), [((0, 0, 0), (5, 3, 3)), ((-1, 0, 0), (2, 2, 2)), ((1, 1, 1), (1, 2, 2))])
def test_a_crop_beyond_the_grid_or_of_nothing_is_refused(start: tuple[int, ...], stop: tuple[int, ...]) -> None:
    with pytest.raises(SettingError, match="must lie within the grid"):
        Grid((4, 4, 4), Affine(np.eye(4))).crop(start, stop)


@pytest.mark.parametrize(
    "index_map",
    [np.diag([2.0, 1, 1, 1]), np.eye(4)[[0, 0, 2, 3]], np.diag([-1.0, 1, 1, 1]), np.eye(4) + np.eye(4, k=3)],
    ids=["scaled", "singular", "flipped out of the grid", "shifted"],
)
def test_a_map_that_does_more_than_permute_and_flip_is_refused(index_map: np.ndarray) -> None:
    with pytest.raises(SettingError, match="permutes and flips its axes"):
        Grid((4, 4, 4), Affine(np.eye(4))) @ index_map
