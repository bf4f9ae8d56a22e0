"""Laws of vector-field regression: what targets draw, decoding gives back."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.draw import polygon

from spondyl.geometry.affine import Affine
from spondyl.geometry.stack import SagittalStack
from spondyl.locate import grouping, vfr
from spondyl.locate.grouping import SliceOutlines, group_across_slices
from spondyl.locate.vfr import PAPER_HEAT, batches, decode_maps, detect
from spondyl.locate.vfr_patches import detect_in_patches
from spondyl.locate.vfr_targets import render_targets

SIZE = 160

STACK_AFFINE = Affine.from_axes([[-1, 0, 0], [0, 0, -1], [0, -1, 0]], (4, 1, 1), (0, 0, 0))


def column_of_bodies(*, count: int, edge_px: float, angle_deg: float, shear: float) -> np.ndarray:
    """Quadrilaterals (count, 4, 2) in a row along a turned axis through the image's middle."""
    unit = np.array([(-0.5, 0.6), (0.5, 0.65), (0.45, -0.6), (-0.55, -0.55)])
    unit = unit + shear * np.array([(0, 0), (0, 1), (0, 1), (0, 0)])
    angle = np.deg2rad(angle_deg)
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    steps = (np.arange(count) - (count - 1) / 2)[:, None] * np.array([1.35, 0.0])
    return (unit[None] + steps[:, None]) @ turn.T * edge_px + SIZE / 2


def draw(corners: np.ndarray) -> np.ndarray:
    """Rendered maps (1, 13, SIZE, SIZE)."""
    batch = torch.as_tensor(corners[None], dtype=torch.float32)
    return render_targets(batch, torch.ones(batch.shape[:2], dtype=torch.bool), (SIZE, SIZE))[0].numpy()


@settings(deadline=None, max_examples=40)
@given(
    count=st.integers(1, 5),
    edge_px=st.floats(12, 34),
    angle_deg=st.floats(-180, 180),
    shear=st.floats(-0.2, 0.2),
)
def test_decoding_rendered_targets_gives_the_polygons_back(count, edge_px, angle_deg, shear):
    corners = column_of_bodies(count=count, edge_px=edge_px, angle_deg=angle_deg, shear=shear)
    inside = ((corners > 4) & (corners < SIZE - 5)).all((1, 2))
    found = decode_maps(draw(corners))
    for expected in corners[inside]:
        # the region above 0.6 is at most 5 pixels wide here, and its ragged rim moves the centroid by less than 0.1
        assert np.abs(found.corners - expected).max((1, 2)).min() < 0.1


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), angle_deg=st.floats(-60, 60))
def test_decoding_bears_noise_of_a_tenth_of_the_peak(seed, angle_deg):
    corners = column_of_bodies(count=4, edge_px=24, angle_deg=angle_deg, shear=0.0)
    inside = ((corners > 4) & (corners < SIZE - 5)).all((1, 2))
    maps = draw(corners)
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=maps.shape), (0, 0, 1, 1))  # a network's errors are smooth
    noisy = maps + (0.1 * noise / noise.std()).astype(np.float32)
    found = decode_maps(noisy)
    for expected in corners[inside]:
        # sigma is 3.7 pixels here: 0.1 of heat is 1.7 pixels' fall from the peak, 1 pixel's at the region's rim
        assert np.abs(found.corners - expected).max((1, 2)).min() < 1.7


def test_a_corner_outside_the_image_is_completed_through_the_centroid():
    corners = np.array([[(60.0, 154.0), (90.0, 172.0), (92.0, 120.0), (61.0, 118.0)]])
    found = decode_maps(draw(corners))
    assert len(found.corners) == 1
    centroid = found.corners[0][[0, 2, 3]]
    np.testing.assert_allclose(centroid, corners[0][[0, 2, 3]], atol=0.1)
    assert found.corners[0, 1, 1] > SIZE - 1


@settings(deadline=None, max_examples=20)
@given(cuts=st.lists(st.integers(0, 5), max_size=3), angles_deg=st.tuples(*[st.floats(-180, 180)] * 5))
def test_slices_decoded_in_parts_are_as_all_at_once(cuts, angles_deg):
    columns = [column_of_bodies(count=1 + k % 3, edge_px=20, angle_deg=a, shear=0) for k, a in enumerate(angles_deg)]
    maps = np.concatenate([draw(corners) for corners in columns])
    whole = decode_maps(maps)
    parts = [decode_maps(maps[a:b], first_slice=a) for a, b in pairwise([0, *sorted(set(cuts) - {0, 5}), 5])]
    for name in ("slices", "corners", "scores"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))


