"""Resizing slices without aliasing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spondyl.geometry.affine import Float


def resize_slices(slices: NDArray[np.float32], pixel_mm: Float, target_mm: float) -> tuple[NDArray[np.float32], Float]:
    """Resample slices in their plane to a common pixel spacing.

    Args:
        slices: (n, rows, columns).
        pixel_mm: (2,) spacing of rows and columns.
        target_mm: wanted spacing; what comes out differs by the rounding of the image's edge to whole pixels.

    Returns:
        (n, new rows, new columns), and scale (2,): new index x lies at old index (x + 0.5) * scale - 0.5.
    """
    old = np.array(slices.shape[1:])
    new = np.maximum(1, np.rint(old * pixel_mm / target_mm).astype(int))
    by_row, by_column = (_weights(int(o), int(n)) for o, n in zip(old, new, strict=True))
    shorter = _mix_rows(by_row, slices)
    return (shorter.reshape(-1, old[1]) @ by_column.T).reshape(len(slices), *new), old / new


def _mix_rows(weights: NDArray[np.float32], slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """`weights @ slices`, (new, old) by (n, old, columns), for weights that are zero but for a few in a row."""
    is_used = weights > 0
    reach = int(is_used.sum(1).max())
    first = np.minimum(is_used.argmax(1), weights.shape[1] - reach)
    mixed = np.zeros((len(slices), len(weights), slices.shape[2]), np.float32)
    for old_row in first + np.arange(reach)[:, None]:
        mixed += slices[:, old_row] * np.take_along_axis(weights, old_row[:, None], 1)
    return mixed


def _weights(old: int, new: int) -> NDArray[np.float32]:
    """(new, old) linear interpolation, widened to a triangle of the new spacing where pixels grow; rows sum to 1.

    Beyond the first and last pixel's centre the image is continued by its edge.
    """
    scale = old / new
    centres = (np.arange(new) + 0.5) * scale - 0.5
    distance = np.abs(centres[:, None] - np.arange(old)[None]) / max(1.0, scale)
    weights = np.clip(1 - distance, 0, None)
    return np.asarray(weights / weights.sum(1, keepdims=True), dtype=np.float32)
