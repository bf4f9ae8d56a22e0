"""Connected regions of sparse masks: cost and memory follow the pixels that are set, not the size of the picture."""

from __future__ import annotations

import numpy as np

from spondyl.types import Index, Mask

__all__ = ["regions"]


def regions(mask: Mask) -> tuple[Index, Index, int]:
    """Find the regions of set pixels that touch by an edge or a corner, in each picture for itself.

    Args:
        mask: (..., rows, columns).

    Returns:
        Flat indices (n,) of the set pixels, ascending; the region of each (n,), counted from 0; how many regions.
    """
    rows, columns = mask.shape[-2:]
    pixels = np.flatnonzero(mask)
    begins = np.ones(len(pixels), bool)
    begins[1:] = (np.diff(pixels) != 1) | (pixels[1:] % columns == 0)
    upper, lower = _touching(pixels[begins], pixels[np.append(begins[1:], True)[: len(pixels)]], rows, columns)
    names, region_of_run = np.unique(_joined(int(begins.sum()), upper, lower), return_inverse=True)
    return pixels, region_of_run[np.cumsum(begins) - 1], len(names)


def _touching(first: Index, last: Index, rows: int, columns: int) -> tuple[Index, Index]:
    """Pairs of runs of pixels (first to last, flat indices) in successive rows of one picture that touch."""
    row = first // columns
    stride = columns + 2  # room for the column before the first and after the last, so that no row reaches the next
    start, end = row * stride + first % columns + 1, row * stride + last % columns + 1
    from_run = np.searchsorted(end, start + stride - 1)
    to_run = np.searchsorted(start, end + stride + 1, side="right")
    count = np.where((row + 1) % rows == 0, 0, to_run - from_run)
    upper = np.repeat(np.arange(len(row)), count)
    place = np.arange(len(upper)) - np.repeat(np.cumsum(count) - count, count)
    return upper, np.repeat(from_run, count) + place


def _joined(count: int, a: Index, b: Index) -> Index:
    """The smallest item that each of `count` items is joined to by the pairs (a, b), directly or through others."""
    names = np.arange(count)
    while True:
        least = np.minimum(names[a], names[b])
        if (names[a] == least).all() and (names[b] == least).all():
            return names
        np.minimum.at(names, names[a], least)
        np.minimum.at(names, names[b], least)
        while (names[names] != names).any():
            names = names[names]
