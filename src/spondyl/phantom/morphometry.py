"""Published sizes of adult vertebrae and discs, level by level, and the tilt from each vertebra to the next.

Every table is rounded from the sources in its note, and then fitted, where the note says so, to the spines that the
project can measure. L6 and T13 are as their neighbours; S1 and S2 are the first two sacral bodies.

Sources:
    Panjabi et al. 1991, Spine 16:861 (C2 to C7), 1991, Spine 16:888 (T1 to T12), 1992, Spine 17:299 (L1 to L5).
    Berry et al. 1987, Spine 12:362 (T2, T7, T12 to L5); Gilad and Nissan 1986, Spine 11:154 (C2 to C7, L1 to L5).
    Zindrick et al. 1987, Spine 12:160 (pedicles, T1 to L5); Doherty and Heggeness 1994, Spine 19:2497 (C1).
    Busscher et al. 2010, Eur Spine J 19:1104 (C3 to L5), Zhou et al. 2000, Eur Spine J 9:242 (L3 to L5), with discs.
    The 1,947 CT spines of the ImFusion VID training set (points of bodies and pedicles, CC BY-SA 4.0), and 43 lumbar
    MR exams with segmented bodies (Chu et al. 2015, Burian et al. 2019), both measured for this project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spondyl.anatomy.level import Level
from spondyl.anatomy.spacing import VID
from spondyl.phantom.column import VertebraSize

__all__ = [
    "DISC_VARIATION",
    "MEAN_SIZES",
    "SIZE_SD",
    "SIZE_VARIATIONS",
    "TiltStep",
    "Variation",
    "mean_disc_height_mm",
    "mean_spacing_mm",
    "tilt_step",
]

_SPACING_FACTOR = 1.02
"""MR exams of volunteers are 1.05 times VID's CT spines, and VID 1.05 times VerSe19's; the phantom lies between."""

_BODIES = """
    C1  10.5 10.5 0.0 11.0 11.0 14.0 14.0
    C2  17.0 16.0 0.8 14.5 15.6 16.5 17.5
    C3  13.4 13.8 0.9 15.2 15.8 16.8 17.6
    C4  12.8 13.2 0.9 15.5 16.2 17.6 18.4
    C5  12.2 12.9 0.9 15.8 16.8 18.4 19.6
    C6  12.6 13.3 0.9 16.4 17.3 19.8 21.8
    C7  14.3 14.7 0.9 16.8 17.2 22.4 24.0
    T1  16.2 17.0 0.9 17.4 18.4 25.0 27.0
    T2  16.9 17.6 0.9 18.8 20.4 25.4 26.8
    T3  17.1 18.0 1.0 21.2 22.4 25.0 26.2
    T4  17.3 18.5 1.0 22.8 24.0 25.0 26.4
    T5  17.6 19.0 1.0 24.2 25.2 25.6 27.2
    T6  17.9 19.6 1.1 25.6 26.4 26.8 28.4
    T7  18.5 20.1 1.2 26.8 27.6 28.2 29.4
    T8  19.2 20.4 1.2 27.8 28.8 29.6 30.8
    T9  20.0 21.0 1.3 28.8 29.8 31.0 33.0
    T10 21.2 22.2 1.4 29.8 30.4 32.8 35.2
    T11 22.2 23.8 1.5 30.4 30.8 35.6 38.2
    T12 24.2 25.6 1.6 30.8 31.2 38.8 41.4
    T13 24.8 26.0 1.7 31.0 31.4 40.0 42.2
    L1  25.2 26.4 1.8 31.4 32.2 41.0 43.2
    L2  27.1 27.2 2.0 33.0 33.6 42.6 45.2
    L3  27.6 27.0 2.1 33.8 33.6 44.4 47.2
    L4  27.4 26.1 2.1 33.6 33.2 46.6 48.8
    L5  28.4 23.8 2.0 33.2 32.2 48.4 49.6
    L6  28.4 23.8 1.8 32.8 31.8 49.0 49.6
    S1  32.0 24.6 1.2 32.4 21.5 50.0 36.0
    S2  24.2 22.8 0.4 20.5 15.0 35.0 28.0
"""
"""Level; body height anterior, posterior; concavity; depth upper, lower; width upper, lower.

