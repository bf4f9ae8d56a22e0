"""Laws of augmentation: corners go where the pixels go, and contrast is random but repeatable."""

import numpy as np
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spondyl.learn.augment import Augmentation, SlicePlacement, draw_soft_masks, randomise_contrast, remap_intensities

SIZE = 64
WILD = Augmentation(rotation_deg=45, log_scale=0.4, stretch=0.2, bend_mm=10, shift=0.2)


def placement(seed: int, *, batch: int = 3, size: int = SIZE) -> SlicePlacement:
    rng = np.random.default_rng(seed)
    centres = torch.as_tensor(rng.uniform(80, 140, (batch, 2)), dtype=torch.float32)
    pixel_mm = torch.as_tensor(rng.uniform(0.4, 1.5, (batch, 2)), dtype=torch.float32)
    return SlicePlacement(centres, pixel_mm, size, 1.2, WILD, rng)


@given(seed=st.integers(0, 2**32), points=st.integers(0, 2**32), shape=st.sampled_from([(), (5,), (2, 4)]))
def test_points_go_to_the_source_and_back(seed, points, shape):
    placed = placement(seed)
    drawn = np.random.default_rng(points).uniform(-SIZE, 2 * SIZE, (3, *shape, 2))
    output = torch.as_tensor(drawn, dtype=torch.float32)
    back = placed.source_to_output(placed.output_to_source(output))
    # source coordinates reach 1000, of which single precision keeps 6e-5; the map back multiplies that by at most 4
    torch.testing.assert_close(back, output, atol=1e-3, rtol=0)


@given(seed=st.integers(0, 2**32))
def test_a_batch_of_maps_is_each_map_by_itself(seed):
    placed = placement(seed)
    points = torch.as_tensor(np.random.default_rng(seed).uniform(0, SIZE, (3, 4, 2)), dtype=torch.float32)
    together = placed.output_to_source(points)
    for b in range(3):
        alone = placed.output_to_source(points[b].expand(3, -1, -1))[b]
        torch.testing.assert_close(together[b], alone)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_a_painted_point_is_sampled_where_the_map_says(seed):
    size = 2 * SIZE
    placed = placement(seed, batch=2, size=size)
    points = placed.output_to_source(torch.full((2, 2), size / 2 + 0.3))
    images = []
    for point, matrix, edges in zip(points, placed.matrix, [(300, 240), (220, 340)], strict=True):
        rows, columns = (torch.arange(edge) for edge in edges)
        squared = (rows[:, None] - point[0]) ** 2 + (columns - point[1]) ** 2
        images.append(torch.exp(-squared / (2 * 3.0**2 * matrix.det().abs())))  # about 3 pixels wide in the output
    sampled = placed.sample(images)
    axis = torch.arange(size, dtype=torch.float32)
    for output, image, point, matrix in zip(sampled, images, points, placed.matrix, strict=True):
        core = 4.0 * matrix.det().abs().sqrt()  # beyond half of the blob's height
        if (point < core).any() or (point > torch.tensor(image.shape) - 1 - core).any():
            continue
        # the blob's core, in which the wave is nearly straight; its curvature moves the centre by 0.2 at most
        weight = output.clamp(min=0.5) - 0.5
        found = torch.stack([(weight * axis[:, None]).sum(), (weight * axis).sum()]) / weight.sum()
        assert torch.linalg.norm(found - (size / 2 + 0.3)) < 0.25


def test_what_lies_outside_the_source_is_zero():
    placed = SlicePlacement(torch.tensor([[500.0, 500.0]]), torch.ones(1, 2), SIZE, 1.2, WILD, np.random.default_rng(0))
    assert placed.sample([torch.ones(50, 50)]).abs().max() == 0


def convex_quadrilateral(seed: int) -> np.ndarray:
    """Four points on an ellipse, in either sense."""
    rng = np.random.default_rng(seed)
    angles = np.arange(4) * np.pi / 2 + rng.uniform(0, 1.2, 4)
    ring = np.stack([np.sin(angles), np.cos(angles)], -1)[:: rng.choice((-1, 1))]
    return ring * rng.uniform(6, 14, 2) + rng.uniform(14, 20, 2)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), grow=st.sampled_from([0.0, 4.0]))
