"""SpineNetV2's labelling, composed: appearance of each vertebra, context, ordered decoding (section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.crops import COMPACT, CropGrid, appearance_crops
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.identify.height_map import Float, HeightMapSettings, height_map, read_rows
from spondyl.identify.labelling import Labelling, LevelSequence
from spondyl.identify.order import OrderCosts, decode

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""A network behind whatever engine: float32 in, float32 out, axes as its module in `nets` says."""


def label_instances(
    stack: SagittalStack,
    instances: Sequence[VertebraInstance],
    appearance: Network,
    context: Network | None,
    costs: OrderCosts | None = None,
    *,
    crops: CropGrid = COMPACT,
    heights: HeightMapSettings | None = None,
    columns: tuple[Level, ...] = OFFICIAL_COLUMNS,
) -> Labelling:
    """Name the vertebrae of a scan.

    Args:
        stack: the scan.
        instances: its n vertebrae, in any order; the answer keeps theirs.
        appearance: crops (n, 1, size, size, slices) to logits (n, columns).
        context: map (1, 1, rows, columns) to logits of the same shape; None decodes the appearance alone.
        costs: the decoder's settings; its temperature applies to what the context network says.
        crops: size and reach of the crops, as the appearance network was trained.
        heights: how the map is drawn, as the context network was trained.
        columns: the level of each of the networks' columns.

    Raises:
        SettingError: a network returns another shape.
    """
    centroids = np.array([instance.centroid_index for instance in instances]).reshape(-1, 3)
    order = np.argsort(centroids[:, 1], kind="stable")
    sorted_instances = [instances[i] for i in order]
    logits = level_logits(stack, sorted_instances, appearance, context, crops=crops, heights=heights, columns=columns)
    scores = np.array([instance.score for instance in sorted_instances])
    labelling = decode(logits, scores, stack.affine.to_world(centroids[order]), columns=columns, costs=costs)
    return _reordered(labelling, np.argsort(order))


def level_logits(
    stack: SagittalStack,
    instances: Sequence[VertebraInstance],
    appearance: Network,
    context: Network | None,
    *,
    crops: CropGrid = COMPACT,
    heights: HeightMapSettings | None = None,
    columns: tuple[Level, ...] = OFFICIAL_COLUMNS,
) -> Float:
    """What the networks say of each vertebra, (n, columns) logits; arguments as in `label_instances`.

    Raises:
        SettingError: a network returns another shape.
    """
    if not instances:
        return np.zeros((0, len(columns)))
    logits = appearance(appearance_crops(stack, instances, crops)[:, None])
    _expect(logits, (len(instances), len(columns)), "appearance")
    if context is None:
        return np.asarray(logits, dtype=np.float64)
    tops, bottoms, height = extents_mm(stack, instances)
    picture = height_map(logits, tops, bottoms, height, heights)
    refined = context(picture[None, None])
    _expect(refined, (1, 1, *picture.shape), "context")
    return read_rows(refined[0, 0], (tops + bottoms) / 2)


def extents_mm(stack: SagittalStack, instances: Sequence[VertebraInstance]) -> tuple[Float, Float, float]:
    """Upper and lower edges (n,) of the vertebrae and the height of the scan, mm down from the scan's top."""
    row_mm = float(stack.pixel_mm[0])
    rows = np.array([instance.middle_outline[:, 0] for instance in instances]).reshape(-1, 4)
    edges = (rows + 0.5) * row_mm
    return edges.min(axis=1), edges.max(axis=1), stack.voxels.shape[1] * row_mm


def _expect(output: NDArray[np.float32], shape: tuple[int, ...], name: str) -> None:
    if output.shape != shape:
        raise SettingError(f"the {name} network must return {shape}, got {output.shape}")


def _reordered(labelling: Labelling, places: NDArray[np.intp]) -> Labelling:
    """The same answer with candidate `places[i]` at place i."""
    sequences = tuple(
        LevelSequence(levels=tuple(s.levels[i] for i in places), log_probability=s.log_probability)
        for s in labelling.sequences
    )
    return replace(
        labelling,
        sequences=sequences,
        marginals=labelling.marginals[places],
        rejected=labelling.rejected[places],
    )
