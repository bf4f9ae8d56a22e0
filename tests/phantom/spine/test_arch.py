"""Arches: both sides mirror each other, and sizes measured on the solids are those of the column."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from phantom.plans import upright_column, vertebra_of
from spondyl.anatomy.codes import Subregion
from spondyl.anatomy.level import Level, Region
from spondyl.phantom.column.column import PlacedVertebra, pedicle_points_ras_mm
from spondyl.phantom.scene.solids import Solid, Tube
from spondyl.phantom.spine.arch import make_arch, make_atlas, make_dens, make_pedicles, make_ribs
from spondyl.phantom.spine.canal import make_foramina
from spondyl.phantom.spine.sacrum import make_sacral_wings, make_wing_bridges

LEVELS = (Level.C3, Level.C7, Level.T1, Level.T6, Level.T12, Level.L3, Level.L5)
MIRRORED = {
    Subregion.TRANSVERSE_LEFT: Subregion.TRANSVERSE_RIGHT,
    Subregion.SUPERIOR_ARTICULAR_LEFT: Subregion.SUPERIOR_ARTICULAR_RIGHT,
    Subregion.INFERIOR_ARTICULAR_LEFT: Subregion.INFERIOR_ARTICULAR_RIGHT,
}
MIRRORED |= {right: left for left, right in MIRRORED.items()}


def vertebra(level: Level) -> PlacedVertebra:
    return vertebra_of(upright_column(), level)


def ends(tube: Tube) -> np.ndarray:
    """Start and end of a tube, (2, 3) RAS mm."""
    return tube.frame.to_world([(0, 0, 0), (0, 0, tube.length_mm)])


def described(tubes: Iterable[Solid], *, mirrored: bool) -> set[tuple[float, ...]]:
    """Ends and radii of tubes, perhaps mirrored at the midline; tubes across it may run either way."""
    rows = set()
    for tube in tubes:
        assert isinstance(tube, Tube)
        points = ends(tube) * ((-1.0, 1, 1) if mirrored else (1.0, 1, 1))
        order = np.lexsort(points.T.round(6))
        radii = np.array([tube.start_mm, tube.end_mm])[order]
        rows.add(tuple((np.concatenate([points[order].ravel(), radii.ravel()]) + 0.0).round(6).tolist()))
    return rows


def is_symmetric(tubes: Sequence[Solid]) -> bool:
    return described(tubes, mirrored=False) == described(tubes, mirrored=True)


@pytest.mark.parametrize("level", LEVELS)
def test_the_left_half_of_an_arch_mirrors_the_right_one_and_its_names(level: Level) -> None:
    pieces = list(make_arch(vertebra(level)))
    names = {subregion for subregion, _ in pieces}
    for subregion in names:
        same = [tube for name, tube in pieces if name is subregion]
        other = [tube for name, tube in pieces if name is MIRRORED.get(subregion, subregion)]
        assert described(same, mirrored=False) == described(other, mirrored=True)
    assert set(MIRRORED) | {Subregion.ARCH, Subregion.SPINOUS} == names


def test_atlas_ribs_wings_and_foramina_are_symmetric() -> None:
    column = upright_column()
    assert is_symmetric([tube for _, tube in make_atlas(column.vertebrae[0])])
    assert is_symmetric(list(make_ribs(vertebra(Level.T7), is_last=False)))
    sacrum = (column.vertebrae[-2], column.vertebrae[-1]) * 2
    assert is_symmetric(list(make_sacral_wings(sacrum)))
    assert is_symmetric(list(make_wing_bridges(column.vertebrae[-2])))
    for solids in zip(*make_foramina(vertebra(Level.L3), {}), strict=True):
        assert is_symmetric(list(solids))


def test_the_test_of_symmetry_sees_a_shifted_tube() -> None:
    tubes = list(make_ribs(vertebra(Level.T7), is_last=False))
    frame = tubes[0].frame
    moved = replace(frame, origin_ras_mm=frame.origin_ras_mm + np.array((0.1, 0, 0)))
    assert not is_symmetric([replace(tubes[0], frame=moved), *tubes[1:]])  # type: ignore[type-var]


@pytest.mark.parametrize("level", LEVELS)
def test_processes_reach_as_far_as_the_column_says(level: Level) -> None:
    placed = vertebra(level)
    pieces = list(make_arch(placed))
    tips = [ends(tube)[1] for name, tube in pieces if name in (Subregion.TRANSVERSE_LEFT, Subregion.TRANSVERSE_RIGHT)]
    assert abs(tips[0][0] - tips[1][0]) == pytest.approx(placed.size.transverse_span_mm)
    (spinous,) = (tube for name, tube in pieces if name is Subregion.SPINOUS)
    start, tip = placed.to_local(ends(spinous))
    back_of_canal = -placed.size.depth_mm / 2 - placed.size.canal_depth_mm
    hinge = np.array([0.0, back_of_canal, start[2]])
    assert np.linalg.norm(tip - hinge) == pytest.approx(placed.size.spinous_length_mm)
    assert tip[1] < back_of_canal
    assert tip[2] < start[2]


def test_spinous_processes_are_steepest_in_the_middle_of_the_chest() -> None:
    def slope_deg(level: Level) -> float:
        (spinous,) = (tube for name, tube in make_arch(vertebra(level)) if name is Subregion.SPINOUS)
        _, back, down = ends(spinous)[0] - ends(spinous)[1]
        return float(np.degrees(np.arctan2(down, back)))

    slopes = [slope_deg(level) for level in (Level.L3, Level.T12, Level.T11, Level.T6)]
    assert slopes == sorted(slopes)
    assert slope_deg(Level.T6) > slope_deg(Level.T1) > slope_deg(Level.L3)


@pytest.mark.parametrize("level", LEVELS)
def test_pedicles_end_at_their_middles_with_the_widths_of_the_column_and_start_inside_the_body(level: Level) -> None:
    placed = vertebra(level)
    for tube, middle in zip(make_pedicles(placed), pedicle_points_ras_mm(placed), strict=True):
        start, end = ends(tube)
        assert end == pytest.approx(middle)
        assert 2 * np.array(tube.end_mm) == pytest.approx((placed.size.pedicle_width_mm, placed.size.pedicle_height_mm))
        local = placed.to_local(start)
        assert abs(local[0]) < placed.size.lower_width_mm / 2
        assert -placed.size.depth_mm / 2 < local[1] < 0


@pytest.mark.parametrize("level", LEVELS)
def test_no_pedicle_or_lamina_reaches_the_middle_of_the_canal(level: Level) -> None:
    placed = vertebra(level)
    middle = placed.to_world((0.0, -placed.size.depth_mm / 2 - placed.size.canal_depth_mm / 2, 0.0))
    for name, tube in make_arch(placed):
        local = (middle - tube.frame.origin_ras_mm) @ tube.frame.axes
        assert float(tube.depth_mm(*local)) < -1, name


def test_neighbouring_articular_processes_meet_at_a_joint() -> None:
    upper, lower = vertebra(Level.L3), vertebra(Level.L4)
    below = next(tube for name, tube in make_arch(upper) if name is Subregion.INFERIOR_ARTICULAR_RIGHT)
    above = next(tube for name, tube in make_arch(lower) if name is Subregion.SUPERIOR_ARTICULAR_RIGHT)
    along = np.linspace(0, 1, 21)[:, None]
    paths = [start + along * (end - start) for start, end in (ends(below), ends(above))]
    gaps = np.linalg.norm(paths[0][:, None] - paths[1][None], axis=2)
    assert gaps.min() < below.start_mm[0] + above.start_mm[0]
    assert paths[0][-1][1] < paths[1][-1][1]  # the lower facet of the upper vertebra lies behind


def test_the_dens_runs_from_the_axis_through_the_ring_of_the_atlas() -> None:
    atlas, axis = upright_column().vertebrae[:2]
    start, end = ends(make_dens(axis, atlas))
    assert abs(axis.to_local(start)[2]) < axis.size.posterior_height_mm / 2
    assert atlas.to_local(end) == pytest.approx((0, 0, 3))
    diameter_mm = make_dens(axis, atlas).end_mm[0] * 2
    assert 8 < diameter_mm < 12


def test_ribs_sink_forward_and_grow_longer_down_to_the_middle_of_the_chest() -> None:
    reach = {}
    for level in (Level.T1, Level.T4, Level.T7, Level.T11, Level.T12):
        right = [tube for tube in make_ribs(vertebra(level), is_last=False) if tube.frame.origin_ras_mm[0] > 0]
        points = np.concatenate([ends(tube) for tube in right if isinstance(tube, Tube)])
        shaft = points[4:]
        assert (np.diff(shaft[:, 1]) > -1e-9).all()
        assert shaft[-1][2] < shaft[0][2]
        reach[level] = points[:, 0].max()
    assert reach[Level.T1] < reach[Level.T4] < reach[Level.T7]
    assert reach[Level.T7] > reach[Level.T11] > reach[Level.T12]


def test_a_last_rib_is_no_longer_than_a_twelfth_one() -> None:
    short, usual = (list(make_ribs(vertebra(Level.T11), is_last=is_last)) for is_last in (True, False))
    lengths = [sum(tube.length_mm for tube in tubes if isinstance(tube, Tube)) for tubes in (short, usual)]
    assert lengths[0] < 0.8 * lengths[1]


def test_every_thoracic_rib_starts_at_its_own_body() -> None:
    for placed in upright_column().vertebrae:
        if placed.level.region is Region.THORACIC:
            head = placed.to_local(next(iter(make_ribs(placed, is_last=False))).frame.origin_ras_mm)
            assert abs(head[0]) == pytest.approx(placed.size.upper_width_mm / 2)
            assert abs(head[2]) < placed.size.posterior_height_mm / 2
