"""Measures of located discs, as in the papers on disc points (Look-Once, section 3.2; MSA-Net, section 4).

Both papers state 5 mm and mean it in one sagittal image. Here points are matched one to one in mm, in three dimensions
and again in the sagittal plane alone. The looser rules of the published code, which counts pixels from head to foot
only, are kept beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.datasets.source import DiscOutlines
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import polygon_areas, polygon_centroids
from spondyl.types import Float, Index, Mask

__all__ = [
    "LEGACY_PIXEL_MM",
    "MAX_MATCH_MM",
    "DiscPoints",
    "DiscScore",
    "LegacyScore",
    "find_outline_points",
    "match_points",
    "score_discs",
]

MAX_MATCH_MM = 5.0
"""The largest distance of a found point from the true one, as in the papers."""

LEGACY_PIXEL_MM = 1.2
"""The pixels in which the published code's rules are applied, those of the images that networks see here; the code's
own images are not resampled in mm, so that its pixels differ between scans."""

_LEGACY_FALSE_PX, _LEGACY_MISSED_PX = 10.0, 7.0
"""Distances from head to foot beyond which a found point is false, or a true one missed, in the published code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscPoints:
    """The true discs of a scan, one point each.

    Args:
        discs: n names.
        points_ras_mm: (n, 3).
        certain: (n,) False for a disc that the scan's edge cuts, or whose place is not known well.
    """

    discs: tuple[Disc, ...]
    points_ras_mm: Annotated[Float, "n 3"]
    certain: Annotated[Mask, "n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyScore:
    """The measures of the published code over one or more scans, in mm; scores add up.

    Args:
        truths: discs that are there.
        false: found points far from every disc along the column; two points at one disc are both right.
        missed: discs far from every found point along the column.
        distances_mm: from each disc to the nearest found point, in the sagittal plane.
        along_mm: the same from head to foot alone.
    """

    truths: int
    false: int
    missed: int
    distances_mm: tuple[float, ...]
    along_mm: tuple[float, ...]

    def __add__(self, other: Self) -> LegacyScore:
        return LegacyScore(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscScore:
    """Counts over one or more scans; scores add up.

    Args:
        truths: certain discs.
        false: points that were found where there is no disc, or a second time at one.
        named: discs that were found and given their name.
        distances_mm: between each found disc and the point that found it.
        false_in_plane: points that are false where only the sagittal plane counts, as in the papers.
        in_plane_mm: distances in the sagittal plane of the discs that are found there.
        along_mm: the same from head to foot alone.
        legacy: the measures of the published code.
    """

    truths: int
    false: int
    named: int
    distances_mm: tuple[float, ...]
    false_in_plane: int
    in_plane_mm: tuple[float, ...]
    along_mm: tuple[float, ...]
    legacy: LegacyScore

    def __add__(self, other: Self) -> DiscScore:
        return DiscScore(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})

    @property
    def found(self) -> int:
        """Number of discs that a point lies near to."""
        return len(self.distances_mm)

    @property
    def false_negative_rate(self) -> float:
        """Missed discs over all discs (FNR); NaN without truth."""
        return _share(self.truths - self.found, self.truths)

    @property
    def false_positive_rate(self) -> float:
        """False points over all discs (FPR), which may exceed 1; NaN without truth."""
        return _share(self.false, self.truths)

    @property
    def plane_false_negative_rate(self) -> float:
        """The same share of missed discs where only the sagittal plane counts."""
        return _share(self.truths - len(self.in_plane_mm), self.truths)

    @property
    def plane_false_positive_rate(self) -> float:
        """The same share of false points where only the sagittal plane counts."""
        return _share(self.false_in_plane, self.truths)

    @property
    def naming_rate(self) -> float:
        """Share of found discs that were given their name; NaN where none was found."""
        return _share(self.named, self.found)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def find_outline_points(outlines: DiscOutlines, affine: Affine) -> tuple[DiscPoints, DiscPoints]:
    """Find the centre and the posterior edge of each outlined disc.

    A disc's certain slices count, or all of them where none is certain, each by the area of the disc in it, so that the
    centre is that of its mask.

    Args:
        outlines: of one scan.
        affine: (slice, row, column) to RAS mm.

    Returns:
        Centres and edges, from head to foot.
    """
    discs = tuple(sorted(set(outlines.discs), key=lambda disc: disc.upper.rank))
    areas, middles = np.abs(polygon_areas(outlines.corners)), polygon_centroids(outlines.corners)
    places = np.stack([middles, outlines.corners[:, :2].mean(1)], axis=1)
    certain, points = [], []
    for disc in discs:
        rows = outlines.discs == disc
        certain.append(bool((rows & outlines.certain).any()))
        rows &= outlines.certain | (not certain[-1])
        weights = areas[rows] / areas[rows].sum()
        in_plane = np.tensordot(weights, places[rows], 1)
        points.append(np.column_stack([np.full(2, weights @ outlines.slices[rows]), in_plane]))
    ras_mm = affine.to_world(np.array(points).reshape(-1, 2, 3))
    centres, edges = (
        DiscPoints(discs=discs, points_ras_mm=ras_mm[:, place], certain=np.array(certain, dtype=bool))
        for place in (0, 1)
    )
    return centres, edges


def score_discs(
    truth: DiscPoints, found_ras_mm: Annotated[Float, "m 3"], names: Sequence[Disc | None], affine: Affine
) -> DiscScore:
    """Compare the points of one scan with its truth.

    Points above the first or below the last disc of the truth are not counted, since scans show discs that nobody
    labelled, and neither are those that match no certain disc and are nearest to an uncertain one. There is no disc
    above C2/C3, so that a point above it is false.

    Args:
        truth: the discs that are there, of any certainty.
        found_ras_mm: points that were found.
        names: the name that each was given; None for none.
        affine: of the sagittal stack, (slice, row, column) to RAS mm; its rows run along the column.

    Returns:
        The counts; those of the published code are over the same points.
    """
    true_ras_mm = truth.points_ras_mm[truth.certain]
    known = [disc for disc, certain in zip(truth.discs, truth.certain, strict=True) if certain]
    true_mm, found_mm = (_to_plane(points, affine) for points in (true_ras_mm, found_ras_mm))
    rows, columns = match_points(true_ras_mm, found_ras_mm)
    plane_rows, plane_columns = match_points(true_mm, found_mm)
    offsets_mm = found_mm[plane_columns] - true_mm[plane_rows]
    is_matched, is_matched_in_plane = (np.isin(np.arange(len(found_mm)), each) for each in (columns, plane_columns))
    is_judged = _is_judged(truth, found_ras_mm, affine)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return DiscScore(
        truths=len(known),
        false=int((is_judged & ~is_matched).sum()),
        named=sum(names[column] == known[row] for row, column in pairs),
        distances_mm=_to_tuple(np.linalg.norm(found_ras_mm[columns] - true_ras_mm[rows], axis=1)),
        false_in_plane=int((is_judged & ~is_matched_in_plane).sum()),
        in_plane_mm=_to_tuple(np.linalg.norm(offsets_mm, axis=1)),
        along_mm=_to_tuple(np.abs(offsets_mm[:, 0])),
        legacy=_score_as_published(true_mm, found_mm[is_judged | is_matched | is_matched_in_plane]),
    )


def match_points(
    true_mm: Annotated[Float, "n axes"], found_mm: Annotated[Float, "m axes"]
) -> tuple[Annotated[Index, "pairs"], Annotated[Index, "pairs"]]:
    """Match true and found points one to one so that as many as possible are near, and the sum of distances is least.

    Args:
        true_mm, found_mm: in one space or plane.

    Returns:
        The indices of the true and of the found point of each pair that is at most `MAX_MATCH_MM` apart.
    """
    from scipy.optimize import linear_sum_assignment

    distances_mm = np.linalg.norm(true_mm[:, None] - found_mm[None], axis=-1)
    # a pair that is too far apart costs more than any rearrangement of near ones can save
    far_mm = MAX_MATCH_MM * (1 + min(distances_mm.shape))
    rows, columns = linear_sum_assignment(np.where(distances_mm <= MAX_MATCH_MM, distances_mm, far_mm))
    near = distances_mm[rows, columns] <= MAX_MATCH_MM
    return rows[near], columns[near]


def _is_judged(truth: DiscPoints, found_ras_mm: Float, affine: Affine) -> Mask:
    """Tell which found points are false where they match no disc, (m,)."""
    if not len(truth.discs):
        return np.zeros(len(found_ras_mm), dtype=bool)
    rows, true_rows = _to_plane(found_ras_mm, affine)[:, 0], _to_plane(truth.points_ras_mm, affine)[:, 0]
    nearest = np.linalg.norm(found_ras_mm[:, None] - truth.points_ras_mm[None], axis=-1).argmin(1)
    is_headmost = truth.discs[int(true_rows.argmin())].upper is Level.C2
    within = (rows <= true_rows.max()) & ((rows >= true_rows.min()) | is_headmost)
    return np.asarray(within & truth.certain[nearest])


def _to_plane(points_ras_mm: Float, affine: Affine) -> Float:
    """The places of points along rows and columns, (n, 2) mm."""
    return np.asarray((points_ras_mm @ affine.directions)[:, 1:])


def _score_as_published(true_mm: Float, found_mm: Float) -> LegacyScore:
    """Apply the rules of the published code to points in the sagittal plane, (n, 2) and (m, 2), mm.

    The code prints the median of the distances and the mean of those from head to foot; where nothing was found, a
    disc has no distance.
    """
    along_mm = np.abs(true_mm[:, None, 0] - found_mm[None, :, 0])
    distances_mm = np.linalg.norm(true_mm[:, None] - found_mm[None], axis=-1)
    to_truth = along_mm.min(0, initial=np.inf)
    to_found = along_mm.min(1, initial=np.inf)
    return LegacyScore(
        truths=len(true_mm),
        false=int((to_truth > _LEGACY_FALSE_PX * LEGACY_PIXEL_MM).sum()),
        missed=int((to_found > _LEGACY_MISSED_PX * LEGACY_PIXEL_MM).sum()),
        distances_mm=_to_tuple(distances_mm.min(1)) if len(found_mm) else (),
        along_mm=_to_tuple(to_found) if len(found_mm) else (),
    )


def _to_tuple(values: Float) -> tuple[float, ...]:
    return tuple(map(float, values))
