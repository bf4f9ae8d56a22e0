"""Discs in the heat maps of one look at a scan: peaks, the slabs that show them, names and posterior edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from spondyl.types import Float, Float32

__all__ = ["COARSE", "MIN_HEAT", "Heat", "Peak", "find_edges", "find_peaks"]

COARSE = 4
"""The factor by which heat is coarser than images: peaks are interpolated, so that nothing is lost."""

MIN_HEAT = 0.3
"""The heat that a disc must reach."""

_APART_MM = 8.0
"""The least distance of two discs; cervical discs are 14 mm or more apart."""

_EDGE_MM = (4.0, 32.0, 12.0)
"""The posterior edge is sought from so far in front of the centre to so far behind it, and so far above and below."""

_MIN_EDGE_HEAT = 0.1

_USUAL_EDGE_MM = 15.0
"""The distance of the posterior edge from the centre where no edge is seen in the whole scan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """The heat maps of overlapping slabs.

    Args:
        places: (slabs,) middle of each slab, in slices.
        discs: (slabs, discs, rows, columns) heat of each disc.
        edges: (slabs, rows, columns) heat of the posterior edges of all discs.
        pixel_mm: spacing of rows and columns.
    """

    places: Float
    discs: Float32
    edges: Float32
    pixel_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """A maximum of the heat.

    Args:
        place: (slice, row, column) in the scan's slices and the pixels of the heat maps, (3,).
        weights: (slabs,) the share of each slab that shows it; they sum to 1.
        score: interpolated heat, summed over the discs.
        logits: (discs,) logarithm of the heat of each.
    """

    place: Float
    weights: Float
    score: float
    logits: Float


def find_peaks(heat: Heat) -> list[Peak]:
    """Find the discs from head to foot, the hottest of those that are too near to each other."""
    any_disc = heat.discs.sum(1)
    hottest = any_disc.max(0)
    summits = (hottest == ndimage.maximum_filter(hottest, 3)) & (hottest > MIN_HEAT / 2)
    peaks = [_interpolate_peak(heat, any_disc, row, column) for row, column in np.argwhere(summits).tolist()]
    kept: list[Peak] = []
    for peak in sorted(peaks, key=lambda peak: -peak.score):
        apart_mm = [np.linalg.norm((other.place - peak.place)[1:]) * heat.pixel_mm for other in kept]
        if peak.score >= MIN_HEAT and min(apart_mm, default=_APART_MM) >= _APART_MM:
            kept.append(peak)
    return sorted(kept, key=lambda peak: float(peak.place[1]))


def _interpolate_peak(heat: Heat, any_disc: Float32, row: int, column: int) -> Peak:
    """Find the slabs that show a peak, and its place and height in their mean."""
    profile = any_disc[:, row, column].astype(np.float64)
    best = int(profile.argmax())
    shown = ndimage.label(profile >= profile[best] / 2)[0]
    weights = np.where(shown == shown[best], profile, 0.0)
    weights = weights / weights.sum()
    place, height = _interpolate(weights, any_disc, row, column)
    return Peak(
        place=np.array([weights @ heat.places, *place]),
        weights=weights,
        score=min(1.0, height),
        logits=np.log(np.maximum(weights @ heat.discs[:, :, row, column].astype(np.float64), 1e-6)),
    )


def _interpolate(weights: Float, maps: Float32, row: int, column: int) -> tuple[Float, float]:
    """Place (2,) and height of the Gaussian through a pixel of the mean map and its four neighbours."""
    rows = np.clip([row - 1, row, row + 1], 0, maps.shape[1] - 1)
    columns = np.clip([column - 1, column, column + 1], 0, maps.shape[2] - 1)
    nine = np.tensordot(weights, maps[:, rows[:, None], columns].astype(np.float64), 1)
    around = np.log(np.maximum(nine, 1e-4))
    here = around[1, 1]
    before, after = np.array([around[0, 1], around[1, 0]]), np.array([around[2, 1], around[1, 2]])
    bend = np.minimum(before + after - 2 * here, -1e-3)
    step = np.clip((before - after) / (2 * bend), -0.5, 0.5)
    height = here + float((step * (after - before) / 4).sum())
    return np.array([row, column]) + step, float(np.exp(height))


def find_edges(peaks: Sequence[Peak], heat: Heat) -> Float:
    """Find the posterior edge of each disc, (n, 3) as its place; where none is seen, as far behind as the others."""
    offsets = np.full((len(peaks), 2), np.nan)
    for number, peak in enumerate(peaks):
        offset = _find_edge(heat.edges, peak, heat.pixel_mm)
        if offset is not None:
            offsets[number] = offset
    seen = ~np.isnan(offsets[:, 0])
    usual = offsets[seen].mean(0) if seen.any() else np.array([0.0, _USUAL_EDGE_MM / heat.pixel_mm])
    places = np.array([peak.place for peak in peaks]).reshape(-1, 3)
    behind: Float = np.pad(np.where(seen[:, None], offsets, usual), ((0, 0), (1, 0)))
    return places + behind


def _find_edge(edges: Float32, peak: Peak, pixel_mm: float) -> Float | None:
    """The offset of the hottest edge behind a disc in the slabs that show it, (2,); None where there is none."""
    front, back, aside = np.array(_EDGE_MM) / pixel_mm
    _, row, column = peak.place
    top, left = max(0, round(row - aside)), max(0, round(column - front))
    shown = edges[:, top : round(row + aside) + 1, left : round(column + back) + 1]
    window = np.tensordot(peak.weights, shown.astype(np.float64), 1)
    if window.size == 0 or window.max() < _MIN_EDGE_HEAT:
        return None
    below, behind = np.unravel_index(int(window.argmax()), window.shape)
    place, _ = _interpolate(peak.weights, edges, top + int(below), left + int(behind))
    offset: Float = place - peak.place[1:]
    return offset
