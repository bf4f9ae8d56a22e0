"""The truth of a phantom: where each vertebra and disc lies, its pathology, and the masks.

Points are RAS mm. Vertebrae and discs count as in view where their middle lies within the scan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spondyl.anatomy.codes import (
    DISC_OFFSET,
    VERSE_COCCYX,
    VERSE_SACRUM,
    Subregion,
    subregion_code,
    verse_code,
)
from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.geometry.affine import Affine, Float
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.resample import to_sagittal
from spondyl.phantom.column.column import Column, CurveAngles, Transition, corners_ras_mm, pedicle_points_ras_mm
from spondyl.phantom.pathology.pathology import DiscState, Fracture, Pathology
from spondyl.phantom.scanner.protocol import GridShape
from spondyl.phantom.scene.material import Tissue
from spondyl.phantom.scene.scene import Part, PartIds
from spondyl.phantom.spine.bodies import locate_disc_space, outline_body

__all__ = ["DiscTruth", "Masks", "PhantomTruth", "VertebraTruth", "collect_truth", "make_masks"]

Codes = NDArray[np.uint8]

_DISC = frozenset((Subregion.NUCLEUS, Subregion.ANNULUS))
_NOT_OF_VERTEBRA = frozenset((Subregion.RIB, Subregion.IMPLANT, Subregion.CANAL, Subregion.CORD, None))
"""The subregions that may carry a vertebra's level and yet do not belong to it; VerSe's masks leave them out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VertebraTruth:
    """A vertebra in view.

    Args:
        level: name of the vertebra.
        centroid_ras_mm: middle of the body, (3,); for C1 the middle of the ring's front.
        corners_ras_mm: corners of the body in its mid-sagittal plane, (4, 3), ordered as `geometry.instance.CORNERS`.
        pedicles_ras_mm: middle of the right and left pedicle, (2, 3); None where there are none.
        instance: outlines in the sagittal stack; None where no slice shows it, and for C1.
        is_whole: True where all mid-sagittal corners lie within the scan.
        fracture: fracture of the body, if any.
        has_screws: True with screws in its pedicles.
    """

    level: Level
    centroid_ras_mm: Float
    corners_ras_mm: Float
    pedicles_ras_mm: Float | None
    instance: VertebraInstance | None
    is_whole: bool
    fracture: Fracture | None
    has_screws: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscTruth:
    """A disc in view.

    Args:
        disc: name of the disc.
        centre_ras_mm: middle of the disc, (3,).
        posterior_edge_ras_mm: middle of its posterior edge, without bulge and herniation, (3,).
        state: gradings and their causes.
    """

    disc: Disc
    centre_ras_mm: Float
    posterior_edge_ras_mm: Float
    state: DiscState


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """The codes of each voxel, in the index order and shape of the scan, uint8.

    Args:
        instances: `anatomy.codes.VERSE`, discs 100 plus the code of the vertebra above, sacrum 26, coccyx 27.
        subregions: `anatomy.codes.SUBREGIONS`, cord and canal included.
    """

    instances: Codes
    subregions: Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomTruth:
    """The truth of a phantom.

    Args:
        numbering: name of the column's numbering.
        transition: lumbosacral transition.
        angles: curves of the whole column.
        vertebrae, discs: vertebrae and discs in view, head to foot.
        stack_affine: (slice, row, column) of the sagittal stack, as `to_sagittal` makes it of the scan, to RAS mm.
        masks: masks on the scan's own grid.
    """

    numbering: str
    transition: Transition
    angles: CurveAngles
    vertebrae: tuple[VertebraTruth, ...]
    discs: tuple[DiscTruth, ...]
    stack_affine: Affine
    masks: Masks


