"""Take a CT scan of a painted phantom.

The way of a voxel: HU of its parts -> noise and trabecular texture, white -> the kernel's blur over both, which leaves
means as they are and correlates the noise -> streaks from metal -> the gantry's circle -> whole HU.
"""

from __future__ import annotations

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
"""Padding outside the gantry's circle, and the range of the usual 12 bits."""

_SOFT_MM, _BONE_MM, _BONE_HALO_MM, _BONE_EDGE = 0.55, 0.35, 0.8, 0.35
"""Standard deviations of the point-spread functions: a soft kernel's full width is 1.3 mm; a bone kernel is sharper and
takes away a part of a wider blur, which raises edges (assumed after the usual soft and sharp body kernels)."""

_SOLID_ABOVE_HU = -500.0
_BONE_WEIGHT = 0.5
"""Extra attenuation of bone of 1000 HU on a ray's way beside water's, at CT's energies (assumed)."""

_PATH_MM = 250.0
"""Way through water over which the noise's standard deviation grows by e: half of 0.02 per mm would be 100 mm; tube
current modulation takes back most of that."""

_TRABECULAE_HU = 500.0
"""Times marrow's texture: about 50 HU, as is left of the deviation within a body of 60 to 85 HU when the noise of the
muscle beside it is taken away (66 HU in VerSe 014, 52 HU in the crop published with TPTBox)."""

_METAL_HU = 3000.0
_STREAK_REACH_MM, _SHADOW_MM, _SHADOW = 45.0, 5.0, 1.5
"""How far streaks reach, half the width of the shadow between two screws, and its depth over a streak's (assumed)."""

_TURN_PER_MM = np.radians(1.5)
"""How fast a fan of streaks turns along the patient, as the tube does from slice to slice (assumed)."""


