"""Crops around vertebrae: upright, centred, in millimetres, whatever the scan's grid."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.crops import COMPACT, OFFICIAL, BodyWidth, CropGrid, appearance_crops

LIP = np.array([[-1.0, 0, 0], [0, 0, -1], [0, -1, 0]])


def stack_of(field, shape, spacing):
    """A stack that samples `field(slice_mm, row_mm, column_mm)`."""
    axes = np.meshgrid(*(np.arange(n) * mm for n, mm in zip(shape, spacing, strict=True)), indexing="ij")
    return SagittalStack(voxels=field(*axes).astype(np.float32), affine=Affine.from_axes(LIP, spacing, (0, 0, 0)))


def body(centre_mm, spacing, *, size_mm=(24.0, 32.0), angle=0.0, slices=(5, 6, 7, 8, 9, 10)):
    """A rectangle (height, width) in mm, turned about its centre; positive angles lower the posterior end."""
    height, width = size_mm
    corners = np.array([[-height, width], [height, width], [height, -width], [-height, -width]]) / 2
    cos, sin = np.cos(angle), np.sin(angle)
    turned = np.stack([corners[:, 0] * cos + corners[:, 1] * sin, corners[:, 1] * cos - corners[:, 0] * sin], axis=1)
    outline = (np.asarray(centre_mm) + turned) / np.asarray(spacing)[1:]
    return VertebraInstance(
        slices=slices,
        outlines=np.repeat(outline[None], len(slices), axis=0),
        score=0.9,
        affine=Affine.from_axes(LIP, spacing, (0, 0, 0)),
    )


@given(st.floats(-1.2, 1.2), st.sampled_from([(4.0, 1.0, 1.0), (4.0, 0.7, 1.1), (3.3, 1.2, 0.8)]))
@settings(max_examples=15, deadline=None)
def test_a_turned_vertebra_in_a_turned_scan_gives_the_upright_crop(angle, spacing):
    centre = np.array([80.0, 80.0])

    def field(turn):
        def value(s, r, c):
            down, back = r - centre[0], c - centre[1]
            down, back = down * np.cos(turn) - back * np.sin(turn), back * np.cos(turn) + down * np.sin(turn)
            return np.cos(down / 20) + np.sin(back / 25) + 0.01 * s

        return value

    shape = (16, *(int(160 / mm) for mm in spacing[1:]))
    turned = appearance_crops(stack_of(field(angle), shape, spacing), [body(centre, spacing, angle=angle)])
    upright = appearance_crops(stack_of(field(0), shape, (spacing[0], 1, 1)), [body(centre, (spacing[0], 1, 1))])
    inner = (slice(None), slice(16, 48), slice(16, 48))
    np.testing.assert_allclose(turned[inner], upright[inner], atol=0.04)


@pytest.mark.parametrize(
    ("margin", "body_width", "first", "width"),
    [
        (0.5, BodyWidth.SEEN, 1.5, 12),
        (None, BodyWidth.SEEN, -0.5, 16),
        (0.5, BodyWidth.EDGE, 7.5 - 32 / 4, 64 / 4),
        (0.2, BodyWidth.EDGE, 7.5 - 0.7 * 32 / 4, 1.4 * 32 / 4),
    ],
)
def test_sample_points_are_where_the_geometry_says(margin, body_width, first, width):
    """Linear fields survive averaging and interpolation exactly: 3 edges of 32 mm; a body in slices 5 to 10 of 16."""
    spacing = (4.0, 0.5, 0.5)
    instance = body((80.0, 80.0), spacing)
    steps = (np.arange(64) + 0.5) / 64
    top, left = 80 - 12 - 32, 80 - 16 - 32
    rows, columns = top + 96 * steps, left + 96 * steps
    planes = 4.0 * (first + width * (np.arange(8) + 0.5) / 8)
    grid = CropGrid(size=64, slices=8, through_plane_margin=margin, body_width=body_width)
    expected = rows[:, None, None] + 2 * columns[None, :, None] + 0.5 * planes[None, None]
    crop = appearance_crops(stack_of(lambda s, r, c: r + 2 * c + 0.5 * s, (16, 320, 320), spacing), [instance], grid)[0]
    expected -= expected.min()
    np.testing.assert_allclose(
        crop * np.sort(expected.ravel())[int(np.ceil(0.95 * (expected.size - 1)))], expected, atol=0.02
    )


@pytest.mark.parametrize("grid", [COMPACT, OFFICIAL, CropGrid(size=20, slices=3)])
def test_one_by_one_is_as_all_at_once_and_the_scan_is_left_alone(grid):
    rng = np.random.default_rng(0)
    spacing = (4.0, 0.6, 0.6)
    stack = SagittalStack(
        voxels=rng.random((15, 200, 150), dtype=np.float32), affine=Affine.from_axes(LIP, spacing, (0, 0, 0))
    )
    before = stack.voxels.copy()
    instances = [
        body((30 + 30 * i, 50.0), spacing, size_mm=(10 + 7 * i, 14 + 9 * i), angle=0.2 * i, slices=(4 - i, 5, 6, 7 + i))
        for i in range(3)
    ]
    together = appearance_crops(stack, instances, grid)
    assert together.shape == (3, grid.size, grid.size, grid.slices)
    assert together.dtype == np.float32
    for crop, instance in zip(together, instances, strict=True):
        np.testing.assert_allclose(appearance_crops(stack, [instance], grid)[0], crop, atol=1e-4)
    np.testing.assert_array_equal(stack.voxels, before)


def test_gain_and_offset_of_the_scanner_change_nothing():
    rng = np.random.default_rng(1)
    voxels = rng.random((12, 100, 100), dtype=np.float32)
    affine = Affine.from_axes(LIP, (4, 1, 1), (0, 0, 0))
    instance = body((50, 50), (4, 1, 1))
    first = appearance_crops(SagittalStack(voxels=voxels, affine=affine), [instance])
    other = appearance_crops(SagittalStack(voxels=voxels * 300 - 80, affine=affine), [instance])
    np.testing.assert_allclose(other, first, atol=1e-4)
    assert first.min() == 0
    assert np.mean(first <= 1) == pytest.approx(0.95, abs=0.001)


def test_a_compact_crop_does_not_depend_on_how_many_slices_were_found():
    stack = stack_of(lambda s, r, c: np.sin(s / 9) + np.cos(r / 7) + np.sin(c / 5), (16, 120, 120), (4, 1, 1))
    few, many = (body((60, 60), (4, 1, 1), slices=slices) for slices in [(7, 8), (5, 6, 7, 8, 9, 10)])
    np.testing.assert_array_equal(appearance_crops(stack, [few]), appearance_crops(stack, [many]))


def test_what_lies_outside_the_scan_is_dark_and_the_face_looks_left():
    stack = stack_of(lambda s, r, c: 1 + c, (12, 100, 100), (4, 1, 1))
    crop = appearance_crops(stack, [body((12, 50), (4, 1, 1))])[0]
    assert crop[:15].max() == 0
    assert (np.diff(crop[32, :, 4]) > 0).all()


def test_no_instance_and_a_constant_scan_are_no_trouble():
    stack = stack_of(lambda s, r, c: 0 * s + 7, (12, 100, 100), (4, 1, 1))
    assert appearance_crops(stack, []).shape == (0, 64, 64, 8)
    assert not appearance_crops(stack, [body((50, 50), (4, 1, 1))]).any()
    with pytest.raises(SettingError, match="positive sizes"):
        CropGrid(size=0, slices=8)


def test_a_whole_spine_is_cut_in_little_time():
    """100 ms is the aim on one idle core; the bound leaves room for a busy machine."""
    spacing = (4.0, 0.8, 0.8)
    stack = stack_of(lambda s, r, c: r + c + s, (15, 700, 300), spacing)
    instances = [body((20 + 22 * i, 120), spacing, slices=(5, 6, 7, 8, 9)) for i in range(24)]
    appearance_crops(stack, instances)
    started = [(time.process_time(), appearance_crops(stack, instances), time.process_time()) for _ in range(3)]
    assert min(end - begin for begin, _, end in started) < 0.4
