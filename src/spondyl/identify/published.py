"""Identification as the published SpineNetV2 program does it, for the published weights.

Crops, appearance network, height map, context network and beam search (Windsor et al. 2022, section 3.2, and the
published code where it is more exact). That program gives no probabilities; those here are from Spondyl's decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spondyl.anatomy.level import Level
from spondyl.geometry.instance import VertebraInstance, centroids_ras_mm
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.beam import BeamCosts, beam_search
from spondyl.identify.costs import OrderCosts
from spondyl.identify.evidence import OFFICIAL_COLUMNS, log_softmax
from spondyl.identify.height_map import padded_rows, rows_at
from spondyl.identify.order import decode
from spondyl.identify.published_crops import published_crops
from spondyl.labelling import Labelling, Levels, MarkSequence
from spondyl.nets.network import Network
from spondyl.types import Float, Float32

__all__ = ["context_logits", "label", "published_height_map"]

TEMPERATURE = 10.0
"""The divisor of the logits of both networks before the softmax."""

MULTIPLE = 256
"""The number of rows to a multiple of which the height map is padded at its end."""

MAX_BATCH = 8
"""The number of crops that pass the network together; it bounds the memory."""


def label(
    stack: SagittalStack,
    instances: Sequence[VertebraInstance],
    appearance: Network,
    context: Network,
    costs: OrderCosts | None = None,
) -> Labelling[Level]:
    """Name the vertebrae of a scan.

    The levels are those of the published beam search, which rejects no candidate. The probabilities are those that
    Spondyl's decoder gives these levels from the same logits, with the distances between the vertebrae as it knows
    them: where the two disagree, the probability of the named level is low.

    Args:
        stack: the scan.
        instances: its n vertebrae from head to foot, as `locate.published.detect` gives them.
        appearance: crops (n, 1, 224, 224, 16) to logits (n, 24).
        context: map (1, 1, rows, 24) to logits of the same shape.
        costs: settings of Spondyl's decoder; its own, at the published temperature, when None.

    Returns:
        One answer. Its log-probability is the decoder's; where the decoder does not list it among its best answers,
        that of all the answers it does not list.
    """
    logits = context_logits(stack, instances, appearance, context)
    levels, _ = beam_search(logits, costs=BeamCosts(temperature=TEMPERATURE))
    scores = np.array([instance.score for instance in instances])
    decoded = decode(logits, scores, centroids_ras_mm(instances), costs=costs or OrderCosts(temperature=TEMPERATURE))
    return replace(decoded, sequences=(_with_log_probability(levels, decoded),))


def _with_log_probability(levels: Levels, decoded: Labelling[Level]) -> MarkSequence[Level]:
    listed = {sequence.levels: sequence.log_probability for sequence in decoded.sequences}
    unlisted = 1 - sum(np.exp(value) for value in listed.values())
    return MarkSequence(levels=levels, log_probability=listed.get(levels, float(np.log(max(unlisted, 1e-12)))))


def context_logits(
    stack: SagittalStack, instances: Sequence[VertebraInstance], appearance: Network, context: Network
) -> Float:
    """Compute the logits (n, 24) of the context network at the vertebrae; arguments as for `label`."""
    if not instances:
        return np.zeros((0, len(OFFICIAL_COLUMNS)))
    pixel_mm = float(stack.pixel_mm.mean())
    rows_mm = np.array([instance.middle_outline[:, 0] for instance in instances]) * pixel_mm
    probabilities = _level_probabilities(stack, instances, appearance)
    picture = published_height_map(probabilities, rows_mm, int(stack.voxels.shape[1] * pixel_mm))
    refined = context(picture[None, None])[0, 0]
    return np.asarray(refined[rows_at(rows_mm.mean(axis=1), len(refined))], dtype=np.float64)


def _level_probabilities(stack: SagittalStack, instances: Sequence[VertebraInstance], appearance: Network) -> Float:
    """Predict the appearance network's probabilities (n, 24); all 0 for an empty crop."""
    probabilities = np.zeros((len(instances), len(OFFICIAL_COLUMNS)))
    for start in range(0, len(instances), MAX_BATCH):
        batch = slice(start, start + MAX_BATCH)
        crops = published_crops(stack, instances[batch])
        logits = np.asarray(appearance(crops[:, None]), dtype=np.float64)
        is_seen = crops.reshape(len(crops), -1).any(axis=1, keepdims=True)
        probabilities[batch] = np.exp(log_softmax(logits / TEMPERATURE)) * is_seen
    return probabilities


def published_height_map(probabilities: Float, rows_mm: Float, height_mm: int) -> Float32:
    """Draw the map: one row a millimetre, each vertebra's probabilities over the central half of its height.

    Millimetres are truncated to whole ones, and a vertebra overwrites those drawn before it.

    Args:
        probabilities: (n, columns) of vertebrae from head to foot.
        rows_mm: (n, 4) heights of the corners, mm below the centre of the scan's first row.
        height_mm: of the scan.

    Returns:
        (rows, columns), rows a multiple of 256.
    """
    picture = np.zeros((padded_rows(height_mm, MULTIPLE), probabilities.shape[1]), np.float32)
    scan = picture[:height_mm]
    centres = rows_mm.mean(axis=1).astype(int)
    quarters = (np.ptp(rows_mm, axis=1) / 4).astype(int)
    for row, quarter, values in zip(centres, quarters, probabilities, strict=True):
        scan[row - quarter : row + quarter] = values
    return picture
