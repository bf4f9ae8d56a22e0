"""The truth about a user's scan, as the centres of its vertebral bodies.

It comes as one of

- a label map in VerSe's codes (NIfTI or MetaImage), of whole vertebrae or of bodies alone; from it the bodies' centres
  are derived. A phantom's mask (`NAME_seg.nii.gz`) stands for the `NAME_truth.json` beside it;
- `{"centroids_ras_mm": {"L1": [r, a, s]}}`, which a phantom's `NAME_truth.json` holds;
- VerSe's list of centroids (`NAME_ctd.json`), directions first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spondyl.anatomy.codes import VERSE
from spondyl.anatomy.level import Level
from spondyl.datasets.bodies import find_body_centres
from spondyl.errors import InputError
from spondyl.geometry.affine import Affine, Float
from spondyl.imaging.labels import read_labels

__all__ = ["Centroids", "VoxelCentroids", "read_truth"]

Centroids = Mapping[Level, Float]
"""Centre of each body, (3,) RAS mm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoxelCentroids:
    """Centroids as VerSe lists them, in voxels of the scan with its axes reoriented to the `directions`.

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
        for reoriented, (axis, is_same) in enumerate(axes):
            index_map[axis, reoriented] = 1 if is_same else -1
            index_map[axis, 3] = 0 if is_same else shape[axis] - 1
        reoriented_affine = affine @ index_map
        return {level: reoriented_affine.to_world(point) for level, point in self.points.items()}


def read_truth(path: Path) -> Centroids | VoxelCentroids:
    """Read the truth of one scan.

    Args:
        path: any file that this module's docstring lists. A label map may be empty.

    Raises:
        InputError: the file is none of these, such as a scan, or labels structures of which none is a vertebra.
    """
    if path.suffix == ".json":
        return _read_json(path)
    document = path.with_name(re.sub(r"_seg\.nii(\.gz)?$", "_truth.json", path.name))
    return _read_json(document) if document != path and document.is_file() else _read_mask(path)


def _read_mask(path: Path) -> Centroids:
    labels = read_labels(path)
    if labels.codes.any() and not np.isin(labels.codes, list(VERSE)).any():
        raise InputError("the truth names no vertebra: its codes must be VerSe's, 1 to 26 and 28")
    return find_body_centres(labels)


def _read_json(path: Path) -> Centroids | VoxelCentroids:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"the truth cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError("the truth is no JSON") from error
    try:
        truth = _from_list(content) if isinstance(content, list) else _from_names(content)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise InputError(
            'centroids must be {"centroids_ras_mm": {"L1": [r, a, s]}} or VerSe\'s list of labels and directions'
        ) from error
    if not (truth.points if isinstance(truth, VoxelCentroids) else truth):
        raise InputError("the truth names no vertebra")
    return truth


def _from_names(content: Mapping[str, Mapping[str, Sequence[float]]]) -> Centroids:
    return {Level(name): _point(values) for name, values in content["centroids_ras_mm"].items()}


def _from_list(content: Sequence[Mapping[str, object]]) -> VoxelCentroids:
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
    """Find the voxel axis that runs most nearly along the letter's world axis, and whether it points the same way."""
    world, sign = _WORLD[letter]
    axis = int(np.abs(affine.directions[world]).argmax())
    return axis, bool(affine.directions[world, axis] * sign > 0)
