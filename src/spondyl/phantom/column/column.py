"""The column of a phantom: the size of each vertebra, the curves, and where each vertebra lies.

World space is RAS mm. Each vertebra has a frame of its own, (right, anterior, superior), with its origin in the middle
of the body: halfway between the centres of its two endplates. Tilts are in degrees; a positive sagittal tilt lowers the
anterior edge (that of S1's upper endplate is the sacral slope), a positive coronal tilt lowers the right edge, a
positive axial rotation turns the front to the left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from spondyl.anatomy.level import Level, Region
from spondyl.anatomy.numbering import Numbering
from spondyl.geometry.affine import Float

__all__ = [
    "Column",
    "ColumnPlan",
    "CurveAngles",
    "DiscSize",
    "PlacedVertebra",
    "Transition",
    "VertebraSize",
    "corners_ras_mm",
    "disc_depth_mm",
    "disc_wedges_deg",
    "measure_angles",
    "pedicle_points_ras_mm",
    "pedicle_rise_mm",
    "place_column",
    "settle_tilts",
    "wedge_deg",
]


class Transition(StrEnum):
    """The kind of lumbosacral transitional vertebra, which keeps its regular name."""

    NONE = "none"
    SACRALISED = "sacralised L5"
    LUMBARISED = "lumbarised S1"


@dataclass(frozen=True, slots=True, kw_only=True)
class VertebraSize:
    """The sizes of one vertebra, in mm.

    Args:
        anterior_height_mm, posterior_height_mm: height of the body from rim to rim.
        concavity_mm: depth of the middle of each endplate inside the plane of its rim.
        upper_depth_mm, lower_depth_mm: anteroposterior size of the endplates.
        upper_width_mm, lower_width_mm: transverse size of the endplates.
        pedicle_width_mm, pedicle_height_mm: transverse and vertical diameter of a pedicle.
        pedicle_distance_mm: distance between the centres of the two pedicles.
        canal_width_mm, canal_depth_mm: size of the bony canal behind the body.
        spinous_length_mm: length from the back of the canal to the tip of the spinous process.
        transverse_span_mm: distance between the tips of the transverse processes.
    """

    anterior_height_mm: float
    posterior_height_mm: float
    concavity_mm: float
    upper_depth_mm: float
    lower_depth_mm: float
    upper_width_mm: float
    lower_width_mm: float
    pedicle_width_mm: float
    pedicle_height_mm: float
    pedicle_distance_mm: float
    canal_width_mm: float
    canal_depth_mm: float
    spinous_length_mm: float
    transverse_span_mm: float

    @property
    def height_mm(self) -> float:
        """Return the mid-body height between the rim planes."""
        return (self.anterior_height_mm + self.posterior_height_mm) / 2

    @property
    def depth_mm(self) -> float:
        """Return the mean depth of the two endplates."""
        return (self.upper_depth_mm + self.lower_depth_mm) / 2

    @property
    def wedge_deg(self) -> float:
        """Return the angle between the endplates, positive where the front is higher; each takes half of it."""
        return wedge_deg(self.anterior_height_mm, self.posterior_height_mm, self.depth_mm)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscSize:
    """The size of one disc, in mm: its height at both edges, and how far the upper vertebra has slipped forward."""

    anterior_height_mm: float
    posterior_height_mm: float
    slip_mm: float = 0.0

    @property
    def height_mm(self) -> float:
        """Return the mid-disc height."""
        return (self.anterior_height_mm + self.posterior_height_mm) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveAngles:
    """The curves of a column, in degrees between endplates; kyphosis and lordosis are positive.

    Args:
        pelvic_incidence_deg: incidence of the pelvis, which the curves follow.
        sacral_slope_deg: tilt of S1's upper endplate.
        lumbar_lordosis_deg: L1's upper to S1's upper endplate.
        thoracic_kyphosis_deg: T4's upper endplate to the lower one of the last thoracic vertebra.
        cervical_lordosis_deg: C2's lower to C7's lower endplate.
        scoliosis_cobb_deg: largest angle between the coronal tilts of any two vertebrae.
    """

    pelvic_incidence_deg: float
    sacral_slope_deg: float
    lumbar_lordosis_deg: float
    thoracic_kyphosis_deg: float
    cervical_lordosis_deg: float
    scoliosis_cobb_deg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnPlan:
    """The plan of a column whose vertebrae are not placed yet; pathology changes it here.

    Args:
        numbering: levels of the column, head to foot, C1 to S2.
        transition: lumbosacral transition.
        sizes: sizes of each vertebra.
        discs: size of the disc between each pair of neighbours, the gap of C1/C2 included.
        sagittal_deg, coronal_deg, axial_deg: tilt and rotation of each body, (n,).
        angles: measured curves.
    """

    numbering: Numbering
    transition: Transition
    sizes: tuple[VertebraSize, ...]
    discs: tuple[DiscSize, ...]
    sagittal_deg: Float
    coronal_deg: Float
    axial_deg: Float
    angles: CurveAngles


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedVertebra:
    """A vertebra with its position and orientation.

    Args:
        level: name of the vertebra.
        size: sizes of the vertebra.
        centre_ras_mm: middle of the body, (3,).
        axes: (3, 3), columns are the unit vectors right, anterior and superior of its frame in RAS.
    """

    level: Level
    size: VertebraSize
    centre_ras_mm: Float
    axes: Float

    def endplate_centre(self, *, upper: bool) -> Float:
        """Return the middle of the plane through an endplate's rim, (3,) RAS mm."""
        return self.to_world([0.0, 0.0, self.size.height_mm / 2 * (1 if upper else -1)])

    def to_world(self, local_mm: ArrayLike) -> Float:
        """Convert points (..., 3) of its frame, in mm, to RAS mm."""
        return np.asarray(np.asarray(local_mm, dtype=np.float64) @ self.axes.T + self.centre_ras_mm)

    def to_local(self, points_ras_mm: ArrayLike) -> Float:
        """Convert points (..., 3) in RAS mm to its frame, in mm."""
        return np.asarray((np.asarray(points_ras_mm, dtype=np.float64) - self.centre_ras_mm) @ self.axes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column whose vertebrae are placed, with L3's body at the origin and the head up.

    Args:
        plan: plan that was placed.
        vertebrae: vertebra of each level of the plan, head to foot.
    """

    plan: ColumnPlan
    vertebrae: tuple[PlacedVertebra, ...]


def place_column(plan: ColumnPlan) -> Column:
    """Place the vertebrae of a plan one below the other, with L3's centre at the origin.

    Each disc's middle lies along the mean of its neighbours' axes; a slip moves the upper body forward.
    """
    axes = _make_axes(plan.sagittal_deg, plan.coronal_deg, plan.axial_deg)
    centres = [np.zeros(3)]
    for i, disc in enumerate(plan.discs):
        _, forward, up = (axes[i] + axes[i + 1]).T / np.linalg.norm(axes[i] + axes[i + 1], axis=0)[:, None]
        upper_half, lower_half = plan.sizes[i].height_mm / 2, plan.sizes[i + 1].height_mm / 2
        step = upper_half * axes[i][:, 2] + disc.height_mm * up + lower_half * axes[i + 1][:, 2]
        centres.append(centres[-1] - step - disc.slip_mm * forward)
    origin = centres[plan.numbering.levels.index(Level.L3)]
    vertebrae = tuple(
        PlacedVertebra(level=level, size=size, centre_ras_mm=centre - origin, axes=frame)
        for level, size, centre, frame in zip(plan.numbering.levels, plan.sizes, centres, axes, strict=True)
    )
    return Column(plan=plan, vertebrae=vertebrae)


def corners_ras_mm(vertebra: PlacedVertebra) -> Float:
    """Return the corners of the body in its mid-sagittal plane, (4, 3), ordered as `geometry.instance.CORNERS`."""
    size = vertebra.size
    slope = (size.anterior_height_mm - size.posterior_height_mm) / size.depth_mm
    upper, lower = size.upper_depth_mm / 2, size.lower_depth_mm / 2
    local = [
        (0.0, y, sense * (size.height_mm + slope * y) / 2)
        for y, sense in ((-upper, 1), (-lower, -1), (lower, -1), (upper, 1))
    ]
    return vertebra.to_world(local)


def pedicle_points_ras_mm(vertebra: PlacedVertebra) -> Float:
    """Return the middle of the right and of the left pedicle, (2, 3)."""
    size = vertebra.size
    behind, above = size.depth_mm / 2 + _PEDICLE_BEHIND_MM, pedicle_rise_mm(vertebra)
    return vertebra.to_world([[side * size.pedicle_distance_mm / 2, -behind, above] for side in (1, -1)])


def pedicle_rise_mm(vertebra: PlacedVertebra) -> float:
    """Return the height of the pedicles' axis over the middle of the body; they leave its upper half."""
    return _PEDICLE_RISE[vertebra.level.region] * vertebra.size.posterior_height_mm


_PEDICLE_BEHIND_MM = 4.0
_PEDICLE_RISE = {Region.CERVICAL: 0.05, Region.THORACIC: 0.22, Region.LUMBAR: 0.2, Region.SACRAL: 0.2}
"""The height of the pedicles over the body's posterior height, after the usual atlases."""


def disc_depth_mm(upper: VertebraSize, lower: VertebraSize) -> float:
    """Return the anteroposterior size of the disc between two vertebrae."""
    return (upper.lower_depth_mm + lower.upper_depth_mm) / 2


def wedge_deg(anterior_mm: float, posterior_mm: float, depth_mm: float) -> float:
    """Return the angle of a symmetric wedge with these heights at its edges, positive where the front is higher."""
    return float(2 * np.degrees(np.arctan2((anterior_mm - posterior_mm) / 2, depth_mm)))


def disc_wedges_deg(plan: ColumnPlan) -> Float:
    """Return the wedge of each disc, (n - 1,)."""
    return np.array(
        [
            wedge_deg(disc.anterior_height_mm, disc.posterior_height_mm, disc_depth_mm(upper, lower))
            for disc, (upper, lower) in zip(plan.discs, pairwise(plan.sizes), strict=True)
        ]
    )


def settle_tilts(plan: ColumnPlan) -> ColumnPlan:
    """Turn every vertebra by the wedges of the bodies and discs below it, keep S1, and measure the curves again.

    Use it on plans whose sizes or discs were changed; a plan as drawn is settled already.
    """
    halves = np.array([size.wedge_deg for size in plan.sizes]) / 2
    steps = disc_wedges_deg(plan) + halves[:-1] + halves[1:]
    tilts = np.concatenate([[0.0], np.cumsum(steps)])
    sacrum = plan.numbering.levels.index(Level.S1)
    settled = replace(plan, sagittal_deg=tilts - tilts[sacrum] + plan.sagittal_deg[sacrum])
    return replace(settled, angles=measure_angles(settled))


def measure_angles(plan: ColumnPlan) -> CurveAngles:
    """Measure the curves of a plan from its tilts and wedges; the pelvic incidence is copied."""
    halves = {level: size.wedge_deg / 2 for level, size in zip(plan.numbering.levels, plan.sizes, strict=True)}
    tilts = dict(zip(plan.numbering.levels, plan.sagittal_deg.tolist(), strict=True))
    upper = {level: tilts[level] - halves[level] for level in tilts}
    lower = {level: tilts[level] + halves[level] for level in tilts}
    last_thoracic = plan.numbering.levels[plan.numbering.levels.index(Level.L1) - 1]
    return CurveAngles(
        pelvic_incidence_deg=plan.angles.pelvic_incidence_deg,
        sacral_slope_deg=upper[Level.S1],
        lumbar_lordosis_deg=upper[Level.S1] - upper[Level.L1],
        thoracic_kyphosis_deg=upper[Level.T4] - lower[last_thoracic],
        cervical_lordosis_deg=lower[Level.C7] - lower[Level.C2],
        scoliosis_cobb_deg=float(np.ptp(plan.coronal_deg)),
    )


def _make_axes(sagittal_deg: Float, coronal_deg: Float, axial_deg: Float) -> Float:
    """Make frames (n, 3, 3): each is turned about its long axis, then tilted in the sagittal and the coronal plane."""
    sagittal, coronal, axial = np.radians(sagittal_deg), np.radians(coronal_deg), np.radians(axial_deg)
    turned = _make_rotations(axial, 0, 1)
    tilted = _make_rotations(-sagittal, 1, 2)
    leant = _make_rotations(coronal, 2, 0)
    return np.asarray(leant @ tilted @ turned)


def _make_rotations(angles: Float, first: int, second: int) -> Float:
    """Make matrices (n, 3, 3) that turn one axis toward another by angles (n,) in radians."""
    matrices = np.tile(np.eye(3), (len(angles), 1, 1))
    matrices[:, first, first] = matrices[:, second, second] = np.cos(angles)
    matrices[:, second, first], matrices[:, first, second] = np.sin(angles), -np.sin(angles)
    return matrices
