"""Detection of vertebral bodies by vector-field regression (SpineNetV2; Windsor et al. 2022, section 3.1).

A network predicts, for each sagittal slice, heat at the four corners and the centroid of every vertebral body, and at
each corner an arrow to the centroid of the same body. Decoding turns these 13 maps into quadrilaterals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance, polygon_areas
from spondyl.geometry.resize import resize_slices
from spondyl.geometry.stack import SagittalStack
from spondyl.locate.column import keep_column
from spondyl.locate.grouping import SliceOutlines, group_across_slices
from spondyl.locate.regions import find_regions
from spondyl.nets.network import LoadedNetwork, Network
from spondyl.nets.settings import read_settings
from spondyl.reading import Candidates, Locate
from spondyl.study import Study
from spondyl.types import Float, Float32, Index, Mask

__all__ = [
    "CLOSE_MM",
    "PAPER_HEAT",
    "WORKING_MM",
    "VfrSettings",
    "batches",
    "decode_maps",
    "detect",
    "group_outlines",
    "normalise",
    "open_whole",
]

WORKING_MM = 1.2
"""The pixel spacing at which networks are trained; the paper's 26 cm patches of 224 pixels have 1.16 mm."""

CLOSE_MM = 0.6
"""The spacing of a second pass over small bodies: cervical ones then span as many pixels as lumbar ones at 1.2 mm."""

_SMALL_MM = 23.0
"""Bodies with shorter edges get a second pass: C2 to about T6."""

_NARROW_MM = 100.0
"""Fields of view up to this width get a second pass as a whole: they often cut bodies, and it costs little."""

_UNSEEN_MM = 35.0
"""The height above the uppermost large body in which small ones may have been missed."""

PAPER_HEAT = 0.6
"""The heat that every landmark must reach in the published decoder."""

CORNER_HEAT = 0.3
"""The heat that a corner must reach: low, since its arrow must point to a centroid of high heat."""

CENTROID_HEAT = 0.5
"""The heat that a centroid must reach."""

_REGION_SHARE = 2 / 3
"""The share of the lowest threshold down to which regions extend; at the threshold, noise would split their rim."""

_SUMMIT_SHARE = 0.6
"""The share of a region's peak above which its pixels determine the landmark's position."""

_ARROW_TOLERANCE = 0.5
"""The largest distance of an arrow's tip from its centroid, as a share of its length (section 3.1, step 5)."""

_ARROW_TOLERANCE_PX = 20.0
"""The largest distance of an arrow's tip from its centroid in pixels (the published decoder's)."""

_STRIDE = 32
"""Both edges of a slice are padded to a multiple of this, which the network's five halvings need."""

_MAX_BATCH_PIXELS = 3 * 2**20
"""The number of pixels that are resampled, predicted and decoded at once, at least a slice; it bounds the memory."""

_MAX_SLICE_PIXELS = 3_000_000
"""The largest slice, which takes 0.3 GB per million pixels; this is 2.0 x 0.54 m at `CLOSE_MM`."""

_MAX_CENTROIDS = 128
"""The number of centroids per slice that are used, the hottest first; a whole spine shows 30."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VfrSettings:
    """The settings in the card of a vector-field regression network.

    Args:
        working_mm: pixel spacing at which slices pass the network.
        close_mm: pixel spacing of the second pass over small bodies.
    """

    working_mm: float
    close_mm: float


TRAINED = VfrSettings(working_mm=WORKING_MM, close_mm=CLOSE_MM)
"""The settings of networks that are trained by the recipe `vfr`."""


def open_whole(networks: Mapping[str, LoadedNetwork]) -> Locate:
    """Open the method that passes slices whole, with the settings in the network's card."""
    network = networks["vfr"]
    settings = read_settings(network.card, VfrSettings)

    def locate(study: Study) -> Candidates:
        return Candidates.from_bodies(detect(study.sagittal, network.run, settings))

    return locate


