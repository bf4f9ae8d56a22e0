"""Location of intervertebral discs in the heat maps of a network (Look-Once, MSA-Net and their baselines).

The papers average the sagittal slices next to the middle of the spine and predict one image. Spines are seldom so
straight, so here every part of the scan is predicted, in slabs that overlap, and each disc is taken from the slabs that
show it. Its channel is evidence of its level; the sum over the channels is the probability that there is a disc.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from spondyl.geometry.points import Landmarks
from spondyl.geometry.resize import resize_slices
from spondyl.geometry.stack import SagittalStack
from spondyl.locate.column import find_disc_column
from spondyl.locate.disc_channels import DISC_CHANNELS, POSTERIOR_CHANNEL
from spondyl.locate.disc_peaks import COARSE, Heat, find_edges, find_peaks
from spondyl.locate.vfr import batches, normalise
from spondyl.nets.network import LoadedNetwork, Network
from spondyl.nets.presets import network_entry
from spondyl.nets.settings import read_settings
from spondyl.reading import Candidates, Locate
from spondyl.stage import Structure
from spondyl.study import Study
from spondyl.types import Float, Float32, Index, Mask

__all__ = ["CLOSE_MM", "SLAB_MM", "WORKING_MM", "DiscSettings", "detect_discs", "open_discs"]

WORKING_MM = 1.2
"""The pixel spacing at which networks are trained; the papers' images of 256 pixels show about as much."""

CLOSE_MM = 0.7
"""The spacing of a second look at small discs: cervical ones then span as many pixels as lumbar ones at 1.2 mm."""

SLAB_MM = 9.0
"""The thickness of a slab: discs are 15 to 50 mm wide, and noise and partial bulges average out."""

_SMALL_MM = 27.0
"""Discs that are nearer to the next one get a second look: C2/C3 to about T9/T10."""

_BROAD_MM = 20.0
"""A disc is shown over this width or more; what is narrower, such as a facet joint, counts less in a column."""

_MAX_SLABS = 24
"""The number of slabs that bounds the time; they lie 17 mm apart in a scan that shows the body from side to side."""

_ASIDE_SLICES = 2.0
"""The second look reaches so far to both sides of the discs that the first found."""

