"""The canal runs behind the bodies; sac, cord and roots lie inside each other, and stenosis narrows them."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from phantom.plans import upright_column, vertebra_of
from spondyl.anatomy.level import Level
from spondyl.phantom.column.column import Column, place_column
from spondyl.phantom.column.draw import draw_plan
from spondyl.phantom.scene.solids import Tube
from spondyl.phantom.spine.canal import (
    CanalPath,
    draw_cauda_equina,
    draw_cord,
    make_dural_sac,
    make_epidural_fat,
    make_foramina,
    trace_canal,
)

LUMBAR = (Level.L1, Level.L2, Level.L3, Level.L4, Level.L5)


@cache
def path() -> CanalPath:
    return trace_canal(upright_column(), {})


@cache
def drawn_column() -> Column:
    return place_column(draw_plan(np.random.default_rng(4), scoliosis_cobb_deg=30.0))


def at_disc_below(line: CanalPath, level: Level) -> int:
    """The index of the point at the disc below a level."""
    return int(np.flatnonzero(line.place == level.rank)[0]) + 1


def inside_any(tubes: list[Tube], points: np.ndarray) -> np.ndarray:
    """Whether points (n, 3) lie inside one of the tubes."""
    depths = [tube.depth_mm(*((points - tube.frame.origin_ras_mm) @ tube.frame.axes).T) for tube in tubes]
    return np.asarray(np.max(depths, axis=0) > 0)


def samples(tube: Tube) -> np.ndarray:
    """Points along the axis of a tube, (5, 3)."""
    return tube.frame.to_world([(0, 0, z) for z in np.linspace(0, tube.length_mm, 5)])


# The path


def test_the_path_has_a_point_at_every_vertebra_and_every_disc_from_head_to_foot() -> None:
    line, column = path(), upright_column()
    assert len(line.points_ras_mm) == 2 * len(column.vertebrae)
    assert (np.diff(line.points_ras_mm[:, 2]) < 0).all()
    assert (np.diff(line.place) > 0).all()
    assert line.place[1::2].tolist() == [vertebra.level.rank for vertebra in column.vertebrae]


@pytest.mark.parametrize("column", [upright_column(), drawn_column()], ids=["upright", "drawn"])
def test_the_path_lies_behind_every_body_by_half_the_canal_and_in_front_of_its_back(column: Column) -> None:
    line = trace_canal(column, {})
    for vertebra in column.vertebrae[1:]:
        point = line.points_ras_mm[line.place == vertebra.level.rank][0]
        local = vertebra.to_local(point)
        behind_mm = -vertebra.size.depth_mm / 2 - local[1]
        assert behind_mm == pytest.approx(0.5 + min(vertebra.size.canal_depth_mm, 20) / 2)
        assert local[[0, 2]] == pytest.approx((0, 0), abs=1e-9)


def test_a_straight_spine_has_its_canal_in_the_midline() -> None:
    line = path()
    assert np.abs(line.points_ras_mm[:, 0]).max() == 0
    assert np.allclose(line.right, (1, 0, 0))
    assert np.allclose(line.posterior, (0, -1, 0))


def test_stenosis_is_marked_at_its_own_disc_alone() -> None:
    line = trace_canal(upright_column(), {Level.L4: 0.5})
    narrowed = np.flatnonzero(line.remaining < 1)
    assert narrowed.tolist() == [at_disc_below(line, Level.L4)]
    assert line.remaining[narrowed[0]] == 0.5


# Sac and fat


def test_the_sac_takes_the_published_shares_of_the_canal_and_ends_at_s2() -> None:
    line, sac = path(), list(make_dural_sac(path()))
    for index in np.flatnonzero((line.place >= 0) & (line.place < Level.S2.rank - 0.6)):
        assert sac[index].start_mm == pytest.approx(line.half_mm[index] * (0.80, 0.84))
    lowest = vertebra_of(upright_column(), Level.S2).centre_ras_mm[2]
    assert sac[-1].frame.to_world((0, 0, sac[-1].length_mm))[2] == pytest.approx(lowest)
    assert max(sac[-1].end_mm) < 0.5 * max(sac[-3].start_mm)


@pytest.mark.parametrize("remaining", [0.9, 0.6, 0.4])
def test_stenosis_leaves_the_sac_its_share_of_the_depth_and_the_root_of_it_of_the_width(remaining: float) -> None:
    healthy, narrow = path(), trace_canal(upright_column(), {Level.L3: remaining})
    index = at_disc_below(healthy, Level.L3)
    before, after = (list(make_dural_sac(line))[index].start_mm for line in (healthy, narrow))
    assert after[1] / before[1] == pytest.approx(remaining)
    assert after[0] / before[0] == pytest.approx(remaining**0.5)


def test_a_sac_that_is_hardly_narrowed_lies_on_the_posterior_longitudinal_ligament() -> None:
    line = path()
    index = at_disc_below(line, Level.L3)
    tube = list(make_dural_sac(line))[index]
    front_mm = tube.frame.origin_ras_mm[1] + tube.start_mm[1]
    ligament_mm = line.points_ras_mm[index, 1] + line.half_mm[index, 1]
    assert ligament_mm - front_mm == pytest.approx(0.2)


@pytest.mark.parametrize("column", [upright_column(), drawn_column()], ids=["upright", "drawn"])
def test_epidural_fat_surrounds_the_sac_below_the_atlas(column: Column) -> None:
    line = trace_canal(column, {})
    fat = list(make_epidural_fat(line))
    for tube in list(make_dural_sac(line))[1:-3]:
        assert inside_any(fat, samples(tube)).all()


# Cord and roots


@pytest.mark.parametrize("seed", range(5))
def test_the_cord_lies_inside_the_sac_and_ends_near_l1(seed: int) -> None:
    line = trace_canal(drawn_column(), {})
    cord, tip = draw_cord(line, np.random.default_rng(seed))
    assert Level.T11.rank < tip < Level.L3.rank
    sac = list(make_dural_sac(line))
    low = line.points_ras_mm[1, 2]
    points = np.concatenate([samples(tube) for tube in cord])
    assert inside_any(sac, points[points[:, 2] < low]).all()
    end = cord[-1].frame.to_world((0, 0, cord[-1].length_mm))
    assert end[2] == pytest.approx(np.interp(tip, line.place, line.points_ras_mm[:, 2]), abs=0.5)


def test_the_cord_is_thicker_in_the_neck_than_in_the_chest_and_tapers_to_the_conus() -> None:
    line = path()
    cord, _ = draw_cord(line, np.random.default_rng(0))
    places = line.place[: len(cord)]
    width = {level: cord[int(np.abs(places - level.rank).argmin())].start_mm[0] for level in (Level.C5, Level.T8)}
    assert width[Level.C5] > 1.3 * width[Level.T8]
    assert cord[-1].end_mm[0] < 0.4 * cord[-3].start_mm[0]


def test_stenosis_presses_on_the_cord() -> None:
    narrow = trace_canal(upright_column(), {Level.C5: 0.3})
    index = at_disc_below(narrow, Level.C5)
    free, pressed = (draw_cord(line, np.random.default_rng(1))[0][index].start_mm for line in (path(), narrow))
    assert pressed[1] < free[1]
    assert pressed[1] == pytest.approx(0.8 * 0.3 * path().half_mm[index, 1])


@pytest.mark.parametrize("seed", range(3))
def test_roots_of_the_cauda_equina_hang_from_the_conus_inside_the_sac(seed: int) -> None:
    line = trace_canal(upright_column(), {})
    roots = list(draw_cauda_equina(line, Level.L1.rank + 0.2, np.random.default_rng(seed)))
    assert inside_any(list(make_dural_sac(line)), np.concatenate([samples(tube) for tube in roots])).mean() > 0.97
    highest = max(tube.frame.origin_ras_mm[2] for tube in roots)
    assert highest <= np.interp(Level.L1.rank + 0.2 - 0.8, line.place, line.points_ras_mm[:, 2])
    behind = [tube.frame.origin_ras_mm[1] < line.points_ras_mm[-8, 1] + 1 for tube in roots]
    assert np.mean(behind) > 0.6


def test_there_are_as_many_roots_as_asked_for() -> None:
    def starts(n: int) -> int:
        tubes = list(draw_cauda_equina(path(), Level.L1.rank, np.random.default_rng(0), n=n))
        joined = [np.allclose(samples(a)[-1], b.frame.origin_ras_mm) for a, b in pairwise(tubes)]
        return 1 + joined.count(False)

    assert [starts(n) for n in (1, 5, 14)] == [1, 5, 14]


def test_the_same_seed_draws_the_same_cord_and_roots() -> None:
    def drawn(seed: int) -> list[tuple[float, ...]]:
        rng = np.random.default_rng(seed)
        cord, tip = draw_cord(path(), rng)
        tubes = [*cord, *draw_cauda_equina(path(), tip, rng)]
        return [(*tube.frame.origin_ras_mm, *tube.start_mm) for tube in tubes]

    assert drawn(3) == drawn(3) != drawn(4)


# Foramina


@pytest.mark.parametrize("level", LUMBAR)
def test_the_root_lies_in_the_fat_of_its_foramen_beside_the_body_and_below_the_pedicle(level: Level) -> None:
    vertebra = vertebra_of(upright_column(), level)
    sides = []
    for fat, root in make_foramina(vertebra, {}):
        assert isinstance(fat, Tube)
        assert isinstance(root, Tube)
        local = vertebra.to_local(samples(root)[0])
        sides.append(np.sign(local[0]))
        assert inside_any([fat], samples(root)[:1]).all()
        assert local[1] < -vertebra.size.depth_mm / 2
        assert local[2] < 0
    assert sides == [1, -1]


@pytest.mark.parametrize("side", [1, -1])
def test_a_stenosed_foramen_loses_fat_on_its_side_alone_and_keeps_its_root(side: int) -> None:
    vertebra = vertebra_of(upright_column(), Level.L4)
    for index, (healthy, narrow) in enumerate(
        zip(make_foramina(vertebra, {}), make_foramina(vertebra, {side: 0.3}), strict=True)
    ):
        before, after = healthy[0], narrow[0]
        assert isinstance(before, Tube)
        assert isinstance(after, Tube)
        expected = 0.3 if (1, -1)[index] == side else 1.0
        assert np.divide(after.start_mm, before.start_mm) == pytest.approx((expected, expected))
        assert replace(healthy[1], frame=narrow[1].frame) == narrow[1]  # type: ignore[type-var]
