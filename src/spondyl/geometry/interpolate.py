"""Interpolate images as the published SpineNetV2 program does.

The cubic kernel is Keys' with a = -0.75, that of PyTorch and OpenCV. Resizing aligns the outer edges of the images
(pixel centres lie at half-integers), repeats the border, and does not smooth when it shrinks.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from spondyl.types import Float, Float32, Index

__all__ = ["resize_bicubic", "resize_bilinear", "sample_bicubic"]

_A = -0.75
"""The slope of the cubic kernel at distance 1."""


def resize_bicubic(images: Float32, shape: tuple[int, int]) -> Float32:
    """Resize images (rows, columns, ...) to `shape` with the cubic kernel; float32."""
    return _resize(images, shape, cubic=True)


def resize_bilinear(images: Float32, shape: tuple[int, int]) -> Float32:
    """Resize images (rows, columns, ...) to `shape`, linearly; float32."""
    return _resize(images, shape, cubic=False)


def sample_bicubic(
    images: Annotated[Float32, "rows columns n"],
    at_row: Annotated[Float, "height width"],
    at_column: Annotated[Float, "height width"],
) -> Annotated[Float32, "height width n"]:
    """Sample images at any points; they are zero outside.

    Args:
        images: n of them, (rows, columns, n).
        at_row: (height, width) continuous row indices.
        at_column: (height, width) continuous column indices.

    Returns:
        (height, width, n) float32.
    """
    rows, columns, n = images.shape
    pixels = np.ascontiguousarray(images).reshape(-1, n)
    sampled = np.zeros((at_row.size, n), np.float32)
    row, down = _four_taps(at_row.ravel(), rows)
    column, right = _four_taps(at_column.ravel(), columns)
    for i in range(4):
        for j in range(4):
            weights = (down[:, i] * right[:, j]).astype(np.float32)
            sampled += pixels.take(row[:, i] * columns + column[:, j], axis=0) * weights[:, None]
    return sampled.reshape(*at_row.shape, n)


def _four_taps(at: Float, length: int) -> tuple[Index, Float]:
    """Compute indices and weights (n, 4) of the neighbours of points (n,); neighbours outside have weight 0."""
    first = np.floor(at)
    index = first[:, None].astype(np.intp) + np.arange(-1, 3)
    weights = np.where((index >= 0) & (index < length), _cubic_weights(at - first), 0.0)
    return np.clip(index, 0, length - 1), weights


def _resize(images: Float32, shape: tuple[int, int], *, cubic: bool) -> Float32:
    for axis, new in enumerate(shape):
        images = _resize_axis(images, axis, new, cubic=cubic)
    return images


def _resize_axis(images: Float32, axis: int, new: int, *, cubic: bool) -> Float32:
    """Resize along one axis: each new line is a weighted sum of four or two old ones."""
    old = images.shape[axis]
    centres = (np.arange(new) + 0.5) * old / new - 0.5
    first = np.floor(centres)
    share = centres - first
    weights = _cubic_weights(share) if cubic else np.stack([1 - share, share], axis=1)
    index = first[:, None].astype(np.intp) + np.arange(weights.shape[1]) - (1 if cubic else 0)
    index = np.clip(index, 0, old - 1)
    broadcast = [new if each == axis else 1 for each in range(images.ndim)]
    mixed = np.zeros((*images.shape[:axis], new, *images.shape[axis + 1 :]), np.float32)
    for tap in range(weights.shape[1]):
        mixed += images.take(index[:, tap], axis) * weights[:, tap].astype(np.float32).reshape(broadcast)
    return mixed


def _cubic_weights(share: Float) -> Float:
    """Compute the weights (n, 4) of the pixels at -1, 0, 1 and 2 for points at 0 <= share < 1, (n,)."""
    distance = np.abs(share[:, None] - np.arange(-1, 3))
    near = ((_A + 2) * distance - (_A + 3)) * distance**2 + 1
    far = _A * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, far)
