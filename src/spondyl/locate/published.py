"""Detection of vertebral bodies as the published SpineNetV2 program does it, for the published weights.

The program finds landmarks in overlapping square patches, decodes each slice, and groups across slices (Windsor et al.
2022, section 3.1, and the published code where it is more exact). Its behaviour is kept, errors included, because its
weights were chosen with it:

- the patch at the far border lacks its last pixel, and counts as often as the tiling repeats it;
- a corner is the hottest pixel of its region and its place the pixel's index times the patch's scale; its arrow counts
  in whole pixels of the patch, the fraction cut off;
- a slice without any corner of one kind shows no body;
- pixels are treated as square, of the mean spacing.

Two departures: an outline that crosses itself overlaps nothing, where the program may stop with an error; and a body
that one slice shows twice has the mean of both there, where the program keeps both (its outlines are then moved
together, so that their mean, which decides the level, is the program's).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.interpolate import resize_bicubic, resize_bilinear
from spondyl.geometry.stack import SagittalStack
from spondyl.nets.network import LoadedNetwork, Network
from spondyl.reading import Candidates, Locate
from spondyl.study import Study
from spondyl.types import Float, Float32, Index, Mask

__all__ = ["Corners", "Outlines", "assemble", "detect", "group", "open_published"]

PATCH_MM = 260.0
"""The edge of a patch; the paper names 25, 26 and 50 cm."""

PATCH = 224
"""The edge of a patch in pixels, as the network takes it."""

OVERLAP = 0.4
"""The share of its edge by which neighbouring patches overlap (the paper: 30 % and 40 %)."""

HEAT = 0.6
"""The heat that a corner or centroid must exceed."""

ARROW_TOLERANCE = 0.5
ARROW_TOLERANCE_PX = 20.0
"""The largest distance of an arrow's tip from its centroid, as a share of its length and in pixels."""

SHARED_PX = 2.0
"""The distance below which two outlines share a corner of one kind."""

JOIN_IOU = 0.2
"""The overlap above which an outline continues a body (the paper: 0.25)."""

MERGE_IOU = 0.05
"""The overlap of two bodies' mean outlines above which they are one."""

