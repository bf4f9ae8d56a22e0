"""Take an MR scan of a painted phantom.

Each slice starts with the signal of its parts, averaged over sub-voxels by the slice's profile, for water and fat
apart. Texture and ghosts are added. In k-space, fat is shifted and the edges are cut off. Coil sensitivity,
wrap-around, noise and the magnitude follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from spondyl.phantom.scanner.mr_signal import compute_signals
from spondyl.phantom.scanner.partial_volume import average_slice, find_supersampling, pick_centres
from spondyl.phantom.scanner.protocol import Coil, GridShape, Imperfections, MrProtocol
from spondyl.phantom.scene.material import Tissue
from spondyl.phantom.scene.scene import Part, PartIds

__all__ = ["acquire_mr"]

_Image = NDArray[np.float32]

_FINE_MM, _COARSE_MM = 1.0, 4.0
"""The scales of a tissue's texture: trabeculae and fascicles, and islands of fat."""

_VOID_MM = (3.0, 7.0)
"""The distance over which metal removes the signal of spin echoes and of gradient echoes (assumed)."""

_METAL_SHARE = 0.15
"""The share of a voxel above which it counts as metal."""

_FAT_GHOST = 0.3
"""The strength of ghosts of breathing, strongest from subcutaneous fat, over those of flow (assumed)."""

_BAND_EDGE_MM, _BAND_REMAINDER = 4.0, 0.12
"""The blur of a saturation band's edge, and the share of the signal that the band leaves (assumed)."""

_MARGIN = 12
"""The pixels added around a slice before the Fourier transform.

They keep anything shifted or blurred from entering at the opposite edge, as phase oversampling and the receiver's
filter do.
"""

_EDGE_SHARE = 0.2
"""The share of the acquired k-space over which it fades, the usual mild filter against ringing."""


