"""The spine as drawn: what is painted agrees with the column that it was drawn from, and pathology shows."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import ELEVEN_THORACIC, REGULAR, SIX_LUMBAR, THIRTEEN_THORACIC, Numbering
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import polygon_areas
from spondyl.phantom.arch import broad_processes
from spondyl.phantom.bodies import body_outlines, disc_place
from spondyl.phantom.column import Column, Transition, corners_ras_mm, pedicle_points_ras_mm, place
from spondyl.phantom.column_draw import draw_plan
from spondyl.phantom.material import Tissue
from spondyl.phantom.materials import material, nucleus
from spondyl.phantom.pathology import DiscState, Fracture, FractureKind, Pathology, SchmorlNode
from spondyl.phantom.sacrum import sacral_tail, wing_solids
from spondyl.phantom.scene import Grid, Part, PartIds, Scene, Structure, voxelise
from spondyl.phantom.shape import build_scene
from spondyl.phantom.solids import Points

HEALTHY = Pathology(discs={}, fractures={})
L3_L4 = Disc.from_name("L3/L4")


@dataclass(frozen=True)
class Flesh:
    """Muscle everywhere."""

    parts: tuple[Part, ...] = (Part(material=material(Tissue.AIR)), Part(material=material(Tissue.MUSCLE)))

    def paint(self, right_mm: Points, anterior_mm: Points, superior_mm: Points) -> PartIds:
        return np.ones(np.broadcast_shapes(right_mm.shape, anterior_mm.shape, superior_mm.shape), np.uint16)


@cache
def column(seed: int = 0) -> Column:
    return place(draw_plan(np.random.default_rng(seed), scoliosis_cobb_deg=0.0))


def drawn(pathology: Pathology = HEALTHY, seed: int = 0) -> Scene:
    return build_scene(column(seed), pathology, Flesh(), np.random.default_rng(seed))


def around(level: Level, *, half_mm: float = 35.0, pixel_mm: float = 1.0) -> Grid:
    """A sagittal grid of 1 mm around a vertebra."""
    centre = next(v.centre_ras_mm for v in column().vertebrae if v.level is level)
    axes = np.array([(-1.0, 0, 0), (0, 0, -1.0), (0, -1.0, 0)])
    n = int(2 * half_mm / pixel_mm) + 1
    return Grid(
        affine=Affine.from_axes(axes, (pixel_mm,) * 3, centre - axes.sum(1) * half_mm),
        shape=(n, n, n),
    )


def where(scene: Scene, ids: PartIds, structure: Structure, level: Level | None = None) -> np.ndarray:
    wanted = [p.structure is structure and (level is None or p.level is level) for p in scene.parts]
    return np.array(wanted)[ids]


@pytest.mark.parametrize("level", [Level.C4, Level.T6, Level.L3])
def test_a_painted_body_lies_at_the_centre_that_the_column_says(level: Level) -> None:
    scene, grid = drawn(), around(level)
    body = where(scene, voxelise(scene, grid), Structure.BODY, level)
    vertebra = next(v for v in column().vertebrae if v.level is level)
    middle = vertebra.to_local(grid.affine.to_world(ndimage.center_of_mass(body)))
    assert middle[0] == pytest.approx(0, abs=0.3)
    assert np.abs(middle[1:]).max() < 0.08 * vertebra.size.upper_depth_mm
    size = vertebra.size
    box = size.upper_width_mm * size.upper_depth_mm * size.posterior_height_mm
    assert 0.55 < body.sum() / box < 0.95


def test_every_vertebra_is_one_piece_with_an_arch_around_the_canal() -> None:
    scene, grid = drawn(), around(Level.L3, half_mm=50)
    ids = voxelise(scene, grid)
    own = np.array(
        [p.level is Level.L3 and p.structure not in (Structure.ANNULUS, Structure.NUCLEUS) for p in scene.parts]
    )
    labels, _ = ndimage.label(own[ids])
    sizes = np.bincount(labels.ravel())[1:]
    assert sizes.max() > 0.97 * sizes.sum()
    for side in pedicle_points_ras_mm(next(v for v in column().vertebrae if v.level is Level.L3)):
        assert own[ids[tuple(grid.affine.to_index(side).round().astype(int))]]


@pytest.mark.parametrize("level", [Level.C5, Level.T6, Level.L3])
def test_no_compact_bone_parts_the_marrow_of_a_pedicle_from_that_of_the_body(level: Level) -> None:
    scene, grid = drawn(), around(level, half_mm=25, pixel_mm=0.5)
    marrow = np.array([p.material.tissue is Tissue.MARROW and p.level is level for p in scene.parts])
    joined, _ = ndimage.label(marrow[voxelise(scene, grid)])
    vertebra = next(v for v in column().vertebrae if v.level is level)
    places = [*pedicle_points_ras_mm(vertebra), vertebra.centre_ras_mm]
    right, left, body = (joined[tuple(grid.affine.to_index(place).round().astype(int))] for place in places)
    assert right == left == body > 0


@pytest.mark.parametrize(
    ("numbering", "last"), [(ELEVEN_THORACIC, Level.T11), (REGULAR, Level.T12), (THIRTEEN_THORACIC, Level.T13)]
)
def test_the_last_ribs_are_short_whatever_their_number(numbering: Numbering, last: Level) -> None:
    changed = place(draw_plan(np.random.default_rng(0), numbering=numbering, scoliosis_cobb_deg=0.0))
    scene = build_scene(changed, HEALTHY, Flesh(), np.random.default_rng(0))
    reach_mm = {}
    for stroke in scene.strokes:
        part = scene.parts[stroke.part]
        if part.structure is Structure.RIB:
            far_mm = float(np.abs(stroke.solid.frame.origin_ras_mm[0]))
            reach_mm[part.level] = max(far_mm, reach_mm.get(part.level, 0.0))
    assert max(reach_mm, key=lambda level: level.rank) is last
    assert reach_mm[last] < 0.85 * reach_mm[Level.T9]


def transitional(transition: Transition) -> Column:
    rng = np.random.default_rng(0)
    return place(draw_plan(rng, numbering=REGULAR, transition=transition, scoliosis_cobb_deg=0.0))


@pytest.mark.parametrize(
    ("transition", "level"), [(Transition.SACRALISED, Level.L5), (Transition.LUMBARISED, Level.S1)]
)
def test_the_processes_of_a_transitional_vertebra_end_in_the_wings_of_the_sacrum(
    transition: Transition, level: Level
) -> None:
    vertebrae = transitional(transition).vertebrae
    i = [v.level for v in vertebrae].index(level)
    wings = list(wing_solids((*vertebrae[i + 1 :], *sacral_tail(vertebrae[-1]))))
    for _, process in broad_processes(vertebrae[i], vertebrae[i + 1]):
        tip = process.frame.to_world((0, 0, process.length_mm))
        assert max(float(wing.depth_mm(*(tip - wing.frame.origin_ras_mm) @ wing.frame.axes)) for wing in wings) > 1


def test_a_lumbarised_first_sacral_vertebra_has_no_wings() -> None:
    beside = {}
    for transition in (Transition.NONE, Transition.LUMBARISED):
        changed = transitional(transition)
        first = changed.vertebrae[-2]
        grid = Grid(affine=Affine.from_axes(np.eye(3), (1.0,) * 3, first.to_world([38.0, 0.0, 2.0])), shape=(1, 1, 1))
        scene = build_scene(changed, HEALTHY, Flesh(), np.random.default_rng(0))
        beside[transition] = scene.parts[voxelise(scene, grid).item()].structure
    assert beside == {Transition.NONE: Structure.SACRUM, Transition.LUMBARISED: Structure.OTHER}


def test_the_cord_ends_near_the_first_lumbar_vertebra_and_lies_inside_the_canal() -> None:
    scene, grid = drawn(), around(Level.T12)
    ids = voxelise(scene, grid)
    cord, canal = where(scene, ids, Structure.CORD), where(scene, ids, Structure.CANAL)
    assert cord.any()
    assert not where(scene, voxelise(scene, around(Level.L4)), Structure.CORD).any()
    ring = ndimage.binary_dilation(cord) & ~cord
    assert canal[ring].mean() > 0.97


def test_there_is_no_epidural_fat_in_the_skull() -> None:
    scene, grid = drawn(), around(Level.C1)
    is_fat = np.array([p.material.tissue is Tissue.EPIDURAL_FAT for p in scene.parts])
    heights = column().vertebrae[0].to_local(grid.affine.to_world(np.argwhere(is_fat[voxelise(scene, grid)])))[:, 2]
    assert 0 < heights.max() < 13  # the sac goes on and opens into the cisterns


def test_no_body_or_disc_reaches_into_the_cord() -> None:
    scene = drawn()
    for level in (Level.C5, Level.T6, Level.T12):
        ids = voxelise(scene, around(level))
        line = ndimage.label(where(scene, ids, Structure.CORD).any(axis=(0, 2)))[1]
        assert line == 1, f"the cord is broken near {level}"


def test_a_disc_fills_the_space_between_its_bodies() -> None:
    scene, grid = drawn(), around(Level.L3)
    ids = voxelise(scene, grid)
    upper, lower = (next(v for v in column().vertebrae if v.level is level) for level in (Level.L3, Level.L4))
    between = disc_place(upper, lower)
    along = grid.affine.to_index(between.frame.to_world([(0, 0, z) for z in np.linspace(-25, 25, 201)]))
    inside = ((along > 0) & (along < np.array(grid.shape) - 1)).all(1)
    seen = [scene.parts[i] for i in ids[tuple(along[inside].round().astype(int).T)]]
    assert {p.structure for p in seen} <= {Structure.BODY, Structure.ANNULUS, Structure.NUCLEUS}
    assert {p.level for p in seen if p.structure is Structure.NUCLEUS} == {Level.L3}


def test_outlines_in_the_midline_are_the_corners_of_the_column() -> None:
    grid = around(Level.L3, half_mm=60)
    vertebra = next(v for v in column().vertebrae if v.level is Level.L3)
    seen = body_outlines(vertebra, grid.affine, grid.shape)
    assert seen is not None
    middle = seen.outlines_ras_mm[seen.slices.index(60)]
    assert np.abs(middle - corners_ras_mm(vertebra))[:, 1:].max() < 0.1


def test_outlines_enclose_what_is_painted() -> None:
    scene, grid = drawn(), around(Level.T6)
    body = where(scene, voxelise(scene, grid), Structure.BODY, Level.T6)
    vertebra = next(v for v in column().vertebrae if v.level is Level.T6)
    seen = body_outlines(vertebra, grid.affine, grid.shape)
    assert seen is not None
    middle = zip(seen.slices[8:-8], seen.outlines[8:-8], strict=True)
    for k, outline in middle:
        assert abs(polygon_areas(outline)) == pytest.approx(body[k].sum(), rel=0.25)


def test_slices_beyond_the_body_show_no_outline_and_the_atlas_none_at_all() -> None:
    grid = around(Level.L3)
    vertebra = next(v for v in column().vertebrae if v.level is Level.L3)
    seen = body_outlines(vertebra, grid.affine, grid.shape)
    assert seen is not None
    reach = (max(seen.slices) - min(seen.slices)) / 2
    assert reach < vertebra.size.lower_width_mm / 2
    assert body_outlines(column().vertebrae[0], grid.affine, grid.shape) is None
    assert body_outlines(vertebra, around(Level.C3).affine, (3, 3, 3)) is None


def sick(state: DiscState) -> tuple[Scene, PartIds, PartIds]:
    grid = around(Level.L3)
    scene = drawn(Pathology(discs={L3_L4: state}, fractures={}))
    return scene, voxelise(scene, grid), voxelise(drawn(), grid)


def test_a_herniation_takes_room_from_the_canal() -> None:
    scene, ids, healthy = sick(DiscState(pfirrmann=4, herniation_mm=5.0))
    assert where(scene, ids, Structure.CANAL).sum() < where(drawn(), healthy, Structure.CANAL).sum() - 50


def test_central_stenosis_narrows_the_sac() -> None:
    scene, ids, healthy = sick(DiscState(central_stenosis=3, canal_factor=0.4))
    csf = [np.array([p.material.tissue is Tissue.CSF for p in s.parts]) for s in (scene, drawn())]
    assert csf[0][ids].sum() < 0.85 * csf[1][healthy].sum()


def test_a_dark_disc_has_the_nucleus_of_its_grade() -> None:
    scene, ids, _ = sick(DiscState(pfirrmann=5))
    cores = {p.material.t2_ms for p in scene.parts if p.structure is Structure.NUCLEUS and p.level is Level.L3}
    assert cores == {nucleus(5).t2_ms}
    assert where(scene, ids, Structure.NUCLEUS, Level.L3).sum() > 100


def test_a_node_and_marrow_changes_lie_in_the_vertebra_that_they_name() -> None:
    node = SchmorlNode(right_mm=0, anterior_mm=0, radius_mm=6, depth_mm=6, is_below=True)
    scene, ids, healthy = sick(DiscState(pfirrmann=3, schmorl_nodes=(node,), upper_modic=1))
    lost = where(drawn(), healthy, Structure.BODY) & ~where(scene, ids, Structure.BODY)
    assert lost.any()
    assert not (lost & where(drawn(), healthy, Structure.BODY, Level.L3)).any()
    changed = [p.level for p in scene.parts if p.structure is Structure.BODY and p.material.t1_ms == 1500.0]
    assert set(changed) <= {Level.L3}


@pytest.mark.parametrize("is_below", [False, True])
def test_a_node_is_as_deep_as_it_says_below_a_hollow_endplate(is_below: bool) -> None:
    node = SchmorlNode(right_mm=3, anterior_mm=-2, radius_mm=6, depth_mm=6, is_below=is_below)
    scene, ids, healthy = sick(DiscState(pfirrmann=3, schmorl_nodes=(node,)))
    lost = where(drawn(), healthy, Structure.BODY) & where(scene, ids, Structure.NUCLEUS, Level.L3)
    assert lost.sum() == pytest.approx(2 / 3 * np.pi * 6**3, rel=0.15)


def test_oedema_of_a_recent_fracture_fills_the_body_and_spares_the_arch() -> None:
    fracture = Fracture(kind=FractureKind.WEDGE, grade=2, loss=0.3, is_recent=True)
    scene = drawn(replace(HEALTHY, fractures={Level.L3: fracture}))
    healthy = {p for p in drawn().parts if p.level is Level.L3}
    assert {p.structure for p in scene.parts if p.level is Level.L3 and p not in healthy} == {Structure.BODY}


def test_a_defective_endplate_shows() -> None:
    scene, ids, healthy = sick(DiscState(pfirrmann=3, upper_endplate_defect=True))
    lost = where(drawn(), healthy, Structure.BODY, Level.L3) & ~where(scene, ids, Structure.BODY)
    assert lost.sum() > 100


def test_foraminal_stenosis_takes_fat_from_its_side_alone() -> None:
    scene, ids, healthy = sick(DiscState(right_foraminal_stenosis=3))
    fat = [np.array([p.material.tissue is Tissue.FAT for p in s.parts]) for s in (scene, drawn())]
    half = ids.shape[0] // 2
    assert fat[0][ids[: half - 8]].sum() < 0.9 * fat[1][healthy[: half - 8]].sum()
    assert fat[0][ids[half + 8 :]].sum() == fat[1][healthy[half + 8 :]].sum()


def test_screws_are_metal_in_the_pedicles_of_the_vertebrae_that_have_them() -> None:
    scene = drawn(replace(HEALTHY, screws=(Level.L3, Level.L4)))
    grid = around(Level.L3, half_mm=60)
    metal = where(scene, voxelise(scene, grid), Structure.IMPLANT)
    assert ndimage.label(metal)[1] == 2
    assert not where(drawn(), voxelise(drawn(), grid), Structure.IMPLANT).any()


def test_a_sixth_lumbar_vertebra_is_painted_between_the_fifth_and_the_sacrum() -> None:
    rng = np.random.default_rng(2)
    long = place(draw_plan(rng, numbering=SIX_LUMBAR, scoliosis_cobb_deg=0.0))
    scene = build_scene(long, HEALTHY, Flesh(), rng)
    levels = {p.level for p in scene.parts if p.structure is Structure.BODY}
    assert Level.L6 in levels
    heights = {v.level: v.centre_ras_mm[2] for v in long.vertebrae}
    assert heights[Level.L5] > heights[Level.L6] > heights[Level.S1]