def acquire_ct(
    ids: PartIds, parts: tuple[Part, ...], protocol: CtProtocol, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Scan a phantom.

    Args:
        ids: part of each sub-voxel, the protocol's shape or a whole multiple of it along each axis.
        parts: what the numbers mean.
        protocol: the scan's grid, kernel and imperfections.
        rng: source of chance; the same state gives the same scan.

    Returns:
        HU, float32 whole numbers, of the protocol's shape, from -1024 to 3071.

    Raises:
        SettingError: the painted grid is no whole multiple of the protocol's.
    """
    factors = find_supersampling(ids.shape, protocol.shape)
    voxels = _average_attenuation(ids, parts, factors, protocol)
    metal = _find_metal(voxels, parts)
    noise = _estimate_noise(voxels, protocol)
    _add_noise(voxels, ids, parts, factors, noise, protocol, rng)
    _blur(voxels, protocol)
    _add_streaks(voxels, metal, protocol, rng)
    if protocol.cupping_hu > 0:
        _add_cupping(voxels, protocol)
    np.clip(np.rint(voxels, out=voxels), _MIN_HU, _MAX_HU, out=voxels)
    voxels[_find_outside_gantry(protocol)] = _OUTSIDE_HU
    return voxels


def _average_attenuation(
    ids: PartIds, parts: tuple[Part, ...], factors: tuple[int, int, int], protocol: CtProtocol
) -> _Image:
    table = np.array([part.material.hu for part in parts], dtype=np.float32)
    voxels = np.empty(protocol.shape, dtype=np.float32)
    for index in range(protocol.shape[0]):
        voxels[index] = average_slice(table, ids, index, factors)
    return voxels


def _find_metal(voxels: _Image, parts: tuple[Part, ...]) -> dict[int, NDArray[np.bool_]]:
    """Where metal lies, (i, j), in each axial slice that holds some."""
    if not any(part.material.tissue is Tissue.METAL for part in parts):
        return {}
    held = np.flatnonzero(voxels.max(axis=(0, 1)) > _METAL_HU)
    return {int(k): voxels[:, :, k] > _METAL_HU for k in held}


def _estimate_noise(voxels: _Image, protocol: CtProtocol) -> _Image:
    """Standard deviation of the noise in each axial slice: more where rays pass shoulders or pelvis, (k,)."""
    width_mm = protocol.affine.spacing_mm[0]
    sample = voxels[:, ::4, :]
    water = np.clip(1.0 + np.maximum(sample, -1000.0) / 1000.0, 0.0, 1.0 + _BONE_WEIGHT)
    water[sample < _SOLID_ABOVE_HU] = 0.0
    path_mm = np.quantile(water.sum(axis=0) * width_mm, 0.9, axis=0)
    growth = np.exp((path_mm - np.median(path_mm)) / _PATH_MM)
    return np.asarray(protocol.noise_hu * np.clip(growth, 0.5, 2.5), dtype=np.float32)


def _get_texture_hu(stuff: Material) -> float:
    """Standard deviation within a tissue; marrow's comes from trabeculae, however few."""
    if stuff.tissue is Tissue.METAL:
        return 0.0
    return stuff.texture * (_TRABECULAE_HU if stuff.tissue is Tissue.MARROW else abs(stuff.hu))


def _add_noise(
    voxels: _Image,
    ids: PartIds,
    parts: tuple[Part, ...],
    factors: tuple[int, int, int],
    noise_hu: _Image,
    protocol: CtProtocol,
    rng: np.random.Generator,
) -> None:
    """White noise of such strength that the kernel leaves what was asked, and each tissue's texture with it."""
    gain = float(np.prod([np.sqrt((kernel**2).sum()) for kernel in _make_kernels(protocol)]))
    table = np.array([_get_texture_hu(part.material) for part in parts], dtype=np.float32)
    squared = noise_hu**2
    for index in range(protocol.shape[0]):
        own = average_slice(table, ids, index, factors)
        spread = np.sqrt(own * own + squared) / np.float32(gain)
        voxels[index] += spread * rng.standard_normal(own.shape, dtype=np.float32)


def _blur(voxels: _Image, protocol: CtProtocol) -> None:
    for axis, kernel in enumerate(_make_kernels(protocol)):
        ndimage.correlate1d(voxels, kernel, axis=axis, output=voxels, mode="nearest")


def _make_kernels(protocol: CtProtocol) -> list[NDArray[np.float64]]:
    """The point-spread function along each axis, adding to 1."""
    kernels = []
    for spacing_mm in protocol.affine.spacing_mm:
        if protocol.kernel is CtKernel.SOFT:
            kernels.append(_make_gaussian(_SOFT_MM / spacing_mm))
        else:
            sharp, wide = _make_gaussian(_BONE_MM / spacing_mm), _make_gaussian(_BONE_HALO_MM / spacing_mm)
            kernels.append((1 + _BONE_EDGE) * sharp - _BONE_EDGE * wide)
    return kernels


def _make_gaussian(sigma: float) -> NDArray[np.float64]:
    """Nine taps, enough for a standard deviation of 2.7 voxels, the widest blur on the finest grid."""
    offsets = np.arange(-4, 5)
    taps = np.exp(-0.5 * (offsets / sigma) ** 2)
    return np.asarray(taps / taps.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class _StreakFan:
    """Streaks around a piece of metal: their strength by angle, the same to both sides, (180,) for half a turn."""

    strength: NDArray[np.float64]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _StreakFan:
        noise = ndimage.gaussian_filter1d(rng.normal(size=180), 2.5, mode="wrap")
        return cls(strength=noise / noise.std())

    def at(self, angle: NDArray[np.float64]) -> NDArray[np.float64]:
        """Strength at angles in radians."""
        place = np.mod(angle, np.pi) * (180 / np.pi)
        return np.asarray(np.interp(place, np.arange(181), np.append(self.strength, self.strength[0])))


def _add_streaks(
    voxels: _Image, metal: dict[int, NDArray[np.bool_]], protocol: CtProtocol, rng: np.random.Generator
) -> None:
    """Fans of bright and dark lines in the axial planes that hold metal, turning slowly from slice to slice."""
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
        for one, other in pairwise(centres):
            voxels[:, :, k] -= (_SHADOW * protocol.streak_hu * _shape_shadow(i, j, one, other)).astype(np.float32)


def _shape_shadow(
    i: NDArray[np.float64], j: NDArray[np.float64], one: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The dark band between two pieces of metal, 0 to 1."""
    length = max(float(np.linalg.norm(other - one)), 1e-6)
    along = (other - one) / length
    x, y = (i - one[0])[:, None], (j - one[1])[None, :]
    t, across = x * along[0] + y * along[1], x * along[1] - y * along[0]
    return np.asarray(np.where((t > 0) & (t < length), np.exp(-0.5 * (across / _SHADOW_MM) ** 2), 0.0))


def _add_cupping(voxels: _Image, protocol: CtProtocol) -> None:
    """Beam hardening: the middle of what is solid is darker than its rim."""
    share = 1 - (_measure_radius_mm(protocol) / (protocol.gantry_mm / 2)) ** 2
    lowered = (protocol.cupping_hu * np.clip(share, 0, 1)).astype(np.float32)
    for plane, lower in zip(voxels, lowered, strict=True):
        plane -= lower[:, None] * (plane > _SOLID_ABOVE_HU)


def _find_outside_gantry(protocol: CtProtocol) -> NDArray[np.bool_]:
    return np.asarray(_measure_radius_mm(protocol) > protocol.gantry_mm / 2)


def _measure_radius_mm(protocol: CtProtocol) -> NDArray[np.float64]:
    """Distance of (i, j) from the grid's centre."""
    i, j = (
        (np.arange(size) - (size - 1) / 2) * spacing
        for size, spacing in zip(protocol.shape[:2], protocol.affine.spacing_mm[:2], strict=True)
    )
    return np.asarray(np.hypot(i[:, None], j[None, :]))
