"""Bodies and discs as solids, and the outlines that bodies have in sagittal slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spondyl.anatomy.level import Level, Region
from spondyl.geometry.affine import Affine, Float
from spondyl.geometry.instance import VertebraInstance
from spondyl.phantom.column.column import PlacedVertebra, disc_depth_mm
from spondyl.phantom.scene.solids import BodySolid, LocalFrame

__all__ = ["DiscSpace", "locate_disc_space", "make_body", "outline_body"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscSpace:
    """The space that a disc fills.

    Args:
        frame: right, anterior and superior; origin in the disc's middle.
        depth_mm, width_mm: mean size of the neighbouring endplates.
    """

    frame: LocalFrame
    depth_mm: float
    width_mm: float

    @property
    def posterior_edge_ras_mm(self) -> Float:
        """Return the middle of its posterior edge, (3,)."""
        return self.frame.to_world((0.0, -self.depth_mm / 2, 0.0))


def locate_disc_space(upper: PlacedVertebra, lower: PlacedVertebra) -> DiscSpace:
    """Locate the disc space between two vertebrae."""
    middle = (upper.endplate_centre(upper=False) + lower.endplate_centre(upper=True)) / 2
    return DiscSpace(
        frame=LocalFrame(origin_ras_mm=middle, axes=_average_axes(upper.axes, lower.axes)),
        depth_mm=disc_depth_mm(upper.size, lower.size),
        width_mm=(upper.size.lower_width_mm + lower.size.upper_width_mm) / 2,
    )


def _average_axes(first: Float, second: Float) -> Float:
    """Return the orientation halfway between two that are near each other: the rotation nearest to their mean."""
    left, _, right = np.linalg.svd(first + second)
    return np.asarray(left @ right)


def make_body(vertebra: PlacedVertebra) -> BodySolid:
    """Make the body of a vertebra."""
    size, region = vertebra.size, vertebra.level.region
    is_neck = Level.C3.rank <= vertebra.level.rank <= Level.T1.rank
    return BodySolid(
        frame=LocalFrame(origin_ras_mm=vertebra.centre_ras_mm, axes=vertebra.axes),
        anterior_height_mm=size.anterior_height_mm,
        posterior_height_mm=size.posterior_height_mm,
        upper_mm=(size.upper_width_mm, size.upper_depth_mm),
        lower_mm=(size.lower_width_mm, size.lower_depth_mm),
        concavity_mm=(0.3 * size.concavity_mm if region is Region.SACRAL else size.concavity_mm,) * 2,
        waist={Region.CERVICAL: 0.06, Region.THORACIC: 0.08, Region.LUMBAR: 0.1, Region.SACRAL: 0.04}[region],
        lip_mm=3.0 if is_neck else 0.0,
        rounding_mm=0.08 * size.posterior_height_mm,
    )


def outline_body(
    vertebra: PlacedVertebra, affine: Affine, shape: tuple[int, int, int], *, min_share: float = 0.5
) -> VertebraInstance | None:
    """Outline a body by a quadrilateral in each sagittal slice, as the published networks are trained on it.

    Args:
        vertebra: the vertebra, placed.
        affine: (slice, row, column) of a sagittal stack to RAS mm.
        shape: shape of the stack.
        min_share: a slice shows the body where its section is at least this share of the longest one's depth.

    Returns:
        its outlines in the slices that show it, in index space; None where no slice does, and for C1, which has no
        body. They may reach beyond the image.
    """
    if vertebra.level is Level.C1:
        return None
    solid = make_body(vertebra)
    rims = [affine.to_index(solid.frame.to_world(solid.rim_mm(upper=upper))) for upper in (True, False)]
    found: dict[int, Float] = {}
    for k in range(shape[0]):
        chords = [_find_chord(rim, k) for rim in rims]
        if chords[0] is not None and chords[1] is not None:
            (front_high, back_high), (front_low, back_low) = chords[0], chords[1]
            found[k] = np.stack([back_high, back_low, front_low, front_high])
    lengths = {k: float(np.linalg.norm(quad[:2] - quad[2:][::-1], axis=1).mean()) for k, quad in found.items()}
    longest = max(lengths.values(), default=0.0)
    seen = [k for k in found if lengths[k] >= min_share * longest]
    if not seen:
        return None
    outlines = np.stack([found[k] for k in seen])
    return VertebraInstance(slices=tuple(seen), outlines=outlines, score=1.0, affine=affine)


def _find_chord(rim_index: Float, k: int) -> tuple[Float, Float] | None:
    """Find where an endplate's rim crosses a slice: the (row, column) in front and behind; None where it does not."""
    offset = rim_index[:, 0] - k
    following = np.roll(offset, -1)
    crossing = np.flatnonzero((offset < 0) != (following < 0))
    if len(crossing) != 2:
        return None
    share = (offset[crossing] / (offset[crossing] - following[crossing]))[:, None]
    points = rim_index[crossing] + share * (np.roll(rim_index, -1, axis=0)[crossing] - rim_index[crossing])
    front, back = sorted(points[:, 1:], key=lambda point: float(point[1]))
    return front, back
