"""Draw a patient's column: numbering, curves and sizes, as they vary between adults.

Sizes share the patient's size, vary smoothly along the column, and vary from level to level. The pelvic incidence
determines the sacral slope. Slope and kyphosis determine the lumbar tilts, since a patient lies flat; T1's tilt
determines the neck. Each segment departs a little from the mean curve, and its disc and bodies take the wedges that the
tilts require.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter1d

from spondyl.anatomy.level import Level, Region
from spondyl.anatomy.numbering import NUMBERINGS, REGULAR, Numbering
from spondyl.errors import SettingError
from spondyl.geometry.affine import Float
from spondyl.phantom.column.column import (
    ColumnPlan,
    CurveAngles,
    DiscSize,
    Transition,
    VertebraSize,
    disc_depth_mm,
    settle_tilts,
    wedge_deg,
)
from spondyl.phantom.column.morphometry import (
    DISC_SD,
    DISC_VARIATION,
    LEVEL_SD,
    MEAN_SIZES,
    SIZE_SD,
    SIZE_VARIATIONS,
    Variation,
    get_tilt_step,
    mean_disc_height_mm,
)

__all__ = ["draw_plan"]

_TRANSITIONS = {Transition.SACRALISED: 0.022, Transition.LUMBARISED: 0.018}
"""The shares of transitional vertebrae among columns of regular numbering.

Sources: Tins and Balain 2016 and Nakajima et al. 2014, see `anatomy.numbering`.
"""

_MAX_COBB_DEG = 90.0
_SCOLIOSIS_SHARE = 0.07

_MEAN_INCIDENCE_DEG, _MEAN_SLOPE_DEG = 52.0, 41.0

_THIRD_TILT_DEG = -5.0
"""The mean tilt of the third vertebra above the sacrum, mostly L3; between VID and the 43 MR exams, supine."""

_SMOOTH_LEVELS = 2.5
"""The standard deviation, in levels, of the Gaussian that correlates neighbours."""

_BODY_SHARE = {Region.CERVICAL: 0.3, Region.THORACIC: 0.6, Region.LUMBAR: 0.4, Region.SACRAL: 0.4}
"""The share of a segment's departure from the mean curve that its bodies take; discs take the rest."""

_WEDGE_SD_DEG = {Region.CERVICAL: 1.5, Region.THORACIC: 1.5, Region.LUMBAR: 1.5, Region.SACRAL: 3.0}
_MIN_EDGE_MM = 1.0
_PEDICLE_BESIDE_CANAL = 0.6
"""The two pedicles' middles lie at least the canal's width plus this share of a pedicle's width apart."""
_SLIP_SD = 0.02
"""The standard deviation of steps between healthy vertebrae over the disc's depth.

It is about 0.7 mm in the lumbar spine of the 43 MR exams.
"""


def draw_plan(
    rng: np.random.Generator,
    *,
    numbering: Numbering | None = None,
    transition: Transition | None = None,
    scoliosis_cobb_deg: float | None = None,
) -> ColumnPlan:
    """Draw the column of one patient.

    Args:
        rng: random generator; its state decides everything that is not given.
        numbering: levels from C1 to S2; None draws them by published frequency.
        transition: transition of a regularly numbered column; None draws it by published frequency.
        scoliosis_cobb_deg: largest angle between coronal tilts, 0 to 90; None draws it.

    Raises:
        SettingError: the Cobb angle is outside its range, the transition contradicts the numbering, or the numbering
            does not run from C1 to S2.
    """
    _check(numbering, transition, scoliosis_cobb_deg)
    numbering, transition = _draw_numbering(rng, numbering, transition)
    drawn_cobb = _draw_cobb(rng)
    cobb = drawn_cobb if scoliosis_cobb_deg is None else float(scoliosis_cobb_deg)
    levels = numbering.levels
    means = _get_mean_steps(levels, transition)
    incidence, sacral_tilt, departures = _draw_sagittal(rng, levels, means)
    size = float(np.exp(rng.normal(0, SIZE_SD)))
    sizes = _apply_transition(_draw_sizes(rng, levels, size, departures), levels, transition)
    discs = _draw_discs(rng, levels, sizes, size=size, steps_deg=means + departures, transition=transition)
    coronal, axial = _draw_scoliosis(rng, levels, cobb)
    plan = ColumnPlan(
        numbering=numbering,
        transition=transition,
        sizes=sizes,
        discs=discs,
        sagittal_deg=np.full(len(levels), sacral_tilt),
        coronal_deg=coronal,
        axial_deg=axial,
        angles=_know_incidence_only(incidence),
    )
    return settle_tilts(plan)


