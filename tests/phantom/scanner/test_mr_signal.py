"""Signals of water and fat follow the signal equations in their limits, their order and by hand."""

from dataclasses import replace
from math import acos, cos, degrees, exp, log, pi, radians, sin

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondyl.phantom.scanner.mr_signal import compute_signals, compute_water_and_fat
from spondyl.phantom.scanner.sequence import FAT_T1_MS, WATER_FAT_CYCLE_MS_T, Contrast, PulseSequence, draw_contrast
from spondyl.phantom.scene.material import Material, Tissue
from spondyl.phantom.scene.scene import Part
from spondyl.phantom.scene.tissue_table import get_material, make_marrow

WATER = Material(tissue=Tissue.MUSCLE, proton_density=1.0, t1_ms=900.0, t2_ms=60.0, t2_star_ms=30.0)
FAT = replace(WATER, tissue=Tissue.FAT, fat_fraction=1.0)
PARTS = tuple(Part(material=get_material(tissue)) for tissue in Tissue)


def spin_echo(tr_ms: float, te_ms: float, **settings: float) -> Contrast:
    return Contrast(sequence=PulseSequence.T1_TSE, tr_ms=tr_ms, te_ms=te_ms, **settings)


def gradient_echo(
    te_ms: float, *, tr_ms: float = 200.0, flip_deg: float = 30.0, tesla: float = 1.5, sequence: str = "GRE_T2STAR"
) -> Contrast:
    return Contrast(
        sequence=PulseSequence[sequence], tr_ms=tr_ms, te_ms=te_ms, flip_deg=flip_deg, field_strength_t=tesla
    )


# Spin echoes


def test_a_spin_echo_of_long_tr_and_short_te_shows_proton_density_alone() -> None:
    for density in (0.2, 0.7, 1.1):
        water, fat = compute_water_and_fat(replace(WATER, proton_density=density), spin_echo(1e6, 1e-6))
        assert (water, fat) == pytest.approx((density, 0.0), abs=1e-6)


@given(st.floats(1, 500), st.floats(1, 500))
def test_the_ratio_of_two_echoes_gives_t2_back(first_ms: float, gap_ms: float) -> None:
    early, late = (compute_water_and_fat(WATER, spin_echo(5000, te))[0] for te in (first_ms, first_ms + gap_ms))
    assert gap_ms / log(early / late) == pytest.approx(WATER.t2_ms)


@given(st.floats(20, 6000), st.floats(1, 3000))
def test_a_longer_repetition_time_recovers_more_and_a_longer_echo_time_loses_more(tr_ms: float, more: float) -> None:
    base = compute_water_and_fat(WATER, spin_echo(tr_ms, 10))[0]
    assert compute_water_and_fat(WATER, spin_echo(tr_ms + more, 10))[0] >= base
    assert (
        compute_water_and_fat(WATER, spin_echo(tr_ms + more, 10 + more))[0]
        <= (compute_water_and_fat(WATER, spin_echo(tr_ms + more, 10))[0])
    )


@given(st.floats(0, 1))
def test_water_and_fat_share_the_signal_by_the_fat_fraction(fraction: float) -> None:
    contrast = spin_echo(600, 10)
    pure_water, pure_fat = compute_water_and_fat(WATER, contrast)[0], compute_water_and_fat(FAT, contrast)[1]
    mixed = compute_water_and_fat(replace(WATER, fat_fraction=fraction), contrast)
    assert mixed == pytest.approx(((1 - fraction) * pure_water, fraction * pure_fat))


@pytest.mark.parametrize("tesla", [1.5, 3.0])
def test_fat_has_the_published_t1_at_each_field_strength(tesla: float) -> None:
    contrast = spin_echo(600, 1e-9, field_strength_t=tesla)
    assert compute_water_and_fat(FAT, contrast)[1] == pytest.approx(1 - exp(-600 / FAT_T1_MS[tesla]))


