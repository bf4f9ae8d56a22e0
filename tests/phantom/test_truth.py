"""The truth of a phantom measured back from its masks: heights, depths, fractures, slips and levels."""

from itertools import pairwise

import numpy as np
import pytest

from phantoms import lumbar, made
from spondyl.anatomy.codes import verse_code
from spondyl.anatomy.level import Level
from spondyl.phantom.patient import Phantom
from spondyl.phantom.truth import VertebraTruth

BODY, CORD, CANAL = 49, 60, 61
LEVELS = (Level.T12, Level.L1, Level.L2, Level.L3, Level.L4, Level.L5)


def diseased() -> Phantom:
    """The patient of `lumbar` with a fracture and a slip."""
    return made(
        seed=1,
        variant="regular",
        severity=0,
        fractures=("L1:wedge:3",),
        slips=("L4/L5:8",),
        screws="L4,L5",
    )


def vertebra_of(phantom: Phantom, level: Level) -> VertebraTruth:
    return next(vertebra for vertebra in phantom.truth.vertebrae if vertebra.level is level)


def extent_mm(phantom: Phantom, level: Level, point: np.ndarray, direction: np.ndarray) -> tuple[float, float]:
    """How far the body's mask reaches backward and forward along a line through a point."""
    along = np.arange(-40, 40, 0.1)
    index = phantom.volume.affine.to_index(point + along[:, None] * direction / np.linalg.norm(direction))
    i, j, k = np.clip(np.round(index), 0, np.array(phantom.volume.voxels.shape) - 1).astype(int).T
    masks = phantom.truth.masks
    inside = (masks.subregions[i, j, k] == BODY) & (masks.instances[i, j, k] == verse_code(level))
    assert inside.any()
    return float(along[inside].min()), float(along[inside].max())


def heights_mm(phantom: Phantom, level: Level) -> tuple[float, float]:
    """Height of a body's mask near its posterior and its anterior wall."""
    corners = vertebra_of(phantom, level).corners_ras_mm
    heights = []
    for share in (0.1, 0.9):
        low, high = corners[1] + share * (corners[2] - corners[1]), corners[0] + share * (corners[3] - corners[0])
        low_mm, high_mm = extent_mm(phantom, level, (low + high) / 2, high - low)
        heights.append(high_mm - low_mm)
    return heights[0], heights[1]


@pytest.mark.parametrize("level", LEVELS)
def test_the_mask_of_a_body_is_as_high_as_its_corners_are_apart(level: Level) -> None:
    corners = vertebra_of(lumbar(), level).corners_ras_mm
    expected = np.linalg.norm(corners[0] - corners[1]), np.linalg.norm(corners[3] - corners[2])
    # rounded rims and hollow endplates take some of it, a pixel is 1.2 mm
    for measured, height in zip(heights_mm(lumbar(), level), expected, strict=True):
        assert height - 4.5 < measured < height + 1.2


@pytest.mark.parametrize("level", LEVELS)
def test_the_mask_of_a_body_is_as_deep_as_its_endplates(level: Level) -> None:
    corners = vertebra_of(lumbar(), level).corners_ras_mm
    back, front = (corners[0] + corners[1]) / 2, (corners[2] + corners[3]) / 2
    low_mm, high_mm = extent_mm(lumbar(), level, (back + front) / 2, front - back)
    depth_mm = np.linalg.norm(front - back)
    assert 0.9 * depth_mm - 1.2 < high_mm - low_mm < depth_mm + 1.2  # the waist takes a tenth, a pixel is 1.2 mm


@pytest.mark.parametrize("level", LEVELS)
def test_the_middle_of_a_bodys_mask_is_its_centroid(level: Level) -> None:
    phantom = lumbar()
    masks = phantom.truth.masks
    voxels = np.argwhere((masks.subregions == BODY) & (masks.instances == verse_code(level)))
    middle = phantom.volume.affine.to_world(voxels).mean(axis=0)
    assert np.linalg.norm(middle - vertebra_of(phantom, level).centroid_ras_mm) < 2.5


def test_a_wedge_fracture_measured_on_the_mask_has_lost_its_front() -> None:
    phantom = diseased()
    fracture = vertebra_of(phantom, Level.L1).fracture
    assert fracture is not None
    ratio = {}
    for name, scan in (("healthy", lumbar()), ("broken", phantom)):
        back, front = heights_mm(scan, Level.L1)
        ratio[name] = front / back
    assert ratio["broken"] / ratio["healthy"] == pytest.approx(1 - 0.9 * fracture.loss, abs=0.15)
    for level in (Level.L2, Level.L3):
        for before, after in zip(heights_mm(lumbar(), level), heights_mm(phantom, level), strict=True):
            assert after == pytest.approx(before, abs=2.4)  # pixels of 2.4 mm


def test_a_slip_measured_on_the_masks_is_the_one_asked_for() -> None:
    def step_mm(phantom: Phantom) -> float:
        """How far the back wall of L4 lies in front of that of L5."""
        upper, lower = (vertebra_of(phantom, level).corners_ras_mm for level in (Level.L4, Level.L5))
        forward = (upper[2] - upper[1]) / np.linalg.norm(upper[2] - upper[1])
        walls = []
        for level, corners in ((Level.L4, upper), (Level.L5, lower)):
            centre = corners.mean(axis=0)
            back_mm, _ = extent_mm(phantom, level, centre, forward)
            walls.append((centre + back_mm * forward) @ forward)
        return float(walls[0] - walls[1])

    assert step_mm(diseased()) - step_mm(lumbar()) == pytest.approx(8, abs=2.4)


def test_instances_lie_below_each_other_in_the_order_of_their_levels() -> None:
    phantom = lumbar()
    heights = []
    for vertebra in phantom.truth.vertebrae:
        if vertebra.level in LEVELS:
            voxels = np.argwhere(phantom.truth.masks.instances == verse_code(vertebra.level))
            heights.append(phantom.volume.affine.to_world(voxels)[:, 2].mean())
    assert all(upper > lower for upper, lower in pairwise(heights))


def test_cord_and_canal_lie_behind_every_body() -> None:
    phantom = lumbar()
    voxels = np.argwhere(np.isin(phantom.truth.masks.subregions, (CORD, CANAL)))
    points = phantom.volume.affine.to_world(voxels)
    for vertebra in phantom.truth.vertebrae:
        if vertebra.level in LEVELS:
            corners = vertebra.corners_ras_mm
            beside = points[np.abs(points[:, 2] - vertebra.centroid_ras_mm[2]) < 4]
            forward = corners[2] - corners[1]
            back_wall = (corners[0] + corners[1]) / 2
            behind_mm = (beside - back_wall) @ forward / np.linalg.norm(forward)
            assert behind_mm.max() < 2.5  # the hollow of the back wall
            assert -25 < behind_mm.mean() < -3


def test_corners_outlines_and_centroids_of_the_truth_agree() -> None:
    phantom = lumbar()
    for vertebra in phantom.truth.vertebrae:
        if vertebra.instance is None or vertebra.level not in LEVELS:
            continue
        outlines = vertebra.instance.outlines_ras_mm
        nearest = outlines[np.abs(outlines[:, :, 0].mean(axis=1) - vertebra.centroid_ras_mm[0]).argmin()]
        assert np.abs(nearest - vertebra.corners_ras_mm)[:, 1:].max() < 1.5
        assert vertebra.corners_ras_mm.mean(axis=0) == pytest.approx(vertebra.centroid_ras_mm, abs=0.6)
