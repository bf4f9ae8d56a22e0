"""Shapes of the surroundings have the sizes of their formulas and paint nothing beyond their boxes."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from phantom.plans import upright_column
from spondyl.phantom.scene.material import Tissue
from spondyl.phantom.surroundings.frame import Guide, Points, make_guide
from spondyl.phantom.surroundings.shapes import (
    Paint,
    PaintedEllipsoid,
    Shell,
    boxes_overlap,
    draw_parts,
    make_longitudinal_tube,
    paint_shapes,
)

CORNER, SIZE = st.tuples(*[st.floats(-10, 10)] * 3), st.tuples(*[st.floats(0.1, 10)] * 3)
BOX = st.tuples(CORNER, SIZE).map(lambda box: np.array([box[0], np.add(*box)]))
COURSE = {"L1": (12.0, 5.0, 6.0, 4.0), "L4": (12.0, 5.0, 6.0, 4.0)}


@cache
def guide() -> Guide:
    return make_guide(upright_column())


def slab(level: str = "L2") -> Points:
    """A plane of points 0.5 mm apart around the front of the column at a level."""
    x, y = (axis.ravel() for axis in np.meshgrid(*(np.arange(-40, 40, 0.5, dtype=np.float32),) * 2))
    z = np.full_like(x, guide().height_mm(level))
    return Points(x=x, y=y + np.float32(guide().at(guide().front_mm, level)), z=z, row=guide().row(z))


def cloud(n: int = 60_000, half_mm: float = 50.0) -> Points:
    x, y, z = np.random.default_rng(0).uniform(-half_mm, half_mm, (3, n)).astype(np.float32)
    return Points(x=x, y=y, z=z, row=guide().row(z))


def painted(shapes: list, points: Points) -> np.ndarray:
    ids = np.zeros(points.x.size, dtype=np.uint16)
    paint_shapes(shapes, points, ids)
    return ids


# Parts


def test_every_paint_has_the_tissue_of_its_name_and_air_comes_first() -> None:
    parts = draw_parts(np.random.default_rng(0))
    assert len(parts) == len(Paint)
    assert parts[0].material.tissue is Tissue.AIR
    tissue = {paint: parts[paint].material.tissue for paint in Paint}
    assert tissue[Paint.ARTERY] is Tissue.BLOOD
    assert {tissue[organ] for organ in (Paint.LIVER, Paint.SPLEEN, Paint.KIDNEY, Paint.GLAND)} == {Tissue.ORGAN}
    assert all(part.level is None and part.subregion is None for part in parts)


def test_only_the_marrow_differs_between_patients() -> None:
    first, second = (draw_parts(np.random.default_rng(seed)) for seed in (0, 1))
    assert [paint for paint in Paint if first[paint] != second[paint]] == [Paint.MARROW]


# Boxes


@given(BOX, BOX)
def test_boxes_overlap_each_other_or_neither(first: np.ndarray, second: np.ndarray) -> None:
    assert boxes_overlap(first, second) is boxes_overlap(second, first)
    low, high = np.maximum(first[0], second[0]), np.minimum(first[1], second[1])
    assert boxes_overlap(first, second) is bool((low < high).all())


def test_boxes_that_touch_do_not_overlap() -> None:
    first = np.array([(0, 0, 0), (1, 1, 1)])
    assert not boxes_overlap(first, first + np.array((1, 0, 0)))
    assert boxes_overlap(first, first + 0.5)


# Ellipsoids


@given(st.floats(-80, 80))
def test_a_pitched_ellipsoid_agrees_with_a_rotation_of_its_points(pitch_deg: float) -> None:
    solid = PaintedEllipsoid(
        part=Paint.LIVER, centre_mm=(5.0, -10.0, 3.0), radii_mm=(20.0, 40.0, 10.0), pitch_deg=pitch_deg
    )
    points = cloud(200)
    local = np.stack([points.x, points.y, points.z], axis=1).astype(float) - solid.centre_mm
    turned = Rotation.from_euler("x", -pitch_deg, degrees=True).apply(local)
    expected = ((turned / solid.radii_mm) ** 2).sum(axis=1)
    np.testing.assert_allclose(solid.radius2(points), expected, rtol=1e-3, atol=1e-3)


def test_an_ellipsoid_and_its_core_have_the_volumes_of_their_formula() -> None:
    solid = PaintedEllipsoid(
        part=Paint.BONE, centre_mm=(0, 0, 0), radii_mm=(30.0, 40.0, 24.0), core=Paint.MARROW, shell_mm=6.0
    )
    ids = painted([solid], cloud(400_000))
    volume = 4 / 3 * np.pi * 30 * 40 * 24
    whole = np.isin(ids, (Paint.BONE, Paint.MARROW)).mean() * 1e6
    assert whole == pytest.approx(volume, rel=0.02)
    assert (ids == Paint.MARROW).mean() * 1e6 == pytest.approx(volume * (1 - 6 / 24) ** 3, rel=0.03)


def test_later_shapes_cover_earlier_ones_and_distant_ones_change_nothing() -> None:
    large = PaintedEllipsoid(part=Paint.LIVER, centre_mm=(0, 0, 0), radii_mm=(20.0, 20.0, 20.0))
    small = replace(large, part=Paint.SPLEEN, radii_mm=(8.0, 8.0, 8.0))
    far = replace(large, part=Paint.KIDNEY, centre_mm=(500, 0, 0))
    points = cloud(20_000)
    over, under = painted([large, small], points), painted([small, large], points)
    assert (over == Paint.SPLEEN).any()
    assert not (under == Paint.SPLEEN).any()
    assert np.array_equal(painted([large, small, far], points), over)


# Tubes


@pytest.mark.parametrize("side", [1, -1])
def test_a_tube_lies_on_its_side_in_front_of_its_anchor(side: int) -> None:
    tube = make_longitudinal_tube(guide(), Paint.ARTERY, guide().front_mm, COURSE, side=side)
    points = slab()
    inside = painted([tube], points) == Paint.ARTERY
    assert points.x[inside].mean() == pytest.approx(12 * side, abs=0.3)
    ahead = points.y[inside] - guide().at(guide().front_mm, "L2")
    assert ahead.mean() == pytest.approx(5, abs=0.3)
    assert inside.sum() * 0.25 == pytest.approx(np.pi * 6 * 4, rel=0.05)


def test_a_lumen_takes_the_square_of_its_share_of_the_section() -> None:
    tube = make_longitudinal_tube(guide(), Paint.CARTILAGE, guide().front_mm, COURSE, lumen=Paint.AIR, lumen_share=0.8)
    ids = np.full(slab().x.size, Paint.FAT, dtype=np.uint16)
    paint_shapes([tube], slab(), ids)
    lumen, wall = (ids == Paint.AIR).sum(), (ids == Paint.CARTILAGE).sum()
    assert lumen / (lumen + wall) == pytest.approx(0.64, abs=0.03)


def test_a_tube_ends_round_a_radius_beyond_its_last_levels() -> None:
    tube = make_longitudinal_tube(guide(), Paint.ARTERY, guide().front_mm, COURSE)
    top_mm, bottom_mm = guide().height_mm("L1"), guide().height_mm("L4")
    low, high = tube.box_mm[:, 2]
    assert 0 < high - top_mm <= 4.5
    assert 0 < bottom_mm - low <= 4.5


# Shells


def a_shell(square: float) -> Shell:
    curve = np.ones(1, dtype=np.float32)
    return Shell(front_mm=20 * curve, back_mm=-10 * curve, half_width_mm=30 * curve, square=square)


@given(st.floats(-40, 40), st.floats(-30, 40), st.floats(0, 1))
def test_a_shell_is_symmetric_and_a_squarer_one_holds_more(x: float, y: float, square: float) -> None:
    def within(x: float, square: float) -> float:
        points = Points(
            x=np.array([x], dtype=np.float32),
            y=np.array([y], dtype=np.float32),
            z=np.zeros(1, dtype=np.float32),
            row=np.zeros(1, dtype=np.intp),
        )
        return float(a_shell(square).within(points)[0])

    assert within(x, square) == within(-x, square)
    assert within(x, square) >= within(x, 0.0) - 1e-6


def test_a_shell_is_one_in_its_middle_and_zero_at_its_four_sides() -> None:
    x, y = np.array([(0, 5), (30, 5), (-30, 5), (0, 20), (0, -10)], dtype=np.float32).T
    points = Points(x=x, y=y, z=np.zeros_like(x), row=np.zeros(5, dtype=np.intp))
    for square in (0.0, 0.5, 1.0):
        assert a_shell(square).within(points) == pytest.approx([1, 0, 0, 0, 0], abs=1e-6)
    assert a_shell(0.5).middle_mm.tolist() == [5.0]
