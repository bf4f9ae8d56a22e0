"""What a network says about each candidate, as log-likelihood ratios over all levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import REGULAR
from spondyl.errors import SettingError

Float = NDArray[np.float64]

OFFICIAL_COLUMNS: tuple[Level, ...] = tuple(
    level for level in REGULAR.levels[::-1] if level not in (Level.C1, Level.S2)
)
"""Order of the 24 outputs of SpineNetV2's networks: S1, L5 ... L1, T12 ... T1, C7 ... C2 (reference code)."""

STAND_INS: dict[Level, tuple[Level, ...]] = {
    Level.C1: (Level.C2,),
    Level.T13: (Level.T12, Level.L1),
    Level.L6: (Level.L5,),
    Level.S2: (Level.S1,),
}
"""Whose columns speak for a level that the networks do not know: it looks like these (the paper's "double S1")."""

BEYOND = (Level.C1, Level.S2)
"""Levels past the ends of what detectors are taught to find; a candidate there is rare in itself."""


def log_softmax(logits: Float) -> Float:
    """Normalise rows (..., n) to log-probabilities; adding a number to a row changes nothing."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def level_evidence(
    log_probabilities: ArrayLike,
    columns: tuple[Level, ...] = OFFICIAL_COLUMNS,
    *,
    temperature: float = 1.0,
    outlier_probability: float = 0.0,
    beyond_cost: float = 0.0,
) -> Float:
    """Turn network outputs into log p(appearance | level) - log p(appearance | any level).

    Args:
        log_probabilities: (n, columns), nats; logits do as well, rows are normalised after division by `temperature`.
        columns: the level of each column.
        temperature: above 1 trusts the network less.
        outlier_probability: chance that the network is wrong without knowing it; bounds the evidence from below.
        beyond_cost: subtracted for a level of `BEYOND` that borrows another's column, nats.

    Returns:
        (n, 28) in the order of `Level`, nats; 0 everywhere for a network that says nothing. A level without column
        and without stand-in gets minus infinity.

    Raises:
        SettingError: shapes disagree, or values are not numbers.
    """
    values = np.asarray(log_probabilities, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(columns):
        raise SettingError(f"log-probabilities must be (n, {len(columns)}), one column per level, got {values.shape}")
    if np.isnan(values).any() or not np.isfinite(values.max(axis=1, initial=-np.inf)).all():
        raise SettingError("log-probabilities must be numbers, with at least one finite value per candidate")
    probabilities = np.exp(log_softmax(values / temperature)) * len(columns)
    mixed = (1 - outlier_probability) * probabilities + outlier_probability
    return _spread(mixed, columns, beyond_cost)


def _spread(likelihoods: Float, columns: tuple[Level, ...], beyond_cost: float) -> Float:
    result = np.zeros((len(likelihoods), len(Level)))
    for level in Level:
        sources = [columns.index(source) for source in STAND_INS.get(level, ()) if source in columns]
        if level in columns:
            result[:, level.rank] = likelihoods[:, columns.index(level)]
        elif sources:
            discount = np.exp(-beyond_cost) if level in BEYOND else 1.0
            result[:, level.rank] = likelihoods[:, sources].mean(axis=1) * discount
    with np.errstate(divide="ignore"):
        return np.log(result)
