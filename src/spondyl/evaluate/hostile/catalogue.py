"""All hostile cases, in the order of the table."""

from __future__ import annotations

from spondyl.evaluate.hostile.case import Case
from spondyl.evaluate.hostile.metaimage import metaimage_cases
from spondyl.evaluate.hostile.nifti_file import nifti_file_cases
from spondyl.evaluate.hostile.nifti_header import nifti_header_cases

__all__ = ["all_cases"]

_FAMILIES = (nifti_header_cases, nifti_file_cases, metaimage_cases)


def all_cases() -> tuple[Case, ...]:
    """Every case, each made anew; nothing is written before one is run."""
    return tuple(case for family in _FAMILIES for case in family())
