"""Protocols show what their field of view is named for, on grids that the rest of the library understands."""

import numpy as np
import pytest

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.geometry.stack import SagittalStack
from spondyl.phantom.column.column import Column, place_column
from spondyl.phantom.column.draw import draw_plan
from spondyl.phantom.scanner.draw import draw_ct_protocol, draw_mr_protocol
from spondyl.phantom.scanner.protocol import Coil, CtProtocol, FieldOfView, Imperfections, MrProtocol
from spondyl.phantom.scanner.sequence import Contrast, PulseSequence, draw_contrast

SHOWN = {
    FieldOfView.LUMBAR: (Level.T12, Level.S1),
    FieldOfView.CERVICAL: (Level.C2, Level.T1),
    FieldOfView.THORACIC: (Level.T1, Level.T12),
    FieldOfView.WHOLE: (Level.C1, Level.S2),
}


@pytest.fixture(scope="module")
def column() -> Column:
    return place_column(draw_plan(np.random.default_rng(5)))


def levels_in(protocol: MrProtocol | CtProtocol, column: Column) -> list[Level]:
    index = protocol.affine.to_index([vertebra.centre_ras_mm for vertebra in column.vertebrae])
    inside = ((index > -0.5) & (index < np.array(protocol.shape) - 0.5)).all(axis=1)
    return [vertebra.level for vertebra, seen in zip(column.vertebrae, inside, strict=True) if seen]


@pytest.mark.parametrize("field", list(FieldOfView))
def test_the_usual_field_of_view_shows_every_level_of_its_region(field: FieldOfView, column: Column) -> None:
    high, low = SHOWN[field]
    expected = [v.level for v in column.vertebrae if high.rank <= v.level.rank <= low.rank]
    rng = np.random.default_rng(0)
    for protocol in (
        draw_mr_protocol(rng, column, field, is_varied=False),
        draw_ct_protocol(rng, column, field, is_varied=False),
    ):
        assert set(expected) <= set(levels_in(protocol, column))


def test_the_usual_lumbar_scan_is_as_asked(column: Column) -> None:
    protocol = draw_mr_protocol(np.random.default_rng(0), column, FieldOfView.LUMBAR, is_varied=False)
    assert protocol.shape == (15, 320, 320)
    assert protocol.affine.spacing_mm == pytest.approx((4.4, 0.9, 0.9))
    assert protocol.slice_mm == pytest.approx(4.0)


@pytest.mark.parametrize("field", list(FieldOfView))
def test_varied_scans_are_sagittal_stacks_that_show_some_vertebra_and_differ(
    field: FieldOfView, column: Column
) -> None:
    rng = np.random.default_rng(1)
    drawn = [draw_mr_protocol(rng, column, field) for _ in range(60)]
    for protocol in drawn:
        SagittalStack(voxels=np.zeros((1, 1, 1), dtype=np.float32), affine=protocol.affine)
        assert levels_in(protocol, column)
        assert 0.5 <= protocol.pixel_mm[0] <= 1.2
        assert 11 <= protocol.shape[0] <= 60
    counts = {len(levels_in(protocol, column)) for protocol in drawn}
    assert min(counts) <= 5
    assert max(counts) >= 7
    assert any(protocol.shape[0] > 40 and protocol.slice_mm < 1.3 for protocol in drawn)


def test_an_axial_slice_of_ct_lies_across_the_patient(column: Column) -> None:
    protocol = draw_ct_protocol(np.random.default_rng(2), column, FieldOfView.WHOLE)
    assert protocol.affine.directions == pytest.approx(np.diag([-1.0, -1.0, 1.0]))


def test_no_drawn_ct_is_larger_than_a_whole_spine_at_a_millimetre(column: Column) -> None:
    rng = np.random.default_rng(3)
    sizes = [np.prod(draw_ct_protocol(rng, column, FieldOfView.WHOLE).shape) for _ in range(40)]
    assert max(sizes) < 64e6


def test_asked_spacing_and_sequence_are_kept(column: Column) -> None:
    rng = np.random.default_rng(4)
    protocol = draw_mr_protocol(rng, column, FieldOfView.CERVICAL, sequence=PulseSequence.STIR, spacing_mm=0.7)
    assert protocol.pixel_mm == pytest.approx((0.7, 0.7))
    assert protocol.sequence is PulseSequence.STIR
    assert draw_ct_protocol(rng, column, FieldOfView.LUMBAR, spacing_mm=2.0).affine.spacing_mm == pytest.approx(
        (2, 2, 2)
    )


