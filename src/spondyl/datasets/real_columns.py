"""Real columns to compare phantoms with: points of CT spines, and bodies as quadrilaterals from masks and meshes.

Paths are those of the collection of public data that the project is developed with; nothing of it is in the package.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spondyl.anatomy.codes import VERSE
from spondyl.anatomy.level import Level, Region
from spondyl.datasets.exams import load_exam
from spondyl.datasets.outlines import find_column_axes, outline_mask
from spondyl.geometry.affine import Float
from spondyl.geometry.resample import to_sagittal
from spondyl.imaging.labels import read_labels

__all__ = ["Bodies", "Spine", "read_mask_bodies", "read_mesh_bodies", "read_mr_bodies", "read_verse", "read_vid"]

Bodies = Mapping[Level, Float]
"""Corners (4, 3) of each body in its mid-sagittal plane, RAS mm, ordered as `geometry.instance.CORNERS`."""

_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Spine:
    """Points of one spine.

    Args:
        levels: neighbours of some, head to foot.
        centres_ras_mm: of the bodies, (n, 3).
        pedicle_distances_mm: between left and right, (n,); None where they are unknown.
    """

    levels: tuple[Level, ...]
    centres_ras_mm: Float
    pedicle_distances_mm: Float | None


def read_vid(path: Path) -> Iterator[Spine]:
    """Read the spines of the VID training set, rows of case, kind, level and a point in LPS mm."""
    cases: dict[str, dict[str, list[tuple[str, Float]]]] = defaultdict(lambda: defaultdict(list))
    with path.open(newline="") as lines:
        for case, kind, level, *xyz in list(csv.reader(lines))[1:]:
            cases[case][kind].append((level, np.array(xyz, dtype=float) * _LPS_TO_RAS))
    for points in cases.values():
        levels = [Level(name) for name, _ in points["body"]]
        sides = [np.array([point for _, point in points[side]]) for side in ("left", "right")]
        is_paired = len(sides[0]) == len(sides[1]) == len(levels)
        distances = np.linalg.norm(sides[0] - sides[1], axis=1) if is_paired else None
        yield _spine(levels, np.array([point for _, point in points["body"]]), distances)


def read_verse(path: Path) -> Iterator[Spine]:
    """Read the spines of VerSe19, rows of a name and x, y, z (LPS mm) for C1 to C7, T1 to T12, L1 to L6, T13."""
    levels = [level for level in Level if level is not Level.T13 and level.region is not Region.SACRAL] + [Level.T13]
    with path.open(newline="") as lines:
        for _, *numbers in csv.reader(lines):
            points = np.array(numbers, dtype=float).reshape(-1, 3) * _LPS_TO_RAS
            there = np.flatnonzero(~np.isnan(points).any(1))
            yield _spine([levels[i] for i in there], points[there], None)


def _spine(levels: list[Level], centres: Float, distances: Float | None) -> Spine:
    order = np.argsort([level.rank for level in levels])
    return Spine(
        levels=tuple(levels[i] for i in order),
        centres_ras_mm=centres[order],
        pedicle_distances_mm=None if distances is None else distances[order],
    )


def read_mr_bodies(folder: Path) -> Iterator[Bodies]:
    """Read the bodies of every exam in a folder from masks and annotations, means of the three middle slices."""
    for path in sorted(folder.glob("*.nii.gz")):
        if path.name.endswith("_seg.nii.gz"):
            continue
        exam = load_exam(path)
        outlines = {level: body.outlines_ras_mm for level, body in exam.bodies().items()}
        yield {level: o[max(0, len(o) // 2 - 1) : len(o) // 2 + 2].mean(0) for level, o in outlines.items()}


def read_mask_bodies(path: Path) -> Bodies:
    """Read the bodies of a mask of whole vertebrae (VerSe's codes), C3 to L6, that are whole and apart from the arch.

    C1 and C2 are left out, since a quadrilateral cannot describe the dens.
    """
    labels = read_labels(path)
    stack, _ = to_sagittal(labels.codes.astype(np.float32), labels.affine, slab_mm=0)
    mask = stack.voxels.round().astype(int)
    sections = {}
    for code in np.unique(mask):
        level = VERSE.get(int(code))
        if level is None or not Level.C3.rank <= level.rank < Level.S1.rank:
            continue
        if not (mask[:, [0, -1]] == code).any() and (section := _middle_section(mask == code)) is not None:
            sections[level] = section
    levels = sorted(sections, key=lambda level: level.rank)
    centroids = np.array([np.argwhere(sections[level][1]).mean(0) * stack.pixel_mm for level in levels])
    bodies = {}
    for level, axis in zip(levels, find_column_axes(centroids), strict=True):
        k, body = sections[level]
        corners = outline_mask(body, axis, stack.pixel_mm)
        bodies[level] = stack.affine.to_world(np.insert(corners, 0, k, axis=1))
    return bodies


def _middle_section(mask: NDArray[np.bool_]) -> tuple[int, NDArray[np.bool_]] | None:
    """The middle one of the sagittal slices in which the body lies apart from the arch, and the body in it."""
    slices = np.flatnonzero(mask.any((1, 2)))
    apart = []
    for k in slices[len(slices) // 4 : -(len(slices) // 4)]:
        parts, count = ndimage.label(mask[k])
        areas = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        large = [i + 1 for i in range(count) if areas[i] > 0.2 * areas.sum()]
        if count > 1 and large:
            # anterior is toward the first column
            front = min(large, key=lambda i: np.nonzero(parts == i)[1].mean())
            apart.append((int(k), parts == front))
    return apart[len(apart) // 2] if apart else None


def read_mesh_bodies(path: Path, *, forward_xy: tuple[int, int]) -> Bodies:
    """Read the bodies of meshes of vertebrae whose third axis points up.

    Args:
        path: arrays `LEVEL_vertices_mm` or `LEVEL_whole_vertices_mm`, with `LEVEL_body_vertices_mm` where it is known.
        forward_xy: the anterior direction, along the first or second axis.
    """
    with np.load(path) as meshes:
        wholes = {
            Level(key.split("_")[0]): key for key in meshes if key.endswith("vertices_mm") and "_body_" not in key
        }
        levels = sorted((level for level in wholes if level.region is not Region.SACRAL), key=lambda level: level.rank)
        bodies = {level: meshes.get(f"{level}_body_vertices_mm") for level in levels}
        sections = [_mesh_section(meshes[wholes[level]], bodies[level], forward_xy) for level in levels]
    axes = find_column_axes(np.array([(-section[:, 1].mean(), -section[:, 0].mean()) for section in sections]))
    corners = (_find_corners(section, axis) for section, axis in zip(sections, axes, strict=True))
    return {level: np.insert(points, 0, 0.0, axis=1) for level, points in zip(levels, corners, strict=True)}


def _mesh_section(whole: Float, body: Float | None, forward_xy: tuple[int, int]) -> Float:
    """Points (n, 2) of a body's mid-sagittal section as (anterior, superior)."""
    vertices = np.asarray(whole if body is None else body, dtype=np.float64)
    lateral, forward = vertices[:, :2] @ forward_xy[::-1], vertices[:, :2] @ forward_xy
    is_middle = np.abs(lateral - (lateral.min() + lateral.max()) / 2) < _SECTION_HALF_MM
    section = np.stack([forward, vertices[:, 2]], axis=1)[is_middle]
    if body is not None:
        return np.asarray(section)
    # the canal is the widest gap from front to back
    anterior = np.sort(section[:, 0])
    wall = anterior[np.argmax(np.diff(anterior)) + 1]
    return np.asarray(section[section[:, 0] >= wall])


_SECTION_HALF_MM = 1.5


def _find_corners(section: Float, axis_rc: Float) -> Float:
    """Find the corners (4, 2) of a section (anterior, superior) as `datasets.outlines.outline_mask` does in a mask.

    Args:
        section: points (n, 2) of the surface.
        axis_rc: direction of the column toward the feet, (down, back).
    """
    down = np.array([-axis_rc[1], -axis_rc[0]]) / np.linalg.norm(axis_rc)
    back = np.array([down[1], -down[0]])
    local = (section - section.mean(0)) @ np.stack([down, back]).T
    local /= np.ptp(local, axis=0)
    senses = np.array([(-1, 1), (1, 1), (1, -1), (-1, -1)])
    return np.array([section[np.argsort(local @ sense)[-3:]].mean(0) for sense in senses])
