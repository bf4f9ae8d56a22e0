"""Phantoms as training exams: patients drawn by seed, each scanned in several contrasts, kept as plain arrays.

A patient is painted once for all its contrasts. Files hold 8-bit voxels, so that hundreds of patients fit in memory.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spondyl.anatomy.landmarks import is_detected
from spondyl.anatomy.level import Level
from spondyl.datasets.source import BodyOutlines, Exam, Fold, Source, SplitPart
from spondyl.errors import SettingError
from spondyl.files import clear_dead, new_file
from spondyl.geometry.affine import Affine, Float
from spondyl.geometry.stack import SagittalStack
from spondyl.phantom.column.column import Column, PlacedVertebra
from spondyl.phantom.options import IDENTIFIABLE_VARIANTS, PhantomOptions, Variant
from spondyl.phantom.patient import draw_protocol, make_paint_grid, make_patient
from spondyl.phantom.scanner.mr import acquire_mr
from spondyl.phantom.scanner.protocol import FieldOfView, MrProtocol
from spondyl.phantom.scanner.sequence import PulseSequence, draw_contrast
from spondyl.phantom.scene.scene import voxelise
from spondyl.phantom.spine.bodies import outline_body

__all__ = ["PHANTOM_SEEDS", "load_phantoms", "make_phantoms", "open_phantoms", "outline_bodies"]

PHANTOM_SEEDS = {
    SplitPart.TRAINING: range(240),
    SplitPart.VALIDATION: range(240, 248),
    SplitPart.CALIBRATION: range(248, 364),
}
"""Seeds of the patients of each part; benches draw others."""

_MIN_UNCERTAIN_SHARE = 0.12
"""A slice that shows less of a body than half of it but more than this share is excluded from the loss."""

_FIELDS = (FieldOfView.CERVICAL, FieldOfView.LUMBAR, FieldOfView.WHOLE, FieldOfView.THORACIC)
"""Fields of view, each in turn by seed."""

Contrasts = tuple[PulseSequence | None, ...]
"""The pulse sequences with which each patient is scanned; None is one that is drawn as scanners are set."""

_TRAINING_CONTRASTS: Contrasts = (None, PulseSequence.RANDOM)
"""One contrast as scanners make it, and one with a random signal for every tissue."""


def open_phantoms(folder: Path, part: SplitPart | Fold) -> Source:
    """Load the phantoms of one part, in a group for each field of view; those that a folder does not hold are made."""
    seeds = PHANTOM_SEEDS[part.split_part if isinstance(part, Fold) else part]
    make_phantoms(folder, seeds)
    groups = tuple(tuple(exams) for exams in load_phantoms(folder, seeds).values() if exams)
    scans = [exam for group in groups for exam in group]
    return Source(
        name=f"{len(seeds)} phantoms",
        groups=groups,
        sentences=(
            f"Spondyl's own phantoms (spondyl.phantom): {len({exam.patient for exam in scans})} patients drawn from "
            f"published morphometry, seeds {seeds[0]} to {seeds[-1]}, {len(scans)} scans; licence: Apache-2.0",
        ),
    )


def make_phantoms(folder: Path, seeds: Sequence[int], *, contrasts: Contrasts = _TRAINING_CONTRASTS) -> None:
    """Make the phantoms of some seeds that a folder does not hold yet, on all processors.

    Args:
        folder: of the files; made if it is missing.
        seeds: one patient each; its field of view, and whether it has a numbering variant, follow from the seed.
        contrasts: of each patient; a folder holds those of one tuple of contrasts only.
    """
    missing = [seed for seed in seeds if not _path(folder, seed).exists()]
    if not missing:
        return
    # threads of a parent process do not survive a fork
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), _leave_interrupts_to_parent) as pool:
        try:
            for _ in pool.map(partial(_make, folder, contrasts), missing):
                pass
        except BaseException:
            for process in active_children():  # or leaving the block waits for several patients to be made
                process.terminate()
                process.join()
            clear_dead(folder)
            raise


def _leave_interrupts_to_parent() -> None:
    """Ctrl-C reaches every process of a terminal; the parent then ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def load_phantoms(folder: Path, seeds: Sequence[int]) -> dict[FieldOfView, list[Exam]]:
    """Read phantoms, by field of view; each contrast is an exam of its own."""
    exams: dict[FieldOfView, list[Exam]] = {field: [] for field in _FIELDS}
    for seed in seeds:
        exams[_field(seed)] += _load(_path(folder, seed))
    return exams


