"""The signal equations: how bright each part of a phantom is in a sequence, for water and fat apart.

Spin echo, inversion recovery and spoiled gradient echo as in any textbook (Bernstein, King and Zhou, Handbook of MRI
Pulse Sequences, 2004, chapters 14 and 16). Signals are signed: inverted magnetisation and fat in opposed phase are
negative, and the scanner takes the magnitude only after all parts of a voxel are added.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from spondyl.phantom.scanner.sequence import (
    FAT_SHIFT_HZ_PER_T,
    FAT_T1_MS,
    T1_GAIN_AT_3_T,
    Contrast,
    PulseSequence,
)
from spondyl.phantom.scene.material import Material, Tissue
from spondyl.phantom.scene.scene import Part
from spondyl.phantom.scene.tissue_table import get_material

__all__ = ["compute_signals", "compute_water_and_fat"]

_FAT_T2_MS = 130.0
"""The T2 of fat in a turbo spin echo, whose pulses undo fat's J-coupling.

Gold et al., AJR 183:343 (2004), find 165 and 133 ms at 1.5 and 3 T; single echoes find 60 to 80 ms.
"""

_FLOW_REMAINDER = MappingProxyType({Tissue.BLOOD: 0.06, Tissue.VEIN: 0.3, Tissue.CSF: 0.84})
"""The share of its signal that moving fluid keeps in a spin echo (assumed)."""

_CSF_T1_SHARE = 0.65
"""The apparent over true T1 of CSF that pulses through a slice.

With it CSF outshines fat in T2 at TR 3 s, as in real scans (assumed).
"""

_MIN_DIFFERENCE = 0.12
"""The least difference of random signals that can be seen; marrow's signal is between 0 and 1."""

_MUST_DIFFER = (
    (Tissue.MARROW, Tissue.ANNULUS),
    (Tissue.MARROW, Tissue.NUCLEUS),
    (Tissue.CSF, Tissue.CORD),
    (Tissue.CSF, Tissue.LIGAMENT),
)
"""The pairs of tissues that must be distinguishable in a domain-randomised scan too."""


def compute_signals(
    parts: tuple[Part, ...], contrast: Contrast, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the signals of the water and of the fat of each part.

    Args:
        parts: parts of a scene.
        contrast: the sequence and its times.
        rng: random generator, used by the random sequence only.

    Returns:
        water and fat, (parts,) each, relative to the equilibrium signal of CSF, signed.
    """
    if contrast.sequence is PulseSequence.RANDOM:
        water = _draw_random_signals(parts, rng)
        return water, np.zeros_like(water)
    pairs = np.array([compute_water_and_fat(part.material, contrast) for part in parts], dtype=np.float32)
    return pairs[:, 0].copy(), pairs[:, 1].copy()


def compute_water_and_fat(material: Material, contrast: Contrast) -> tuple[float, float]:
    """Compute the signed signals of a material's water and fat; one that a Dixon image leaves out is 0."""
    water = material.proton_density * (1 - material.fat_fraction) * _compute_water(material, contrast)
    fat = material.proton_density * material.fat_fraction * _compute_fat(material, contrast)
    return water * contrast.sequence.shows_water, fat * contrast.sequence.shows_fat


def _compute_water(material: Material, contrast: Contrast) -> float:
    t1_ms = _t1_ms(material, contrast)
    if contrast.sequence.is_gradient_echo:
        return _compute_gradient_echo(contrast, t1_ms, _t2_star_ms(material, contrast.field_strength_t))
    kept = _FLOW_REMAINDER.get(material.tissue, 1.0) if material.is_flowing else 1.0
    return kept * _compute_spin_echo(contrast, t1_ms, material.t2_ms)


def _t1_ms(material: Material, contrast: Contrast) -> float:
    """Return T1, longer at 3 T, except in CSF, which is renewed between pulses unless an inversion reaches it."""
    if material.tissue is Tissue.CSF:
        return material.t1_ms * (_CSF_T1_SHARE if material.is_flowing and contrast.ti_ms == 0 else 1.0)
    return material.t1_ms * (T1_GAIN_AT_3_T if contrast.field_strength_t == 3.0 else 1.0)


def _compute_fat(material: Material, contrast: Contrast) -> float:
    t1_ms = FAT_T1_MS[contrast.field_strength_t]
    if not contrast.sequence.is_gradient_echo:
        return _compute_spin_echo(contrast, t1_ms, _FAT_T2_MS)
    size = _compute_gradient_echo(contrast, t1_ms, _t2_star_ms(material, contrast.field_strength_t))
    if contrast.sequence is PulseSequence.DIXON_FAT:
        return size
    turns = FAT_SHIFT_HZ_PER_T * contrast.field_strength_t * contrast.te_ms / 1000.0
    return size * float(np.cos(2 * np.pi * turns))


def _compute_spin_echo(contrast: Contrast, t1_ms: float, t2_ms: float) -> float:
    """Compute a spin echo, with an inversion pulse if there is an inversion time."""
    recovered = 1.0 - np.exp(-contrast.tr_ms / t1_ms)
    if contrast.ti_ms > 0:
        recovered = 1.0 - 2.0 * np.exp(-contrast.ti_ms / t1_ms) + np.exp(-contrast.tr_ms / t1_ms)
    return float(recovered * np.exp(-contrast.te_ms / t2_ms))


def _compute_gradient_echo(contrast: Contrast, t1_ms: float, t2_star_ms: float) -> float:
    """Compute a spoiled gradient echo in the steady state."""
    left, flip = np.exp(-contrast.tr_ms / t1_ms), np.radians(contrast.flip_deg)
    return float(np.sin(flip) * (1 - left) / (1 - np.cos(flip) * left) * np.exp(-contrast.te_ms / t2_star_ms))


def _t2_star_ms(material: Material, field_strength_t: float) -> float:
    """Return T2*: the part of 1/T2* that comes from field inhomogeneity grows with the field."""
    uneven = max(0.0, 1.0 / material.t2_star_ms - 1.0 / material.t2_ms)
    return 1.0 / (1.0 / material.t2_ms + uneven * field_strength_t / 1.5)


def _draw_random_signals(parts: tuple[Part, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a signal for each tissue, changed a little where a part's material departs from the usual one."""
    base = _draw_distinct_signals(rng)
    exponent = rng.uniform(-0.6, 0.6)
    signals = [base[part.material.tissue] * _compare_with_usual(part.material) ** exponent for part in parts]
    return np.asarray(np.clip(signals, 0.0, 1.5), dtype=np.float32)


def _draw_distinct_signals(rng: np.random.Generator) -> dict[Tissue, float]:
    """Draw until neighbours differ; air and metal stay dark.

    Each draw succeeds with a chance of about a half.
    """
    while True:
        drawn = {tissue: float(rng.uniform(0.02, 1.0)) for tissue in Tissue}
        drawn |= {Tissue.AIR: 0.0, Tissue.METAL: 0.0}
        if all(abs(drawn[first] - drawn[second]) > _MIN_DIFFERENCE for first, second in _MUST_DIFFER):
            return drawn


def _compare_with_usual(material: Material) -> float:
    """Return T2 and fat over those of the tissue's usual material."""
    usual = get_material(material.tissue)
    return material.t2_ms / usual.t2_ms * (1.0 + material.fat_fraction) / (1.0 + usual.fat_fraction)
