"""Reading of DICOM files as one volume: choose a stack, put its slices on an even grid, and report what was ignored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spondyl.errors import InputError, SettingError
from spondyl.geometry.affine import Affine
from spondyl.geometry.grid import Grid
from spondyl.imaging.archive import Member
from spondyl.imaging.dicom.frames import Frame, frames_of
from spondyl.imaging.dicom.pixels import read_pixels
from spondyl.imaging.dicom.series import SAME_PLACE_MM, ImageStack, choose_stack, depths_mm, stacks_of
from spondyl.imaging.limits import (
    MAX_COORDINATE_MM,
    MAX_IMAGE_PIXELS,
    require_backed,
    require_plausible_grid,
    require_readable_shape,
)
from spondyl.imaging.origin import SourceImage, read_origin
from spondyl.imaging.patient_space import affine_from_lps
from spondyl.imaging.volume import Modality, Volume
from spondyl.types import Float, Float32, Index

__all__ = ["read_dicom"]

EVEN_WITHIN = 0.1
"""The largest deviation from an even grid, as a fraction of its spacing; headers are rounded."""

SEPARATE_MM = 20.0
SEPARATE_STEPS = 5.0
"""A gap larger than both (the second in usual slice distances) separates two stacks."""

SIDEWAYS_MM = 1.0
"""Slices that are shifted in their plane by more than this are reported."""
_MAX_LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """The position of each slice of the volume among the frames: slice n mixes frames `below[n]` and `below[n] + 1`."""

    frames: tuple[Frame, ...]
    below: Index
    weight_above: Float
    step_lps_mm: Float


def read_dicom(members: Sequence[Member], modality: Modality | None = None) -> Volume:
    """Read the stack among DICOM files that shows most of the spine from the side.

    Args:
        members: the files, in any order.
        modality: MR or CT, where the caller wants one of them; None takes MR before CT.

    Raises:
        InputError: no MR or CT images with a position in space, only localisers, or pixels that cannot be decoded.
    """
    frames = [frame for number, member in enumerate(members) for frame in frames_of(member, number)]
    if not frames:
        raise InputError(
            "the DICOM files contain no greyscale image with a position and an orientation in space, "
            f"within {MAX_COORDINATE_MM / 1000:g} m of its origin"
        )
    stacks = stacks_of(frames)
    stack = choose_stack(stacks, modality)
    if stack is None:
        raise InputError(_explain_refusal(stacks, modality))
    grid, warnings = _even_grid(stack)
    first = grid.frames[0]
    affine = _require_readable(grid, members)
    images = read_pixels(members, grid.frames)
    choice = f"{stack.describe()} (of {len({s.series for s in stacks})} series)"
    return Volume(
        voxels=_mix(images, grid).transpose(2, 1, 0),
        affine=affine,
        modality=Modality(first.modality.lower()),
        source={"format": "dicom", "files": len({frame.member for frame in grid.frames}), "series": choice},
        warnings=(*_other_warnings(members, frames, stacks, stack), *warnings),
        origin=read_origin(members[first.member], _sources(grid)),
    )


def _require_readable(grid: _Grid, members: Sequence[Member]) -> Affine:
    """Return the affine of a grid, after checking by headers and file sizes that its voxels can be read."""
    first, files = grid.frames[0], {frame.member for frame in grid.frames}
    shape = (*first.shape[::-1], len(grid.below))
    require_readable_shape(shape)
    if first.shape[0] * first.shape[1] > MAX_IMAGE_PIXELS:
        raise InputError(f"an image must have at most {MAX_IMAGE_PIXELS} pixels, got {shape[1]} x {shape[0]}")
    try:
        affine = affine_from_lps(_steps(first, grid.step_lps_mm), first.position_lps_mm)
    except SettingError as error:
        raise InputError("the slices of the DICOM series form no stack; give a series of parallel slices") from error
    require_plausible_grid(Grid(shape, affine))
    stored_bytes = sum(members[number].stored_bytes() for number in files)
    require_backed((*first.shape, max(len(grid.frames), len(grid.below))), 1, stored_bytes)
    return affine


def _explain_refusal(stacks: list[ImageStack], modality: Modality | None) -> str:
    wanted = modality.name if modality else "MR or CT"
    if any(stack.frames[0].is_localiser for stack in stacks):
        return f"the DICOM files contain only localisers; give a sagittal {wanted} series"
    return f"the DICOM files contain images, but none of them is {wanted}"


def _other_warnings(
    members: Sequence[Member], frames: Sequence[Frame], stacks: list[ImageStack], chosen: ImageStack
) -> tuple[str, ...]:
    warnings: tuple[str, ...] = ()
    others = [stack for stack in stacks if stack is not chosen]
    if others:
        warnings += (f"chosen from {len(stacks)} stacks of images: {chosen.describe()}",)
    for stack in others[:_MAX_LISTED]:
        kind = "localiser, " if stack.frames[0].is_localiser else ""
        warnings += (f"ignored: {kind}{stack.describe()}",)
    if len(others) > _MAX_LISTED:
        warnings += (f"ignored: {len(others) - _MAX_LISTED} more stacks",)
    if unplaced := len(members) - len({frame.member for frame in frames}):
        warnings += (f"ignored: {unplaced} DICOM files without a greyscale image that has a position in space",)
    return warnings


def _steps(first: Frame, step_lps_mm: Float) -> Float:
    """Compute the steps along column, row and slice index as columns, (3, 3), LPS mm; DICOM PS3.3 C.7.6.2.1.1."""
    row_mm, column_mm = first.pixel_mm
    return np.column_stack([first.axes_lps[0] * column_mm, first.axes_lps[1] * row_mm, step_lps_mm])


def _even_grid(stack: ImageStack) -> tuple[_Grid, tuple[str, ...]]:
    """Choose one frame for each position, and place the slices of the volume on an even grid."""
    frames, warnings = _without_duplicates(stack)
    if len(frames) == 1:
        return _single(frames[0]), (*warnings, "the scan has only one slice")
    frames, block_warnings = _largest_block(frames)
    warnings += block_warnings
    if len(frames) == 1:
        return _single(frames[0]), (*warnings, "the scan has only one slice")
    depths = depths_mm(frames)
    steps = np.diff(depths)
    span = depths[-1] - depths[0]
    base = _usual_step(steps)
    count = max(1, round(span / base))
    targets = depths[0] + span / count * np.arange(count + 1)
    if count + 1 == len(frames) and np.abs(targets - depths).max() <= EVEN_WITHIN * base:
        targets = depths
    else:
        warnings += (_uneven_warning(steps, base, count + 1 - len(frames)),)
    below = np.clip(np.searchsorted(depths, targets, side="right") - 1, 0, len(frames) - 2)
    weights = np.clip((targets - depths[below]) / steps[below], 0, 1)
    weights = np.where(np.abs(weights - weights.round()) * steps[below] < SAME_PLACE_MM, weights.round(), weights)
    step_lps_mm = (frames[-1].position_lps_mm - frames[0].position_lps_mm) / count
    warnings += _sideways_warning(frames, step_lps_mm / (span / count))
    return _Grid(frames=frames, below=below, weight_above=weights, step_lps_mm=step_lps_mm), warnings


def _single(frame: Frame) -> _Grid:
    thickness_mm = frame.slice_mm if np.isfinite(frame.slice_mm) and frame.slice_mm > 0 else 1.0
    zero = np.zeros(1)
    return _Grid(
        frames=(frame,),
        below=zero.astype(np.intp),
        weight_above=zero,
        step_lps_mm=frame.normal_lps * thickness_mm,
    )


def _without_duplicates(stack: ImageStack) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    is_new = np.concatenate([[True], np.diff(stack.depths_mm) > SAME_PLACE_MM])
    dropped = int((~is_new).sum())
    frames = tuple(frame for frame, new in zip(stack.frames, is_new, strict=True) if new)
    return frames, (f"{dropped} images at positions that another image already has were ignored",) if dropped else ()


def _largest_block(frames: tuple[Frame, ...]) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    """Return the longest run of slices without a gap that is too wide to be interpolated."""
    steps = np.diff(depths_mm(frames))
    breaks = np.flatnonzero((steps > SEPARATE_MM) & (steps > SEPARATE_STEPS * np.median(steps))) + 1
    bounds = [0, *breaks.tolist(), len(frames)]
    start, stop = max(pairwise(bounds), key=lambda bound: bound[1] - bound[0])
    if stop - start == len(frames):
        return frames, ()
    return frames[start:stop], (
        f"{len(frames) - stop + start} slices lie more than {SEPARATE_MM:.0f} mm away from the others and were ignored",
    )


def _usual_step(steps: Float) -> float:
    """Return the smallest distance if all are about multiples of it (slices are missing), else the median."""
    typical = float(np.median(steps))
    smallest = float(np.median(steps[steps < 1.5 * steps.min()]))
    multiples = steps / smallest
    is_multiple = np.abs(multiples - multiples.round()).max() <= EVEN_WITHIN
    return smallest if is_multiple else typical


def _uneven_warning(steps: Float, base_mm: float, missing: int) -> str:
    if missing > 0 and np.abs(steps / base_mm - np.round(steps / base_mm)).max() <= EVEN_WITHIN:
        return (
            f"{missing} slices are missing (gaps of up to {steps.max():.1f} mm, usually {base_mm:.1f} mm) "
            f"and were interpolated"
        )
    return (
        f"the slices are unevenly spaced ({steps.min():.1f} to {steps.max():.1f} mm) "
        f"and were interpolated to a spacing of {base_mm:.1f} mm"
    )


def _sideways_warning(frames: tuple[Frame, ...], slope: Float) -> tuple[str, ...]:
    positions = np.array([frame.position_lps_mm for frame in frames])
    depths = depths_mm(frames)
    residual = positions - positions[0] - (depths - depths[0])[:, None] * slope
    worst_mm = float(np.linalg.norm(residual, axis=1).max())
    if worst_mm <= SIDEWAYS_MM:
        return ()
    return (f"slices are shifted against each other by up to {worst_mm:.1f} mm in their plane; this was not corrected",)


def _sources(grid: _Grid) -> tuple[tuple[SourceImage, ...], ...]:
    """List the images from which each slice of the grid is made: one, or two between which it was interpolated."""
    images = [SourceImage(instance_uid=frame.instance, frame=frame.index + 1) for frame in grid.frames]
    mixed = zip(grid.below.tolist(), grid.weight_above.tolist(), strict=True)
    return tuple(tuple(images[below + (weight == 1) : below + 1 + (weight > 0)]) for below, weight in mixed)


def _mix(images: Float32, grid: _Grid) -> Float32:
    """Compute the slices of the grid, (slice, row, column); no value changes where each slice is a frame."""
    if len(grid.below) == len(images) and np.isin(grid.weight_above, (0, 1)).all():
        return images
    mixed = np.empty((len(grid.below), *images.shape[1:]), dtype=np.float32)
    for target, (below, weight) in enumerate(zip(grid.below, grid.weight_above.astype(np.float32), strict=True)):
        above = min(below + 1, len(images) - 1)
        mixed[target] = images[below] if weight == 0 else (1 - weight) * images[below] + weight * images[above]
    return mixed
