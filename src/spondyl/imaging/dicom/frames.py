"""The headers of DICOM files as frames, in one form for single images and the frames of enhanced objects.

Only the elements named in `_KEYWORDS` are read, so that no frame holds a patient's name, number or date.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from spondyl.imaging.archive import Member
from spondyl.imaging.dicom.stream import bounded_header, open_dicom
from spondyl.imaging.limits import MAX_COORDINATE_MM
from spondyl.types import Float

__all__ = ["Frame", "frames_of", "is_dicom"]

Dataset = Any
"""A pydicom Dataset; its elements are attributes that no type checker knows."""

Elements = dict[str, Any]
"""The values of elements by keyword."""

NEAR_UNIT = 0.01
"""The largest deviation of direction cosines from orthonormality; headers are rounded."""

_KEYWORDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "SeriesInstanceUID",
    "SeriesNumber",
    "InstanceNumber",
    "ImageType",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "RescaleSlope",
    "RescaleIntercept",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "TemporalPositionIdentifier",
    "DiffusionBValue",
    "TriggerTime",
    "AcquisitionNumber",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)

_GROUPS = (
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "FrameContentSequence",
    "MRImageFrameTypeSequence",
    "CTImageFrameTypeSequence",
    "MREchoSequence",
    "MRDiffusionSequence",
    "MRTimingAndRelatedParametersSequence",
)
"""The functional groups of enhanced objects that matter for geometry, values and the choice of a stack."""

_FIRST_ELEMENTS = (b"\x08\x00", b"\x02\x00")
"""The first bytes of a data set without the 128-byte preamble: group 0008 or 0002, little endian."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One image in space.

    Args:
        member: index of its file.
        index: its number in the file, from 0.
        series, instance: unique identifiers, empty where none is stated; never to be shown.
        order: series number and instance number, to put things in a stable order; never to be shown.
        shape: rows and columns.
        position_lps_mm: (3,), centre of the first pixel.
        axes_lps: (2, 3), unit directions along a row and down a column.
        pixel_mm: (2,), distance of neighbouring rows, of neighbouring columns.
        slice_mm: the stated distance between slices, or their thickness; nan where neither is stated.
        rescale: slope and intercept from stored to real values.
        contrast: properties that distinguish the images at one position, the most distinctive first.
    """

    member: int
    index: int
    series: str
    instance: str
    order: tuple[int, int]
    modality: str
    shape: tuple[int, int]
    position_lps_mm: Float
    axes_lps: Float
    pixel_mm: Float
    slice_mm: float
    rescale: tuple[float, float]
    is_inverted: bool
    is_localiser: bool
    is_magnitude: bool
    is_t2_weighted: bool
    contrast: tuple[str, ...]

    @property
    def name(self) -> str:
        """A name that no other frame has, to put frames in a stable order; never to be shown."""
        return f"{self.instance or self.member}/{self.index}"

    @property
    def normal_lps(self) -> Float:
        """The unit normal of the image plane, (3,), right-handed with `axes_lps`."""
        (a, b, c), (d, e, f) = self.axes_lps.tolist()  # numpy.cross takes twenty times as long
        return np.array([b * f - c * e, c * d - a * f, a * e - b * d])


def is_dicom(head: bytes) -> bool:
    """Tell whether a file's first 132 bytes look like DICOM, with or without its preamble."""
    return head[128:132] == b"DICM" or head[:2] in _FIRST_ELEMENTS


