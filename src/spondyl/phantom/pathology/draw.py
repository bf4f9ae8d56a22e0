"""Draw the pathology of a patient at its published frequency; each grade follows from its cause.

Wear, height loss and endplate change are each correlated within a patient through one shared factor. The gradings that
SPIDER has follow its tables (`pathology.frequencies`). SPIDER does not grade stenosis: here discs, ligaments and slips
narrow the canal, and the grade is read from the depth that remains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from spondyl.anatomy.disc import Disc, discs_of
from spondyl.anatomy.level import Level, Region
from spondyl.errors import SettingError
from spondyl.geometry.affine import Float
from spondyl.phantom.column.column import ColumnPlan
from spondyl.phantom.pathology import frequencies as frequencies
from spondyl.phantom.pathology.frequencies import DegenerativeChange
from spondyl.phantom.pathology.pathology import DiscState, Fracture, FractureKind, Pathology, SchmorlNode

__all__ = ["apply_slip", "draw_fracture", "draw_pathology"]

_HEIGHT_LOADING, _ENDPLATE_LOADING = 0.6, 0.8
"""The correlation of a disc's height loss and endplate changes with the patient's factors.

Both are fitted to how much the numbers of narrowed discs and of defects vary between SPIDER's patients.
"""

_LUMBAR_DEPTH_MM = 35.0
"""The endplate depth for which the lengths below hold, in mm; changes of smaller discs are smaller."""

_HEIGHT_FACTORS = ((0.90, 1.0), (0.70, 0.85), (0.50, 0.70), (0.30, 0.50))
"""The range of the remaining disc height by narrowing 0 to 3.

A third and two thirds are the usual limits of mild and severe narrowing.
"""

_STENOSIS_LIMITS = (0.85, 0.71, 0.59)
"""The remaining shares of the sac's depth below which stenosis has grade 1, 2 and 3.

Of a usual 17 mm, 12 mm and 10 mm are called relative and absolute stenosis (Kalichman et al. 2009, doi
10.1016/j.spinee.2009.03.005); the first limit is assumed.
"""

_THICKENING = (0.0, 0.01, 0.04, 0.08, 0.12)
"""The mean share of the sac's depth that ligament and facets take, by Pfirrmann grade.

It is set so that about a quarter of the patients have a relative stenosis and one in twelve an absolute one, as in
Kalichman et al. 2009.
"""

_SLIP_INTO_CANAL = 0.4
"""The share of a slip by which the canal loses depth; the arch follows the body for the rest (assumed)."""

_MIN_CANAL_FACTOR = 0.3
"""The share of the sac's depth that always remains, because the roots need it."""

_EPIDURAL_MM = 2.5
"""The protrusion at which a disc touches the sac: the depth of the anterior epidural space at L4/L5, in mm."""

_SCHMORL_SHARE = {Region.CERVICAL: 0.02, Region.THORACIC: 0.10, Region.LUMBAR: 0.045, Region.SACRAL: 0.0}
"""P(node | endplate defect).

16 % of adults have one at L1 to S1 (Mok et al. 2010, Spine 35:1944), most at T7 to L2.
"""

_SCREW_SHARE = 0.015
_SCREW_SPANS = ((0, 2), (1, 2), (0, 3), (1, 3), (2, 2))
"""The lowest vertebra with screws, counted from S1 upwards, and the number of vertebrae.

Most fusions end at S1 or L5.
"""

_GENANT_LOSS = ((0.20, 0.25), (0.25, 0.40), (0.40, 0.60))
"""The range of height loss by Genant's grades 1 to 3 (Genant et al. 1993, doi 10.1002/jbmr.5650080915)."""


@dataclass(frozen=True, slots=True)
class _Patient:
    """The standard normal factors that a patient's discs share."""

    wear: float
    height: float
    endplates: float


@dataclass(frozen=True, slots=True)
class _DiscSite:
    """The site of a disc, with the frequencies that hold there."""

    region: Region
    pfirrmann: ArrayLike
    loading: float
    factors: Mapping[DegenerativeChange, float]
    scale: float
    canal_depth_mm: float