def test_the_same_seed_draws_the_same_protocol(column: Column) -> None:
    first, again = (draw_mr_protocol(np.random.default_rng(9), column, FieldOfView.LUMBAR) for _ in range(2))
    assert np.array_equal(first.affine.matrix, again.affine.matrix)
    assert (first.contrast, first.shape, first.imperfections) == (again.contrast, again.shape, again.imperfections)


@pytest.mark.parametrize("spacing_mm", [-1.0, 0.2, 6.5, float("nan")])
def test_a_spacing_outside_its_range_is_refused(spacing_mm: float, column: Column) -> None:
    with pytest.raises(SettingError, match=rf"spacing must be between 0.3 and 5 mm, got {spacing_mm}"):
        draw_mr_protocol(np.random.default_rng(0), column, FieldOfView.LUMBAR, spacing_mm=spacing_mm)
    with pytest.raises(SettingError, match="spacing must be between"):
        draw_ct_protocol(np.random.default_rng(0), column, FieldOfView.LUMBAR, spacing_mm=spacing_mm)


def test_a_ct_that_would_not_fit_into_the_memory_is_refused_with_the_finest_spacing_that_does(column: Column) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(SettingError, match=r"spacing must be at least 0\.[5-9]\d? mm .* got 0.3") as refusal:
        draw_ct_protocol(rng, column, FieldOfView.WHOLE, spacing_mm=0.3, is_varied=False)
    finest_mm = float(str(refusal.value).split()[5])
    finest = draw_ct_protocol(rng, column, FieldOfView.WHOLE, spacing_mm=finest_mm, is_varied=False)
    assert 1.8e8 < np.prod(finest.shape) < 2.1e8


@pytest.mark.parametrize("sequence", list(PulseSequence))
def test_drawn_times_are_possible_and_gradient_echoes_meet_the_phase_of_their_name(sequence: PulseSequence) -> None:
    rng = np.random.default_rng(0)
    for tesla in (1.5, 3.0):
        contrast = draw_contrast(rng, sequence, tesla)
        turns = 3.4e-6 * 42.577e6 * tesla * contrast.te_ms / 1000
        if sequence in (PulseSequence.DIXON_IN, PulseSequence.GRE_IN_PHASE, PulseSequence.GRE_T2STAR):
            assert turns == pytest.approx(round(turns))
        if sequence is PulseSequence.DIXON_OPPOSED:
            assert turns == pytest.approx(0.5)


def test_only_asking_draws_a_random_contrast() -> None:
    rng = np.random.default_rng(0)
    drawn = {draw_contrast(rng).sequence for _ in range(400)}
    assert PulseSequence.RANDOM not in drawn
    assert {PulseSequence.T1_TSE, PulseSequence.T2_TSE, PulseSequence.STIR} <= drawn


def test_numbers_outside_their_range_are_refused() -> None:
    with pytest.raises(SettingError, match=r"field_strength_t must be 1\.5 or 3 tesla, got 7"):
        draw_contrast(np.random.default_rng(0), PulseSequence.T1_TSE, 7.0)
    with pytest.raises(SettingError, match="te_ms must be above 0 and below tr_ms, got 200 and 100"):
        Contrast(sequence=PulseSequence.T1_TSE, tr_ms=100, te_ms=200)
    with pytest.raises(SettingError, match="ti_ms"):
        Contrast(sequence=PulseSequence.STIR, tr_ms=100, te_ms=20, ti_ms=150)
    with pytest.raises(SettingError, match="flip_deg"):
        Contrast(sequence=PulseSequence.T1_TSE, tr_ms=100, te_ms=20, flip_deg=0)
    with pytest.raises(SettingError, match="snr must be between 1 and 1e\\+06, got 0"):
        Imperfections(snr=0)
    with pytest.raises(SettingError, match="surface_share must be between 0 and 1, got 2"):
        Coil(surface_share=2)


def test_overlapping_slices_are_refused() -> None:
    with pytest.raises(SettingError, match=r"slice_mm must be between 0\.3 and 3"):
        MrProtocol(
            contrast=Contrast(sequence=PulseSequence.T1_TSE, tr_ms=600, te_ms=10),
            affine=Affine(np.diag([3.0, 1.0, 1.0, 1.0])),
            shape=(3, 8, 8),
            slice_mm=4.0,
        )
