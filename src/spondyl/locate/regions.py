"""Connected regions of sparse masks, at a cost that depends on the set pixels, not on the size of the image."""

from __future__ import annotations

import numpy as np

from spondyl.types import Index, Mask

__all__ = ["find_regions"]


def find_regions(mask: Mask) -> tuple[Index, Index, int]:
    """Find the regions of set pixels that touch by an edge or a corner, in each image separately.

    Args:
        mask: (..., rows, columns).

    Returns:
        Flat indices (n,) of the set pixels, ascending; the region of each (n,), counted from 0; the number of regions.
    """
    rows, columns = mask.shape[-2:]
    pixels = np.flatnonzero(mask)
    begins = np.ones(len(pixels), bool)
    begins[1:] = (np.diff(pixels) != 1) | (pixels[1:] % columns == 0)
    upper, lower = _find_touching(pixels[begins], pixels[np.append(begins[1:], True)[: len(pixels)]], rows, columns)
    names, region_of_run = np.unique(_join(int(begins.sum()), upper, lower), return_inverse=True)
    return pixels, region_of_run[np.cumsum(begins) - 1], len(names)


def _find_touching(first: Index, last: Index, rows: int, columns: int) -> tuple[Index, Index]:
    """Find the pairs of runs of pixels (first to last, flat indices) in successive rows of an image that touch."""
    row = first // columns
    stride = columns + 2  # with a column before the first and after the last, so that rows do not touch
    start, end = row * stride + first % columns + 1, row * stride + last % columns + 1
    from_run = np.searchsorted(end, start + stride - 1)
    to_run = np.searchsorted(start, end + stride + 1, side="right")
    count = np.where((row + 1) % rows == 0, 0, to_run - from_run)
    upper = np.repeat(np.arange(len(row)), count)
    place = np.arange(len(upper)) - np.repeat(np.cumsum(count) - count, count)
    return upper, np.repeat(from_run, count) + place


def _join(count: int, a: Index, b: Index) -> Index:
    """Find the smallest item to which each of `count` items is joined by the pairs (a, b), directly or indirectly."""
    names = np.arange(count)
    while True:
        smallest = np.minimum(names[a], names[b])
        if (names[a] == smallest).all() and (names[b] == smallest).all():
            return names
        np.minimum.at(names, names[a], smallest)
        np.minimum.at(names, names[b], smallest)
        while (names[names] != names).any():
            names = names[names]
