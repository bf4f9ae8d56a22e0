"""Painting: later strokes cover earlier ones, volumes are right, and a finer grid agrees with a coarser one."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.phantom.scene.material import Tissue
from spondyl.phantom.scene.scene import PaintGrid, Part, PartIds, Scene, Stroke, voxelise
from spondyl.phantom.scene.solids import Coordinates, Ellipsoid, LocalFrame, make_tube
from spondyl.phantom.scene.tissue_table import get_material

PARTS = tuple(Part(material=get_material(t)) for t in (Tissue.AIR, Tissue.MUSCLE, Tissue.FAT, Tissue.CSF))
TILTED = LocalFrame(
    origin_ras_mm=np.array([3.0, -2.0, 1.0]),
    axes=np.array([(0.8, -0.6, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, 1.0)]),
)
BALL = Ellipsoid(frame=TILTED, radii_mm=(9.0, 6.0, 12.0))
GRID = PaintGrid(affine=Affine.from_axes(np.eye(3), (1.0, 1.0, 1.0), (-20.0, -20.0, -20.0)), shape=(41, 41, 41))


@dataclass(frozen=True)
class HalfSpace:
    """Muscle below the origin, air above."""

    parts: tuple[Part, ...] = PARTS

    def paint(self, right_mm: Coordinates, anterior_mm: Coordinates, superior_mm: Coordinates) -> PartIds:
        shape = np.broadcast_shapes(right_mm.shape, anterior_mm.shape, superior_mm.shape)
        return np.broadcast_to(superior_mm < 0, shape).astype(np.uint16)


def scene(*strokes: Stroke) -> Scene:
    return Scene(parts=PARTS, backdrop=HalfSpace(), strokes=strokes)


def test_a_painted_ellipsoid_has_the_volume_of_its_formula() -> None:
    painted = voxelise(scene(Stroke(solid=BALL, part=2)), replace(GRID, supersampling=(2, 2, 2)))
    assert (painted == 2).sum() / 8 == pytest.approx(4 / 3 * np.pi * 9 * 6 * 12, rel=0.01)


def test_painting_voxel_by_voxel_agrees_with_a_direct_test_of_every_point() -> None:
    painted = voxelise(scene(Stroke(solid=BALL, part=2)), GRID)
    points = GRID.affine.to_world(np.moveaxis(np.indices(GRID.shape), 0, -1))
    local = (points - TILTED.origin_ras_mm) @ TILTED.axes / BALL.radii_mm
    inside = (local**2).sum(-1) < 1
    assert ((painted == 2) == inside).mean() > 0.9999
    assert np.array_equal(painted[~inside & (painted != 2)] == 1, points[~inside & (painted != 2)][:, 2] < 0)


def test_later_strokes_cover_earlier_ones_and_some_only_given_parts() -> None:
    rod = make_tube((-15, 0, 0), (15, 0, 0), (2.0, 2.0))
    over_all = voxelise(scene(Stroke(solid=BALL, part=2), Stroke(solid=rod, part=3)), GRID)
    over_ball = voxelise(scene(Stroke(solid=BALL, part=2), Stroke(solid=rod, part=3, over=(2,))), GRID)
    ball = voxelise(scene(Stroke(solid=BALL, part=2)), GRID) == 2
    assert (over_all == 3).sum() > (over_ball == 3).sum() > 0
    assert np.array_equal(over_ball == 3, (over_all == 3) & ball)


def test_a_shell_lies_around_its_core() -> None:
    rod = make_tube((0, 0, -12), (0, 0, 12), (8.0, 8.0))
    painted = voxelise(scene(Stroke(solid=rod, part=2, core=3, shell_mm=2.0)), GRID)
    row = painted[20, :, 20]
    assert [(row == part).sum() for part in (2, 3)] == [4, 11]


def test_a_solid_outside_the_grid_changes_nothing() -> None:
    far = replace(BALL, frame=replace(TILTED, origin_ras_mm=np.array([500.0, 0.0, 0.0])))
    assert np.array_equal(voxelise(scene(Stroke(solid=far, part=2)), GRID), voxelise(scene(), GRID))


def test_small_voxels_are_centred_in_their_voxel_and_leave_the_gap_free() -> None:
    grid = PaintGrid(affine=GRID.affine, shape=(2, 1, 1), supersampling=(2, 1, 3), filled=0.5)
    slices, rows, columns = grid.places()
    assert slices == pytest.approx([-0.125, 0.125, 0.875, 1.125])
    assert rows == pytest.approx([0.0])
    assert columns == pytest.approx([-1 / 3, 0, 1 / 3])


def test_a_slab_of_a_grid_is_painted_as_in_the_whole_grid() -> None:
    painted = scene(Stroke(solid=BALL, part=2))
    shifted = replace(GRID, affine=Affine.from_axes(np.eye(3), (1.0,) * 3, (-10.0, -20.0, -20.0)), shape=(5, 41, 41))
    assert np.array_equal(voxelise(painted, shifted), voxelise(painted, GRID)[10:15])


@pytest.mark.parametrize(
    "wrong", [{"shape": (0, 2, 2)}, {"supersampling": (1, 0, 1)}, {"filled": 0.0}, {"filled": 1.2}]
)
def test_a_grid_without_voxels_is_refused(wrong: dict[str, tuple[int, int, int]]) -> None:
    with pytest.raises(SettingError, match="a grid needs positive sizes"):
        replace(GRID, **wrong)  # type: ignore[arg-type]
