"""How much a reader accepts before it looks at a single voxel."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from spondyl.errors import InputError

MAX_VOXELS = 10**9
"""A whole-body CT at 0.7 mm has 4e8 voxels; from here on a file is broken or hostile, and would fill the memory."""


def require_readable_shape(shape: Sequence[int]) -> None:
    """Refuse what is too large, empty or flat, judged from the header.

    Args:
        shape: length of every axis, further frames included.

    Raises:
        InputError: an axis is empty, or the voxels are 10^9 or more.
    """
    if not shape or min(shape) < 1:
        raise InputError(f"the scan has an empty axis: its header gives the shape {tuple(shape)}")
    if prod(int(n) for n in shape) >= MAX_VOXELS:
        raise InputError(f"the scan is too large: its header gives the shape {tuple(shape)}, the limit is 10^9 voxels")
