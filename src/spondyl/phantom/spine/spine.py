"""The spine of a phantom as solids: a placed column and its pathology become a scene."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
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
from spondyl.phantom.scene.solids import BodySolid, DiscSolid, Ellipsoid, LocalFrame, Solid, make_tube
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
"""The thickness of a disc's two cartilage endplates together (Roberts et al. 1989: 0.6 mm each, less in the neck)."""

_DURA_MM = 0.5
"""The thickness of the sac's wall and its adhesions, in mm: half a pixel, a thin dark line in scans."""

_REMNANT_SHARE = 0.45
"""The share of a disc's section that the nucleus takes where two vertebrae have fused or hardly move."""

_FORAMEN_FAT_SHARE = (1.0, 0.8, 0.55, 0.3)
"""The share of a foramen's fat that is left, by grade of stenosis."""


def build_scene(column: Column, pathology: Pathology, backdrop: Backdrop, rng: np.random.Generator) -> Scene:
    """Build the scene of a spine in front of its backdrop.

    Args:
        column: placed, with sizes as its pathology changes them.
        pathology: everything else that is drawn.
        backdrop: the surroundings of the spine.
        rng: decides textures and small parts.
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
    draft.paint_bone([make_dens(axis, atlas)], bones[Level.C2], Subregion.BODY, Level.C2)
    for vertebra in (*free[1:], *sacrum):
        body = _draw_body(draft, vertebra, bones[vertebra.level], pathology, rng)
        is_free = vertebra.level.rank < sacrum[0].level.rank
        draft.join_marrow(body, make_pedicles(vertebra) if is_free else make_wing_bridges(vertebra))
    _draw_screws(draft, column, pathology)
    return draft.to_scene()


def _split_at_sacrum(column: Column) -> tuple[tuple[PlacedVertebra, ...], tuple[PlacedVertebra, ...]]:
    """Split a column into the vertebrae that move, from C1, and those that have fused, to S5."""
    is_lumbarised = column.plan.transition is Transition.LUMBARISED
    count = column.plan.numbering.levels.index(Level.S2 if is_lumbarised else Level.S1)
    free, fused = column.vertebrae[:count], column.vertebrae[count:]
    return free, (*fused, *extrapolate_sacrum(fused[-1]))


def _draw_marrow(column: Column, rng: np.random.Generator) -> dict[Level, Material]:
    """Draw the marrow of each vertebra: the patient's own, with small differences."""
    fat, hu = rng.uniform(0.2, 0.62), float(np.clip(rng.normal(165, 45), 50, 300))
    texture = rng.uniform(0.04, 0.14)
    marrows = {}
    for vertebra in column.vertebrae:
        share = float(np.clip(fat + rng.normal(0, 0.03), 0.1, 0.75))
        marrows[vertebra.level] = replace(make_marrow(share, hu * float(np.exp(rng.normal(0, 0.06)))), texture=texture)
    return marrows


def _draw_foramina(draft: Draft, column: Column, pathology: Pathology) -> None:
    fat, root = draft.add_part(Tissue.FAT), draft.add_part(Tissue.NERVE)
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
    """Draw sacrum and coccyx without the bodies of the sacrum."""
    first = sacrum[0].level
    draft.paint_fused_bone(((Subregion.SACRUM, piece) for piece in make_sacral_wings(sacrum)), bones[first], first)
    draft.paint_bone(make_coccyx(sacrum[-1]), bones[Level.S2], Subregion.COCCYX, None)


def _draw_arch(draft: Draft, vertebra: PlacedVertebra, bone: Material, *, has_last_ribs: bool) -> None:
    pieces = make_atlas(vertebra) if vertebra.level is Level.C1 else make_arch(vertebra)
    _draw_pieces(draft, vertebra, pieces, bone)
    if vertebra.level.region is Region.THORACIC:
        draft.paint_bone(make_ribs(vertebra, is_last=has_last_ribs), bone, Subregion.RIB, vertebra.level)


def _draw_pieces(draft: Draft, vertebra: PlacedVertebra, pieces: Iterable[Piece], bone: Material) -> None:
    masked = [(_mask_subregion(vertebra, subregion), piece) for subregion, piece in pieces]
    draft.paint_fused_bone(masked, bone, vertebra.level)


def _mask_subregion(vertebra: PlacedVertebra, subregion: Subregion) -> Subregion:
    """Return the subregion of a piece of a vertebra in masks, where the whole sacrum is one."""
    return Subregion.SACRUM if vertebra.level.region is Region.SACRAL else subregion


def _draw_canal(draft: Draft, column: Column, pathology: Pathology, rng: np.random.Generator) -> None:
    line = trace_canal(column, {disc.upper: state.canal_factor for disc, state in pathology.discs.items()})
    draft.paint(_make_ligamenta_flava(column), draft.add_part(Tissue.LIGAMENT))
    draft.paint(make_epidural_fat(line), draft.add_part(Tissue.EPIDURAL_FAT, Subregion.CANAL))
    dura, csf = (draft.add_part(tissue, Subregion.CANAL) for tissue in (Tissue.LIGAMENT, Tissue.CSF))
    sac = list(make_dural_sac(line))
    draft.paint(sac, dura)
    draft.paint([piece.shrink(_DURA_MM) for piece in sac], csf)
    cord, tip = draw_cord(line, rng)
    draft.paint(draw_cauda_equina(line, tip, rng), draft.add_part(Tissue.NERVE, Subregion.CANAL))
    draft.paint(cord, draft.add_part(Tissue.CORD, Subregion.CORD))


