"""All hostile cases, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from spondyl.benches.hostile.case import Case
from spondyl.benches.hostile.command_line import list_command_line_cases
from spondyl.benches.hostile.dicom.elements import list_dicom_element_cases
from spondyl.benches.hostile.dicom.files import list_dicom_file_cases
from spondyl.benches.hostile.dicom.pixels import list_dicom_pixel_cases
from spondyl.benches.hostile.folders import list_folder_cases
from spondyl.benches.hostile.geometry import list_geometry_cases
from spondyl.benches.hostile.machine import list_machine_cases
from spondyl.benches.hostile.metaimage import list_metaimage_cases
from spondyl.benches.hostile.nifti.file import list_nifti_file_cases
from spondyl.benches.hostile.nifti.header import list_nifti_header_cases
from spondyl.benches.hostile.zips import list_zip_cases

__all__ = ["list_cases"]

_FAMILIES: tuple[Callable[[], Iterator[Case]], ...] = (
    list_nifti_header_cases,
    list_nifti_file_cases,
    list_metaimage_cases,
    list_dicom_element_cases,
    list_dicom_pixel_cases,
    list_dicom_file_cases,
    list_zip_cases,
    list_folder_cases,
    list_geometry_cases,
    list_command_line_cases,
    list_machine_cases,
)


def list_cases() -> tuple[Case, ...]:
    """List every case, each made anew; nothing is written before one is run."""
    return tuple(case for family in _FAMILIES for case in family())
