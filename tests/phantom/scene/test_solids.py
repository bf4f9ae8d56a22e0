"""Solids: depths have the right sign and, near the surface, the right size; boxes hold all that is inside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondyl.phantom.scene.solids import BodySolid, DiscSolid, Ellipsoid, LocalFrame, Solid, make_tube

HERE = LocalFrame(origin_ras_mm=np.zeros(3), axes=np.eye(3))
BODY = BodySolid(
    frame=HERE,
    anterior_height_mm=28.0,
    posterior_height_mm=25.0,
    upper_mm=(45.0, 34.0),
    lower_mm=(48.0, 35.0),
    concavity_mm=(2.0, 2.5),
)
DISC = DiscSolid(frame=HERE, anterior_height_mm=12.0, posterior_height_mm=7.0, size_mm=(45.0, 34.0), swell_mm=2.0)
SOLIDS: dict[str, Solid] = {
    "body": BODY,
    "disc": DISC,
    "ellipsoid": Ellipsoid(frame=HERE, radii_mm=(3.0, 5.0, 8.0)),
    "tube": make_tube((0, 0, 0), (0, 0, 20), (4.0, 2.0), (2.0, 1.0)),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_no_point_outside_the_box_is_inside_the_solid(name: str) -> None:
    solid = SOLIDS[name]
    low, high = solid.box_mm
    points = np.random.default_rng(0).uniform(low - 8, high + 8, (20000, 3))
    outside_box = ((points < low) | (points > high)).any(axis=1)
    depth = solid.depth_mm(*points.T)
    assert depth.max() > 0
    assert (depth[outside_box] <= 1e-6).all()


def test_a_round_tube_measures_the_distance_to_its_surface() -> None:
    solid = make_tube((1.0, 2.0, 3.0), (1.0, 2.0, 23.0), (4.0, 4.0))
    x, y, z = (np.array(values) for values in ([0.0, 3.0, 5.0, 0.0], [0.0, 0.0, 0.0, 0.0], [10.0, 10.0, 10.0, 22.0]))
    assert solid.depth_mm(x, y, z) == pytest.approx([4.0, 1.0, -1.0, 2.0])


@given(st.tuples(*[st.floats(-1, 1)] * 6))
def test_a_tube_runs_from_its_start_to_its_end_in_the_world(ends: tuple[float, ...]) -> None:
    start, end = np.array(ends[:3]) * 50, np.array(ends[3:]) * 50 + 0.5
    solid = make_tube(start, end, (2.0, 3.0))
    assert solid.frame.to_world((0, 0, solid.length_mm)) == pytest.approx(
        end if np.linalg.norm(end - start) > 1e-3 else start, abs=2e-3
    )
    assert solid.frame.axes.T @ solid.frame.axes == pytest.approx(np.eye(3), abs=1e-9)


def test_the_first_half_axis_of_a_tube_lies_along_the_direction_asked_for() -> None:
    solid = make_tube((0, 0, 0), (0, -30, -10), (2.0, 9.0), across=(1.0, 0.0, 0.0))
    assert np.abs(solid.frame.axes[:, 0]) == pytest.approx([1.0, 0.0, 0.0])


def test_a_body_is_as_high_as_said_at_its_rim_and_lower_in_its_middle() -> None:
    heights = np.linspace(-20, 20, 4001)
    middle = BODY.depth_mm(np.zeros(4001), np.full(4001, -2.7), heights) > 0
    assert middle.sum() * 0.01 == pytest.approx((28 + 25) / 2 - 4.5, abs=0.5)
    front = BODY.rim_mm(upper=True)[np.argmax(BODY.rim_mm(upper=True)[:, 1])]
    assert front == pytest.approx((0.0, 17.0, 14.0), abs=0.15)


def test_every_rim_point_lies_on_the_surface_of_the_body() -> None:
    for upper in (True, False):
        rim = BODY.rim_mm(upper=upper)
        inside, outside = rim * (0.98, 0.98, 0.98), rim * (1.02, 1.02, 1.02)
        assert (BODY.depth_mm(*inside.T) > 0).all()
        assert (BODY.depth_mm(*outside.T) < 0).all()


def test_the_back_of_a_body_is_flatter_than_its_front() -> None:
    rim = BODY.rim_mm(upper=True, n=720)
    beside = np.abs(np.abs(rim[:, 0]) - 0.6 * 22.5) < 0.3
    front, back = rim[beside & (rim[:, 1] > 0)][:, 1].mean(), -rim[beside & (rim[:, 1] < 0)][:, 1].mean()
    assert 17 - front > 2 * (17 - back)


def test_a_waist_takes_from_the_middle_and_leaves_the_rims() -> None:
    lateral = np.linspace(0, 30, 3001)
    zeros = np.zeros(3001)
    half = [float(lateral[BODY.depth_mm(lateral, zeros, zeros + z) > 0].max()) for z in (-11.5, 0.0, 11.5)]
    assert half[1] < 0.97 * min(half[0], half[2])


def test_a_nucleus_lies_inside_its_disc() -> None:
    from dataclasses import replace

    core = replace(DISC, share=0.6)
    points = np.random.default_rng(1).uniform(*DISC.box_mm, (20000, 3)).T
    in_core, in_disc = core.depth_mm(*points) > 0, DISC.depth_mm(*points) > 0
    assert in_core.sum() > 500
    assert (in_disc | ~in_core).all()