MAX_BATCH = 8
"""The number of patches that pass the network together; it bounds the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """The place of a patch in the slice, and how often the tiling repeats it."""

    rows: slice
    columns: slice
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Corners:
    """The corners in a slice: kind (n,), place and arrow (n, 2) as (row, column) in pixels of the slice, heat (n,)."""

    kind: Index
    place: Float
    arrow: Float
    heat: Float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlines:
    """The outlines in all slices in order: slice (n,), corners (n, 4, 2), score (n,)."""

    slice_index: Index
    corners: Float
    score: Float


def open_published(networks: Mapping[str, LoadedNetwork]) -> Locate:
    """Open the method; the network must be of the published size."""
    network = networks["vfr"].require_preset("spinenet").run

    def locate(study: Study) -> Candidates:
        return Candidates.from_bodies(detect(study.sagittal, network))

    return locate


def detect(stack: SagittalStack, network: Network) -> tuple[VertebraInstance, ...]:
    """Find the vertebral bodies of a scan.

    Args:
        stack: the scan, all its slices as they were acquired.
        network: the vector-field regression network.

    Returns:
        Bodies from head to foot, outlines in the stack's own indices; the score is the mean heat of the landmarks.
    """
    windows, scale = _tiling(stack.voxels.shape[1:], float(stack.pixel_mm.mean()))
    found = [assemble(*_landmarks(image, windows, scale, network)) for image in stack.voxels]
    slices = np.concatenate([np.full(len(corners), k, np.intp) for k, (corners, _) in enumerate(found)])
    outlines = Outlines(
        slice_index=slices,
        corners=np.concatenate([corners for corners, _ in found]),
        score=np.concatenate([score for _, score in found]),
    )
    return group(outlines, stack.affine)


def _tiling(shape: tuple[int, ...], pixel_mm: float) -> tuple[list[_Window], float]:
    """List the patches of a slice, and compute the pixels of the slice per pixel of a patch."""
    edge = int(PATCH_MM / pixel_mm)
    if edge > min(shape):
        edge = min(shape) - 1
    rows, columns = (_spans(length, edge) for length in shape)
    windows = [
        _Window(rows=slice(*row), columns=slice(*column), times=rows[row] * columns[column])
        for column in columns
        for row in rows
    ]
    first = windows[0].columns
    return windows, (first.stop - first.start) / PATCH


def _spans(length: int, edge: int) -> Counter[tuple[int, int]]:
    """List the first and one past the last pixel of the patches along an axis, and count how often each occurs."""
    step = max(1, int(edge * (1 - OVERLAP)))
    starts = (step * number for number in range(length // step + 1))
    return Counter((s, s + edge) if s + edge < length else (length - edge, length - 1) for s in starts)


def _landmarks(
    image: Float32, windows: Sequence[_Window], scale: float, network: Network
) -> tuple[Float, Float, Corners]:
    """Find the centroids (n, 2) of a slice, their heat (n,), and its corners.

    The centroids' heat is averaged where patches overlap; corners are found in each patch separately, and pooled.
    """
    heat, weight = np.zeros(image.shape), np.zeros(image.shape)
    corners = []
    for start in range(0, len(windows), MAX_BATCH):
        batch = windows[start : start + MAX_BATCH]
        maps = network(np.stack([_patch(image[w.rows, w.columns]) for w in batch])[:, None])
        for window, centroids in zip(batch, maps[:, 4], strict=True):
            part = heat[window.rows, window.columns]
            part += window.times * resize_bilinear(centroids, (part.shape[0], part.shape[1]))
            weight[window.rows, window.columns] += window.times
        corners.append(_corners(maps, batch, scale))
    heat /= np.maximum(weight, 1)
    peaks = _peaks(heat[None])[:, 1:]
    pooled = [np.concatenate([getattr(some, name) for some in corners]) for name in ("kind", "place", "arrow", "heat")]
    kind, place, arrow, corner_heat = pooled
    return peaks.astype(float), heat[tuple(peaks.T)], Corners(kind=kind, place=place, arrow=arrow, heat=corner_heat)


def _patch(image: Float32) -> Float32:
    """Resize a patch, clamp it to its own range and scale it: (x - minimum) / (99.5th - 0.5th percentile)."""
    patch = np.clip(resize_bicubic(image, (PATCH, PATCH)), image.min(), image.max())
    low, high = np.percentile(patch, [0.5, 99.5])
    spread = high - low if high > low else np.ptp(patch)
    return np.asarray((patch - patch.min()) / (spread + 1e-9), dtype=np.float32)


def _corners(maps: Float32, windows: Sequence[_Window], scale: float) -> Corners:
    """Find the corners in the maps (n, 13, 224, 224) of these patches."""
    image, row, column = _peaks(maps[:, :4].reshape(-1, PATCH, PATCH)).T
    window, kind = np.divmod(image, 4)
    origin = np.array([(w.rows.start, w.columns.start) for w in windows])
    arrow = np.stack([maps[window, 9 + kind, row, column], maps[window, 5 + kind, row, column]], axis=1)
    return Corners(
        kind=kind,
        place=np.stack([row, column], axis=1) * scale + origin[window],
        arrow=np.trunc(arrow.astype(np.float64)) * scale,
        heat=maps[window, kind, row, column].astype(np.float64),
    )


def _peaks(heats: Float32 | Float) -> Index:
    """Find the hottest pixel (image, row, column) of each region above `HEAT`, (n, 3); diagonals do not connect."""
    from scipy.ndimage import label  # takes a second to import

    cross = np.zeros((3, 3, 3), bool)
    cross[1] = [(0, 1, 0), (1, 1, 1), (0, 1, 0)]
    regions, _ = label(heats > HEAT, cross)
    pixels = np.flatnonzero(regions)
    region = regions.ravel()[pixels]
    order = np.lexsort((pixels, -heats.ravel()[pixels], region))
    hottest = pixels[order[np.unique(region[order], return_index=True)[1]]]
    return np.stack(np.unravel_index(hottest, heats.shape), axis=1)


def assemble(centroids: Float, heat: Float, corners: Corners) -> tuple[Float, Float]:
    """Assemble the outlines (n, 4, 2) of a slice and their scores (n,).

    Each centroid gets, of each kind of corner, the one whose arrow ends nearest. One that does not end near enough is
    replaced by the centroid plus the arrow of the opposite corner, unchecked; with more of them there is no body.
    """
    if not len(centroids) or len(np.unique(corners.kind)) < 4:
        return np.empty((0, 4, 2)), np.empty(0)
    chosen = np.empty((len(centroids), 4), np.intp)
    is_missing = np.empty((len(centroids), 4), bool)
    for kind in range(4):
        candidates = np.flatnonzero(corners.kind == kind)
        tips = corners.place[candidates] + corners.arrow[candidates]
        gaps = np.linalg.norm(centroids[:, None] - tips, axis=-1)
        chosen[:, kind] = candidates[gaps.argmin(axis=1)]
        length = np.linalg.norm(corners.arrow[chosen[:, kind]], axis=-1)
        is_missing[:, kind] = ~(gaps.min(axis=1) <= np.minimum(ARROW_TOLERANCE * length, ARROW_TOLERANCE_PX))
    outlines = corners.place[chosen]
    is_completed = is_missing.sum(axis=1) == 1
    body, missing = np.nonzero(is_missing & is_completed[:, None])
    outlines[body, missing] = centroids[body] + corners.arrow[chosen[body, (missing + 2) % 4]]
    keep = np.flatnonzero(is_completed | (~is_missing.any(axis=1) & _contain(outlines, centroids)))
    keep = keep[_keeps_its_corners(outlines[keep])]
    heats = np.concatenate([np.where(is_missing, 0.0, corners.heat[chosen]), heat[:, None]], axis=1)
    return outlines[keep], np.clip(heats[keep], 0, 1).mean(axis=1)


def _contain(outlines: Float, centroids: Float) -> Mask:
    """Tell which outlines (n, 4, 2) do not cross themselves and contain their centroid (n, 2)."""
    polygons = shapely.polygons(outlines)
    is_valid = shapely.is_valid(polygons)
    is_valid[is_valid] = shapely.contains(polygons[is_valid], shapely.points(centroids[is_valid]))
    return np.asarray(is_valid)


def _keeps_its_corners(outlines: Float) -> Mask:
    """Tell which outlines to keep: of two that share a corner, that with more equal inner angles; of equals, none."""
    spread = np.ptp(_inner_angles(outlines), axis=1)
    apart = np.linalg.norm(outlines[:, None] - outlines, axis=-1)
    shares = (apart.min(axis=-1, initial=np.inf) < SHARED_PX) & (apart.max(axis=-1, initial=0.0) > 0)
    return np.asarray(~(shares & (spread[:, None] >= spread)).any(axis=1))


def _inner_angles(outlines: Float) -> Float:
    """Compute the angles (n, 4) at the corners of outlines (n, 4, 2)."""
    before, after = np.roll(outlines, 1, axis=1) - outlines, np.roll(outlines, -1, axis=1) - outlines
    lengths = np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1)
    return np.asarray(np.arccos(np.clip((before * after).sum(axis=-1) / np.maximum(lengths, 1e-12), -1, 1)))


def group(found: Outlines, affine: Affine) -> tuple[VertebraInstance, ...]:
    """Join the outlines of all slices into bodies, merge those that overlap, and sort them from head to foot.

    Slice by slice, an outline continues the first body whose latest outline it overlaps. Bodies of a single outline
    are dropped.

    Args:
        found: outlines in the index space of a sagittal stack.
        affine: (slice, row, column) of that stack to RAS mm.
    """
    chains: list[list[int]] = []
    latest = np.empty(0, np.intp)
    for outline, corners in enumerate(found.corners):
        joined = np.flatnonzero(_iou(corners, found.corners[latest]) > JOIN_IOU)
        if len(joined):
            chains[joined[0]].append(outline)
            latest[joined[0]] = outline
        else:
            chains.append([outline])
            latest = np.append(latest, outline)
    kept = _merge([chain for chain in chains if len(chain) > 1], found.corners)
    bodies = [_instance(chain, found, affine) for chain in kept]
    return tuple(sorted(bodies, key=lambda body: float(body.middle_outline[:, 0].mean())))


def _merge(chains: list[list[int]], corners: Float) -> list[list[int]]:
    """Unite chains whose mean outlines overlap; the later one takes over the outlines of the earlier."""
    means = np.array([corners[chain].mean(axis=0) for chain in chains]).reshape(-1, 4, 2)
    united, gone = list(chains), set()
    for later in range(len(chains)):
        for earlier in np.flatnonzero(_iou(means[later], means[:later]) > MERGE_IOU).tolist():
            united[later] = united[later] + united[earlier]
            gone.add(earlier)
    return [chain for number, chain in enumerate(united) if number not in gone]


def _instance(chain: list[int], found: Outlines, affine: Affine) -> VertebraInstance:
    """Make the body of these outlines; see the module for one that a slice shows twice."""
    slices, place = np.unique(found.slice_index[chain], return_inverse=True)
    outlines = np.zeros((len(slices), 4, 2))
    np.add.at(outlines, place, found.corners[chain])
    outlines /= np.bincount(place)[:, None, None]
    outlines += found.corners[chain].mean(axis=0) - outlines.mean(axis=0)
    score = float(found.score[chain].mean())
    return VertebraInstance(slices=tuple(slices.tolist()), outlines=outlines, score=score, affine=affine)


def _iou(outline: Float, others: Float) -> Float:
    """Compute the overlap of an outline (4, 2) with others (n, 4, 2), (n,); 0 for one that crosses itself."""
    iou = np.zeros(len(others))
    touches = (others.max(axis=1) > outline.min(axis=0)) & (others.min(axis=1) < outline.max(axis=0))
    near = np.flatnonzero(touches.all(axis=1))
    one, many = shapely.polygons(outline), shapely.polygons(others[near])
    near, many = near[shapely.is_valid(many)], many[shapely.is_valid(many)]
    if len(near) and shapely.is_valid(one):
        common = shapely.area(shapely.intersection(one, many))
        iou[near] = common / np.maximum(shapely.area(one) + shapely.area(many) - common, 1e-9)
    return iou
