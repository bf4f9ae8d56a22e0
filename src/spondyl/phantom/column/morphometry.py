"""The published sizes of adult vertebrae and discs, level by level, and the tilt from each vertebra to the next.

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
from spondyl.phantom.column.column import VertebraSize

__all__ = [
    "DISC_SD",
    "DISC_VARIATION",
    "LEVEL_SD",
    "MEAN_SIZES",
    "SIZE_SD",
    "SIZE_VARIATIONS",
    "TiltStep",
    "Variation",
    "get_tilt_step",
    "mean_disc_height_mm",
]

_BODIES = """
    C1  10.5 10.5 0.0 11.0 11.0 14.0 14.0
    C2  19.4 18.6 0.8 14.8 16.0 16.5 17.5
    C3  14.5 14.7 0.9 15.6 16.4 16.8 17.6
    C4  13.8 14.2 0.9 16.0 16.8 17.6 18.4
    C5  13.2 13.6 0.9 16.3 17.2 18.4 19.6
    C6  13.4 13.8 0.9 17.0 17.8 19.8 21.8
    C7  14.8 15.0 0.9 17.2 17.4 22.4 24.0
    T1  16.8 17.6 0.9 17.4 18.2 25.0 27.0
    T2  17.2 18.0 0.9 18.6 19.8 25.4 26.8
    T3  17.3 18.2 1.0 20.4 21.4 25.0 26.2
    T4  17.5 18.7 1.0 21.8 22.8 25.0 26.4
    T5  17.9 19.3 1.0 23.0 24.0 25.6 27.2
    T6  18.3 19.9 1.1 24.3 25.1 26.8 28.4
    T7  18.9 20.5 1.2 25.6 26.4 28.2 29.4
    T8  19.5 20.8 1.2 26.7 27.6 29.6 30.8
    T9  20.4 21.4 1.3 27.7 28.6 31.0 33.0
    T10 21.8 22.8 1.4 29.0 29.6 32.8 35.2
    T11 22.2 23.8 1.5 29.8 30.4 35.6 38.2
    T12 24.2 25.6 1.6 30.6 31.0 38.8 41.4
    T13 24.8 26.0 1.7 31.0 31.4 40.0 42.2
    L1  25.2 26.4 1.8 31.4 32.2 41.0 43.2
    L2  27.1 27.2 2.0 33.0 33.6 42.6 45.2
    L3  27.6 27.0 2.1 33.8 33.6 44.4 47.2
    L4  27.4 26.1 2.1 33.6 33.2 46.6 48.8
    L5  28.4 23.8 2.0 33.2 32.2 48.4 49.6
    L6  28.4 23.8 1.8 32.8 31.8 49.0 49.6
    S1  32.6 24.0 1.2 32.4 21.5 50.0 36.0
    S2  24.2 22.8 0.4 20.5 15.0 35.0 28.0
"""
"""The columns are level; anterior and posterior height; concavity; upper and lower depth; upper and lower width.

