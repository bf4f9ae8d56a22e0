"""Exams: scans with masks and this project's own annotations, in the parts of the published split."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from spondyl.anatomy.codes import DISC_OFFSET, verse_code
from spondyl.anatomy.disc import Disc, discs_of
from spondyl.anatomy.level import Level
from spondyl.datasets.outlines import find_column_axes, outline_mask
from spondyl.datasets.source import FOLDS, BodyOutlines, DiscOutlines, Exam, Fold, Source, SplitPart
from spondyl.errors import InputError
from spondyl.geometry.affine import Float
from spondyl.geometry.resample import to_sagittal
from spondyl.geometry.stack import SagittalStack
from spondyl.imaging.labels import read_labels
from spondyl.imaging.read import read_volume
from spondyl.imaging.volume import Modality

__all__ = ["find_fold", "find_part", "load_exam", "load_exams", "open_exams"]

_MIN_CERTAIN_SHARE = 0.5
"""A slice shows a body when its mask there has at least this share of the body's largest slice.

Slices that show less are excluded from the loss (neither positive nor negative).
"""

_HAND_CERTAIN_MM = 6.0
"""A quadrilateral drawn in one slice is certain this far to both sides."""

_HAND_UNCERTAIN_MM = 28.0
"""A drawn quadrilateral is excluded from the loss beyond the certain slices up to this distance, half a body's width
and some more."""


_MASKS = ("seg", "parts", "discs", "cord")
"""The endings of the names of the masks that lie beside exams; only `_seg` is read."""

_ANNOTATIONS = "bodies outlined by hand for this project (datasets/annotations); licence: Apache-2.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """The authors of a set of exams and the licence that they state."""

    citation: str
    licence: str


_REHOSTED = "none stated where it was taken from, a repository under GPL-3.0 (JonathanRamos/fastcleverseg)"

_OWNERS = {
    "lumbar_t2": _Owner(citation="Chu et al. 2015, doi 10.1371/journal.pone.0143327: lumbar T2", licence=_REHOSTED),
    "lumbar_gre": _Owner(
        citation="MyoSegmenTUM spine, Burian et al. 2019, doi 10.1186/s12891-019-2528-x: lumbar GRE", licence=_REHOSTED
    ),
    "discs_t2": _Owner(citation="Menezes-Reis et al. 2016, doi 10.21037/qims.2016.08.01: lumbar T2", licence=_REHOSTED),
    "spider": _Owner(
        citation="SPIDER, van der Graaf et al. 2024, doi 10.1038/s41597-024-03090-w: lumbar T2", licence="CC BY 4.0"
    ),
}
"""Owners by the name of the set, which is that of an exam without its number (datasets/split.json)."""


def open_exams(folder: Path, part: SplitPart | Fold) -> Source:
    """Load one part or fold of a folder of exams; the decoder is fitted to the validation part.

    Raises:
        InputError: the folder holds no exam, or one that is not in the split or has no truth.
    """
    held = SplitPart.VALIDATION if part is SplitPart.CALIBRATION else part
    exams = tuple(load_exams(folder, held))
    return Source(
        name=f"{len(exams)} exam{'s' * (len(exams) > 1)} of {folder.name}",
        groups=(exams,) if exams else (),
        sentences=_describe_exams(exams, _describe_part(held)),
    )


def _describe_part(part: SplitPart | Fold) -> str:
    if isinstance(part, Fold):
        return f"fold {part.number}" if part.is_held_out else f"folds other than {part.number}"
    return f"{'training' if part is SplitPart.TRAINING else 'validation'} split"


def _describe_exams(exams: Sequence[Exam], part: str) -> tuple[str, ...]:
    """One sentence for each set of labelled scans, with the licence that its owner states."""
    patients = Counter(exam.name.rpartition("_")[0] for exam in exams)
    return (*(_describe_set(name, count, part) for name, count in patients.items()), _ANNOTATIONS)


def _describe_set(name: str, patients: int, part: str) -> str:
    owner = _OWNERS.get(name, _Owner(citation="labelled scans", licence="none stated"))
    people = "1 patient" if patients == 1 else f"{patients} patients"
    return f"{owner.citation}, {people} of the {part}; licence: {owner.licence}"


@cache
def _read_split() -> dict[str, list[str]]:
    """The names of the exams of each part."""
    split: dict[str, list[str]] = json.loads(resources.files("spondyl.datasets").joinpath("split.json").read_text())
    return split


def find_part(name: str) -> str:
    """Find the part of the published split to which an exam belongs, such as "train"; each patient has one exam.

    Raises:
        InputError: the exam is not in the split.
    """
    for part, names in _read_split().items():
        if name in names:
            return str(part)
    raise InputError(f"exam {name} is not in the published split (datasets/split.json)")


def find_fold(name: str) -> int | None:
    """Find the fold of an exam that may be trained on, from 1 to `FOLDS`; None for another exam.

    The patients of each set, such as `lumbar_t2`, go to the folds in turn.

    Raises:
        InputError: the exam is not in the split.
    """
    if find_part(name) not in _TAUGHT:
        return None
    split, (kind, _, _) = _read_split(), name.rpartition("_")
    of_kind = sorted(other for part in _TAUGHT for other in split[part] if other.rpartition("_")[0] == kind)
    return of_kind.index(name) % FOLDS + 1


_TAUGHT = (SplitPart.TRAINING, SplitPart.VALIDATION)


def _is_in(name: str, part: SplitPart | Fold) -> bool:
    if isinstance(part, Fold):
        fold = find_fold(name)
        return fold is not None and (fold == part.number) == part.is_held_out
    return find_part(name) == part


def load_exams(folder: Path, part: SplitPart | Fold) -> Iterator[Exam]:
    """Read the exams of one part or fold of the split, `NAME.nii.gz` with `NAME_seg.nii.gz` (VerSe's codes of bodies).

    Raises:
        InputError: the folder holds no exam, or one that is not in the split or has no truth.
    """
    masks = tuple(f"_{kind}.nii.gz" for kind in _MASKS)
    paths = [path for path in sorted(folder.glob("*.nii.gz")) if not path.name.endswith(masks)]
    if not paths:
        raise InputError(f"no exams (*.nii.gz) in {folder}")
    for path in paths:
        if _is_in(path.name.removesuffix(".nii.gz"), part):
            yield load_exam(path)


def load_exam(path: Path) -> Exam:
    """Read one exam with the truth beside it and the project's own annotations of it.

    Raises:
        InputError: the scan cannot be read, or no body in it is labelled.
    """
    name = path.name.removesuffix(".nii.gz")
    volume = read_volume(path, modality=Modality.MR)
    stack, _ = to_sagittal(volume.voxels, volume.affine, slab_mm=0)
    rows: list[_Row[Level]] = []
    discs: list[_Row[Disc]] = []
    mask_path = path.with_name(f"{name}_seg.nii.gz")
    if mask_path.exists():
        labels = read_labels(mask_path)
        mask = to_sagittal(labels.codes.astype(np.float32), labels.affine, slab_mm=0)[0].voxels.round().astype(int)
        # the sacrum's mask is no outline of S1
        bodies = {verse_code(level): level for level in Level if level.rank < Level.S1.rank}
        rows += _read_mask(mask, bodies, stack.pixel_mm)
        discs += _read_mask(mask, _DISC_CODES, stack.pixel_mm)
    annotated = resources.files("spondyl.datasets").joinpath(f"annotations/{name}.json")
    if annotated.is_file():
        rows += _read_annotation(json.loads(annotated.read_text())["corners_ras_mm"], stack)
    if not rows:
        raise InputError(f"exam {name} has no labelled body: neither a mask nor an annotation shows one")
    return Exam(
        name=name,
        patient=name,
        stack=stack,
        outlines=BodyOutlines(levels=_names(rows), **_columns(rows)),
        discs=DiscOutlines(discs=_names(discs), **_columns(discs)) if discs else None,
    )


Name = TypeVar("Name", Level, Disc)

_DISC_CODES = {DISC_OFFSET + verse_code(disc.upper): disc for disc in discs_of()}
"""The codes of the discs of a regular spine."""


class _Row(NamedTuple, Generic[Name]):
    corners: Float
    slice_index: int
    name: Name
    is_certain: bool


def _names(rows: Sequence[_Row[Name]]) -> NDArray[np.object_]:
    return np.array([row.name for row in rows], dtype=object)


def _columns(rows: Sequence[_Row[Name]]) -> dict[str, Any]:
    """The columns of outlines except the names."""
    return {
        "corners": np.stack([row.corners for row in rows]),
        "slices": np.array([row.slice_index for row in rows]),
        "certain": np.array([row.is_certain for row in rows]),
    }


def _read_mask(mask: NDArray[np.int_], codes: Mapping[int, Name], pixel_mm: Float) -> list[_Row[Name]]:
    """Outline the structures of some codes, given from head to foot, in each slice."""
    present = set(np.unique(mask).tolist())
    shown = [code for code in codes if code in present]
    centroids_mm = np.array([np.argwhere(mask == code).mean(0)[1:] * pixel_mm for code in shown])
    rows = []
    for code, axis in zip(shown, find_column_axes(centroids_mm), strict=True):
        areas = (mask == code).sum((1, 2))
        for k in np.flatnonzero(areas):
            outline = outline_mask(mask[k] == code, axis, pixel_mm)
            rows.append(_Row(outline, int(k), codes[code], bool(areas[k] >= _MIN_CERTAIN_SHARE * areas.max())))
    return rows


def _read_annotation(corners_ras_mm: dict[str, list[list[float]]], stack: SagittalStack) -> list[_Row[Level]]:
    rows = []
    for name, points in corners_ras_mm.items():
        index = stack.affine.to_index(points)
        middle = index[:, 0].mean()
        for k in range(len(stack.voxels)):
            distance_mm = abs(k - middle) * stack.slice_mm
            if distance_mm <= _HAND_UNCERTAIN_MM:
                rows.append(_Row(index[:, 1:], k, Level(name), distance_mm <= _HAND_CERTAIN_MM))
    return rows
