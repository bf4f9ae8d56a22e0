"""Grouping of quadrilaterals in slices into vertebral bodies (SpineNetV2; Windsor et al. 2022, section 3.1, step 6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance
from spondyl.types import Float, Index

__all__ = ["SliceOutlines", "group_across_slices"]

JOIN_IOU = 0.2
"""The overlap above which a quadrilateral continues a body (the published code's; the paper's text says 0.25)."""

MERGE_IOU = 0.05
"""The overlap of two bodies' mean quadrilaterals above which they are one (the published code's)."""

CLEAR_SHARE = 0.8
"""The share of a body's best score that it must reach in a slice; lower ones show only its rim."""

MIN_SCORE = 0.5
"""Bodies below this are dropped: the lowest of 244 true ones in the training exams had 0.53, a false one 0.35."""

MIN_BEST_SCORE = 0.8
"""The score that at least one body of a spine must reach: in every training exam the best has 0.9 or more."""

MAX_CHAINS = 1000
"""The number of candidates that are compared, those with the highest scores; a whole spine in 130 slices has 350."""

MAX_GAP_MM = 10.0
"""The widest gap over which a body may be missed; a wider one separates two bodies of a curved spine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceOutlines:
    """The quadrilaterals found in each slice.

    Args:
        slices: (n,) slice index, not decreasing.
        corners: (n, 4, 2) as (row, column).
        scores: (n,) mean heat of the landmarks.
    """

    slices: Index
    corners: Float
    scores: Float


def group_across_slices(found: SliceOutlines, affine: Affine) -> tuple[VertebraInstance, ...]:
    """Join quadrilaterals of neighbouring slices into bodies.

    A quadrilateral joins the body whose latest quadrilateral it overlaps most. Bodies that overlap one another are
    merged. A body with a low score is dropped, as is one in a single slice where three or more slices show bodies. If
    no body has a high score, none is reported.

    Args:
        found: quadrilaterals of all slices, in the index space of a sagittal stack.
        affine: (slice, row, column) of that stack to RAS mm.

    Returns:
        Bodies from head to foot.
    """
    polygons = shapely.polygons(found.corners) if len(found.corners) else np.empty(0, object)
    slice_mm = float(affine.spacing_mm[0])
    chains: list[list[int]] = []
    for k in np.unique(found.slices):
        here = np.flatnonzero(found.slices == k)
        open_chains = [
            c for c in chains if (k - found.slices[c[-1]]) * slice_mm <= MAX_GAP_MM or found.slices[c[-1]] == k - 1
        ]
        chains += _continue_chains(open_chains, here, polygons)
    chains = _merge(_keep_highest(chains, found), found)
    instances = [_instance(chain, found, affine) for chain in chains]
    min_slices = 2 if len(np.unique(found.slices)) >= 3 else 1
    clear = [body for body in instances if len(body.slices) >= min_slices and body.score >= MIN_SCORE]
    if max((body.score for body in clear), default=0.0) < MIN_BEST_SCORE:
        return ()
    return tuple(sorted(clear, key=lambda instance: float(instance.centroid_index[1])))


def _continue_chains(chains: list[list[int]], here: Index, polygons: NDArray[np.object_]) -> list[list[int]]:
    """Append to each chain the outline that overlaps it most; return the outlines that start chains of their own."""
    fresh = dict.fromkeys(range(len(here)))
    if chains:
        iou = _iou(polygons[[chain[-1] for chain in chains]][:, None], polygons[here][None])
        waiting = set(range(len(chains)))
        for chain, outline in sorted(np.argwhere(iou > JOIN_IOU).tolist(), key=lambda pair: -iou[tuple(pair)]):
            if chain in waiting and outline in fresh:
                waiting.discard(chain)
                del fresh[outline]
                chains[chain].append(int(here[outline]))
    return [[int(here[outline])] for outline in fresh]


def _keep_highest(chains: list[list[int]], found: SliceOutlines) -> list[list[int]]:
    """Keep the `MAX_CHAINS` chains with the highest best score, in their order."""
    best = np.array([found.scores[chain].max() for chain in chains])
    return [chains[number] for number in np.sort(np.argsort(-best, kind="stable")[:MAX_CHAINS])]


def _merge(chains: list[list[int]], found: SliceOutlines) -> list[list[int]]:
    """Unite chains whose mean quadrilaterals overlap; of two outlines in a slice, that of the longer chain is kept."""
    merged: list[list[int]] = []
    means = np.empty(len(chains), object)
    for chain in sorted(chains, key=len, reverse=True):
        mean = shapely.polygons(found.corners[chain].mean(0))
        overlapped = np.flatnonzero(_iou(mean, means[: len(merged)]) > MERGE_IOU)
        if len(overlapped):
            first = overlapped[0]
            merged[first] += [i for i in chain if found.slices[i] not in found.slices[merged[first]]]
            means[first] = shapely.polygons(found.corners[merged[first]].mean(0))
        else:
            means[len(merged)] = mean
            merged.append(list(chain))
    return merged


def _instance(chain: list[int], found: SliceOutlines, affine: Affine) -> VertebraInstance:
    min_score = CLEAR_SHARE * found.scores[chain].max()
    chain = sorted((i for i in chain if found.scores[i] >= min_score), key=lambda i: int(found.slices[i]))
    return VertebraInstance(
        slices=tuple(int(k) for k in found.slices[chain]),
        outlines=found.corners[chain],
        score=float(np.sort(found.scores[chain])[-3:].mean()),
        affine=affine,
    )


def _iou(a: object, b: object) -> Float:
    common = shapely.area(shapely.intersection(a, b))
    return np.asarray(common / np.maximum(shapely.area(a) + shapely.area(b) - common, 1e-9))
