"""Findings put back into the sagittal stack from which pictures and masks are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from spondyl.anatomy.level import Level
from spondyl.findings import Disc, Findings, Vertebra
from spondyl.geometry.affine import Affine, Float

__all__ = ["PlacedDisc", "PlacedVertebra", "place_discs", "place_vertebrae"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedVertebra:
    """A vertebra of the findings in the index space (slice, row, column) of a sagittal stack.

    Args:
        level: its level.
        probability: of that level.
        centroid: (3,).
        slices: (n,) increasing positions of the outlines.
        outlines: (n, 4, 2) corners as (row, column).
    """

    level: Level
    probability: float
    centroid: Float
    slices: Float
    outlines: Float

    @classmethod
    def from_vertebra(cls, vertebra: Vertebra, stack_affine: Affine) -> Self:
        """Map a vertebra from RAS mm into the stack with this affine."""
        corners = stack_affine.to_index(np.array(vertebra.outline_mm))
        order = np.argsort(corners[:, :, 0].mean(axis=1))
        return cls(
            level=vertebra.level,
            probability=vertebra.level_probability,
            centroid=stack_affine.to_index(vertebra.centroid_mm),
            slices=corners[order, :, 0].mean(axis=1),
            outlines=corners[order, :, 1:],
        )

    def outline_at(self, positions: Float) -> Float:
        """Outlines at any slice positions (...), interpolated between neighbours, (..., 4, 2) as (row, column)."""
        flat = self.outlines.reshape(len(self.slices), 8)
        columns = [np.interp(positions, self.slices, flat[:, number]) for number in range(8)]
        return np.stack(columns, axis=-1).reshape(*np.shape(positions), 4, 2)


def place_vertebrae(findings: Findings, stack_affine: Affine) -> tuple[PlacedVertebra, ...]:
    """All vertebrae of the findings in the index space of a stack, from head to foot."""
    return tuple(PlacedVertebra.from_vertebra(vertebra, stack_affine) for vertebra in findings.vertebrae)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedDisc:
    """A disc of the findings in the index space (slice, row, column) of a sagittal stack.

    Args:
        level: its name.
        probability: of that name.
        centre: (3,).
        posterior_edge: (3,); None where it is not known.
    """

    level: str
    probability: float
    centre: Float
    posterior_edge: Float | None

    @classmethod
    def from_disc(cls, disc: Disc, stack_affine: Affine) -> Self:
        """Map a disc from RAS mm into the stack with this affine."""
        edge = disc.posterior_mm
        return cls(
            level=disc.level,
            probability=disc.probability,
            centre=stack_affine.to_index(disc.centroid_mm),
            posterior_edge=None if edge is None else stack_affine.to_index(edge),
        )


def place_discs(findings: Findings, stack_affine: Affine) -> tuple[PlacedDisc, ...]:
    """All discs of the findings in the index space of a stack, from head to foot."""
    return tuple(PlacedDisc.from_disc(disc, stack_affine) for disc in findings.discs)
