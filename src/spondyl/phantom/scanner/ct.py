"""Take a CT scan of a painted phantom.

Each voxel starts with the mean HU of its parts. White noise and trabecular texture are added, then blurred with the
image by the kernel, which keeps means and correlates the noise. Streaks from metal follow, then the gantry's circle and
rounding to whole HU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spondyl.phantom.scanner.partial_volume import average_slice, find_supersampling
from spondyl.phantom.scanner.protocol import CtKernel, CtProtocol
from spondyl.phantom.scene.material import Material, Tissue
from spondyl.phantom.scene.scene import Part, PartIds

__all__ = ["acquire_ct"]

_Image = NDArray[np.float32]

_OUTSIDE_HU, _MIN_HU, _MAX_HU = -1024.0, -1024.0, 3071.0
"""The padding outside the gantry's circle, and the range of the usual 12 bits."""

_SOFT_MM, _BONE_MM, _BONE_HALO_MM, _BONE_EDGE = 0.55, 0.35, 0.8, 0.35
"""The standard deviations of the point-spread functions, and the weight of a bone kernel's halo.

A soft kernel's full width is 1.3 mm. A bone kernel is sharper and subtracts a part of a wider blur, which raises edges
(assumed after the usual soft and sharp body kernels).
"""

_SOLID_ABOVE_HU = -500.0
_BONE_WEIGHT = 0.5
"""The extra attenuation of bone of 1000 HU along a ray over water's, at CT's energies (assumed)."""

_PATH_MM = 250.0
"""The path through water over which the noise's standard deviation grows by e.

Half of 0.02 per mm would give 100 mm; tube current modulation removes most of that.
"""

_TRABECULAE_HU = 500.0
"""The trabecular texture in HU over marrow's relative texture.

It gives about 50 HU: the deviation within a body of 60 to 85 HU without the noise of the muscle beside it (66 HU in
VerSe 014, 52 HU in the crop published with TPTBox).
"""

_METAL_HU = 3000.0
_STREAK_REACH_MM, _SHADOW_MM, _SHADOW = 45.0, 5.0, 1.5
"""The reach of streaks, the half width of the shadow between two screws, and its depth over a streak's (assumed)."""

_TURN_PER_MM = np.radians(1.5)
"""The turn of a fan of streaks along the patient, as the tube turns from slice to slice (assumed)."""


