"""The published detection: against a second, slow implementation, and against what was painted."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage

from locate import published_program
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.stack import SagittalStack
from spondyl.locate import published, vfr
from spondyl.locate.grouping import group_across_slices
from spondyl.locate.vfr_targets import render_targets

LIP = np.array([(-1.0, 0, 0), (0, 0, -1), (0, -1, 0)])
STACK_AFFINE = Affine.from_axes(LIP, (4, 1, 1), (0, 0, 0))
Network = Callable[[np.ndarray], np.ndarray]


def noisy_stack(shape: tuple[int, int, int], pixel_mm: float) -> SagittalStack:
    """A stack no two patches of which are alike."""
    voxels = np.random.default_rng(0).random(shape, dtype=np.float32)
    return SagittalStack(voxels=voxels, affine=Affine.from_axes(LIP, (4.0, pixel_mm, pixel_mm), (0, 0, 0)))


def column(count: int, *, top: float, left: float, height: float, angle: float) -> np.ndarray:
    """Quadrilaterals one below the other, 1.3 times as wide as high, turned by the angle."""
    unit = np.array([(-0.5, 0.65), (0.5, 0.7), (0.45, -0.65), (-0.5, -0.6)])
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    places = np.arange(count)[:, None] * np.array([1.4 * height, 0.1 * height]) + (top + height / 2, left)
    return unit @ turn * height + places[:, None]


class KnowingNetwork:
    """Recognises each patch of a stack and paints the targets of the bodies there, wrong in the same way every time.

    Args:
        stack: the scan.
        bodies: (n, 4, 2) outlines in the first slice; each following slice shows them a pixel further back.
        peak: heat of a landmark.
        noise: deviation of the heats.
        jitter: deviation of the arrows, pixels.
    """

    def __init__(
        self, stack: SagittalStack, bodies: np.ndarray, *, peak: float = 0.9, noise: float = 0.0, jitter: float = 0.0
    ) -> None:
        self.bodies, self.peak = bodies, peak
        self.windows = [
            (k, window)
            for k, picture in enumerate(stack.voxels)
            for window in sorted(set(published_program.patches(picture, float(stack.pixel_mm[0]))))
        ]
        self.thumbnails = np.array([self.thumbnail(stack.voxels[k], window) for k, window in self.windows])
        errors = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(13, 224, 224)), (0, 4, 4))
        self.errors = errors / errors.std() * np.array([noise] * 5 + [jitter] * 8)[:, None, None]

    @staticmethod
    def thumbnail(picture: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
        top, bottom, left, right = window
        return published_program.seen_by_the_network(picture[top:bottom, left:right])[::16, ::16]

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        assert batch.shape[1:] == (1, 224, 224)
        assert batch.dtype == np.float32
        return np.stack([self.painted(patch) for patch in batch[:, 0]]).astype(np.float32)

    def place(self, patch: np.ndarray) -> tuple[int, tuple[int, int, int, int]]:
        """The slice and window that the patch is of."""
        unlike = np.abs(self.thumbnails - patch[::16, ::16]).mean(axis=(1, 2))
        assert unlike.min() < 1e-4, "the network is shown a patch that is none of the published program's"
        return self.windows[unlike.argmin()]

    def painted(self, patch: np.ndarray) -> np.ndarray:
        k, (top, bottom, left, right) = self.place(patch)
        shift = np.array([0.5 - top, 0.5 - left + k])
        corners = (self.bodies + shift) * 224 / (bottom - top, right - left) - 0.5
        batch = torch.as_tensor(corners[None], dtype=torch.float32)
        maps = render_targets(batch, torch.ones(batch.shape[:2], dtype=torch.bool), (224, 224))[0][0].numpy()
        maps[:5] *= self.peak
        return maps + self.errors


LUMBAR = {"shape": (3, 400, 330), "pixel_mm": 0.9}
WHOLE_SPINE = {"shape": (2, 500, 200), "pixel_mm": 1.1}
NARROW = {"shape": (2, 250, 120), "pixel_mm": 1.0}
SQUARE = {"shape": (3, 260, 260), "pixel_mm": 1.0}
GRIDS = [LUMBAR, WHOLE_SPINE, NARROW, SQUARE]


def column_in(grid: dict, count: int = 5) -> np.ndarray:
    return column(count, top=20, left=grid["shape"][2] / 2 - 5, height=28, angle=0.15)


def assert_as_published(stack: SagittalStack, network: Network) -> int:
    """The bodies are those of the slow implementation, to a hundredth of a pixel; returns how many."""
    found = published.detect(stack, network)
    assert_same_bodies(found, published_program.bodies(stack.voxels, float(stack.pixel_mm[0]), network))
    return len(found)


def assert_same_bodies(found: tuple[VertebraInstance, ...], expected: list[tuple[list[int], np.ndarray]]) -> None:
    assert len(found) == len(expected)
    for body, (slices, outline) in zip(found, expected, strict=True):
        assert set(body.slices) == set(slices)
        np.testing.assert_allclose(body.middle_outline, outline, atol=0.01)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("peak", [0.65, 0.79])
def test_painted_bodies_come_back_whatever_their_heat_above_the_threshold(grid, peak):
    stack, bodies = noisy_stack(**grid), column_in(grid)
    found = published.detect(stack, KnowingNetwork(stack, bodies, peak=peak))
    assert len(found) == len(bodies)
    for body, outline in zip(found, bodies, strict=True):
        off = np.abs(body.middle_outline - outline - (0, (len(stack.voxels) - 1) / 2))
        # the hottest pixel is off by half a pixel of a patch, and the program's scale by as much again; more where a
        # patch's border cuts the peak of a corner outside it
        assert np.median(off) < 1
        assert off.max() < 4
        assert body.slices == tuple(range(len(stack.voxels)))
        assert body.score == pytest.approx(peak, abs=0.05)


def test_heat_between_the_published_threshold_and_spondyls_own_empties_spondyls_own_decoding():
    corners = torch.as_tensor(column_in(SQUARE)[None], dtype=torch.float32)
    maps = render_targets(corners, torch.ones(1, 5, dtype=torch.bool), (256, 256))[0].numpy() * 0.7
    own = group_across_slices(vfr.decode_maps(np.repeat(maps, 3, axis=0)), STACK_AFFINE)
    assert own == ()
    stack = noisy_stack(**SQUARE)
    assert len(published.detect(stack, KnowingNetwork(stack, column_in(SQUARE), peak=0.7))) == 5


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_any_maps_give_the_bodies_of_the_slow_implementation(seed):
    """Noise parts regions, hides corners and turns arrows."""
    rng = np.random.default_rng(seed)
    grid = GRIDS[seed % len(GRIDS)]
    bodies = column(5, top=2, left=grid["shape"][2] / 2, height=rng.uniform(16, 34), angle=rng.uniform(-0.4, 0.4))
    errors = {"peak": rng.uniform(0.65, 1), "noise": rng.uniform(0, 0.1), "jitter": rng.uniform(0, 3)}
    stack = noisy_stack(**grid)
    assert assert_as_published(stack, KnowingNetwork(stack, bodies, **errors)) > 0


@pytest.mark.parametrize("seed", range(30))
def test_any_landmarks_give_the_outlines_of_the_slow_implementation(seed):
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.5, 2)
    truth = column(5, top=10, left=100, height=18 * scale, angle=rng.uniform(-1, 1))
    centroids = np.rint(np.repeat(truth.mean(axis=1), 2, axis=0) + rng.normal(size=(10, 2)) * 5)
    corners = [[] for _ in range(4)]
    for kind in rng.integers(0, 4, 34):
        body = truth[rng.integers(5)]
        place = body[kind] + rng.normal(size=2) * rng.choice([0.3, 3])
        corners[kind].append((place, body.mean(axis=0) - place + rng.normal(size=2) * rng.choice([1, 9]) * scale))
    kinds = np.repeat(np.arange(4), [len(each) for each in corners])
    places, arrows = np.array([pair for each in corners for pair in each]).swapaxes(0, 1)
    landmarks = published.Corners(kind=kinds, place=places, arrow=arrows, heat=np.full(len(kinds), 0.8))
    found, scores = published.assemble(centroids, np.full(10, 0.8), landmarks)
    expected = published_program.outlines(centroids.tolist(), corners)
    assert len(expected) > 0
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert set(np.round(scores, 6)) <= {0.8, 0.64}


@pytest.mark.parametrize("seed", range(30))
def test_any_outlines_give_the_bodies_of_the_slow_implementation(seed):
    """Bodies drift, are missed in slices, seen twice in one, overlap others, or cross themselves."""
    rng = np.random.default_rng(seed)
    truth = column(6, top=10, left=100, height=20, angle=0.2) * (rng.uniform(0.6, 1), 1)
    slices = []
    for _ in range(5):
        chosen = truth[rng.integers(0, 6, 5)] + rng.normal(size=(5, 1, 2)) * 4 + rng.normal(size=(5, 4, 2))
        chosen[0, [0, 1]] = chosen[0, [1, 0]] if rng.random() < 0.3 else chosen[0, [0, 1]]
        slices.append(list(chosen))
    outlines = published.Outlines(
        slice_index=np.repeat(np.arange(5), 5), corners=np.concatenate(slices), score=np.full(25, 0.7)
    )
    assert_same_bodies(published.group(outlines, STACK_AFFINE), published_program.grouped(slices))


def test_random_maps_give_the_bodies_of_the_slow_implementation():
    """No painted column, but waves that make many landmarks and outlines that cross, overlap and share corners."""
    stack = noisy_stack((3, 120, 100), 1.0)
    waves = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=(13, 224, 224)), (0, 7, 7))
    waves *= np.array([0.6] * 5 + [25.0] * 8)[:, None, None] / waves.std()
    assert assert_as_published(stack, lambda batch: np.repeat(waves[None], len(batch), 0).astype(np.float32)) > 3


def test_maps_without_a_landmark_give_no_body():
    stack = noisy_stack(**NARROW)
    assert published.detect(stack, lambda batch: np.zeros((len(batch), 13, 224, 224), np.float32)) == ()
    assert published.detect(stack, lambda batch: np.full((len(batch), 13, 224, 224), np.nan, np.float32)) == ()


def test_a_slice_without_any_corner_of_one_kind_shows_no_body():
    stack = noisy_stack(**NARROW)
    seeing = KnowingNetwork(stack, column_in(NARROW))

    def blind_to_one_kind(batch: np.ndarray) -> np.ndarray:
        maps = seeing(batch)
        maps[:, 2] = 0
        return maps

    assert len(published.detect(stack, seeing)) == 5
    assert assert_as_published(stack, blind_to_one_kind) == 0


def test_the_one_missing_corner_is_the_centroid_plus_the_opposite_arrow():
    stack = noisy_stack(**SQUARE)
    seeing = KnowingNetwork(stack, column_in(SQUARE, 3))

    def one_corner_hidden(batch: np.ndarray) -> np.ndarray:
        maps = seeing(batch)
        maps[:, 1, 80:] = 0  # of the second and third body
        return maps

    complete = published.detect(stack, seeing)
    found = published.detect(stack, one_corner_hidden)
    assert len(found) == 3
    assert np.abs(found[-1].middle_outline[1] - complete[-1].middle_outline[1]).max() > 0.5
    np.testing.assert_array_equal(found[-1].middle_outline[[0, 2, 3]], complete[-1].middle_outline[[0, 2, 3]])
    assert assert_as_published(stack, one_corner_hidden) == 3


def test_pixels_that_touch_by_a_corner_are_two_regions():
    heat = np.zeros((2, 5, 5), np.float32)
    heat[1, 1, 1:3], heat[1, 2, 3] = (0.7, 0.8), 0.65
    assert published._peaks(heat).tolist() == [[1, 1, 2], [1, 2, 3]]


def test_a_body_seen_in_one_slice_is_dropped():
    stack = noisy_stack(**SQUARE)
    seeing = KnowingNetwork(stack, column_in(SQUARE, 2))

    def upper_body_in_the_first_slice_alone(batch: np.ndarray) -> np.ndarray:
        maps = seeing(batch)
        for patch, of_patch in zip(batch[:, 0], maps, strict=True):
            if seeing.place(patch)[0] > 0:
                of_patch[:, :50] = 0
        return maps

    assert len(published.detect(stack, seeing)) == 2
    assert len(published.detect(stack, upper_body_in_the_first_slice_alone)) == 1


def test_few_patches_pass_the_network_together_and_none_twice():
    shown = []

    def network(batch: np.ndarray) -> np.ndarray:
        shown.append(len(batch))
        return np.zeros((len(batch), 13, 224, 224), np.float32)

    stack = noisy_stack((2, 2000, 90), 1.0)
    published.detect(stack, network)
    assert max(shown) == published.MAX_BATCH
    assert sum(shown) == 2 * len(set(published_program.patches(stack.voxels[0], 1.0)))
