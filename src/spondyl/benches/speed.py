"""`spondyl bench speed`: how long a scan takes and how much memory, on two CPU cores, beside the published program."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from spondyl.benches.table import BenchInput, BenchResult
from spondyl.benches.timing import Run, find_processor_name, limited_cores, run_process
from spondyl.errors import MissingExtraError, requiring
from spondyl.geometry.affine import Affine
from spondyl.geometry.resample import to_sagittal
from spondyl.geometry.resize import resize_slices
from spondyl.imaging.volume import Modality, Volume
from spondyl.imaging.write import to_nifti_gz
from spondyl.loaded_plan import LoadedPlan, load
from spondyl.metrics.tables import format_table
from spondyl.nets.cards import Card, find_card
from spondyl.nets.weight_sets import find_set
from spondyl.phantom.options import PhantomOptions
from spondyl.phantom.patient import make_phantom
from spondyl.pipeline import analyze
from spondyl.plan import Plan

__all__ = ["SCANS", "ScanSize", "make_scan", "run_speed"]

REPEATS = 5
CORES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSize:
    """A scan to be timed, with the times to compare with.

    Args:
        name: its name in the table.
        rows: from head to foot.
        columns: from front to back.
        pixel_mm: spacing of both.
        published_s: time of SpineNetV2's published program for detection and labelling.
        target_s: the most that Spondyl may take.
    """

    name: str
    rows: int
    columns: int
    pixel_mm: float
    published_s: float
    target_s: float


SCANS = (
    ScanSize(name="512x512x15 at 0.6 mm", rows=512, columns=512, pixel_mm=0.6, published_s=31, target_s=1.2),
    ScanSize(name="1000x450x15 at 0.8 mm", rows=1000, columns=450, pixel_mm=0.8, published_s=144, target_s=3.0),
)
_PUBLISHED_GB, _TARGET_GB = 3.6, 1.5
_TARGET_COLD_S = 6.0
_HEADER = ("what", "Spondyl", "target", "published program")
_ABOUT = (
    "Synthetic sagittal scans: a lumbar phantom, resampled, repeated from head to foot to fill the scan. Warm: in "
    f"one process, after a first run, best of {REPEATS} (median in brackets). Cold: a process of its own that reads "
    "the scan, loads the weights, analyses and writes the report; compiled networks are cached, except where it says "
    "so. The published program was measured on the same kind of machine."
)


def run_speed(given: BenchInput) -> BenchResult:
    """Time scans of every size, warm in this process and cold in processes of their own.

    Raises:
        WeightsError: the weights are missing or damaged.
        SettingError: a process of its own fails.
    """
    plan = given.plan
    weights = find_set(plan.weights)  # before minutes pass
    with limited_cores(CORES) as cores:
        # before this process grows, since Linux counts a parent's memory at the fork as the child's
        cold = [_cold_runs(size, plan) for size in SCANS]
        loaded = load(plan)
        warm = [_warm_seconds(size, loaded) for size in SCANS]
        rate = _rate_sentence(find_card(weights.card_name("vfr")), plan)
    rows = [_warm_row(size, *times) for size, times in zip(SCANS, warm, strict=True)]
    for size, (first, again) in zip(SCANS, cold, strict=True):
        rows.append((f"`spondyl analyze`, cold, {size.name}", _cold_cell(again), f"{_TARGET_COLD_S:.0f} s", "-"))
        rows.append((f"... the first time ever, {size.name}", _cold_cell(first), "-", "-"))
        peak = max(first.peak_gb, again.peak_gb)
        rows.append((f"... peak memory, {size.name}", f"{peak:.2f} GB", f"{_TARGET_GB} GB", f"{_PUBLISHED_GB} GB"))
    machine = f"{cores} cores of {find_processor_name()}."
    text = "\n\n".join([_ABOUT, machine, format_table(_HEADER, rows), rate])
    return BenchResult(text=text, weights=loaded.weights)


def make_scan(size: ScanSize, seed: int = 0) -> Volume:
    """Make fifteen sagittal slices of the wanted size, 4.4 mm apart, filled with lumbar spines one below the other."""
    phantom = make_phantom(PhantomOptions.from_text(seed=seed, sequence="t2", variant="regular")).volume
    stack, _ = to_sagittal(phantom.voxels, phantom.affine)
    slices, _ = resize_slices(stack.voxels, stack.pixel_mm, size.pixel_mm)
    copies = -(-size.rows // slices.shape[1])
    column = np.tile(slices, (1, copies, 1))[:, : size.rows, : size.columns]
    margin = size.columns - column.shape[2]
    voxels = np.pad(column, ((0, 0), (0, 0), (margin // 2, margin - margin // 2)), mode="edge")
    directions = np.array([[-1.0, 0, 0], [0, 0, -1], [0, -1, 0]])
    spacing = (stack.slice_mm, size.pixel_mm, size.pixel_mm)
    return Volume(
        voxels=voxels,
        affine=Affine.from_axes(directions, spacing, (0, 0, 0)),
        modality=Modality.MR,
        source={"format": "phantom", "seed": seed},
    )


def _warm_seconds(size: ScanSize, loaded: LoadedPlan) -> tuple[float, float, int]:
    """Best and median time of detection and labelling, and how many vertebrae were found."""
    volume = make_scan(size)
    findings = analyze(volume, loaded=loaded).findings
    times = [_seconds(lambda: analyze(volume, loaded=loaded)) for _ in range(REPEATS)]
    return min(times), median(times), len(findings.vertebrae)


def _warm_row(size: ScanSize, best: float, middle: float, found: int) -> tuple[str, ...]:
    name = f"detection and labelling, warm, {size.name}, {found} vertebrae"
    return name, f"{best:.2f} s ({middle:.2f})", f"{size.target_s} s", f"{size.published_s:.0f} s"


def _cold_cell(run: Run) -> str:
    return f"{run.seconds:.1f} s (CPU {run.cpu_s:.1f})"


def _cold_runs(size: ScanSize, plan: Plan) -> tuple[Run, Run]:
    """Time `spondyl analyze` as processes of their own, without and with compiled networks in the cache."""
    volume = make_scan(size)
    with TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.nii.gz"
        scan.write_bytes(to_nifti_gz(np.rint(volume.voxels).astype(np.int16), volume.affine))
        runs = [_cold_run(scan, Path(folder), plan) for _ in range(3)]
    return runs[0], min(runs[1:], key=lambda run: run.seconds)


def _cold_run(scan: Path, folder: Path, plan: Plan) -> Run:
    command = [sys.executable, "-m", "spondyl.cli", "analyze", str(scan), "-o", str(folder / "report")]
    command += ["--weights", plan.weights, "--engine", plan.engine, "--device", plan.device]
    # an empty cache, whatever the user's own holds; SPONDYL_HOME, where set, holds weights too and stays
    return run_process(command, os.environ | {"XDG_CACHE_HOME": str(folder / "cache")})


def _rate_sentence(card: Card, plan: Plan) -> str:
    """The share of a large matrix product's rate that the detector, which has this card, reaches."""
    from spondyl.engine.build import make_engine

    try:
        with requiring("torch", "it"):
            from spondyl.benches.rate import measure_rate
    except MissingExtraError as error:
        return f"The rate of the detection network was not measured: {error}."
    rate = measure_rate(make_engine(card.name, plan.engine, plan.device), card.network, card.preset)
    return (
        f"The detection network ({rate.engine}, {rate.precision}) does {rate.network_gflops:.0f} GFLOP/s on a batch of "
        f"{'x'.join(map(str, rate.shape))}, {100 * rate.share:.0f} % of the {rate.matrix_gflops:.0f} GFLOP/s of a "
        "large matrix product in PyTorch in the same precision beside it."
    )


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
