"""The recurrent baseline: levels of a sequence of detections by the argmax of a bi-directional LSTM.

Windsor et al. 2022, section 5.1: "takes features extracted from each vertebra by the appearance network [...] and
outputs a label for each vertebra". Its labels need not be in order, and it has no numbering variants.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.identify.evidence import OFFICIAL_COLUMNS, log_softmax
from spondyl.labelling import Levels
from spondyl.nets.network import Network
from spondyl.types import Float32

__all__ = ["recurrent_levels", "sequence_features"]

_FLOOR_NATS = -10.0
"""The lower limit of log-probabilities: no prediction is trusted beyond one in twenty thousand."""

_USUAL_STEP_MM = 30.0
"""The unit of distances, about that of neighbouring vertebrae, so that all features are of order one."""


def sequence_features(logits: ArrayLike, positions_mm: ArrayLike) -> Float32:
    """Compute the input of the network for n detections, (n, columns + 1).

    Args:
        logits: (n, columns) of the appearance network, top to bottom.
        positions_mm: (n, 3) centroids, mm, in any frame.

    Returns:
        Log-probabilities in tens of nats, 0 at most; last the distance from the detection above in units of 30 mm, 0
        for the first.

    Raises:
        SettingError: shapes disagree, or values are not numbers.
    """
    values, positions = np.asarray(logits, dtype=np.float64), np.asarray(positions_mm, dtype=np.float64)
    if values.ndim != 2 or positions.shape != (len(values), 3):
        raise SettingError(
            f"detections need logits (n, columns) and positions (n, 3), got {values.shape}, {positions.shape}"
        )
    if np.isnan(values).any() or not np.isfinite(positions).all():
        raise SettingError("logits and positions must be numbers")
    log_probabilities = np.maximum(log_softmax(values), _FLOOR_NATS) / -_FLOOR_NATS
    steps = np.linalg.norm(np.diff(positions, axis=0, prepend=positions[:1]), axis=1) / _USUAL_STEP_MM
    return np.concatenate([log_probabilities, steps[:, None]], axis=1).astype(np.float32)


def recurrent_levels(
    logits: ArrayLike,
    positions_mm: ArrayLike,
    network: Network,
    columns: tuple[Level, ...] = OFFICIAL_COLUMNS,
) -> Levels:
    """Name detections, top to bottom; None for one that the network predicts to be no vertebra.

    Args:
        logits: (n, columns) of the appearance network.
        positions_mm: (n, 3) centroids, mm.
        network: the trained LSTM, (1, 1, n, columns + 1) features to logits of the same shape.
        columns: the level of each column.

    Raises:
        SettingError: shapes disagree, or the network returns another shape.
    """
    features = sequence_features(logits, positions_mm)
    if not len(features):
        return ()
    answers = network(features[None, None])
    if answers.shape != (1, 1, len(features), len(columns) + 1):
        raise SettingError(f"the network must return (1, 1, {len(features)}, {len(columns) + 1}), got {answers.shape}")
    return tuple((*columns, None)[best] for best in answers[0, 0].argmax(axis=1))
