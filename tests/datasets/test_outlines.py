"""Outlines of masks: a rotated rectangle comes back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spondyl.datasets.outlines import find_column_axes, outline_mask


def rectangle_mm(height: float, width: float, angle_deg: float) -> np.ndarray:
    """Corners in the order posterior superior, posterior inferior, anterior inferior, anterior superior."""
    half = np.array([(-height, width), (height, width), (height, -width), (-height, -width)]) / 2
    return half @ turn(angle_deg).T


def turn(angle_deg: float) -> np.ndarray:
    angle = np.deg2rad(angle_deg)
    return np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])


def inside(corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre lies in a convex quadrilateral."""
    points = np.stack(np.mgrid[: shape[0], : shape[1]], -1)
    edges = np.roll(corners, -1, 0) - corners
    sides = [e[0] * (points - c)[..., 1] - e[1] * (points - c)[..., 0] for c, e in zip(corners, edges, strict=True)]
    return (np.stack(sides) <= 0).all(0)


@settings(max_examples=40)
@given(
    height=st.floats(22, 34),
    ratio=st.floats(1.0, 1.6),
    angle_deg=st.floats(-50, 50),
    axis_error_deg=st.floats(-8, 8),
    pixel_mm=st.floats(0.6, 1.2),
    shift=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_a_rotated_rectangle_comes_back_within_about_a_pixel(height, ratio, angle_deg, axis_error_deg, pixel_mm, shift):
    corners = (rectangle_mm(height, height * ratio, angle_deg) + 40) / pixel_mm + shift
    axis = turn(angle_deg + axis_error_deg) @ (3.0, 0.0)
    found = outline_mask(inside(corners, (140, 140)), axis, np.full(2, pixel_mm))
    distances = np.linalg.norm(found - corners, axis=1)
    # a corner is the mean of three pixels, which lie up to a pixel from it along each edge
    assert distances.mean() < 1.5
    assert distances.max() < 2.0
    np.testing.assert_allclose(found.mean(0), corners.mean(0), atol=0.7)


def test_a_single_pixel_has_an_outline_about_itself():
    mask = np.zeros((5, 5), bool)
    mask[2, 3] = True
    found = outline_mask(mask, np.array([1.0, 0.0]), np.array([1.0, 1.0]))
    np.testing.assert_allclose(found, [(1.5, 3.5), (2.5, 3.5), (2.5, 2.5), (1.5, 2.5)])


def test_axes_follow_the_column_and_a_lone_body_stands_upright():
    bend = np.array([(0.0, 0.0), (30.0, 4.0), (60.0, 16.0)])
    np.testing.assert_allclose(find_column_axes(bend), [(30, 4), (30, 8), (30, 12)])
    np.testing.assert_allclose(find_column_axes(bend[:1]), [(1, 0)])


@pytest.mark.parametrize("angle_deg", [-60, 60])
def test_posterior_stays_posterior_however_the_column_leans(angle_deg):
    corners = rectangle_mm(30, 40, angle_deg) + 50
    found = outline_mask(inside(corners, (100, 100)), turn(angle_deg) @ (1.0, 0.0), np.ones(2))
    assert found[:2, 1].mean() > found[2:, 1].mean()
