"""What a sagittal stack refuses to be."""

import numpy as np
import pytest

from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.geometry.stack import SagittalStack

LIP = np.array([[-1.0, 0, 0], [0, 0, -1], [0, -1, 0]])


def test_spacings_are_those_of_slices_and_of_rows_and_columns() -> None:
    stack = SagittalStack(
        voxels=np.zeros((3, 4, 5), np.float32), affine=Affine.from_axes(LIP, (4, 0.6, 0.7), (0, 0, 0))
    )
    assert stack.slice_mm == pytest.approx(4)
    np.testing.assert_allclose(stack.pixel_mm, (0.6, 0.7))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_that_points_the_other_way_is_refused(axis: int) -> None:
    directions = LIP.copy()
    directions[:, axis] *= -1
    with pytest.raises(SettingError, match="left, inferior and posterior"):
        SagittalStack(voxels=np.zeros((3, 4, 5), np.float32), affine=Affine.from_axes(directions, (4, 1, 1), (0, 0, 0)))


def test_another_number_of_dimensions_is_refused() -> None:
    with pytest.raises(SettingError, match="3 dimensions"):
        SagittalStack(voxels=np.zeros((3, 4), np.float32), affine=Affine.from_axes(LIP, (4, 1, 1), (0, 0, 0)))  # type: ignore[arg-type]