def collect_truth(column: Column, pathology: Pathology, affine: Affine, masks: Masks) -> PhantomTruth:
    """Collect the truth of a scan.

    Args:
        column: the column, placed.
        pathology: pathology of the spine.
        affine: affine of the scan, (i, j, k) to RAS mm.
        masks: masks on the scan's grid.
    """
    shape = masks.instances.shape
    stack, _ = to_sagittal(np.broadcast_to(np.float32(0), shape), affine)
    view = _ScanGrid(affine=affine, shape=(shape[0], shape[1], shape[2]))
    return PhantomTruth(
        numbering=column.plan.numbering.name,
        transition=column.plan.transition,
        angles=column.plan.angles,
        vertebrae=tuple(_collect_vertebrae(column, pathology, view, stack.affine, stack.voxels.shape)),
        discs=tuple(_collect_discs(column, pathology, view)),
        stack_affine=stack.affine,
        masks=masks,
    )


def make_masks(centres: PartIds, parts: tuple[Part, ...], transition: Transition) -> Masks:
    """Make masks from a painted grid.

    Args:
        centres: part in the middle of each voxel.
        parts: parts that the indices stand for.
        transition: lumbosacral transition; S1/S2 is a disc where S1 is lumbarised, else part of the sacrum.
    """
    is_disc = transition is Transition.LUMBARISED
    instances, subregions = np.array(
        [(_get_instance_code(part, is_disc), _get_subregion_code(part, is_disc)) for part in parts], dtype=np.uint8
    ).T
    return Masks(instances=instances[centres], subregions=subregions[centres])


def _get_instance_code(part: Part, is_sacral_disc: bool) -> int:
    if part.subregion is Subregion.COCCYX:
        return VERSE_COCCYX
    if part.level is None or part.subregion in _NOT_OF_VERTEBRA:
        return 0
    is_disc = part.subregion in _DISC and (part.level is not Level.S1 or is_sacral_disc)
    return verse_code(part.level) + DISC_OFFSET * is_disc


def _get_subregion_code(part: Part, is_sacral_disc: bool) -> int:
    if part.subregion in _DISC and part.level is Level.S1 and not is_sacral_disc:
        return VERSE_SACRUM
    if part.material.tissue is Tissue.ENDPLATE:
        return subregion_code(Subregion.ENDPLATE)
    return 0 if part.subregion is None else subregion_code(part.subregion)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScanGrid:
    """The grid of a scan."""

    affine: Affine
    shape: GridShape

    def holds(self, points_ras_mm: Float) -> bool:
        """Return whether all points (..., 3) lie within its voxels."""
        index = self.affine.to_index(points_ras_mm)
        return bool(((index >= -0.5) & (index <= np.array(self.shape) - 0.5)).all())


def _collect_vertebrae(
    column: Column, pathology: Pathology, view: _ScanGrid, stack_affine: Affine, stack_shape: GridShape
) -> Iterator[VertebraTruth]:
    for vertebra in column.vertebrae:
        if not view.holds(vertebra.centre_ras_mm):
            continue
        corners = corners_ras_mm(vertebra)
        has_pedicles = Level.C2.rank <= vertebra.level.rank < Level.S1.rank
        yield VertebraTruth(
            level=vertebra.level,
            centroid_ras_mm=vertebra.centre_ras_mm,
            corners_ras_mm=corners,
            pedicles_ras_mm=pedicle_points_ras_mm(vertebra) if has_pedicles else None,
            instance=outline_body(vertebra, stack_affine, stack_shape),
            is_whole=view.holds(corners),
            fracture=pathology.fractures.get(vertebra.level),
            has_screws=vertebra.level in pathology.screws,
        )


def _collect_discs(column: Column, pathology: Pathology, view: _ScanGrid) -> Iterator[DiscTruth]:
    for upper, lower in pairwise(column.vertebrae[1:]):
        if upper.level is Level.S1 and column.plan.transition is not Transition.LUMBARISED:
            continue
        place, disc = locate_disc_space(upper, lower), Disc(upper.level, lower.level)
        if view.holds(place.frame.origin_ras_mm):
            yield DiscTruth(
                disc=disc,
                centre_ras_mm=place.frame.origin_ras_mm,
                posterior_edge_ras_mm=place.posterior_edge_ras_mm,
                state=pathology.discs[disc],
            )