def _check(numbering: Numbering | None, transition: Transition | None, cobb_deg: float | None) -> None:
    if cobb_deg is not None and not 0 <= cobb_deg <= _MAX_COBB_DEG:
        raise SettingError(f"scoliosis_cobb_deg must be between 0 and {_MAX_COBB_DEG:g} degrees, got {cobb_deg}")
    if numbering is not None and (numbering.levels[0] is not Level.C1 or numbering.levels[-1] is not Level.S2):
        raise SettingError(f"a phantom's numbering must run from C1 to S2, got {'-'.join(numbering.levels)}")
    is_transitional = transition not in (None, Transition.NONE)
    if is_transitional and numbering is not None and numbering.levels != REGULAR.levels:
        raise SettingError(
            f'a transition needs the regular numbering, got "{transition}" with numbering "{numbering.name}"'
        )


def _draw_numbering(
    rng: np.random.Generator, numbering: Numbering | None, transition: Transition | None
) -> tuple[Numbering, Transition]:
    priors = np.array([variant.prior for variant in NUMBERINGS])
    drawn = NUMBERINGS[rng.choice(len(NUMBERINGS), p=priors / priors.sum())]
    shares = np.array(list(_TRANSITIONS.values()))
    chosen = rng.choice([*_TRANSITIONS, Transition.NONE], p=[*shares, 1 - shares.sum()])
    if numbering is None:
        numbering = drawn if transition in (None, Transition.NONE) else REGULAR
    if transition is None:
        transition = Transition(chosen) if numbering.levels == REGULAR.levels else Transition.NONE
    return numbering, transition


def _know_incidence_only(incidence_deg: float) -> CurveAngles:
    """Return angles of which only the incidence is known yet."""
    return CurveAngles(
        pelvic_incidence_deg=incidence_deg,
        sacral_slope_deg=0.0,
        lumbar_lordosis_deg=0.0,
        thoracic_kyphosis_deg=0.0,
        cervical_lordosis_deg=0.0,
        scoliosis_cobb_deg=0.0,
    )


def _get_mean_steps(levels: tuple[Level, ...], transition: Transition) -> Float:
    """Return the mean tilt steps (n - 1,), in degrees; a reduced disc holds little lordosis."""
    steps = np.array([get_tilt_step(*pair).mean_deg for pair in pairwise(levels)])
    if transition is Transition.SACRALISED:
        steps[levels.index(Level.L5)] *= 0.6
    return steps


def _draw_sagittal(rng: np.random.Generator, levels: tuple[Level, ...], means_deg: Float) -> tuple[float, float, Float]:
    """Draw pelvic incidence, tilt of S1, and the departure of each tilt step from its mean (n - 1,), in degrees.

    Incidence 52 (10), and slope by 0.63 of it with 5 left: Vialle et al. 2005, J Bone Joint Surg Am 87:260; the mean
    slope is that of the 43 MR exams, supine. Kyphosis varies by 11, as VID's centroids do. A patient lies flat: the
    line from T1 to L3 leans by 3 (in VID T1 lies 18 mm (sd) before or behind L3), so that L3's tilt follows from the
    kyphosis. The neck makes up for half of T1's tilt (Lee et al. 2012, J Spinal Disord Tech 25:E41) and varies by 11.
    """
    incidence = float(np.clip(rng.normal(_MEAN_INCIDENCE_DEG, 10), 25, 90))
    slope = _MEAN_SLOPE_DEG + 0.63 * (incidence - _MEAN_INCIDENCE_DEG) + rng.normal(0, 5)
    sacral_tilt = float(np.clip(slope, 10, 70)) + MEAN_SIZES[Level.S1].wedge_deg / 2
    kyphosis, lean, neck = rng.normal(0, (11, 3, 11))
    sds = np.array([get_tilt_step(*pair).sd_deg for pair in pairwise(levels)])
    departures = rng.normal(0, sds)
    t1, s1 = levels.index(Level.T1), levels.index(Level.S1)
    third = s1 - 3
    _spread_over(departures[t1:third], sds[t1:third], -kyphosis)
    above_third = -np.cumsum(departures[t1:third][::-1])[::-1]
    lying = np.average(above_third, weights=[MEAN_SIZES[level].height_mm for level in levels[t1:third]])
    third_tilt = _THIRD_TILT_DEG + lean - lying
    _spread_over(departures[third:s1], sds[third:s1], sacral_tilt - third_tilt - means_deg[third:s1].sum())
    _spread_over(departures[1:t1], sds[1:t1], 0.5 * (lean - lying + kyphosis) + neck)
    return incidence, sacral_tilt, departures


