"""Labelled exams and their sources, as every kind of data gives them to training, fitting and benches."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import is_possible_pair
from spondyl.errors import SettingError
from spondyl.geometry.affine import Float
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.stack import SagittalStack

__all__ = ["FOLDS", "BodyOutlines", "DiscOutlines", "Exam", "Fold", "Source", "SplitPart", "outline_spaces"]


class SplitPart(StrEnum):
    """A part of the labelled data; a patient in the training part is in no other."""

    TRAINING = "train"
    """The exams that networks are trained on."""
    VALIDATION = "validation"
    """The exams that a trained network is measured on."""
    CALIBRATION = "calibration"
    """The exams that the decoder's settings are fitted to; the validation part where a source has no further exams."""


FOLDS = 3
"""The number of folds for cross-fitting: networks of a fold have seen no exam of its patients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One side of a fold of real exams, in place of a part of the split.

    Args:
        number: from 1 to `FOLDS`.
        is_held_out: True for the patients of the fold, False for all others.

    Raises:
        SettingError: there is no fold of that number.
    """

    number: int
    is_held_out: bool

    def __post_init__(self) -> None:
        if not 1 <= self.number <= FOLDS:
            raise SettingError(f"--fold must be a number from 1 to {FOLDS}, got {self.number}")

    @property
    def split_part(self) -> SplitPart:
        """The part of the split that data without folds, such as phantoms, give in its place."""
        return SplitPart.VALIDATION if self.is_held_out else SplitPart.TRAINING


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyOutlines:
    """Quadrilaterals of vertebral bodies, one row for each body and slice.

    Args:
        corners: (n, 4, 2) as (row, column), ordered as `geometry.instance.CORNERS`.
        slices: (n,) slice index.
        levels: (n,) name of the body.
        certain: (n,) True where the body is plainly there; False where it is excluded from the loss, neither positive
            nor negative.
    """

    corners: Float
    slices: NDArray[np.intp]
    levels: NDArray[np.object_]
    certain: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscOutlines:
    """Quadrilaterals of intervertebral discs, one row for each disc and slice.

    Args:
        corners: (n, 4, 2) as (row, column), ordered as `geometry.instance.CORNERS`.
        slices: (n,) slice index.
        discs: (n,) name of the disc.
        certain: (n,) True where the disc is plainly there; False where it is excluded from the loss, neither positive
            nor negative.
    """

    corners: Float
    slices: NDArray[np.intp]
    discs: NDArray[np.object_]
    certain: NDArray[np.bool_]

    def __add__(self, other: DiscOutlines) -> DiscOutlines:
        names = ("corners", "slices", "discs", "certain")
        return DiscOutlines(**{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """One scan with truth.

    Args:
        name: of the scan, such as its file's stem.
        patient: the same for all scans of one patient.
        stack: pixels in sagittal order.
        outlines: every vertebral body that is labelled.
        discs: every disc that is labelled; the spaces between the outlined bodies where None is given.
    """

    name: str
    patient: str
    stack: SagittalStack
    outlines: BodyOutlines
    discs: DiscOutlines | None = None

    def disc_outlines(self) -> DiscOutlines:
        """The labelled discs, and the spaces between outlined neighbours whose disc is not labelled."""
        spaces = outline_spaces(self.outlines)
        if self.discs is None:
            return spaces
        unlabelled = ~np.isin(spaces.discs.astype(str), self.discs.discs.astype(str))
        return self.discs + DiscOutlines(
            corners=spaces.corners[unlabelled],
            slices=spaces.slices[unlabelled],
            discs=spaces.discs[unlabelled],
            certain=spaces.certain[unlabelled],
        )

    def bodies(self) -> dict[Level, VertebraInstance]:
        """The certain outlines as one instance for each level, head to foot."""
        return self._instances(self.outlines.certain)

    def outlined_bodies(self) -> dict[Level, VertebraInstance]:
        """All outlines, certain or not, as one instance for each level, head to foot."""
        return self._instances(np.ones_like(self.outlines.certain))

    def _instances(self, chosen: NDArray[np.bool_]) -> dict[Level, VertebraInstance]:
        o = self.outlines
        found = {}
        for level in sorted(set(o.levels[chosen]), key=lambda level: level.rank):
            rows = np.flatnonzero((o.levels == level) & chosen)
            rows = rows[np.argsort(o.slices[rows])]
            slices = tuple(map(int, o.slices[rows]))
            found[level] = VertebraInstance(
                slices=slices, outlines=o.corners[rows], score=1.0, affine=self.stack.affine
            )
        return found


def outline_spaces(outlines: BodyOutlines) -> DiscOutlines:
    """Outline the disc spaces between neighbouring bodies, in each slice that shows both.

    A space is certain where both bodies are.
    """
    levels = sorted(set(outlines.levels), key=lambda level: level.rank)
    pairs = [(upper, lower) for upper, lower in pairwise(levels) if is_possible_pair(upper, lower)]
    rows = {place: number for number, place in enumerate(zip(outlines.levels, outlines.slices.tolist(), strict=True))}
    shown = [
        (rows[upper, k], rows[lower, k], Disc(upper, lower))
        for upper, lower in pairs
        if upper is not Level.C1
        for k in outlines.slices[outlines.levels == upper].tolist()
        if (lower, k) in rows
    ]
    above, below = (np.array([pair[end] for pair in shown], dtype=np.intp) for end in (0, 1))
    upper_corners, lower_corners = outlines.corners[above], outlines.corners[below]
    return DiscOutlines(
        corners=np.stack([upper_corners[:, 1], lower_corners[:, 0], lower_corners[:, 3], upper_corners[:, 2]], axis=1),
        slices=outlines.slices[above],
        discs=np.array([disc for *_, disc in shown], dtype=object),
        certain=outlines.certain[above] & outlines.certain[below],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One part of one source of data, loaded.

    Args:
        name: its name in a card, such as "8 phantoms".
        groups: exams in groups that are drawn from equally often; none of them is empty.
        sentences: its description in a card, each sentence with the licence that the owner states.
    """

    name: str
    groups: tuple[tuple[Exam, ...], ...]
    sentences: tuple[str, ...]

    @property
    def exams(self) -> tuple[Exam, ...]:
        """The exams of all groups."""
        return tuple(exam for group in self.groups for exam in group)
