"""Real exams whose discs others have marked: the bodies found and rightly named on both sides of each disc."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.datasets.disc_marks import find_disc_points
from spondyl.findings import Vertebra
from spondyl.geometry.affine import Float
from spondyl.imaging.labels import read_labels
from spondyl.imaging.read import read_volume
from spondyl.imaging.volume import Modality
from spondyl.loaded_plan import LoadedPlan
from spondyl.metrics.tables import format_table
from spondyl.pipeline import analyze

__all__ = [
    "EXAMS",
    "DiscSides",
    "judge_discs",
    "tabulate_discs",
]

EXAMS = {
    "cervical_t2_01": ("cervical_t2/cervical_t2_01.nii.gz", "cervical_t2/cervical_t2_01_discs.nii.gz"),
    "PAM50_small_t2": ("template/PAM50_small_t2.nii.gz", "template/PAM50_small_label_discPosterior.nii.gz"),
}
"""Scan and points, under the folder of MR exams; no network was trained on either."""

_MAX_DISTANCE_MM = 32.0
"""Most distance of the middle of a body beside a disc from the disc's posterior edge; it is 28 mm in lumbar spines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscSides:
    """The bodies that were reported beside a disc.

    Args:
        disc: as marked.
        above, below: level of the nearest reported body above and below it; None where none is near.
    """

    disc: Disc
    above: Level | None
    below: Level | None

    @property
    def is_found(self) -> bool:
        """True if a body was reported on each side."""
        return self.above is not None and self.below is not None

    @property
    def is_named(self) -> bool:
        """True if both have their right levels."""
        return (self.above, self.below) == (self.disc.upper, self.disc.lower)


def tabulate_discs(data: Path, loaded: LoadedPlan) -> str:
    """Analyse the exams and compare.

    Args:
        data: the folder that holds `mr/`.
        loaded: the plan to measure.

    Returns:
        Markdown.

    Raises:
        InputError: an exam is missing or cannot be read.
    """
    rows = []
    for name, (scan, points) in EXAMS.items():
        findings = analyze(read_volume(data / "mr" / scan, modality=Modality.MR), loaded=loaded).findings
        marked = find_disc_points(read_labels(data / "mr" / points))
        rows.append(_row(name, judge_discs(marked, findings.vertebrae)))
    about = "Discs that others have marked: a body reported on either side, and both rightly named. Never trained on."
    return f"{about}\n\n{format_table(('exam', 'discs', 'found', 'named', 'not named'), rows)}"


def judge_discs(points: Mapping[Disc, Float], vertebrae: Sequence[Vertebra]) -> list[DiscSides]:
    """Find the nearest reported bodies beside each marked disc.

    Args:
        points: RAS mm, (3,) each.
        vertebrae: as reported.
    """
    judged = []
    for disc, point in points.items():
        above = [v for v in vertebrae if v.centroid_mm[2] > point[2]]
        below = [v for v in vertebrae if v.centroid_mm[2] < point[2]]
        judged.append(DiscSides(disc=disc, above=_nearest(above, point), below=_nearest(below, point)))
    return judged


def _nearest(vertebrae: Sequence[Vertebra], point: Float) -> Level | None:
    away = [(float(np.linalg.norm(np.subtract(v.centroid_mm, point))), v.level) for v in vertebrae]
    distance, level = min(away, default=(np.inf, None))
    return Level(level) if level is not None and distance <= _MAX_DISTANCE_MM else None


def _row(name: str, judged: Sequence[DiscSides]) -> tuple[str, ...]:
    wrong = [str(sides.disc) for sides in judged if not sides.is_named]
    found, named = sum(sides.is_found for sides in judged), sum(sides.is_named for sides in judged)
    return name, str(len(judged)), str(found), str(named), ", ".join(wrong) or "-"
