"""A healthy column as a plan, made of round numbers."""

from dataclasses import replace
from functools import cache

import numpy as np

from spondyl.anatomy.level import Level, Region
from spondyl.anatomy.numbering import REGULAR, Numbering
from spondyl.phantom.column.column import (
    Column,
    ColumnPlan,
    CurveAngles,
    DiscSize,
    PlacedVertebra,
    Transition,
    VertebraSize,
    place_column,
    settle_tilts,
)
from spondyl.phantom.column.draw import draw_plan

_HEIGHT_DEPTH_CANAL_MM = {
    Region.CERVICAL: (14.0, 17.0, 14.0),
    Region.THORACIC: (20.0, 28.0, 15.0),
    Region.LUMBAR: (28.0, 35.0, 17.0),
    Region.SACRAL: (28.0, 32.0, 16.0),
}


def a_size(level: Level) -> VertebraSize:
    """A box with concave ends."""
    height_mm, depth_mm, canal_mm = _HEIGHT_DEPTH_CANAL_MM[level.region]
    return VertebraSize(
        anterior_height_mm=height_mm,
        posterior_height_mm=height_mm,
        concavity_mm=1.0,
        upper_depth_mm=depth_mm,
        lower_depth_mm=depth_mm,
        upper_width_mm=1.3 * depth_mm,
        lower_width_mm=1.3 * depth_mm,
        pedicle_width_mm=7.0,
        pedicle_height_mm=12.0,
        pedicle_distance_mm=25.0,
        canal_width_mm=22.0,
        canal_depth_mm=canal_mm,
        spinous_length_mm=30.0,
        transverse_span_mm=70.0,
    )


def a_plan(numbering: Numbering = REGULAR) -> ColumnPlan:
    """Every disc 8 mm high in front and 6 mm behind; S1 slopes by 38 degrees."""
    count = len(numbering.levels)
    plan = ColumnPlan(
        numbering=numbering,
        transition=Transition.NONE,
        sizes=tuple(a_size(level) for level in numbering.levels),
        discs=(DiscSize(anterior_height_mm=8.0, posterior_height_mm=6.0),) * (count - 1),
        sagittal_deg=np.full(count, 38.0),
        coronal_deg=np.zeros(count),
        axial_deg=np.zeros(count),
        angles=CurveAngles(
            pelvic_incidence_deg=50.0,
            sacral_slope_deg=38.0,
            lumbar_lordosis_deg=0.0,
            thoracic_kyphosis_deg=0.0,
            cervical_lordosis_deg=0.0,
            scoliosis_cobb_deg=0.0,
        ),
    )
    return settle_tilts(plan)


def upright_plan(numbering: Numbering = REGULAR) -> ColumnPlan:
    """Every body a box and every disc even, so that the column stands straight up."""
    plan = a_plan(numbering)
    flat = np.zeros(len(plan.sizes))
    discs = tuple(DiscSize(anterior_height_mm=7.0, posterior_height_mm=7.0) for _ in plan.discs)
    return replace(plan, discs=discs, sagittal_deg=flat, coronal_deg=flat, axial_deg=flat)


@cache
def upright_column() -> Column:
    """The upright plan, placed: every vertebra looks to the front."""
    return place_column(upright_plan())


def vertebra_of(column: Column, level: Level) -> PlacedVertebra:
    """The vertebra of a level."""
    return next(vertebra for vertebra in column.vertebrae if vertebra.level is level)


@cache
def drawn_plans(count: int = 300) -> tuple[ColumnPlan, ...]:
    """Plans of as many patients, each with a seed of its own."""
    return tuple(draw_plan(np.random.default_rng(seed)) for seed in range(count))