def frames_of(member: Member, number: int) -> list[Frame]:
    """Read all frames of a file that have a position in space; none for reports, colour images and the like.

    Args:
        member: the file.
        number: its index, kept in the frames.
    """
    from pydicom import dcmread

    with open_dicom(member) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote values
        try:
            header = dcmread(bounded_header(stream), force=True, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
            frames = [_parse(elements, number, index) for index, elements in enumerate(_elements_of_frames(header))]
        except Exception:  # pydicom raises many kinds on damaged headers, at any access; such a file is no image
            return []
    return [frame for frame in frames if _is_plausible(frame)]


def _elements_of_frames(header: Dataset) -> Iterator[Elements]:
    """Yield the elements of each frame that have a value: its own override shared ones, which override the object's."""
    own = _values(header)
    shared = own | _flatten(header.get("SharedFunctionalGroupsSequence") or [])
    per_frame = header.get("PerFrameFunctionalGroupsSequence")
    if per_frame:
        yield from (shared | _flatten([group]) for group in per_frame)
    elif int(own.get("NumberOfFrames") or 1) == 1:
        yield shared


def _flatten(groups: Any) -> Elements:
    elements: Elements = {}
    for group in groups:
        for name in _GROUPS:
            for item in group.get(name) or []:
                elements |= _values(item)
    return elements


def _values(elements: Dataset) -> Elements:
    values = {element.keyword: element.value for element in elements if element.VR != "SQ" and element.keyword}
    return {keyword: value for keyword, value in values.items() if value not in (None, "", [])}


def _is_plausible(frame: Frame) -> bool:
    """Tell whether the geometry of a frame is plausible: finite, near the origin, with orthonormal axes."""
    numbers = (*frame.position_lps_mm, *frame.axes_lps.flat, *frame.pixel_mm, *frame.rescale)
    (a, b, c), (d, e, f) = frame.axes_lps.tolist()
    products = (a * a + b * b + c * c - 1, d * d + e * e + f * f - 1, a * d + b * e + c * f)
    return (
        all(map(isfinite, numbers))
        and max(map(abs, products)) < NEAR_UNIT
        and max(map(abs, frame.position_lps_mm)) <= MAX_COORDINATE_MM
        and min(frame.pixel_mm) > 0
        and min(frame.shape) > 1
    )


def _parse(elements: Elements, number: int, index: int) -> Frame:
    def get(*keywords: str) -> Any:
        """Return the first of the elements that has a value."""
        return next((elements[keyword] for keyword in keywords if keyword in elements), None)

    if int(get("SamplesPerPixel") or 1) != 1 or not str(get("PhotometricInterpretation")).startswith("MONOCHROME"):
        raise ValueError("not a greyscale image")
    kind = {str(word).upper() for word in _words(get("FrameType", "ImageType"))}
    echo_ms = float(get("EffectiveEchoTime", "EchoTime") or 0)
    return Frame(
        member=number,
        index=index,
        series=str(get("SeriesInstanceUID") or ""),
        instance=str(get("SOPInstanceUID") or ""),
        order=(int(get("SeriesNumber") or 0), int(get("InstanceNumber") or 0)),
        modality=str(get("Modality") or ""),
        shape=(int(get("Rows")), int(get("Columns"))),
        position_lps_mm=_vector(get("ImagePositionPatient"), 3),
        axes_lps=_vector(get("ImageOrientationPatient"), 6).reshape(2, 3),
        pixel_mm=_vector(get("PixelSpacing"), 2),
        slice_mm=abs(float(get("SpacingBetweenSlices", "SliceThickness") or np.nan)),
        rescale=(float(get("RescaleSlope") or 1), float(get("RescaleIntercept") or 0)),
        is_inverted=get("PhotometricInterpretation") == "MONOCHROME1",
        is_localiser="LOCALIZER" in kind,
        is_magnitude=not kind & {"P", "PHASE", "PHASE MAP", "REAL", "IMAGINARY", "R", "I"},
        is_t2_weighted=echo_ms >= 60 and float(get("RepetitionTime") or 0) >= 1500 and get("InversionTime") is None,
        contrast=(
            str(get("TemporalPositionIndex", "TemporalPositionIdentifier")),
            f"{echo_ms:09.3f}",
            "/".join(sorted(kind)),
            *(
                str(get(keyword))
                for keyword in ("DiffusionBValue", "InversionTime", "AcquisitionNumber", "TriggerTime")
            ),
        ),
    )


def _words(value: Any) -> list[Any]:
    return [value] if value is None or isinstance(value, str) else list(value)


def _vector(value: Any, count: int) -> Float:
    vector = np.array([float(number) for number in value], dtype=np.float64)
    if vector.shape != (count,):
        raise ValueError(f"{count} numbers expected")
    return vector
