"""The DICOM origin of a volume, which a segmentation or report that is written for it must refer to and repeat.

It identifies a patient, so only the writers of DICOM may read it. It is not shown, printed or logged, and does not
leave the process: its `repr` is empty, and a pickle or copy of it is None.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

from spondyl.imaging.archive import Member
from spondyl.imaging.dicom.stream import bounded_header, open_dicom

__all__ = ["DicomOrigin", "SourceImage", "read_origin"]

_UID = re.compile(r"[0-9.]{1,64}")

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPClassUID")

_REPEATED = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "StudyDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
)
"""Elements of the modules patient, general study and patient study: PS3.3 C.7.1.1, C.7.2.1 and C.7.2.2."""

_MAX_CHARACTERS = 1024
"""A person's name in three writings has at most 194; longer values are ignored."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SourceImage:
    """One frame of a DICOM instance.

    Args:
        instance_uid: of the instance.
        frame: number of the frame in it, from 1; 1 where it holds a single image.
    """

    instance_uid: str
    frame: int

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Keep the identifiers in this process: a pickle or copy is None."""
        return type(None), ()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DicomOrigin:
    """The images that a volume was read from.

    Args:
        study_uid, series_uid, frame_of_reference_uid: of all images.
        sop_class_uid: their kind.
        slices: for each slice of the volume, the last axis of its grid, the image that it is, or the two between
            which it was interpolated.
        patient_and_study: elements that every object of the study repeats, as keyword and text; values of several
            parts are joined by backslashes, as in a file.
    """

    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    sop_class_uid: str
    slices: tuple[tuple[SourceImage, ...], ...]
    patient_and_study: tuple[tuple[str, str], ...] = ()

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Keep the identifiers in this process: a pickle or copy is None."""
        return type(None), ()


def read_origin(member: Member, slices: tuple[tuple[SourceImage, ...], ...]) -> DicomOrigin | None:
    """Read the origin of a volume; None where an identifier is missing or damaged, so that nothing could refer to it.

    Args:
        member: the file of one of the images.
        slices: the images of each slice.
    """
    from pydicom import dcmread

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote values
        try:
            with open_dicom(member) as stream:
                tags = ["SpecificCharacterSet", *_UIDS, *_REPEATED]
                header = dcmread(bounded_header(stream), force=True, stop_before_pixels=True, specific_tags=list(tags))
            texts = {keyword: _text(header.get(keyword)) for keyword in (*_UIDS, *_REPEATED)}
        except Exception:  # pydicom raises many kinds on damaged headers, at any access
            return None
    uids = [texts[keyword] for keyword in _UIDS]
    if not all(_UID.fullmatch(uid) for uid in (*uids, *(image.instance_uid for each in slices for image in each))):
        return None
    study, series, frame_of_reference, sop_class = uids
    return DicomOrigin(
        study_uid=study,
        series_uid=series,
        frame_of_reference_uid=frame_of_reference,
        sop_class_uid=sop_class,
        slices=slices,
        patient_and_study=tuple((keyword, texts[keyword]) for keyword in _REPEATED if texts[keyword]),
    )


def _text(value: object) -> str:
    """Return the value of an element as text; empty for one that is missing or too long."""
    from pydicom.multival import MultiValue

    parts = value if isinstance(value, MultiValue) else [value]
    text = "\\".join("" if part is None else str(part) for part in parts)
    return text if len(text) <= _MAX_CHARACTERS else ""