C1's is the middle of its anterior arch with the dens, C2's the body below the base of the dens. T10 to S1: heights 0.97
times those of the 43 MR exams (which lie 1.06 times as far apart as VID's), depths theirs. Above: heights and depths of
Panjabi and Busscher, moved toward the public masks and meshes of whole vertebrae (VerSe, scoliomorph), with room for
discs at VID's distances. C1 and C2 lie as far apart as is halfway between VID and VerSe. Widths: Panjabi.
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
"""The columns are level; pedicle width, height and distance; canal width and depth; spinous process; transverse span.

Pedicles: Zindrick, above T1 Panjabi. Distances: means of VID, L6 included. Canal: Panjabi, narrowed to what is free
between pedicles. Spinous processes and spans: Panjabi, less the canal. C1: Doherty and Heggeness. S1 and S2: assumed.
"""

_JUNCTIONS = """
    C1 C2  3.2   0.0 3.0
    C2 C3  4.8   4.2 5.5
    C3 C4  3.9   3.6 6.0
    C4 C5  3.9   0.8 7.5
    C5 C6  3.7   2.0 8.2
    C6 C7  3.9   7.8 7.0
    C7 T1  4.2   5.8 5.6
    T1 T2  3.9  -4.0 4.6
    T2 T3  3.7  -1.0 4.0
    T3 T4  3.6  -6.8 3.4
    T4 T5  3.8  -4.6 3.2
    T5 T6  3.8  -6.2 3.1
    T6 T7  3.8  -6.4 3.2
    T7 T8  3.9  -4.2 3.8
    T8 T9  3.9  -1.6 4.0
    T9 T10 4.2  -1.0 4.3
    T10 T11 5.6 -0.6 4.3
    T11 T12 6.8 -0.8 4.2
    T11 L1 7.0  -0.8 4.2
    T12 T13 7.2 -1.0 4.0
    T12 L1 7.6  -1.2 4.0
    T13 L1 8.0  -0.8 4.0
    L1 L2  8.8   0.2 3.8
    L2 L3  9.7   5.6 4.3
    L3 L4 10.9  10.2 4.7
    L4 L5 11.2  17.0 5.3
    L5 L6 11.2  26.0 5.6
    L4 S1 10.9  29.7 5.5
    L5 S1 10.9  29.7 5.5
    L6 S1 10.4  23.0 5.5
    S1 S2  3.0  11.0 3.0
"""
"""The columns are upper and lower level; height of the healthy disc; mean and deviation of the tilt step.

Heights: what bodies leave free at VID's distances once discs are worn as `pathology.draw` wears them, and, T10 to S1,
0.97 times the 43 MR exams, of which 30 are of volunteers. Tilts (means of a body's endplates) are fitted to the angles
between successive centroids in VID (whose deviations include the readers' imprecision and are larger) and, T12 to S1,
to the tilts of the 43 MR exams; supine. The share of each segment in the lordosis agrees with Bernhardt and Bridwell
1989, Spine 14:717: two thirds lie between L4 and S1.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """The variation of a group of sizes between adults, as standard deviations of its logarithm.

    Args:
        size_power: power of the patient's size that it follows.
        patient_sd: deviation of all levels of a patient together, beside the patient's size.
        smooth_sd: deviation shared by neighbours.
        level_sd: deviation of each level.
        cervical_factor: factor on the last two in the neck.
    """

    size_power: float
    patient_sd: float
    smooth_sd: float
    level_sd: float
    cervical_factor: float = 1.0


SIZE_SD = 0.056
"""The standard deviation of the logarithm of a patient's size: the variation that all of VID's distances share."""

SIZE_VARIATIONS: Mapping[tuple[str, ...], Variation] = {
    ("anterior_height_mm", "posterior_height_mm", "concavity_mm"): Variation(
        size_power=1.0, patient_sd=0.02, smooth_sd=0.032, level_sd=0.025, cervical_factor=1.5
    ),
    ("upper_depth_mm", "lower_depth_mm"): Variation(size_power=1.0, patient_sd=0.05, smooth_sd=0.02, level_sd=0.02),
    ("upper_width_mm", "lower_width_mm"): Variation(size_power=1.0, patient_sd=0.05, smooth_sd=0.02, level_sd=0.02),
    ("pedicle_width_mm", "pedicle_height_mm"): Variation(
        size_power=1.0, patient_sd=0.08, smooth_sd=0.05, level_sd=0.06
    ),
    ("pedicle_distance_mm", "canal_width_mm"): Variation(
        size_power=0.8, patient_sd=0.045, smooth_sd=0.045, level_sd=0.025, cervical_factor=1.4
    ),
    ("canal_depth_mm",): Variation(size_power=0.4, patient_sd=0.06, smooth_sd=0.04, level_sd=0.02),
    ("spinous_length_mm", "transverse_span_mm"): Variation(
        size_power=1.0, patient_sd=0.04, smooth_sd=0.04, level_sd=0.05
    ),
}
"""The variation by field of `VertebraSize`.

Heights and distances follow VID and its correlations; the others follow the spread in the sources of the tables.
"""

DISC_VARIATION = Variation(size_power=1.0, patient_sd=0.05, smooth_sd=0.05, level_sd=0.09, cervical_factor=1.2)
"""The variation of disc heights: the part of VID's distances that bodies do not explain, and the 43 MR exams."""


LEVEL_SD: Mapping[str, Mapping[Level, float]] = {
    "pedicle_distance_mm": {
        **dict.fromkeys((Level.C3, Level.C4, Level.C5, Level.C6, Level.C7, Level.T1), 0.08),
        Level.L4: 0.03,
        Level.L5: 0.075,
    },
    "lower_depth_mm": {Level.S1: 0.11},
}
"""The additional standard deviation of the logarithm of a size at single levels, by field of `VertebraSize`.

Distances follow VID, whose deviations are larger still; the sacrum follows the 43 MR exams.
"""

DISC_SD: Mapping[Level, float] = {Level.T11: 0.09, Level.T12: 0.14}
"""The additional standard deviation of the logarithm of disc height below a level, from the 43 MR exams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TiltStep:
    """The additional tilt of the lower of two neighbours over the upper one, in degrees; lordosis is positive."""

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
"""The vertebrae of the mean adult."""

_BETWEEN = {
    (Level(upper), Level(lower)): (float(height), TiltStep(mean_deg=float(mean), sd_deg=float(sd)))
    for upper, lower, height, mean, sd in map(str.split, _JUNCTIONS.strip().splitlines())
}


def get_tilt_step(upper: Level, lower: Level) -> TiltStep:
    """Return the tilt from one vertebra to its lower neighbour."""
    return _BETWEEN[upper, lower][1]


def mean_disc_height_mm(upper: Level, lower: Level) -> float:
    """Return the mid-disc height of the mean adult's healthy disc, between the rim planes."""
    return _BETWEEN[upper, lower][0]
