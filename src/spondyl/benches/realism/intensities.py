"""Brightness of the tissues of phantoms and of real scans: ratios to marrow, measured alike in both.

The truth about a real lumbar scan is the outlines of its bodies (or of its discs, from which bodies follow); all
regions are laid out from them in the middle slice of each body:

- marrow: the middle half of the body in both directions; everything else is divided by its median;
- unevenness: standard deviation over mean within that region, noise included;
- nucleus: between two bodies, the middle 30 % of the depth and 40 % of the height, mean;
- annulus: the foremost tenth of the disc, the middle 40 % of its height, mean;
- CSF: 90th percentile from 2 to 20 mm behind the bodies from L2 to L5, where the sac holds no cord;
- fat: the brightest value from 40 to 110 mm behind the body, median over its height: the skin's fat;
- muscle: 25th percentile from 20 to 45 mm behind the body, 15 to 25 mm to either side, which excludes fat.

In the neck only the cord is known: its median is divided by the 95th percentile within 5 mm around it, which is CSF's.
Before all, the first percentile of the scan is subtracted, since some of the real scans were saved with air above zero.
Values are means over the bodies of a scan; tables show their mean and standard deviation over scans.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spondyl.anatomy.codes import DISC_OFFSET, VERSE, Subregion, subregion_code
from spondyl.anatomy.level import Level
from spondyl.datasets.exams import load_exam
from spondyl.datasets.outlines import find_column_axes, outline_mask
from spondyl.errors import InputError, SettingError
from spondyl.geometry.affine import Float
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.resample import to_sagittal
from spondyl.geometry.stack import SagittalStack
from spondyl.imaging.read import read_volume
from spondyl.imaging.volume import Modality
from spondyl.metrics.tables import format_table
from spondyl.phantom.options import PhantomOptions
from spondyl.phantom.patient import Phantom, make_phantom
from spondyl.phantom.scanner.protocol import FieldOfView
from spondyl.phantom.scanner.sequence import PulseSequence

__all__ = ["compare_intensities", "measure_bodies", "measure_cord"]

Ratios = Mapping[str, float]
"""Values of one scan by name."""

_WITHOUT_CORD = (Level.L2, Level.L3, Level.L4, Level.L5)
_SAMPLES = 24
"""Points along each direction of a region; a body has about 30 pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """Real scans and the phantoms they are compared with."""

    name: str
    folder: str
    field: FieldOfView
    sequence: PulseSequence


_SERIES = (
    _Series(name="lumbar T2 TSE", folder="lumbar_t2", field=FieldOfView.LUMBAR, sequence=PulseSequence.T2_TSE),
    _Series(name="lumbar T2 SE, discs", folder="discs_t2", field=FieldOfView.LUMBAR, sequence=PulseSequence.T2_TSE),
    _Series(name="lumbar Dixon GRE", folder="lumbar_gre", field=FieldOfView.LUMBAR, sequence=PulseSequence.DIXON_WATER),
    _Series(name="cervical T2", folder="cervical_t2", field=FieldOfView.CERVICAL, sequence=PulseSequence.T2_TSE),
)


def compare_intensities(data: Path, *, patients: int = 12) -> str:
    """Compare the brightness of phantoms with that of the real MR scans in a folder.

    Args:
        data: holds `mr/lumbar_t2`, `mr/lumbar_gre`, `mr/discs_t2` or `mr/cervical_t2` of the public collection.
        patients: phantoms of each kind, seeds 0, 1, ...

    Returns:
        Markdown with a heading: a row for each kind of scan and quantity.

    Raises:
        SettingError: fewer than two patients.
        InputError: the folder holds none of these scans.
    """
    if patients < 2:
        raise SettingError(f"patients must be at least 2, got {patients}")
    rows: list[tuple[str, ...]] = []
    made: dict[tuple[FieldOfView, PulseSequence], list[Ratios]] = {}
    for series in _SERIES:
        real = list(_real_ratios(data / "mr" / series.folder))
        if not real:
            continue
        kind = (series.field, series.sequence)
        if kind not in made:
            made[kind] = [_phantom_ratios(*kind, seed) for seed in range(patients)]
        rows += _rows(series.name, real, made[kind])
    if not rows:
        raise InputError("no MR scans (mr/lumbar_t2 and its neighbours) in the folder of the data to compare with")
    header = ("scans", "quantity", "real mean ± sd", "n", "phantom mean ± sd", "n", "phantom / real")
    return "## Brightness\n\nRelative to marrow.\n\n" + format_table(header, rows)


