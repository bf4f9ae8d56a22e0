"""MR of a phantom follows the signal equations and adds what was asked, no more."""

from itertools import pairwise
from math import cos, exp, pi, radians, sin

import numpy as np
import pytest
from numpy.typing import NDArray

from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.phantom.scanner.mr import acquire_mr
from spondyl.phantom.scanner.mr_signal import compute_signals, compute_water_and_fat
from spondyl.phantom.scanner.protocol import Coil, Imperfections, MrProtocol
from spondyl.phantom.scanner.sequence import Contrast, PulseSequence, draw_contrast
from spondyl.phantom.scene.material import Material, Tissue
from spondyl.phantom.scene.scene import Part, PartIds
from spondyl.phantom.scene.tissue_table import get_material, make_nucleus

QUIET = Imperfections(snr=1e6, texture=0.0)
PARTS = tuple(Part(material=get_material(tissue)) for tissue in Tissue)
NUMBER = {tissue: index for index, tissue in enumerate(Tissue)}
T1 = Contrast(sequence=PulseSequence.T1_TSE, tr_ms=600, te_ms=10)


def protocol(
    shape: tuple[int, int, int], contrast: Contrast = T1, imperfections: Imperfections = QUIET, coil: Coil | None = None
) -> MrProtocol:
    directions = np.array([[-1.0, 0, 0], [0, 0, -1.0], [0, -1.0, 0]])
    return MrProtocol(
        contrast=contrast,
        affine=Affine.from_axes(directions, (4.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
        shape=shape,
        slice_mm=4.0,
        imperfections=imperfections,
        coil=coil or Coil(),
    )


def halves(one: Tissue, other: Tissue, shape: tuple[int, int, int] = (2, 32, 32)) -> PartIds:
    """The first tissue in the front half of the columns, the second behind."""
    ids = np.full(shape, NUMBER[one], dtype=np.uint16)
    ids[:, :, shape[2] // 2 :] = NUMBER[other]
    return ids


def scan(ids: PartIds, asked: MrProtocol, seed: int = 0) -> NDArray[np.float32]:
    return acquire_mr(ids, PARTS, asked, np.random.default_rng(seed))


def brightness(tissue: Tissue, contrast: Contrast) -> float:
    return abs(sum(compute_water_and_fat(get_material(tissue), contrast)))


def test_spin_echo_agrees_with_a_calculation_by_hand() -> None:
    cord = Material(tissue=Tissue.CORD, proton_density=0.8, t1_ms=800, t2_ms=80, t2_star_ms=50)
    contrast = Contrast(sequence=PulseSequence.T2_TSE, tr_ms=1600, te_ms=80)
    # 0.8 (1 - e^-2) e^-1 = 0.8 * 0.864665 * 0.367879
    assert compute_water_and_fat(cord, contrast) == pytest.approx((0.254474, 0.0), abs=1e-6)


def test_inversion_recovery_agrees_with_a_calculation_by_hand() -> None:
    cord = Material(tissue=Tissue.CORD, proton_density=1.0, t1_ms=1000, t2_ms=100, t2_star_ms=50)
    contrast = Contrast(sequence=PulseSequence.STIR, tr_ms=3000, te_ms=50, ti_ms=200)
    by_hand = (1 - 2 * exp(-0.2) + exp(-3)) * exp(-0.5)
    assert by_hand < 0
    assert compute_water_and_fat(cord, contrast)[0] == pytest.approx(by_hand)


def test_spoiled_gradient_echo_agrees_with_a_calculation_by_hand() -> None:
    marrow = Material(tissue=Tissue.MARROW, proton_density=1.0, t1_ms=1000, t2_ms=40, t2_star_ms=20, fat_fraction=0.5)
    te_ms = 1000 / (3.4e-6 * 42.577e6 * 1.5) / 2
    contrast = Contrast(sequence=PulseSequence.DIXON_OPPOSED, tr_ms=100, te_ms=te_ms, flip_deg=30)
    left, angle = exp(-0.1), radians(30)
    water, fat = compute_water_and_fat(marrow, contrast)
    assert water == pytest.approx(0.5 * sin(angle) * (1 - left) / (1 - cos(angle) * left) * exp(-te_ms / 20))
    left = exp(-100 / 270)
    assert fat == pytest.approx(cos(pi) * 0.5 * sin(angle) * (1 - left) / (1 - cos(angle) * left) * exp(-te_ms / 20))


def test_tissues_relax_more_slowly_at_three_tesla() -> None:
    low, high = (
        Contrast(sequence=PulseSequence.T1_TSE, tr_ms=600, te_ms=10, field_strength_t=tesla) for tesla in (1.5, 3.0)
    )
    for tissue in (Tissue.MUSCLE, Tissue.CORD, Tissue.FAT):
        assert brightness(tissue, high) < brightness(tissue, low)
    assert brightness(Tissue.CSF, high) == brightness(Tissue.CSF, low)


@pytest.mark.parametrize(
    ("sequence", "order"),
    [
        (PulseSequence.T1_TSE, (Tissue.CSF, Tissue.CORD, Tissue.FAT)),
        (PulseSequence.T1_TSE, (Tissue.CORTICAL_BONE, Tissue.ANNULUS, Tissue.MARROW, Tissue.FAT)),
        (PulseSequence.T2_TSE, (Tissue.CORTICAL_BONE, Tissue.MUSCLE, Tissue.CORD, Tissue.CSF)),
        (PulseSequence.T2_TSE, (Tissue.ANNULUS, Tissue.MARROW, Tissue.FAT, Tissue.CSF)),
        (PulseSequence.T2_TSE, (Tissue.ANNULUS, Tissue.NUCLEUS, Tissue.CSF)),
        (PulseSequence.STIR, (Tissue.FAT, Tissue.MARROW, Tissue.CORD, Tissue.CSF)),
        (PulseSequence.TIRM, (Tissue.FAT, Tissue.MUSCLE, Tissue.NUCLEUS)),
        (PulseSequence.T1_FLAIR, (Tissue.CSF, Tissue.CORD, Tissue.FAT)),
        (PulseSequence.T2_FLAIR, (Tissue.CSF, Tissue.CORD, Tissue.FAT)),
        (PulseSequence.DIXON_WATER, (Tissue.FAT, Tissue.MARROW, Tissue.NUCLEUS)),
        (PulseSequence.DIXON_FAT, (Tissue.CORD, Tissue.MARROW, Tissue.FAT)),
        (PulseSequence.DIXON_OPPOSED, (Tissue.MARROW, Tissue.MUSCLE)),
        (PulseSequence.GRE_T2STAR, (Tissue.MARROW, Tissue.CORD, Tissue.CSF)),
    ],
)
def test_tissues_are_ordered_as_in_textbooks(sequence: PulseSequence, order: tuple[Tissue, ...]) -> None:
    rng = np.random.default_rng(0)
    for tesla in (1.5, 3.0):
        contrast = draw_contrast(rng, sequence, tesla)
        values = [brightness(tissue, contrast) for tissue in order]
        assert all(dark < 0.95 * bright for dark, bright in pairwise(values)), values


def test_water_and_fat_images_hide_the_other() -> None:
    water, fat = (
        Contrast(sequence=sequence, tr_ms=15, te_ms=2, flip_deg=4)
        for sequence in (PulseSequence.DIXON_WATER, PulseSequence.DIXON_FAT)
    )
    assert brightness(Tissue.CORD, fat) == 0
    assert brightness(Tissue.FAT, water) < 0.1 * brightness(Tissue.FAT, fat)


def test_a_degenerated_nucleus_stays_darker_than_a_healthy_one_where_signals_are_random() -> None:
    parts = (*PARTS, *(Part(material=make_nucleus(grade)) for grade in (1, 5)))
    contrast = Contrast(sequence=PulseSequence.RANDOM, tr_ms=1000, te_ms=20)
    differs = []
    for seed in range(30):
        signal, _ = compute_signals(parts, contrast, np.random.default_rng(seed))
        assert abs(signal[NUMBER[Tissue.MARROW]] - signal[NUMBER[Tissue.ANNULUS]]) > 0.1
        assert abs(signal[NUMBER[Tissue.CSF]] - signal[NUMBER[Tissue.CORD]]) > 0.1
        assert signal[NUMBER[Tissue.AIR]] == 0
        differs.append(abs(signal[-1] - signal[-2]))
    assert np.mean(np.array(differs) > 0.02) > 0.7


def test_a_scan_keeps_the_ratio_of_its_tissues() -> None:
    image = scan(halves(Tissue.FAT, Tissue.CORD), protocol((2, 32, 32)))
    expected = brightness(Tissue.FAT, T1) / brightness(Tissue.CORD, T1)
    assert image[:, :, 4:12].mean() / image[:, :, 20:28].mean() == pytest.approx(expected, rel=0.01)


def test_voxels_hold_the_mean_of_what_they_hold() -> None:
    ids = np.full((3, 64, 64), NUMBER[Tissue.AIR], dtype=np.uint16)
    ids[:, ::2] = NUMBER[Tissue.CORD]
    ids[:, :, 32:] = NUMBER[Tissue.CORD]
    image = scan(ids, protocol((1, 32, 32)))
    assert image[0, :, 2:14].mean() / image[0, :, 18:30].mean() == pytest.approx(0.5, abs=0.01)


def test_the_middle_of_a_slice_counts_more_than_its_faces() -> None:
    ids = np.full((6, 16, 16), NUMBER[Tissue.AIR], dtype=np.uint16)
    ids[1] = ids[3] = NUMBER[Tissue.CORD]
    image = scan(ids, protocol((2, 16, 16)))
    face = 0.5 ** ((1 / 3) ** 2 * 4)
    assert image[1].mean() / image[0].mean() == pytest.approx(face, abs=0.01)


@pytest.mark.parametrize("resolution", [(1.0, 1.0), (0.6, 0.8)])
def test_the_noise_is_as_strong_as_asked(resolution: tuple[float, float]) -> None:
    asked = Imperfections(snr=25.0, texture=0.0, resolution=resolution)
    ids = np.full((4, 64, 64), NUMBER[Tissue.CORD], dtype=np.uint16)
    image = scan(ids, protocol((4, 64, 64), imperfections=asked))
    assert image.mean() / image.std() == pytest.approx(25, rel=0.03)


def test_the_noise_of_air_is_that_of_a_magnitude() -> None:
    asked = Imperfections(snr=20.0, texture=0.0)
    image = scan(halves(Tissue.AIR, Tissue.CORD, (4, 64, 64)), protocol((4, 64, 64), imperfections=asked))
    sd = image[:, :, 40:].mean() / 20
    assert image[:, :, :24].mean() == pytest.approx(sd * (pi / 2) ** 0.5, rel=0.05)


def test_fat_is_displaced_along_the_frequency_axis_only() -> None:
    ids = np.full((1, 32, 32), NUMBER[Tissue.AIR], dtype=np.uint16)
    ids[:, 12:20, 12:20] = NUMBER[Tissue.FAT]
    centres = {}
    for shift, along_rows in ((0.0, True), (1.5, True), (1.5, False)):
        faults = Imperfections(snr=1e6, texture=0.0, chemical_shift_px=shift, is_phase_along_rows=along_rows)
        image = scan(ids, protocol((1, 32, 32), imperfections=faults))[0].astype(np.float64)
        image[image < 0.3 * image.max()] = 0
        centres[shift, along_rows] = np.array([(np.indices((32, 32)) * image).sum(axis=(1, 2)) / image.sum()])[0]
    assert centres[1.5, True] - centres[0.0, True] == pytest.approx((0, 1.4), abs=0.2)
    assert centres[1.5, False] - centres[0.0, True] == pytest.approx((1.4, 0), abs=0.2)


def test_nothing_shifted_or_blurred_comes_in_at_the_opposite_edge() -> None:
    faults = Imperfections(snr=1e6, texture=0.0, chemical_shift_px=1.7, resolution=(0.6, 0.6))
    image = scan(halves(Tissue.AIR, Tissue.FAT), protocol((2, 32, 32), imperfections=faults))
    assert image[:, :, :3].max() < 0.05 * image.max()
    assert image[:, :, -1].min() > 0.9 * image[:, :, 24:].mean()


@pytest.mark.parametrize("along_rows", [True, False])
def test_what_lies_beyond_the_phase_axis_comes_in_at_the_opposite_end(along_rows: bool) -> None:
    faults = Imperfections(snr=1e6, texture=0.0, is_phase_along_rows=along_rows, wrapped_px=8)
    asked = protocol((2, 32, 40), imperfections=faults)
    axis = 1 if along_rows else 2
    assert asked.excited.shape[axis] == asked.shape[axis] + 16
    np.testing.assert_allclose(asked.excited.affine.to_world(asked.margin), asked.affine.to_world((0, 0, 0)))
    ids = np.full(asked.excited.shape, NUMBER[Tissue.AIR], dtype=np.uint16)
    np.moveaxis(ids, axis, 0)[:4] = NUMBER[Tissue.MUSCLE]  # 8 to 4 pixels above the field of view
    lines = scan(ids, asked).mean(axis=(0, 3 - axis))
    size = asked.shape[axis]
    assert lines.shape == (size,)
    assert set(np.flatnonzero(lines > 0.5 * lines.max())) == set(range(size - 8, size - 4))


def test_ghosts_of_flow_lie_along_the_phase_axis_at_the_asked_distance() -> None:
    ids = np.full((1, 40, 40), NUMBER[Tissue.AIR], dtype=np.uint16)
    ids[:, 18:22, 18:22] = NUMBER[Tissue.CSF]
    faults = Imperfections(snr=1e6, texture=0.0, ghost=0.2, ghost_shift=0.25)
    image = scan(ids, protocol((1, 40, 40), imperfections=faults))[0]
    assert image[8:12, 18:22].mean() == pytest.approx(0.2 * image[18:22, 18:22].mean(), rel=0.05)
    assert image[18:22, 8:12].max() < 0.01 * image.max()


def test_a_coil_in_the_back_brightens_the_back_and_a_band_darkens_the_front() -> None:
    ids = np.full((1, 64, 64), NUMBER[Tissue.CORD], dtype=np.uint16)
    coil = Coil(surface_share=1.0, depth_mm=30.0)
    image = scan(ids, protocol((1, 64, 64), coil=coil))
    assert image[0, :, 62].mean() / image[0, :, 32].mean() == pytest.approx(exp(1), rel=0.01)
    band = Imperfections(snr=1e6, texture=0.0, saturated_mm=32.0)
    image = scan(ids, protocol((1, 64, 64), imperfections=band))
    assert image[0, :, 4].mean() < 0.2 * image[0, :, 60].mean()


def test_metal_leaves_a_void_that_is_larger_in_gradient_echoes() -> None:
    ids = np.full((1, 64, 64), NUMBER[Tissue.CORD], dtype=np.uint16)
    ids[:, 28:36, 28:36] = NUMBER[Tissue.METAL]
    echo = Contrast(sequence=PulseSequence.GRE_IN_PHASE, tr_ms=200, te_ms=4.6, flip_deg=50)
    spin, gradient = (scan(ids, protocol((1, 64, 64), contrast)) for contrast in (T1, echo))
    dark = [(image < 0.5 * image.max()).sum() for image in (spin, gradient)]
    assert 64 < dark[0] < dark[1] < 1500


def test_texture_varies_the_tissues_that_have_one() -> None:
    faults = Imperfections(snr=1e6, texture=1.0)
    image = scan(halves(Tissue.MARROW, Tissue.CORD, (4, 64, 64)), protocol((4, 64, 64), imperfections=faults))
    spread = [image[:, :, half].std() / image[:, :, half].mean() for half in (slice(4, 28), slice(36, 60))]
    assert spread[0] == pytest.approx(get_material(Tissue.MARROW).texture, rel=0.15)
    assert spread[1] < 0.6 * spread[0]


def test_the_same_seed_gives_the_same_scan_and_leaves_the_painting_as_it_was() -> None:
    faults = Imperfections(ghost=0.1, resolution=(0.8, 0.9), chemical_shift_px=1.0)
    asked = protocol((2, 32, 32), imperfections=faults, coil=Coil(surface_share=0.5, unevenness=0.2))
    ids = halves(Tissue.MARROW, Tissue.CSF)
    before = ids.copy()
    first, again, other = scan(ids, asked, 3), scan(ids, asked, 3), scan(ids, asked, 4)
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first, other)
    assert np.array_equal(ids, before)
    assert np.array_equal(first, np.rint(first))


def test_a_scan_of_nothing_is_dark_rather_than_an_error() -> None:
    assert not scan(np.zeros((1, 16, 16), dtype=np.uint16), protocol((1, 16, 16))).any()


def test_a_painting_that_does_not_fit_the_protocol_is_refused() -> None:
    with pytest.raises(SettingError, match=r"whole multiple of the scan's \(2, 32, 32\), got \(3, 32, 32\)"):
        scan(np.zeros((3, 32, 32), dtype=np.uint16), protocol((2, 32, 32)))