@pytest.mark.parametrize("tesla", [1.5, 3.0])
def test_stir_nulls_fat_and_an_inversion_turns_what_recovers_more_slowly_negative(tesla: float) -> None:
    t1_ms = FAT_T1_MS[tesla]
    ti_ms = t1_ms * log(2 / (1 + exp(-4000 / t1_ms)))
    contrast = Contrast(sequence=PulseSequence.STIR, tr_ms=4000, te_ms=40, ti_ms=ti_ms, field_strength_t=tesla)
    assert compute_water_and_fat(FAT, contrast)[1] == pytest.approx(0, abs=1e-12)
    assert compute_water_and_fat(WATER, contrast)[0] < 0


def test_no_inversion_and_an_infinitely_long_one_before_the_pulse_agree() -> None:
    inverted = Contrast(sequence=PulseSequence.STIR, tr_ms=1e6, te_ms=40, ti_ms=9e5)
    plain = Contrast(sequence=PulseSequence.STIR, tr_ms=1e6, te_ms=40)
    assert compute_water_and_fat(WATER, inverted) == pytest.approx(compute_water_and_fat(WATER, plain))


# Gradient echoes


def test_the_ernst_angle_gives_the_largest_signal_and_its_size_by_hand() -> None:
    left = exp(-200 / WATER.t1_ms)
    ernst_deg = degrees(acos(left))
    flips = np.linspace(1, 90, 891)
    signals = [compute_water_and_fat(WATER, gradient_echo(5, flip_deg=flip))[0] for flip in flips]
    assert flips[np.argmax(signals)] == pytest.approx(ernst_deg, abs=0.1)
    size = sin(radians(ernst_deg)) * (1 - left) / (1 - cos(radians(ernst_deg)) * left) * exp(-5 / 30)
    assert max(signals) == pytest.approx(size, rel=1e-5)


def test_a_right_angle_makes_a_gradient_echo_a_saturation_recovery() -> None:
    signal = compute_water_and_fat(WATER, gradient_echo(4, flip_deg=90))[0]
    assert signal == pytest.approx((1 - exp(-200 / 900)) * exp(-4 / 30))


@pytest.mark.parametrize("tesla", [1.5, 3.0])
def test_water_and_fat_agree_in_phase_and_oppose_half_a_cycle_later(tesla: float) -> None:
    cycle_ms = WATER_FAT_CYCLE_MS_T / tesla
    signs = []
    for turns in (0.5, 1.0, 1.5, 2.0):
        water, fat = compute_water_and_fat(make_marrow(0.5), gradient_echo(turns * cycle_ms, tesla=tesla))
        signs.append(np.sign(water * fat))
    assert signs == [-1, 1, -1, 1]
    quarter = compute_water_and_fat(make_marrow(0.5), gradient_echo(0.25 * cycle_ms, tesla=tesla))[1]
    assert quarter == pytest.approx(0, abs=1e-12)


def test_only_the_inhomogeneous_part_of_t2_star_grows_with_the_field() -> None:
    def decay_per_ms(tesla: float, material: Material) -> float:
        early, late = (compute_water_and_fat(material, gradient_echo(te, tesla=tesla))[0] for te in (5, 25))
        return log(early / late) / 20

    assert decay_per_ms(1.5, WATER) == pytest.approx(1 / 30)
    assert decay_per_ms(3.0, WATER) == pytest.approx(1 / 60 + 2 * (1 / 30 - 1 / 60))
    homogeneous = replace(WATER, t2_star_ms=WATER.t2_ms)
    assert decay_per_ms(3.0, homogeneous) == pytest.approx(decay_per_ms(1.5, homogeneous)) == pytest.approx(1 / 60)


