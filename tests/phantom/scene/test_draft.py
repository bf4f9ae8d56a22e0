"""A draft numbers its parts once, paints bone with a shell, and leaves no walls inside one bone."""

from dataclasses import dataclass

import numpy as np

from spondyl.anatomy.codes import Subregion
from spondyl.anatomy.level import Level
from spondyl.geometry.affine import Affine
from spondyl.phantom.scene.draft import Draft
from spondyl.phantom.scene.material import Tissue
from spondyl.phantom.scene.scene import PaintGrid, Part, PartIds, voxelise
from spondyl.phantom.scene.solids import Coordinates, make_tube
from spondyl.phantom.scene.tissue_table import get_material, make_marrow

MARROW = make_marrow()
GRID = PaintGrid(affine=Affine.from_axes(np.eye(3), (0.5,) * 3, (-15.0, -15.0, -15.0)), shape=(61, 61, 61))
RODS = (make_tube((-8, 0, 0), (2, 0, 0), (4.0, 4.0)), make_tube((-2, 0, 0), (8, 0, 0), (4.0, 4.0)))
MUSCLE, COMPACT, INSIDE = Tissue.MUSCLE, Tissue.CORTICAL_BONE, Tissue.MARROW


@dataclass(frozen=True)
class Muscle:
    """Muscle everywhere, and air by name."""

    parts: tuple[Part, ...] = (Part(material=get_material(Tissue.AIR)), Part(material=get_material(Tissue.MUSCLE)))

    def paint(self, right_mm: Coordinates, anterior_mm: Coordinates, superior_mm: Coordinates) -> PartIds:
        return np.ones(np.broadcast_shapes(right_mm.shape, anterior_mm.shape, superior_mm.shape), np.uint16)


def along_the_axis(draft: Draft) -> list[Tissue]:
    """Tissues met along the axis of the rods, each once in a row."""
    scene = draft.to_scene()
    tissues = [scene.parts[part].material.tissue for part in voxelise(scene, GRID)[:, 30, 30]]
    return [tissue for i, tissue in enumerate(tissues) if i == 0 or tissue is not tissues[i - 1]]


def test_parts_of_the_backdrop_come_first_and_equal_parts_share_a_number() -> None:
    draft = Draft(Muscle())
    assert draft.add_part(Tissue.AIR) == 0
    assert draft.add_part(get_material(Tissue.MUSCLE)) == 1
    first = draft.add_part(MARROW, Subregion.BODY, Level.L1)
    assert draft.add_part(MARROW, Subregion.BODY, Level.L1) == first == 2
    assert draft.add_part(MARROW, Subregion.BODY, Level.L2) == 3
    assert draft.add_part(MARROW, Subregion.ARCH, Level.L1) == 4
    scene = draft.to_scene()
    assert scene.parts[:2] == Muscle().parts
    assert scene.parts[4] == Part(material=MARROW, subregion=Subregion.ARCH, level=Level.L1)


def test_bone_is_compact_outside_and_marrow_inside() -> None:
    draft = Draft(Muscle())
    shell, core = draft.paint_bone([RODS[0]], MARROW, Subregion.BODY, Level.L1)
    parts = draft.to_scene().parts
    assert (parts[shell].material.tissue, parts[core].material) == (Tissue.CORTICAL_BONE, MARROW)
    assert parts[shell].level is parts[core].level is Level.L1
    assert along_the_axis(draft) == [MUSCLE, COMPACT, INSIDE, COMPACT, MUSCLE]


def test_separate_bones_have_a_wall_between_them_and_fused_pieces_none() -> None:
    apart, fused = Draft(Muscle()), Draft(Muscle())
    for rod in RODS:
        apart.paint_bone([rod], MARROW, Subregion.ARCH, Level.L1)
    fused.paint_fused_bone(((Subregion.ARCH, rod) for rod in RODS), MARROW, Level.L1)
    assert along_the_axis(apart) == [MUSCLE, COMPACT, INSIDE, COMPACT, INSIDE, COMPACT, MUSCLE]
    assert along_the_axis(fused) == [MUSCLE, COMPACT, INSIDE, COMPACT, MUSCLE]


def test_fused_pieces_keep_their_own_subregions() -> None:
    draft = Draft(Muscle())
    names = (Subregion.ARCH, Subregion.SPINOUS)
    draft.paint_fused_bone(zip(names, RODS, strict=True), MARROW, Level.L1)
    scene = draft.to_scene()
    ids = voxelise(scene, GRID)
    ends = [scene.parts[ids[i, 30, 30]].subregion for i in (10, 50)]
    assert ends == list(names)


def test_joining_opens_the_shell_where_another_piece_meets_it() -> None:
    draft = Draft(Muscle())
    body = draft.paint_bone([RODS[0]], MARROW, Subregion.BODY, Level.L1)
    assert along_the_axis(draft) == [MUSCLE, COMPACT, INSIDE, COMPACT, MUSCLE]
    draft.join_marrow(body, [RODS[1]])
    assert along_the_axis(draft) == [MUSCLE, COMPACT, INSIDE, MUSCLE]


def test_an_empty_draft_is_its_backdrop() -> None:
    scene = Draft(Muscle()).to_scene()
    assert scene.parts == Muscle().parts
    assert scene.strokes == ()
    assert (voxelise(scene, GRID) == 1).all()
