"""The MR sequences of the spine: their names and times, and how they are drawn.

The ranges of T1 and T2 are those of 447 lumbar series of SPIDER (van der Graaf et al. 2024, doi
10.1038/s41597-024-03090-w, table of series): TR 446 to 1000 ms, TE 7 to 14 ms; TR 3560 to 5570 ms, TE 93 to 124 ms;
T2 is widened to what older scanners use. The Dixon gradient echoes follow Burian et al. 2019, doi
10.1186/s12891-019-2528-x (TR 14 ms, flip 3 degrees). The others are customary.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import log
from types import MappingProxyType

import numpy as np

from spondyl.errors import SettingError

__all__ = [
    "FAT_SHIFT_HZ_PER_T",
    "FAT_T1_MS",
    "T1_GAIN_AT_3_T",
    "WATER_FAT_CYCLE_MS_T",
    "Contrast",
    "PulseSequence",
    "draw_contrast",
]

FAT_T1_MS = MappingProxyType({1.5: 270.0, 3.0: 350.0})
"""The T1 of fat by field strength in T.

Gold et al., AJR 183:343 (2004), find 288 and 371 ms; others find 250 ms at 1.5 T.
"""

T1_GAIN_AT_3_T = 1.21
"""The T1 of tissue water at 3 T over that at 1.5 T: de Bazelaire et al., Radiology 230:652 (2004)."""

FAT_SHIFT_HZ_PER_T = 3.4e-6 * 42.577e6
"""The shift of fat: it precesses slower than water by 3.4 ppm of the proton's 42.577 MHz/T."""

WATER_FAT_CYCLE_MS_T = 1000.0 / FAT_SHIFT_HZ_PER_T
"""The time after which water and fat are in phase again, times the field strength: 4.6 ms at 1.5 T."""


class PulseSequence(StrEnum):
    """The pulse sequences by their names on the console."""

    T1_TSE = "T1 TSE"
    T2_TSE = "T2 TSE"
    PD = "PD TSE"
    STIR = "STIR"
    TIRM = "TIRM"
    T1_FLAIR = "T1 FLAIR"
    T2_FLAIR = "T2 FLAIR"
    DIXON_WATER = "Dixon water"
    DIXON_FAT = "Dixon fat"
    DIXON_IN = "Dixon in-phase"
    DIXON_OPPOSED = "Dixon opposed-phase"
    GRE_IN_PHASE = "GRE in-phase"
    GRE_T2STAR = "GRE T2*"
    RANDOM = "random"

    @property
    def is_gradient_echo(self) -> bool:
        """Return True where T2* and the phase between water and fat count."""
        return self in _GRADIENT_ECHOES

    @property
    def shows_water(self) -> bool:
        """Return False for the fat image of a Dixon sequence."""
        return self is not PulseSequence.DIXON_FAT

    @property
    def shows_fat(self) -> bool:
        """Return False for the water image of a Dixon sequence."""
        return self is not PulseSequence.DIXON_WATER


