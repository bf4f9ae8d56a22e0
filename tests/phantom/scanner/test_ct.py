"""CT of a phantom keeps its attenuation and adds noise, streaks and borders as asked."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.phantom.scanner.ct import acquire_ct
from spondyl.phantom.scanner.protocol import CtKernel, CtProtocol
from spondyl.phantom.scene.material import Tissue
from spondyl.phantom.scene.scene import Part, PartIds
from spondyl.phantom.scene.tissue_table import get_material

TISSUES = (Tissue.AIR, Tissue.MUSCLE, Tissue.CORTICAL_BONE, Tissue.METAL, Tissue.MARROW)
SMOOTH = tuple(Part(material=replace(get_material(tissue), texture=0.0)) for tissue in TISSUES)
AIR, MUSCLE, BONE, METAL, MARROW = range(5)


def protocol(shape: tuple[int, int, int], spacing_mm: float = 1.0, **settings: float | CtKernel) -> CtProtocol:
    affine = Affine.from_axes(np.diag([-1.0, -1.0, 1.0]), (spacing_mm,) * 3, (0.0, 0.0, 0.0))
    return CtProtocol(affine=affine, shape=shape, **settings)  # type: ignore[arg-type]  # by name


def block(part: int, shape: tuple[int, int, int] = (40, 40, 40)) -> PartIds:
    return np.full(shape, part, dtype=np.uint16)


def scan(ids: PartIds, asked: CtProtocol, seed: int = 0, parts: tuple[Part, ...] = SMOOTH) -> NDArray[np.float32]:
    return acquire_ct(ids, parts, asked, np.random.default_rng(seed))


@pytest.mark.parametrize("kernel", list(CtKernel))
@pytest.mark.parametrize("spacing_mm", [0.5, 1.0, 3.0])
def test_a_kernel_leaves_means_and_the_asked_noise(kernel: CtKernel, spacing_mm: float) -> None:
    image = scan(block(MUSCLE), protocol((40, 40, 40), spacing_mm, kernel=kernel, noise_hu=20.0))
    assert image.mean() == pytest.approx(get_material(Tissue.MUSCLE).hu, abs=1.0)
    assert image[5:-5, 5:-5, 5:-5].std() == pytest.approx(20.0, rel=0.05)


def test_a_soft_kernel_blurs_edges_and_noise_more_than_a_bone_kernel() -> None:
    ids = block(MUSCLE, (40, 40, 8))
    ids[20:] = BONE
    edges, neighbours = [], []
    for kernel in CtKernel:
        edge = scan(ids, protocol((40, 40, 8), kernel=kernel, noise_hu=0.0))[:, 20, 4]
        edges.append(np.diff(edge).max())
        noise = scan(block(MUSCLE), protocol((40, 40, 40), kernel=kernel, noise_hu=20.0)) - 55
        neighbours.append((noise[1:] * noise[:-1]).mean() / (noise**2).mean())
    soft, bone = list(CtKernel).index(CtKernel.SOFT), list(CtKernel).index(CtKernel.BONE)
    assert edges[soft] < 0.9 * edges[bone]
    assert neighbours[soft] > neighbours[bone] + 0.1


def test_trabecular_bone_is_textured_and_keeps_its_mean() -> None:
    parts = tuple(Part(material=get_material(tissue)) for tissue in TISSUES)
    image = scan(block(MARROW), protocol((40, 40, 40), noise_hu=0.0), parts=parts)
    assert image.mean() == pytest.approx(get_material(Tissue.MARROW).hu, abs=1.0)
    assert image.std() == pytest.approx(500 * get_material(Tissue.MARROW).texture, rel=0.06)


def test_slices_through_more_body_are_noisier() -> None:
    ids = block(AIR, (120, 40, 40))
    ids[40:80] = MUSCLE
    ids[:, :, 20:] = MUSCLE
    noise = scan(ids, protocol((120, 40, 40), noise_hu=20.0))[45:75]
    assert noise[:, :, 24:].std() > 1.1 * noise[:, :, :16].std()


def test_outside_the_gantry_there_is_padding() -> None:
    image = scan(block(MUSCLE, (80, 80, 4)), protocol((80, 80, 4), gantry_mm=80.0, noise_hu=5.0))
    i, j = np.indices((80, 80)) - 39.5
    outside = np.hypot(i, j) > 40
    assert (image[outside] == -1024).all()
    assert (image[~outside] > -100).all()


def test_metal_throws_bright_and_dark_lines_in_its_own_axial_slices_only() -> None:
    ids = block(MUSCLE, (80, 80, 12))
    ids[28:33, 40:44, 4:8] = ids[48:53, 40:44, 4:8] = METAL
    asked = protocol((80, 80, 12), noise_hu=0.0, streak_hu=300.0)
    image, clean = scan(ids, asked), scan(ids, replace(asked, streak_hu=0.0))
    change = image - clean
    assert image.max() == 3071
    assert np.abs(change[:, :, :4]).max() == 0
    assert np.abs(change[:, :, 8:]).max() == 0
    around = change[:, :, 6][clean[:, :, 6] < 1000]
    assert around.max() > 50
    assert around.min() < -50
    between = [scan(ids, asked, seed)[36:45, 41:43, 5:7] - clean[36:45, 41:43, 5:7] for seed in range(8)]
    assert np.mean(between) < -100


def test_beam_hardening_darkens_the_middle_of_the_body() -> None:
    image = scan(block(MUSCLE, (80, 80, 4)), protocol((80, 80, 4), noise_hu=0.0, cupping_hu=20.0, gantry_mm=200.0))
    assert image[40, 40, 2] == pytest.approx(35, abs=1)
    assert image[2, 40, 2] > image[40, 40, 2] + 2


def test_sub_voxels_are_averaged() -> None:
    ids = block(AIR, (20, 20, 20))
    ids[::2] = MUSCLE
    assert scan(ids, protocol((10, 10, 10), noise_hu=0.0)).mean() == pytest.approx((55 - 1000) / 2, abs=1)


def test_the_same_seed_gives_the_same_scan() -> None:
    asked = protocol((40, 40, 40))
    ids = block(MARROW)
    assert scan(ids, asked, 1).tobytes() == scan(ids, asked, 1).tobytes()
    assert scan(ids, asked, 1).tobytes() != scan(ids, asked, 2).tobytes()


def test_numbers_outside_their_range_are_refused() -> None:
    with pytest.raises(SettingError, match="noise_hu must be between 0 and 200, got -1"):
        protocol((4, 4, 4), noise_hu=-1.0)
    with pytest.raises(SettingError, match=r"spacing_mm must be between 0\.3 and 12, got 0\.1"):
        protocol((4, 4, 4), spacing_mm=0.1)
    with pytest.raises(SettingError, match="whole multiple"):
        scan(block(AIR, (7, 8, 8)), protocol((4, 4, 4)))
