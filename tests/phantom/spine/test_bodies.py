"""Bodies, disc spaces and outlines agree with the column, however it and the scan are turned."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from phantom.plans import a_plan, upright_column, vertebra_of
from spondyl.anatomy.level import Level
from spondyl.geometry.affine import Affine
from spondyl.phantom.column.column import PlacedVertebra, corners_ras_mm, place_column
from spondyl.phantom.spine.bodies import locate_disc_space, make_body, outline_body

LEFT_INFERIOR_POSTERIOR = np.array([(-1.0, 0, 0), (0, 0, -1.0), (0, -1.0, 0)])
SHAPE = (31, 120, 120)
L3, L4 = (vertebra_of(upright_column(), level) for level in (Level.L3, Level.L4))


def stack(vertebra: PlacedVertebra, step_mm: float = 2.0, turn: np.ndarray | None = None) -> Affine:
    """A sagittal stack with the vertebra in its middle."""
    axes = LEFT_INFERIOR_POSTERIOR if turn is None else turn @ LEFT_INFERIOR_POSTERIOR
    spacing = np.array((step_mm, 1.0, 1.0))
    return Affine.from_axes(axes, spacing, vertebra.centre_ras_mm - axes @ (spacing * (np.array(SHAPE) - 1) / 2))


def test_a_body_of_the_neck_has_lips_and_a_sacral_one_hardly_any_hollow() -> None:
    column = upright_column()
    bodies = {level: make_body(vertebra_of(column, level)) for level in (Level.C5, Level.T6, Level.L3, Level.S1)}
    assert [body.lip_mm > 0 for body in bodies.values()] == [True, False, False, False]
    assert bodies[Level.S1].concavity_mm[0] < bodies[Level.L3].concavity_mm[0]
    assert bodies[Level.L3].upper_mm == (L3.size.upper_width_mm, L3.size.upper_depth_mm)


def test_a_disc_space_lies_halfway_between_facing_endplates() -> None:
    space = locate_disc_space(L3, L4)
    faces = L3.endplate_centre(upper=False), L4.endplate_centre(upper=True)
    assert space.frame.origin_ras_mm == pytest.approx((faces[0] + faces[1]) / 2)
    assert space.width_mm == pytest.approx(L3.size.lower_width_mm)
    backward = space.posterior_edge_ras_mm - space.frame.origin_ras_mm
    assert backward == pytest.approx((0, -space.depth_mm / 2, 0))


@given(st.floats(-25, 25), st.floats(-25, 25))
def test_a_disc_space_is_oriented_halfway_between_its_neighbours(sagittal_deg: float, coronal_deg: float) -> None:
    turn = Rotation.from_euler("xy", (sagittal_deg, coronal_deg), degrees=True)
    half = Rotation.from_rotvec(turn.as_rotvec() / 2).as_matrix()
    space = locate_disc_space(L3, replace(L4, axes=turn.as_matrix() @ L4.axes))
    assert space.frame.axes == pytest.approx(half @ L3.axes, abs=1e-9)


def test_an_outline_in_the_midline_measures_the_heights_and_depths_of_the_column() -> None:
    column = place_column(a_plan())
    for level in (Level.C4, Level.T8, Level.L2, Level.L5):
        vertebra = vertebra_of(column, level)
        affine = stack(vertebra)
        outline = outline_body(vertebra, affine, SHAPE)
        assert outline is not None
        corners = outline.outlines_ras_mm[outline.slices.index(15)]
        assert corners == pytest.approx(corners_ras_mm(vertebra), abs=0.1)
        back = np.linalg.norm(corners[0] - corners[1])
        assert back == pytest.approx(vertebra.size.posterior_height_mm, abs=0.1)


@given(st.floats(-15, 15), st.floats(-8, 8))
def test_an_oblique_stack_outlines_the_same_body(in_plane_deg: float, aside_deg: float) -> None:
    turn = Rotation.from_euler("xz", (in_plane_deg, aside_deg), degrees=True).as_matrix()
    affine = stack(L3, turn=turn)
    outline = outline_body(L3, affine, SHAPE)
    assert outline is not None
    middle = outline.outlines_ras_mm[outline.slices.index(15)]
    # an oblique slice cuts a longer section, but both have the same middle
    assert middle.mean(axis=0) == pytest.approx(L3.centre_ras_mm, abs=1.0)
    depth_mm = np.linalg.norm(middle[2] - middle[1])
    assert depth_mm == pytest.approx(L3.size.lower_depth_mm / np.cos(np.radians(aside_deg)), rel=0.03)


def test_a_smaller_least_share_adds_slices_at_the_sides_and_keeps_the_others() -> None:
    shown = [outline_body(L3, stack(L3), SHAPE, min_share=share) for share in (0.1, 0.5, 0.9)]
    counts = [len(outline.slices) for outline in shown if outline is not None]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[2] > 0
    assert shown[0] is not None
    assert shown[1] is not None
    assert set(shown[1].slices) <= set(shown[0].slices)


def test_outlines_are_symmetric_about_the_midline() -> None:
    outline = outline_body(L3, stack(L3), SHAPE)
    assert outline is not None
    assert [30 - k for k in outline.slices[::-1]] == list(outline.slices)
    np.testing.assert_allclose(outline.outlines, outline.outlines[::-1], atol=1e-6)


def test_a_stack_beside_the_body_shows_nothing() -> None:
    affine = stack(replace(L3, centre_ras_mm=L3.centre_ras_mm + np.array((200, 0, 0))))
    assert outline_body(L3, affine, SHAPE) is None


def test_an_outline_may_reach_beyond_the_image() -> None:
    outline = outline_body(L3, stack(L3), (31, 61, 120))
    assert outline is not None
    assert outline.outlines[..., 0].max() > 60
