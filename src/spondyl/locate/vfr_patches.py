"""Vertebral bodies by vector-field regression in overlapping patches, the paper's way (SpineNetV2, section 3.1.1)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.resize import resize_slices
from spondyl.geometry.stack import SagittalStack
from spondyl.locate.vfr import PAPER_HEAT, batches, decode_maps, group_outlines
from spondyl.nets.network import LoadedNetwork, Network
from spondyl.reading import Candidates, Locate
from spondyl.study import Study
from spondyl.types import Float32

__all__ = ["detect_in_patches", "open_patches"]

_PATCH_MM = 260.0
_PATCH = 224
_PATCH_OVERLAP = 0.4
"""SpineNetV2's patches: edge, pixels, and the share by which neighbours overlap (section 3.1.1, the published code)."""


def open_patches(networks: Mapping[str, LoadedNetwork]) -> Locate:
    """Open the method that passes slices in overlapping patches."""
    network = networks["vfr"].run

    def locate(study: Study) -> Candidates:
        return Candidates.from_bodies(detect_in_patches(study.sagittal, network))

    return locate


def detect_in_patches(stack: SagittalStack, network: Network) -> tuple[VertebraInstance, ...]:
    """Find the vertebral bodies of a scan as SpineNetV2 does, in overlapping square patches (section 3.1.1).

    Patches of 26 cm (or the shorter edge of the slice) and 224 pixels overlap by 40 %, and each is normalised
    separately. Where they overlap their maps are averaged, weighted by the squared distance to the patch's border,
    since a body that one patch cuts and another shows whole would be lost in a plain mean (the published code's) or
    median (the paper's). The slice is resampled once before it is cut; the paper resamples every patch.

    Args:
        stack: the scan.
        network: the vector-field regression network, for (n, 1, 224, 224).

    Returns:
        Bodies from head to foot, outlines in the stack's own indices.
    """
    size_mm = np.array(stack.voxels.shape[1:]) * stack.pixel_mm
    pixel_mm = min(_PATCH_MM, *size_mm) / _PATCH
    found = []
    for batch in batches(len(stack.voxels), size_mm.prod() / pixel_mm**2):
        slices, scale = resize_slices(stack.voxels[batch], stack.pixel_mm, pixel_mm)
        maps = _predict_in_patches(slices, network)
        found.append(decode_maps(maps, corner_heat=PAPER_HEAT, centroid_heat=PAPER_HEAT, first_slice=batch.start))
    return group_outlines(found, scale, stack.affine)


def _predict_in_patches(slices: Float32, network: Network) -> Float32:
    """Predict the maps (n, 13, rows, columns) of slices (n, rows, columns), averaged over the patches."""
    rows, columns = slices.shape[1:]
    slices = np.pad(slices, ((0, 0), (0, max(0, _PATCH - rows)), (0, max(0, _PATCH - columns))))
    total = np.zeros((len(slices), 13, *slices.shape[1:]), np.float32)
    weights = np.zeros(slices.shape[1:], np.float32)
    depth = np.minimum(np.arange(_PATCH), np.arange(_PATCH)[::-1]) + 1.0
    weight = (np.minimum(depth[:, None], depth) ** 2).astype(np.float32)
    for top in _patch_starts(slices.shape[1]):
        for left in _patch_starts(slices.shape[2]):
            window = (slice(top, top + _PATCH), slice(left, left + _PATCH))
            total[:, :, *window] += weight * network(_normalise_patches(slices[:, *window])[:, None])
            weights[window] += weight
    total /= weights
    return total[:, :, :rows, :columns]


def _patch_starts(length: int) -> list[int]:
    starts = list(range(0, length - _PATCH, int(_PATCH * (1 - _PATCH_OVERLAP))))
    return [*starts, length - _PATCH]


def _normalise_patches(patches: Float32) -> Float32:
    """Normalise each patch to (x - minimum) / (99.5th - 0.5th percentile), as the published code does."""
    low, high = np.percentile(patches, [0.5, 99.5], axis=(1, 2), keepdims=True)
    lowest = patches.min(axis=(1, 2), keepdims=True)
    return np.asarray((patches - lowest) / np.maximum(high - low, 1e-6), dtype=np.float32)
