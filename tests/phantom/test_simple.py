"""The simple phantom looks like what its truth says, and is the same for the same seed."""

from itertools import pairwise

import numpy as np
import pytest

from spondyl.anatomy.level import Level
from spondyl.phantom.simple import Phantom, simple_lumbar


@pytest.fixture(scope="module", params=[0, 1])
def phantom(request: pytest.FixtureRequest) -> Phantom:
    return simple_lumbar(request.param)


def signal_at(phantom: Phantom, point_ras_mm: np.ndarray) -> float:
    """Mean over five pixels in the slice around a world point."""
    i, j, k = np.round(phantom.volume.affine.to_index(point_ras_mm)).astype(int)
    return float(phantom.volume.voxels[i, j - 2 : j + 3, k - 2 : k + 3].mean())


def test_the_same_seed_gives_the_same_patient_and_another_seed_another_one() -> None:
    first, again, other = simple_lumbar(3), simple_lumbar(3), simple_lumbar(4)
    assert np.array_equal(first.volume.voxels, again.volume.voxels)
    assert not np.array_equal(first.volume.voxels, other.volume.voxels)


def test_bodies_descend_at_distances_of_real_ones_and_curve_as_a_lumbar_spine(phantom: Phantom) -> None:
    centres = phantom.centroids_ras_mm
    assert list(centres) == sorted(centres, key=lambda level: level.rank)
    for (upper, a), (_, b) in pairwise(centres.items()):
        low, high = (22, 42) if upper is not Level.S1 else (18, 36)
        assert low < np.linalg.norm(a - b) < high
        assert b[2] < a[2]
    assert centres[Level.L3][1] > centres[Level.T11][1]
    assert centres[Level.L3][1] > centres[Level.S1][1]


def test_discs_are_darker_at_the_rim_and_csf_outshines_marrow(phantom: Phantom) -> None:
    centres = phantom.centroids_ras_mm
    marrow = [signal_at(phantom, centres[level]) for level in (Level.L1, Level.L2, Level.L3, Level.L4)]
    for level, body in zip((Level.L1, Level.L2, Level.L3, Level.L4), marrow, strict=True):
        around = centres[level] - (0, 26, 0)
        assert signal_at(phantom, around) > 1.5 * body
    assert np.std(marrow) < 0.3 * np.mean(marrow)


def test_the_scan_is_a_plausible_sagittal_series(phantom: Phantom) -> None:
    volume = phantom.volume
    assert volume.voxels.dtype == np.float32
    assert volume.affine.spacing_mm == pytest.approx([4, 0.9, 0.9])
    assert volume.voxels.min() >= 0
