"""A simple synthetic lumbar spine as T2-weighted sagittal MR: enough to try the program without a patient's scan.

Bodies, discs, canal with conus and roots, spinous processes, fat, muscle, an aorta. It has the proportions and the
contrast of a real scan, not its detail; nothing should be trained on it or measured with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spondyl.anatomy.level import Level
from spondyl.geometry.affine import Affine, Float
from spondyl.imaging.volume import Modality, Volume

__all__ = ["Phantom", "simple_lumbar"]

_SHAPE = (15, 240, 320)
_SPACING_MM = (4.0, 0.9, 0.9)

_COLUMN: tuple[tuple[Level, float, float, float, float], ...] = (
    (Level.T11, 23.0, 30.0, -16.0, 5.0),
    (Level.T12, 24.5, 31.0, -15.0, 6.0),
    (Level.L1, 26.0, 32.0, -13.0, 7.5),
    (Level.L2, 27.0, 33.5, -9.0, 9.0),
    (Level.L3, 27.5, 34.5, -3.0, 10.0),
    (Level.L4, 27.5, 35.0, 6.0, 11.0),
    (Level.L5, 27.5, 35.0, 20.0, 11.0),
    (Level.S1, 28.0, 29.0, 43.0, 4.0),
    (Level.S2, 24.0, 20.0, 58.0, 0.0),
)
"""Level, height and depth of the body, tilt in degrees (anterior edge down), height of the disc below; mm.

