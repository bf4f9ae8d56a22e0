"""The sacrum goes on from S2, bends forward, and its wings reach from the bodies to the usual breadth."""

from itertools import pairwise

import numpy as np
import pytest

from phantom.plans import upright_column, vertebra_of
from spondyl.anatomy.level import Level
from spondyl.phantom.column.column import PlacedVertebra
from spondyl.phantom.scene.solids import Ellipsoid
from spondyl.phantom.spine.sacrum import (
    extrapolate_sacrum,
    make_coccyx,
    make_sacral_wings,
    make_wing_bridges,
)


def sacrum() -> tuple[PlacedVertebra, ...]:
    """S1 to S5."""
    first, second = (vertebra_of(upright_column(), level) for level in (Level.S1, Level.S2))
    return (first, second, *extrapolate_sacrum(second))


def test_three_smaller_vertebrae_follow_s2_under_its_name() -> None:
    tail = sacrum()[1:]
    assert [vertebra.level for vertebra in tail] == [Level.S2] * 4
    for above, below in pairwise(tail):
        assert below.size.height_mm < above.size.height_mm
        assert below.size.upper_depth_mm == above.size.lower_depth_mm
        assert below.size.upper_width_mm == above.size.lower_width_mm
        assert below.size.lower_width_mm < above.size.lower_width_mm


def test_each_vertebra_points_farther_forward_and_endplates_face_each_other_closely() -> None:
    tail = sacrum()[1:]
    turned = [np.degrees(np.arctan2(-v.axes[1, 2], v.axes[2, 2])) for v in tail]
    assert np.abs(np.diff(turned)) == pytest.approx([11.0, 14.0, 14.0])
    for above, below in pairwise(tail):
        gap = above.endplate_centre(upper=False) - below.endplate_centre(upper=True)
        assert np.linalg.norm(gap) == pytest.approx(1.5, abs=0.2)
        assert np.allclose(below.axes.T @ below.axes, np.eye(3))
    down = tail[-1].centre_ras_mm - tail[0].centre_ras_mm
    along = -tail[0].axes[:, 2]
    assert down @ along < np.linalg.norm(down) * 0.99  # a curve is longer than its chord


def test_a_turned_s2_turns_the_whole_tail() -> None:
    second = vertebra_of(upright_column(), Level.S2)
    angle = np.radians(20)
    turn = np.array([(1, 0, 0), (0, np.cos(angle), -np.sin(angle)), (0, np.sin(angle), np.cos(angle))])
    turned = PlacedVertebra(
        level=second.level, size=second.size, centre_ras_mm=turn @ second.centre_ras_mm, axes=turn @ second.axes
    )
    for straight, bent in zip(extrapolate_sacrum(second), extrapolate_sacrum(turned), strict=True):
        assert bent.centre_ras_mm == pytest.approx(turn @ straight.centre_ras_mm)
        assert bent.axes == pytest.approx(turn @ straight.axes)


def test_the_wings_of_s1_are_the_broadest_and_about_115_mm_across_in_all() -> None:
    tubes = list(make_sacral_wings(sacrum()))
    reach = [abs(float(tube.frame.to_world((0, 0, tube.length_mm))[0])) for tube in tubes]
    per_vertebra = np.array(reach).reshape(4, -1).max(axis=1)
    assert (np.diff(per_vertebra) < 0).all()
    assert 2 * per_vertebra[0] == pytest.approx(115, abs=20)


def test_bridges_join_a_body_and_its_wings() -> None:
    first = sacrum()[0]
    wings = list(make_sacral_wings(sacrum()))[:4]
    for bridge in make_wing_bridges(first):
        inner, outer = bridge.frame.to_world([(0, 0, 0), (0, 0, bridge.length_mm)])
        assert abs(first.to_local(inner)[0]) < first.size.upper_width_mm / 2
        depths = [wing.depth_mm(*((outer - wing.frame.origin_ras_mm) @ wing.frame.axes)) for wing in wings]
        assert max(map(float, depths)) > 0


def test_the_coccyx_hangs_below_the_last_vertebra_in_pieces_that_touch_and_shrink() -> None:
    last = sacrum()[-1]
    pieces = list(make_coccyx(last))
    assert all(isinstance(piece, Ellipsoid) for piece in pieces)
    heights = [piece.box_mm[1, 2] for piece in pieces]
    assert heights == sorted(heights, reverse=True)
    centres = [last.centre_ras_mm, *(piece.frame.origin_ras_mm for piece in pieces)]
    for above, below in pairwise(centres):
        assert below[2] < above[2]
    for (above, upper), (below, lower) in pairwise(zip(centres[1:], heights, strict=True)):
        assert np.linalg.norm(above - below) == pytest.approx(upper + lower)
