"""A detected vertebral body: a quadrilateral in each sagittal slice that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.types import Float

__all__ = ["CORNERS", "VertebraInstance", "centroids_ras_mm", "polygon_areas", "polygon_centroids"]

CORNERS = ("posterior_superior", "posterior_inferior", "anterior_inferior", "anterior_superior")
"""The order of the corners of a quadrilateral: SpineNet's rt, rb, lb, lt with anterior to the left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VertebraInstance:
    """A vertebral body in the index space of a `SagittalStack`, with the affine of that stack.

    Args:
        slices: indices of the slices that show it, strictly increasing, (n,).
        outlines: (n, 4, 2) corners as (row, column), continuous indices, ordered as `CORNERS`.
        score: detection score in [0, 1].
        affine: (slice, row, column) to RAS mm, the stack's own.

    Raises:
        SettingError: there is no slice, or the outlines do not fit the slices.
    """

    slices: tuple[int, ...]
    outlines: Float
    score: float
    affine: Affine

    def __post_init__(self) -> None:
        if not self.slices or self.outlines.shape != (len(self.slices), 4, 2):
            raise SettingError(
                f"an instance needs outlines (n, 4, 2) for n > 0 slices, got {self.outlines.shape} "
                f"for {len(self.slices)} slices"
            )

    @property
    def centroid_index(self) -> Annotated[Float, "3"]:
        """The mean area centroid of the quadrilaterals as (slice, row, column), (3,)."""
        return np.array([np.mean(self.slices), *polygon_centroids(self.outlines).mean(axis=0)])

    @property
    def middle_outline(self) -> Annotated[Float, "4 2"]:
        """The mean quadrilateral over its slices, (4, 2) as (row, column)."""
        return np.asarray(self.outlines.mean(axis=0))

    @property
    def outlines_ras_mm(self) -> Annotated[Float, "slices 4 3"]:
        """The corners in world space, (n, 4, 3) RAS mm."""
        slices = np.broadcast_to(np.array(self.slices)[:, None, None], (*self.outlines.shape[:2], 1))
        return self.affine.to_world(np.concatenate([slices, self.outlines], axis=-1))


def centroids_ras_mm(bodies: Sequence[VertebraInstance]) -> Float:
    """Compute the centroids in world space of n bodies in one stack, (n, 3) RAS mm.

    Raises:
        SettingError: the bodies are in different stacks.
    """
    if not bodies:
        return np.empty((0, 3))
    affine = bodies[0].affine
    if not all(body.affine is affine or np.array_equal(body.affine.matrix, affine.matrix) for body in bodies):
        raise SettingError("bodies must all be in one sagittal stack, got several; convert each stack by itself")
    return affine.to_world(np.array([body.centroid_index for body in bodies]))


def polygon_areas(polygons: Annotated[Float, "*polygons corners 2"]) -> Annotated[Float, "*polygons"]:
    """Compute the signed shoelace areas of polygons (..., n, 2), shape (...)."""
    return np.asarray(0.5 * _cross_products(polygons).sum(-1))


def polygon_centroids(polygons: Annotated[Float, "*polygons corners 2"]) -> Annotated[Float, "*polygons 2"]:
    """Compute the area centroids of polygons (..., n, 2), shape (..., 2); the corners' mean where the area vanishes."""
    cross = _cross_products(polygons)
    area = 0.5 * cross.sum(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        weighted = ((polygons + np.roll(polygons, -1, -2)) * cross[..., None]).sum(-2) / (6 * area)
    return np.asarray(np.where(np.abs(area) > 1e-9, weighted, polygons.mean(axis=-2)))


def _cross_products(polygons: Float) -> Float:
    """Compute the cross product of each corner with the next one, (..., n)."""
    x, y = polygons[..., 0], polygons[..., 1]
    return np.asarray(x * np.roll(y, -1, -1) - np.roll(x, -1, -1) * y)
