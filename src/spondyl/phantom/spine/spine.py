"""The spine of a phantom as solids: from a column in its place and what is wrong with it to a scene."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np

from spondyl.anatomy.codes import Subregion
from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level, Region
from spondyl.geometry.affine import Float
from spondyl.phantom.column.column import Column, PlacedVertebra, Transition
from spondyl.phantom.pathology.pathology import DiscState, Pathology
from spondyl.phantom.scene.draft import Draft
from spondyl.phantom.scene.material import Material, Tissue
from spondyl.phantom.scene.scene import Backdrop, Scene
from spondyl.phantom.scene.solids import DiscSolid, Ellipsoid, LocalFrame, Solid, make_tube
from spondyl.phantom.scene.tissue_table import make_annulus, make_marrow, make_modic_change, make_nucleus, make_oedema
from spondyl.phantom.spine.arch import (
    Piece,
    make_arch,
    make_atlas,
    make_dens,
    make_pedicles,
    make_ribs,
    make_transitional_processes,
)
from spondyl.phantom.spine.bodies import DiscSpace, locate_disc_space, make_body
from spondyl.phantom.spine.canal import (
    draw_cauda_equina,
    draw_cord,
    make_dural_sac,
    make_epidural_fat,
    make_foramina,
    trace_canal,
)
from spondyl.phantom.spine.sacrum import extrapolate_sacrum, make_coccyx, make_sacral_wings, make_wing_bridges

__all__ = ["build_scene"]

_PLATES_MM = 1.0
"""Thickness of a disc's two cartilage endplates together (Roberts et al. 1989: 0.6 mm each, thinner in the neck)."""

_DURA_MM = 0.5
"""Thickness of the sac's wall with what clings to it: about half a pixel, a thin dark line in scans."""

_REMNANT_SHARE = 0.45
"""Of a disc's section that the nucleus takes where two vertebrae have grown together or hardly move."""

_FORAMEN_FAT_SHARE = (1.0, 0.8, 0.55, 0.3)
"""Share of a foramen's fat that is left, by grade of stenosis."""


def build_scene(column: Column, pathology: Pathology, backdrop: Backdrop, rng: np.random.Generator) -> Scene:
    """Draw a spine in front of its backdrop.

    Args:
        column: in its place, with what pathology does to its sizes.
        pathology: what else is wrong.
        backdrop: everything around the spine.
        rng: of textures and small parts.
    """
    draft = Draft(backdrop)
    bones = _draw_marrow(column, rng)
    free, sacrum = _split_at_sacrum(column)
    _draw_foramina(draft, column, pathology)
    _draw_sacrum(draft, sacrum, bones)
    for vertebra, below in pairwise((*free, sacrum[0])):
        _draw_arch(draft, vertebra, bones[vertebra.level], has_last_ribs=below.level.region is Region.LUMBAR)
    if column.plan.transition is not Transition.NONE:
        _draw_pieces(draft, free[-1], make_transitional_processes(free[-1], sacrum[0]), bones[free[-1].level])
    _draw_canal(draft, column, pathology, rng)
    for upper, lower in pairwise(column.vertebrae[1:]):
        state = pathology.discs.get(Disc(upper.level, lower.level), DiscState())
        _draw_disc(draft, column, upper, lower, state)
    _draw_sacral_remnants(draft, sacrum[-4:])
    atlas, axis = column.vertebrae[:2]
    draft.bone([make_dens(axis, atlas)], bones[Level.C2], Subregion.BODY, Level.C2)
    for vertebra in (*free[1:], *sacrum):
        own = _draw_body(draft, vertebra, bones[vertebra.level], pathology, rng)
        is_free = vertebra.level.rank < sacrum[0].level.rank
        draft.join(own, make_pedicles(vertebra) if is_free else make_wing_bridges(vertebra))
    _draw_screws(draft, column, pathology)
    return draft.to_scene()


