"""Simulated logits of an appearance network of any quality, for the vertebrae of one patient.

The simulated network confuses near levels more than far ones; its error is nearly the same for all vertebrae of a
patient, except at the landmark levels, whose appearance is unique; a few vertebrae get any level at all; and it has the
24 levels of a regular column only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spondyl.anatomy.landmarks import LANDMARKS
from spondyl.anatomy.level import Level, Region
from spondyl.anatomy.numbering import REGULAR, Numbering
from spondyl.errors import SettingError
from spondyl.geometry.affine import Float
from spondyl.identify.evidence import OFFICIAL_COLUMNS

__all__ = ["FAIR", "GOOD", "MIXED", "AppearanceSimulation", "logits_around", "simulate_appearance"]

_PLACES = {level: float(place) for place, level in enumerate(REGULAR.levels)}
"""Position of each level along a regular column; an appearance is a position on this line."""

_T13_LIKE_T12 = 2 / 3
"""Chance that T13's ribs are long enough to make it appear as T12, and T12 half as T11; else T13 appears as L1."""

_L6_LIKE_S1 = 0.4
"""Chance that L6 is a lumbarised S1 that still appears as S1 (square, with a low disc below); else it appears as L5."""

_LAST_LIKE_REGULAR_LAST = 0.5
"""Chance that the last of too few thoracic or lumbar vertebrae appears as the last of a regular column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppearanceSimulation:
    """The quality of the simulated network.

    It varies between patients: for each, the slope is drawn between its two values, and the deviations of the patient's
    bias, of each vertebra's error and of the noise between a tenth of their values and these.

    Args:
        slope: decrease of a logit for each level of distance, the least and the most, nats.
        patient_bias_sd: deviation of the error that a patient's vertebrae share, levels.
        bias_step_sd: deviation of the change of that error from one vertebra to the next, levels.
        vertebra_error_sd: deviation of each vertebra's own error, levels.
        noise_sd: deviation of the noise added to each logit, nats.
        outlier_share: share of the vertebrae that get any level.

    Raises:
        SettingError: a number is negative, or a share above 1.
    """

    slope: tuple[float, float] = (0.3, 4.5)
    patient_bias_sd: float = 1.2
    bias_step_sd: float = 0.15
    vertebra_error_sd: float = 0.5
    noise_sd: float = 0.8
    outlier_share: float = 0.03

    def __post_init__(self) -> None:
        least, most = self.slope
        deviations = (self.patient_bias_sd, self.bias_step_sd, self.vertebra_error_sd, self.noise_sd)
        if min(least, *deviations, self.outlier_share) < 0 or self.outlier_share > 1:
            raise SettingError("slope, deviations and outlier_share must not be negative, nor outlier_share above 1")
        if most < least:
            raise SettingError(f"the slope must be given as its least and its most, got {self.slope}")


MIXED = AppearanceSimulation()
"""Networks of every quality, for training, so that no single one is relied on; alone they miss half of the levels."""

GOOD = AppearanceSimulation(
    slope=(2.5, 4.5), patient_bias_sd=0.2, bias_step_sd=0.05, vertebra_error_sd=0.3, noise_sd=0.5, outlier_share=0.01
)
"""A network that names nine in ten levels rightly by itself."""

FAIR = AppearanceSimulation(
    slope=(1.0, 3.0), patient_bias_sd=0.8, bias_step_sd=0.1, vertebra_error_sd=0.5, noise_sd=0.8, outlier_share=0.03
)
"""A network that by itself names six in ten levels rightly and nine in ten within one."""


def simulate_appearance(
    levels: Sequence[Level], numbering: Numbering, rng: np.random.Generator, simulation: AppearanceSimulation = MIXED
) -> Float:
    """Simulate the logits (n, 24) of some vertebrae of one patient, in the order of `OFFICIAL_COLUMNS`.

    Args:
        levels: their true levels, head to foot.
        numbering: of the patient's whole column.
        rng: of all randomness.
        simulation: quality of the network.
    """
    place_of = _PLACES | _draw_variant_places(numbering, rng)
    places = np.array([place_of[level] for level in levels])
    is_biased = np.array([level not in LANDMARKS for level in levels])
    patient_bias = rng.normal(0, _draw_sd(simulation.patient_bias_sd, rng))
    bias = patient_bias + np.cumsum(rng.normal(0, simulation.bias_step_sd, len(levels)))
    errors = rng.normal(0, _draw_sd(simulation.vertebra_error_sd, rng), len(levels))
    apparent = places + np.where(is_biased, bias, 0) + errors
    return logits_around(apparent, np.where(is_biased, 1.0, 2.0), rng, simulation)


def _draw_variant_places(numbering: Numbering, rng: np.random.Generator) -> dict[Level, float]:
    """Draw the apparent places of the last levels of a variant's regions; the chances are guesses."""
    chance = rng.random()
    last = {region: [x for x in numbering.levels if x.region is region][-1] for region in Region}
    places: dict[Level, float] = {}
    if last[Region.THORACIC] is Level.T13:
        is_like_t12 = chance < _T13_LIKE_T12
        places = {
            Level.T12: _PLACES[Level.T12] - 0.5 * is_like_t12,
            Level.T13: _PLACES[Level.T12 if is_like_t12 else Level.L1],
        }
    elif last[Region.THORACIC] is Level.T11:
        places = {Level.T11: _PLACES[Level.T12 if chance < _LAST_LIKE_REGULAR_LAST else Level.T11]}
    if last[Region.LUMBAR] is Level.L6:
        places |= {Level.L6: _PLACES[Level.S1 if chance < _L6_LIKE_S1 else Level.L5]}
    elif last[Region.LUMBAR] is Level.L4:
        places |= {Level.L4: _PLACES[Level.L5 if chance < _LAST_LIKE_REGULAR_LAST else Level.L4]}
    return places


def logits_around(
    places: Float, slope_factors: Float, rng: np.random.Generator, simulation: AppearanceSimulation = MIXED
) -> Float:
    """Draw logits (n, 24) that decrease on both sides of each place.

    Args:
        places: (n,) along the regular column, 0 for C1.
        slope_factors: (n,) factors of the slope.
        rng: of all randomness.
        simulation: quality of the network.
    """
    columns = np.array([_PLACES[level] for level in OFFICIAL_COLUMNS])
    anywhere = rng.uniform(columns.min(), columns.max(), len(places))
    places = np.where(rng.random(len(places)) < simulation.outlier_share, anywhere, places)
    slope = rng.uniform(*simulation.slope) * slope_factors
    noise = rng.normal(0, _draw_sd(simulation.noise_sd, rng), (len(places), len(columns)))
    return np.asarray(noise - slope[:, None] * np.abs(columns - places[:, None]))


def _draw_sd(maximum: float, rng: np.random.Generator) -> float:
    return maximum * rng.uniform(0.1, 1)
