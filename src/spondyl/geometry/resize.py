"""Resizing slices without aliasing."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from spondyl.types import Float, Float32, Index

__all__ = ["resize_slices"]

_BLOCK = 1024
"""The number of columns in one matrix product; more would only add zero weights."""


def resize_slices(
    slices: Annotated[Float32, "n rows columns"], pixel_mm: Annotated[Float, "2"], target_mm: float
) -> tuple[Annotated[Float32, "n new_rows new_columns"], Annotated[Float, "2"]]:
    """Resample slices in their plane to a common pixel spacing.

    Args:
        slices: (n, rows, columns).
        pixel_mm: (2,) spacing of rows and columns.
        target_mm: wanted spacing; the actual one differs because the image has a whole number of pixels.

    Returns:
        (n, new rows, new columns), and scale (2,): new index x lies at old index (x + 0.5) * scale - 0.5.
    """
    old = np.array(slices.shape[1:])
    new = np.maximum(1, np.rint(old * pixel_mm / target_mm).astype(int))
    shorter = _mix_rows(slices, int(new[0]))
    return _mix_columns(shorter.reshape(-1, old[1]), int(new[1])).reshape(len(slices), *new), old / new


def _mix_rows(slices: Float32, new: int) -> Float32:
    """Resample the rows: (n, old, columns) to (n, new, columns)."""
    old_rows, weights = _taps(slices.shape[1], new)
    mixed = np.zeros((len(slices), new, slices.shape[2]), np.float32)
    for rows, weight in zip(old_rows.T, weights.T, strict=True):
        mixed += slices[:, rows] * weight[:, None]
    return mixed


def _mix_columns(rows: Float32, new: int) -> Float32:
    """Resample the columns: (n, old) to (n, new), by a matrix product for each block of new columns."""
    old_columns, weights = _taps(rows.shape[1], new)
    mixed = np.empty((len(rows), new), np.float32)
    size = max(1, _BLOCK * new // rows.shape[1])
    for start in range(0, new, size):
        block = slice(start, start + size)
        first, last = old_columns[block].min(), old_columns[block].max()
        dense = np.zeros((len(old_columns[block]), last + 1 - first), np.float32)
        np.put_along_axis(dense, old_columns[block] - first, weights[block], 1)
        np.matmul(rows[:, first : last + 1], dense.T, out=mixed[:, block])
    return mixed


def _taps(old: int, new: int) -> tuple[Index, Float32]:
    """Compute the old pixels that contribute to each new one, (new, reach), and their weights, which sum to 1.

    Interpolation is linear; where pixels grow, the kernel is a triangle of the new spacing. The border is repeated.
    """
    scale = old / new
    width = max(1.0, scale)
    reach = min(old, int(np.ceil(2 * width)))
    centres = (np.arange(new) + 0.5) * scale - 0.5
    first = np.clip(np.ceil(centres - width), 0, old - reach).astype(np.intp)
    pixels = first[:, None] + np.arange(reach)
    weights = np.clip(1 - np.abs(centres[:, None] - pixels) / width, 0, None)
    return pixels, np.asarray(weights / weights.sum(1, keepdims=True), dtype=np.float32)