Round numbers within the adult ranges of the usual morphometric tables."""

_HALF_WIDTH_MM = 22.0
_AIR, _SKIN_FAT, _MUSCLE, _BELLY = 0.01, 0.85, 0.22, 0.42
_MARROW, _CORTEX, _ANNULUS, _NUCLEUS = 0.42, 0.10, 0.14, 0.62
_CSF, _CORD, _FLOW_VOID = 0.95, 0.45, 0.04
_SIGNAL = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """A synthetic scan with its truth.

    Args:
        volume: the scan.
        centroids_ras_mm: centre of each body, (3,).
        corners_ras_mm: of each body in the midline, posterior superior, posterior inferior, anterior inferior, anterior
            superior, (4, 3).
    """

    volume: Volume
    centroids_ras_mm: Mapping[Level, Float]
    corners_ras_mm: Mapping[Level, Float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Body:
    level: Level
    height_mm: float
    depth_mm: float
    tilt: float
    """Radians, anterior edge down."""
    disc_mm: float
    centre: Float
    """(anterior, superior) mm."""

    @property
    def up(self) -> Float:
        return np.array([np.sin(self.tilt), np.cos(self.tilt)])

    @property
    def forward(self) -> Float:
        return np.array([np.cos(self.tilt), -np.sin(self.tilt)])

    @property
    def corners_ras_mm(self) -> Float:
        up, forward = self.up * self.height_mm / 2, self.forward * self.depth_mm / 2
        around = (up - forward, -up - forward, forward - up, up + forward)
        return np.array([[0.0, *(self.centre + offset)] for offset in around])


def simple_lumbar(seed: int = 0) -> Phantom:
    """Make a synthetic lumbar spine, T11 to S2, of 15 sagittal slices.

    Args:
        seed: the same seed gives the same scan.
    """
    random = np.random.default_rng(seed)
    bodies = _column(random)
    affine = Affine.from_axes(np.eye(3), _SPACING_MM, -np.array(_SPACING_MM) * (np.array(_SHAPE) - 1) / 2)
    lateral, anterior, superior = np.moveaxis(affine.to_world(np.moveaxis(np.indices(_SHAPE), 0, -1)), -1, 0)
    tissue = _soft_tissue(bodies, lateral, anterior, superior, random)
    _paint_canal(tissue, bodies, lateral, anterior, superior)
    for upper, lower in pairwise(bodies):
        _paint_disc(tissue, upper, lower, random.uniform(0.5, 1.1), lateral, anterior, superior)
    for body in bodies:
        _paint_body(tissue, body, lateral, anterior, superior)
    volume = Volume(
        voxels=_acquire(tissue, random),
        affine=affine,
        modality=Modality.MR,
        source={"format": "phantom", "seed": seed},
    )
    return Phantom(
        volume=volume,
        centroids_ras_mm={body.level: np.array([0.0, *body.centre]) for body in bodies},
        corners_ras_mm={body.level: body.corners_ras_mm for body in bodies},
    )


def _column(random: np.random.Generator) -> list[_Body]:
    """Stack the bodies from T11 down, then shift L3 to the middle of the image."""
    size, sway = random.uniform(0.93, 1.07), random.uniform(0.8, 1.15)
    bodies: list[_Body] = []
    for level, height, depth, tilt_deg, disc in _COLUMN:
        tilt = np.radians(tilt_deg * sway + random.normal(0, 0.7))
        body = _Body(
            level=level,
            height_mm=height * size * random.normal(1, 0.015),
            depth_mm=depth * size,
            tilt=float(tilt),
            disc_mm=disc * size * random.uniform(0.8, 1.1),
            centre=np.zeros(2),
        )
        bodies.append(_below(bodies[-1], body) if bodies else body)
    shift = np.array([18.0, 25.0]) - bodies[4].centre
    return [replace(body, centre=body.centre + shift) for body in bodies]


def _below(upper: _Body, lower: _Body) -> _Body:
    tilt = (upper.tilt + lower.tilt) / 2
    end = upper.centre - upper.up * upper.height_mm / 2
    middle = end - np.array([np.sin(tilt), np.cos(tilt)]) * upper.disc_mm
    return replace(lower, centre=middle - lower.up * lower.height_mm / 2)


def _soft_tissue(
    bodies: list[_Body], lateral: Float, anterior: Float, superior: Float, random: np.random.Generator
) -> Float:
    """Belly in front, muscle and spinous processes behind, fat and skin around."""
    wall = _along(bodies, superior, lambda body: body.centre - body.forward * body.depth_mm / 2)
    behind = wall - anterior
    tissue = _BELLY * (1 + 0.22 * _smooth_noise(_SHAPE, 9.0, random))
    tissue[behind > 0] = _MUSCLE
    marbled = (np.abs(lateral) > 6) & (behind > 20)
    tissue[marbled] *= (1 + 0.35 * _smooth_noise(_SHAPE, 3.0, random))[marbled]
    midline = np.abs(lateral) < 5
    for body in bodies[:-1]:
        process = body.centre - body.up * 0.45 * body.height_mm
        near = np.abs(superior - process[1] + 0.25 * (behind - 30)) < 8
        tissue[midline & near & (behind > 22) & (behind < 50)] = _MARROW * 0.9
    back, belly = behind > 62 + 6 * np.cos(superior / 60), anterior > 88
    tissue[back | belly] = _SKIN_FAT
    tissue[(behind > 84 + 6 * np.cos(superior / 60)) | (anterior > 102)] = _AIR
    aorta = _along(bodies, superior, lambda body: body.centre + body.forward * (body.depth_mm / 2 + 13))
    above_bifurcation = superior > bodies[5].centre[1]
    tissue[(np.hypot(lateral + 8, anterior - aorta) < 8.5) & above_bifurcation] = _FLOW_VOID
    return tissue


def _paint_canal(tissue: Float, bodies: list[_Body], lateral: Float, anterior: Float, superior: Float) -> None:
    """CSF with the cord down to L1 and the roots behind it; epidural fat behind the sac."""
    centre = _along(bodies, superior, lambda body: body.centre - body.forward * (body.depth_mm / 2 + 9.5))
    narrowing = np.clip((superior - bodies[-1].centre[1]) / 50, 0.35, 1)
    across = np.hypot(lateral / 10, (anterior - centre) / 7.5) / narrowing
    tissue[across < 1.3] = _SKIN_FAT * 0.9
    tissue[across < 1.08] = _CORTEX
    tissue[across < 1] = _CSF
    is_cord = np.hypot(lateral / 5, (anterior - centre) / 4) < np.clip((superior - bodies[2].centre[1]) / 12, 0, 1)
    is_root = (across < 0.85) & (anterior < centre - 2) & (superior < bodies[2].centre[1])
    tissue[is_root] = _CSF * (0.72 + 0.1 * np.sin(2.4 * (anterior - centre)[is_root]))
    tissue[is_cord] = _CORD


def _paint_disc(
    tissue: Float, upper: _Body, lower: _Body, water: float, lateral: Float, anterior: Float, superior: Float
) -> None:
    tilt = (upper.tilt + lower.tilt) / 2
    middle = (upper.centre - upper.up * upper.height_mm / 2 + lower.centre + lower.up * lower.height_mm / 2) / 2
    forward, up = np.array([np.cos(tilt), -np.sin(tilt)]), np.array([np.sin(tilt), np.cos(tilt)])
    v = (anterior - middle[0]) * forward[0] + (superior - middle[1]) * forward[1]
    u = (anterior - middle[0]) * up[0] + (superior - middle[1]) * up[1]
    half_depth = (upper.depth_mm + lower.depth_mm) / 4 + 1
    radius = np.hypot(v / half_depth, lateral / (_HALF_WIDTH_MM + 1))
    gap = upper.disc_mm / 2 + 0.12 * np.abs(v) + 2.5
    tissue[(radius < 1) & (np.abs(u) < gap)] = _ANNULUS
    nucleus = np.hypot(radius / 0.68, u / (upper.disc_mm / 2 + 1.2)) < 1
    tissue[nucleus] = _NUCLEUS * water


def _paint_body(tissue: Float, body: _Body, lateral: Float, anterior: Float, superior: Float) -> None:
    """A waisted, slightly biconcave body: a dark cortex around marrow, edges softened over one pixel."""
    offset_a, offset_s = anterior - body.centre[0], superior - body.centre[1]
    v = offset_a * body.forward[0] + offset_s * body.forward[1]
    u = offset_a * body.up[0] + offset_s * body.up[1]
    half_height, half_depth = body.height_mm / 2, body.depth_mm / 2
    bulge = np.clip(1 - (v / half_depth) ** 2, 0, 1)
    waist = np.clip(1 - (u / half_height) ** 2, 0, 1)
    above = half_height - 1.1 * bulge - np.abs(u)
    radius = (np.abs(v / half_depth) ** 4 + np.abs(lateral / _HALF_WIDTH_MM) ** 4) ** 0.25
    beside = (1 - radius) * half_depth - 1.6 * waist
    inside_mm = np.minimum(above, beside)
    _blend(tissue, _CORTEX, inside_mm)
    _blend(tissue, _MARROW, inside_mm - 1.1)


def _blend(tissue: Float, value: float, inside_mm: Float) -> None:
    share = np.clip(inside_mm / _SPACING_MM[1] + 0.5, 0, 1)
    tissue += share * (value - tissue)


def _acquire(tissue: Float, random: np.random.Generator) -> NDArray[np.float32]:
    """Texture, a surface coil's brighter back, and Rician noise."""
    textured = tissue * (1 + 0.12 * _smooth_noise(_SHAPE, 1.2, random))
    coil = np.linspace(1.35, 0.6, _SHAPE[1])[None, :, None]
    real, imaginary = random.normal(0, 0.015, (2, *_SHAPE))
    return np.asarray(_SIGNAL * np.hypot(textured * coil + real, imaginary), dtype=np.float32)


def _along(bodies: list[_Body], superior: Float, point_of: Callable[[_Body], Float]) -> Float:
    """The anterior coordinate, at each height, of the curve through one point (anterior, superior) per body."""
    points = np.array([point_of(body) for body in reversed(bodies)])
    return np.asarray(np.interp(superior, points[:, 1], points[:, 0]))


def _smooth_noise(shape: tuple[int, int, int], sigma_pixels: float, random: np.random.Generator) -> Float:
    """Gaussian noise of unit variance, smoothed within each slice by a Gaussian of this width."""
    frequencies = [np.fft.fftfreq(shape[1])[:, None], np.fft.rfftfreq(shape[2])[None, :]]
    transfer = np.exp(-2 * (np.pi * sigma_pixels) ** 2 * (frequencies[0] ** 2 + frequencies[1] ** 2))
    noise = np.fft.irfft2(np.fft.rfft2(random.normal(size=shape)) * transfer, s=shape[1:])
    return np.asarray(noise / noise.std())