def acquire_ct(
    ids: PartIds, parts: tuple[Part, ...], protocol: CtProtocol, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Acquire a scan of a phantom.

    Args:
        ids: part of each sub-voxel, the protocol's shape or a whole multiple of it along each axis.
        parts: parts that the indices stand for.
        protocol: the scan's grid, kernel and imperfections.
        rng: random generator; the same state gives the same scan.

    Returns:
        HU, float32 whole numbers, of the protocol's shape, from -1024 to 3071.

    Raises:
        SettingError: the painted grid is no whole multiple of the protocol's.
    """
    painting = _Painting(ids=ids, parts=parts, factors=find_supersampling(ids.shape, protocol.shape))
    voxels = np.empty(protocol.shape, dtype=np.float32)
    for plane, mean_hu in zip(voxels, painting.average(lambda material: material.hu), strict=True):
        plane[:] = mean_hu
    metal = _find_metal(voxels, parts)
    _add_noise(voxels, painting, protocol, rng)
    _blur(voxels, protocol)
    _add_streaks(voxels, metal, protocol, rng)
    if protocol.cupping_hu > 0:
        _add_cupping(voxels, protocol)
    np.clip(np.rint(voxels, out=voxels), _MIN_HU, _MAX_HU, out=voxels)
    voxels[_find_outside_gantry(protocol)] = _OUTSIDE_HU
    return voxels


@dataclass(frozen=True, slots=True, kw_only=True)
class _Painting:
    """A painted grid: the part of each sub-voxel, the parts, and the sub-voxels of a voxel along each axis."""

    ids: PartIds
    parts: tuple[Part, ...]
    factors: tuple[int, int, int]

    def average(self, measure: Callable[[Material], float]) -> Iterator[_Image]:
        """Average a property of the materials over each voxel, plane by plane along the first axis."""
        table = np.array([measure(part.material) for part in self.parts], dtype=np.float32)
        for index in range(self.ids.shape[0] // self.factors[0]):
            yield average_slice(table, self.ids, index, self.factors)


def _find_metal(voxels: _Image, parts: tuple[Part, ...]) -> dict[int, NDArray[np.bool_]]:
    """Find the metal, (i, j), in each axial slice that holds some."""
    if not any(part.material.tissue is Tissue.METAL for part in parts):
        return {}
    held = np.flatnonzero(voxels.max(axis=(0, 1)) > _METAL_HU)
    return {int(k): voxels[:, :, k] > _METAL_HU for k in held}


def _estimate_noise(voxels: _Image, protocol: CtProtocol) -> _Image:
    """Estimate the noise's standard deviation in each axial slice, (k,): more where rays pass shoulders or pelvis."""
    width_mm = protocol.affine.spacing_mm[0]
    sample = voxels[:, ::4, :]
    water = np.clip(1.0 + np.maximum(sample, -1000.0) / 1000.0, 0.0, 1.0 + _BONE_WEIGHT)
    water[sample < _SOLID_ABOVE_HU] = 0.0
    path_mm = np.quantile(water.sum(axis=0) * width_mm, 0.9, axis=0)
    growth = np.exp((path_mm - np.median(path_mm)) / _PATH_MM)
    return np.asarray(protocol.noise_hu * np.clip(growth, 0.5, 2.5), dtype=np.float32)


def _get_texture_hu(material: Material) -> float:
    """Return the standard deviation within a tissue; marrow's comes from trabeculae, however few."""
    if material.tissue is Tissue.METAL:
        return 0.0
    return material.texture * (_TRABECULAE_HU if material.tissue is Tissue.MARROW else abs(material.hu))


def _add_noise(voxels: _Image, painting: _Painting, protocol: CtProtocol, rng: np.random.Generator) -> None:
    """Add white noise so strong that the kernel leaves the requested noise and each tissue's texture."""
    gain = float(np.prod([np.sqrt((kernel**2).sum()) for kernel in _make_kernels(protocol)]))
    squared = _estimate_noise(voxels, protocol) ** 2
    for plane, texture in zip(voxels, painting.average(_get_texture_hu), strict=True):
        spread = np.sqrt(texture * texture + squared) / np.float32(gain)
        plane += spread * rng.standard_normal(texture.shape, dtype=np.float32)


def _blur(voxels: _Image, protocol: CtProtocol) -> None:
    for axis, kernel in enumerate(_make_kernels(protocol)):
        ndimage.correlate1d(voxels, kernel, axis=axis, output=voxels, mode="nearest")


def _make_kernels(protocol: CtProtocol) -> list[NDArray[np.float64]]:
    """Make the point-spread function along each axis, which sums to 1."""
    kernels = []
    for spacing_mm in protocol.affine.spacing_mm:
        if protocol.kernel is CtKernel.SOFT:
            kernels.append(_make_gaussian(_SOFT_MM / spacing_mm))
        else:
            sharp, wide = _make_gaussian(_BONE_MM / spacing_mm), _make_gaussian(_BONE_HALO_MM / spacing_mm)
            kernels.append((1 + _BONE_EDGE) * sharp - _BONE_EDGE * wide)
    return kernels


def _make_gaussian(sigma: float) -> NDArray[np.float64]:
    """Make nine taps, enough for a standard deviation of 2.7 voxels, the widest blur on the finest grid."""
    offsets = np.arange(-4, 5)
    taps = np.exp(-0.5 * (offsets / sigma) ** 2)
    return np.asarray(taps / taps.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class _StreakFan:
    """The streaks around a piece of metal: their strength by angle, equal on both sides, (180,) for half a turn."""

    strength: NDArray[np.float64]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _StreakFan:
        noise = ndimage.gaussian_filter1d(rng.normal(size=180), 2.5, mode="wrap")
        return cls(strength=noise / noise.std())

    def at(self, angle: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the strength at angles in radians."""
        place = np.mod(angle, np.pi) * (180 / np.pi)
        return np.asarray(np.interp(place, np.arange(181), np.append(self.strength, self.strength[0])))


def _add_streaks(
    voxels: _Image, metal: dict[int, NDArray[np.bool_]], protocol: CtProtocol, rng: np.random.Generator
) -> None:
    """Add fans of bright and dark lines in the axial planes that hold metal, turning slowly from slice to slice."""
    if not metal or protocol.streak_hu == 0:
        return
    fan = _StreakFan.draw(rng)
    i, j = (
        np.arange(size) * spacing
        for size, spacing in zip(protocol.shape[:2], protocol.affine.spacing_mm[:2], strict=True)
    )
    for k, mask in metal.items():
        labels, count = ndimage.label(mask)
        centres = np.array(ndimage.center_of_mass(mask, labels, range(1, count + 1))) * protocol.affine.spacing_mm[:2]
        turn = _TURN_PER_MM * k * protocol.affine.spacing_mm[2]
        for centre in centres:
            x, y = (i - centre[0])[:, None], (j - centre[1])[None, :]
            fall = np.exp(-np.hypot(x, y) / _STREAK_REACH_MM)
            voxels[:, :, k] += (protocol.streak_hu * fall * fan.at(np.arctan2(y, x) + turn)).astype(np.float32)
        for start, end in pairwise(centres):
            voxels[:, :, k] -= (_SHADOW * protocol.streak_hu * _shape_shadow(i, j, start, end)).astype(np.float32)


def _shape_shadow(
    i: NDArray[np.float64], j: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the dark band between two pieces of metal, 0 to 1."""
    length = max(float(np.linalg.norm(end - start)), 1e-6)
    along = (end - start) / length
    x, y = (i - start[0])[:, None], (j - start[1])[None, :]
    t, across = x * along[0] + y * along[1], x * along[1] - y * along[0]
    return np.asarray(np.where((t > 0) & (t < length), np.exp(-0.5 * (across / _SHADOW_MM) ** 2), 0.0))


def _add_cupping(voxels: _Image, protocol: CtProtocol) -> None:
    """Darken the middle of the body against its rim, as beam hardening does."""
    share = 1 - (_measure_radius_mm(protocol) / (protocol.gantry_mm / 2)) ** 2
    lowered = (protocol.cupping_hu * np.clip(share, 0, 1)).astype(np.float32)
    for plane, lower in zip(voxels, lowered, strict=True):
        plane -= lower[:, None] * (plane > _SOLID_ABOVE_HU)


def _find_outside_gantry(protocol: CtProtocol) -> NDArray[np.bool_]:
    return np.asarray(_measure_radius_mm(protocol) > protocol.gantry_mm / 2)


def _measure_radius_mm(protocol: CtProtocol) -> NDArray[np.float64]:
    """Measure the distance of (i, j) from the grid's centre."""
    i, j = (
        (np.arange(size) - (size - 1) / 2) * spacing
        for size, spacing in zip(protocol.shape[:2], protocol.affine.spacing_mm[:2], strict=True)
    )
    return np.asarray(np.hypot(i[:, None], j[None, :]))