@given(slices=st.integers(1, 2000), pixels=st.floats(1, 1e8))
def test_batches_hold_every_slice_once_and_no_more_than_fits(slices, pixels):
    runs = batches(slices, pixels)
    assert [k for run in runs for k in range(run.start, run.stop)] == list(range(slices))
    lengths = [run.stop - run.start for run in runs]
    assert max(lengths) * pixels <= 3 * 2**20 or max(lengths) == 1
    assert max(lengths) - min(lengths) <= 1


def test_of_too_many_centroids_in_a_slice_the_hottest_count(monkeypatch):
    corners = column_of_bodies(count=4, edge_px=20, angle_deg=0, shear=0)
    maps = draw(corners)
    for place, (row, column) in enumerate(corners.mean(1).round().astype(int)):
        maps[0, 4, row - 8 : row + 9, column - 8 : column + 9] *= (1.0, 0.7, 0.9, 0.8)[place]
    monkeypatch.setattr(vfr, "_MAX_CENTROIDS", 2)
    np.testing.assert_allclose(np.sort(decode_maps(maps).corners[:, 0, 0]), np.sort(corners[[0, 2], 0, 0]), atol=0.1)


def test_a_body_with_two_corners_missing_is_dropped():
    maps = draw(column_of_bodies(count=1, edge_px=24, angle_deg=0, shear=0))
    maps[:, :2] = 0
    assert len(decode_maps(maps).corners) == 0


def test_a_faint_corner_counts_where_its_arrow_leads_to_a_sure_centroid():
    corners = column_of_bodies(count=1, edge_px=24, angle_deg=0, shear=0)
    maps = draw(corners)
    maps[:, 1] *= 0.4
    np.testing.assert_allclose(decode_maps(maps).corners, corners, atol=0.1)
    as_published = decode_maps(maps, corner_heat=PAPER_HEAT, centroid_heat=PAPER_HEAT)
    completed = as_published.corners[0, 1]
    assert np.abs(completed - corners[0, 1]).max() > 0.5


def test_an_arrow_that_points_elsewhere_does_not_join():
    maps = draw(column_of_bodies(count=1, edge_px=24, angle_deg=0, shear=0))
    maps[:, 5:7] += 30
    maps[:, 9:11] += 30
    assert len(decode_maps(maps).corners) == 0


def test_empty_maps_give_no_bodies():
    assert len(decode_maps(np.zeros((3, 13, 32, 32), np.float32)).corners) == 0
    empty = SliceOutlines(slices=np.empty(0, np.intp), corners=np.empty((0, 4, 2)), scores=np.empty(0))
    assert group_across_slices(empty, STACK_AFFINE) == ()


@pytest.fixture
def drifting() -> SliceOutlines:
    """Two bodies in seven slices, drifting sideways as in a scoliosis, one of them missed in slice 3."""
    pair = column_of_bodies(count=2, edge_px=24, angle_deg=0, shear=0)
    slices, corners = [], []
    for k in range(7):
        for body in range(2):
            if not (k == 3 and body == 1):
                slices.append(k)
                corners.append(pair[body] + np.array((0.0, 2.0 * k)))
    return SliceOutlines(slices=np.array(slices), corners=np.array(corners), scores=np.linspace(0.8, 0.9, len(slices)))


def test_grouping_follows_a_drifting_body_over_a_missed_slice(drifting):
    upper, lower = group_across_slices(drifting, STACK_AFFINE)
    assert upper.slices == tuple(range(7))
    assert lower.slices == (0, 1, 2, 4, 5, 6)
    np.testing.assert_allclose(upper.outlines[6] - upper.outlines[0], np.tile((0.0, 12.0), (4, 1)))


def test_a_slice_that_shows_only_the_rim_is_left_out(drifting):
    scores = drifting.scores.copy()
    scores[-2] = 0.5
    upper, _ = group_across_slices(replace(drifting, scores=scores), STACK_AFFINE)
    assert upper.slices == tuple(range(6))


