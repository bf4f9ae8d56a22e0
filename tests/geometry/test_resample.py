"""Becoming sagittal moves nothing: a world point keeps its place and its value."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

import spondyl.geometry.resample
from geometry.grids import affines
from ramps import assert_is_ramp, ramp, ramp_volume
from spondyl.errors import InputError
from spondyl.geometry.affine import Affine
from spondyl.geometry.resample import left_right_obliquity_deg, sagittal_axes, to_sagittal

few = settings(max_examples=30, deadline=None)  # a shared machine may pause at any time
shapes = st.tuples(*[st.integers(11, 15)] * 3)
TIGHT = 0.01


@few
@given(affines(max_turn_deg=28, min_mm=2, max_mm=5), shapes)
def test_a_coarse_grid_is_only_permuted_and_flipped(affine: Affine, shape: tuple[int, int, int]) -> None:
    voxels = ramp_volume(affine, shape)
    before = voxels.copy()
    stack, warnings = to_sagittal(voxels, affine)
    assert_is_ramp(stack.voxels, stack.affine, TIGHT)
    np.testing.assert_array_equal(np.sort(stack.voxels, axis=None), np.sort(voxels, axis=None))
    np.testing.assert_array_equal(voxels, before)
    assert warnings == ()


@few
@given(affines(max_turn_deg=28, min_mm=0.4, max_mm=1.95), shapes, st.floats(2, 5))
def test_thin_slices_become_slabs_whose_affine_is_exact(
    affine: Affine, shape: tuple[int, int, int], slab_mm: float
) -> None:
    shape = tuple(np.maximum(shape, np.ceil(20.1 / affine.spacing_mm)).astype(int))
    stack, warnings = to_sagittal(ramp_volume(affine, shape), affine, slab_mm=slab_mm)
    assert_is_ramp(stack.voxels, stack.affine, TIGHT)
    across = sagittal_axes(affine)[0]
    averaged = round(stack.slice_mm / affine.spacing_mm[across])
    assert stack.slice_mm == pytest.approx(slab_mm, abs=0.5 * affine.spacing_mm[across] + 1e-6)
    assert 0 <= shape[across] - averaged * stack.voxels.shape[0] < averaged
    assert len(warnings) == (averaged > 1)


@few
@given(affines(max_turn_deg=28, min_mm=0.5, max_mm=1.5))
def test_slabs_can_be_declined(affine: Affine) -> None:
    shape = (45, 45, 45)
    stack, warnings = to_sagittal(np.zeros(shape, np.float32), affine, slab_mm=0)
    assert stack.voxels.shape == shape
    assert warnings == ()


@few
@given(affines(min_mm=1, max_mm=5), shapes)
def test_a_strongly_oblique_grid_is_interpolated_onto_the_worlds_axes(
    affine: Affine, shape: tuple[int, int, int]
) -> None:
    assume(left_right_obliquity_deg(affine) > 30)
    shape = tuple(np.maximum(shape, np.ceil(20.1 / affine.spacing_mm)).astype(int))
    stack, warnings = to_sagittal(ramp_volume(affine, shape), affine)
    np.testing.assert_allclose(np.abs(stack.affine.directions).max(axis=0), 1, atol=1e-12)
    points = stack.affine.to_world(np.moveaxis(np.indices(stack.voxels.shape), 0, -1))
    is_inside = _is_inside(affine.to_index(points), shape, margin=2 / affine.spacing_mm)
    difference = np.abs(stack.voxels - ramp(points))[is_inside]
    assert difference.size == 0 or difference.max() < 0.05
    assert any("resampled" in sentence for sentence in warnings)


def _is_inside(indices: NDArray[np.float64], shape: tuple[int, ...], margin: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(((indices >= margin) & (indices <= np.array(shape) - 1 - margin)).all(axis=-1))


def test_interpolation_keeps_the_whole_volume() -> None:
    turn = Rotation.from_euler("z", 40, degrees=True).as_matrix()
    affine = Affine.from_axes(turn, (4, 2, 2), (5, -7, 11))
    voxels = np.zeros((15, 30, 30), np.float32)
    voxels[3, 20, 9] = 1000
    stack, _ = to_sagittal(voxels, affine)
    brightest = np.unravel_index(stack.voxels.argmax(), stack.voxels.shape)
    distance = np.linalg.norm(stack.affine.to_world(brightest) - affine.to_world((3, 20, 9)))
    assert distance < 2.5  # half a voxel's diagonal
    corners = affine.to_world(np.indices((2, 2, 2)).reshape(3, 8).T * (14, 29, 29))
    inside = stack.affine.to_index(corners)
    assert (inside > -1).all()
    assert (inside < stack.voxels.shape).all()


@few
@given(affines(min_turn_deg=31, min_mm=1, max_mm=1.9), shapes, st.integers(0, 2**32))
def test_slabs_of_a_turned_volume_are_means_of_the_slices_that_it_is_interpolated_to(
    affine: Affine, shape: tuple[int, int, int], seed: int
) -> None:
    assume(left_right_obliquity_deg(affine) > 30)
    shape = tuple(np.maximum(shape, np.ceil(20.1 / affine.spacing_mm)).astype(int))
    voxels = np.random.default_rng(seed).random(shape, dtype=np.float32)
    slices, _ = to_sagittal(voxels, affine, slab_mm=0)
    slabs, warnings = to_sagittal(voxels, affine)
    count = round(slabs.slice_mm / slices.slice_mm)
    first = (len(slices.voxels) % count) // 2
    kept = slices.voxels[first : first + count * len(slabs.voxels)]
    np.testing.assert_allclose(slabs.voxels, kept.reshape(-1, count, *kept.shape[1:]).mean(1), atol=1e-5)
    middle = slices.affine.to_world((first + (count - 1) / 2, 0, 0))
    np.testing.assert_allclose(slabs.affine.to_world((0, 0, 0)), middle, atol=1e-9)
    assert len(warnings) == 1 + (count > 1)


@few
@given(affines(min_turn_deg=31, min_mm=1, max_mm=5), shapes, st.integers(2_000, 50_000))
def test_a_turned_volume_fills_a_bounded_grid_that_covers_its_corners_or_is_refused(
    affine: Affine, shape: tuple[int, int, int], most: int
) -> None:
    assume(left_right_obliquity_deg(affine) > 30)
    shape = tuple(np.maximum(shape, np.ceil(20.1 / affine.spacing_mm)).astype(int))
    with mock.patch.object(spondyl.geometry.resample, "MAX_RESAMPLED_VOXELS", most):
        try:
            stack, _ = to_sagittal(ramp_volume(affine, shape), affine)
        except InputError as error:
            assert "times the allowed number of voxels" in str(error)  # noqa: PT017
            return
    assert stack.voxels.size <= 1.3 * max(most, np.prod(shape))  # a grid has one voxel more than steps along an axis
    corners = affine.to_world(np.indices((2, 2, 2)).reshape(3, 8).T * (np.array(shape) - 1))
    inside = stack.affine.to_index(corners)
    assert (inside > -1).all()
    assert (inside < stack.voxels.shape).all()


@few
@given(affines(max_turn_deg=28, min_mm=2, max_mm=5))
def test_a_stack_stays_as_it_is(affine: Affine) -> None:
    stack, _ = to_sagittal(ramp_volume(affine, (11, 12, 13)), affine)
    again, warnings = to_sagittal(stack.voxels, stack.affine)
    np.testing.assert_array_equal(again.voxels, stack.voxels)
    np.testing.assert_array_equal(again.affine.matrix, stack.affine.matrix)
    assert warnings == ()


@few
@given(affines())
def test_any_grid_has_axes_for_left_right_head_foot_and_front_back(affine: Affine) -> None:
    axes = sagittal_axes(affine)
    assert sorted(axes) == [0, 1, 2]
    assert min(abs(affine.directions[world, axis]) for world, axis in zip((0, 2, 1), axes, strict=True)) > 1e-9


@pytest.mark.parametrize(
    ("spacing_mm", "shape", "sentence"),
    [
        ((1, 1, 6), (40, 40, 20), "an axial stack with slices 6.0 mm apart"),
        ((1, 8, 1), (40, 20, 40), "a coronal stack with slices 8.0 mm apart"),
        ((1, 1, 4), (40, 40, 3), "an axial stack that covers only 12 mm head-foot"),
        ((1, 4, 1), (40, 1, 40), "a coronal stack that covers only 4 mm front-back"),
    ],
)
def test_stacks_that_cannot_be_seen_from_the_side_are_refused(
    spacing_mm: tuple[float, ...], shape: tuple[int, ...], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        to_sagittal(np.zeros(shape, np.float32), Affine.from_axes(np.eye(3), spacing_mm, (0, 0, 0)))
