"""Targets and loss of SpineNetV2's vector-field regression network (Windsor et al. 2022, section 3.1).

Channels, in the order of the published checkpoints: 0 to 3 heat of the corners (`geometry.instance.CORNERS`), 4 heat of
the centroid, 5 to 8 column component and 9 to 12 row component of each corner's arrow. An arrow points from its pixel
to the centroid, in pixels (the sign that the published decoder uses; the text of eq. 4 has the opposite one).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spondyl.geometry.instance import polygon_areas, polygon_centroids

__all__ = ["render_targets", "vfr_loss"]

VARIANCE_PER_AREA = 1 / 50
"""The variance of a heat peak over the outline's area: sigma is a seventh of an edge; the paper gives no factor."""

ARROW_RADIUS_PER_EDGE = 0.3
"""The radius in which arrows are supervised, over the root of the outline's area; corners keep apart below 0.5."""

POSITIVE_HEAT = 0.01
"""The threshold T of eq. 3: heat above it counts as positive when the two classes are balanced."""

ARROW_WEIGHT = 0.01
"""The weight of a squared arrow error in pixels against an absolute heat error; equal at an error of 10 pixels."""


def render_targets(corners: Tensor, present: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Draw the targets of a batch of slices.

    Args:
        corners: (batch, n, 4, 2) as (row, column) in pixels; may lie outside the image.
        present: (batch, n), False where a row is padding.
        shape: rows and columns of the image.

    Returns:
        targets (batch, 13, rows, columns), and arrow neighbourhoods (batch, 4, rows, columns), True where arrows are
        supervised.
    """
    batch, n = corners.shape[:2]
    polygons = corners.double().cpu().numpy()
    area = torch.as_tensor(np.abs(polygon_areas(polygons))).to(corners)
    centroid = torch.as_tensor(polygon_centroids(polygons)).to(corners)
    points = torch.cat([corners, centroid[:, :, None]], dim=2)
    rows, columns = (torch.arange(edge, dtype=corners.dtype, device=corners.device) for edge in shape)
    targets = torch.zeros(batch, 13, *shape, device=corners.device)
    near = torch.zeros(batch, 4, *shape, dtype=torch.bool, device=corners.device)
    for body in range(n):
        sigma2 = (VARIANCE_PER_AREA * area[:, body])[:, None, None].clamp(min=0.5)
        d_row = rows - points[:, body, :, :1]
        d_column = columns - points[:, body, :, 1:]
        heat = (
            torch.exp(-(d_row**2) / (2 * sigma2))[..., :, None] * torch.exp(-(d_column**2) / (2 * sigma2))[..., None, :]
        )
        heat *= present[:, body, None, None, None]
        targets[:, :5] = torch.maximum(targets[:, :5], heat)
        # exp(-r^2 / 2 sigma^2) at the neighbourhood's border: distance without a second pass over the image
        border = torch.exp(-(ARROW_RADIUS_PER_EDGE**2) * area[:, body] / (2 * sigma2[:, 0, 0]))[:, None, None, None]
        inside = heat[:, :4] > border.clamp(min=1e-6)
        near |= inside
        to_column = (centroid[:, body, 1:] - columns)[:, None, None, :]
        to_row = (centroid[:, body, :1] - rows)[:, None, :, None]
        targets[:, 5:9] = torch.where(inside, to_column, targets[:, 5:9])
        targets[:, 9:13] = torch.where(inside, to_row, targets[:, 9:13])
    return targets, near


def vfr_loss(output: Tensor, targets: Tensor, near: Tensor, supervised: Tensor) -> Tensor:
    """Compute the class-balanced L1 loss of heat plus the L2 loss of arrows (eq. 2 to 4), both means over an image.

    Args:
        output, targets: (batch, 13, rows, columns).
        near: (batch, 4, rows, columns) arrow neighbourhoods.
        supervised: (batch, 1, rows, columns), False where the truth is unknown and errors do not count.

    Returns:
        Scalar; heat errors are summed over the balanced classes and divided by the number of positives.
    """
    positive = (targets[:, :5] >= POSITIVE_HEAT) & supervised
    n_positive = positive.sum().clamp(min=1)
    n_negative = (supervised.sum() * 5 - n_positive).clamp(min=1)
    total = n_positive + n_negative
    alpha = torch.where(positive, n_negative / total, n_positive / total) * supervised
    heat = (alpha * (output[:, :5] - targets[:, :5]).abs()).sum() / n_positive
    arrows = (near & supervised).repeat(1, 2, 1, 1)
    squared = ((output[:, 5:] - targets[:, 5:]) ** 2)[arrows]
    return heat + ARROW_WEIGHT * squared.sum() / max(1, squared.numel() // 2)