def _split_at_sacrum(column: Column) -> tuple[tuple[PlacedVertebra, ...], tuple[PlacedVertebra, ...]]:
    """The vertebrae that move, from C1, and those that have grown together, to S5."""
    is_lumbarised = column.plan.transition is Transition.LUMBARISED
    count = column.plan.numbering.levels.index(Level.S2 if is_lumbarised else Level.S1)
    free, fused = column.vertebrae[:count], column.vertebrae[count:]
    return free, (*fused, *extrapolate_sacrum(fused[-1]))


def _draw_marrow(column: Column, rng: np.random.Generator) -> dict[Level, Material]:
    """Marrow of each vertebra: one patient's, with small differences."""
    fat, hu = rng.uniform(0.2, 0.62), float(np.clip(rng.normal(165, 45), 50, 300))
    texture = rng.uniform(0.04, 0.14)
    of = {}
    for vertebra in column.vertebrae:
        share = float(np.clip(fat + rng.normal(0, 0.03), 0.1, 0.75))
        of[vertebra.level] = replace(make_marrow(share, hu * float(np.exp(rng.normal(0, 0.06)))), texture=texture)
    return of


def _draw_foramina(draft: Draft, column: Column, pathology: Pathology) -> None:
    fat, root = draft.part(Tissue.FAT), draft.part(Tissue.NERVE)
    states = {disc.upper: state for disc, state in pathology.discs.items()}
    for vertebra in column.vertebrae[1:-1]:
        state = states.get(vertebra.level, DiscState())
        left = {
            1: _FORAMEN_FAT_SHARE[state.right_foraminal_stenosis],
            -1: _FORAMEN_FAT_SHARE[state.left_foraminal_stenosis],
        }
        for around, inside in make_foramina(vertebra, left):
            draft.paint([around], fat)
            draft.paint([inside], root)


def _draw_sacrum(draft: Draft, sacrum: tuple[PlacedVertebra, ...], bones: Mapping[Level, Material]) -> None:
    """Everything of sacrum and coccyx but the bodies of the former."""
    first = sacrum[0].level
    draft.fused_bone(((Subregion.SACRUM, piece) for piece in make_sacral_wings(sacrum)), bones[first], first)
    draft.bone(make_coccyx(sacrum[-1]), bones[Level.S2], Subregion.COCCYX, None)


def _draw_arch(draft: Draft, vertebra: PlacedVertebra, bone: Material, *, has_last_ribs: bool) -> None:
    pieces = make_atlas(vertebra) if vertebra.level is Level.C1 else make_arch(vertebra)
    _draw_pieces(draft, vertebra, pieces, bone)
    if vertebra.level.region is Region.THORACIC:
        draft.bone(make_ribs(vertebra, is_last=has_last_ribs), bone, Subregion.RIB, vertebra.level)


def _draw_pieces(draft: Draft, vertebra: PlacedVertebra, pieces: Iterable[Piece], bone: Material) -> None:
    own = [(_mask_subregion(vertebra, subregion), piece) for subregion, piece in pieces]
    draft.fused_bone(own, bone, vertebra.level)


def _mask_subregion(vertebra: PlacedVertebra, subregion: Subregion) -> Subregion:
    """What a piece of a vertebra is in masks, which know the sacrum as a whole."""
    return Subregion.SACRUM if vertebra.level.region is Region.SACRAL else subregion


def _draw_canal(draft: Draft, column: Column, pathology: Pathology, rng: np.random.Generator) -> None:
    line = trace_canal(column, {disc.upper: state.canal_factor for disc, state in pathology.discs.items()})
    draft.paint(_make_ligamenta_flava(column), draft.part(Tissue.LIGAMENT))
    draft.paint(make_epidural_fat(line), draft.part(Tissue.EPIDURAL_FAT, Subregion.CANAL))
    dura, csf = (draft.part(tissue, Subregion.CANAL) for tissue in (Tissue.LIGAMENT, Tissue.CSF))
    sac = list(make_dural_sac(line))
    draft.paint(sac, dura)
    draft.paint([piece.shrink(_DURA_MM) for piece in sac], csf)
    cord, tip = draw_cord(line, rng)
    draft.paint(draw_cauda_equina(line, tip, rng), draft.part(Tissue.NERVE, Subregion.CANAL))
    draft.paint(cord, draft.part(Tissue.CORD, Subregion.CORD))