def _spread_over(departures: Float, sds: Float, total: float) -> None:
    """Make independent normal departures add up to a total, in place, each changed in proportion to its variance."""
    departures += sds**2 / (sds**2).sum() * (total - departures.sum())


def _draw_sizes(
    rng: np.random.Generator, levels: tuple[Level, ...], size: float, departures_deg: Float
) -> tuple[VertebraSize, ...]:
    factors: dict[str, Float] = {}
    for names, variation in SIZE_VARIATIONS.items():
        factors |= dict.fromkeys(names, _draw_factors(rng, levels, size, variation))
    for name, sds in LEVEL_SD.items():
        factors[name] = factors[name] * _draw_level_factors(rng, levels, sds)
    around = np.convolve(departures_deg, [0.5, 0.5])
    wedges = [_BODY_SHARE[level.region] for level in levels] * around + rng.normal(
        0, [_WEDGE_SD_DEG[level.region] for level in levels]
    )
    drawn = []
    for i, (level, wedge) in enumerate(zip(levels, wedges, strict=True)):
        mean = MEAN_SIZES[level]
        scaled = replace(mean, **{name: getattr(mean, name) * factor[i] for name, factor in factors.items()})
        free_mm = scaled.canal_width_mm + _PEDICLE_BESIDE_CANAL * scaled.pedicle_width_mm
        scaled = replace(scaled, pedicle_distance_mm=max(scaled.pedicle_distance_mm, free_mm))
        drawn.append(_set_wedge(scaled, mean.wedge_deg + (0.0 if level is Level.C1 else wedge)))
    return tuple(drawn)


def _draw_factors(rng: np.random.Generator, levels: tuple[Level, ...], size: float, variation: Variation) -> Float:
    """Draw factors (n,) on the mean adult's sizes: of the patient, smooth along the column, and of each level."""
    n = len(levels)
    # smoothed with some room at the ends, so that the variance is one everywhere
    room = 8
    smooth = gaussian_filter1d(rng.normal(size=n + 2 * room), _SMOOTH_LEVELS)[room:-room]
    smooth *= np.sqrt(2 * np.sqrt(np.pi) * _SMOOTH_LEVELS)
    spread = np.array([variation.cervical_factor if level.region is Region.CERVICAL else 1.0 for level in levels])
    departures = spread * (variation.smooth_sd * smooth + variation.level_sd * rng.normal(size=n))
    return np.asarray(np.exp(variation.size_power * np.log(size) + rng.normal(0, variation.patient_sd) + departures))


def _draw_level_factors(rng: np.random.Generator, levels: tuple[Level, ...], sds: Mapping[Level, float]) -> Float:
    """Draw factors (n,) of the levels that vary more than others."""
    return np.asarray(np.exp(rng.normal(size=len(levels)) * [sds.get(level, 0.0) for level in levels]))


def _set_wedge(size: VertebraSize, angle_deg: float) -> VertebraSize:
    half = size.depth_mm * np.tan(np.radians(angle_deg) / 2)
    height = size.height_mm
    return replace(size, anterior_height_mm=float(height + half), posterior_height_mm=float(height - half))


def _apply_transition(
    sizes: tuple[VertebraSize, ...], levels: tuple[Level, ...], transition: Transition
) -> tuple[VertebraSize, ...]:
    """Change the sizes of a transitional vertebra.

    Its body is squarer (Wigh 1980, Spine 5:168); below a lumbarised S1 the sacrum starts smaller.
    """
    changed = list(sizes)
    if transition is Transition.SACRALISED:
        i = levels.index(Level.L5)
        size = replace(sizes[i], transverse_span_mm=1.12 * sizes[i].transverse_span_mm)
        changed[i] = _set_wedge(size, 0.5 * size.wedge_deg)
    elif transition is Transition.LUMBARISED:
        i = levels.index(Level.S1)
        upper = sizes[i]
        depth_mm, width_mm = 0.92 * upper.upper_depth_mm, 0.88 * upper.upper_width_mm
        size = replace(upper, lower_depth_mm=depth_mm, lower_width_mm=width_mm)
        changed[i] = _set_wedge(size, 0.5 * size.wedge_deg)
        changed[i + 1] = replace(
            sizes[i + 1], upper_depth_mm=0.9 * depth_mm, lower_depth_mm=0.6 * depth_mm, upper_width_mm=0.9 * width_mm
        )
    return tuple(changed)