def test_a_soft_mask_agrees_with_the_polygon(seed, grow):
    corners = convex_quadrilateral(seed)
    mask = draw_soft_masks(torch.as_tensor(corners[None], dtype=torch.float32), 34, softness=0.7, grow=grow)[0].numpy()
    polygon = shapely.Polygon(corners).buffer(grow, join_style="mitre", mitre_limit=1e6)
    shapely.prepare(polygon)
    rows, columns = np.mgrid[:34, :34]
    points = shapely.points(rows, columns)
    inside = shapely.contains(polygon, points)
    depth = shapely.distance(polygon.exterior, points)
    clear = depth > 1e-3
    np.testing.assert_array_equal((mask > 0.5)[clear], inside[clear])
    np.testing.assert_allclose(mask[inside], 1 / (1 + np.exp(-depth[inside] / 0.7)), atol=1e-4)


def textured(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    images = torch.as_tensor(rng.uniform(0, 1.2, (4, SIZE, SIZE)), dtype=torch.float32)
    body = draw_soft_masks(torch.tensor([[(10.0, 40.0), (30.0, 40.0), (30.0, 10.0), (10.0, 10.0)]]), SIZE)
    disc = draw_soft_masks(torch.tensor([[(30.0, 40.0), (40.0, 40.0), (40.0, 10.0), (30.0, 10.0)]]), SIZE)
    return images, body.expand(4, -1, -1), disc.expand(4, -1, -1)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_contrast_keeps_shape_and_range_and_is_repeatable(seed):
    images, body, disc = textured(seed)
    before = images.clone()
    first, again = (
        randomise_contrast(images, body, disc, Augmentation(), np.random.default_rng(seed)) for _ in range(2)
    )
    assert first.shape == images.shape
    assert first.dtype == torch.float32
    assert first.min() >= 0
    assert first.max() <= 1.5
    assert first.std() > 0
    torch.testing.assert_close(first, again, atol=0, rtol=0)
    torch.testing.assert_close(images, before, atol=0, rtol=0)


def test_slices_of_a_batch_and_seeds_differ_in_contrast():
    images, body, disc = textured(1)
    same = images[:1].expand(4, -1, -1)
    changed = randomise_contrast(same, body, disc, Augmentation(), np.random.default_rng(1))
    other = randomise_contrast(same, body, disc, Augmentation(), np.random.default_rng(2))
    assert (changed[0] - changed[1]).abs().max() > 0.05
    assert (changed - other).abs().max() > 0.05


def test_shifted_tissue_shows_in_the_body_and_nowhere_else(monkeypatch):
    monkeypatch.setattr("spondyl.learn.augment._acquire", lambda image, rng: image)
    how = Augmentation(contrast=0.0, tissue=1.0)
    flat = torch.full((1, SIZE, SIZE), 0.5)
    _, body, disc = textured(0)
    changed = randomise_contrast(flat, body[:1], disc[:1], how, np.random.default_rng(3))[0]
    far = changed[45:, 45:]
    assert np.ptp(far.numpy()) < 1e-4
    assert (changed[20, 25] - far.mean()).abs() > 0.02
    assert (changed[35, 25] - far.mean()).abs() > 0.02


@given(seed=st.integers(0, 2**32))
def test_bent_greys_are_a_curve_that_keeps_air_dark(seed):
    greys = torch.linspace(0, 1, 101)
    image = greys[torch.as_tensor(np.random.default_rng(seed).permutation(101))]
    curve = remap_intensities(greys, np.random.default_rng(seed))
    assert curve[0] == 0
    assert curve.min() >= 0
    assert curve.max() <= 1
    bent = remap_intensities(image, np.random.default_rng(seed))
    # equal greys stay equal, wherever they stand
    torch.testing.assert_close(bent, curve[(image * 100).round().long()])


def test_about_half_of_the_curves_keep_the_order_of_greys():
    greys = torch.linspace(0, 1, 50)
    kept = [bool((remap_intensities(greys, np.random.default_rng(s)).diff() >= -1e-6).all()) for s in range(200)]
    # half are sorted, some of the others by chance; of 200, 4 standard deviations are 0.14
    assert 0.36 < np.mean(kept) < 0.75