def _rows(name: str, real: list[Ratios], phantom: list[Ratios]) -> Iterator[tuple[str, ...]]:
    for quantity in real[0]:
        values = [np.array([ratios[quantity] for ratios in side if quantity in ratios]) for side in (real, phantom)]
        cells = [cell for side in values for cell in (f"{side.mean():.2f} ± {side.std():.2f}", str(len(side)))]
        yield name, quantity, *cells, f"{values[1].mean() / values[0].mean():.2f}"


def _real_ratios(folder: Path) -> Iterator[Ratios]:
    for path in sorted(folder.glob("*.nii.gz")):
        cord = path.with_name(path.name.replace(".nii.gz", "_cord.nii.gz"))
        truth = path.with_name(path.name.replace(".nii.gz", "_seg.nii.gz"))
        if cord.is_file():
            yield {"cord / CSF": measure_cord(_stack(path), _stack(cord).voxels > 0)}
        elif truth.is_file():
            stack, mask = _stack(path), _stack(truth).voxels.round().astype(int)
            is_of_discs = mask.max() > DISC_OFFSET
            yield measure_bodies(stack, _between_discs(mask, stack) if is_of_discs else _middle_outlines(path))


def _stack(path: Path) -> SagittalStack:
    volume = read_volume(path, modality=Modality.MR)
    return to_sagittal(volume.voxels, volume.affine, slab_mm=0)[0]


def _phantom_ratios(field: FieldOfView, sequence: PulseSequence, seed: int) -> Ratios:
    phantom = make_phantom(PhantomOptions(seed=seed, field=field, sequence=sequence))
    stack = SagittalStack(voxels=phantom.volume.voxels, affine=phantom.volume.affine)
    if field is FieldOfView.CERVICAL:
        cord = np.equal(phantom.truth.masks.subregions, subregion_code(Subregion.CORD))
        return {"cord / CSF": measure_cord(stack, cord)}
    return measure_bodies(stack, _lumbar_outlines(phantom))


MiddleOutlines = Mapping[Level, tuple[int, Float]]
"""Middle slice and corners (4, 2) as (row, column) of each body, head to foot, ordered as `CORNERS`."""


def _middle(instance: VertebraInstance) -> tuple[int, Float]:
    place = len(instance.slices) // 2
    return instance.slices[place], instance.outlines[place]


def _middle_outlines(path: Path) -> MiddleOutlines:
    return {level: _middle(instance) for level, instance in load_exam(path).bodies().items()}


def _lumbar_outlines(phantom: Phantom) -> MiddleOutlines:
    """Outline the bodies that masks of real scans show: T11 to the last lumbar one, whole in view."""
    return {
        vertebra.level: _middle(vertebra.instance)
        for vertebra in phantom.truth.vertebrae
        if vertebra.instance and vertebra.is_whole and Level.T11.rank <= vertebra.level.rank <= Level.L6.rank
    }


def _between_discs(mask: NDArray[np.int_], stack: SagittalStack) -> MiddleOutlines:
    """Outline bodies between labelled discs, from the discs' edges that face them."""
    codes = sorted(
        (int(code) for code in np.unique(mask) if code > DISC_OFFSET), key=lambda code: VERSE[code - DISC_OFFSET].rank
    )
    middle = int(np.median(np.nonzero(mask > DISC_OFFSET)[0]))
    sections = [mask[middle] == code for code in codes]
    axes = find_column_axes(np.array([np.argwhere(section).mean(0) * stack.pixel_mm for section in sections]))
    quads = [outline_mask(section, axis, stack.pixel_mm) for section, axis in zip(sections, axes, strict=True)]
    return {
        VERSE[below - DISC_OFFSET]: (middle, np.stack([upper[1], lower[0], lower[3], upper[2]]))
        for below, (upper, lower) in zip(codes[1:], pairwise(quads), strict=True)
    }


