"""A body's centroid, areas and place in the world."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geometry.grids import affines
from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance, centroids_ras_mm, polygon_areas, polygon_centroids

STACK = Affine(np.eye(4))


def quadrilaterals(seed: int, count: int) -> np.ndarray:
    """Convex, (count, 4, 2)."""
    rng = np.random.default_rng(seed)
    angles = np.arange(4) * np.pi / 2 + rng.uniform(0, 1.2, (count, 4))
    return np.stack([np.sin(angles), np.cos(angles)], -1) * rng.uniform(5, 20, (count, 1, 2)) + rng.uniform(
        -50, 50, (count, 1, 2)
    )


@given(seed=st.integers(0, 2**32))
def test_areas_and_centroids_are_shapelys(seed):
    polygons = quadrilaterals(seed, 5)
    known = [shapely.Polygon(points) for points in polygons]
    np.testing.assert_allclose(np.abs(polygon_areas(polygons)), [polygon.area for polygon in known])
    np.testing.assert_allclose(
        polygon_centroids(polygons), [(p.centroid.x, p.centroid.y) for p in known], atol=1e-9, rtol=1e-9
    )
    np.testing.assert_allclose(polygon_areas(polygons[:, ::-1]), -polygon_areas(polygons))


def test_a_polygon_without_area_has_the_mean_of_its_corners_as_centroid():
    line = np.array([(0.0, 0.0), (2.0, 2.0), (4.0, 4.0), (2.0, 2.0)])
    np.testing.assert_allclose(polygon_centroids(line), (2, 2))


@given(seed=st.integers(0, 2**32))
def test_the_centroid_is_the_mean_over_slices(seed):
    outlines = quadrilaterals(seed, 3)
    body = VertebraInstance(slices=(2, 3, 7), outlines=outlines, score=0.5, affine=STACK)
    np.testing.assert_allclose(body.centroid_index, [4, *polygon_centroids(outlines).mean(0)])
    np.testing.assert_allclose(body.middle_outline, outlines.mean(0))


@given(seed=st.integers(0, 2**32), affine=affines())
def test_corners_in_the_world_are_the_affines(seed, affine):
    body = VertebraInstance(slices=(4, 6), outlines=quadrilaterals(seed, 2), score=0.5, affine=affine)
    world = body.outlines_ras_mm
    for n, k in enumerate(body.slices):
        for corner in range(4):
            index = (k, *body.outlines[n, corner])
            np.testing.assert_allclose(world[n, corner], affine.to_world(index), atol=1e-6)


@given(seed=st.integers(0, 2**32), affine=affines())
def test_centroids_in_the_world_are_the_affines(seed, affine):
    bodies = [
        VertebraInstance(slices=(4, 6), outlines=outline.repeat(2, axis=0), score=0.5, affine=affine)
        for outline in quadrilaterals(seed, 3)[:, None]
    ]
    for body, centroid in zip(bodies, centroids_ras_mm(bodies), strict=True):
        np.testing.assert_allclose(centroid, affine.to_world(body.centroid_index), atol=1e-9)
    assert centroids_ras_mm([]).shape == (0, 3)


def test_bodies_of_two_stacks_have_no_centroids_in_common():
    one = VertebraInstance(slices=(4,), outlines=quadrilaterals(0, 1), score=0.5, affine=STACK)
    other = replace(one, affine=Affine(np.diag([2.0, 1, 1, 1])))
    assert len(centroids_ras_mm([one, replace(one, affine=Affine(np.eye(4)))])) == 2
    with pytest.raises(SettingError, match="in one sagittal stack"):
        centroids_ras_mm([one, other])


@pytest.mark.parametrize(("slices", "shape"), [((), (0, 4, 2)), ((1, 2), (1, 4, 2)), ((1,), (1, 3, 2))])
def test_outlines_that_do_not_fit_their_slices_are_refused(slices, shape):
    with pytest.raises(SettingError, match=f"for {len(slices)} slices"):
        VertebraInstance(slices=slices, outlines=np.zeros(shape), score=1.0, affine=STACK)
