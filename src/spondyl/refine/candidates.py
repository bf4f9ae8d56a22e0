"""The way from candidates to points of the sagittal plane and back, which all methods that remove false ones share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import numpy as np

from spondyl.geometry.points import Landmarks
from spondyl.reading import Candidates, Refine
from spondyl.study import Study
from spondyl.types import Float, Mask

__all__ = ["Select", "refine_by", "select", "to_plane_mm"]

Select = Callable[[Float], Mask]
"""A rule that tells which of n points, (n, 2) as (inferior, posterior) mm, are discs, (n,); n may be 0."""


def refine_by(rule: Select) -> Refine:
    """Make the function of the stage from a rule."""

    def refine(study: Study, candidates: Candidates) -> Candidates:
        return select(candidates, rule(to_plane_mm(study, candidates.centres_ras_mm)))

    return refine


def to_plane_mm(study: Study, points_ras_mm: Annotated[Float, "n 3"]) -> Annotated[Float, "n 2"]:
    """Project points onto the plane of the sagittal slices, as (inferior, posterior) mm from its first pixel."""
    stack = study.sagittal
    return np.asarray(stack.affine.to_index(points_ras_mm)[:, 1:] * stack.pixel_mm)


def select(candidates: Candidates, is_kept: Mask) -> Candidates:
    """Keep some candidates, in their order and as they are."""
    kept = np.flatnonzero(is_kept)
    edges = candidates.posterior_ras_mm
    return replace(
        candidates,
        centres=Landmarks(points_ras_mm=candidates.centres_ras_mm[kept], scores=candidates.scores[kept]),
        bodies=tuple(candidates.bodies[place] for place in kept) if candidates.bodies else (),
        posterior_ras_mm=None if edges is None else edges[kept],
        logits=None if candidates.logits is None else candidates.logits[kept],
    )
