"""The tubes along a spine: great vessels, airway, oesophagus, and the muscles beside and in front of the bodies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spondyl.phantom.surroundings.frame import Curve, Guide
from spondyl.phantom.surroundings.shapes import LongitudinalTube, Paint, make_longitudinal_tube
from spondyl.phantom.surroundings.wall import Habitus

__all__ = ["draw_tubes"]

_Table = Mapping[str, tuple[float, float, float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _TubeCourse:
    """The course of a tube along the column.

    Args:
        part: part that it consists of.
        table: level to x, distance in front of the bodies, and semi-axes along x and y, mm; levels head to foot.
        lumen, lumen_share: see `LongitudinalTube`.
        is_paired: True for a pair, mirrored.
        is_muscle: True where it grows with the patient's muscles.
    """

    part: Paint
    table: _Table
    lumen: Paint | None = None
    lumen_share: float = 0.0
    is_paired: bool = False
    is_muscle: bool = False


_COURSES = (
    # Muscles first: vessels and airway lie on them.
    _TubeCourse(
        part=Paint.MUSCLE,  # longus colli and capitis
        table={"C1": (9, 3, 8, 3), "C4": (10, 2.5, 9, 3), "T1": (9, 2, 8, 2.5), "T3": (7, 1, 5, 1.5)},
        is_paired=True,
        is_muscle=True,
    ),
    _TubeCourse(
        part=Paint.MUSCLE,  # scalenes
        table={"C2": (27, -8, 8, 8), "C5": (30, -8, 12, 11), "T1": (40, -6, 14, 12)},
        is_paired=True,
        is_muscle=True,
    ),
    _TubeCourse(
        part=Paint.MUSCLE,  # sternocleidomastoid
        table={"O": (56, -8, 9, 12), "C3": (44, 8, 9, 14), "C6": (35, 22, 12, 8), "T2": (18, 44, 10, 5)},
        is_paired=True,
        is_muscle=True,
    ),
    _TubeCourse(
        part=Paint.MUSCLE,  # strap muscles
        table={"C4": (12, 36, 10, 3), "C6": (12, 35, 11, 3), "T2": (12, 44, 10, 3)},
        is_paired=True,
        is_muscle=True,
    ),
    _TubeCourse(
        part=Paint.MUSCLE,  # psoas
        table={
            "T12": (23, -20, 5, 6),
            "L1": (29, -18, 9, 13),
            "L2": (34, -18, 13, 17),
            "L3": (40, -17, 18, 21),
            "L4": (45, -15, 21, 24),
            "L5": (51, -3, 21, 23),
            "S1": (60, 22, 19, 20),
            "S3": (78, 90, 18, 17),
            "Co": (85, 110, 18, 16),
        },
        is_paired=True,
        is_muscle=True,
    ),
    _TubeCourse(
        part=Paint.MUSCLE,  # crura of the diaphragm
        table={"T11": (13, 7, 6, 5), "T12": (11, 6, 6, 5), "L1": (11, 5, 5, 4), "L3": (8, 2.5, 4, 2)},
        is_paired=True,
        is_muscle=True,
    ),
    _TubeCourse(
        part=Paint.MUSCLE,  # piriformis
        table={"S1": (42, -12, 8, 6), "S3": (50, 4, 22, 9), "S5": (66, 8, 18, 9)},
        is_paired=True,
        is_muscle=True,
    ),
    _TubeCourse(
        part=Paint.CARTILAGE,  # larynx, then trachea
        table={
            "C3": (0, 20, 9, 7),
            "C4": (0, 27, 11, 9),
            "C5": (0, 28, 12, 11),
            "C6": (0, 25, 11, 10.5),
            "C7": (0, 22, 10, 10),
            "T2": (1, 20, 10, 9.5),
            "T4": (3, 21, 11, 9.5),
        },
        lumen=Paint.AIR,
        lumen_share=0.8,
    ),
    _TubeCourse(
        part=Paint.MUCOSA,  # pharynx behind tongue and larynx
        table={
            "C1": (0, 12, 16, 9),
            "C2": (0, 13, 15, 9),
            "C3": (0, 14, 13, 8),
            "C4": (0, 12, 13, 6),
            "C5": (0, 9, 12, 5),
        },
    ),
    _TubeCourse(
        part=Paint.AIR,
        table={"C1": (0, 14, 12, 6), "C2": (0, 15, 11, 6), "C3": (0, 16, 8, 5), "C4": (0, 17, 6, 4)},
    ),
    _TubeCourse(
        part=Paint.CARTILAGE,  # main bronchi
        table={"T4": (6, 21, 8, 8), "T6": (34, 26, 7, 7)},
        lumen=Paint.AIR,
        lumen_share=0.82,
        is_paired=True,
    ),
    _TubeCourse(
        part=Paint.MUSCLE,  # oesophagus
        table={
            "C5": (-1, 7, 9, 3.5),
            "T1": (-3, 7, 8, 4),
            "T5": (-4, 6, 8, 4.5),
            "T8": (-5, 11, 8, 5),
            "T9": (-9, 18, 8, 6),
            "T11": (-20, 34, 9, 7),
        },
        lumen=Paint.MUCOSA,
        lumen_share=0.45,
    ),
    _TubeCourse(
        part=Paint.GLAND,  # thyroid
        table={"C5": (19, 27, 5, 8), "C6": (18, 24, 9, 12), "C7": (17, 22, 10, 12), "T1": (16, 21, 6, 8)},
        is_paired=True,
    ),
    _TubeCourse(
        part=Paint.ARTERY,  # carotid
        table={"O": (27, 4, 3, 3), "C3": (26, 13, 4.2, 4.2), "C6": (24, 14, 3.6, 3.6), "T2": (20, 26, 4, 4)},
        is_paired=True,
    ),
    _TubeCourse(
        part=Paint.VEIN,  # jugular
        table={"O": (30, -2, 4, 4), "C3": (34, 10, 6, 5), "C6": (34, 18, 7, 6), "T2": (28, 36, 7, 6)},
        is_paired=True,
    ),
    _TubeCourse(part=Paint.VEIN, table={"T2": (20, 40, 8, 7), "T4": (27, 50, 9, 8), "T7": (30, 48, 10, 10)}),
    _TubeCourse(part=Paint.ARTERY, table={"T1": (12, 26, 5, 5), "T3": (2, 34, 7, 7)}),  # brachiocephalic trunk
    _TubeCourse(part=Paint.VEIN, table={"T2": (0, 46, 30, 6), "T3": (10, 50, 22, 6)}),  # brachiocephalic veins
    _TubeCourse(part=Paint.ARTERY, table={"T4": (20, 62, 15, 15), "T5": (20, 66, 15, 15), "T7": (8, 70, 15, 15)}),
    _TubeCourse(part=Paint.ARTERY, table={"T4": (-18, 66, 13, 14), "T6": (-8, 82, 14, 15)}),  # pulmonary trunk
    _TubeCourse(part=Paint.ARTERY, table={"T3": (-4, 40, 12, 24), "T4": (-8, 36, 13, 32)}),  # arch of the aorta
    _TubeCourse(
        part=Paint.ARTERY,  # aorta
        table={
            "T4": (-22, 4, 12.5, 13),
            "T8": (-18, 4, 11.5, 11.5),
            "T11": (-11, 8, 10.5, 10.5),
            "L1": (-8, 12, 9.5, 9.5),
            "L3": (-8, 10.5, 8.5, 8.5),
            "L4": (-5, 9.5, 9, 7.5),
        },
    ),
    _TubeCourse(
        part=Paint.ARTERY, table={"T12": (-5, 21, 3, 3), "L1": (-4, 28, 3, 4), "L3": (4, 32, 3, 3)}
    ),  # mesenteric
    _TubeCourse(part=Paint.VEIN, table={"L1": (9, 34, 5, 5), "L3": (10, 36, 5, 4)}),
    _TubeCourse(part=Paint.VEIN, table={"T3": (7, 8, 3, 3), "T5": (7, 4, 3.5, 3), "L1": (8, 2, 2.5, 2)}),  # azygos
    _TubeCourse(
        part=Paint.VEIN,  # vena cava
        table={
            "T9": (22, 34, 11, 10),
            "T12": (18, 24, 12, 10),
            "L2": (16, 11, 11, 8),
            "L4": (13, 9, 11, 7),
            "L5": (7, 7, 11, 6),
        },
    ),
    _TubeCourse(
        part=Paint.VEIN,  # iliac veins behind and inside of the arteries
        table={"L5": (11, 6, 9, 6), "S1": (28, 5, 7, 6), "S3": (46, 36, 7, 7), "Co": (55, 85, 7, 7)},
        is_paired=True,
    ),
    _TubeCourse(
        part=Paint.ARTERY,  # iliac arteries
        table={
            "L4": (6, 10, 6, 6),
            "L5": (17, 13, 6, 6),
            "S1": (32, 14, 5.5, 5.5),
            "S3": (52, 48, 5, 5),
            "Co": (60, 95, 5, 5),
        },
        is_paired=True,
    ),
)
"""The tubes in the order of painting, placed after adult cross-sectional anatomy at each level.

Sizes of the aorta follow Hager et al., J Thorac Cardiovasc Surg 123:1060 (2002), those of the psoas the sections of our
scans.
"""


def draw_tubes(guide: Guide, habitus: Habitus, rng: np.random.Generator) -> tuple[LongitudinalTube, ...]:
    """Draw the tubes along a column, each with a position and size that vary."""
    tubes = []
    for course in _COURSES:
        size = float(np.exp(rng.normal(0, 0.1))) * (habitus.muscle if course.is_muscle else 1.0)
        sideways, forward = rng.normal(0, (1.0, 1.0))
        for side in (1, -1) if course.is_paired else (1,):
            table = {
                level: (x + sideways, y + abs(forward) * (y > 0), a * size, b * size)
                for level, (x, y, a, b) in course.table.items()
            }
            tubes.append(_make_tube(guide, guide.front_mm, course, table, side))
    return tuple(tubes)


def _make_tube(guide: Guide, anchor: Curve, course: _TubeCourse, table: _Table, side: int) -> LongitudinalTube:
    return make_longitudinal_tube(
        guide, course.part, anchor, table, side=side, lumen=course.lumen, lumen_share=course.lumen_share
    )
