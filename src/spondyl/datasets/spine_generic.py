"""The Spine Generic multi-subject data: T1w and T2w scans with one point for each disc, in BIDS.

    sub-XX/anat/sub-XX_T1w.nii.gz, sub-XX_T2w.nii.gz
    derivatives/labels/sub-XX/anat/sub-XX_T1w*_labels-disc-manual.nii.gz, and so on

A point is a single voxel whose value is the disc's code (3 = C2/C3); 1, 2 and 30 and above are no discs. It lies on
the posterior edge of the disc, as is customary for the Spinal Cord Toolbox, whose codes these are; so it does in the
one scan with such points that could be looked at, ivadomed's test data. The discs' centres are not marked. A disc is
therefore outlined as a quadrilateral of published depth and height, the middle of whose posterior side is the point:
the edge is the marked one, and the centre lies half a mean depth in front of it, a millimetre off or two, since people
differ.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spondyl.anatomy.disc import Disc
from spondyl.datasets.disc_marks import find_disc_points
from spondyl.datasets.outlines import find_column_axes
from spondyl.datasets.source import BodyOutlines, DiscOutlines, Exam, Fold, Source, SplitPart
from spondyl.errors import InputError
from spondyl.geometry.affine import Float
from spondyl.geometry.resample import to_sagittal
from spondyl.geometry.stack import SagittalStack
from spondyl.imaging.labels import read_labels
from spondyl.imaging.read import read_volume
from spondyl.imaging.volume import Modality
from spondyl.phantom.column.morphometry import MEAN_SIZES, mean_disc_height_mm

__all__ = ["open_spine_generic", "outline_points", "split_subjects"]

_CONTRASTS = ("T1w", "T2w")

_TRAINED, _VALIDATED = 0.81, 0.9
"""Shares of the sorted subjects at which the training and the validation part end.

Look-Once's code trains on the first 90 %, of which it keeps the last tenth for validation, and tests on the last 5 % of
all; what follows the validation part is never opened here.
"""

_CERTAIN_MM, _UNCERTAIN_MM = 6.0, 28.0
"""A point marked in one slice is certain so far to both sides, and excluded from the loss beyond, as outlines drawn in
one slice are (`datasets.exams`)."""

_CITATION = "Spine Generic, Cohen-Adad et al. 2021, doi 10.1038/s41597-021-00941-8"


def open_spine_generic(folder: Path, part: SplitPart | Fold) -> Source:
    """Load one part of the data, with a group for each contrast; scans without points are left out.

    A fold gives the part that stands for it, since cross-fitting is for the few exams of the published split.

    Raises:
        InputError: the folder holds no subject, or no scan of the part has points.
    """
    chosen = part.split_part if isinstance(part, Fold) else part
    held = SplitPart.VALIDATION if chosen is SplitPart.CALIBRATION else chosen
    subjects = split_subjects(sorted(path.name for path in folder.glob("sub-*") if path.is_dir()), held)
    groups = [[exam for subject in subjects for exam in _load(folder, subject, contrast)] for contrast in _CONTRASTS]
    count = sum(map(len, groups))
    if not count:
        raise InputError(
            f"no scan of the {held} part has disc points: expected sub-*/anat/*_T1w.nii.gz or _T2w.nii.gz, and "
            "*_labels-disc-manual.nii.gz of the same name below derivatives/labels"
        )
    people = len({exam.patient for group in groups for exam in group})
    return Source(
        name=f"{count} scans of {folder.name}",
        groups=tuple(tuple(group) for group in groups if group),
        sentences=(
            f"{_CITATION}: T1 and T2, {count} scans of {people} subjects of the {held} part; "
            f"licence: {_read_licence(folder)}",
        ),
    )


def split_subjects(subjects: Sequence[str], part: SplitPart) -> list[str]:
    """Choose the subjects of the training or of the validation part from all, which are sorted."""
    first, second = (math.floor(share * len(subjects)) for share in (_TRAINED, _VALIDATED))
    return list(subjects[:first] if part is SplitPart.TRAINING else subjects[first:second])


def _load(folder: Path, subject: str, contrast: str) -> list[Exam]:
    """Read the scan of a contrast, if there are one and points of it."""
    name = f"{subject}_{contrast}"
    scan = folder / subject / "anat" / f"{name}.nii.gz"
    marks = sorted((folder / "derivatives/labels" / subject / "anat").glob(f"{name}*_labels-disc-manual.nii.gz"))
    if not scan.is_file() or not marks:
        return []
    points = find_disc_points(read_labels(marks[0]))
    volume = read_volume(scan, modality=Modality.MR)
    stack, _ = to_sagittal(volume.voxels, volume.affine, slab_mm=0)
    return [Exam(name=name, patient=subject, stack=stack, outlines=_NO_BODIES, discs=outline_points(points, stack))]


_NO_BODIES = BodyOutlines(
    corners=np.empty((0, 4, 2)),
    slices=np.empty(0, dtype=np.intp),
    levels=np.empty(0, dtype=object),
    certain=np.empty(0, dtype=np.bool_),
)


def outline_points(points: dict[Disc, Float], stack: SagittalStack) -> DiscOutlines:
    """Outline discs of which the posterior edge is marked, in the slices about the mark.

    Args:
        points: posterior edge of each disc, (3,) RAS mm, from head to foot.
        stack: the scan.
    """
    places = stack.affine.to_index(np.array(list(points.values())).reshape(-1, 3))
    axes = find_column_axes(places[:, 1:] * stack.pixel_mm)
    quadrilaterals = [
        (edge * stack.pixel_mm + _outline(disc, axis)) / stack.pixel_mm
        for disc, edge, axis in zip(points, places[:, 1:], axes, strict=True)
    ]
    rows = [
        (number, k, distance_mm <= _CERTAIN_MM)
        for number, place in enumerate(places)
        for k in range(len(stack.voxels))
        if (distance_mm := abs(k - place[0]) * stack.slice_mm) <= _UNCERTAIN_MM
    ]
    discs = list(points)
    return DiscOutlines(
        corners=np.array([quadrilaterals[number] for number, _, _ in rows]).reshape(-1, 4, 2),
        slices=np.array([k for _, k, _ in rows], dtype=np.intp),
        discs=np.array([discs[number] for number, _, _ in rows], dtype=object),
        certain=np.array([is_certain for *_, is_certain in rows], dtype=np.bool_),
    )


def _outline(disc: Disc, axis_mm: Float) -> Float:
    """The corners of a disc of mean size about the middle of its posterior side, (4, 2) as (row, column), mm.

    Args:
        disc: which of them.
        axis_mm: direction of the column toward the feet as (row, column).
    """
    depth_mm = (MEAN_SIZES[disc.upper].lower_depth_mm + MEAN_SIZES[disc.lower].upper_depth_mm) / 2
    down = axis_mm / np.linalg.norm(axis_mm) * mean_disc_height_mm(disc.upper, disc.lower) / 2
    ahead = np.array([down[1], -down[0]]) / np.linalg.norm(down) * depth_mm
    return np.array([-down, down, down + ahead, -down + ahead])


def _read_licence(folder: Path) -> str:
    """Read the licence from BIDS's description of the data."""
    try:
        licence = json.loads((folder / "dataset_description.json").read_bytes())["License"]
    except (OSError, ValueError, KeyError, TypeError):
        return "none stated"
    return " ".join(str(licence).split()) or "none stated"