def draw_pathology(
    rng: np.random.Generator,
    plan: ColumnPlan,
    *,
    severity: float | None = None,
    screws: tuple[Level, ...] | None = None,
) -> Pathology:
    """Draw the pathology of a patient.

    Args:
        rng: random generator of the patient.
        plan: healthy column with its levels and sizes.
        severity: quantile among patients with back pain, from 0 (healthy) to 1; None draws it.
        screws: vertebrae with pedicle screws; None draws them, for 1.5 % of the patients.

    Raises:
        SettingError: the severity is outside 0 to 1, or a vertebra for screws is absent or cervical.
    """
    if severity is not None and not 0 <= severity <= 1:
        raise SettingError(f"severity must be in 0 to 1, got {severity}")
    levels = plan.numbering.levels
    if unfit := [level for level in screws or () if level not in levels or level.region is Region.CERVICAL]:
        raise SettingError(f"screws must be in thoracic, lumbar or sacral vertebrae of the column, got {unfit[0]}")
    discs = discs_of(plan.numbering)
    healthy = {disc: DiscState() for disc in discs}
    rank = float(rng.uniform()) if severity is None else severity
    if rank == 0:
        return Pathology(discs=healthy, fractures={}, screws=screws or ())
    patient = _draw_patient(rng, rank, is_given=severity is not None)
    places = _describe_sites(plan, discs[:-1])  # S1/S2 does not move, so that nothing wears it
    worn = {disc: _draw_disc(rng, place, patient) for disc, place in zip(discs, places, strict=False)}
    fractures = _draw_fractures(rng, levels, rank)
    drawn_screws = _draw_screws(rng, levels)
    return Pathology(discs=healthy | worn, fractures=fractures, screws=drawn_screws if screws is None else screws)


def draw_fracture(rng: np.random.Generator, *, kind: FractureKind | None = None, grade: int | None = None) -> Fracture:
    """Draw a fracture.

    Args:
        rng: random generator of the patient.
        kind, grade: kind and Genant's grade 1 to 3; drawn when None.

    Raises:
        SettingError: the grade is outside 1 to 3.
    """
    if grade not in (None, 1, 2, 3):
        raise SettingError(f"the grade of a fracture must be 1, 2 or 3, got {grade}")
    drawn_kind = list(FractureKind)[_pick_category(frequencies.FRACTURE_KINDS, rng.uniform())]
    drawn_grade = 1 + _pick_category(frequencies.FRACTURE_GRADES, rng.uniform())
    grade = grade or drawn_grade
    loss = rng.uniform(*_GENANT_LOSS[grade - 1])
    return Fracture(kind=kind or drawn_kind, grade=grade, loss=float(loss), is_recent=bool(rng.uniform() < 0.3))


def apply_slip(state: DiscState, slip_mm: float, canal_depth_mm: float) -> DiscState:
    """Return a disc at which the vertebra above has slipped this far, with the canal that remains.

    Args:
        state: disc with its present slip, if any.
        slip_mm: forward slip that replaces it.
        canal_depth_mm: depth of the bony canal.
    """
    taken = _SLIP_INTO_CANAL * (slip_mm - state.slip_mm) / canal_depth_mm
    canal_factor = float(np.clip(state.canal_factor - taken, _MIN_CANAL_FACTOR, 1))
    return replace(state, slip_mm=slip_mm, canal_factor=canal_factor, central_stenosis=_grade_stenosis(canal_factor))


def _grade_stenosis(canal_factor: float) -> int:
    return sum(canal_factor < limit for limit in _STENOSIS_LIMITS)


def _draw_patient(rng: np.random.Generator, rank: float, *, is_given: bool) -> _Patient:
    """Draw the shared factors; where the severity is given, it sets all of them."""
    wear = float(ndtri(np.clip(rank, 0.001, 0.999)))
    height, endplates = rng.standard_normal(2)
    return _Patient(wear, wear, wear) if is_given else _Patient(wear, float(height), float(endplates))


def _describe_sites(plan: ColumnPlan, discs: Sequence[Disc]) -> list[_DiscSite]:
    return [_describe_site(plan, disc, len(discs) - 1 - index) for index, disc in enumerate(discs)]


