"""Grids that no scanner gives are refused with the reason, before a voxel is moved."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from geometry.grids import affines
from spondyl.errors import InputError
from spondyl.geometry.affine import Affine
from spondyl.geometry.grid import Grid
from spondyl.geometry.resample import sagittal_axes, to_sagittal
from spondyl.geometry.viewable import require_viewable

CLINICAL_MM = (4.0, 0.6, 0.6)
CLINICAL_SHAPE = (15, 512, 512)


def unallocated(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros of any shape that take no memory, so that a copy of them would be noticed."""
    return np.broadcast_to(np.float32(0), shape)


def grid(spacing_mm: tuple[float, ...] = CLINICAL_MM, origin_mm: tuple[float, ...] = (0, 0, 0)) -> Affine:
    return Affine.from_axes(np.eye(3), spacing_mm, origin_mm)


def sheared(angle_deg: float) -> Affine:
    """A grid whose rows run aslant by this angle."""
    shear = np.eye(3)
    shear[1, 2] = np.tan(np.radians(angle_deg))
    return Affine.from_axes(shear, CLINICAL_MM, (0, 0, 0))


def turned(spacing_mm: tuple[float, ...], *angles_deg: float) -> Affine:
    turn = Rotation.from_euler("zyx", angles_deg, degrees=True).as_matrix()
    return Affine.from_axes(turn, spacing_mm, (0, 0, 0))


@pytest.mark.parametrize(
    ("affine", "shape", "sentence"),
    [
        (grid((4, 0.001, 0.001)), (15, 30000, 30000), "0.001 mm apart along one axis, finer than any scanner"),
        (grid((0.001, 0.001, 0.001)), CLINICAL_SHAPE, "0.001 mm apart along one axis, finer than any scanner"),
        (grid((1000, 0.6, 0.6)), CLINICAL_SHAPE, "slices are 1000 mm apart, farther than a vertebra is wide"),
        (grid((4, 40, 40)), (15, 30, 30), "an axial stack with slices 40.0 mm apart, too thick"),
        (grid((4, 2, 2)), (15, 200, 5000), "covers 10.0 m along one axis, more than any scanner"),
        (grid((4, 0.5, 0.5)), (2500, 50, 50), "covers 10.0 m along one axis, more than any scanner"),
        (grid(origin_mm=(1e9, 0, 0)), CLINICAL_SHAPE, "more than 100 m from the scanner's origin"),
        (sheared(45), CLINICAL_SHAPE, "45 degrees off right angles"),
        (
            turned((4, 0.6, 0.6), 45, 0, 35),
            (100, 3000, 3000),
            "degrees oblique to the .* times the allowed number",
        ),
        (
            turned((1, 1, 1), 45, 40, 0),
            (25, 2900, 2900),
            "degrees oblique to the .* times the allowed number",
        ),
    ],
)
def test_a_grid_that_no_scanner_gives_is_refused_with_the_reason(
    affine: Affine, shape: tuple[int, ...], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        to_sagittal(unallocated(shape), affine)


@pytest.mark.parametrize(
    ("affine", "shape"),
    [
        (grid(), CLINICAL_SHAPE),
        (grid((3, 2, 2)), (130, 140, 591)),
        (grid((1, 1, 1.5)), (256, 256, 2000)),
        (grid((20, 0.9, 0.9)), (3, 500, 500)),
        (grid((4, 0.15, 0.15)), (5, 3000, 3000)),
        (grid((5.004, 5.004, 5.004)), (100, 100, 200)),
        (grid(origin_mm=(2000, -900, 1500)), CLINICAL_SHAPE),
        (sheared(18), CLINICAL_SHAPE),
    ],
    ids=["clinical", "whole body", "long", "localiser", "fine", "rounded", "moved table", "tilted gantry"],
)
def test_what_scanners_give_is_viewable(affine: Affine, shape: tuple[int, ...]) -> None:
    require_viewable(Grid(shape, affine), sagittal_axes(affine))


@settings(max_examples=50, deadline=None)
@given(affines(min_mm=0.6, max_mm=5.0), st.tuples(*[st.integers(40, 500)] * 3))
def test_no_rectangular_grid_of_clinical_size_is_refused_however_it_is_turned(
    affine: Affine, shape: tuple[int, ...]
) -> None:
    require_viewable(Grid(shape, affine), sagittal_axes(affine))
