"""The honest scan from which hostile ones are made, small and quick to analyse, with a patient planted wherever a
format can hold one.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spondyl.benches.hostile.case import Workspace
from spondyl.imaging.dicom.write import MrTimes, Series, to_dicom_slices
from spondyl.imaging.volume import Volume
from spondyl.phantom.options import PhantomOptions
from spondyl.phantom.patient import Phantom, make_phantom

__all__ = [
    "IDENTIFIERS",
    "PATIENT",
    "PATIENT_ID",
    "PATIENT_UID",
    "Dataset",
    "Edit",
    "make_base_affine",
    "make_base_phantom",
    "make_base_series",
    "make_base_volume",
    "make_base_voxels",
    "put_raw",
    "to_bytes",
    "to_dataset",
    "write_series",
]

Dataset = Any
"""pydicom's Dataset; its elements are attributes that no type checker knows."""

Edit = Callable[[Dataset, int], None]
"""Changes the data set of one slice, given its number."""

PATIENT = "Zweistein^Albertine"
PATIENT_ID = "PID-4711-0815"
PATIENT_UID = "1.2.826.0.1.3680043.10.4711"
_BIRTH = "19391107"
IDENTIFIERS = ("zweistein", "albertine", "pid-4711", _BIRTH, PATIENT_UID)
"""Texts about the planted patient, in lower case; none may appear in any output, in upper or lower case."""

_SPACING_MM = 2.4
_TIMES = MrTimes(tr_ms=4000, te_ms=100, ti_ms=0, flip_deg=90, field_strength_t=1.5, is_gradient_echo=False, slice_mm=4)


@cache
def make_base_phantom() -> Phantom:
    """Make a sagittal T2 of a regular lumbar spine, 15 slices."""
    options = PhantomOptions.from_text(
        seed=1, sequence="t2", spacing_mm=_SPACING_MM, variant="regular", cobb_deg=0, severity=0, screws="none"
    )
    return make_phantom(options)


@cache
def make_base_volume() -> Volume:
    """Make the scan of the base phantom, in whole numbers."""
    drawn = make_base_phantom().volume
    return Volume(voxels=np.rint(drawn.voxels), affine=drawn.affine, modality=drawn.modality)


def make_base_voxels() -> NDArray[np.int16]:
    """Make its voxels as they are stored, (i, j, k)."""
    return make_base_volume().voxels.astype(np.int16)


def make_base_affine() -> NDArray[np.float64]:
    """Make its affine from (i, j, k) to RAS mm, (4, 4); a copy."""
    return make_base_volume().affine.matrix.copy()


@cache
def make_base_series() -> tuple[bytes, ...]:
    """Make its slices as DICOM files, in order."""
    series = Series(patient="base", scan="base", description=f"spine of {PATIENT}", mr=_TIMES)
    return tuple(to_bytes(_named(content, n)) for n, content in enumerate(_slices(series)))


def _slices(series: Series) -> Iterable[bytes]:
    return to_dicom_slices(make_base_volume(), series, slice_axis=0)


def _named(content: bytes, number: int) -> Dataset:
    """Make a slice with the planted patient in place of the phantom's name and identifiers."""
    dataset = to_dataset(content)
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = PATIENT, PATIENT_ID, _BIRTH
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{PATIENT_UID}.1", f"{PATIENT_UID}.2"
    dataset.FrameOfReferenceUID = f"{PATIENT_UID}.3"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{PATIENT_UID}.4.{number}"
    dataset.AccessionNumber, dataset.InstitutionName = PATIENT_ID, f"{PATIENT} Hospital"
    return dataset


def to_dataset(content: bytes) -> Dataset:
    """Parse a file's bytes as a data set."""
    from pydicom import dcmread

    return dcmread(io.BytesIO(content), force=True)


def to_bytes(dataset: Dataset) -> bytes:
    """Write a data set as a file's bytes; nothing of it is checked."""
    from pydicom import config

    stream = io.BytesIO()
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(stream, enforce_file_format=False)
    return stream.getvalue()


def put_raw(dataset: Dataset, keyword: str, value: bytes) -> None:
    """Set an element to these bytes, whatever they mean; a space makes their number even."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    tag = Tag(tag_for_keyword(keyword))  # type: ignore[arg-type]  # keywords are those of the dictionary
    representation = dictionary_VR(tag).partition(" ")[0]
    value += b" " * (len(value) % 2)
    dataset[tag] = RawDataElement(tag, representation, len(value), value, 0, False, True)


def write_series(
    site: Workspace, edit: Edit | None = None, *, only: Iterable[int] | None = None, folder: str = "series"
) -> Path:
    """Write the base series with file names that contradict the order of its slices.

    Args:
        site: where.
        edit: changes each data set.
        only: the slices that are edited; all when None.
        folder: below the inputs.
    """
    edited = set(range(len(make_base_series())) if only is None else only)
    for number, content in enumerate(make_base_series()):
        if edit is not None and number in edited:
            dataset = to_dataset(content)
            edit(dataset, number)
            content = to_bytes(dataset)
        site.put(f"{folder}/{PATIENT}.{number * 7 % 16:02d}.dcm", content)
    return site.scans / folder
