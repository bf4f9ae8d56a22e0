"""Conversion of a network's output for each candidate into log-likelihood ratios over all levels."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike

from spondyl.anatomy.disc import discs_of
from spondyl.anatomy.landmarks import LANDMARKS, STAND_INS
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import REGULAR
from spondyl.errors import SettingError
from spondyl.types import Float

__all__ = ["DISC_COLUMNS", "OFFICIAL_COLUMNS", "level_evidence", "log_softmax"]

OFFICIAL_COLUMNS: tuple[Level, ...] = tuple(
    level for level in REGULAR.levels[::-1] if level not in (Level.C1, Level.S2)
)
"""The order of the 24 outputs of SpineNetV2's networks: S1, L5 ... L1, T12 ... T1, C7 ... C2 (reference code)."""

DISC_COLUMNS: tuple[Level, ...] = tuple(disc.lower for disc in discs_of() if disc.lower is not Level.S2)
"""The order of the outputs of networks that locate discs, C2/C3 to L5/S1, each by the level below the disc."""


def log_softmax(logits: Annotated[Float, "*rows n"]) -> Annotated[Float, "*rows n"]:
    """Normalise rows (..., n) to log-probabilities; adding a number to a row changes nothing."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def level_evidence(
    log_probabilities: ArrayLike,
    columns: tuple[Level, ...] = OFFICIAL_COLUMNS,
    *,
    temperature: float = 1.0,
    landmark_temperature: float | None = None,
    outlier_probability: float = 0.0,
    beyond_cost: float = 0.0,
    shift: int = 0,
) -> Annotated[Float, "n 28"]:
    """Turn network outputs into log p(appearance | level) - log p(appearance | any level).

    Args:
        log_probabilities: (n, columns), nats; or logits, since rows are normalised after division by `temperature`.
        columns: the level of each column.
        temperature: above 1 gives the network less weight in distinguishing levels of one region.
        landmark_temperature: the same in distinguishing regions and `LANDMARKS`, by the ribs, the sacrum and the dens;
            as `temperature` when None.
        outlier_probability: probability that the network is confidently wrong; bounds the evidence from below.
        beyond_cost: subtracted for S2 where it uses the output of S1, nats: detectors are not trained to find it.
        shift: number of levels, downwards, by which the network errs throughout this patient, except for `LANDMARKS`.

    Returns:
        (n, 28) in the order of `Level`, nats; 0 everywhere for uniform predictions. A level with neither a column nor a
        stand-in gets minus infinity.

    Raises:
        SettingError: shapes disagree, or values are not numbers.
    """
    values = np.asarray(log_probabilities, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(columns):
        raise SettingError(f"log-probabilities must be (n, {len(columns)}), one column per level, got {values.shape}")
    if np.isnan(values).any() or not np.isfinite(values.max(axis=1, initial=-np.inf)).all():
        raise SettingError("log-probabilities must be numbers, with at least one finite value per candidate")
    predicted = _tempered(
        values, columns, temperature, temperature if landmark_temperature is None else landmark_temperature
    )
    mixed = (1 - outlier_probability) * predicted * len(columns) + outlier_probability
    return _spread_over_levels(mixed, columns, beyond_cost, shift)


def _tempered(logits: Float, columns: tuple[Level, ...], temperature: float, landmark_temperature: float) -> Float:
    """Compute probabilities (n, columns): of regions and landmarks at one temperature, within a region at another."""
    result = np.exp(log_softmax(logits / landmark_temperature))
    if temperature == landmark_temperature:
        return result
    for _, levels in groupby(_list_inner_levels(columns), key=lambda level: level.region):
        members = [columns.index(level) for level in levels]
        within = np.exp(log_softmax(logits[:, members] / temperature))
        result[:, members] = result[:, members].sum(axis=1, keepdims=True) * within
    return result


def _list_inner_levels(columns: tuple[Level, ...]) -> list[Level]:
    """List the levels of a regular spine that have a column and are no landmarks, head to foot."""
    return [level for level in REGULAR.levels if level in columns and level not in LANDMARKS]


def _spread_over_levels(likelihoods: Float, columns: tuple[Level, ...], beyond_cost: float, shift: int) -> Float:
    result = np.zeros((len(likelihoods), len(Level)))
    for level in Level:
        alike = level if level in columns else STAND_INS.get(level)
        if alike in columns:
            discount = np.exp(-beyond_cost) if level is Level.S2 and alike is not level else 1.0
            result[:, level.rank] = likelihoods[:, columns.index(_shift_level(alike, shift, columns))] * discount
    with np.errstate(divide="ignore"):
        return np.log(result)


def _shift_level(level: Level, shift: int, columns: tuple[Level, ...]) -> Level:
    """Return the level that a network predicts for another where it errs by `shift` levels, except for landmarks."""
    inner = _list_inner_levels(columns)
    return inner[min(max(inner.index(level) + shift, 0), len(inner) - 1)] if level in inner else level
