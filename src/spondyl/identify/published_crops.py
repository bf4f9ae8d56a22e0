"""Crops as the published SpineNetV2 program cuts them, for the published weights.

The scan is rotated about the middle of the top edge of a vertebra's mean outline, so that the edge is level, and a
square of three edges is cut in whole pixels (Windsor et al. 2022, section 3.2, step 1, and the published code). That
program's errors are kept, because the networks were trained with them: the angle is tanh of the slope, and the
percentile that scales a crop is computed before the minimum is subtracted.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spondyl.geometry.instance import CORNERS, VertebraInstance
from spondyl.geometry.interpolate import resize_bicubic, sample_bicubic
from spondyl.geometry.stack import SagittalStack
from spondyl.types import Float, Float32

__all__ = ["published_crops"]

SIZE = 224
PLANES = 16
"""The rows, columns and sagittal planes of a crop."""

_ANTERIOR = CORNERS.index("anterior_superior")
_POSTERIOR = CORNERS.index("posterior_superior")


def published_crops(stack: SagittalStack, instances: Iterable[VertebraInstance]) -> Float32:
    """Crop vertebrae from a scan.

    A crop that extends above the scan is zero there; one that leaves it on another side is smaller before it is
    resized, even where the program, by an indexing error, returns an empty crop: on the anterior side, and above and
    behind at once. A crop that is completely outside the scan is zero.

    Args:
        stack: the scan.
        instances: n vertebrae in its index space.

    Returns:
        (n, 224, 224, 16) float32; rows down the body, columns anterior to posterior, planes right to left.
    """
    crops = [_crop(stack.voxels, instance.middle_outline) for instance in instances]
    return np.stack(crops) if crops else np.zeros((0, SIZE, SIZE, PLANES), np.float32)


def _crop(voxels: Float32, outline: Float) -> Float32:
    anterior, posterior = outline[_ANTERIOR], outline[_POSTERIOR]
    middle = (anterior + posterior) / 2
    turn = _turn(*(posterior - anterior))
    upright = (outline - middle) @ turn.T + middle
    edge = float(np.ptp(upright, axis=0).max())
    top, left = (int(start) for start in upright[_ANTERIOR] - edge)
    rows = np.arange(top, min(int(top + 3 * edge), voxels.shape[1]))
    columns = np.arange(max(left, 0), min(int(left + 3 * edge), voxels.shape[2]))
    if not (rows.size and columns.size):
        return np.zeros((SIZE, SIZE, PLANES), np.float32)
    place = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
    source = (place - middle) @ turn + middle
    box, origin = _box(voxels, source)
    cut = sample_bicubic(_planes(box), source[..., 0] - origin[0], source[..., 1] - origin[1])
    cut[rows < 0] = 0
    return _scale(resize_bicubic(cut, (SIZE, SIZE)))


def _box(voxels: Float32, points: Float) -> tuple[Float32, tuple[int, int]]:
    """The rows and columns of all slices that interpolation at these points (..., 2) reads, and the first of each."""
    last = np.array(voxels.shape[1:]) - 1
    low, high = (np.floor(end(points.reshape(-1, 2), axis=0)).astype(int) for end in (np.min, np.max))
    low, high = np.clip(low - 1, 0, last), np.clip(high + 2, 0, last)
    return voxels[:, low[0] : high[0] + 1, low[1] : high[1] + 1], (int(low[0]), int(low[1]))


def _planes(voxels: Float32) -> Float32:
    """Compute planes at i/16 of the slices, linear between two of them, (rows, columns, 16).

    The program crops and resizes every slice before it combines them; both are linear, so the order does not matter.
    """
    at = np.arange(PLANES) * len(voxels) / PLANES
    low = at.astype(np.intp)
    high = np.minimum(low + 1, len(voxels) - 1)
    planes = np.empty((*voxels.shape[1:], PLANES), np.float32)
    for plane, share in enumerate((at - low).astype(np.float32)):
        planes[..., plane] = voxels[low[plane]] * (1 - share) + voxels[high[plane]] * share
    return planes


def _turn(down: float, along: float) -> Float:
    """Compute the matrix (2, 2) that maps (row, column) of the scan to those of the rotated scan."""
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.nan_to_num(np.tanh(np.divide(down, along)))
    return np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])


def _scale(crop: Float32) -> Float32:
    """Scale a crop to (v - minimum) / (95th percentile of v + 1e-6)."""
    return np.asarray((crop - crop.min()) / (np.percentile(crop, 95) + 1e-6), dtype=np.float32)