def detect(stack: SagittalStack, network: Network, settings: VfrSettings = TRAINED) -> tuple[VertebraInstance, ...]:
    """Find the vertebral bodies of a scan.

    All slices pass the network whole at the working spacing, in batches of bounded size; a slice that would have more
    than three million pixels passes at a coarser spacing. The region above the uppermost large body gets a second pass
    at the close spacing, unless no small body was found there and none could have been missed; the pass that finds
    more bodies there is kept. A narrow field of view gets a second pass as a whole.

    Args:
        stack: the scan.
        network: the vector-field regression network, (slices, 1, rows, columns) to (slices, 13, rows, columns);
            channels as `locate.vfr_targets` lists them.
        settings: the spacings.

    Returns:
        Bodies from head to foot, outlines in the stack's own indices.
    """
    slices = normalise(stack.voxels)
    bodies = _detect_at(slices, stack, network, settings.working_mm)
    large = next((body for body in bodies if _body_edge_mm(body) >= _SMALL_MM), None)
    if large is None or slices.shape[2] * stack.pixel_mm[1] <= _NARROW_MM:
        second = _detect_at(slices, stack, network, settings.close_mm)
        return second if len(second) >= len(bodies) else bodies
    upper_edge, lower_edge = large.middle_outline[:, 0].min(), large.middle_outline[:, 0].max()
    if large is bodies[0] and upper_edge * stack.pixel_mm[0] < _UNSEEN_MM:
        return bodies
    second = _detect_at(slices[:, : int(lower_edge)], stack, network, settings.close_mm)
    above = [body for body in bodies if body.centroid_index[1] < upper_edge]
    found_above = [body for body in second if body.centroid_index[1] < upper_edge]
    upper = found_above if len(found_above) >= len(above) else above
    return keep_column((*upper, *bodies[len(above) :]))


def _detect_at(
    slices: Float32, stack: SagittalStack, network: Network, pixel_mm: float
) -> tuple[VertebraInstance, ...]:
    """Detect bodies at a pixel spacing in the upper rows of a stack, which are given normalised."""
    size_mm = np.array(slices.shape[1:]) * stack.pixel_mm
    pixel_mm = max(pixel_mm, float(np.sqrt(size_mm.prod() / _MAX_SLICE_PIXELS)))
    found = []
    for batch in batches(len(slices), size_mm.prod() / pixel_mm**2):
        resized, scale = resize_slices(slices[batch], stack.pixel_mm, pixel_mm)
        rows, columns = resized.shape[1:]
        padded = np.pad(resized, ((0, 0), (0, -rows % _STRIDE), (0, -columns % _STRIDE)))
        maps = network(padded[:, None])[:, :, :rows, :columns]
        found.append(decode_maps(maps, first_slice=batch.start))
    return keep_column(group_outlines(found, scale, stack.affine))


