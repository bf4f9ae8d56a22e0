"""`spondyl bench phantom-speed`: the time that a phantom takes, and the rate of training slices."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from spondyl.benches.table import BenchInput, BenchResult
from spondyl.benches.timing import Run, find_processor_name, limited_cores, run_process
from spondyl.errors import MissingExtraError, requiring
from spondyl.metrics.tables import format_table

__all__ = ["JOBS", "PhantomJob", "run_phantom_speed"]

CORES = 2
_TARGET_GB = 4.0
_REPEATS = 3
_TARGET_SLICES = 30.0
_SLICE, _BATCH, _BATCHES = 224, 16, 12
_PATIENTS = 8
_HEADER = ("what", "Spondyl", "target")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomJob:
    """A phantom to be timed.

    Args:
        name: its name in the table.
        arguments: of `spondyl phantom`.
        target_s: the most that it may take, writing the files included.
    """

    name: str
    arguments: tuple[str, ...]
    target_s: float


JOBS = (
    PhantomJob(name="lumbar MR", arguments=("--fov", "lumbar"), target_s=3.0),
    PhantomJob(name="whole-spine MR", arguments=("--fov", "whole"), target_s=10.0),
    PhantomJob(
        name="whole-spine CT, 1 mm",
        arguments=("--fov", "whole", "--modality", "ct", "--spacing", "1"),
        target_s=30.0,
    ),
)


def run_phantom_speed(_given: BenchInput) -> BenchResult:
    """Time every job, and the drawing of training slices.

    Raises:
        SettingError: a phantom fails.
    """
    with limited_cores(CORES) as cores, TemporaryDirectory() as folder:
        rows = [row for job in JOBS for row in _job_rows(job, Path(folder))]
        drawn = _slices_per_second(Path(folder))
        rows.append((f"training slices of {_SLICE}x{_SLICE} a second", drawn, f"{_TARGET_SLICES:.0f}"))
        machine = f"{cores} cores of {find_processor_name()}"
    about = (
        f"On {machine}. Phantoms: `spondyl phantom` as a process of its own, from its start to the files on disk "
        f"(scan, masks, truth), best of {_REPEATS}. Training slices: drawn, moved and given a contrast by one process "
        f"from {_PATIENTS} phantoms kept in memory."
    )
    return BenchResult(text=f"{about}\n\n{format_table(_HEADER, rows)}")


def _job_rows(job: PhantomJob, folder: Path) -> list[tuple[str, str, str]]:
    runs = [_make(job, folder / f"{job.name} {number}.nii.gz") for number in range(_REPEATS)]
    best = min(runs, key=lambda run: run.seconds)
    size = "x".join(map(str, _shape(folder / f"{job.name} 0.nii.gz")))
    return [
        (f"{job.name}, {size}", f"{best.seconds:.1f} s (CPU {best.cpu_s:.1f})", f"{job.target_s:.0f} s"),
        ("... peak memory", f"{max(run.peak_gb for run in runs):.2f} GB", f"{_TARGET_GB:.0f} GB"),
    ]


def _make(job: PhantomJob, out: Path) -> Run:
    return run_process([sys.executable, "-m", "spondyl.cli", "phantom", str(out), *job.arguments], os.environ)


def _shape(path: Path) -> tuple[int, ...]:
    import nibabel

    return tuple(nibabel.load(path).shape)  # type: ignore[attr-defined]  # an image has one


def _slices_per_second(folder: Path) -> str:
    from spondyl.datasets.phantoms import load_phantoms, make_phantoms

    try:
        with requiring("train", "this"):
            from spondyl.learn.recipes.vfr import SliceStream
    except MissingExtraError as error:
        return f"not measured: {error}"
    make_phantoms(folder, range(_PATIENTS))
    exams = load_phantoms(folder, range(_PATIENTS))
    stream = SliceStream([group for group in exams.values() if group], batch=_BATCH, size=_SLICE, seed=0)
    stream.draw(np.random.default_rng(0))
    start = time.perf_counter()
    for number in range(_BATCHES):
        stream.draw(np.random.default_rng(number))
    return f"{_BATCH * _BATCHES / (time.perf_counter() - start):.0f}"
