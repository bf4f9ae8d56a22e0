"""A phantom as a scene of solids, and its painting on any grid of voxels.

A scene is a list of parts (what a voxel can belong to) and of solids painted one over another, each with the part that
its voxels become. Voxels hold only the number of their part, so that one painting serves every mask and every contrast.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spondyl.anatomy.level import Level
from spondyl.phantom.material import Material

__all__ = ["Backdrop", "Part", "PartIds", "Structure"]

PartIds = NDArray[np.uint16]
"""Index into `Scene.parts` of each voxel."""


class Structure(StrEnum):
    """What a voxel belongs to, for masks."""

    OTHER = "other"
    BODY = "body"
    ARCH = "arch"
    SPINOUS = "spinous process"
    TRANSVERSE_LEFT = "left transverse process"
    TRANSVERSE_RIGHT = "right transverse process"
    SUPERIOR_ARTICULAR_LEFT = "left superior articular process"
    SUPERIOR_ARTICULAR_RIGHT = "right superior articular process"
    INFERIOR_ARTICULAR_LEFT = "left inferior articular process"
    INFERIOR_ARTICULAR_RIGHT = "right inferior articular process"
    SACRUM = "sacrum"
    COCCYX = "coccyx"
    RIB = "rib"
    NUCLEUS = "nucleus"
    ANNULUS = "annulus"
    CANAL = "canal"
    CORD = "cord"
    IMPLANT = "implant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a voxel can be.

    Args:
        material: what it is made of.
        structure: what it belongs to.
        level: its vertebra; of a disc, the vertebra above; None where it has none.
    """

    material: Material
    structure: Structure = Structure.OTHER
    level: Level | None = None


class Backdrop(Protocol):
    """Everything around the spine: painted first, on a coarse grid."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """What its voxels can be; the first is air."""
        ...

    def paint(
        self, right_mm: NDArray[np.float32], anterior_mm: NDArray[np.float32], superior_mm: NDArray[np.float32]
    ) -> PartIds:
        """The part of each point.

        Args:
            right_mm, anterior_mm, superior_mm: RAS coordinates, arrays of one shape or broadcastable to one.

        Returns:
            indices into `parts`, of the broadcast shape.
        """
        ...
