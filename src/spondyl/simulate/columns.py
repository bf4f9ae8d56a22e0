"""Columns simulated from published spacings: the detections of a scan, as the naming methods get them.

Every method that is trained or measured on simulated patients draws them here: levels, positions, and the logits of a
simulated appearance network (`appearance.py`), with detections that are missing or false.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spondyl.anatomy.landmarks import is_detected
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import NUMBERINGS, Numbering
from spondyl.anatomy.spacing import VID
from spondyl.errors import SettingError
from spondyl.geometry.affine import Float
from spondyl.identify.misses import measure_room
from spondyl.labelling import Levels
from spondyl.simulate.appearance import MIXED, AppearanceSimulation, logits_around, simulate_appearance

__all__ = [
    "SimulatedColumn",
    "View",
    "add_false_detections",
    "choose_any_view",
    "draw_column",
    "drop_detections",
]

_BODY_SHARE = 0.75
"""Height of a body over the distance to its neighbours; discs take the rest (0.7 cervical to 0.8 thoracic)."""

_SIZE_SD = 0.08
"""Spread of patients' sizes, as the ordered decoder assumes."""

_MIN_STEP_MM = 5.0
_MAX_INCLINATION_DEG = 35.0
"""Inclination of the column against the vertical, from one vertebra to the next."""

_MARGIN_MM = (10.0, 60.0)
"""Range of the margin above C2 and below S1; elsewhere a margin ends before the centre of the next vertebra."""

_TRUE_SCORE, _FALSE_SCORE = (12.0, 1.5), (3.0, 2.0)
"""Beta distributions of detection scores: true bodies 0.89 in the mean, false ones, which passed a threshold, 0.6."""

View = Callable[[Sequence[Level], np.random.Generator], slice]
"""Chooses the part of a patient's vertebrae, C1 to S2, that a scan shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedColumn:
    """The n detections of a scan, head to foot.

    Args:
        numbering: of the patient's whole column.
        levels: the true level of each detection; None for a false one.
        missed: vertebrae in view that were not detected.
        logits: (n, 24) of the appearance network.
        positions_mm: (n, 3) centroids, RAS mm.
        tops_mm: (n,) upper edges, mm down from the scan's top.
        bottoms_mm: (n,) lower edges.
        height_mm: of the scan.
        scores: (n,) detection scores.
    """

    numbering: Numbering
    levels: Levels
    missed: tuple[Level, ...]
    logits: Float
    positions_mm: Float
    tops_mm: Float
    bottoms_mm: Float
    height_mm: float
    scores: Float

    @property
    def room_mm(self) -> Float:
        """The distance that the column runs on above and below each detection inside the scan, (n, 2)."""
        depths = (self.tops_mm + self.bottoms_mm) / 2
        points = np.stack([self.positions_mm[:, 0], depths, self.positions_mm[:, 1]], axis=1)
        return measure_room(points, (-np.inf, 0, -np.inf), (np.inf, self.height_mm, np.inf))


def choose_any_view(levels: Sequence[Level], rng: np.random.Generator) -> slice:
    """Choose three to twenty-four vertebrae from anywhere, the dens and S1 included."""
    first = int(rng.integers(1, len(levels) - 4))
    return slice(first, min(len(levels) - 1, first + int(rng.integers(3, 25))))


def draw_column(
    rng: np.random.Generator,
    *,
    numberings: Sequence[Numbering] = NUMBERINGS,
    view: View = choose_any_view,
    simulation: AppearanceSimulation = MIXED,
) -> SimulatedColumn:
    """Draw a patient, a field of view in which every vertebra is detected, and the logits of an appearance network.

    Args:
        rng: of all randomness.
        numberings: the variants that occur, by their priors.
        view: chooses the field of view.
        simulation: quality of the network.

    Raises:
        SettingError: the view is empty.
    """
    priors = np.array([numbering.prior for numbering in numberings])
    numbering = numberings[rng.choice(len(priors), p=priors / priors.sum())]
    levels = numbering.levels
    steps_mm = _draw_steps_mm(levels, rng)
    positions = _draw_positions(steps_mm, rng)
    reach = np.concatenate([steps_mm[:1], (steps_mm[1:] + steps_mm[:-1]) / 2, steps_mm[-1:]]) * _BODY_SHARE / 2
    in_view = view(levels, rng)
    if not levels[in_view]:
        raise SettingError(f"a field of view must show a vertebra, got {in_view}")
    depths = -positions[in_view, 2]
    top, bottom = _draw_edges(levels, -positions[:, 2], in_view, rng)
    return SimulatedColumn(
        numbering=numbering,
        levels=levels[in_view],
        missed=(),
        logits=simulate_appearance(levels[in_view], numbering, rng, simulation),
        positions_mm=positions[in_view],
        tops_mm=depths - reach[in_view] - top,
        bottoms_mm=depths + reach[in_view] - top,
        height_mm=float(bottom - top),
        scores=rng.beta(*_TRUE_SCORE, len(depths)),
    )


def drop_detections(column: SimulatedColumn, rng: np.random.Generator, share: float) -> SimulatedColumn:
    """Drop each detection with a probability, but keep at least one.

    Raises:
        SettingError: the share is no probability.
    """
    kept = rng.random(len(column.levels)) >= _checked_share(share)
    kept[rng.integers(len(kept))] |= not kept.any()
    lost = [level for level, stays in zip(column.levels, kept, strict=True) if not stays and level is not None]
    return replace(_select(column, np.flatnonzero(kept)), missed=(*column.missed, *lost))


def add_false_detections(
    column: SimulatedColumn, rng: np.random.Generator, share: float, simulation: AppearanceSimulation = MIXED
) -> SimulatedColumn:
    """Add, with a probability, a false detection between a detection and the next, above the first, below the last.

    Its appearance lies between those of its neighbours, with half the slope; it is as high as one of them. Nothing is
    added to a single detection.

    Raises:
        SettingError: the share is no probability.
    """
    count = len(column.levels)
    gaps = np.flatnonzero(rng.random(count + 1) < _checked_share(share)) - 1
    above = np.clip(gaps, 0, max(count - 2, 0))
    # below 0 above the first detection, above 1 below the last
    fractions = rng.uniform(0.15, 0.85, len(gaps)) + 1.1 * (gaps - above)
    if count < 2:
        return column
    scores = rng.beta(*_FALSE_SCORE, len(gaps))
    return _merge(column, above, fractions, scores, _draw_logits_between(column, above, fractions, rng, simulation))


def _draw_steps_mm(levels: Sequence[Level], rng: np.random.Generator) -> Float:
    """Draw the distance of each pair of neighbours in one patient."""
    pairs = [VID.between(upper, lower) for upper, lower in pairwise(levels)]
    means, sds = np.array([pair.mean_mm for pair in pairs]), np.array([pair.sd_mm for pair in pairs])
    steps = np.maximum(_MIN_STEP_MM, rng.normal(means, sds * VID.within_patient))
    return np.asarray(np.exp(rng.normal(0, _SIZE_SD)) * steps)


def _draw_positions(steps_mm: Float, rng: np.random.Generator) -> Float:
    """Draw centroids (n, 3), the first at the origin, down a column that is inclined forward or backward."""
    angles = np.deg2rad(rng.uniform(-_MAX_INCLINATION_DEG, _MAX_INCLINATION_DEG, len(steps_mm)))
    moves = np.stack([np.zeros(len(angles)), np.sin(angles), -np.cos(angles)], axis=1) * steps_mm[:, None]
    return np.concatenate([np.zeros((1, 3)), np.cumsum(moves, axis=0)])


def _draw_edges(
    levels: Sequence[Level], depths: Float, in_view: slice, rng: np.random.Generator
) -> tuple[float, float]:
    """Draw the depths of the field's edges, beyond which no vertebra that a detector could find has its centre."""
    first, last, _ = in_view.indices(len(levels))
    shares = rng.random(2)
    above, below = _MARGIN_MM[0] + shares * np.ptp(_MARGIN_MM)
    if first and is_detected(levels[first - 1]):
        above = (1 + shares[0]) / 2 * abs(depths[first] - depths[first - 1])
    if last < len(levels) and is_detected(levels[last]):
        below = (1 + shares[1]) / 2 * abs(depths[last] - depths[last - 1])
    return float(depths[first] - above), float(depths[last - 1] + below)