def batches(slices: int, pixels: float) -> list[slice]:
    """Split a scan into runs of slices, of nearly equal length, of at most `_MAX_BATCH_PIXELS` or one slice.

    Args:
        slices: number of slices.
        pixels: number of pixels in each.
    """
    parts = -(-slices // max(1, int(_MAX_BATCH_PIXELS // pixels)))
    edges = np.linspace(0, slices, parts + 1).astype(int).tolist()
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _body_edge_mm(body: VertebraInstance) -> float:
    """Return the root of a body's area."""
    return float(np.sqrt(abs(polygon_areas(body.middle_outline * body.affine.spacing_mm[1:]))))


def group_outlines(found: Sequence[SliceOutlines], scale: Float, affine: Affine) -> tuple[VertebraInstance, ...]:
    """Group outlines of resized slices into bodies.

    Args:
        found: outlines of consecutive batches of slices, in pixels of the resized slices.
        scale: stack pixels in one resized pixel along rows and columns, (2,).
        affine: of the stack.
    """
    slices, corners, scores = (
        np.concatenate([getattr(part, name) for part in found]) for name in ("slices", "corners", "scores")
    )
    whole = SliceOutlines(slices=slices, corners=(corners + 0.5) * scale - 0.5, scores=scores)
    return group_across_slices(whole, affine)


def normalise(voxels: Float32) -> Float32:
    """Scale intensities so that the 0.5th and 99.5th percentile of the scan become 0 and 1, clipped to [0, 1.5].

    Args:
        voxels: any shape, not constant.

    Returns:
        The same shape, float32.
    """
    step = max(1, voxels.size // 1_000_000)
    low, high = np.percentile(voxels.ravel()[::step], [0.5, 99.5])
    scaled = voxels - np.float32(low)
    scaled /= np.float32(max(high - low, 1e-6))
    return np.clip(scaled, 0, 1.5, out=scaled)


def decode_maps(
    maps: Float32,
    *,
    corner_heat: float = CORNER_HEAT,
    centroid_heat: float = CENTROID_HEAT,
    first_slice: int = 0,
) -> SliceOutlines:
    """Decode the maps that a network predicts into quadrilaterals.

    Each centroid gets, of each kind of corner, the hottest of those whose arrow ends near it (the paper: the one whose
    arrow ends nearest, which at a low threshold may be a weak neighbour of the true corner). A single missing corner
    is completed as the centroid plus the arrow of the opposite corner (as in the published decoder, not the paper); a
    body with more missing corners is dropped, as is one that does not contain its centroid. Of two bodies that share a
    corner, the one whose arrows end nearer to its centroid is kept.

    Args:
        maps: (slices, 13, rows, columns).
        corner_heat: heat that a corner must reach.
        centroid_heat: heat that a centroid must reach.
        first_slice: index in the scan of the first of these slices.

    Returns:
        Outlines in pixels of the maps.
    """
    peaks = _peaks(maps, np.array([corner_heat] * 4 + [centroid_heat]))
    found = [_assemble(peaks, k) for k in range(len(maps))]
    return SliceOutlines(
        slices=first_slice + np.repeat(np.arange(len(found)), [len(corners) for corners, _ in found]),
        corners=np.concatenate([corners for corners, _ in found]),
        scores=np.concatenate([scores for _, scores in found]),
    )


class _Peaks:
    """The landmarks in a stack of maps: slice, channel, place, heat, and for corners the arrow's tip."""

    def __init__(self, maps: Float32, hottest: Index, place: Float) -> None:
        self.slice, self.channel, row, column = hottest.T
        self.place = place
        self.heat = np.clip(maps[self.slice, self.channel, row, column], 0, 1).astype(np.float64)
        corner = np.minimum(self.channel, 3)
        arrow = np.stack([maps[self.slice, 9 + corner, row, column], maps[self.slice, 5 + corner, row, column]], 1)
        # the arrow was read at the pixel, so its tip is relative to the pixel
        self.tip = np.stack([row, column], 1) + arrow

    def of(self, slice_index: int, channel: int) -> Index:
        return np.flatnonzero((self.slice == slice_index) & (self.channel == channel))


def _peaks(maps: Float32, min_heat: Float) -> _Peaks:
    """Find one landmark for each connected region that reaches its channel's threshold, in the five heat channels.

    Its place is the centroid of the region's summit, weighted by heat: exact for a symmetric peak, and less sensitive
    to noise than the hottest pixel alone (the paper's choice).
    """
    heats = maps[:, :5]
    pixels, region, count = find_regions(heats > _REGION_SHARE * min_heat.min())
    where = np.stack(np.unravel_index(pixels, heats.shape), 1)
    heat = maps[tuple(where.T)]
    order = np.lexsort((-heat, region))
    hottest = order[np.unique(region[order], return_index=True)[1]]
    seen = heat[hottest] > min_heat[where[hottest, 1]]
    weight = np.clip(heat - _SUMMIT_SHARE * heat[hottest][region], 0, None)
    place = [
        np.bincount(region, weight * where[:, axis], count) / np.bincount(region, weight, count) for axis in (2, 3)
    ]
    return _Peaks(maps, where[hottest[seen]], np.stack(place, 1)[seen])


def _assemble(peaks: _Peaks, k: int) -> tuple[Float, Float]:
    """Assemble the quadrilaterals (n, 4, 2) and scores (n,) of slice k."""
    centroids = peaks.of(k, 4)
    centroids = np.sort(centroids[np.argsort(-peaks.heat[centroids], kind="stable")[:_MAX_CENTROIDS]])
    if not len(centroids):
        return np.empty((0, 4, 2)), np.empty(0)
    centre = peaks.place[centroids]
    corners, miss, heat = (
        np.full(shape, np.nan) for shape in ((len(centre), 4, 2), (len(centre), 4), (len(centre), 4))
    )
    for kind in range(4):
        candidates = peaks.of(k, kind)
        if not len(candidates):
            continue
        gap = np.linalg.norm(centre[:, None] - peaks.tip[candidates][None], axis=-1)
        length = np.linalg.norm(peaks.tip[candidates] - peaks.place[candidates], axis=-1)
        belongs = gap <= np.minimum(_ARROW_TOLERANCE * length, _ARROW_TOLERANCE_PX)
        best = np.where(belongs, peaks.heat[candidates], -1.0).argmax(1)
        good = belongs[np.arange(len(centre)), best]
        chosen = candidates[best]
        corners[good, kind] = peaks.place[chosen][good]
        miss[good, kind] = gap[np.arange(len(centre)), best][good]
        heat[good, kind] = peaks.heat[chosen][good]
    corners = _complete(corners, centre)
    scores = np.concatenate([np.nan_to_num(heat), peaks.heat[centroids][:, None]], 1).mean(1)
    whole = ~np.isnan(corners).any((1, 2))
    keep = np.flatnonzero(whole)[_is_convex_around(corners[whole], centre[whole])]
    keep = keep[_keeps_its_corners(corners[keep], np.nanmean(miss[keep], axis=1))] if len(keep) else keep
    return corners[keep], scores[keep]


def _complete(corners: Float, centre: Float) -> Float:
    """Fill the one missing corner of a body: centroid plus the opposite corner's arrow."""
    missing = np.isnan(corners[..., 0])
    body, kind = np.nonzero(missing & (missing.sum(1) == 1)[:, None])
    completed = corners.copy()
    completed[body, kind] = 2 * centre[body] - corners[body, (kind + 2) % 4]
    return completed


def _is_convex_around(corners: Float, centre: Float) -> Mask:
    """Tell whether each quadrilateral (n, 4, 2) is convex, turns the expected way, and contains its centroid (n, 2)."""
    edge = np.roll(corners, -1, 1) - corners
    following = np.roll(edge, -1, 1)
    to_centre = centre[:, None] - corners
    turns = edge[..., 0] * following[..., 1] - edge[..., 1] * following[..., 0]
    sides = edge[..., 0] * to_centre[..., 1] - edge[..., 1] * to_centre[..., 0]
    return np.asarray(
        (np.sign(turns) == -1).all(1) & (np.sign(sides) == -1).all(1) & (np.abs(polygon_areas(corners)) > 4)
    )


def _keeps_its_corners(corners: Float, miss: Float) -> Mask:
    """Tell which quadrilaterals to keep: of two that share a corner (< 2 pixels), the one whose arrows miss by less."""
    apart = np.linalg.norm(corners[:, None] - corners[None], axis=-1).min(-1)
    worse = (miss[:, None] > miss[None]) | ((miss[:, None] == miss[None]) & np.tri(len(miss), k=-1, dtype=bool))
    return np.asarray(~((apart < 2) & worse).any(1))
