"""The stages of an analysis in the order in which they run, and the kinds of structures that they deal with."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Stage", "Structure"]


class Stage(StrEnum):
    """One step from a scan to findings; the members are listed in the order in which they run."""

    LOCATE = "locate"
    """Finds candidates: places that may be vertebrae or discs."""
    REFINE = "refine"
    """Removes false candidates and corrects the others."""
    IDENTIFY = "identify"
    """Gives the candidates levels, with probabilities."""
    SEGMENT = "segment"
    """Labels the voxels."""
    GRADE = "grade"
    """Grades discs on radiological scales."""
    MEASURE = "measure"
    """Measures what was found."""


class Structure(StrEnum):
    """A kind of structure that is located and named."""

    VERTEBRA = "vertebra"
    DISC = "disc"
