"""Removal of false disc points by a point network that judges all of them at once (Azad et al. 2022, section 2.3).

The published normalisation puts the first true disc at the origin and makes the distance to the fifth one, so it needs
the labels. Here the origin is the median point and the unit the median distance from it, which need none and leave out
position and size all the same. The direction of the head is known from the scan and stays: the network is trained with
turns of up to 17 degrees, and without the direction it does worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np

from spondyl.errors import SettingError
from spondyl.nets.network import LoadedNetwork, Network
from spondyl.reading import Refine
from spondyl.refine.candidates import refine_by
from spondyl.types import Float, Float32

__all__ = [
    "MIN_PROBABILITY",
    "disc_probabilities",
    "disc_shares",
    "fill_up",
    "normalise_by_discs",
    "normalise_by_median",
    "open_look_once",
]

MIN_PROBABILITY = 0.5

_FIXED_POINTS = {"look-once-20": 20}
"""Number of points of the networks that take no other number."""


def open_look_once(networks: Mapping[str, LoadedNetwork]) -> Refine:
    """Open the method."""
    network = networks["look-once"]
    points = _FIXED_POINTS.get(network.card.network)
    return refine_by(lambda points_mm: disc_probabilities(points_mm, network.run, points) >= MIN_PROBABILITY)


def disc_probabilities(
    points_mm: Annotated[Float, "n 2"], network: Network, points: int | None = None
) -> Annotated[Float, "n"]:
    """Compute the probability that each of n points, (inferior, posterior) mm, is a disc; n may be 0.

    Args:
        points_mm: in any order.
        network: the point network, (1, 1, n, 2) normalised points to logits of the same shape, false and disc.
        points: the only number of points that the network takes; fewer are filled up.

    Raises:
        SettingError: more points than the network takes, or a network that returns another shape.
    """
    if not len(points_mm):
        return np.empty(0)
    filled = normalise_by_median(points_mm) if points is None else fill_up(normalise_by_median(points_mm), points)
    logits = network(filled[None, None].astype(np.float32))
    if logits.shape != (1, 1, len(filled), 2):
        raise SettingError(f"the network must return (1, 1, {len(filled)}, 2), got {logits.shape}")
    return disc_shares(logits[0, 0, : len(points_mm)])


def disc_shares(logits: Annotated[Float32, "n 2"]) -> Annotated[Float, "n"]:
    """The softmax of the second of two logits."""
    differences = logits[:, 0].astype(np.float64) - logits[:, 1]
    return np.asarray(1 / (1 + np.exp(differences)))


def normalise_by_median(points_mm: Annotated[Float, "n 2"]) -> Annotated[Float, "n 2"]:
    """Put the median point at the origin and make the median distance from it one.

    The median point is the one whose distances to all others have the least sum, so that it turns with the points; the
    middle of several such points. Points that are all at one place stay at the origin.
    """
    sums = np.linalg.norm(points_mm[:, None] - points_mm[None], axis=2).sum(1)
    centred = points_mm - points_mm[sums <= sums.min() * (1 + _TIE)].mean(0)
    unit = np.median(np.linalg.norm(centred, axis=1))
    return np.asarray(centred / unit if unit > 0 else centred)


_TIE = 1e-9


def normalise_by_discs(
    points_mm: Annotated[Float, "n 2"], discs_mm: Annotated[Float, "m 2"]
) -> Annotated[Float, "n 2"]:
    """Normalise as published, by the first and fifth true disc; for the ablation only, since it needs the truth.

    Raises:
        SettingError: fewer than five discs.
    """
    if len(discs_mm) < 5:
        raise SettingError(f"the published normalisation needs five true discs, got {len(discs_mm)}")
    first, fifth = discs_mm[np.argsort(discs_mm[:, 0], kind="stable")[[0, 4]]]
    return np.asarray((points_mm - first) / np.linalg.norm(first - fifth))


def fill_up(points: Annotated[Float, "n 2"], count: int) -> Annotated[Float, "m 2"]:
    """Repeat points, in their order, until there are `count`; networks that take the largest over points do not notice.

    Raises:
        SettingError: there are more.
    """
    if len(points) > count:
        raise SettingError(f"this network takes {count} points at most, got {len(points)}: use the preset compact")
    return points[np.arange(count) % len(points)]