def _describe_site(plan: ColumnPlan, disc: Disc, from_below: int) -> _DiscSite:
    levels = plan.numbering.levels
    upper, lower = plan.sizes[levels.index(disc.upper)], plan.sizes[levels.index(disc.lower)]
    region = disc.upper.region
    is_graded_by_spider = from_below < len(frequencies.PFIRRMANN_BY_PLACE)
    if is_graded_by_spider:
        pfirrmann: ArrayLike = frequencies.PFIRRMANN_BY_PLACE[from_below]
        factors = {finding: float(by_place[from_below]) for finding, by_place in frequencies.PLACE_FACTORS.items()}
    else:
        pfirrmann = frequencies.PFIRRMANN_BY_UPPER_LEVEL[disc.upper]
        factors = dict(frequencies.REGION_FACTORS[region])
    return _DiscSite(
        region=region,
        pfirrmann=pfirrmann,
        loading=float(frequencies.LOADING[min(from_below, len(frequencies.LOADING) - 1)]),
        factors=factors,
        scale=upper.lower_depth_mm / _LUMBAR_DEPTH_MM,
        canal_depth_mm=min(upper.canal_depth_mm, lower.canal_depth_mm),
    )


def _draw_disc(rng: np.random.Generator, place: _DiscSite, patient: _Patient) -> DiscState:
    pfirrmann = 1 + _pick_category(place.pfirrmann, _draw_correlated(rng, place.loading, patient.wear))
    row = pfirrmann - 1
    narrowing = _pick_category(
        _scale(frequencies.NARROWING[row], place.factors[DegenerativeChange.NARROWING]),
        _draw_correlated(rng, _HEIGHT_LOADING, patient.height),
    )
    slip_mm = _draw_slip(rng, place, row)
    bulge_mm, herniation_mm, right_mm = _draw_contour(rng, place, patient, row)
    canal_factor = _draw_canal(rng, place, row, max(bulge_mm, herniation_mm), slip_mm)
    left, right = _draw_foramina(rng, narrowing, slip_mm)
    upper, lower, modic = _draw_endplates(rng, place, patient, row)
    return DiscState(
        pfirrmann=pfirrmann,
        narrowing=narrowing,
        height_factor=float(rng.uniform(*_HEIGHT_FACTORS[narrowing])) if pfirrmann > 1 or narrowing else 1.0,
        bulge_mm=bulge_mm,
        herniation_mm=herniation_mm,
        herniation_right_mm=right_mm,
        upper_endplate_defect=upper,
        lower_endplate_defect=lower,
        upper_modic=modic[0],
        lower_modic=modic[1],
        central_stenosis=_grade_stenosis(canal_factor),
        canal_factor=canal_factor,
        left_foraminal_stenosis=left,
        right_foraminal_stenosis=right,
        slip_mm=slip_mm,
        schmorl_nodes=_draw_schmorl(rng, place, upper, lower),
    )


def _draw_slip(rng: np.random.Generator, place: _DiscSite, row: int) -> float:
    """Draw a forward slip in mm; a spondylolisthesis has 3 mm or more."""
    if rng.uniform() < frequencies.SLIP[row] * place.factors[DegenerativeChange.SLIP]:
        return float(np.clip((3 + rng.exponential(2.5)) * max(place.scale, 0.6), 3, 12))
    return 0.0


def _draw_contour(
    rng: np.random.Generator, place: _DiscSite, patient: _Patient, row: int
) -> tuple[float, float, float]:
    """Draw the bulge, the herniation and its distance to the right, in mm."""
    is_herniated = rng.uniform() < frequencies.HERNIATION[row] * place.factors[DegenerativeChange.HERNIATION]
    bulging = (
        frequencies.BULGE_BESIDE_HERNIATION
        if is_herniated
        else frequencies.BULGE[row] * place.factors[DegenerativeChange.BULGE]
    )
    is_bulging = _draw_correlated(rng, _HEIGHT_LOADING, patient.height) > 1 - bulging
    bulge_mm = rng.uniform(1.5, 3.5) * place.scale
    protrusion_mm = min(rng.uniform(4, 9) * place.scale, 0.6 * place.canal_depth_mm)
    right_mm = rng.choice((-1, 1)) * abs(rng.normal(4, 2)) * place.scale  # most lie beside the midline
    if not is_herniated:
        return float(bulge_mm) * is_bulging, 0.0, 0.0
    return float(bulge_mm) * is_bulging, float(protrusion_mm), float(right_mm)


def _draw_canal(rng: np.random.Generator, place: _DiscSite, row: int, protrusion_mm: float, slip_mm: float) -> float:
    """Draw the share of the sac's depth that ligament, disc and slip leave."""
    thickening = max(0.0, float(rng.normal(_THICKENING[row], _THICKENING[row] / 2)))
    if place.region is Region.THORACIC:
        thickening /= 3  # the thoracic canal hardly ever narrows
    indentation_mm = max(0.0, protrusion_mm - _EPIDURAL_MM * place.scale) + _SLIP_INTO_CANAL * slip_mm
    return float(np.clip(1 - thickening - indentation_mm / place.canal_depth_mm, _MIN_CANAL_FACTOR, 1))


