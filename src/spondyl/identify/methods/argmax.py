"""Identification of each body by the most probable level of the appearance network; kept for comparison."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spondyl.anatomy.landmarks import STAND_INS
from spondyl.anatomy.level import Level
from spondyl.identify.appearance import BodyEvidence, open_appearance
from spondyl.identify.beam import argmax_levels
from spondyl.identify.evidence import OFFICIAL_COLUMNS, log_softmax
from spondyl.labelling import LEVELS, Labelling, Levels, MarkSequence
from spondyl.nets.network import LoadedNetwork
from spondyl.reading import Identify
from spondyl.types import Float

__all__ = ["label_each", "name_each", "open_argmax"]


def name_each(evidence: BodyEvidence) -> Labelling[Level]:
    """Give every body its most probable level; the order is ignored."""
    return label_each(argmax_levels(evidence.logits), evidence.logits)


def open_argmax(networks: Mapping[str, LoadedNetwork]) -> Identify:
    """Open the method."""
    return open_appearance(networks, name_each)


def label_each(levels: Levels, logits: Float) -> Labelling[Level]:
    """Make a labelling whose probabilities are those of each body separately.

    Args:
        levels: one for each body; None for one that is rejected.
        logits: (n, columns) of each body.
    """
    probabilities = np.exp(log_softmax(np.asarray(logits, dtype=np.float64)))
    marginals = np.zeros((len(levels), len(LEVELS)))
    marginals[:, [level.rank for level in OFFICIAL_COLUMNS]] = probabilities
    for body, level in enumerate(levels):
        if level is None:
            marginals[body] = 0
        elif level not in OFFICIAL_COLUMNS:  # S2, which uses the output of S1
            marginals[body, [level.rank, STAND_INS[level].rank]] = marginals[body, STAND_INS[level].rank], 0
    chosen = [1.0 if level is None else marginals[body, level.rank] for body, level in enumerate(levels)]
    with np.errstate(divide="ignore"):
        log_probability = float(np.log(chosen).sum())
    return Labelling(
        sequences=(MarkSequence(levels=levels, log_probability=log_probability),),
        marks=LEVELS,
        marginals=marginals,
        rejected=np.array([float(level is None) for level in levels]),
        numberings={"regular": 1.0},
    )