@pytest.mark.parametrize("tesla", [1.5, 3.0])
def test_the_in_phase_image_is_the_sum_of_the_water_and_the_fat_image(tesla: float) -> None:
    settings = {"tr_ms": 15.0, "flip_deg": 5.0, "tesla": tesla}
    te_ms = WATER_FAT_CYCLE_MS_T / tesla
    by_name = {
        name: compute_water_and_fat(make_marrow(0.4), gradient_echo(te_ms, sequence=name, **settings))
        for name in ("DIXON_WATER", "DIXON_FAT", "DIXON_IN")
    }
    assert by_name["DIXON_WATER"][1] == by_name["DIXON_FAT"][0] == 0
    assert sum(by_name["DIXON_IN"]) == pytest.approx(by_name["DIXON_WATER"][0] + by_name["DIXON_FAT"][1])


# Flow


def test_moving_fluid_loses_signal_in_spin_echoes_alone() -> None:
    for tissue, kept in ((Tissue.BLOOD, 0.06), (Tissue.VEIN, 0.3)):
        moving, still = get_material(tissue), replace(get_material(tissue), is_flowing=False)
        spin, gradient = spin_echo(600, 10), gradient_echo(10)
        lost = compute_water_and_fat(moving, spin)[0] / compute_water_and_fat(still, spin)[0]
        assert lost == pytest.approx(kept)
        assert compute_water_and_fat(moving, gradient) == compute_water_and_fat(still, gradient)


def test_csf_that_is_renewed_is_brighter_unless_an_inversion_reaches_it() -> None:
    moving, still = get_material(Tissue.CSF), replace(get_material(Tissue.CSF), is_flowing=False)
    plain = Contrast(sequence=PulseSequence.T2_TSE, tr_ms=3000, te_ms=100)
    ratio = compute_water_and_fat(moving, plain)[0] / compute_water_and_fat(still, plain)[0]
    assert ratio == pytest.approx(0.84 * (1 - exp(-3000 / 2600)) / (1 - exp(-3000 / 4000)))
    inverted = Contrast(sequence=PulseSequence.T2_FLAIR, tr_ms=9000, te_ms=100, ti_ms=2300)
    ratio = compute_water_and_fat(moving, inverted)[0] / compute_water_and_fat(still, inverted)[0]
    assert ratio == pytest.approx(0.84)


# Tables of parts


@pytest.mark.parametrize("sequence", [sequence for sequence in PulseSequence if sequence is not PulseSequence.RANDOM])
def test_signals_of_parts_are_those_of_their_materials_and_use_no_chance(sequence: PulseSequence) -> None:
    contrast = draw_contrast(np.random.default_rng(0), sequence)
    rng = np.random.default_rng(1)
    before = rng.bit_generator.state
    water, fat = compute_signals(PARTS, contrast, rng)
    assert rng.bit_generator.state == before
    for part, both in zip(PARTS, zip(water, fat, strict=True), strict=True):
        assert both == pytest.approx(compute_water_and_fat(part.material, contrast), rel=1e-5, abs=1e-7)
    assert water[0] == fat[0] == 0  # air


def test_random_signals_are_the_same_for_the_same_seed_and_within_their_range() -> None:
    contrast = Contrast(sequence=PulseSequence.RANDOM, tr_ms=1000, te_ms=20)
    drawn = [compute_signals(PARTS, contrast, np.random.default_rng(seed)) for seed in (5, 5, 6)]
    np.testing.assert_array_equal(drawn[0][0], drawn[1][0])
    assert not np.array_equal(drawn[0][0], drawn[2][0])
    for water, fat in drawn:
        assert not fat.any()
        assert 0 <= water.min() <= water.max() <= 1.5


def test_signals_turn_with_the_phase_of_fat_by_hand() -> None:
    te_ms = 2.0
    turns = 3.4e-6 * 42.577e6 * 1.5 * te_ms / 1000
    _, fat = compute_water_and_fat(FAT, gradient_echo(te_ms, flip_deg=90))
    size = (1 - exp(-200 / 270)) * exp(-te_ms / 30)
    assert fat == pytest.approx(size * cos(2 * pi * turns))
