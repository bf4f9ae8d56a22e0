"""The spine as drawn: what is painted agrees with the column that it was drawn from, and pathology shows."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from spondyl.anatomy.codes import Subregion
from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import ELEVEN_THORACIC, REGULAR, SIX_LUMBAR, THIRTEEN_THORACIC, Numbering
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import polygon_areas
from spondyl.phantom.column.column import Column, Transition, corners_ras_mm, pedicle_points_ras_mm, place_column
from spondyl.phantom.column.draw import draw_plan
from spondyl.phantom.pathology.pathology import DiscState, Fracture, FractureKind, Pathology, SchmorlNode
from spondyl.phantom.scene.material import Tissue
from spondyl.phantom.scene.scene import PaintGrid, Part, PartIds, Scene, voxelise
from spondyl.phantom.scene.solids import Coordinates
from spondyl.phantom.scene.tissue_table import get_material, make_nucleus
from spondyl.phantom.spine.arch import make_transitional_processes
from spondyl.phantom.spine.bodies import locate_disc_space, outline_body
from spondyl.phantom.spine.sacrum import extrapolate_sacrum, make_sacral_wings
from spondyl.phantom.spine.spine import build_scene

HEALTHY = Pathology(discs={}, fractures={})
L3_L4 = Disc.from_name("L3/L4")


@dataclass(frozen=True)
class Muscle:
    """Muscle everywhere."""

    parts: tuple[Part, ...] = (Part(material=get_material(Tissue.AIR)), Part(material=get_material(Tissue.MUSCLE)))

    def paint(self, right_mm: Coordinates, anterior_mm: Coordinates, superior_mm: Coordinates) -> PartIds:
        return np.ones(np.broadcast_shapes(right_mm.shape, anterior_mm.shape, superior_mm.shape), np.uint16)


@cache
def column(seed: int = 0) -> Column:
    return place_column(draw_plan(np.random.default_rng(seed), scoliosis_cobb_deg=0.0))


def diseased(pathology: Pathology) -> Scene:
    return build_scene(column(), pathology, Muscle(), np.random.default_rng(0))


@cache
def healthy() -> Scene:
    return diseased(HEALTHY)


def around(level: Level, *, half_mm: float = 35.0, pixel_mm: float = 1.0) -> PaintGrid:
    """A sagittal grid of 1 mm around a vertebra."""
    centre = next(v.centre_ras_mm for v in column().vertebrae if v.level is level)
    axes = np.array([(-1.0, 0, 0), (0, 0, -1.0), (0, -1.0, 0)])
    n = int(2 * half_mm / pixel_mm) + 1
    return PaintGrid(
        affine=Affine.from_axes(axes, (pixel_mm,) * 3, centre - axes.sum(1) * half_mm),
        shape=(n, n, n),
    )


@cache
def healthy_ids(level: Level) -> PartIds:
    """The healthy scene, painted around a vertebra."""
    return voxelise(healthy(), around(level))


def where(scene: Scene, ids: PartIds, subregion: Subregion, level: Level | None = None) -> np.ndarray:
    wanted = [p.subregion is subregion and (level is None or p.level is level) for p in scene.parts]
    return np.array(wanted)[ids]


@pytest.mark.parametrize("level", [Level.C4, Level.T6, Level.L3])
def test_a_painted_body_lies_at_the_centre_that_the_column_says(level: Level) -> None:
    scene, grid = healthy(), around(level)
    body = where(scene, healthy_ids(level), Subregion.BODY, level)
    vertebra = next(v for v in column().vertebrae if v.level is level)
    middle = vertebra.to_local(grid.affine.to_world(ndimage.center_of_mass(body)))
    assert middle[0] == pytest.approx(0, abs=0.3)
    assert np.abs(middle[1:]).max() < 0.08 * vertebra.size.upper_depth_mm
    size = vertebra.size
    box = size.upper_width_mm * size.upper_depth_mm * size.posterior_height_mm
    assert 0.55 < body.sum() / box < 0.95


def test_every_vertebra_is_one_piece_with_an_arch_around_the_canal() -> None:
    scene, grid = healthy(), around(Level.L3, half_mm=50)
    ids = voxelise(scene, grid)
    own = np.array(
        [p.level is Level.L3 and p.subregion not in (Subregion.ANNULUS, Subregion.NUCLEUS) for p in scene.parts]
    )
    labels, _ = ndimage.label(own[ids])
    sizes = np.bincount(labels.ravel())[1:]
    assert sizes.max() > 0.97 * sizes.sum()
    for side in pedicle_points_ras_mm(next(v for v in column().vertebrae if v.level is Level.L3)):
        assert own[ids[tuple(grid.affine.to_index(side).round().astype(int))]]


@pytest.mark.parametrize("level", [Level.C5, Level.T6, Level.L3])
def test_no_compact_bone_parts_the_marrow_of_a_pedicle_from_that_of_the_body(level: Level) -> None:
    scene, grid = healthy(), around(level, half_mm=25, pixel_mm=0.5)
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
    changed = place_column(draw_plan(np.random.default_rng(0), numbering=numbering, scoliosis_cobb_deg=0.0))
    scene = build_scene(changed, HEALTHY, Muscle(), np.random.default_rng(0))
    reach_mm = {}
    for stroke in scene.strokes:
        part = scene.parts[stroke.part]
        if part.subregion is Subregion.RIB:
            far_mm = float(np.abs(stroke.solid.frame.origin_ras_mm[0]))
            reach_mm[part.level] = max(far_mm, reach_mm.get(part.level, 0.0))
    assert max(reach_mm, key=lambda level: level.rank) is last
    assert reach_mm[last] < 0.85 * reach_mm[Level.T9]


def transitional(transition: Transition) -> Column:
    rng = np.random.default_rng(0)
    return place_column(draw_plan(rng, numbering=REGULAR, transition=transition, scoliosis_cobb_deg=0.0))


@pytest.mark.parametrize(
    ("transition", "level"), [(Transition.SACRALISED, Level.L5), (Transition.LUMBARISED, Level.S1)]
)
def test_the_processes_of_a_transitional_vertebra_end_in_the_wings_of_the_sacrum(
    transition: Transition, level: Level
) -> None:
    vertebrae = transitional(transition).vertebrae
    i = [v.level for v in vertebrae].index(level)
    wings = list(make_sacral_wings((*vertebrae[i + 1 :], *extrapolate_sacrum(vertebrae[-1]))))
    for _, process in make_transitional_processes(vertebrae[i], vertebrae[i + 1]):
        tip = process.frame.to_world((0, 0, process.length_mm))
        assert max(float(wing.depth_mm(*(tip - wing.frame.origin_ras_mm) @ wing.frame.axes)) for wing in wings) > 1


def test_a_lumbarised_first_sacral_vertebra_has_no_wings() -> None:
    beside = {}
    for transition in (Transition.NONE, Transition.LUMBARISED):
        changed = transitional(transition)
        first = changed.vertebrae[-2]
        grid = PaintGrid(
            affine=Affine.from_axes(np.eye(3), (1.0,) * 3, first.to_world([38.0, 0.0, 2.0])), shape=(1, 1, 1)
        )
        scene = build_scene(changed, HEALTHY, Muscle(), np.random.default_rng(0))
        beside[transition] = scene.parts[voxelise(scene, grid).item()].subregion
    assert beside == {Transition.NONE: Subregion.SACRUM, Transition.LUMBARISED: None}


def test_the_cord_ends_near_the_first_lumbar_vertebra_and_lies_inside_the_canal() -> None:
    scene, ids = healthy(), healthy_ids(Level.T12)
    cord, canal = where(scene, ids, Subregion.CORD), where(scene, ids, Subregion.CANAL)
    assert cord.any()
    assert not where(scene, healthy_ids(Level.L4), Subregion.CORD).any()
    ring = ndimage.binary_dilation(cord) & ~cord
    assert canal[ring].mean() > 0.97


def test_there_is_no_epidural_fat_in_the_skull() -> None:
    scene, grid = healthy(), around(Level.C1)
    is_fat = np.array([p.material.tissue is Tissue.EPIDURAL_FAT for p in scene.parts])
    heights = column().vertebrae[0].to_local(grid.affine.to_world(np.argwhere(is_fat[voxelise(scene, grid)])))[:, 2]
    assert 0 < heights.max() < 13  # the sac goes on and opens into the cisterns


def test_no_body_or_disc_reaches_into_the_cord() -> None:
    scene = healthy()
    for level in (Level.C5, Level.T6, Level.T12):
        ids = healthy_ids(level)
        line = ndimage.label(where(scene, ids, Subregion.CORD).any(axis=(0, 2)))[1]
        assert line == 1, f"the cord is broken near {level}"


def test_a_disc_fills_the_space_between_its_bodies() -> None:
    scene, grid, ids = healthy(), around(Level.L3), healthy_ids(Level.L3)
    upper, lower = (next(v for v in column().vertebrae if v.level is level) for level in (Level.L3, Level.L4))
    between = locate_disc_space(upper, lower)
    along = grid.affine.to_index(between.frame.to_world([(0, 0, z) for z in np.linspace(-25, 25, 201)]))
    inside = ((along > 0) & (along < np.array(grid.shape) - 1)).all(1)
    seen = [scene.parts[i] for i in ids[tuple(along[inside].round().astype(int).T)]]
    assert {p.subregion for p in seen} <= {Subregion.BODY, Subregion.ANNULUS, Subregion.NUCLEUS}
    assert {p.level for p in seen if p.subregion is Subregion.NUCLEUS} == {Level.L3}


def test_outlines_in_the_midline_are_the_corners_of_the_column() -> None:
    grid = around(Level.L3, half_mm=60)
    vertebra = next(v for v in column().vertebrae if v.level is Level.L3)
    seen = outline_body(vertebra, grid.affine, grid.shape)
    assert seen is not None
    middle = seen.outlines_ras_mm[seen.slices.index(60)]
    assert np.abs(middle - corners_ras_mm(vertebra))[:, 1:].max() < 0.1


def test_outlines_enclose_what_is_painted() -> None:
    scene, grid = healthy(), around(Level.T6)
    body = where(scene, healthy_ids(Level.T6), Subregion.BODY, Level.T6)
    vertebra = next(v for v in column().vertebrae if v.level is Level.T6)
    seen = outline_body(vertebra, grid.affine, grid.shape)
    assert seen is not None
    middle = zip(seen.slices[8:-8], seen.outlines[8:-8], strict=True)
    for k, outline in middle:
        assert abs(polygon_areas(outline)) == pytest.approx(body[k].sum(), rel=0.25)


def test_slices_beyond_the_body_show_no_outline_and_the_atlas_none_at_all() -> None:
    grid = around(Level.L3)
    vertebra = next(v for v in column().vertebrae if v.level is Level.L3)
    seen = outline_body(vertebra, grid.affine, grid.shape)
    assert seen is not None
    reach = (max(seen.slices) - min(seen.slices)) / 2
    assert reach < vertebra.size.lower_width_mm / 2
    assert outline_body(column().vertebrae[0], grid.affine, grid.shape) is None
    assert outline_body(vertebra, around(Level.C3).affine, (3, 3, 3)) is None


def with_disc(state: DiscState) -> tuple[Scene, PartIds, PartIds]:
    """The scene with a diseased disc L3/L4, painted, and the healthy one."""
    scene = diseased(Pathology(discs={L3_L4: state}, fractures={}))
    return scene, voxelise(scene, around(Level.L3)), healthy_ids(Level.L3)


def test_a_herniation_takes_room_from_the_canal() -> None:
    scene, ids, before = with_disc(DiscState(pfirrmann=4, herniation_mm=5.0))
    assert where(scene, ids, Subregion.CANAL).sum() < where(healthy(), before, Subregion.CANAL).sum() - 50


def test_central_stenosis_narrows_the_sac() -> None:
    scene, ids, before = with_disc(DiscState(central_stenosis=3, canal_factor=0.4))
    csf = [np.array([p.material.tissue is Tissue.CSF for p in s.parts]) for s in (scene, healthy())]
    assert csf[0][ids].sum() < 0.85 * csf[1][before].sum()


def test_a_dark_disc_has_the_nucleus_of_its_grade() -> None:
    scene, ids, _ = with_disc(DiscState(pfirrmann=5))
    cores = {p.material.t2_ms for p in scene.parts if p.subregion is Subregion.NUCLEUS and p.level is Level.L3}
    assert cores == {make_nucleus(5).t2_ms}
    assert where(scene, ids, Subregion.NUCLEUS, Level.L3).sum() > 100


def test_a_node_and_marrow_changes_lie_in_the_vertebra_that_they_name() -> None:
    node = SchmorlNode(right_mm=0, anterior_mm=0, radius_mm=6, depth_mm=6, is_below=True)
    scene, ids, before = with_disc(DiscState(pfirrmann=3, schmorl_nodes=(node,), upper_modic=1))
    lost = where(healthy(), before, Subregion.BODY) & ~where(scene, ids, Subregion.BODY)
    assert lost.any()
    assert not (lost & where(healthy(), before, Subregion.BODY, Level.L3)).any()
    changed = [p.level for p in scene.parts if p.subregion is Subregion.BODY and p.material.t1_ms == 1500.0]
    assert set(changed) <= {Level.L3}


@pytest.mark.parametrize("is_below", [False, True])
def test_a_node_is_as_deep_as_it_says_below_a_hollow_endplate(is_below: bool) -> None:
    node = SchmorlNode(right_mm=3, anterior_mm=-2, radius_mm=6, depth_mm=6, is_below=is_below)
    scene, ids, before = with_disc(DiscState(pfirrmann=3, schmorl_nodes=(node,)))
    lost = where(healthy(), before, Subregion.BODY) & where(scene, ids, Subregion.NUCLEUS, Level.L3)
    assert lost.sum() == pytest.approx(2 / 3 * np.pi * 6**3, rel=0.15)


def test_oedema_of_a_recent_fracture_fills_the_body_and_spares_the_arch() -> None:
    fracture = Fracture(kind=FractureKind.WEDGE, grade=2, loss=0.3, is_recent=True)
    scene = diseased(replace(HEALTHY, fractures={Level.L3: fracture}))
    usual = {p for p in healthy().parts if p.level is Level.L3}
    assert {p.subregion for p in scene.parts if p.level is Level.L3 and p not in usual} == {Subregion.BODY}


def test_a_defective_endplate_shows() -> None:
    scene, ids, before = with_disc(DiscState(pfirrmann=3, upper_endplate_defect=True))
    lost = where(healthy(), before, Subregion.BODY, Level.L3) & ~where(scene, ids, Subregion.BODY)
    assert lost.sum() > 100


def test_foraminal_stenosis_takes_fat_from_its_side_alone() -> None:
    scene, ids, before = with_disc(DiscState(right_foraminal_stenosis=3))
    fat = [np.array([p.material.tissue is Tissue.FAT for p in s.parts]) for s in (scene, healthy())]
    half = ids.shape[0] // 2
    assert fat[0][ids[: half - 8]].sum() < 0.9 * fat[1][before[: half - 8]].sum()
    assert fat[0][ids[half + 8 :]].sum() == fat[1][before[half + 8 :]].sum()


def test_screws_are_metal_in_the_pedicles_of_the_vertebrae_that_have_them() -> None:
    scene = diseased(replace(HEALTHY, screws=(Level.L3, Level.L4)))
    grid = around(Level.L3, half_mm=60)
    metal = where(scene, voxelise(scene, grid), Subregion.IMPLANT)
    assert ndimage.label(metal)[1] == 2
    assert not where(healthy(), voxelise(healthy(), grid), Subregion.IMPLANT).any()


def test_a_sixth_lumbar_vertebra_is_painted_between_the_fifth_and_the_sacrum() -> None:
    rng = np.random.default_rng(2)
    long = place_column(draw_plan(rng, numbering=SIX_LUMBAR, scoliosis_cobb_deg=0.0))
    scene = build_scene(long, HEALTHY, Muscle(), rng)
    levels = {p.level for p in scene.parts if p.subregion is Subregion.BODY}
    assert Level.L6 in levels
    heights = {v.level: v.centre_ras_mm[2] for v in long.vertebrae}
    assert heights[Level.L5] > heights[Level.L6] > heights[Level.S1]
