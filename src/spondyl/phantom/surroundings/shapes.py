"""The parts of a backdrop, and the simple shapes with which organs, vessels and muscles are painted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, auto
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spondyl.geometry.affine import Float
from spondyl.phantom.scene.material import Material, Tissue
from spondyl.phantom.scene.scene import Part, PartIds
from spondyl.phantom.scene.tissue_table import get_material, make_marrow
from spondyl.phantom.surroundings.frame import Curve, Guide, Points, PointValues

__all__ = [
    "LongitudinalTube",
    "Paint",
    "PaintedEllipsoid",
    "PaintedShape",
    "Shell",
    "boxes_overlap",
    "draw_parts",
    "make_longitudinal_tube",
    "paint_shapes",
]


class Paint(IntEnum):
    """The parts of a backdrop, by their index."""

    AIR = 0
    SKIN = auto()
    FAT = auto()
    MUSCLE = auto()
    FATTY_MUSCLE = auto()
    FASCIA = auto()
    INTERSPINOUS = auto()
    BONE = auto()
    MARROW = auto()
    CARTILAGE = auto()
    MUCOSA = auto()
    CSF = auto()
    WHITE_MATTER = auto()
    GREY_MATTER = auto()
    ARTERY = auto()
    VEIN = auto()
    LUNG = auto()
    LIVER = auto()
    SPLEEN = auto()
    KIDNEY = auto()
    GLAND = auto()
    BOWEL_WALL = auto()
    BOWEL_FLUID = auto()
    STOOL = auto()
    URINE = auto()


def draw_parts(rng: np.random.Generator) -> tuple[Part, ...]:
    """Draw the material of each `Paint`: that of its tissue or one near it, and the patient's own marrow."""
    muscle, organ, bowel = get_material(Tissue.MUSCLE), get_material(Tissue.ORGAN), get_material(Tissue.BOWEL)
    brain = get_material(Tissue.BRAIN)
    # Relaxation of liver, spleen and kidney: de Bazelaire et al., Radiology 230:652 (2004), T1 brought to 1.5 T.
    # Brain: Stanisz et al., Magn Reson Med 54:507 (2005). The other departures are chosen to look as real scans do.
    materials: dict[Paint, Material] = {
        Paint.AIR: get_material(Tissue.AIR),
        Paint.SKIN: get_material(Tissue.SKIN),
        Paint.FAT: get_material(Tissue.FAT),
        Paint.MUSCLE: muscle,
        Paint.FATTY_MUSCLE: replace(muscle, fat_fraction=0.4, hu=5.0),
        Paint.FASCIA: get_material(Tissue.LIGAMENT),
        Paint.INTERSPINOUS: replace(
            get_material(Tissue.LIGAMENT), proton_density=0.65, t2_ms=28.0, t2_star_ms=14.0, fat_fraction=0.3, hu=40.0
        ),
        Paint.BONE: get_material(Tissue.CORTICAL_BONE),
        Paint.MARROW: make_marrow(rng.uniform(0.35, 0.7), rng.uniform(80.0, 200.0)),
        Paint.CARTILAGE: get_material(Tissue.CARTILAGE),
        Paint.MUCOSA: replace(organ, t1_ms=1000.0, t2_ms=80.0, hu=45.0),
        Paint.CSF: get_material(Tissue.CSF),
        Paint.WHITE_MATTER: replace(brain, proton_density=0.72, t1_ms=884.0, t2_ms=72.0, hu=32.0, texture=0.04),
        Paint.GREY_MATTER: replace(brain, proton_density=0.84, t1_ms=1124.0, t2_ms=95.0, hu=38.0, texture=0.04),
        Paint.ARTERY: get_material(Tissue.BLOOD),
        Paint.VEIN: get_material(Tissue.VEIN),
        Paint.LUNG: get_material(Tissue.LUNG),
        Paint.LIVER: replace(organ, t1_ms=586.0, t2_ms=46.0, t2_star_ms=26.0, hu=60.0),
        Paint.SPLEEN: replace(organ, t1_ms=1057.0, t2_ms=79.0, t2_star_ms=40.0, hu=48.0),
        Paint.KIDNEY: replace(organ, t1_ms=966.0, t2_ms=87.0, t2_star_ms=45.0, hu=34.0),
        Paint.GLAND: replace(organ, t1_ms=800.0, t2_ms=65.0, fat_fraction=0.15, hu=45.0),
        Paint.BOWEL_WALL: replace(bowel, t2_ms=60.0, hu=40.0, texture=0.1),
        Paint.BOWEL_FLUID: bowel,
        Paint.STOOL: replace(bowel, proton_density=0.6, t1_ms=500.0, t2_ms=45.0, fat_fraction=0.15, hu=-40.0),
        Paint.URINE: replace(
            get_material(Tissue.CSF),
            t1_ms=3000.0,
            t2_ms=900.0,
            t2_star_ms=300.0,
            hu=5.0,
            is_flowing=False,
            texture=0.01,
        ),
    }
    return tuple(Part(material=materials[paint]) for paint in Paint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A shell around the body, at each height between an ellipse and a rectangle.

    Args:
        front_mm, back_mm: anterior coordinates of its ends.
        half_width_mm: half width on either side of the midline.
        square: 0 for an ellipse to 1 for a rectangle.
    """

    front_mm: Curve
    back_mm: Curve
    half_width_mm: Curve
    square: float

    @property
    def middle_mm(self) -> Curve:
        """Return the curve halfway between its front and its back."""
        return np.asarray((self.front_mm + self.back_mm) / 2)

    def within(self, points: Points) -> PointValues:
        """Return how far inside points are: 1 in the middle, 0 on the surface, negative outside.

        The section is a squircle after Fernandez-Guasti, Int J Math Educ Sci Technol 23:895 (1992), which needs no
        powers.
        """
        middle = self.middle_mm[points.row]
        half_depth = np.maximum((self.front_mm - self.back_mm) / 2, np.float32(0.5))[points.row]
        across = (points.x / np.maximum(self.half_width_mm, np.float32(0.5))[points.row]) ** 2
        along = ((points.y - middle) / half_depth) ** 2
        return np.asarray(1 - across - along + np.float32(self.square) * np.minimum(across * along, 1))


def boxes_overlap(box_mm: Float, other_mm: Float) -> bool:
    """Return whether two boxes (2, 3) overlap."""
    return bool((box_mm[0] < other_mm[1]).all() and (other_mm[0] < box_mm[1]).all())


class PaintedShape(Protocol):
    """A shape that is painted as one part, or as one inside another."""

    @property
    def box_mm(self) -> Float:
        """Return the lowest and highest x, y and z that it reaches, (2, 3)."""
        ...

    def paint(self, points: Points, ids: PartIds) -> None:
        """Paint the points inside it."""
        ...


def paint_shapes(shapes: Iterable[PaintedShape], points: Points, ids: PartIds) -> None:
    """Paint shapes one over another, each on the points near it."""
    box = points.box_mm()
    for shape in shapes:
        if boxes_overlap(shape.box_mm, box):
            near = points.inside(shape.box_mm)
            part = ids[near]
            shape.paint(points.take(near), part)
            ids[near] = part


@dataclass(frozen=True, slots=True, kw_only=True)
class LongitudinalTube:
    """A tube along the spine with an elliptic section, such as a vessel, a muscle or an airway.

    Args:
        part: part that it consists of.
        rows: x, y, and one over the semi-axes along both of its section at each row, (rows, 4); y is infinite where
            there is none of it.
        box_mm: see `PaintedShape`.
        lumen: part of its contents; `part` as well when None.
        lumen_share: radius of the lumen over its own.
    """

    part: Paint
    rows: NDArray[np.float32]
    box_mm: Float
    lumen: Paint | None = None
    lumen_share: float = 0.0

    def paint(self, points: Points, ids: PartIds) -> None:
        """Paint the points inside it."""
        section = self.rows[points.row]
        radius2 = ((points.x - section[:, 0]) * section[:, 2]) ** 2 + ((points.y - section[:, 1]) * section[:, 3]) ** 2
        ids[radius2 < 1] = self.part
        if self.lumen is not None:
            ids[radius2 < self.lumen_share**2] = self.lumen


def make_longitudinal_tube(
    guide: Guide,
    part: Paint,
    anchor: Curve,
    table: Mapping[str, tuple[float, float, float, float]],
    *,
    side: int = 1,
    lumen: Paint | None = None,
    lumen_share: float = 0.0,
) -> LongitudinalTube:
    """Run a tube with round ends along a column.

    Args:
        guide: curves along the column.
        part: part that it consists of.
        anchor: curve from which its places are measured.
        table: level to x, distance in front of the anchor, and the semi-axes along x and y, mm.
        side: -1 mirrors it.
        lumen, lumen_share: see `LongitudinalTube`.
    """
    levels = list(table)
    x, forward, a, b = (guide.curve_through({level: table[level][i] for level in levels}) for i in range(4))
    z = guide.heights_mm
    beyond = np.maximum(z - guide.height_mm(levels[0]), guide.height_mm(levels[-1]) - z)
    taper = np.sqrt(np.clip(1 - np.square(np.maximum(beyond, 0) / np.minimum(a, b)), 0, 1))
    there = taper > 0
    x, y, a, b = side * x, anchor + forward, np.maximum(a * taper, 1e-3), np.maximum(b * taper, 1e-3)
    ends = [np.stack([x + sign * a, y + sign * b, z], axis=1)[there] for sign in (-1, 1)]
    box = np.array([ends[0].min(axis=0), ends[1].max(axis=0)])
    rows = np.stack([x, np.where(there, y, np.inf), 1 / a, 1 / b], axis=1).astype(np.float32)
    return LongitudinalTube(part=part, rows=rows, box_mm=box, lumen=lumen, lumen_share=lumen_share)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintedEllipsoid:
    """An ellipsoid with a part to paint, in the coordinates of `Points`.

    Args:
        part: part that it consists of.
        centre_mm: x, y, z, (3,).
        radii_mm: semi-axes, (3,).
        pitch_deg: angle by which its y axis rises forward.
        core: part below its outermost `shell_mm`; `part` as well when None.
        shell_mm: thickness of that layer.
    """

    part: Paint
    centre_mm: tuple[float, float, float]
    radii_mm: tuple[float, float, float]
    pitch_deg: float = 0.0
    core: Paint | None = None
    shell_mm: float = 0.0

    @property
    def box_mm(self) -> Float:
        """See `PaintedShape`."""
        a, b, c = self.radii_mm
        cosine, sine = math.cos(math.radians(self.pitch_deg)), math.sin(math.radians(self.pitch_deg))
        reach = (a, math.hypot(b * cosine, c * sine), math.hypot(b * sine, c * cosine))
        ends = [(middle - away, middle + away) for middle, away in zip(self.centre_mm, reach, strict=True)]
        return np.array(ends).T

    def radius2(self, points: Points) -> PointValues:
        """Return the squared distance from its centre, 1 on the surface."""
        axes = zip((points.x, points.y, points.z), self.centre_mm, strict=True)
        x, y, z = (value - np.float32(centre) for value, centre in axes)
        if self.pitch_deg:
            pitch = np.radians(self.pitch_deg)
            cosine, sine = np.float32(np.cos(pitch)), np.float32(np.sin(pitch))
            y, z = cosine * y + sine * z, cosine * z - sine * y
        a, b, c = (np.float32(1 / radius) for radius in self.radii_mm)
        return np.asarray((x * a) ** 2 + (y * b) ** 2 + (z * c) ** 2)

    def paint(self, points: Points, ids: PartIds) -> None:
        """Paint the points inside it."""
        radius2 = self.radius2(points)
        ids[radius2 < 1] = self.part
        if self.core is not None:
            ids[radius2 < (1 - self.shell_mm / min(self.radii_mm)) ** 2] = self.core
