"""The centre of a body is found in a mask of the whole vertebra, whichever way the mask is stored."""

import numpy as np
import pytest

from phantoms import lumbar
from real_data import DATA, needs_real_data
from spondyl.anatomy.codes import VERSE, Subregion, subregion_code, verse_code
from spondyl.anatomy.level import Level
from spondyl.datasets.bodies import find_body_centres
from spondyl.datasets.truth import VoxelCentroids, read_truth
from spondyl.geometry.affine import Affine, Float
from spondyl.imaging.labels import LabelMap, read_labels

GRID = Affine.from_axes(np.eye(3), (4.0, 1.0, 1.0), (-30.0, -40.0, -60.0))


def masks() -> tuple[LabelMap, LabelMap]:
    """A phantom's whole vertebrae, and its bodies alone with their endplates."""
    phantom = lumbar()
    instances, subregions = phantom.truth.masks.instances, phantom.truth.masks.subregions
    parts = [subregion_code(part) for part in (Subregion.BODY, Subregion.ENDPLATE, Subregion.SACRUM)]
    bodies = np.where(np.isin(subregions, parts), instances, 0)
    return tuple(LabelMap(codes=codes.astype(np.uint16), affine=phantom.volume.affine) for codes in (instances, bodies))


def in_plane_mm(one: Float, other: Float) -> float:
    return float(np.linalg.norm((one - other)[1:]))


def vertebra(height: int, *, arch: bool = True) -> np.ndarray:
    """A body of 30 x 26 mm whose upper edge is at a height, with its spinous process 20 mm behind it."""
    mask = np.zeros((15, 80, 120), bool)
    mask[5:10, 40:70, height - 26 : height] = True
    if arch:
        mask[7, 0:20, height - 30 : height - 10] = True
        mask[5:7, 5:45, height - 14 : height - 4] = mask[8:10, 5:45, height - 14 : height - 4] = True
        mask[1:14, 15:24, height - 20 : height - 4] |= np.arange(15)[1:14, None, None] != 7
    return mask


def label_map(**vertebrae: np.ndarray) -> LabelMap:
    codes = np.zeros((15, 80, 120), np.uint16)
    for level, mask in vertebrae.items():
        codes[mask] = verse_code(Level(level))
    return LabelMap(codes=codes, affine=GRID)


def test_the_centre_of_a_whole_vertebra_is_that_of_its_body() -> None:
    centres = find_body_centres(label_map(L3=vertebra(110), L4=vertebra(70)))
    assert centres[Level.L3] == pytest.approx(GRID.to_world((7, 54.5, 96.5)), abs=1.0)
    assert centres[Level.L4] == pytest.approx(GRID.to_world((7, 54.5, 56.5)), abs=1.0)


def test_a_phantoms_bodies_are_found_in_its_mask() -> None:
    whole, _ = masks()
    centres = find_body_centres(whole)
    truth = {found.level: found.centroid_ras_mm for found in lumbar().truth.vertebrae if found.instance is not None}
    assert truth.keys() - centres.keys() == {Level.S2}  # the sacrum has one code
    for level in centres.keys() & truth.keys():
        assert in_plane_mm(centres[level], truth[level]) < 3  # of 15 to 40
        assert abs(centres[level] - truth[level])[0] < 4


def test_a_body_has_one_centre_with_or_without_its_arch() -> None:
    whole, alone = (find_body_centres(labels) for labels in masks())
    assert whole.keys() == alone.keys()
    assert all(in_plane_mm(whole[level], alone[level]) < 1.5 for level in whole)


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
@pytest.mark.parametrize("flipped", [(), (0,), (1, 2), (0, 1, 2)])
def test_the_order_and_direction_of_the_axes_change_nothing(axes: tuple[int, ...], flipped: tuple[int, ...]) -> None:
    labels = label_map(L3=vertebra(110), L4=vertebra(70))
    index_map = np.zeros((4, 4))
    index_map[3, 3] = 1
    codes = labels.codes.transpose(axes)
    for new, old in enumerate(axes):
        index_map[old, new] = -1 if new in flipped else 1
        index_map[old, 3] = codes.shape[new] - 1 if new in flipped else 0
    turned = find_body_centres(LabelMap(codes=np.flip(codes, flipped), affine=labels.affine @ index_map))
    for level, centre in find_body_centres(labels).items():
        assert turned[level] == pytest.approx(centre)


def test_what_the_edge_leaves_of_a_vertebra_counts_when_it_shows_the_centre() -> None:
    whole = vertebra(70)
    for cut, is_left in ((126, True), (141, False)):  # 20 and 5 of 26 mm of the body are in the scan
        above = np.zeros_like(whole)
        above[..., cut - 26 :] = vertebra(100)[..., 74 : 74 + 146 - cut]
        assert (Level.L2 in find_body_centres(label_map(L2=above, L3=whole))) is is_left


def test_slices_that_nobody_labelled_do_not_move_the_centre() -> None:
    sparse = vertebra(110, arch=False)
    sparse[[6, 8]] = False
    centre = find_body_centres(label_map(L3=sparse))[Level.L3]
    assert centre == pytest.approx(GRID.to_world((7, 54.5, 96.5)), abs=1.0)


def test_the_ring_of_c1_and_an_empty_mask_have_no_body() -> None:
    ring = label_map(C1=vertebra(110), C2=vertebra(70))
    assert list(find_body_centres(ring)) == [Level.C2]
    assert find_body_centres(label_map()) == {}


def test_codes_of_discs_are_passed_over() -> None:
    labels = label_map(L3=vertebra(110))
    labels.codes[5:10, 40:70, 60:80] = 122
    assert list(find_body_centres(labels)) == [Level.L3]


@needs_real_data
@pytest.mark.parametrize("case", ["masks/sub-verse004", "masks/sub-verse010", "ct/verse014/sub-verse014"])
def test_real_masks_give_the_centroids_that_their_authors_publish(case: str) -> None:
    labels = read_labels(DATA / f"{case}_seg-vert_msk.nii.gz")
    (published,) = (DATA / case).parent.glob(f"{case.rpartition('/')[2]}_*ctd.json")
    truth = read_truth(published)
    assert isinstance(truth, VoxelCentroids)
    world = truth.to_world(labels.affine, labels.codes.shape)
    centres = find_body_centres(labels)
    assert set(centres) == set(world) - {Level.C1}
    assert max(in_plane_mm(centre, world[level]) for level, centre in centres.items()) < 3


@needs_real_data
def test_masks_of_bodies_alone_keep_their_centroids() -> None:
    labels = read_labels(DATA / "mr/lumbar_gre/lumbar_gre_01_seg.nii.gz")
    for level, centre in find_body_centres(labels).items():
        code = next(code for code, known in VERSE.items() if known is level)
        plain = labels.affine.to_world(np.argwhere(labels.codes == code).mean(axis=0))
        assert in_plane_mm(centre, plain) < 4