C1's is the middle of its anterior arch with the dens, C2's the body below the base of the dens. Heights and depths
T10 to S1: 0.97 times the 43 MR exams; above, Panjabi and Busscher, scaled so that discs of a height as published fit
between bodies at VID's distances. Widths: Panjabi.
"""

_ARCHES = """
    C1   8.0  9.0 41.6 29.0 30.0  5.0 78.0
    C2   8.5 10.0 33.9 24.0 20.0 15.0 55.0
    C3   5.6  7.4 34.3 23.2 15.6 14.0 51.0
    C4   5.4  7.4 33.7 24.4 15.2 14.0 52.0
    C5   5.6  7.2 31.2 24.8 15.2 16.0 54.0
    C6   6.0  7.4 32.6 25.0 15.2 24.0 57.0
    C7   6.7  7.8 31.6 23.6 15.0 33.0 66.0
    T1   7.6  9.8 29.3 21.0 15.4 34.0 75.0
    T2   6.5 11.6 25.1 18.4 15.2 33.0 69.0
    T3   5.4 11.8 22.7 17.2 15.4 32.0 62.0
    T4   4.8 11.8 21.5 16.6 15.6 33.0 61.0
    T5   4.8 11.8 21.4 16.5 15.8 35.0 61.0
    T6   5.0 12.0 21.6 16.5 15.8 36.0 61.0
    T7   5.3 12.2 22.0 16.6 15.6 36.0 61.0
    T8   5.6 12.6 22.7 17.0 15.5 35.0 60.0
    T9   6.0 13.8 23.3 17.2 15.5 33.0 60.0
    T10  6.4 14.9 24.6 18.0 15.5 30.0 58.0
    T11  7.6 16.4 27.1 19.3 16.0 26.0 52.0
    T12  7.4 16.2 29.4 21.6 17.2 26.0 47.0
    T13  7.5 15.8 29.7 21.8 17.4 28.0 58.0
    L1   7.6 15.4 30.0 22.2 17.6 30.0 71.0
    L2   8.0 15.0 30.4 22.2 17.2 32.0 77.0
    L3   9.6 14.8 33.0 23.2 16.8 32.0 86.0
    L4  11.8 14.8 36.7 24.6 17.2 29.0 82.0
    L5  16.0 14.4 48.1 27.0 17.6 23.0 92.0
    L6  17.5 14.4 55.9 29.0 16.8 20.0 96.0
    S1  20.0 22.0 58.0 31.0 15.0 12.0 105.0
    S2  16.0 18.0 46.0 24.0 11.0 10.0 90.0
"""
"""Level; pedicle width, height, distance of the two; bony canal width, depth; spinous process; transverse span.

Pedicles: Zindrick, above T1 Panjabi. Distances: means of VID, L6 included. Canal: Panjabi, narrowed to what is free
between pedicles. Spinous processes and spans: Panjabi, less the canal. C1: Doherty and Heggeness. S1 and S2: own guess.
"""

_TILT_STEPS = """
    C1 C2  0.0 3.0
    C2 C3  4.0 4.0
    C3 C4  4.0 4.5
    C4 C5  1.5 5.0
    C5 C6  2.5 5.5
    C6 C7  6.5 5.0
    C7 T1  5.0 4.5
    T1 T2 -2.0 3.5
    T2 T3 -3.0 3.5
    T3 T4 -5.2 3.2
    T4 T5 -5.0 3.2
    T5 T6 -6.0 3.2
    T6 T7 -6.6 3.2
    T7 T8 -4.4 3.4
    T8 T9 -1.6 3.6
    T9 T10 -1.0 3.8
    T10 T11 -0.6 3.8
    T11 T12 -0.8 3.8
    T11 L1 -0.8 3.8
    T12 T13 -1.2 3.6
    T12 L1 -1.4 3.6
    T13 L1 -1.0 3.6
    L1 L2  0.0 3.4
    L2 L3  5.0 3.8
    L3 L4  9.6 4.2
    L4 L5 16.0 4.8
    L5 L6 25.0 5.0
    L4 S1 29.7 5.0
    L5 S1 29.7 5.0
    L6 S1 22.0 5.0
    S1 S2 11.0 3.0
"""
"""Upper and lower level; how much more the lower one tilts (mean of its endplates), and its deviation between patients.