_UNSEEN_MM = 30.0
"""The height above the uppermost disc in which small ones may have been missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscSettings:
    """The settings in the card of a network that locates discs.

    Args:
        working_mm: pixel spacing at which images pass the network.
        close_mm: pixel spacing of the second look at small discs.
        slab_mm: thickness of the slabs.
    """

    working_mm: float
    close_mm: float
    slab_mm: float


TRAINED = DiscSettings(working_mm=WORKING_MM, close_mm=CLOSE_MM, slab_mm=SLAB_MM)
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
    multiples: tuple[int, ...] = (COARSE, COARSE),
) -> Candidates:
    """Find the discs of a scan.

    The whole scan is looked at with the working spacing, and what lies above the uppermost large disc with the close
    one, unless no small disc was found there and none could have been missed; the look that finds more there is kept.

    Args:
        stack: the scan.
        network: (images, 1, rows, columns) to (images, 24, rows / stride, columns / stride), heat in [0, 1]; or with
            one channel, of any disc.
        settings: spacings and the thickness of slabs.
        multiples: of which the rows and columns of the network's images must be multiples.

    Returns:
        Discs of one column from head to foot: centres with the probability that there is a disc, posterior edges, and
        evidence of the names.
    """
    slabs, places = _average_slabs(normalise(stack.voxels), settings.slab_mm / stack.slice_mm)
    look = _Look(slabs=slabs, places=places, stack=stack, network=network, multiples=multiples)
    found = look.at(settings.working_mm).in_column(stack)
    rows_mm = found.centres[:, 1] * stack.pixel_mm[0]
    lower_mm = _find_large(rows_mm)
    if lower_mm <= min(_UNSEEN_MM, rows_mm.min(initial=np.inf)):
        return found.to_candidates(stack)
    below_mm = min(lower_mm + _SMALL_MM, slabs.shape[1] * stack.pixel_mm[0])
    close = look.near(found).at(settings.close_mm, rows=int(np.ceil(below_mm / stack.pixel_mm[0])))
    close = close.in_column(stack)
    upper, close_upper = rows_mm < lower_mm, close.centres[:, 1] * stack.pixel_mm[0] < lower_mm
    if close.scores[close_upper].sum() < found.scores[upper].sum():
        return found.to_candidates(stack)
    return close.select(close_upper).join(found.select(~upper)).in_column(stack).to_candidates(stack)


def _find_large(rows_mm: Float) -> float:
    """Find the row from which discs are large, mm: of the disc below the last two that are near; infinite if none is.

    Args:
        rows_mm: (n,) rows of the discs, from head to foot.
    """
    near = np.flatnonzero(np.diff(rows_mm) < _SMALL_MM)
    first = near[-1] + 1 if len(near) else 0
    return float(rows_mm[first]) if first + 1 < len(rows_mm) else np.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Discs from head to foot.

    Args:
        centres, edges: (n, 3) in the stack's indices.
        scores: (n,).
        widths: (n,) number of slices that show each.
        logits: (n, discs).
    """

    centres: Float
    edges: Float
    scores: Float
    widths: Float
    logits: Float

    def select(self, chosen: Mask | Index) -> _Found:
        """Keep some of them."""
        return _Found(**{name: getattr(self, name)[chosen] for name in self.__slots__})

    def join(self, lower: _Found) -> _Found:
        """Put others below them."""
        return _Found(**{name: np.concatenate([getattr(self, name), getattr(lower, name)]) for name in self.__slots__})

    def in_column(self, stack: SagittalStack) -> _Found:
        """Keep those that follow one another down the column."""
        breadth = np.minimum(1.0, self.widths * stack.slice_mm / _BROAD_MM)
        return self.select(find_disc_column(self.centres * stack.affine.spacing_mm, self.scores * breadth))

    def to_candidates(self, stack: SagittalStack) -> Candidates:
        """Bring them to the scan's space."""
        return Candidates(
            structure=Structure.DISC,
            centres=Landmarks(points_ras_mm=stack.affine.to_world(self.centres), scores=self.scores),
            posterior_ras_mm=stack.affine.to_world(self.edges),
            logits=self.logits if self.logits.shape[1] == len(DISC_CHANNELS) else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A scan that can be looked at with any spacing.

    Args:
        slabs: (slabs, rows, columns), normalised.
        places: (slabs,) middle of each, in slices.
        stack: the scan.
        network, multiples: see `detect_discs`.
    """

    slabs: Float32
    places: Float
    stack: SagittalStack
    network: Network
    multiples: tuple[int, ...]

    def near(self, found: _Found) -> _Look:
        """Look only at the slabs about the discs that were found, or at all where there are none."""
        if not len(found.scores):
            return self
        reach = np.array([found.centres[:, 0].min() - _ASIDE_SLICES, found.centres[:, 0].max() + _ASIDE_SLICES])
        reach = np.clip(reach, self.places[0], self.places[-1])
        first, last = np.searchsorted(self.places, reach)
        return replace(self, slabs=self.slabs[first : last + 1], places=self.places[first : last + 1])

    def at(self, pixel_mm: float, *, rows: int | None = None) -> _Found:
        """Find the discs in the upper rows with a pixel spacing."""
        heat, scale = self._predict(self.slabs[:, :rows], pixel_mm)
        peaks = find_peaks(heat)
        centres, edges = np.array([peak.place for peak in peaks]).reshape(-1, 3), find_edges(peaks, heat)
        return _Found(
            centres=_to_stack(centres, scale),
            edges=_to_stack(edges, scale),
            scores=np.array([peak.score for peak in peaks], dtype=np.float64),
            widths=np.array([1 / (peak.weights**2).sum() for peak in peaks], dtype=np.float64),
            logits=np.array([peak.logits for peak in peaks]).reshape(-1, heat.discs.shape[1]),
        )

    def _predict(self, slabs: Float32, pixel_mm: float) -> tuple[Heat, Float]:
        """Predict heat, with the stack's pixels in one of its pixels, (2,)."""
        pixels = np.prod(np.array(slabs.shape[1:]) * self.stack.pixel_mm) / pixel_mm**2
        found = []
        for batch in batches(len(slabs), float(pixels)):
            images, scale = resize_slices(slabs[batch], self.stack.pixel_mm, pixel_mm)
            rows, columns = images.shape[1:]
            padded = np.pad(images, ((0, 0), (0, -rows % self.multiples[0]), (0, -columns % self.multiples[1])))
            maps = _coarsen(self.network(padded[:, None]), padded.shape[1] // COARSE)
            found.append(maps[:, :, : -(-rows // COARSE), : -(-columns // COARSE)])
        maps = np.concatenate(found)
        edges = maps[:, POSTERIOR_CHANNEL] if maps.shape[1] > POSTERIOR_CHANNEL else np.zeros_like(maps[:, 0])
        heat = Heat(places=self.places, discs=maps[:, :POSTERIOR_CHANNEL], edges=edges, pixel_mm=COARSE * pixel_mm)
        return heat, scale * COARSE


def _to_stack(places: Float, scale: Float) -> Float:
    """Bring places in heat maps to the stack's indices, (n, 3)."""
    return np.column_stack([places[:, 0], (places[:, 1:] + 0.5) * scale - 0.5])


def _average_slabs(slices: Float32, width: float) -> tuple[Float32, Float]:
    """Average runs of `width` neighbouring slices, which begin about three quarters of that apart, or are `_MAX_SLABS`.

    Returns:
        (slabs, rows, columns) and the middle of each, in slices; they lie alike on both sides of the middle.
    """
    count = min(len(slices), max(1, round(width)))
    last = len(slices) - count
    number = min(_MAX_SLABS, -(-last // max(1, round(0.75 * count))) + 1)
    starts = np.rint(np.linspace(0, last, number)).astype(int)
    slabs = np.stack([slices[start : start + count].mean(0) for start in starts])
    return np.asarray(slabs, np.float32), np.asarray(starts + (count - 1) / 2, np.float64)


def _coarsen(maps: Float32, rows: int) -> Float32:
    """Average heat maps to a number of rows."""
    factor = maps.shape[2] // rows
    if factor == 1:
        return maps
    split = maps.reshape(*maps.shape[:2], rows, factor, -1, factor)
    return np.asarray(split.mean((3, 5)), np.float32)