def _draw_foramina(rng: np.random.Generator, narrowing: int, slip_mm: float) -> tuple[int, int]:
    """Draw the stenosis of the left and right foramen: it grows with the height loss of the disc and with a slip."""
    both = 0.5 * narrowing + 0.15 * slip_mm
    left, right = np.rint(both + rng.normal(-0.2, 0.35, 2)).clip(0, 3) if both else (0, 0)
    return int(left), int(right)


def _draw_endplates(
    rng: np.random.Generator, place: _DiscSite, patient: _Patient, row: int
) -> tuple[bool, bool, tuple[int, int]]:
    """Draw whether the upper and the lower endplate is defective, and the type of marrow change beside each."""
    shares = _scale(frequencies.ENDPLATES[row], place.factors[DegenerativeChange.ENDPLATES])
    defects = _pick_category(shares, _draw_correlated(rng, _ENDPLATE_LOADING, patient.endplates))
    upper, lower = defects in (1, 3), defects in (2, 3)
    changed = frequencies.MODIC[int(defects > 0), row] * place.factors[DegenerativeChange.MODIC]
    kind = 1 + _pick_category(frequencies.MODIC_TYPES, rng.uniform())
    sides = _pick_category((0.15, 0.15, 0.7), rng.uniform())  # most changes lie on both sides of the disc
    if _draw_correlated(rng, _ENDPLATE_LOADING, patient.endplates) <= 1 - changed:
        return upper, lower, (0, 0)
    return upper, lower, (kind * (sides != 1), kind * (sides != 0))


def _draw_schmorl(rng: np.random.Generator, place: _DiscSite, upper: bool, lower: bool) -> tuple[SchmorlNode, ...]:
    nodes = []
    for is_below, is_defective in ((False, upper), (True, lower)):
        if is_defective and rng.uniform() < _SCHMORL_SHARE[place.region]:
            right, anterior = rng.normal(0, 4 * place.scale, 2)
            radius_mm, depth_mm = rng.uniform(3, 7) * place.scale, rng.uniform(2, 6) * place.scale
            nodes.append(
                SchmorlNode(
                    right_mm=float(right),
                    anterior_mm=float(anterior),
                    radius_mm=float(radius_mm),
                    depth_mm=float(depth_mm),
                    is_below=is_below,
                )
            )
    return tuple(nodes)


def _draw_fractures(rng: np.random.Generator, levels: Sequence[Level], rank: float) -> dict[Level, Fracture]:
    """Draw fractures: most patients have none; the more worn, and so older, have them more often."""
    possible = [level for level in levels if level in frequencies.FRACTURE_LEVELS]
    weights = np.array([frequencies.FRACTURE_LEVELS[level] for level in possible])
    count = 1 + min(int(rng.geometric(0.65)) - 1, 3)
    chosen = rng.choice(len(possible), count, replace=False, p=weights / weights.sum())
    if rng.uniform() >= 2 * rank * frequencies.FRACTURED_SHARE:
        return {}
    return {possible[index]: draw_fracture(rng) for index in sorted(chosen)}


def _draw_screws(rng: np.random.Generator, levels: Sequence[Level]) -> tuple[Level, ...]:
    from_below, count = _SCREW_SPANS[rng.integers(len(_SCREW_SPANS))]
    if rng.uniform() >= _SCREW_SHARE:
        return ()
    lowest = levels.index(Level.S1) - from_below
    return tuple(levels[lowest - count + 1 : lowest + 1])


def _draw_correlated(rng: np.random.Generator, loading: float, factor: float) -> float:
    """Draw a uniform number in 0 to 1, larger for worse, correlated with a factor of the patient."""
    return float(ndtr(loading * factor + np.sqrt(1 - loading**2) * rng.standard_normal()))


def _pick_category(probabilities: ArrayLike, uniform: float) -> int:
    """Return the category at this quantile of the cumulated distribution, from 0."""
    return int(np.searchsorted(np.cumsum(probabilities)[:-1], uniform, side="right"))


def _scale(probabilities: Float, factor: float) -> Float:
    """Multiply all probabilities but the first by a factor, as far as the sum allows."""
    others = probabilities[1:] * factor
    others /= max(1.0, float(others.sum()))
    return np.concatenate([[1 - others.sum()], others])
