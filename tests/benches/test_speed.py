"""The speed benchmark's scans are of the sizes it names, and its processes are measured as they are."""

from dataclasses import replace

import numpy as np
import pytest

from loaded_plans import plan_of_functions
from phantoms import lumbar
from spondyl.benches import speed
from spondyl.benches.speed import SCANS, ScanSize, make_scan, run_speed
from spondyl.benches.table import BenchInput
from spondyl.benches.timing import Run
from spondyl.errors import WeightsError
from spondyl.findings import WeightsUsed
from spondyl.geometry.resample import to_sagittal
from spondyl.plan import Plan

SMALL = ScanSize(name="small", rows=64, columns=48, pixel_mm=4.0, published_s=31, target_s=1.2)


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A phantom takes seconds to draw."""
    monkeypatch.setattr(speed, "make_phantom", lambda options: lumbar())


@pytest.mark.parametrize("size", [SMALL, replace(SMALL, rows=30, columns=90)])
def test_a_synthetic_scan_has_the_size_and_spacing_it_is_named_for(size: ScanSize) -> None:
    volume = make_scan(size)
    assert volume.voxels.shape == (15, size.rows, size.columns)
    assert volume.affine.spacing_mm == pytest.approx([4.4, size.pixel_mm, size.pixel_mm])
    stack, notes = to_sagittal(volume.voxels, volume.affine)
    assert not notes
    assert np.array_equal(stack.voxels, volume.voxels)


def test_a_tall_scan_repeats_the_phantom_from_head_to_foot() -> None:
    volume = lumbar().volume
    once = round(volume.affine.spacing_mm[1] * volume.voxels.shape[1] / SMALL.pixel_mm)
    voxels = make_scan(replace(SMALL, rows=2 * once)).voxels
    np.testing.assert_array_equal(voxels[:, :once], voxels[:, once:])
    assert voxels[:, :once].std() > 0.1 * voxels.max()


def test_the_sizes_are_those_of_the_targets() -> None:
    assert [(size.rows, size.columns, size.pixel_mm) for size in SCANS] == [(512, 512, 0.6), (1000, 450, 0.8)]


def test_missing_weights_are_said_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "run_process", lambda command, environment: pytest.fail("was run"))
    with pytest.raises(WeightsError, match="no set of weights named 'absent'"):
        run_speed(BenchInput(plan=Plan(weights="absent")))


def test_the_table_names_every_target_beside_the_published_number(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = (WeightsUsed(name="spondyl-vfr", sha256="ab" * 32),)
    nothing = plan_of_functions(lambda stack: (), lambda bodies: pytest.fail("nothing was found"), weights)
    run = Run(seconds=2.5, cpu_s=3.25, peak_gb=0.9)
    monkeypatch.setattr(speed, "SCANS", (SMALL,))
    monkeypatch.setattr(speed, "load", lambda plan: nothing)
    monkeypatch.setattr(speed, "_cold_run", lambda scan, folder, plan: run)
    monkeypatch.setattr(speed, "_rate_sentence", lambda card, plan: f"{card.name}'s share of the rate")
    result = run_speed(BenchInput(plan=Plan()))
    text, used = result.text, result.weights
    assert used == weights
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")][2:]
    assert rows[0][0] == "detection and labelling, warm, small, 0 vertebrae"
    assert rows[0][2:] == ["1.2 s", "31 s"]
    assert ["`spondyl analyze`, cold, small", "2.5 s (CPU 3.2)", "6 s", "-"] in rows
    assert ["... peak memory, small", "0.90 GB", "1.5 GB", "3.6 GB"] in rows
    assert text.endswith("spondyl-vfr's share of the rate")
