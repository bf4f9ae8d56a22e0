"""The column of a phantom: how large each vertebra is, how the curves run, and where each vertebra lies.

World space is RAS mm. Each vertebra has a frame of its own, (right, anterior, superior), with its origin in the middle
of the body: halfway between the centres of its two endplates. Tilts are in degrees; a positive sagittal tilt lowers the
anterior edge (S1's tilt is the sacral slope), a positive coronal tilt lowers the right edge, a positive axial
rotation turns the front to the left.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import Numbering
from spondyl.geometry.affine import Float

__all__ = ["Column", "ColumnPlan", "CurveAngles", "DiscSize", "Transition", "Vertebra", "VertebraSize"]


class Transition(StrEnum):
    """A lumbosacral transitional vertebra that keeps its regular name."""

    NONE = "none"
    SACRALISED = "sacralised L5"
    LUMBARISED = "lumbarised S1"


@dataclass(frozen=True, slots=True, kw_only=True)
class VertebraSize:
    """Sizes of one vertebra, mm.

    Args:
        anterior_height_mm, posterior_height_mm: of the body, rim to rim.
        concavity_mm: how far the middle of each endplate lies inside the plane of its rim.
        upper_depth_mm, lower_depth_mm: anteroposterior size of the endplates.
        upper_width_mm, lower_width_mm: transverse size of the endplates.
        pedicle_width_mm, pedicle_height_mm: transverse and vertical diameter of a pedicle.
        pedicle_distance_mm: between the centres of the two pedicles.
        canal_width_mm, canal_depth_mm: of the bony canal behind the body.
        spinous_length_mm: from the back of the canal to the tip of the spinous process.
        transverse_span_mm: between the tips of the transverse processes.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscSize:
    """Height of one disc at its anterior and posterior edge, and how far the upper vertebra has slipped forward, mm."""

    anterior_height_mm: float
    posterior_height_mm: float
    slip_mm: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveAngles:
    """The curves of a column, degrees; kyphosis and lordosis are positive."""

    pelvic_incidence_deg: float
    sacral_slope_deg: float
    lumbar_lordosis_deg: float
    thoracic_kyphosis_deg: float
    cervical_lordosis_deg: float
    scoliosis_cobb_deg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnPlan:
    """A column before it is put in place; pathology changes it here.

    Args:
        numbering: its levels, head to foot, C1 to S2.
        transition: of the lumbosacral junction.
        sizes: one for each level.
        discs: one for each pair of neighbours, the gap of C1/C2 included.
        sagittal_deg, coronal_deg, axial_deg: tilt and rotation of each body, (n,).
        angles: what the curves measure.
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
class Vertebra:
    """A vertebra in its place.

    Args:
        level: its name.
        size: its sizes.
        centre_ras_mm: middle of the body, (3,).
        axes: (3, 3), columns are the unit vectors right, anterior and superior of its frame in RAS.
    """

    level: Level
    size: VertebraSize
    centre_ras_mm: Float
    axes: Float

    def to_world(self, local_mm: ArrayLike) -> Float:
        """Points (..., 3) of its frame, mm, to RAS mm."""
        return np.asarray(np.asarray(local_mm, dtype=np.float64) @ self.axes.T + self.centre_ras_mm)

    def to_local(self, points_ras_mm: ArrayLike) -> Float:
        """Points (..., 3) in RAS mm to its frame, mm."""
        return np.asarray((np.asarray(points_ras_mm, dtype=np.float64) - self.centre_ras_mm) @ self.axes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column in its place, L3's (or the middle lumbar) body near the origin; head up.

    Args:
        plan: what was put in place.
        vertebrae: one for each level of the plan, head to foot.
    """

    plan: ColumnPlan
    vertebrae: tuple[Vertebra, ...]