def acquire_mr(
    ids: PartIds, parts: tuple[Part, ...], protocol: MrProtocol, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Acquire a scan of a phantom.

    Args:
        ids: part of each sub-voxel of what the protocol excites, (slices, rows, columns) each times a whole number;
            sub-slices spread evenly over the slice's thickness.
        parts: parts that the indices stand for.
        protocol: the scan's grid, sequence and imperfections.
        rng: random generator; the same state gives the same scan.

    Returns:
        float32 of the protocol's shape, whole numbers from 0, brightest tissue near the protocol's full scale.

    Raises:
        SettingError: the painted grid is no whole multiple of the protocol's.
    """
    excited = protocol.excited
    scanner = _Scanner.prepare(ids, parts, excited, rng)
    clean = np.empty(excited.shape, dtype=np.float32)
    for index in range(excited.shape[0]):
        clean[index] = scanner.slice_signal(ids, index, rng)
    clean *= _draw_sensitivity(excited, rng)
    noise = _measure_body_signal(clean, ids, scanner) / protocol.imperfections.snr
    clean = _wrap_around(clean, protocol.margin)
    scale = protocol.full_scale / max(float(np.percentile(np.abs(clean[:, ::4, ::4]), 99.5)), 1e-6)
    window = _make_window(_pad_shape(protocol.shape), protocol.imperfections.resolution)
    for index in range(protocol.shape[0]):
        clean[index] = np.rint(scale * _add_rician_noise(clean[index], noise, window, rng))
    return clean


def _wrap_around(clean: _Image, margin: GridShape) -> _Image:
    """Return the field of view of (slices, rows, columns), onto which tissue beyond one end wraps at the other."""
    for axis in np.flatnonzero(margin):
        beyond = margin[axis]
        clean = np.moveaxis(clean, axis, 0)
        above, clean, below = clean[:beyond], clean[beyond:-beyond].copy(), clean[-beyond:]
        clean[-beyond:] += above
        clean[:beyond] += below
        clean = np.moveaxis(clean, 0, axis)
    return np.ascontiguousarray(clean)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scanner:
    """The tables of each part's properties and the filters of k-space, computed once for all slices."""

    protocol: MrProtocol
    factors: tuple[int, int, int]
    profile: _Image
    water: _Image
    fat: _Image
    texture: _Image
    flow: _Image
    is_body: NDArray[np.bool_]
    is_metal: NDArray[np.bool_]
    window: _Image
    fat_shift: NDArray[np.complex64]

    @classmethod
    def prepare(cls, ids: PartIds, parts: tuple[Part, ...], protocol: MrProtocol, rng: np.random.Generator) -> _Scanner:
        factors = find_supersampling(ids.shape, protocol.shape)
        water, fat = compute_signals(parts, protocol.contrast, rng)
        tissues = [part.material.tissue for part in parts]
        is_metal = np.array([tissue is Tissue.METAL for tissue in tissues])
        is_flowing = np.array([part.material.is_flowing for part in parts])
        return cls(
            protocol=protocol,
            factors=factors,
            profile=_make_slice_profile(factors[0]),
            water=water,
            fat=fat,
            texture=np.array([part.material.texture for part in parts], dtype=np.float32),
            flow=np.where(is_flowing, np.abs(water), 0).astype(np.float32),
            is_body=np.array([tissue is not Tissue.AIR for tissue in tissues]),
            is_metal=is_metal if np.isin(np.flatnonzero(is_metal), ids).any() else np.zeros_like(is_metal),
            window=_make_window(_pad_shape(protocol.shape), protocol.imperfections.resolution),
            fat_shift=_make_fat_shift(_pad_shape(protocol.shape), protocol.imperfections),
        )

    def slice_signal(self, ids: PartIds, index: int, rng: np.random.Generator) -> _Image:
        """Return the signed signal of one slice before coil and noise, (rows, columns)."""
        middle = pick_centres(ids, self.factors, index)
        grain = self._draw_texture(middle, rng)
        water = average_slice(self.water, ids, index, self.factors, self.profile) * grain
        fat = average_slice(self.fat, ids, index, self.factors, self.profile) * grain
        if self.is_metal.any():
            void = self._find_metal_void(ids, index)
            water, fat = water * void, fat * void
        water += self._draw_ghosts(self.flow[middle] + _FAT_GHOST * np.abs(fat), rng)
        water, fat = np.pad(water, _MARGIN, mode="edge"), np.pad(fat, _MARGIN, mode="edge")
        spectrum = fft.rfft2(water) + fft.rfft2(fat) * self.fat_shift
        return _crop_margin(fft.irfft2(spectrum * self.window, s=water.shape))

    def _draw_texture(self, middle: PartIds, rng: np.random.Generator) -> _Image:
        """Draw the factor of each pixel: smooth noise on two scales, as strong as each tissue's texture."""
        strength = self.texture[middle] * np.float32(self.protocol.imperfections.texture)
        noise = sum(
            _draw_smooth_noise(middle.shape, scale, self.protocol.pixel_mm, rng) for scale in (_FINE_MM, _COARSE_MM)
        )
        return np.asarray(np.maximum(1 + strength * noise * np.float32(0.5**0.5), 0), dtype=np.float32)

    def _find_metal_void(self, ids: PartIds, index: int) -> _Image:
        """Find the factor of each pixel that removes the signal in metal and around it."""
        metal = average_slice(self.is_metal.astype(np.float32), ids, index, self.factors)
        if not metal.any():
            return np.ones_like(metal)
        away_mm = ndimage.distance_transform_edt(metal < _METAL_SHARE, sampling=self.protocol.pixel_mm)
        reach_mm = _VOID_MM[self.protocol.sequence.is_gradient_echo]
        return np.asarray(np.clip(2.0 * away_mm / reach_mm - 1.0, 0, 1), dtype=np.float32)

    def _draw_ghosts(self, source: _Image, rng: np.random.Generator) -> _Image:
        """Draw copies of moving tissue on both sides along the phase axis, in or out of phase with the image."""
        faults = self.protocol.imperfections
        axis = 0 if faults.is_phase_along_rows else 1
        shift = round(faults.ghost_shift * source.shape[axis])
        strength = np.float32(faults.ghost * rng.choice((-1.0, 1.0)))
        return np.asarray(strength * (np.roll(source, shift, axis) + np.roll(source, -shift, axis)))


def _pad_shape(shape: GridShape) -> tuple[int, int]:
    return shape[1] + 2 * _MARGIN, shape[2] + 2 * _MARGIN


def _crop_margin(image: _Image) -> _Image:
    """Crop the margin around a slice."""
    return np.asarray(image[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN], dtype=np.float32)


def _make_slice_profile(depth: int) -> _Image:
    """Make the weights of the sub-slices: a Gaussian that falls to a half at the slice's faces."""
    place = (np.arange(depth) + 0.5) / depth - 0.5
    weights = np.exp(-4.0 * np.log(2.0) * place**2)
    return np.asarray(weights / weights.sum(), dtype=np.float32)


def _make_window(shape: tuple[int, int], resolution: tuple[float, float]) -> _Image:
    """Make the filter of k-space, (rows, columns // 2 + 1) as in `rfft2`: 1 within, fading to 0 at the edge."""
    rows, columns = (
        np.clip((share / 2 - np.abs(frequency)) / (_EDGE_SHARE * share / 2), 0, 1)
        if share < 1
        else np.ones(len(frequency))
        for share, frequency in zip(resolution, (fft.fftfreq(shape[0]), fft.rfftfreq(shape[1])), strict=True)
    )
    return np.asarray(np.outer(np.sin(np.pi / 2 * rows), np.sin(np.pi / 2 * columns)), dtype=np.float32)


def _make_fat_shift(shape: tuple[int, int], faults: Imperfections) -> NDArray[np.complex64]:
    """Make the phase that moves an image along the frequency axis, for multiplication with its `rfft2`."""
    rows, columns = fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :]
    along = columns + 0 * rows if faults.is_phase_along_rows else rows + 0 * columns
    return np.asarray(np.exp(-2j * np.pi * along * faults.chemical_shift_px), dtype=np.complex64)