def measure_bodies(stack: SagittalStack, outlines: MiddleOutlines) -> Ratios:
    """Measure a scan with outlined bodies.

    Args:
        stack: the scan.
        outlines: of its bodies.

    Returns:
        "unevenness", and "nucleus", "annulus", "CSF", "fat" and "muscle" over marrow, as the module defines them.
    """
    found: dict[str, list[float]] = {}
    stack = _without_black(stack)
    marrow = {
        level: _sample(stack, k, _inside(quad, (0.25, 0.75), (0.25, 0.75))) for level, (k, quad) in outlines.items()
    }
    base = {level: float(np.median(values)) for level, values in marrow.items()}
    found["unevenness"] = [float(values.std() / values.mean()) for values in marrow.values()]
    for (upper, (k, above)), (lower, (_, below)) in pairwise(outlines.items()):
        disc = np.stack([above[1], below[0], below[3], above[2]])
        reference = (base[upper] + base[lower]) / 2
        for name, depth in (("nucleus", (0.4, 0.7)), ("annulus", (0.9, 1.0))):
            found.setdefault(name, []).append(
                float(_sample(stack, k, _inside(disc, depth, (0.3, 0.7))).mean()) / reference
            )
    for level, (k, quad) in outlines.items():
        if level in _WITHOUT_CORD:
            fluid = np.percentile(_sample(stack, k, _behind(quad, (2.0, 20.0), stack)), 90)
            found.setdefault("CSF", []).append(float(fluid) / base[level])
        skin = _sample(stack, k, _behind(quad, (40.0, 110.0), stack)).max(axis=1)
        found.setdefault("fat", []).append(float(np.median(skin)) / base[level])
        found.setdefault("muscle", []).append(_muscle(stack, k, quad) / base[level])
    return {name: float(np.mean(values)) for name, values in found.items()}


def _without_black(stack: SagittalStack) -> SagittalStack:
    black = np.percentile(stack.voxels[:, ::2, ::2], 1)
    return SagittalStack(voxels=stack.voxels - np.float32(black), affine=stack.affine)


def _muscle(stack: SagittalStack, k: int, quad: Float) -> float:
    steps = np.unique(np.rint(np.array([-25.0, -20.0, -15.0, 15.0, 20.0, 25.0]) / stack.slice_mm).astype(int)) + k
    points = _behind(quad, (20.0, 45.0), stack)
    values = [_sample(stack, int(step), points) for step in steps if 0 <= step < len(stack.voxels)]
    return float(np.percentile(values, 25)) if values else float("nan")


def _inside(quad: Float, depth: tuple[float, float], height: tuple[float, float]) -> Float:
    """Sample points (n, n, 2) of a quadrilateral along lines of constant height.

    Args:
        quad: (4, 2) corners, ordered as `CORNERS`.
        depth: range as shares from back to front.
        height: range as shares from top to bottom.
    """
    u, v = np.linspace(*depth, _SAMPLES)[None, :, None], np.linspace(*height, _SAMPLES)[:, None, None]
    back_top, back_foot, front_foot, front_top = quad
    return np.asarray((1 - v) * ((1 - u) * back_top + u * front_top) + v * ((1 - u) * back_foot + u * front_foot))


def _behind(quad: Float, distance_mm: tuple[float, float], stack: SagittalStack) -> Float:
    """Sample points (n, n, 2) behind a body over its whole height, lines of constant height running backwards."""
    backward = (quad[:2].mean(axis=0) - quad[2:].mean(axis=0)) * stack.pixel_mm
    backward /= np.linalg.norm(backward)
    v, along = np.linspace(0, 1, _SAMPLES)[:, None, None], np.linspace(*distance_mm, 4 * _SAMPLES)[None, :, None]
    return np.asarray((1 - v) * quad[0] + v * quad[1] + along * backward / stack.pixel_mm)


def _sample(stack: SagittalStack, k: int, points: Float) -> Float:
    return np.asarray(ndimage.map_coordinates(stack.voxels[k], np.moveaxis(points, -1, 0), order=1, mode="nearest"))


def measure_cord(stack: SagittalStack, cord: NDArray[np.bool_]) -> float:
    """Divide the cord's median by the 95th percentile within 5 mm around it.

    Args:
        stack: the scan.
        cord: its mask.
    """
    stack = _without_black(stack)
    away_mm = ndimage.distance_transform_edt(~cord, sampling=stack.affine.spacing_mm)
    return float(np.median(stack.voxels[cord]) / np.percentile(stack.voxels[(away_mm > 0) & (away_mm < 5.0)], 95))
