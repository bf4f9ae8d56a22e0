"""Centres of vertebral bodies from masks of whole vertebrae, arch and processes included, or of bodies alone.

A detector finds the body, and the centroid of a whole vertebra lies 10 mm behind that, in the canal.
In the sagittal slices around a vertebra's middle the body is the part in front. Where an arch is joined to it, opening
with a disc of nearly the body's own size takes the arch away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spondyl.anatomy.codes import VERSE
from spondyl.anatomy.level import Level
from spondyl.geometry.affine import Affine, Float
from spondyl.geometry.resample import sagittal_axes
from spondyl.imaging.labels import LabelMap

__all__ = ["find_body_centres"]

Mask = NDArray[np.bool_]

_OPENING_SHARE = 0.7
"""Radius of the opening disc over that of the largest disc within a body; pedicles and the dens of C2 are narrower."""

_SACRAL_OPENING_SHARE = 0.95
"""The same for a sacrum, whose largest disc lies in S1 and which narrows only slowly below it."""

_MIN_PART_SHARE = 0.25
"""Parts of a section smaller than this share of the largest part are neither body nor spinous process."""

_MIN_CUT_SHARE = 0.5
"""A body that the scan's edge cuts counts when it shows this share of its neighbour's section, about its centre."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Body:
    """A body near its mid-sagittal plane: its centre in RAS mm, its mean section, and whether the edge cuts it."""

    centre: Float
    area_mm2: float
    is_cut: bool


def find_body_centres(labels: LabelMap) -> dict[Level, Float]:
    """Find the centre of each vertebral body in a mask.

    Args:
        labels: in the codes of `anatomy.codes.VERSE`; others are ignored. The sacrum's code gives S1.

    Returns:
        Centres by level, (3,) RAS mm. C1, which has no body, and bodies of which the scan's edge leaves less than half
        are left out.
    """
    vertebrae = np.zeros(2**16, np.uint8)
    vertebrae[list(VERSE)] = list(VERSE)
    codes = vertebrae[labels.codes]
    bodies = {
        VERSE[code]: _body(codes, code, box, labels.affine)
        for code, box in enumerate(ndimage.find_objects(codes), start=1)
        if box is not None and VERSE[code] is not Level.C1
    }
    return {level: body.centre for level, body in bodies.items() if _shows_enough(level, bodies)}


def _shows_enough(level: Level, bodies: Mapping[Level, _Body]) -> bool:
    body = bodies[level]
    whole = [other for other, found in bodies.items() if not found.is_cut]
    if not body.is_cut or not whole:
        return True
    neighbour = bodies[min(whole, key=lambda other: abs(other.rank - level.rank))]
    return body.area_mm2 >= _MIN_CUT_SHARE * neighbour.area_mm2


def _body(codes: NDArray[np.uint8], code: int, box: tuple[slice, ...], affine: Affine) -> _Body:
    """The body of one vertebra.

    Args:
        codes: (i, j, k) of the whole mask.
        code: of the vertebra.
        box: where it is, one slice for each axis.
        affine: (i, j, k) to RAS mm.
    """
    across = sagittal_axes(affine)[0]
    plane = [axis for axis in range(3) if axis != across]
    share = _SACRAL_OPENING_SHARE if VERSE[code] is Level.S1 else _OPENING_SHARE
    sections = np.moveaxis(codes[box] == code, across, 0)
    shown = np.flatnonzero(sections.any(axis=(1, 2)))
    margin = 2 * len(shown) // 5
    middle = shown[margin : len(shown) - margin]
    ahead, pixel_mm = affine.matrix[1, plane], affine.spacing_mm[plane]
    fronts = np.stack([_front(sections[k], ahead) for k in middle])
    parts = np.stack([_front(_open(front, pixel_mm, share), ahead) for front in fronts])
    number, *in_plane = np.argwhere(parts).mean(axis=0)
    centre = np.array([corner.start for corner in box], dtype=np.float64)
    centre[[across, *plane]] += (np.interp(number, range(len(middle)), middle), *in_plane)
    edges = np.argwhere(fronts)[:, 1:] + [box[axis].start for axis in plane]
    return _Body(
        centre=affine.to_world(centre),
        area_mm2=float(parts.sum() / len(middle) * pixel_mm.prod()),
        is_cut=bool((edges == 0).any() or (edges == np.array(codes.shape)[plane] - 1).any()),
    )


def _front(section: Mask, ahead: Float) -> Mask:
    """Find the foremost of the large connected parts; `ahead` is the anterior component of a step along each axis."""
    parts, count = ndimage.label(section)
    areas = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    large = 1 + np.flatnonzero(areas >= _MIN_PART_SHARE * areas.max())
    centres = np.array(ndimage.center_of_mass(section, parts, large))
    return np.asarray(parts == large[(centres @ ahead).argmax()])


def _open(part: Mask, pixel_mm: Float, share: float) -> Mask:
    """Open the part with a disc whose radius is a share of the largest that fits."""
    depth_mm = ndimage.distance_transform_edt(np.pad(part, 1), sampling=pixel_mm)[1:-1, 1:-1]
    radius_mm = share * depth_mm.max()
    return np.asarray(part & (ndimage.distance_transform_edt(depth_mm < radius_mm, sampling=pixel_mm) < radius_mm))
