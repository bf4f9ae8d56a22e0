"""Targets of the networks that locate discs: one heat map for each disc, and one for all posterior edges.

Look-Once and MSA-Net regress a Gaussian at each disc, in a channel of its own. The paper's "radius 10" is read as the
variance, in pixels of the network's input, as its code reads "radius"; it has 11 channels in the order of the discs in
view, where this project has one for each disc of a regular spine, so that a channel is a name.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["render_disc_heat"]


def render_disc_heat(
    points: Tensor, channels: Tensor, shape: tuple[int, int], *, stride: int, variance_px: float, count: int
) -> Tensor:
    """Draw the heat of a batch of images; where two peaks overlap, the higher value counts.

    Args:
        points: (batch, n, 2) as (row, column) in pixels of the network's input; may lie outside the image.
        channels: (batch, n) of each point; negative for padding.
        shape: rows and columns of the heat maps.
        stride: pixels of the input per pixel of the heat maps.
        variance_px: of the Gaussian, in squared pixels of the input.
        count: number of channels.

    Returns:
        (batch, count, rows, columns) in [0, 1].
    """
    rows, columns = (
        (torch.arange(edge, dtype=points.dtype, device=points.device) + 0.5) * stride - 0.5 for edge in shape
    )
    along_rows = torch.exp(-((rows - points[..., :1]) ** 2) / (2 * variance_px))
    along_columns = torch.exp(-((columns - points[..., 1:]) ** 2) / (2 * variance_px))
    heat = torch.zeros(len(points), count, *shape, device=points.device)
    for b, k in (channels >= 0).nonzero().tolist():
        peak = along_rows[b, k, :, None] * along_columns[b, k, None, :]
        channel = int(channels[b, k])
        heat[b, channel] = torch.maximum(heat[b, channel], peak)
    return heat
