"""Discs are found where their heat is painted, in whichever slabs show them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spondyl.geometry.affine import Affine
from spondyl.geometry.stack import SagittalStack
from spondyl.locate.disc_channels import POSTERIOR_CHANNEL
from spondyl.locate.disc_peaks import MIN_HEAT
from spondyl.locate.disc_targets import render_disc_heat
from spondyl.locate.discs import CLOSE_MM, WORKING_MM, _find_large, detect_discs
from spondyl.stage import Structure

SLICE_MM, PIXEL_MM = 4.0, np.array([0.8, 1.0])
SHAPE = (12, 300, 200)
CENTRES = np.array([(5.0, 60.0, 90.0), (5.5, 95.0, 84.0), (6.0, 133.0, 80.0), (7.0, 172.0, 83.0)])
"""Slice, row and column of discs, by fractions of pixels and slices apart from any grid."""
EDGES = CENTRES + np.array([0.0, 3.0, 16.0])
CHANNELS = (18, 19, 20, 21)

SLABS = (0.5, 2.5, 4.5, 6.5, 8.5, 10.5)
"""The middles of slabs of two slices."""
NEAR_SLABS = SLABS[2:]
"""Those that are shown from near, about the discs; all where there are none."""


def stack() -> SagittalStack:
    directions = np.array([(-1.0, 0, 0), (0, 0, -1.0), (0, -1.0, 0)]).T
    voxels = np.random.default_rng(0).uniform(0, 1, SHAPE).astype(np.float32)
    return SagittalStack(voxels=voxels, affine=Affine.from_axes(directions, (SLICE_MM, *PIXEL_MM), (3.0, -20.0, 90.0)))


class Painted:
    """A network that predicts painted heat, slab by slab, whatever it is shown.

    A disc is seen in the slabs whose middle lies within 2.5 slices of its own. The whole scan is shown first, and then
    perhaps the upper part again from near.
    """

    def __init__(
        self, stride: int, *, places: tuple[float, ...] = SLABS, height: float = 1.0, shows_edges: bool = True
    ) -> None:
        self.stride, self.height, self.shows_edges = stride, height, shows_edges
        self.places, self.seen = places, 0

    @property
    def looks(self) -> int:
        """How often the scan was looked at."""
        return int(self.seen > 0) + int(self.seen > len(self.places))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self.height * np.concatenate([self._predict(images.shape[2:]) for _ in images])

    def _predict(self, shape: tuple[int, int]) -> np.ndarray:
        is_near = self.seen >= len(self.places)
        order = (*self.places, *(NEAR_SLABS if self.height >= MIN_HEAT else SLABS))
        place = order[self.seen]
        shown = np.abs(CENTRES[:, 0] - place) <= 2.5
        edges = EDGES[shown] if self.shows_edges else EDGES[:0]
        channels = [*np.array(CHANNELS)[shown], *[POSTERIOR_CHANNEL] * len(edges)]
        points = np.concatenate([CENTRES[shown], edges])[:, 1:]
        pixel_mm = CLOSE_MM if is_near else WORKING_MM
        self.seen += 1
        scale = np.rint(SHAPE[1:] * PIXEL_MM / pixel_mm) / SHAPE[1:]  # images have whole pixels
        pixels = torch.as_tensor((points + 0.5) * scale - 0.5, dtype=torch.float32)
        rows, columns = (edge // self.stride for edge in shape)
        heat = render_disc_heat(
            pixels[None], torch.tensor([channels]), (rows, columns), stride=self.stride, variance_px=10.0, count=24
        )
        return heat.numpy()


@pytest.mark.parametrize("stride", [1, 4])
def test_centres_and_edges_are_found_within_a_tenth_of_a_pixel_and_a_quarter_of_a_slab(stride):
    found = detect_discs(stack(), Painted(stride))
    assert found.structure is Structure.DISC
    index = stack().affine.to_index(found.centres_ras_mm)
    edges = stack().affine.to_index(found.posterior_ras_mm)
    assert len(found) == len(CENTRES)
    assert np.abs(index - CENTRES)[:, 1:].max() < 0.1
    assert np.abs(index - CENTRES)[:, 0].max() <= 0.501
    assert np.abs(edges - EDGES)[:, 1:].max() < 0.1
    assert found.scores == pytest.approx(1.0, abs=0.15)


def test_the_score_is_the_height_of_the_heat():
    for height in (0.9, 0.6, 0.4):
        assert detect_discs(stack(), Painted(4, height=height)).scores == pytest.approx(height, rel=0.05)


def test_faint_heat_is_no_disc():
    assert len(detect_discs(stack(), Painted(4, height=0.2))) == 0


def test_edges_that_are_nowhere_seen_lie_at_the_usual_distance_behind():
    found = detect_discs(stack(), Painted(4, shows_edges=False))
    behind = found.posterior_ras_mm - found.centres_ras_mm
    assert behind == pytest.approx(np.tile((0.0, -15.0, 0.0), (len(CENTRES), 1)), abs=0.3)


def test_one_thin_slice_is_enough():
    one = stack()
    thin = SagittalStack(voxels=one.voxels[:1], affine=one.affine)
    assert len(detect_discs(thin, Painted(4, places=(5.0,)))) == len(CENTRES)


def test_names_are_the_channels_with_the_most_heat():
    found = detect_discs(stack(), Painted(4))
    assert tuple(found.logits.argmax(1)) == CHANNELS
    assert (np.sort(found.logits, axis=1)[:, -2] < -10).all()


def test_a_scan_is_looked_at_from_near_only_where_small_discs_may_be(monkeypatch):
    painted = Painted(4)
    detect_discs(stack(), painted)
    assert painted.looks == 2  # 48 mm of the scan lie above the first disc
    high = CENTRES - (0, 40, 0)
    monkeypatch.setitem(globals(), "CENTRES", high)
    painted = Painted(4)
    detect_discs(stack(), painted)
    assert painted.looks == 1


def test_rows_below_which_discs_are_large():
    assert _find_large(np.array([10.0, 40, 72])) == 10
    assert _find_large(np.array([10.0, 27, 45, 75, 106])) == 45
    assert _find_large(np.array([10.0, 27, 45])) == np.inf
    assert _find_large(np.array([10.0])) == _find_large(np.array([])) == np.inf
