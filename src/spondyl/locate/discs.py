"""Location of intervertebral discs in the heat maps of a network (Look-Once, MSA-Net and their baselines).

The papers average the sagittal slices next to the middle of the spine and predict one image. Spines are seldom so
straight, so here every part of the scan is predicted, in slabs that overlap, and each disc is taken from the slabs that
show it. Its channel is evidence of its level; the sum over the channels is the probability that there is a disc.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from spondyl.geometry.points import Landmarks
from spondyl.geometry.resize import resize_slices
from spondyl.geometry.stack import SagittalStack
from spondyl.locate.disc_channels import POSTERIOR_CHANNEL
from spondyl.locate.vfr import batches, normalise
from spondyl.nets.network import LoadedNetwork, Network
from spondyl.nets.presets import network_entry
from spondyl.nets.settings import read_settings
from spondyl.reading import Candidates, Locate
from spondyl.stage import Structure
from spondyl.study import Study
from spondyl.types import Float, Float32

__all__ = ["SLAB_MM", "WORKING_MM", "DiscSettings", "detect_discs", "open_discs"]

WORKING_MM = 1.2
"""The pixel spacing at which networks are trained; the papers' images of 256 pixels show about as much."""

SLAB_MM = 9.0
"""The thickness of a slab: discs are 15 to 50 mm wide, and noise and partial bulges average out."""

_COARSE = 4
"""The factor by which heat is coarser than images: peaks are interpolated, so that nothing is lost."""

MIN_HEAT = 0.3
"""The heat that a disc must reach."""

_APART_MM = 8.0
"""The least distance of two discs; cervical discs are 14 mm or more apart."""

_EDGE_MM = (4.0, 32.0, 12.0)
"""The posterior edge is sought from so far in front of the centre to so far behind it, and so far above and below."""

_MIN_EDGE_HEAT = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscSettings:
    """The settings in the card of a network that locates discs.

    Args:
        working_mm: pixel spacing at which images pass the network.
        slab_mm: thickness of the slabs.
        variance_px: of the heat of a disc, in squared pixels.
    """

    working_mm: float
    slab_mm: float
    variance_px: float


TRAINED = DiscSettings(working_mm=WORKING_MM, slab_mm=SLAB_MM, variance_px=10.0)
"""The settings of networks that are trained by the recipes of this version."""


def open_discs(networks: Mapping[str, LoadedNetwork]) -> Locate:
    """Open the method of the only network that is given, with the settings in its card."""
    (network,) = networks.values()
    settings = read_settings(network.card, DiscSettings)
    multiples = network_entry(network.card.network, network.card.preset).multiples

    def locate(study: Study) -> Candidates:
        return detect_discs(study.sagittal, network.run, settings, multiples=multiples)

    return locate


