"""The scans on which disc points are measured: fresh phantoms, and real exams in which others have marked the discs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spondyl.anatomy.codes import disc_code
from spondyl.anatomy.disc import discs_of
from spondyl.benches.detection.discs import EXAMS
from spondyl.datasets.disc_marks import find_disc_points
from spondyl.datasets.exams import load_exams
from spondyl.datasets.phantoms import load_phantoms, make_phantoms
from spondyl.datasets.source import Exam, Fold, SplitPart
from spondyl.geometry.resample import sagittal_axes
from spondyl.imaging.labels import LabelMap, read_labels
from spondyl.imaging.read import read_volume
from spondyl.imaging.volume import Modality
from spondyl.metrics.discs import DiscPoints, find_outline_points
from spondyl.phantom.scanner.sequence import PulseSequence
from spondyl.study import Study

__all__ = [
    "CONTRASTS",
    "MASKED_SETS",
    "PHANTOM_SEED",
    "MarkedScan",
    "find_mask_points",
    "list_fold",
    "list_marked",
    "list_phantoms",
    "list_validation",
]

PHANTOM_SEED = 3_000_000
"""The first seed of the phantoms; recipes and other benchmarks draw others."""

CONTRASTS = {"T1": PulseSequence.T1_TSE, "T2": PulseSequence.T2_TSE}

MASKED_SETS = ("spider", "discs_t2")
"""The sets of real exams with masks of discs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedScan:
    """A scan with its true discs.

    Args:
        study: the scan.
        truth: centres of the discs, or posterior edges.
        edges: posterior edges; None where they are not known.
        marks_edges: True where the truth is posterior edges.
    """

    study: Study
    truth: DiscPoints
    edges: DiscPoints | None
    marks_edges: bool = False


def list_phantoms(folder: Path, patients: int) -> Iterator[tuple[str, MarkedScan]]:
    """Yield the name of the contrast and the scan for both contrasts of each fresh phantom.

    A phantom's discs are the spaces between its bodies.

    Args:
        folder: of the phantoms; those that it does not hold are made.
        patients: how many, all fields of view in turn.
    """
    seeds = range(PHANTOM_SEED, PHANTOM_SEED + patients)
    make_phantoms(folder, seeds, contrasts=tuple(CONTRASTS.values()))
    for seed in seeds:
        exams = [exam for exams in load_phantoms(folder, [seed]).values() for exam in exams]
        for contrast, exam in zip(CONTRASTS, exams, strict=False):  # none where no body is in view
            centres, edges = find_outline_points(exam.disc_outlines(), exam.stack.affine)
            yield contrast, MarkedScan(study=Study.from_sagittal(exam.stack), truth=centres, edges=edges)


def list_validation(data: Path, name: str) -> Iterator[MarkedScan]:
    """Yield the exams of a set that no network of the published split is trained on.

    Raises:
        InputError: the set is missing, or an exam in it cannot be read.
    """
    for exam in load_exams(data / "mr" / name, SplitPart.VALIDATION):
        yield _read_masked(data / "mr" / name, exam)


def list_fold(data: Path, name: str, fold: int) -> Iterator[MarkedScan]:
    """Yield the exams of a set that no network of a fold is trained on.

    Raises:
        InputError: the set is missing, or an exam in it cannot be read.
    """
    for exam in load_exams(data / "mr" / name, Fold(number=fold, is_held_out=True)):
        yield _read_masked(data / "mr" / name, exam)


def _read_masked(folder: Path, exam: Exam) -> MarkedScan:
    volume = read_volume(folder / f"{exam.name}.nii.gz", modality=Modality.MR)
    return MarkedScan(
        study=Study.from_volume(volume),
        truth=find_mask_points(read_labels(folder / f"{exam.name}_seg.nii.gz")),
        edges=None if exam.discs is None else find_outline_points(exam.discs, exam.stack.affine)[1],
    )


def list_marked(data: Path) -> Iterator[tuple[str, MarkedScan]]:
    """Yield the name and the scan of each exam in which posterior edges are marked, none of which is trained on.

    Raises:
        InputError: an exam is missing or cannot be read.
    """
    for name, (scan, points) in EXAMS.items():
        marked = find_disc_points(read_labels(data / "mr" / points))
        edges = DiscPoints(
            discs=tuple(marked), points_ras_mm=np.stack(list(marked.values())), certain=np.ones(len(marked), dtype=bool)
        )
        study = Study.from_volume(read_volume(data / "mr" / scan, modality=Modality.MR))
        yield name, MarkedScan(study=study, truth=edges, edges=edges, marks_edges=True)


def find_mask_points(labels: LabelMap) -> DiscPoints:
    """Find the centroids of masks of discs; one that reaches the upper or lower edge of the scan is uncertain."""
    codes = {disc: disc_code(disc) for disc in discs_of() if (labels.codes == disc_code(disc)).any()}
    places = {disc: np.argwhere(labels.codes == code) for disc, code in codes.items()}
    along = sagittal_axes(labels.affine)[1]
    ends = (0, labels.codes.shape[along] - 1)
    return DiscPoints(
        discs=tuple(places),
        points_ras_mm=labels.affine.to_world(np.array([at.mean(0) for at in places.values()]).reshape(-1, 3)),
        certain=np.array([not np.isin(at[:, along], ends).any() for at in places.values()], dtype=bool),
    )