def _merge(
    column: SimulatedColumn, above: NDArray[np.intp], fractions: Float, scores: Float, logits: Float
) -> SimulatedColumn:
    """Insert false detections at fractions of the way from some detections to the next ones."""
    moves = fractions[:, None] * (column.positions_mm[above + 1] - column.positions_mm[above])
    both = replace(
        column,
        levels=(*column.levels, *(None for _ in above)),
        logits=np.concatenate([column.logits, logits]),
        positions_mm=np.concatenate([column.positions_mm, column.positions_mm[above] + moves]),
        tops_mm=np.concatenate([column.tops_mm, column.tops_mm[above] - moves[:, 2]]),
        bottoms_mm=np.concatenate([column.bottoms_mm, column.bottoms_mm[above] - moves[:, 2]]),
        scores=np.concatenate([column.scores, scores]),
    )
    return _select(both, np.argsort(-both.positions_mm[:, 2], kind="stable"))


def _draw_logits_between(
    column: SimulatedColumn,
    above: NDArray[np.intp],
    fractions: Float,
    rng: np.random.Generator,
    simulation: AppearanceSimulation,
) -> Float:
    """Draw logits of appearances between those of two detections; the columns run from S1 up to C2."""
    places = column.logits.shape[1] - column.logits.argmax(axis=1).astype(np.float64)
    between = (1 - fractions) * places[above] + fractions * places[above + 1]
    return logits_around(between, np.full(len(fractions), 0.5), rng, simulation)


def _select(column: SimulatedColumn, places: NDArray[np.intp]) -> SimulatedColumn:
    """Keep the detections at these places, in their order."""
    return replace(
        column,
        levels=tuple(column.levels[place] for place in places),
        logits=column.logits[places],
        positions_mm=column.positions_mm[places],
        tops_mm=column.tops_mm[places],
        bottoms_mm=column.bottoms_mm[places],
        scores=column.scores[places],
    )


def _checked_share(value: float) -> float:
    if not 0 <= value <= 1:
        raise SettingError(f"a share of detections must be within 0 and 1, got {value}")
    return value