def _make_ligamenta_flava(column: Column) -> Iterator[Solid]:
    """The yellow ligaments between neighbouring laminae."""
    for upper, lower in pairwise(v for v in column.vertebrae[1:] if v.level.rank <= Level.S1.rank):
        ends = []
        for vertebra, height in ((upper, -0.4), (lower, 0.2)):
            size = vertebra.size
            back = -size.depth_mm / 2 - min(size.canal_depth_mm, 20.0)
            ends.append((vertebra, back - 0.8, height * size.posterior_height_mm))
        for side in (1, -1):
            start, end = (vertebra.to_world((side * 4.0, y, z)) for vertebra, y, z in ends)
            yield make_tube(start, end, (4.5, 1.8), across=upper.axes[:, 0])


def _draw_disc(draft: Draft, column: Column, upper: PlacedVertebra, lower: PlacedVertebra, state: DiscState) -> None:
    place = locate_disc_space(upper, lower)
    size = column.plan.discs[column.vertebrae.index(upper)]
    swell = (upper.size.concavity_mm + lower.size.concavity_mm) / 2
    plates = DiscSolid(  # thicker than the gap: the bodies cut it to size
        frame=place.frame,
        anterior_height_mm=size.anterior_height_mm + 1,
        posterior_height_mm=size.posterior_height_mm + 1,
        size_mm=(place.width_mm, place.depth_mm),
        swell_mm=swell + 1,
    )
    ring = replace(
        plates,
        anterior_height_mm=max(1.0, size.anterior_height_mm - _PLATES_MM),
        posterior_height_mm=max(1.0, size.posterior_height_mm - _PLATES_MM),
        swell_mm=swell,
        bulge_mm=0.3 + state.bulge_mm,
    )
    is_remnant = upper.level is Level.S1 and column.plan.transition is not Transition.LUMBARISED
    grade = 4 if is_remnant else state.pfirrmann
    is_reduced = upper.level is Level.L5 and column.plan.transition is Transition.SACRALISED
    share = _REMNANT_SHARE if is_remnant or is_reduced else 0.84 - 0.04 * grade
    core = replace(ring, bulge_mm=0.0, share=share, offset=-0.05)
    outer = draft.part(make_annulus(), Subregion.ANNULUS, upper.level)
    inner = draft.part(make_nucleus(grade), Subregion.NUCLEUS, upper.level)
    draft.paint([plates], draft.part(Tissue.ENDPLATE, Subregion.ANNULUS, upper.level))
    draft.paint([ring], outer)
    draft.paint([core], inner)
    if state.herniation_mm > 0:
        draft.paint([_make_herniation(place, state, max(2.0, size.posterior_height_mm))], outer)


def _make_herniation(place: DiscSpace, state: DiscState, height_mm: float) -> Ellipsoid:
    origin = place.frame.to_world((state.herniation_right_mm, -place.depth_mm / 2 + 1, 0))
    frame = LocalFrame(origin_ras_mm=origin, axes=place.frame.axes)
    reach = state.herniation_mm + 1
    return Ellipsoid(frame=frame, radii_mm=(4 + reach, reach, height_mm / 2 + 0.35 * reach))


def _draw_sacral_remnants(draft: Draft, sacrum: tuple[PlacedVertebra, ...]) -> None:
    """Thin dark remnants of discs between S2 and S5."""
    part = draft.part(Tissue.CARTILAGE, Subregion.SACRUM, Level.S2)
    for upper, lower in pairwise(sacrum):
        place = locate_disc_space(upper, lower)
        draft.paint([Ellipsoid(frame=place.frame, radii_mm=(0.35 * place.width_mm, 0.5 * place.depth_mm, 1.3))], part)