def test_a_body_in_a_single_slice_is_dropped(drifting):
    lonely = SliceOutlines(
        slices=np.append(drifting.slices, 6),
        corners=np.append(drifting.corners, drifting.corners[-1:] + np.array((60.0, 0.0)), axis=0),
        scores=np.append(drifting.scores, 0.9),
    )
    assert len(group_across_slices(lonely, STACK_AFFINE)) == 2


def test_of_too_many_candidates_those_that_score_highest_are_kept(drifting, monkeypatch):
    scores = np.where(drifting.corners[:, 0, 0] < SIZE / 2, 0.82, 0.9)
    _, lower = group_across_slices(replace(drifting, scores=scores), STACK_AFFINE)
    monkeypatch.setattr(grouping, "MAX_CHAINS", 1)
    (kept,) = group_across_slices(replace(drifting, scores=scores), STACK_AFFINE)
    np.testing.assert_array_equal(kept.outlines, lower.outlines)


def painted_stack(corners: np.ndarray, *, slices: int, pixel_mm: float, shape: tuple[int, int]) -> SagittalStack:
    """A stack whose bodies are bright, so that a network that sees brightness can be faked."""
    image = polygon_mask(shape, corners)
    affine = Affine.from_axes(
        np.array([(-1, 0, 0), (0, 0, -1), (0, -1, 0)]).T @ np.eye(3), (4.0, pixel_mm, pixel_mm), (0, 0, 0)
    )
    return SagittalStack(voxels=np.tile(image, (slices, 1, 1)).astype(np.float32), affine=affine)


def polygon_mask(shape: tuple[int, int], corners: np.ndarray) -> np.ndarray:
    """1 inside any of the quadrilaterals."""
    mask = np.zeros(shape)
    for body in corners:
        mask[polygon(*body.T, shape)] = 1
    return mask


def seeing_network(images: np.ndarray) -> np.ndarray:
    """Draws perfect targets for whatever bright quadrilaterals it is shown: finds them by connected components."""
    corners = []
    for image in images[:, 0]:
        labels, count = ndimage.label(image > 0.5)
        boxes = ndimage.find_objects(labels)[:count]
        boxes = [b for b in boxes if b[0].start > 0 and b[0].stop < len(image)]  # cut bodies have no corners here
        tops, bottoms = [b[0].start - 0.5 for b in boxes], [b[0].stop - 0.5 for b in boxes]
        lefts, rights = [b[1].start - 0.5 for b in boxes], [b[1].stop - 0.5 for b in boxes]
        rows, columns = (tops, bottoms, bottoms, tops), (rights, rights, lefts, lefts)
        corners.append(np.stack([rows, columns], -1).transpose(1, 0, 2))
    batch = torch.as_tensor(np.stack(corners), dtype=torch.float32)
    present = torch.ones(batch.shape[:2], dtype=torch.bool)
    return render_targets(batch, present, tuple(images.shape[2:]))[0].numpy()


@pytest.mark.parametrize("find", [detect, detect_in_patches])
@pytest.mark.parametrize("pixel_mm", [0.6, 1.2])
def test_bodies_come_back_in_the_stacks_own_indices(find, pixel_mm):
    boxes_mm = np.array([(40 + 45 * n, 110, 30, 40) for n in range(8)], dtype=float)
    low, left, height, width = boxes_mm.T
    rows, columns = (low, low + height, low + height, low), (left + width, left + width, left, left)
    corners = np.stack([rows, columns], -1).transpose(1, 0, 2) / pixel_mm
    stack = painted_stack(corners, slices=3, pixel_mm=pixel_mm, shape=(round(450 / pixel_mm), round(280 / pixel_mm)))
    found = find(stack, seeing_network)
    assert len(found) == 8
    for body, expected in zip(found, corners, strict=True):
        assert body.slices == (0, 1, 2)
        # painting, resampling and boxing round to whole pixels of 1.2 mm
        assert np.abs(body.middle_outline - expected).max() * pixel_mm < 1.8


def boxes(*top_and_edge_mm: tuple[float, float]) -> np.ndarray:
    """Square bodies below one another, corners in mm."""
    low, edge = np.array(top_and_edge_mm, dtype=float).T
    rows, columns = (low, low + edge, low + edge, low), (110 + edge, 110 + edge, 110 + 0 * edge, 110 + 0 * edge)
    return np.stack([rows, columns], -1).transpose(1, 0, 2)


