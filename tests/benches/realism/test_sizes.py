"""Phantoms beside real spines: the measures, the verdict, and the report."""

from pathlib import Path

import numpy as np
import pytest

from real_data import DATA, needs_real_data
from spondyl.anatomy.level import Level
from spondyl.benches.realism.sizes import (
    Spread,
    compare_sizes,
    judge,
    measure_bodies_mm,
    measure_curvatures_deg,
    measure_pedicles_mm,
    measure_spacings_mm,
)
from spondyl.datasets.real_columns import Spine, read_mesh_bodies, read_verse, read_vid
from spondyl.errors import InputError, SettingError


def spine(levels: str, points: list[tuple[float, float, float]], pedicles: list[float] | None = None) -> Spine:
    return Spine(
        levels=tuple(map(Level, levels.split())),
        centres_ras_mm=np.array(points),
        pedicle_distances_mm=None if pedicles is None else np.array(pedicles),
    )


def test_distances_are_those_of_neighbours_only() -> None:
    gap = spine("L1 L2 L4", [(0, 0, 50), (3, 0, 46), (0, 0, 0)], [20.0, 21.0, 22.0])
    assert measure_spacings_mm([gap]) == {"L1/L2": [5.0]}
    assert measure_pedicles_mm([gap, spine("L1", [(0, 0, 0)])]) == {"L1": [20.0], "L2": [21.0], "L4": [22.0]}


def test_a_spine_that_leans_forward_below_and_upright_above_bends_backward_there() -> None:
    # upper line upright, lower line leaning forward by 45 degrees as it goes up: lordosis grows downward
    bent = spine("L2 L3 L4", [(0, 10, 20), (0, 10, 10), (0, 0, 0)])
    assert measure_curvatures_deg([bent])["L3"] == [pytest.approx(45.0)]


def test_sizes_are_read_off_corners() -> None:
    upper = np.array([[0, 0, 30], [0, 0, 10], [0, 40, 10], [0, 40, 30]], dtype=float)
    sizes = measure_bodies_mm({Level.L4: upper, Level.L5: upper - [0, 0, 28]})
    assert sizes["L4 anterior height"] == sizes["L5 posterior height"] == 20
    assert sizes["L4 upper depth"] == sizes["L4 lower depth"] == 40
    assert sizes["L4/L5 disc height"] == 8


def test_slips_of_readers_are_left_out_of_means() -> None:
    values = [*np.random.default_rng(0).normal(30, 2, 200), 300.0, -50.0]
    spread = Spread.from_values(values)
    assert spread.count == 200
    assert (spread.mean, spread.sd) == (pytest.approx(30, abs=0.5), pytest.approx(2, abs=0.3))


@pytest.mark.parametrize(
    ("mean", "sd", "count", "is_angle", "said"),
    [
        (31.4, 2.4, 10_000, False, "yes"),
        (31.6, 2.4, 10_000, False, "no"),
        (30.0, 2.6, 10_000, False, "no"),
        (31.6, 2.0, 100, False, "chance"),
        (30.9, 2.0, 10_000, True, "yes"),
        (31.2, 2.0, 10_000, True, "no"),
    ],
)
def test_the_verdict_keeps_to_its_tolerances(mean: float, sd: float, count: int, is_angle: bool, said: str) -> None:
    real = Spread(count=count, mean=30.0, sd=2.0)
    assert judge(real, Spread(count=500, mean=mean, sd=sd), is_angle=is_angle) == said


def test_points_are_read_in_ras_and_head_to_foot(tmp_path: Path) -> None:
    vid = tmp_path / "vid.csv"
    vid.write_text(
        "case,kind,level,x_lps_mm,y_lps_mm,z_lps_mm\na,body,L2,1,2,3\na,body,L1,1,2,33\na,left,,11,5,3\n"
        "a,left,,10,5,33\na,right,,-9,5,3\na,right,,-11,5,33\n"
    )
    (read,) = read_vid(vid)
    assert read.levels == (Level.L1, Level.L2)
    assert read.centres_ras_mm.tolist() == [[-1, -2, 33], [-1, -2, 3]]
    assert read.pedicle_distances_mm is not None
    assert read.pedicle_distances_mm.tolist() == [21, 20]
    verse = tmp_path / "verse.csv"
    verse.write_text("v," + ",".join(["nan"] * 69 + ["1", "2", "3"] + ["nan"] * 3 + ["4", "5", "6"]) + "\n")
    (read,) = read_verse(verse)
    assert read.levels == (Level.T13, Level.L5)


def test_a_mesh_is_cut_in_the_middle_in_front_of_its_canal(tmp_path: Path) -> None:
    # a box of 40 x 30 x 25 looking along -y, and an arch behind a canal of 15
    x, y, z = (axis.ravel() for axis in np.meshgrid(np.linspace(-20, 20, 41), [-15, 15], np.arange(26), indexing="ij"))
    top = np.array([(u, v, w) for u in range(-20, 21) for v in np.linspace(-15, 15, 31) for w in (0, 25)])
    arch = np.array([(u, v, 8.0) for u in range(-20, 21) for v in range(30, 55)])
    vertices = np.concatenate([np.stack([x, y, z], 1), top, arch])
    np.savez(tmp_path / "mesh.npz", L1_vertices_mm=vertices + np.array([0, 0, 40]), L2_vertices_mm=vertices)
    sizes = measure_bodies_mm(read_mesh_bodies(tmp_path / "mesh.npz", forward_xy=(0, -1)))
    assert sizes["L1 anterior height"] == pytest.approx(25, abs=1)
    assert sizes["L2 upper depth"] == pytest.approx(30, abs=1)
    assert sizes["L1/L2 disc height"] == pytest.approx(15, abs=1)


@needs_real_data
def test_the_report_holds_most_of_the_distances_of_vid(tmp_path: Path) -> None:
    (tmp_path / "coordinates").symlink_to(DATA / "coordinates")
    report = compare_sizes(tmp_path, patients=60)
    distances = report.split("## ")[1].splitlines()
    verdicts = [line.split("|")[-2].strip() for line in distances if line.startswith("| ")][1:]
    assert verdicts.count("yes") >= 15
    assert verdicts.count("no") <= 2


def test_a_folder_without_coordinates_and_too_few_patients_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no vid_training\.csv in the folder coordinates"):
        compare_sizes(tmp_path)
    with pytest.raises(SettingError, match="patients must be at least 2, got 1"):
        compare_sizes(tmp_path, patients=1)
