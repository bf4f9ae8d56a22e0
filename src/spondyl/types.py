"""Names for the arrays that pass between rooms; shape, axis order, unit and space stand in each docstring."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Float", "Float32", "Index", "Mask"]

Float = NDArray[np.float64]
"""Coordinates, distances, probabilities."""

Float32 = NDArray[np.float32]
"""Voxels, and what networks take and return."""

Index = NDArray[np.intp]
"""Places in other arrays."""

Mask = NDArray[np.bool_]
"""One truth value for each item."""
