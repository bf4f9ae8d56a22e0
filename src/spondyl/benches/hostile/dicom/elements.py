"""DICOM headers: elements missing one by one, and set to what no scanner writes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from spondyl.benches.hostile.base import PATIENT, PATIENT_UID, Dataset, Edit, put_raw, write_series
from spondyl.benches.hostile.case import Case, Family, Prepare
from spondyl.benches.hostile.dicom.damage import pack_unsigned

__all__ = ["list_dicom_element_cases"]

_FAMILY = Family("DICOM elements")

_NEEDED = (
    "Rows",
    "Columns",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "BitsAllocated",
    "PixelData",
)
_OTHERS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "SeriesInstanceUID",
    "ImageType",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)
_IDLE = (
    "StudyInstanceUID",
    "FrameOfReferenceUID",
    "SeriesNumber",
    "InstanceNumber",
    "SliceThickness",
    "SpacingBetweenSlices",
    "EchoTime",
    "RepetitionTime",
    "PatientName",
    "PatientID",
    "SpecificCharacterSet",
)
_PLANTED = f"{PATIENT_UID}.9".encode()

_REFUSED: dict[str, tuple[bytes, ...]] = {
    "Rows": (pack_unsigned(0), pack_unsigned(65535), b""),
    "Columns": (pack_unsigned(0), pack_unsigned(65535)),
    "BitsAllocated": (pack_unsigned(0), pack_unsigned(7), pack_unsigned(64), pack_unsigned(65535)),
    "SamplesPerPixel": (pack_unsigned(3),),
    "PhotometricInterpretation": (b"RGB", b"PALETTE COLOR", _PLANTED),
    "ImagePositionPatient": (rb"nan\0\0", rb"0\inf\0", rb"1e300\0\0", rb"x\y\z", rb"0\0", b""),
    "ImageOrientationPatient": (
        rb"0\0\0\0\0\0",
        rb"nan\0\0\0\1\0",
        rb"0\1\0\0\1\0",
        rb"0\9\0\0\0\-9",
        rb"0\1\0\0\0",
        b"",
    ),
    "PixelSpacing": (rb"0\0", rb"-1\-1", rb"nan\nan", rb"1e-9\1e-9", rb"1e30\1e30", b"2.4", rb"x\y", b""),
    "RescaleSlope": (b"nan", b"inf", b"1e300", b"x"),
    "RescaleIntercept": (b"nan", b"inf", b"1e300"),
    "PixelData": (b"", b"\1"),
    "Modality": (b"OT", b"SR", _PLANTED),
}
_HANDLED: dict[str, tuple[bytes, ...]] = {
    "BitsAllocated": (pack_unsigned(1), pack_unsigned(8), pack_unsigned(12), pack_unsigned(32)),
    "BitsStored": (pack_unsigned(0), pack_unsigned(1), pack_unsigned(65535)),
    "HighBit": (pack_unsigned(0), pack_unsigned(99)),
    "PixelRepresentation": (pack_unsigned(1), pack_unsigned(2), pack_unsigned(65535)),
    "SamplesPerPixel": (pack_unsigned(0),),
    "PhotometricInterpretation": (b"MONOCHROME1", b"MONOCHROME9"),
    "NumberOfFrames": (b"0", b"-1", b"12000", b"99999999999", b"x"),
    "RescaleSlope": (b"0", b"-1", b"1e-300"),
    "SliceThickness": (b"-4", b"nan", b"x"),
    "SpacingBetweenSlices": (b"1e300",),
    "InstanceNumber": (b"1", b"99999999999999999999", b"x"),
    "SeriesNumber": (b"99999999999999999999", b"inf"),
    "ImageType": (b"", _PLANTED, rb"ORIGINAL\PRIMARY\LOCALIZER"),
    "EchoTime": (b"nan", b"x", b"1e300"),
    "SeriesInstanceUID": (b"", PATIENT.encode()),
    "SOPInstanceUID": (b"",),
    "SpecificCharacterSet": (b"ISO_IR 999", b"\xff\xfe", PATIENT.encode(), b"ISO 2022 IR 87"),
    "AcquisitionNumber": (b"x",),
}
_TEXTS = {
    "PatientName": b"\x1b]0;Zweistein\x07",
    "PatientID": b"\x1b$B\xff\xff",
    "SeriesDescription": b"Zweistein\r\nspondyl: done\n",
    "ProtocolName": b"\xff" * 64,
    "SequenceName": b"\x1b[31mAlbertine",
    "StudyDescription": b"Albertine" * 7,
    "AcquisitionNumber": _PLANTED,
}
"""Texts that must not come out, with control characters or in no character set."""

_IN_ONE_SLICE: dict[str, tuple[bytes, ...]] = {
    "ImagePositionPatient": (rb"nan\0\0", rb"1e300\0\0", rb"1e9\0\0", b""),
    "ImageOrientationPatient": (rb"0\0\0\0\0\0", rb"1\0\0\0\1\0"),
    "PixelSpacing": (rb"0\0", rb"1e-9\1e-9", rb"5\5"),
    "Rows": (pack_unsigned(0), pack_unsigned(119), pack_unsigned(65535)),
    "BitsAllocated": (pack_unsigned(64),),
    "PixelData": (b"", bytes(2)),
    "RescaleSlope": (b"nan", b"1e300"),
    "Modality": (b"CT",),
    "NumberOfFrames": (b"3",),
}
"""Changed in the eighth of fifteen slices; the others are honest."""


def list_dicom_element_cases() -> Iterator[Case]:
    """List all cases of this family."""
    yield _FAMILY.alike("as it is", write_series)
    yield from (_FAMILY.refused(f"no {keyword}", _edited(partial(_delete, keyword))) for keyword in _NEEDED)
    yield from (_FAMILY.handled(f"no {keyword}", _edited(partial(_delete, keyword))) for keyword in _OTHERS)
    for keyword, values in _REFUSED.items():
        yield from (_FAMILY.refused(_name(keyword, v), _edited(partial(_set, keyword, v))) for v in values)
    for keyword, values in _HANDLED.items():
        yield from (_FAMILY.handled(_name(keyword, v), _edited(partial(_set, keyword, v))) for v in values)
    for keyword, values in _IN_ONE_SLICE.items():
        for v in values:
            name = f"in one slice, {_name(keyword, v)}"
            yield _FAMILY.handled(name, partial(write_series, edit=partial(_set, keyword, v), only=(7,)))
    yield _FAMILY.alike("texts of control characters", _edited(_with_texts))
    yield _FAMILY.alike("none of the elements that do not matter", _edited(_without_idle))
    yield _FAMILY.refused("no element but those of the file", _edited(_empty))


def _edited(edit: Edit) -> Prepare:
    return partial(write_series, edit=edit)


def _name(keyword: str, value: bytes) -> str:
    shown = str(int.from_bytes(value, "little")) if len(value) == 2 and not value.isalnum() else repr(value[:24])[1:]
    return f"{keyword} {shown}"


def _delete(keyword: str, dataset: Dataset, _number: int) -> None:
    if keyword in dataset:
        del dataset[keyword]


def _with_texts(dataset: Dataset, _number: int) -> None:
    for keyword, value in _TEXTS.items():
        put_raw(dataset, keyword, value)


def _without_idle(dataset: Dataset, number: int) -> None:
    for keyword in _IDLE:
        _delete(keyword, dataset, number)


def _set(keyword: str, value: bytes, dataset: Dataset, _number: int) -> None:
    put_raw(dataset, keyword, value)


def _empty(dataset: Dataset, _number: int) -> None:
    dataset.clear()