class ShortSighted:
    """A network that overlooks what is smaller than 20 pixels, and remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, ...]] = []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.shown.append(images.shape)
        kept = ndimage.grey_opening(images, (1, 1, 18, 18))
        return (
            seeing_network(kept) if (kept > 0.5).any() else np.zeros((len(images), 13, *images.shape[2:]), np.float32)
        )


NECK = [(20.0 + 17 * n, 14.0) for n in range(6)]
LOINS = [(130.0 + 40 * n, 32.0) for n in range(5)]


def test_small_bodies_above_large_ones_are_found_in_a_closer_look_at_the_upper_rows_alone():
    corners = boxes(*NECK, *LOINS)
    network = ShortSighted()
    found = detect(painted_stack(corners, slices=3, pixel_mm=1.0, shape=(360, 280)), network)
    assert len(found) == len(corners)
    centres = np.array([body.centroid_index[1] for body in found])
    assert np.abs(centres - corners[..., 0].mean(1)).max() < 1.5
    assert len(network.shown) == 2
    assert network.shown[1][2] < 360 / 0.6 / 2


def test_a_scan_of_small_bodies_alone_is_looked_at_again():
    corners = boxes(*NECK)
    assert len(detect(painted_stack(corners, slices=3, pixel_mm=1.0, shape=(160, 280)), ShortSighted())) == len(NECK)


def test_a_scan_of_large_bodies_up_to_its_edge_is_looked_at_once():
    corners = boxes(*[(top - 110, edge) for top, edge in LOINS])
    network = ShortSighted()
    assert len(detect(painted_stack(corners, slices=3, pixel_mm=1.0, shape=(240, 280)), network)) == len(LOINS)
    assert len(network.shown) == 1


def test_a_closer_look_that_shows_less_changes_nothing():
    corners = boxes((20.0, 21.0), (45.0, 21.0), (80.0, 32.0), (120.0, 32.0))

    def far_sighted(images: np.ndarray) -> np.ndarray:
        blank = np.zeros((len(images), 13, *images.shape[2:]), np.float32)
        return seeing_network(images) if images.shape[3] < 300 else blank

    stack = painted_stack(corners, slices=3, pixel_mm=1.0, shape=(170, 280))
    assert len(detect(stack, far_sighted)) == 4


@pytest.mark.parametrize("find", [detect, detect_in_patches])
@pytest.mark.parametrize("most", [1, 120_000, 300_000])
def test_batches_of_any_size_show_the_same_bodies(find, most, monkeypatch):
    stack = painted_stack(boxes(*LOINS), slices=5, pixel_mm=1.0, shape=(360, 280))
    whole = find(stack, seeing_network)
    monkeypatch.setattr(vfr, "_MAX_BATCH_PIXELS", most)
    parts = find(stack, seeing_network)
    assert [body.slices for body in parts] == [body.slices for body in whole] == [tuple(range(5))] * len(LOINS)
    for part, body in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(part.outlines, body.outlines)


def test_the_network_is_shown_no_more_at_once_than_fits(monkeypatch):
    monkeypatch.setattr(vfr, "_MAX_BATCH_PIXELS", 200_000)
    network = ShortSighted()
    detect(painted_stack(boxes(*NECK, *LOINS), slices=5, pixel_mm=1.0, shape=(360, 280)), network)
    assert sum(shape[0] for shape in network.shown) == 2 * 5
    assert max(np.prod(shape) for shape in network.shown) < 1.2 * 200_000  # but for the padding


def test_a_slice_larger_than_any_patient_is_looked_at_as_fine_as_fits(monkeypatch):
    monkeypatch.setattr(vfr, "_MAX_SLICE_PIXELS", 50_000)
    shown = []

    def network(images: np.ndarray) -> np.ndarray:
        shown.append(images.shape)
        return seeing_network(images)

    found = detect(painted_stack(boxes(*LOINS), slices=3, pixel_mm=1.0, shape=(360, 280)), network)
    assert len(found) == len(LOINS)
    assert 40_000 < shown[0][2] * shown[0][3] < 60_000
