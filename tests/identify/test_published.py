"""The published crops and labels: against a second, slow implementation, on phantoms and real scans."""

import numpy as np
import pytest
import torch

from identify import published_labels
from phantoms import lumbar
from real_data import DATA, needs_real_data
from spondyl.anatomy.level import Level
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.resample import to_sagittal
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.beam import BeamCosts, beam_search
from spondyl.identify.crops import OFFICIAL, appearance_crops
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.identify.published import context_logits, label, published_height_map
from spondyl.identify.published_crops import published_crops
from spondyl.imaging.read import read_volume
from spondyl.nets.appearance import SPINENET, Appearance
from spondyl.nets.context import Context

LIP = np.array([(-1.0, 0, 0), (0, 0, -1), (0, -1, 0)])
MIN_CORRELATION = 0.999
"""The issue asks for 0.98; what differs here is single against double precision alone."""


def body(stack: SagittalStack, centre: np.ndarray, size: float, angle: float, slices: int = 5) -> VertebraInstance:
    """A trapezoid of about this size in pixels, its outlines a little different from slice to slice."""
    unit = np.array([(-0.4, 0.6), (0.45, 0.62), (0.4, -0.6), (-0.42, -0.55)])
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    jitter = np.random.default_rng(int(size * 100)).normal(size=(slices, 4, 2))
    outlines = centre + unit @ turn.T * size + jitter
    return VertebraInstance(slices=tuple(range(slices)), outlines=outlines, score=0.9, affine=stack.affine)


def bodies_in(stack: SagittalStack) -> list[VertebraInstance]:
    """Turned to both sides, large and small, and some near the edges of the scan."""
    _, rows, columns = stack.voxels.shape
    places = [(0.5, 0.55), (0.7, 0.5), (0.04, 0.5), (0.97, 0.5), (0.5, 0.95)]
    mm = stack.pixel_mm.mean()
    sizes_and_angles = [(36, 0.3), (30, -0.5), (28, 0.1), (33, -0.2), (25, 0.9)]
    return [
        body(stack, np.array([down * rows, back * columns]), size / mm, angle)
        for (down, back), (size, angle) in zip(places, sizes_and_angles, strict=True)
    ]


def oracle_crops(stack: SagittalStack, instances: list[VertebraInstance]) -> list[np.ndarray]:
    scan_hws = stack.voxels.transpose(1, 2, 0)
    return [published_labels.crop(scan_hws, i.outlines.mean(axis=0)[:, ::-1]) for i in instances]


