"""What is wrong with a phantom's spine: drawn as causes, each with the grade that a reader would give it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level

__all__ = ["DiscState", "Fracture", "FractureKind", "Pathology", "SchmorlNode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchmorlNode:
    """A dent of disc tissue in an endplate.

    Args:
        right_mm, anterior_mm: its place from the middle of the endplate.
        radius_mm, depth_mm: how wide and deep it is.
        is_below: True in the vertebra below the disc.
    """

    right_mm: float
    anterior_mm: float
    radius_mm: float
    depth_mm: float
    is_below: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscState:
    """A disc and what borders it.

    Args:
        pfirrmann: 1 to 5.
        narrowing: loss of height, 0 to 3.
        height_factor: what remains of the disc's healthy height, 0 to 1.
        bulge_mm: how far the annulus stands out all around.
        herniation_mm: how far a focal herniation stands out backward, 0 for none.
        herniation_right_mm: its distance to the right of the midline.
        upper_endplate_defect, lower_endplate_defect: of the vertebra above, below.
        upper_modic, lower_modic: type of marrow change beside the disc, 0 for none, 1 to 3.
        central_stenosis: 0 to 3.
        canal_factor: what remains of the dural sac's depth at this disc, 0 to 1.
        left_foraminal_stenosis, right_foraminal_stenosis: 0 to 3.
        slip_mm: of the vertebra above over the one below, forward; spondylolisthesis where it is 3 mm or more.
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
    """Genant's kinds."""

    WEDGE = "wedge"
    BICONCAVE = "biconcave"
    CRUSH = "crush"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fracture:
    """A vertebral fracture.

    Args:
        kind: where the height is lost: in front, in the middle, everywhere.
        grade: Genant 1 to 3.
        loss: share of the height that is lost there, 0.2 to 0.6.
        is_recent: with marrow oedema.
    """

    kind: FractureKind
    grade: int
    loss: float
    is_recent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pathology:
    """Everything that is wrong with a spine.

    Args:
        discs: the state of every disc of the column, C2/C3 to S1/S2.
        fractures: of bodies.
        screws: vertebrae with pedicle screws.
    """

    discs: Mapping[Disc, DiscState]
    fractures: Mapping[Level, Fracture]
    screws: tuple[Level, ...] = ()
