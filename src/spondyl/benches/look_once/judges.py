"""The compared methods that need no training, as functions of an image with its truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from spondyl.metrics.candidates import mean_score, score_kept
from spondyl.refine.condition import keep_by_conditions
from spondyl.refine.ordered_assignment import assign_chain
from spondyl.refine.skeleton import Skeleton
from spondyl.simulate.disc_points import NoisyDiscs
from spondyl.types import Float, Mask

__all__ = ["Judge", "fit_worth", "make_judges", "straighten"]

Judge = Callable[[NoisyDiscs], Mask]
"""Tells which points of an image are discs; of the truth it reads no more than its row in the table says."""

_WORTHS = (0.003, 0.005, 0.01, 0.02)


def make_judges(places_mm: Float, images: Sequence[NoisyDiscs]) -> Mapping[str, Judge]:
    """Make the methods, with the mean skeleton of training spines and fitted to images of training spines."""
    skeleton = fit_worth(Skeleton(places_mm=places_mm, starts=tuple(range(len(places_mm) - 1))), images)
    return {
        "condition": lambda image: keep_by_conditions(image.points_mm),
        "straightened": lambda image: keep_by_conditions(straighten(image)),
        "told": lambda image: assign_chain(image.points_mm, skeleton, int(image.is_disc.sum())).to_mask(
            len(image.is_disc)
        ),
        "assignment": lambda image: assign_chain(image.points_mm, skeleton).to_mask(len(image.is_disc)),
    }


def fit_worth(skeleton: Skeleton, images: Sequence[NoisyDiscs]) -> Skeleton:
    """Choose what a point is worth by the mean F1 of images."""

    def f1(worth: float) -> float:
        tried = replace(skeleton, worth=worth)
        kept = ((assign_chain(image.points_mm, tried).to_mask(len(image.is_disc)), image) for image in images)
        return mean_score(score_kept(mask, image.is_disc) for mask, image in kept).f1

    return replace(skeleton, worth=max(_WORTHS, key=f1))


def straighten(image: NoisyDiscs) -> Float:
    """Measure the posterior coordinate of each point from the line through the true discs, as along the cord."""
    discs = image.points_mm[image.is_disc]
    discs = discs[np.argsort(discs[:, 0])]
    line = np.interp(image.points_mm[:, 0], discs[:, 0], discs[:, 1])
    return np.stack([image.points_mm[:, 0], image.points_mm[:, 1] - line], axis=1)