def detect_discs(
    stack: SagittalStack,
    network: Network,
    settings: DiscSettings = TRAINED,
    *,
    multiples: tuple[int, ...] = (_COARSE, _COARSE),
) -> Candidates:
    """Find the discs of a scan.

    Args:
        stack: the scan.
        network: (images, 1, rows, columns) to (images, 24, rows / stride, columns / stride), heat in [0, 1].
        settings: spacings and the width of a peak.
        multiples: of which the rows and columns of the network's images must be multiples.

    Returns:
        Discs from head to foot: centres with the probability that there is a disc, posterior edges, and the logarithms
        of the shares of the channels.
    """
    heat, scale = _predict(stack, network, settings, multiples)
    return _to_candidates(_find_peaks(heat, stack.slice_mm, settings), heat, stack, scale, settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heat:
    """Heat maps of overlapping slabs.

    Args:
        places: (slabs,) middle of each slab, in slices.
        any_disc: (slabs, rows, columns) summed over the discs.
        channels: (slabs, discs, rows, columns).
        edges: (slabs, rows, columns) of posterior edges.
    """

    places: Float
    any_disc: Float32
    channels: Float32
    edges: Float32


def _predict(
    stack: SagittalStack, network: Network, settings: DiscSettings, multiples: tuple[int, ...]
) -> tuple[_Heat, Float]:
    """Predict heat, a quarter as fine as the images, with the stack's pixels in one of its pixels, (2,)."""
    slabs, places = _average_slabs(normalise(stack.voxels), settings.slab_mm / stack.slice_mm)
    pixels = np.prod(np.array(slabs.shape[1:]) * stack.pixel_mm) / settings.working_mm**2
    found = []
    for batch in batches(len(slabs), float(pixels)):
        images, scale = resize_slices(slabs[batch], stack.pixel_mm, settings.working_mm)
        rows, columns = images.shape[1:]
        padded = np.pad(images, ((0, 0), (0, -rows % multiples[0]), (0, -columns % multiples[1])))
        maps = _coarsen(network(padded[:, None]), padded.shape[1] // _COARSE)
        found.append(maps[:, :, : -(-rows // _COARSE), : -(-columns // _COARSE)])
    maps = np.concatenate(found)
    discs, edges = maps[:, :POSTERIOR_CHANNEL], maps[:, POSTERIOR_CHANNEL]
    return _Heat(places=places, any_disc=discs.sum(1), channels=discs, edges=edges), scale * _COARSE


def _average_slabs(slices: Float32, width: float) -> tuple[Float32, Float]:
    """Average every run of `width` neighbouring slices; (slabs, rows, columns) and the middle of each, in slices."""
    count = min(len(slices), max(1, round(width)))
    starts = np.arange(0, len(slices) - count + 1)
    slabs = np.stack([slices[start : start + count].mean(0) for start in starts])
    return np.asarray(slabs, np.float32), np.asarray(starts + (count - 1) / 2, np.float64)


def _coarsen(maps: Float32, rows: int) -> Float32:
    """Average heat maps to a number of rows."""
    factor = maps.shape[2] // rows
    if factor == 1:
        return maps
    split = maps.reshape(*maps.shape[:2], rows, factor, -1, factor)
    return np.asarray(split.mean((3, 5)), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Peak:
    """A maximum of the heat.

    Args:
        row, column: in pixels of the heat maps.
        weights: (slabs,) the share of each slab that shows it; they sum to 1.
        score: interpolated heat.
    """

    row: float
    column: float
    weights: Float
    score: float


def _find_peaks(heat: _Heat, slice_mm: float, settings: DiscSettings) -> list[_Peak]:
    """Find the discs, the hottest of those that are too near to each other."""
    hottest = heat.any_disc.max(0)
    summits = (hottest == ndimage.maximum_filter(hottest, 3)) & (hottest > MIN_HEAT / 2)
    peaks = [_interpolate_peak(heat.any_disc, row, column) for row, column in np.argwhere(summits).tolist()]
    apart = _APART_MM / settings.working_mm / _COARSE
    kept: list[_Peak] = []
    for peak in sorted(peaks, key=lambda peak: -peak.score):
        near = [other for other in kept if np.hypot(other.row - peak.row, other.column - peak.column) < apart]
        if peak.score >= MIN_HEAT and not near:
            kept.append(peak)
    return sorted(kept, key=lambda peak: peak.row)


def _interpolate_peak(maps: Float32, row: int, column: int) -> _Peak:
    """Find the slabs that show a peak, and its place and height in their mean."""
    profile = maps[:, row, column].astype(np.float64)
    best = int(profile.argmax())
    shown = ndimage.label(profile >= profile[best] / 2)[0]
    weights = np.where(shown == shown[best], profile, 0.0)
    weights = weights / weights.sum()
    mean = np.tensordot(weights, maps.astype(np.float64), 1)
    place, height = _summit(mean, row, column)
    return _Peak(row=place[0], column=place[1], weights=weights, score=float(min(1.0, height)))


def _summit(image: Float, row: int, column: int) -> tuple[Float, float]:
    """Place (2,) and height of the Gaussian through a pixel and its four neighbours, at most half a pixel away."""
    padded = np.log(np.maximum(np.pad(image, 1, mode="edge"), 1e-4))
    here = padded[row + 1, column + 1]
    before = np.array([padded[row, column + 1], padded[row + 1, column]])
    after = np.array([padded[row + 2, column + 1], padded[row + 1, column + 2]])
    bend = np.minimum(before + after - 2 * here, -1e-3)
    step = np.clip((before - after) / (2 * bend), -0.5, 0.5)
    height = here + float((step * (after - before) / 4).sum())
    return np.array([row, column]) + step, float(np.exp(height))


def _to_candidates(
    peaks: list[_Peak], heat: _Heat, stack: SagittalStack, scale: Float, settings: DiscSettings
) -> Candidates:
    """Bring peaks to the scan's space, with their edges and the shares of their channels."""
    count = len(peaks)
    slices = np.array([peak.weights @ heat.places for peak in peaks]).reshape(count)
    places = np.array([(peak.row, peak.column) for peak in peaks]).reshape(count, 2)
    edges = places + _find_edges(peaks, heat, _COARSE * settings.working_mm)
    centres_mm, edges_mm = (
        stack.affine.to_world(np.column_stack([slices, (at + 0.5) * scale - 0.5])) for at in (places, edges)
    )
    return Candidates(
        structure=Structure.DISC,
        centres=Landmarks(points_ras_mm=centres_mm, scores=np.array([peak.score for peak in peaks]).reshape(count)),
        posterior_ras_mm=edges_mm,
    )


def _find_edges(peaks: list[_Peak], heat: _Heat, pixel_mm: float) -> Float:
    """Find the posterior edge of each disc as its offset from the centre, (n, 2); unseen ones get the others' mean."""
    offsets = np.full((len(peaks), 2), np.nan)
    for number, peak in enumerate(peaks):
        offset = _find_edge(np.tensordot(peak.weights, heat.edges.astype(np.float64), 1), peak, pixel_mm)
        if offset is not None:
            offsets[number] = offset
    seen = ~np.isnan(offsets[:, 0])
    usual = offsets[seen].mean(0) if seen.any() else np.array([0.0, _USUAL_EDGE_MM / pixel_mm])
    return np.where(seen[:, None], offsets, usual)


_USUAL_EDGE_MM = 15.0
"""The distance of the posterior edge from the centre where no edge is seen in the whole scan."""


def _find_edge(edges: Float, peak: _Peak, pixel_mm: float) -> Float | None:
    """The offset of the hottest edge behind a disc, (2,); None where there is none."""
    front, back, aside = np.array(_EDGE_MM) / pixel_mm
    top, left = max(0, round(peak.row - aside)), max(0, round(peak.column - front))
    window = edges[top : round(peak.row + aside) + 1, left : round(peak.column + back) + 1]
    if window.size == 0 or window.max() < _MIN_EDGE_HEAT:
        return None
    row, column = np.unravel_index(int(window.argmax()), window.shape)
    place, _ = _summit(edges, top + int(row), left + int(column))
    return place - (peak.row, peak.column)
