"""Labelled exams: what training and evaluation read, each outline in the index space of its sagittal stack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spondyl.anatomy.codes import VERSE
from spondyl.anatomy.level import Level
from spondyl.datasets.outlines import column_axes, outline_of_mask
from spondyl.errors import InputError
from spondyl.geometry.affine import Float
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.resample import to_sagittal
from spondyl.geometry.stack import SagittalStack
from spondyl.imaging.labels import read_labels
from spondyl.imaging.read import read_volume
from spondyl.imaging.volume import Modality

__all__ = ["Exam", "Outlines", "load_exam", "load_exams", "split_of"]

_SEEN_FRACTION = 0.5
"""A slice shows a body when its mask there has at least this share of the body's largest slice.

Less is neither taught nor denied.
"""

_HAND_REACH_MM = 6.0
"""A quadrilateral drawn in one slice holds this far to both sides."""

_HAND_DOUBT_MM = 28.0
"""So far to both sides it is neither taught nor denied: half a body's width and some more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlines:
    """Quadrilaterals of vertebral bodies, one row for each body and slice.

    Args:
        corners: (n, 4, 2) as (row, column), ordered as `geometry.instance.CORNERS`.
        slices: (n,) slice index.
        levels: (n,) name of the body.
        certain: (n,) True where the body is plainly there; False where it is neither taught nor denied.
    """

    corners: Float
    slices: NDArray[np.intp]
    levels: NDArray[np.object_]
    certain: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """One scan with truth.

    Args:
        name: the file's stem; exams of one patient share a line in `split.json`.
        stack: pixels in sagittal order.
        outlines: every vertebral body that is labelled.
    """

    name: str
    stack: SagittalStack
    outlines: Outlines

    def bodies(self) -> dict[Level, VertebraInstance]:
        """The certain outlines as one instance for each level, head to foot."""
        o = self.outlines
        found = {}
        for level in sorted(set(o.levels[o.certain]), key=lambda level: level.rank):
            rows = np.flatnonzero((o.levels == level) & o.certain)
            rows = rows[np.argsort(o.slices[rows])]
            slices = tuple(map(int, o.slices[rows]))
            found[level] = VertebraInstance(
                slices=slices, outlines=o.corners[rows], score=1.0, affine=self.stack.affine
            )
        return found


def split_of(name: str) -> str:
    """The part of the published split, "train" or "validation", to which an exam belongs; by patient.

    Raises:
        InputError: the exam is not in the split.
    """
    for part, names in json.loads(resources.files("spondyl.datasets").joinpath("split.json").read_text()).items():
        if name in names:
            return str(part)
    raise InputError(f"exam {name} is not in the published split (datasets/split.json)")


def load_exams(folder: Path, part: str) -> Iterator[Exam]:
    """Exams of one part of the split under a folder of `NAME.nii.gz`, `NAME_seg.nii.gz` (VerSe codes of bodies).

    Raises:
        InputError: the folder holds no exam, or one that is not in the split or has no truth.
    """
    paths = [path for path in sorted(folder.glob("*.nii.gz")) if not path.name.endswith("_seg.nii.gz")]
    if not paths:
        raise InputError(f"no exams (*.nii.gz) in {folder}")
    for path in paths:
        if split_of(path.name.removesuffix(".nii.gz")) == part:
            yield load_exam(path)


def load_exam(path: Path) -> Exam:
    """Read one exam with the truth beside it and the project's own annotations of it.

    Raises:
        InputError: the scan cannot be read, or no body in it is labelled.
    """
    name = path.name.removesuffix(".nii.gz")
    volume = read_volume(path, modality=Modality.MR)
    stack, _ = to_sagittal(volume.voxels, volume.affine, slab_mm=0)
    rows: list[_Row] = []
    mask_path = path.with_name(f"{name}_seg.nii.gz")
    if mask_path.exists():
        labels = read_labels(mask_path)
        mask = to_sagittal(labels.codes.astype(np.float32), labels.affine, slab_mm=0)[0].voxels.round().astype(int)
        rows += _outlines_of_mask(mask, stack.pixel_mm)
    annotated = resources.files("spondyl.datasets").joinpath(f"annotations/{name}.json")
    if annotated.is_file():
        rows += _outlines_of_annotation(json.loads(annotated.read_text())["corners_ras_mm"], stack)
    if not rows:
        raise InputError(f"exam {name} has no labelled body: neither a mask nor an annotation shows one")
    return Exam(name=name, stack=stack, outlines=_table(rows))


class _Row(NamedTuple):
    corners: Float
    slice_index: int
    level: Level
    is_certain: bool


def _table(rows: list[_Row]) -> Outlines:
    return Outlines(
        corners=np.stack([row.corners for row in rows]),
        slices=np.array([row.slice_index for row in rows]),
        levels=np.array([row.level for row in rows], dtype=object),
        certain=np.array([row.is_certain for row in rows]),
    )


def _outlines_of_mask(mask: NDArray[np.int_], pixel_mm: Float) -> list[_Row]:
    # the sacrum's mask is no outline of S1
    codes = [code for code in np.unique(mask) if code in VERSE and VERSE[code].rank < Level.S1.rank]
    codes.sort(key=lambda code: VERSE[code].rank)
    centroids_mm = np.array([np.argwhere(mask == code).mean(0)[1:] * pixel_mm for code in codes])
    rows = []
    for code, axis in zip(codes, column_axes(centroids_mm), strict=True):
        areas = (mask == code).sum((1, 2))
        for k in np.flatnonzero(areas):
            outline = outline_of_mask(mask[k] == code, axis, pixel_mm)
            rows.append(_Row(outline, int(k), VERSE[code], bool(areas[k] >= _SEEN_FRACTION * areas.max())))
    return rows


def _outlines_of_annotation(corners_ras_mm: dict[str, list[list[float]]], stack: SagittalStack) -> list[_Row]:
    rows = []
    for name, points in corners_ras_mm.items():
        index = stack.affine.to_index(points)
        middle = index[:, 0].mean()
        for k in range(len(stack.voxels)):
            distance_mm = abs(k - middle) * stack.slice_mm
            if distance_mm <= _HAND_DOUBT_MM:
                rows.append(_Row(index[:, 1:], k, Level(name), distance_mm <= _HAND_REACH_MM))
    return rows