def _make_ligamenta_flava(column: Column) -> Iterator[Solid]:
    """Make the yellow ligaments between neighbouring laminae."""
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
    outer = draft.add_part(make_annulus(), Subregion.ANNULUS, upper.level)
    inner = draft.add_part(make_nucleus(grade), Subregion.NUCLEUS, upper.level)
    draft.paint([plates], draft.add_part(Tissue.ENDPLATE, Subregion.ANNULUS, upper.level))
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
    """Draw thin dark remnants of discs between S2 and S5."""
    part = draft.add_part(Tissue.CARTILAGE, Subregion.SACRUM, Level.S2)
    for upper, lower in pairwise(sacrum):
        place = locate_disc_space(upper, lower)
        draft.paint([Ellipsoid(frame=place.frame, radii_mm=(0.35 * place.width_mm, 0.5 * place.depth_mm, 1.3))], part)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PaintedBody:
    """A painted body with its marrow and the parts of its shell and its core."""

    vertebra: PlacedVertebra
    solid: BodySolid
    marrow: Material
    shell: int
    core: int

    @property
    def subregion(self) -> Subregion:
        """Return the subregion of the body in masks."""
        return _mask_subregion(self.vertebra, Subregion.BODY)

    def ellipsoid_at(
        self, right_mm: float, anterior_mm: float, radii_mm: tuple[float, float, float], *, upper: bool
    ) -> Ellipsoid:
        """Return an ellipsoid centred on the surface of an endplate."""
        surface = (right_mm, anterior_mm, self.solid.endplate_mm(right_mm, anterior_mm, upper=upper))
        frame = replace(self.solid.frame, origin_ras_mm=self.solid.frame.to_world(surface))
        return Ellipsoid(frame=frame, radii_mm=radii_mm)


def _draw_body(
    draft: Draft, vertebra: PlacedVertebra, marrow: Material, pathology: Pathology, rng: np.random.Generator
) -> tuple[int, int]:
    """Draw a body, with oedema where a fracture is recent, and return the parts of its shell and its marrow."""
    solid, level = make_body(vertebra), vertebra.level
    subregion, fracture = _mask_subregion(vertebra, Subregion.BODY), pathology.fractures.get(level)
    if fracture is not None and fracture.is_recent:
        marrow = make_oedema(marrow)
    shell, core = draft.paint_bone([solid], marrow, subregion, level)
    body = _PaintedBody(vertebra=vertebra, solid=solid, marrow=marrow, shell=shell, core=core)
    if subregion is Subregion.BODY:
        _draw_basivertebral_vein(draft, body, rng)
    for disc, state in pathology.discs.items():
        if level in (disc.upper, disc.lower):
            _draw_endplate_changes(draft, body, disc, state, rng)
    return shell, core


def _draw_basivertebral_vein(draft: Draft, body: _PaintedBody, rng: np.random.Generator) -> None:
    vertebra, size = body.vertebra, body.vertebra.size
    origin = vertebra.to_world((0, -size.upper_depth_mm / 2 + 2, 0))
    vein = Ellipsoid(
        frame=LocalFrame(origin_ras_mm=origin, axes=vertebra.axes),
        radii_mm=(0.18 * size.upper_width_mm, 0.17 * size.upper_depth_mm, rng.uniform(0.8, 2.0)),
    )
    draft.paint([vein], draft.add_part(Tissue.VEIN, body.subregion, vertebra.level), over=(body.core,))


def _draw_endplate_changes(
    draft: Draft, body: _PaintedBody, disc: Disc, state: DiscState, rng: np.random.Generator
) -> None:
    """Draw marrow changes, defects and nodes at the endplate beside a disc."""
    is_below = body.vertebra.level is disc.lower
    if type_ := state.lower_modic if is_below else state.upper_modic:
        _draw_modic_change(draft, body, type_, rng, upper=is_below)
    filler = draft.add_part(make_nucleus(max(3, state.pfirrmann)), Subregion.NUCLEUS, disc.upper)
    over = (body.shell, body.core)
    if state.lower_endplate_defect if is_below else state.upper_endplate_defect:
        places = rng.uniform(-0.3, 0.3, (3, 2)) * body.vertebra.size.upper_depth_mm
        dents = [
            body.ellipsoid_at(right, anterior, (5.0, rng.uniform(3, 6), 2.4), upper=is_below)
            for right, anterior in places
        ]
        draft.paint(dents, filler, over=over)
    nodes = [
        body.ellipsoid_at(
            node.right_mm, node.anterior_mm, (node.radius_mm, node.radius_mm, node.depth_mm), upper=is_below
        )
        for node in state.schmorl_nodes
        if node.is_below is is_below
    ]
    draft.paint(nodes, filler, over=over)


def _draw_modic_change(draft: Draft, body: _PaintedBody, type_: int, rng: np.random.Generator, *, upper: bool) -> None:
    size = body.vertebra.size
    shift = rng.uniform(-0.25, 0.25) * size.upper_depth_mm
    reach = (
        0.55 * size.upper_width_mm,
        rng.uniform(0.3, 0.6) * size.upper_depth_mm,
        rng.uniform(0.25, 0.9) * size.height_mm / 2,
    )
    part = draft.add_part(make_modic_change(type_, body.marrow), body.subregion, body.vertebra.level)
    draft.paint([body.ellipsoid_at(0, shift, reach, upper=upper)], part, over=(body.core,))


def _draw_screws(draft: Draft, column: Column, pathology: Pathology) -> None:
    """Draw a pair of screws in each of these vertebrae, and the rods that join their heads."""
    part = draft.add_part(Tissue.METAL, Subregion.IMPLANT)
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
