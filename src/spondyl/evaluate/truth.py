"""The truth that a user holds about a scan: a mask in VerSe's codes, or centroids, as points in world space."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spondyl.anatomy.codes import VERSE
from spondyl.anatomy.level import Level
from spondyl.errors import InputError
from spondyl.geometry.affine import Affine, Float
from spondyl.imaging.read import read_volume
from spondyl.imaging.volume import Modality

__all__ = ["VoxelCentroids", "centroids_of_mask", "read_truth"]

Centroids = Mapping[Level, Float]
"""Centre of each body, (3,) RAS mm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoxelCentroids:
    """Centroids as VerSe lists them: in voxels of the scan, its axes turned to point in the `directions`.

    Args:
        points: by level, (3,) voxels.
        directions: letter of each axis, such as ("P", "I", "R").
    """

    points: Centroids
    directions: tuple[str, str, str]

    def to_world(self, affine: Affine, shape: Sequence[int]) -> Centroids:
        """The points in RAS mm.

        Args:
            affine: of the scan, (i, j, k) to RAS mm.
            shape: of the scan, in whose voxels the points are.
        """
        axes = [_axis_along(affine, letter) for letter in self.directions]
        index_map = np.eye(4)
        index_map[:3, :3] = 0
        for turned, (axis, is_same) in enumerate(axes):
            index_map[axis, turned] = 1 if is_same else -1
            index_map[axis, 3] = 0 if is_same else shape[axis] - 1
        turned_affine = affine @ index_map
        return {level: turned_affine.to_world(point) for level, point in self.points.items()}


def read_truth(path: Path) -> Centroids | VoxelCentroids:
    """Read a mask (NIfTI or MetaImage) or centroids (`.json`).

    The JSON is either `{"centroids_ras_mm": {"L1": [r, a, s]}}` or VerSe's list of labels, directions first.

    Raises:
        InputError: the file is neither, or names no vertebra.
    """
    truth = _read_json(path) if path.suffix == ".json" else centroids_of_mask(path)
    if not (truth.points if isinstance(truth, VoxelCentroids) else truth):
        raise InputError("the truth names no vertebra")
    return truth


def centroids_of_mask(path: Path) -> Centroids:
    """Centroids of the labels of a mask of vertebral bodies in VerSe's codes; other labels are passed over.

    Raises:
        InputError: the file cannot be read.
    """
    volume = read_volume(path, modality=Modality.MR)
    codes = np.rint(volume.voxels).astype(np.int64)
    where = np.argwhere(np.isin(codes, list(VERSE)))
    found = codes[tuple(where.T)]
    return {VERSE[int(code)]: volume.affine.to_world(where[found == code].mean(axis=0)) for code in np.unique(found)}


def _read_json(path: Path) -> Centroids | VoxelCentroids:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"the truth cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError("the truth is no JSON") from error
    try:
        return _of_list(content) if isinstance(content, list) else _of_names(content)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            'centroids must be {"centroids_ras_mm": {"L1": [r, a, s]}} or VerSe\'s list of labels and directions'
        ) from error


def _of_names(content: Mapping[str, Mapping[str, Sequence[float]]]) -> Centroids:
    return {Level(name): _point(values) for name, values in content["centroids_ras_mm"].items()}


def _of_list(content: Sequence[Mapping[str, object]]) -> VoxelCentroids:
    letters = content[0]["direction"]
    if not isinstance(letters, list) or sorted(_WORLD[letter][0] for letter in letters) != [0, 1, 2]:
        raise ValueError(letters)
    points = {
        VERSE[int(entry["label"])]: _point([entry[axis] for axis in "XYZ"])  # type: ignore[call-overload,misc]
        for entry in content[1:]
        if entry["label"] in VERSE
    }
    return VoxelCentroids(points=points, directions=(letters[0], letters[1], letters[2]))


def _point(values: Sequence[float]) -> Float:
    point = np.asarray(values, dtype=np.float64)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise ValueError(values)
    return point


_WORLD = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
"""World axis of RAS and sign along which a letter points."""


def _axis_along(affine: Affine, letter: str) -> tuple[int, bool]:
    """The voxel axis that runs most nearly along the letter's world axis, and whether it points the same way."""
    world, sign = _WORLD[letter]
    axis = int(np.abs(affine.directions[world]).argmax())
    return axis, bool(affine.directions[world, axis] * sign > 0)