def correlations(ones: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    return np.array([np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(ones, others, strict=True)])


def assert_crops_as_published(stack: SagittalStack) -> None:
    instances = bodies_in(stack)
    crops, expected = published_crops(stack, instances), oracle_crops(stack, instances)
    assert crops.shape == (len(instances), 224, 224, 16)
    assert crops.dtype == np.float32
    assert correlations(crops, expected).min() > MIN_CORRELATION
    np.testing.assert_allclose(crops, np.stack(expected), atol=1e-4)


@pytest.mark.slow
def test_crops_of_a_phantom_are_those_of_the_slow_implementation():
    volume = lumbar().volume
    stack = to_sagittal(volume.voxels, volume.affine)[0]
    assert_crops_as_published(stack)
    instances = bodies_in(stack)
    assert correlations(appearance_crops(stack, instances, OFFICIAL), oracle_crops(stack, instances)).min() < 0.9


@pytest.mark.slow
@needs_real_data
@pytest.mark.parametrize(
    "scan", ["lumbar_t2/lumbar_t2_02", "lumbar_gre/lumbar_gre_01", "spider/spider_005", "cervical_t2/cervical_t2_01"]
)
def test_crops_of_real_scans_are_those_of_the_slow_implementation(scan):
    volume = read_volume(DATA / "mr" / f"{scan}.nii.gz")
    assert_crops_as_published(to_sagittal(volume.voxels, volume.affine)[0])


def stack_of(voxels: np.ndarray, pixel_mm: float = 1.0) -> SagittalStack:
    affine = Affine.from_axes(LIP, (4.0, pixel_mm, pixel_mm), (0, 0, 0))
    return SagittalStack(voxels=voxels.astype(np.float32), affine=affine)


@pytest.mark.parametrize("slices", [1, 2, 7, 16, 31])
def test_any_number_of_slices_gives_sixteen_planes(slices):
    stack = stack_of(np.random.default_rng(0).random((slices, 120, 110)))
    instances = [body(stack, np.array([60.0, 55.0]), 18, 0.2, slices=1)]
    np.testing.assert_allclose(published_crops(stack, instances), oracle_crops(stack, instances), atol=1e-4)


def test_a_crop_is_zero_above_the_scan_and_ends_with_it_elsewhere():
    stack = stack_of(np.ones((4, 100, 100)))
    places = [(5.0, 50.0), (95.0, 50.0), (50.0, 5.0), (50.0, 95.0), (50.0, 400.0)]
    crops = published_crops(stack, [body(stack, np.array(place), 20.0, 0.0) for place in places])
    above, below, anterior, posterior, outside = crops
    assert np.ptp(above[:60]) == 0
    assert above[:60].max() < above[110:].min() - 0.5
    for crop in (below, anterior, posterior):  # but for wedges of zeros that the rotation brings in
        assert (crop > 0.8 * np.median(crop)).mean() > 0.9
    assert not outside.any()


def test_no_instance_is_no_crop_and_an_empty_answer():
    stack = stack_of(np.ones((4, 100, 100)))
    assert published_crops(stack, []).shape == (0, 224, 224, 16)
    assert label(stack, [], Refusing(), Refusing()).levels == ()


class Refusing:
    """A network that must not be asked."""

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        raise AssertionError


def test_the_height_map_is_that_of_the_slow_implementation():
    rng = np.random.default_rng(0)
    for rows, pixel_mm in [(300, 0.83), (256, 1.0), (700, 0.9)]:
        stack = stack_of(np.zeros((5, rows, 100)), pixel_mm)
        centres = [np.array([row, 50.0]) for row in np.linspace(3, rows - 2, 12)]
        outlines = np.array([body(stack, centre, 25, 0.2).middle_outline for centre in centres])
        probabilities = rng.random((12, 24))
        drawn = published_height_map(probabilities, outlines[..., 0] * pixel_mm, int(rows * pixel_mm))
        expected = published_labels.height_map(probabilities, outlines[..., ::-1], pixel_mm, rows)
        np.testing.assert_allclose(drawn, expected, atol=1e-6)


@pytest.fixture
def spine() -> tuple[SagittalStack, list[VertebraInstance]]:
    """Eleven bodies, so that two batches pass the appearance network."""
    stack = stack_of(np.random.default_rng(0).random((6, 400, 160)), 0.9)
    return stack, [body(stack, np.array([30 + 33.0 * n, 80.0]), 24, 0.05 * n) for n in range(11)]


@pytest.mark.slow
def test_random_networks_end_to_end_give_what_the_slow_implementation_gives(spine):
    """The published architectures with random weights: crops, appearance, map, context, beam search."""
    stack, instances = spine[0], spine[1][:5]
    torch.manual_seed(1)
    modules = Appearance(SPINENET).eval(), Context().eval()
    with torch.no_grad():
        modules[1].conv8.weight *= 300  # so that the levels differ in more than their penalties
    appearance, context = (on_arrays(module) for module in modules)
    logits = np.stack([appearance(crop[None, None].astype(np.float32))[0] for crop in oracle_crops(stack, instances)])
    probabilities = torch.softmax(torch.as_tensor(logits).double() / 10, 1).numpy()
    outlines = np.array([i.outlines.mean(axis=0)[:, ::-1] for i in instances])
    picture = published_labels.height_map(probabilities, outlines, 0.9, stack.voxels.shape[1])
    refined = context(picture[None, None].astype(np.float32))[0, 0]
    expected = np.array([refined[int(outline[:, 1].mean() * 0.9)] for outline in outlines])
    found = context_logits(stack, instances, appearance, context)
    np.testing.assert_allclose(found, expected, atol=2e-3 * expected.std())
    answer = label(stack, instances, appearance, context)
    assert answer.levels == beam_search(expected, costs=BeamCosts(temperature=10))[0]
    assert len(set(answer.levels)) == len(instances)


def on_arrays(module: torch.nn.Module):
    def network(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.as_tensor(batch)).numpy()

    return network


def naming(levels: list[Level], strength: float):
    """An appearance network of no opinion and a context network that sees these levels at the bodies' rows."""

    def context(heights: np.ndarray) -> np.ndarray:
        refined = np.zeros_like(heights)
        drawn = np.flatnonzero(heights[0, 0].any(axis=1))
        runs = np.split(drawn, np.flatnonzero(np.diff(drawn) > 1) + 1)
        for run, level in zip(runs, levels, strict=True):
            refined[0, 0, run, OFFICIAL_COLUMNS.index(level)] = strength
        return refined

    return (lambda crops: np.zeros((len(crops), 24), np.float32)), context


LUMBAR = [Level.T12, Level.L1, Level.L2, Level.L3, Level.L4, Level.L5, Level.S1]


def test_the_levels_are_the_beams_and_the_probabilities_the_decoders(spine):
    stack, instances = spine
    instances = instances[:7]
    answer = label(stack, instances, *naming(LUMBAR, 60.0))
    assert list(answer.levels) == LUMBAR
    assert answer.level_probability.min() > 0.9
    assert answer.log_probability == pytest.approx(0, abs=0.1)
    np.testing.assert_allclose(answer.marginals.sum(axis=1) + answer.rejected, 1)


def test_levels_that_the_decoder_doubts_have_low_probabilities(spine):
    """The beam names what it is shown, whether or not the networks tell the levels apart."""
    stack, instances = spine
    answer = label(stack, instances[:7], *naming(LUMBAR, 0.0))
    columns = [OFFICIAL_COLUMNS.index(level) for level in answer.levels]
    assert np.diff(columns).tolist() == [-1] * 6
    assert answer.level_probability.max() < 0.5
    assert -30 < answer.log_probability < 0


def test_few_crops_pass_the_network_together_and_an_empty_one_says_nothing(spine):
    stack, instances = spine
    shown, drawn = [], []

    def appearance(crops: np.ndarray) -> np.ndarray:
        shown.append(len(crops))
        return np.zeros((len(crops), 24), np.float32)

    def context(heights: np.ndarray) -> np.ndarray:
        drawn.append(heights)
        return heights

    context_logits(stack, instances, appearance, context)
    assert shown == [8, 3]
    dark = stack_of(np.zeros((6, 400, 160)), 0.9)
    context_logits(dark, instances, appearance, context)
    assert drawn[0].max() == pytest.approx(1 / 24)
    assert not drawn[1].any()
