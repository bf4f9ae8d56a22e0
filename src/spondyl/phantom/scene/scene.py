"""A phantom as a scene of solids, and its painting on any grid of voxels.

A scene is a list of parts (what a voxel can belong to) and of solids painted one over another, each with the part that
its voxels become. Voxels hold only the number of their part, so that one painting serves every mask and every contrast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spondyl.anatomy.codes import Subregion
from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine, Float
from spondyl.phantom.scene.material import Material
from spondyl.phantom.scene.solids import Coordinates, Solid

__all__ = ["Backdrop", "PaintGrid", "Part", "PartIds", "Scene", "Stroke", "voxelise"]

PartIds = NDArray[np.uint16]
"""The index into `Scene.parts` of each voxel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A material at a place in the body, which voxels can belong to.

    Args:
        material: material of the part.
        subregion: subregion it belongs to; None for everything around the spine.
        level: level of its vertebra, for a disc of the vertebra above; None where it has none.
    """

    material: Material
    subregion: Subregion | None = None
    level: Level | None = None


class Backdrop(Protocol):
    """The surroundings of the spine, painted first, on a coarse grid."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return the parts that its voxels can belong to; the first is air."""
        ...

    def paint(
        self, right_mm: NDArray[np.float32], anterior_mm: NDArray[np.float32], superior_mm: NDArray[np.float32]
    ) -> PartIds:
        """Return the part of each point.

        Args:
            right_mm, anterior_mm, superior_mm: RAS coordinates, arrays of one shape or broadcastable to one.

        Returns:
            indices into `parts`, of the broadcast shape.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """A solid with the part that its voxels become.

    Args:
        solid: shape to paint.
        part: part of its voxels, an index into the scene's parts.
        core: part of the voxels deeper than `shell_mm`; `part` as well when None.
        shell_mm: thickness of the outer layer.
        over: paint only voxels that are one of these parts by then; any when empty.
    """

    solid: Solid
    part: int
    core: int | None = None
    shell_mm: float = 0.0
    over: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A complete description of what is painted.

    Args:
        parts: parts that a voxel can belong to; those of the backdrop come first.
        backdrop: surroundings, painted first.
        strokes: solids in the order of painting, each over the earlier ones.
    """

    parts: tuple[Part, ...]
    backdrop: Backdrop
    strokes: tuple[Stroke, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintGrid:
    """A grid to paint on, whose voxels are each split into smaller ones for partial volume.

    Args:
        affine: maps voxel indices to RAS mm.
        shape: number of voxels along the three axes.
        supersampling: number of small voxels along each axis of a voxel.
        filled: share of a voxel along the first axis that the small ones fill; below 1 where slices have gaps.

    Raises:
        SettingError: a number is not positive.
    """

    affine: Affine
    shape: tuple[int, int, int]
    supersampling: tuple[int, int, int] = (1, 1, 1)
    filled: float = 1.0

    def __post_init__(self) -> None:
        if min(*self.shape, *self.supersampling) < 1 or not 0 < self.filled <= 1:
            raise SettingError(
                f"a grid needs positive sizes and a filled share up to 1, got {self.shape}, "
                f"{self.supersampling} and {self.filled}"
            )

    def places(self) -> tuple[Float, Float, Float]:
        """Return the continuous voxel indices of the small voxels along each axis."""
        fills = (self.filled, 1.0, 1.0)
        return tuple(  # type: ignore[return-value]  # three of them
            (np.arange(n)[:, None] + ((np.arange(s) + 0.5) / s - 0.5) * fill).ravel()
            for n, s, fill in zip(self.shape, self.supersampling, fills, strict=True)
        )


def voxelise(scene: Scene, grid: PaintGrid) -> PartIds:
    """Paint a scene.

    Returns:
        index into `scene.parts` of each small voxel, of shape ``grid.shape * grid.supersampling``.
    """
    ids = _paint_backdrop(scene.backdrop, grid)
    places = grid.places()
    for stroke in scene.strokes:
        _paint(ids, stroke, grid.affine, places)
    return ids


_POINTS_AT_ONCE = 4_000_000
"""The largest number of points painted at once, which bounds the memory."""


def _paint_backdrop(backdrop: Backdrop, grid: PaintGrid) -> PartIds:
    """Paint one point for each voxel: the surroundings have no detail that needs more."""
    i, j, k = (np.arange(n) for n in grid.shape)
    slabs = np.array_split(i, -(-i.size * j.size * k.size // _POINTS_AT_ONCE))
    ids = np.concatenate(
        [backdrop.paint(*_compute_coordinates(grid.affine.matrix[:3], (slab, j, k))) for slab in slabs]
    )
    for axis, factor in enumerate(grid.supersampling):
        ids = np.repeat(ids, factor, axis=axis) if factor > 1 else ids
    fine = np.ascontiguousarray(ids)
    # sub-slices moved against each other give its edges partial volume
    for offset in range(grid.supersampling[0]):
        shift = offset - grid.supersampling[0] // 2
        fine[offset :: grid.supersampling[0]] = np.roll(fine[offset :: grid.supersampling[0]], shift, axis=(1, 2))
    return fine


def _compute_coordinates(
    matrix: Float, indices: Sequence[NDArray[np.generic]]
) -> tuple[Coordinates, Coordinates, Coordinates]:
    """Compute the three coordinates of a box of indices, each of the box's shape.

    Args:
        matrix: (3, 4) from index to coordinates.
        indices: indices along each axis.
    """
    i, j, k = (np.asarray(axis, dtype=np.float32) for axis in indices)
    return tuple(
        (row[0] * i)[:, None, None] + ((row[1] * j)[:, None] + (row[2] * k + row[3]))
        for row in matrix.astype(np.float32)
    )


def _paint(ids: PartIds, stroke: Stroke, affine: Affine, places: tuple[Float, Float, Float]) -> None:
    frame = stroke.solid.frame
    box = _find_box(stroke.solid, affine, places)
    if any(ends.start >= ends.stop for ends in box):
        return
    to_local = np.concatenate(
        [
            frame.axes.T @ affine.matrix[:3, :3],
            (frame.axes.T @ (affine.matrix[:3, 3] - frame.origin_ras_mm))[:, None],
        ],
        axis=1,
    )
    x, y, z = _compute_coordinates(to_local, [axis[ends] for axis, ends in zip(places, box, strict=True)])
    depth = stroke.solid.depth_mm(x, y, z)
    view = ids[box]
    inside = depth > 0
    if stroke.over:
        inside &= np.isin(view, stroke.over)
    if stroke.core is None:
        view[inside] = stroke.part
    else:
        view[inside] = np.where(depth[inside] > stroke.shell_mm, stroke.core, stroke.part).astype(np.uint16)


def _find_box(solid: Solid, affine: Affine, places: tuple[Float, Float, Float]) -> tuple[slice, slice, slice]:
    """Find the part of a grid that can hold a solid."""
    corners = np.stack(np.meshgrid(*solid.box_mm.T, indexing="ij"), axis=-1).reshape(8, 3)
    index = affine.to_index(solid.frame.to_world(corners))
    ends = zip(places, index.min(axis=0), index.max(axis=0), strict=True)
    return tuple(slice(*np.searchsorted(axis, (low, high)).tolist()) for axis, low, high in ends)  # type: ignore[return-value]