_GRADIENT_ECHOES = frozenset(
    (
        PulseSequence.DIXON_WATER,
        PulseSequence.DIXON_FAT,
        PulseSequence.DIXON_IN,
        PulseSequence.DIXON_OPPOSED,
        PulseSequence.GRE_IN_PHASE,
        PulseSequence.GRE_T2STAR,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """The settings that decide how bright a tissue is.

    Args:
        sequence: name of the sequence, which decides the kind of echo and whether water, fat or both are shown.
        field_strength_t: 1.5 or 3.
        tr_ms, te_ms: repetition and (effective) echo time.
        ti_ms: inversion time, 0 for no inversion.
        flip_deg: flip angle of a gradient echo's pulse; spin echoes have 90.

    Raises:
        SettingError: a number is outside its range.
    """

    sequence: PulseSequence
    field_strength_t: float = 1.5
    tr_ms: float
    te_ms: float
    ti_ms: float = 0.0
    flip_deg: float = 90.0

    def __post_init__(self) -> None:
        if self.field_strength_t not in FAT_T1_MS:
            raise SettingError(f"field_strength_t must be 1.5 or 3 tesla, got {self.field_strength_t}")
        if not 0 < self.te_ms < self.tr_ms:
            raise SettingError(f"te_ms must be above 0 and below tr_ms, got {self.te_ms} and {self.tr_ms}")
        if not 0 <= self.ti_ms < self.tr_ms:
            raise SettingError(f"ti_ms must be 0 (no inversion) or below tr_ms, got {self.ti_ms} and {self.tr_ms}")
        if not 0 < self.flip_deg <= 180:
            raise SettingError(f"flip_deg must be above 0 and at most 180, got {self.flip_deg}")


_TIMES_MS: MappingProxyType[PulseSequence, tuple[tuple[float, float], tuple[float, float]]] = MappingProxyType(
    {
        PulseSequence.T1_TSE: ((446.0, 1000.0), (7.0, 14.0)),
        PulseSequence.T2_TSE: ((2800.0, 5570.0), (80.0, 124.0)),
        PulseSequence.PD: ((2000.0, 4000.0), (15.0, 40.0)),
        PulseSequence.STIR: ((3000.0, 6000.0), (35.0, 75.0)),
        PulseSequence.TIRM: ((3000.0, 6000.0), (35.0, 75.0)),
        PulseSequence.T1_FLAIR: ((1800.0, 2600.0), (8.0, 25.0)),
        PulseSequence.T2_FLAIR: ((8000.0, 10000.0), (90.0, 120.0)),
        PulseSequence.DIXON_WATER: ((8.0, 20.0), (1.2, 3.0)),
        PulseSequence.DIXON_FAT: ((8.0, 20.0), (1.2, 3.0)),
        PulseSequence.DIXON_IN: ((8.0, 20.0), (0.0, 0.0)),
        PulseSequence.DIXON_OPPOSED: ((8.0, 20.0), (0.0, 0.0)),
        PulseSequence.GRE_IN_PHASE: ((100.0, 300.0), (0.0, 0.0)),
        PulseSequence.GRE_T2STAR: ((400.0, 800.0), (0.0, 0.0)),
        PulseSequence.RANDOM: ((500.0, 4000.0), (10.0, 100.0)),
    }
)
"""The ranges of TR and TE; the phase between water and fat sets an echo time of 0."""

_ECHO_IN_CYCLES = MappingProxyType(
    {
        PulseSequence.DIXON_IN: 1.0,
        PulseSequence.DIXON_OPPOSED: 0.5,
        PulseSequence.GRE_IN_PHASE: 1.0,
        PulseSequence.GRE_T2STAR: 4.0,
    }
)
"""The echo time over the water-fat cycle.

Whole numbers are in phase; four cycles are 18 ms at 1.5 T.
"""

_FLIPS_DEG = MappingProxyType({PulseSequence.GRE_IN_PHASE: (30.0, 70.0), PulseSequence.GRE_T2STAR: (15.0, 30.0)})
_DIXON_FLIP_DEG = (3.0, 7.0)

_CSF_T1_MS = 4000.0
_T1_FLAIR_TI_SHARE = (0.36, 0.42)
"""The inversion time over TR: about 850 ms of 2200, where fluid is dark and grey differs from white matter."""


def draw_contrast(
    rng: np.random.Generator, sequence: PulseSequence | None = None, field_strength_t: float | None = None
) -> Contrast:
    """Draw a sequence and its times as scanners set them.

    Args:
        rng: random generator.
        sequence: name of the sequence; drawn if None, T2 and T1 most often, never RANDOM.
        field_strength_t: 1.5 or 3; either if None.

    Raises:
        SettingError: the field strength is neither 1.5 nor 3.
    """
    tesla = float(rng.choice((1.5, 3.0))) if field_strength_t is None else field_strength_t
    if tesla not in FAT_T1_MS:
        raise SettingError(f"field_strength_t must be 1.5 or 3 tesla, got {tesla}")
    chosen = _draw_sequence(rng) if sequence is None else PulseSequence(sequence)
    tr_range, te_range = _TIMES_MS[chosen]
    tr_ms, te_ms = rng.uniform(*tr_range), rng.uniform(*te_range)
    if chosen in _ECHO_IN_CYCLES:
        te_ms = _ECHO_IN_CYCLES[chosen] * WATER_FAT_CYCLE_MS_T / tesla
    flip_deg = rng.uniform(*_FLIPS_DEG.get(chosen, _DIXON_FLIP_DEG)) if chosen.is_gradient_echo else 90.0
    return Contrast(
        sequence=chosen,
        field_strength_t=tesla,
        tr_ms=tr_ms,
        te_ms=te_ms,
        ti_ms=_choose_inversion_time_ms(rng, chosen, tesla, tr_ms),
        flip_deg=flip_deg,
    )


_FREQUENCIES = MappingProxyType(
    {
        PulseSequence.T2_TSE: 0.38,
        PulseSequence.T1_TSE: 0.26,
        PulseSequence.STIR: 0.09,
        PulseSequence.TIRM: 0.05,
        PulseSequence.T1_FLAIR: 0.03,
        PulseSequence.T2_FLAIR: 0.01,
        PulseSequence.PD: 0.03,
        PulseSequence.DIXON_WATER: 0.04,
        PulseSequence.DIXON_FAT: 0.01,
        PulseSequence.DIXON_IN: 0.03,
        PulseSequence.DIXON_OPPOSED: 0.02,
        PulseSequence.GRE_IN_PHASE: 0.02,
        PulseSequence.GRE_T2STAR: 0.03,
    }
)
"""The frequency of each sequence among spine studies (assumed)."""


def _draw_sequence(rng: np.random.Generator) -> PulseSequence:
    return list(_FREQUENCIES)[int(rng.choice(len(_FREQUENCIES), p=list(_FREQUENCIES.values())))]


def _choose_inversion_time_ms(rng: np.random.Generator, sequence: PulseSequence, tesla: float, tr_ms: float) -> float:
    if sequence in (PulseSequence.STIR, PulseSequence.TIRM):
        return _compute_nulling_time_ms(FAT_T1_MS[tesla], tr_ms) * rng.normal(1.0, 0.03)
    if sequence is PulseSequence.T1_FLAIR:
        return tr_ms * rng.uniform(*_T1_FLAIR_TI_SHARE)
    if sequence is PulseSequence.T2_FLAIR:
        return _compute_nulling_time_ms(_CSF_T1_MS, tr_ms) * rng.normal(1.0, 0.02)
    return 0.0


def _compute_nulling_time_ms(t1_ms: float, tr_ms: float) -> float:
    """Compute the inversion time at which 1 - 2 exp(-TI/T1) + exp(-TR/T1) is 0."""
    return t1_ms * log(2.0 / (1.0 + np.exp(-tr_ms / t1_ms)))