def outline_bodies(column: Column, affine: Affine, shape: tuple[int, int, int]) -> BodyOutlines:
    """Outline the bodies that detectors are trained to find in a sagittal stack.

    Bodies that the image cuts are uncertain, and so are slices that show little of a body or lie just beside it.
    """
    rows: list[tuple[Float, int, Level, bool]] = []
    for vertebra in column.vertebrae:
        if is_detected(vertebra.level):
            rows += _rows_of(vertebra, affine, shape)
    return BodyOutlines(
        corners=np.array([row[0] for row in rows]).reshape(-1, 4, 2),
        slices=np.array([row[1] for row in rows], dtype=np.intp),
        levels=np.array([row[2] for row in rows], dtype=object),
        certain=np.array([row[3] for row in rows], dtype=np.bool_),
    )


def _rows_of(
    vertebra: PlacedVertebra, affine: Affine, shape: tuple[int, int, int]
) -> Iterator[tuple[Float, int, Level, bool]]:
    """Yield outline, slice, level and whether it is certain for each slice that may show a body."""
    shown = outline_body(vertebra, affine, shape, min_share=_MIN_UNCERTAIN_SHARE)
    plain = outline_body(vertebra, affine, shape)
    if shown is None or plain is None:
        return
    low, high = np.zeros(2) - 0.5, np.array(shape[1:]) - 0.5
    seen = dict(zip(shown.slices, shown.outlines, strict=True))
    beside = {shown.slices[0] - 1: shown.outlines[0], shown.slices[-1] + 1: shown.outlines[-1]}
    for k, outline in (beside | seen).items():
        if 0 <= k < shape[0] and ((outline.max(0) > low) & (outline.min(0) < high)).all():
            is_whole = bool(((outline > low) & (outline < high)).all())
            yield outline, k, vertebra.level, is_whole and k in plain.slices


def _field(seed: int) -> FieldOfView:
    return _FIELDS[seed % len(_FIELDS)]


def _variant(seed: int) -> Variant | None:
    """The numbering that a patient must have; None for one drawn by published frequency."""
    variants, (pair, is_second) = IDENTIFIABLE_VARIANTS.get(_field(seed)), divmod(seed // len(_FIELDS), 2)
    return variants[pair % len(variants)] if variants and is_second else None


def _path(folder: Path, seed: int) -> Path:
    return folder / f"phantom_{seed:06}.npz"


def _make(folder: Path, contrasts: Contrasts, seed: int) -> None:
    """Draw, paint, scan and keep one patient."""
    options = PhantomOptions(seed=seed, field=_field(seed), variant=_variant(seed), is_varied=True)
    patient = make_patient(options)
    first = draw_protocol(patient, options)
    if not isinstance(first, MrProtocol):
        raise SettingError("phantoms to learn from are MR scans, got another modality")
    ids = voxelise(patient.scene, make_paint_grid(first))
    rng = np.random.default_rng(seed)
    scans = []
    for pulse in contrasts:
        protocol = first if pulse is None else replace(first, contrast=draw_contrast(rng, pulse))
        scans.append(_to_bytes(acquire_mr(ids, patient.scene.parts, protocol, rng)))
    outlines = outline_bodies(patient.column, first.affine, first.shape)
    with new_file(_path(folder, seed), "the phantom") as path:
        np.savez_compressed(
            path,
            scans=np.stack(scans),
            affine=first.affine.matrix,
            corners=outlines.corners,
            slices=outlines.slices,
            levels=np.array([level.value for level in outlines.levels], dtype="U3"),
            certain=outlines.certain,
        )


def _to_bytes(voxels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Eight bits, of which the brightest few in a thousand voxels share the last."""
    top = max(1.0, float(np.quantile(voxels[::2, ::3, ::3], 0.998)))
    return np.asarray(255 * np.clip(voxels / top, 0, 1), dtype=np.uint8)


def _load(path: Path) -> Iterator[Exam]:
    with np.load(path, allow_pickle=False) as kept:
        outlines = BodyOutlines(
            corners=kept["corners"],
            slices=kept["slices"],
            levels=np.array([Level(name) for name in kept["levels"]], dtype=object),
            certain=kept["certain"],
        )
        affine = Affine(kept["affine"])
        if not outlines.certain.any():  # a scan beside every body has nothing to train on
            return
        for number, scan in enumerate(kept["scans"]):
            stack = SagittalStack(voxels=scan.astype(np.float32), affine=affine)
            yield Exam(name=f"{path.stem}_{number}", patient=path.stem, stack=stack, outlines=outlines)
