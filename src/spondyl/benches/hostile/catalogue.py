"""All hostile cases, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from spondyl.benches.hostile.case import Case
from spondyl.benches.hostile.command_line import command_line_cases
from spondyl.benches.hostile.dicom_elements import dicom_element_cases
from spondyl.benches.hostile.dicom_files import dicom_file_cases
from spondyl.benches.hostile.dicom_pixels import dicom_pixel_cases
from spondyl.benches.hostile.folders import folder_cases
from spondyl.benches.hostile.geometry import geometry_cases
from spondyl.benches.hostile.machine import machine_cases
from spondyl.benches.hostile.metaimage import metaimage_cases
from spondyl.benches.hostile.nifti_file import nifti_file_cases
from spondyl.benches.hostile.nifti_header import nifti_header_cases
from spondyl.benches.hostile.zips import zip_cases

__all__ = ["all_cases"]

_FAMILIES: tuple[Callable[[], Iterator[Case]], ...] = (
    nifti_header_cases,
    nifti_file_cases,
    metaimage_cases,
    dicom_element_cases,
    dicom_pixel_cases,
    dicom_file_cases,
    zip_cases,
    folder_cases,
    geometry_cases,
    command_line_cases,
    machine_cases,
)


def all_cases() -> tuple[Case, ...]:
    """Every case, each made anew; nothing is written before one is run."""
    return tuple(case for family in _FAMILIES for case in family())