def _draw_smooth_noise(
    shape: tuple[int, ...], scale_mm: float, pixel_mm: tuple[float, float], rng: np.random.Generator
) -> _Image:
    """Draw Gaussian noise of unit variance with this correlation, (rows, columns)."""
    sigma = [max(scale_mm / pixel, 0.3) for pixel in pixel_mm]
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, truncate=3.0)
    return np.asarray(noise / max(float(noise.std()), 1e-6), dtype=np.float32)


def _draw_sensitivity(protocol: MrProtocol, rng: np.random.Generator) -> _Image:
    """Draw the image that the coils make of a uniform body, (slices, rows, columns)."""
    slices, rows, columns = (
        (np.arange(size) - (size - 1) / 2) * spacing
        for size, spacing in zip(protocol.shape, protocol.affine.spacing_mm, strict=True)
    )
    coil = protocol.coil
    from_back_mm = columns[-1] - columns
    depth = 1 - coil.surface_share + coil.surface_share * np.exp(-from_back_mm / coil.depth_mm)
    length = 1 / (1 + (np.abs(rows) / coil.half_length_mm) ** 4)
    waves = _draw_unevenness(coil, (slices, rows, columns), rng)
    kept = _attenuate_band(columns - columns[0], protocol.imperfections.saturated_mm)
    return np.asarray(np.exp(waves) * (length[:, None] * (depth * kept)[None, :]).astype(np.float32), dtype=np.float32)


def _attenuate_band(from_front_mm: NDArray[np.float64], saturated_mm: float) -> NDArray[np.float64]:
    """Return the factor of each column: a saturation band in front leaves little of the abdomen's signal."""
    if saturated_mm == 0:
        return np.ones_like(from_front_mm)
    inside = 1 / (1 + np.exp((from_front_mm - saturated_mm) / _BAND_EDGE_MM))
    return np.asarray(1 - (1 - _BAND_REMAINDER) * inside)


def _draw_unevenness(coil: Coil, axes_mm: tuple[NDArray[np.float64], ...], rng: np.random.Generator) -> _Image:
    """Draw three plane waves, 250 to 800 mm long, that together have the requested standard deviation."""
    s, r, c = np.ix_(*(axis.astype(np.float32) for axis in axes_mm))
    total = np.zeros((s.size, r.size, c.size), dtype=np.float32)
    for _ in range(3):
        direction = rng.normal(size=3)
        wave = (2 * np.pi / rng.uniform(250.0, 800.0) * direction / np.linalg.norm(direction)).astype(np.float32)
        total += np.cos(wave[0] * s + wave[1] * r + wave[2] * c + np.float32(rng.uniform(0, 2 * np.pi)))
    return np.asarray(np.float32(coil.unevenness * (2 / 3) ** 0.5) * total)


def _measure_body_signal(clean: _Image, ids: PartIds, scanner: _Scanner) -> float:
    """Measure the mean magnitude inside the body; 0 where there is none."""
    total, count = 0.0, 0
    for index, image in enumerate(clean):
        inside = scanner.is_body[pick_centres(ids, scanner.factors, index)]
        total, count = total + float(np.abs(image[inside]).sum(dtype=np.float64)), count + int(inside.sum())
    return total / count if count else 0.0


def _add_rician_noise(image: _Image, noise: float, window: _Image, rng: np.random.Generator) -> _Image:
    """Add Rician noise: Gaussian in both channels, as finely resolved as the image, before the magnitude."""
    shape = _pad_shape((1, *image.shape))
    gain = float(np.sqrt(np.mean(_complete_window(window, shape[1]) ** 2)))
    real, imaginary = (
        _crop_margin(fft.irfft2(fft.rfft2(rng.standard_normal(shape, dtype=np.float32)) * window, s=shape))
        for _ in range(2)
    )
    return np.asarray(np.hypot(image + noise / gain * real, noise / gain * imaginary), dtype=np.float32)


def _complete_window(window: _Image, columns: int) -> _Image:
    """Complete the window to all frequencies, of which `rfft2` keeps a half."""
    return np.concatenate([window, window[:, 1 : columns - window.shape[1] + 1]], axis=1)
