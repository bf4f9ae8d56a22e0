"""Grouping of DICOM frames into stacks of parallel slices, and the choice of the stack to analyse.

Slices are ordered by their position along the normal alone. A stack is described by its plane, slices and extent,
never by a description that a person typed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from spondyl.errors import InputError
from spondyl.imaging.dicom.frames import Frame
from spondyl.imaging.volume import Modality
from spondyl.types import Float

__all__ = ["SAME_PLACE_MM", "ImageStack", "choose_stack", "depths_mm", "stacks_of"]

SAME_DIRECTION = 0.01
"""The largest difference of direction cosines in one stack, 0.6 degrees; scanners write 6 digits or more."""

SAME_PLACE_MM = 0.02
"""Slices nearer than this are at one position; the finest CT slices are 0.2 mm apart."""

SAME_STATION_MM = 20.0
"""Images shifted in their plane by more than this from one slice to the next belong to another table position; a
tilted gantry shifts them by a few mm."""

ENOUGH_SLICES = 5
"""A sagittal localiser has 1 to 3 slices, a spine exam 11 or more."""

THIN_MM = 2.0
"""The largest distance of slices at which a stack of any plane can be viewed from the side."""

SIMILAR_EXTENT_MM = 20.0
"""Stacks whose extents differ by less show the same spine; then contrast and slices decide."""

MAX_STACKS_OF_SERIES = 500
"""The limit of stacks in a series; radial scans have some dozen directions, and each image is compared with all."""

_PLANES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStack:
    """Parallel frames of one size, ordered along their common normal.

    Args:
        frames: by position along the normal; positions may repeat.
        series: number of its series among all, from 1.
    """

    frames: tuple[Frame, ...]
    series: int

    @property
    def depths_mm(self) -> Float:
        """The positions along the first frame's normal, (n,), increasing."""
        return depths_mm(self.frames)

    @property
    def places(self) -> int:
        """The number of different positions."""
        return 1 + int((np.diff(self.depths_mm) > SAME_PLACE_MM).sum())

    @property
    def plane(self) -> str:
        """The anatomical plane nearest to the images'."""
        return _PLANES[int(np.abs(self.frames[0].normal_lps).argmax())]

    @property
    def extent_mm(self) -> float:
        """The head-foot extent of all its pixels."""
        first, last = self.frames[0], self.frames[-1]
        in_plane = np.abs(first.axes_lps[:, 2]) * first.pixel_mm[::-1] * first.shape[::-1]
        return float(in_plane.sum() + abs(last.position_lps_mm[2] - first.position_lps_mm[2]))

    def describe(self) -> str:
        """Describe the stack in a few words without any identifier."""
        return f"series {self.series}, {self.plane}, {self.places} slices, {self.extent_mm:.0f} mm from head to foot"


def depths_mm(frames: Sequence[Frame]) -> Float:
    """Compute the positions of parallel frames along the first one's normal, (n,)."""
    return _positions(frames) @ frames[0].normal_lps


def stacks_of(frames: Iterable[Frame]) -> list[ImageStack]:
    """Group frames by series, size and orientation, and split groups with several images at each position.

    Returns:
        The stacks in a stable order, localisers and further contrasts included.
    """
    ordered = sorted(frames, key=lambda frame: (frame.order[0], frame.series, frame.order[1], frame.name))
    numbers = {series: number for number, series in enumerate(dict.fromkeys(frame.series for frame in ordered), 1)}
    stacks: list[ImageStack] = []
    for group in _partition(ordered, lambda f: (f.series, f.modality, f.shape, tuple(f.pixel_mm), f.is_localiser)):
        for parallel in _by_direction(group):
            for station in _by_station(parallel):
                stacks += _split_repeats(_stack(station, numbers[station[0].series]))
    return stacks


