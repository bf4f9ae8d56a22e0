"""The pathology of a phantom's spine, described by its causes, each with the grade that a reader would give it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.phantom.column.column import ColumnPlan, DiscSize, VertebraSize, measure_angles, settle_tilts

__all__ = ["DiscState", "Fracture", "FractureKind", "Pathology", "SchmorlNode", "apply_pathology"]

_MAX_CONCAVITY = 0.4
"""The share of a body's height to which each endplate may sink, so that the two never meet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchmorlNode:
    """A dent of disc tissue in an endplate.

    Args:
        right_mm, anterior_mm: position from the middle of the endplate.
        radius_mm, depth_mm: radius and depth of the dent.
        is_below: True in the vertebra below the disc.
    """

    right_mm: float
    anterior_mm: float
    radius_mm: float
    depth_mm: float
    is_below: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscState:
    """The state of a disc and of the structures beside it.

    Args:
        pfirrmann: Pfirrmann grade, 1 to 5.
        narrowing: loss of height, 0 to 3.
        height_factor: remaining share of the disc's healthy height, 0 to 1.
        bulge_mm: protrusion of the annulus all around.
        herniation_mm: backward protrusion of a focal herniation, 0 for none.
        herniation_right_mm: distance of the herniation to the right of the midline.
        upper_endplate_defect, lower_endplate_defect: defect in the vertebra above, below.
        upper_modic, lower_modic: type of marrow change beside the disc, 0 for none, 1 to 3.
        central_stenosis: grade 0 to 3.
        canal_factor: remaining share of the dural sac's depth at this disc, 0 to 1.
        left_foraminal_stenosis, right_foraminal_stenosis: grade 0 to 3.
        slip_mm: forward slip of the vertebra above over the one below; spondylolisthesis from 3 mm.
        schmorl_nodes: dents in either endplate.
    """

    pfirrmann: int = 1
    narrowing: int = 0
    height_factor: float = 1.0
    bulge_mm: float = 0.0
    herniation_mm: float = 0.0
    herniation_right_mm: float = 0.0
    upper_endplate_defect: bool = False
    lower_endplate_defect: bool = False
    upper_modic: int = 0
    lower_modic: int = 0
    central_stenosis: int = 0
    canal_factor: float = 1.0
    left_foraminal_stenosis: int = 0
    right_foraminal_stenosis: int = 0
    slip_mm: float = 0.0
    schmorl_nodes: tuple[SchmorlNode, ...] = ()


class FractureKind(StrEnum):
    """The kinds of fracture after Genant."""

    WEDGE = "wedge"
    BICONCAVE = "biconcave"
    CRUSH = "crush"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fracture:
    """A vertebral fracture.

    Args:
        kind: place of the height loss: in front, in the middle, everywhere.
        grade: Genant's grade 1 to 3.
        loss: share of the height that is lost there, 0.2 to 0.6.
        is_recent: True with marrow oedema.
    """

    kind: FractureKind
    grade: int
    loss: float
    is_recent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pathology:
    """The pathology of a whole spine.

    Args:
        discs: the state of every disc of the column, C2/C3 to S1/S2.
        fractures: fractures of bodies.
        screws: vertebrae with pedicle screws.
    """

    discs: Mapping[Disc, DiscState]
    fractures: Mapping[Level, Fracture]
    screws: tuple[Level, ...] = ()


def apply_pathology(plan: ColumnPlan, pathology: Pathology) -> ColumnPlan:
    """Change sizes, slips and curves of a healthy column; pathology of a healthy spine changes nothing.

    Discs lose height evenly, so that they lose their wedge too; a wedge fracture turns everything above it forward. The
    patient compensates: the whole column, the sacrum included, turns back, so that the mean tilt of the bodies is kept.

    Args:
        plan: healthy column.
        pathology: pathology to apply.

    Returns:
        the column with pathology and its angles measured again.
    """
    levels = plan.numbering.levels
    sizes = tuple(
        _apply_fracture(size, pathology.fractures.get(level)) for level, size in zip(levels, plan.sizes, strict=True)
    )
    discs = tuple(
        disc if upper is Level.C1 else _apply_wear(disc, pathology.discs[Disc(upper, lower)])
        for (upper, lower), disc in zip(pairwise(levels), plan.discs, strict=True)
    )
    if (sizes, discs) == (plan.sizes, plan.discs):
        return plan
    settled = settle_tilts(replace(plan, sizes=sizes, discs=discs))
    turned_deg = (settled.sagittal_deg - plan.sagittal_deg).mean()
    straight = replace(settled, sagittal_deg=settled.sagittal_deg - turned_deg)
    return replace(straight, angles=measure_angles(straight))


def _apply_fracture(size: VertebraSize, fracture: Fracture | None) -> VertebraSize:
    if fracture is None:
        return size
    kept = 1 - fracture.loss
    if fracture.kind is FractureKind.WEDGE:
        return replace(size, anterior_height_mm=size.anterior_height_mm * kept)
    lost_mm = fracture.loss * size.posterior_height_mm
    if fracture.kind is FractureKind.CRUSH:
        return replace(
            size, anterior_height_mm=size.anterior_height_mm * kept, posterior_height_mm=size.posterior_height_mm * kept
        )
    deepest_mm = _MAX_CONCAVITY * min(size.anterior_height_mm, size.posterior_height_mm)
    return replace(size, concavity_mm=min(size.concavity_mm + lost_mm / 2, deepest_mm))


def _apply_wear(disc: DiscSize, state: DiscState) -> DiscSize:
    return replace(
        disc,
        anterior_height_mm=disc.anterior_height_mm * state.height_factor,
        posterior_height_mm=disc.posterior_height_mm * state.height_factor,
        slip_mm=disc.slip_mm + state.slip_mm,
    )
