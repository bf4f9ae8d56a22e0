"""Brightness is measured where the module says, on scans of known brightness."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spondyl.anatomy.level import Level
from spondyl.benches.realism.intensities import compare_intensities, measure_bodies, measure_cord
from spondyl.errors import InputError, SettingError
from spondyl.geometry.affine import Affine, Float
from spondyl.geometry.stack import SagittalStack

LEVELS = (Level.L2, Level.L3, Level.L4)
TOPS = (20.0, 60.0, 100.0)
FRONT, BACK, HEIGHT = 60.0, 92.0, 28.0


def stack_of(voxels: Float) -> SagittalStack:
    directions = np.array([[-1.0, 0, 0], [0, 0, -1.0], [0, -1.0, 0]])
    affine = Affine.from_axes(directions, (5.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    return SagittalStack(voxels=voxels.astype(np.float32), affine=affine)


@pytest.fixture
def stack() -> SagittalStack:
    """Bodies of 100 with discs of 200 and 40, a sac of 300, muscle of 50 and skin of 400 behind, air around."""
    voxels = np.zeros((11, 150, 240))
    voxels[:, :, 60:96] = 40.0
    voxels[:, :, 66:86] = 200.0
    for top in TOPS:
        voxels[:, int(top) : int(top + HEIGHT) + 1, 60:93] = 100.0
    voxels[:, :, 95:111] = 300.0
    voxels[:, :, 111:160] = 50.0
    voxels[:, :, 170:180] = 400.0
    return stack_of(voxels)


@pytest.fixture
def outlines() -> dict[Level, tuple[int, Float]]:
    return {
        level: (5, np.array([(top, BACK), (top + HEIGHT, BACK), (top + HEIGHT, FRONT), (top, FRONT)]))
        for level, top in zip(LEVELS, TOPS, strict=True)
    }


def test_each_tissue_is_found_where_it_lies(stack: SagittalStack, outlines: dict[Level, tuple[int, Float]]) -> None:
    ratios = measure_bodies(stack, outlines)
    assert ratios == pytest.approx(
        {"unevenness": 0.0, "nucleus": 2.0, "annulus": 0.4, "CSF": 3.0, "fat": 4.0, "muscle": 0.5}, abs=0.02
    )


def test_neither_a_factor_nor_a_constant_changes_what_is_measured(
    stack: SagittalStack, outlines: dict[Level, tuple[int, Float]]
) -> None:
    brighter = replace(stack, voxels=stack.voxels * 1.7 + 30)
    assert measure_bodies(brighter, outlines) == pytest.approx(measure_bodies(stack, outlines), rel=1e-4)


def test_the_sac_is_measured_only_where_it_holds_no_cord(
    stack: SagittalStack, outlines: dict[Level, tuple[int, Float]]
) -> None:
    names = (Level.T11, Level.T12, Level.L1)
    above = dict(zip(names, outlines.values(), strict=True))
    assert "CSF" not in measure_bodies(stack, above)


def test_a_cord_is_compared_with_the_fluid_around_it() -> None:
    voxels = np.zeros((9, 60, 60))
    voxels[3:6, :, 20:40] = 300.0
    cord = np.zeros(voxels.shape, dtype=bool)
    cord[4, :, 26:34] = True
    voxels[cord] = 90.0
    assert measure_cord(stack_of(voxels), cord) == pytest.approx(0.3)


def test_a_folder_without_scans_and_a_single_phantom_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no MR scans"):
        compare_intensities(tmp_path)
    with pytest.raises(SettingError, match="patients must be at least 2, got 1"):
        compare_intensities(tmp_path, patients=1)