def choose_stack(stacks: list[ImageStack], modality: Modality | None) -> ImageStack | None:
    """Choose the stack that shows most of the spine from the side; None if no stack has the modality.

    In this order: the modality asked for (else MR before CT), a sagittal stack of enough slices, then a thin one of any
    plane, then the longest from head to foot; among equals magnitude images, T2, more slices, the first.
    """
    wanted = (modality,) if modality else (Modality.MR, Modality.CT)
    for kind in wanted:
        candidates = [stack for stack in stacks if _is_candidate(stack) and stack.frames[0].modality == kind.name]
        if candidates:
            return max(candidates, key=_merit)  # the first of equals
    return None


def _is_candidate(stack: ImageStack) -> bool:
    return not stack.frames[0].is_localiser


def _merit(stack: ImageStack) -> tuple[float, ...]:
    first = stack.frames[0]
    extent = stack.extent_mm // SIMILAR_EXTENT_MM
    return (_view(stack), first.is_magnitude, extent, first.is_t2_weighted, stack.places)


def _view(stack: ImageStack) -> int:
    """Rate how well the spine can be viewed from the side; the best is 3."""
    has_enough = stack.places >= ENOUGH_SLICES
    if stack.plane == "sagittal":
        return 3 if has_enough else 1
    step_mm = np.median(np.diff(stack.depths_mm)) if has_enough else np.inf
    return 2 if step_mm <= THIN_MM else 0


def _stack(frames: Iterable[Frame], series: int) -> ImageStack:
    return ImageStack(frames=tuple(_by_depth(list(frames))), series=series)


def _by_depth(frames: list[Frame]) -> list[Frame]:
    return [frames[n] for n in np.argsort(depths_mm(frames), kind="stable")]


def _positions(frames: Sequence[Frame]) -> Float:
    return np.array([frame.position_lps_mm for frame in frames])


def _partition(frames: Iterable[Frame], key: Callable[[Frame], Hashable]) -> list[list[Frame]]:
    parts: dict[Hashable, list[Frame]] = {}
    for frame in frames:
        parts.setdefault(key(frame), []).append(frame)
    return list(parts.values())


def _by_direction(frames: list[Frame]) -> list[list[Frame]]:
    axes = np.array([frame.axes_lps.ravel() for frame in frames])
    groups, firsts = [[frames[0]]], axes[:1]
    for frame, own in zip(frames[1:], axes[1:], strict=True):
        is_same = np.abs(firsts - own).max(axis=1) < SAME_DIRECTION
        if is_same.any():
            groups[int(is_same.argmax())].append(frame)
        else:
            groups.append([frame])
            firsts = np.vstack([firsts, own])
            _require_few(groups)
    return groups


def _by_station(frames: list[Frame]) -> list[list[Frame]]:
    """Separate the stations of a long exam: parallel stacks side by side in their own plane."""
    ordered = _by_depth(frames)
    places = _positions(ordered) @ frames[0].axes_lps.T
    stations, lasts = [[ordered[0]]], places[:1].copy()
    for frame, place in zip(ordered[1:], places[1:], strict=True):
        is_same = np.linalg.norm(lasts - place, axis=1) < SAME_STATION_MM
        if is_same.any():
            nearest = int(is_same.argmax())
            stations[nearest].append(frame)
            lasts[nearest] = place
        else:
            stations.append([frame])
            lasts = np.vstack([lasts, place])
            _require_few(stations)
    return stations


def _require_few(stacks: Sequence[object]) -> None:
    if len(stacks) > MAX_STACKS_OF_SERIES:
        raise InputError(f"a DICOM series holds more than {MAX_STACKS_OF_SERIES} stacks of images; give one of them")


def _split_repeats(stack: ImageStack) -> list[ImageStack]:
    """Split a stack with several images at most positions, by the first property whose values each cover them."""
    places = stack.places
    if len(stack.frames) < 1.5 * places:
        return [stack]
    for position in range(len(stack.frames[0].contrast)):
        groups = _partition(stack.frames, lambda frame, position=position: frame.contrast[position])  # type: ignore[misc]
        parts = [_stack(group, stack.series) for group in groups]
        if len(parts) > 1 and all(part.places > places / 2 for part in parts):
            parts.sort(key=lambda part: part.frames[0].contrast)
            return [piece for part in parts for piece in _split_repeats(part)]
    return [stack]