_TRANSITIONAL_DISCS: Mapping[Transition, tuple[Level, Level, float]] = {
    Transition.SACRALISED: (Level.L5, Level.S1, 0.5),
    Transition.LUMBARISED: (Level.S1, Level.S2, 2.4),
}
"""The disc below or above a transitional vertebra, and its height relative to a regular one.

O'Driscoll et al. 1996, Skeletal Radiol 25:225: a reduced disc below one, a well-formed S1/S2 disc below the other.
"""


def _draw_discs(
    rng: np.random.Generator,
    levels: tuple[Level, ...],
    sizes: tuple[VertebraSize, ...],
    *,
    size: float,
    steps_deg: Float,
    transition: Transition,
) -> tuple[DiscSize, ...]:
    factors = _draw_factors(rng, levels, size, DISC_VARIATION) * _draw_level_factors(rng, levels, DISC_SD)
    *pair, factor = _TRANSITIONAL_DISCS.get(transition, (None, None, 1.0))
    slips = rng.normal(0, _SLIP_SD, len(levels))
    discs = []
    for i, (upper, lower) in enumerate(pairwise(levels)):
        reduced = factor if [upper, lower] == pair else 1.0
        height = mean_disc_height_mm(upper, lower) * factors[i] * reduced
        depth = disc_depth_mm(sizes[i], sizes[i + 1])
        wedge = steps_deg[i] - (sizes[i].wedge_deg + sizes[i + 1].wedge_deg) / 2
        steepest = wedge_deg(2 * height - _MIN_EDGE_MM, _MIN_EDGE_MM, depth)
        half = depth * np.tan(np.radians(np.clip(wedge, -steepest, steepest)) / 2)
        slip = 0.0 if upper is Level.C1 or upper.region is Region.SACRAL else slips[i] * depth
        discs.append(
            DiscSize(
                anterior_height_mm=float(height + half), posterior_height_mm=float(height - half), slip_mm=float(slip)
            )
        )
    return tuple(discs)


def _draw_cobb(rng: np.random.Generator) -> float:
    """Draw a Cobb angle: some 7 % of adults have a curve of 10 degrees or more, few a large one.

    The share lies between 4 % (Francis 1988, Spine 13:394, the young) and 13 % (Kebaish et al. 2011, Spine 36:731, over
    40).
    """
    small, large = np.clip(rng.normal(6, 2), 1, 9.9), min(10 + rng.exponential(9), 45)
    return float(large if rng.random() < _SCOLIOSIS_SHARE else small)


def _draw_scoliosis(rng: np.random.Generator, levels: tuple[Level, ...], cobb_deg: float) -> tuple[Float, Float]:
    """Draw coronal tilts and axial rotations, (n,) degrees each.

    The curve has one apex in the thoracic or lumbar spine, mostly to the right in the former; bodies turn toward the
    convexity, by some 0.4 of the Cobb angle at the apex (Stokes 1989, Spine 14:1179).
    """
    is_thoracic = rng.random() < 0.6
    apex_level = Level.T8 if is_thoracic else Level.L2
    apex = levels.index(apex_level) + rng.normal(0, 1)
    width = rng.uniform(2.2, 3.5)
    to_the_right = 1.0 if rng.random() < (0.8 if is_thoracic else 0.35) else -1.0
    below_apex = (np.arange(len(levels)) - apex) / width
    bump = np.exp(-(below_apex**2) / 2)
    # no column is quite straight: what is irregular fades beside a large curve
    irregular = 0.35 * min(1.0, 5.0 / max(cobb_deg, 1.0))
    coronal = to_the_right * below_apex * bump + irregular * rng.normal(size=len(levels))
    # the head stays over the pelvis
    coronal -= coronal.mean()
    coronal *= cobb_deg / np.ptp(coronal)
    axial = -to_the_right * 0.4 * cobb_deg * bump + rng.normal(0, 1.2, len(levels))
    return coronal, axial