Fitted to the angles between successive centroids in VID (whose deviations include the readers' imprecision and are
larger) and, T12 to S1, to the tilts of the 43 MR exams; supine. The share of each segment in the lordosis agrees
with Bernhardt and Bridwell 1989, Spine 14:717: two thirds lie between L4 and S1.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """How a group of sizes varies between adults, as deviations of its logarithm.

    Args:
        size_power: the power of the patient's size that it follows.
        patient_sd: of all levels of a patient together, beside his size.
        smooth_sd: shared by neighbours.
        level_sd: of each level.
        cervical_factor: on the last two in the neck.
    """

    size_power: float
    patient_sd: float
    smooth_sd: float
    level_sd: float
    cervical_factor: float = 1.0


SIZE_SD = 0.053
"""Deviation of the logarithm of a patient's size: what all of VID's distances share."""

SIZE_VARIATIONS: Mapping[tuple[str, ...], Variation] = {
    ("anterior_height_mm", "posterior_height_mm", "concavity_mm"): Variation(
        size_power=1.0, patient_sd=0.015, smooth_sd=0.03, level_sd=0.025, cervical_factor=1.4
    ),
    ("upper_depth_mm", "lower_depth_mm"): Variation(size_power=1.0, patient_sd=0.05, smooth_sd=0.02, level_sd=0.02),
    ("upper_width_mm", "lower_width_mm"): Variation(size_power=1.0, patient_sd=0.05, smooth_sd=0.02, level_sd=0.02),
    ("pedicle_width_mm", "pedicle_height_mm"): Variation(
        size_power=1.0, patient_sd=0.08, smooth_sd=0.05, level_sd=0.06
    ),
    ("pedicle_distance_mm", "canal_width_mm"): Variation(
        size_power=0.8, patient_sd=0.04, smooth_sd=0.045, level_sd=0.025, cervical_factor=1.5
    ),
    ("canal_depth_mm",): Variation(size_power=0.4, patient_sd=0.06, smooth_sd=0.04, level_sd=0.02),
    ("spinous_length_mm", "transverse_span_mm"): Variation(
        size_power=1.0, patient_sd=0.04, smooth_sd=0.04, level_sd=0.05
    ),
}
"""By field of `VertebraSize`. Heights and distances: VID, by its correlations; others: the tables' spread."""

DISC_VARIATION = Variation(size_power=1.0, patient_sd=0.06, smooth_sd=0.06, level_sd=0.10, cervical_factor=1.2)
"""Of disc heights: what VID's distances leave, and the 43 MR exams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TiltStep:
    """How much more the lower of two neighbours tilts than the upper one, degrees; lordosis is positive."""

    mean_deg: float
    sd_deg: float


def _sizes() -> Mapping[Level, VertebraSize]:
    bodies = {row[0]: map(float, row[1:]) for row in map(str.split, _BODIES.strip().splitlines())}
    arches = {row[0]: map(float, row[1:]) for row in map(str.split, _ARCHES.strip().splitlines())}
    names = VertebraSize.__dataclass_fields__
    return {
        Level(level): VertebraSize(**dict(zip(names, (*body, *arches[level]), strict=True)))
        for level, body in bodies.items()
    }


MEAN_SIZES: Mapping[Level, VertebraSize] = _sizes()
"""The mean adult's vertebrae."""

_STEPS = {
    (Level(upper), Level(lower)): TiltStep(mean_deg=float(mean), sd_deg=float(sd))
    for upper, lower, mean, sd in map(str.split, _TILT_STEPS.strip().splitlines())
}


def tilt_step(upper: Level, lower: Level) -> TiltStep:
    """The tilt from one vertebra to its lower neighbour."""
    return _STEPS[upper, lower]


def mean_spacing_mm(upper: Level, lower: Level) -> float:
    """The mean adult's distance between the centres of two neighbouring bodies."""
    return _SPACING_FACTOR * VID.between(upper, lower).mean_mm


def mean_disc_height_mm(upper: Level, lower: Level) -> float:
    """The mean adult's disc in its middle, rim plane to rim plane: what bodies at their mean distance leave free."""
    return mean_spacing_mm(upper, lower) - (MEAN_SIZES[upper].height_mm + MEAN_SIZES[lower].height_mm) / 2