def _draw_body(
    draft: Draft, vertebra: PlacedVertebra, bone: Material, pathology: Pathology, rng: np.random.Generator
) -> tuple[int, int]:
    """Draw a body, with oedema where it broke of late, and return the parts of its shell and its marrow."""
    solid, level = make_body(vertebra), vertebra.level
    subregion, fracture = _mask_subregion(vertebra, Subregion.BODY), pathology.fractures.get(level)
    if fracture is not None and fracture.is_recent:
        bone = make_oedema(bone)
    own = draft.bone([solid], bone, subregion, level)
    size = vertebra.size
    if subregion is Subregion.BODY:
        at = LocalFrame(origin_ras_mm=vertebra.to_world((0, -size.upper_depth_mm / 2 + 2, 0)), axes=vertebra.axes)
        vein = Ellipsoid(
            frame=at, radii_mm=(0.18 * size.upper_width_mm, 0.17 * size.upper_depth_mm, rng.uniform(0.8, 2.0))
        )
        draft.paint([vein], draft.part(Tissue.VEIN, subregion, level), over=own[1:])
    for disc, state in pathology.discs.items():
        if level in (disc.upper, disc.lower):
            _draw_endplate_changes(draft, vertebra, bone, own, disc, state, rng)
    return own


def _draw_endplate_changes(
    draft: Draft,
    vertebra: PlacedVertebra,
    bone: Material,
    own: tuple[int, int],
    disc: Disc,
    state: DiscState,
    rng: np.random.Generator,
) -> None:
    """Marrow changes, defects and nodes at the endplate beside a disc."""
    size, level, solid = vertebra.size, vertebra.level, make_body(vertebra)
    is_below = level is disc.lower
    type_ = state.lower_modic if is_below else state.upper_modic

    def at(right: float, anterior: float, radii: tuple[float, float, float]) -> Ellipsoid:
        surface = (right, anterior, solid.endplate_mm(right, anterior, upper=is_below))
        return Ellipsoid(frame=replace(solid.frame, origin_ras_mm=solid.frame.to_world(surface)), radii_mm=radii)

    if type_:
        shift = rng.uniform(-0.25, 0.25) * size.upper_depth_mm
        reach = (
            0.55 * size.upper_width_mm,
            rng.uniform(0.3, 0.6) * size.upper_depth_mm,
            rng.uniform(0.25, 0.9) * size.height_mm / 2,
        )
        draft.paint(
            [at(0, shift, reach)],
            draft.part(make_modic_change(type_, bone), _mask_subregion(vertebra, Subregion.BODY), level),
            over=own[1:],
        )
    filler = draft.part(make_nucleus(max(3, state.pfirrmann)), Subregion.NUCLEUS, disc.upper)
    if state.lower_endplate_defect if is_below else state.upper_endplate_defect:
        places = rng.uniform(-0.3, 0.3, (3, 2)) * size.upper_depth_mm
        dents = [at(right, anterior, (5.0, rng.uniform(3, 6), 2.4)) for right, anterior in places]
        draft.paint(dents, filler, over=own)
    nodes = [node for node in state.schmorl_nodes if node.is_below is is_below]
    draft.paint(
        [at(n.right_mm, n.anterior_mm, (n.radius_mm, n.radius_mm, n.depth_mm)) for n in nodes], filler, over=own
    )


def _draw_screws(draft: Draft, column: Column, pathology: Pathology) -> None:
    """A pair of screws in each of these vertebrae, and the rods that join their heads."""
    part = draft.part(Tissue.METAL, Subregion.IMPLANT)
    heads: dict[int, list[Float]] = {1: [], -1: []}
    for vertebra in column.vertebrae:
        if vertebra.level not in pathology.screws:
            continue
        size = vertebra.size
        back, apart = -size.upper_depth_mm / 2, size.pedicle_distance_mm / 2
        for side in (1, -1):
            head = vertebra.to_world(
                (side * (apart + 3), back - size.canal_depth_mm - 4, 0.22 * size.posterior_height_mm)
            )
            tip = vertebra.to_world((side * 0.55 * apart, 0.2 * size.upper_depth_mm, 0.15 * size.posterior_height_mm))
            heads[side].append(head)
            draft.paint([make_tube(head, tip, (3.0, 3.0), (2.4, 2.4))], part)
    for chain in heads.values():
        draft.paint([make_tube(start, end, (2.8, 2.8)) for start, end in pairwise(chain)], part)
