"""Writing of a volume as an MR or CT series of DICOM, one file a slice; the same scan gives the same bytes.

World space becomes LPS here and in `patient_space`, and nowhere else. Unique identifiers are 2.25.<UUID>, with a UUID
(version 5, SHA-1 of a name) in a namespace of the project's own: PS3.5, annex B.2.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.imaging.patient_space import lps_from_affine
from spondyl.imaging.volume import Modality, Volume
from spondyl.types import Float, Float32

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

__all__ = ["MrTimes", "Series", "in_dicom_order", "project_uid", "to_dicom_slices"]

_NAMESPACE = uuid.UUID("be1725b7-7397-4c00-a710-f10a500aa8c3")
"""The namespace of the project's identifiers, drawn once."""

Voxel = TypeVar("Voxel", bound=np.generic)

_CT_INTERCEPT = -1024
_MAX_STORED = 65535

_SHOWN_PERCENT = (5, 99.5)
"""The percentiles of a scan that viewers show as black and white: air, and the brightest vessels and skin."""


class _Kind(StrEnum):
    IMPLEMENTATION = "implementation"
    STUDY = "study"
    FRAME = "frame of reference"
    SERIES = "series"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True, kw_only=True)
class MrTimes:
    """The acquisition parameters of an MR scan.

    Args:
        tr_ms, te_ms: repetition and echo time.
        ti_ms: inversion time, 0 for none.
        flip_deg: flip angle.
        field_strength_t: of the magnet.
        is_gradient_echo: else a spin echo.
        slice_mm: thickness of a slice, without the gap.
    """

    tr_ms: float
    te_ms: float
    ti_ms: float
    flip_deg: float
    field_strength_t: float
    is_gradient_echo: bool
    slice_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The identity of a series.

    Args:
        patient: name of a fictitious patient; the same name gives the same study and frame of reference.
        scan: name of this scan of the patient; the same name gives the same series.
        description: shown by viewers.
        mr: acquisition parameters of an MR scan; None for CT.
    """

    patient: str
    scan: str
    description: str
    mr: MrTimes | None = None


def project_uid(kind: str, name: str) -> str:
    """Make a unique identifier of the project; the same name gives the same one: PS3.5 B.2."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, f'{kind}/{name}').int}"


def in_dicom_order(voxels: NDArray[Voxel], affine: Affine, slice_axis: int) -> tuple[NDArray[Voxel], Affine]:
    """Bring a grid into the order of DICOM: (column, row, slice), slices along the normal of row and column.

    Args:
        voxels: (i, j, k); a view of them is returned.
        affine: (i, j, k) to RAS mm.
        slice_axis: the axis along which slices are counted.
    """
    axes = ((2, 1, 0), (0, 2, 1), (0, 1, 2))[slice_axis]
    index_map = np.eye(4)[:, [*axes, 3]]
    voxels, affine = voxels.transpose(axes), affine @ index_map
    if np.linalg.det(lps_from_affine(affine)[0]) > 0:
        return voxels, affine
    index_map = np.diag([1.0, 1.0, -1.0, 1.0])
    index_map[2, 3] = voxels.shape[2] - 1
    return voxels[:, :, ::-1], affine @ index_map


def to_dicom_slices(volume: Volume, series: Series, *, slice_axis: int) -> Iterator[bytes]:
    """Make the files of a series, in the order of their slices.

    Args:
        volume: whole numbers, 0 to 65535 for MR, -1024 to 64511 HU for CT; stored as they are, 16 bits a pixel.
        series: its identity; with times for MR.
        slice_axis: the axis of the volume along which slices are counted.

    Raises:
        SettingError: values outside the range, or an MR scan without times or a CT scan with them.
    """
    if (series.mr is not None) != (volume.modality is Modality.MR):
        raise SettingError(f"an MR series needs its times and a CT series has none, got a scan of {volume.modality}")
    voxels, affine = in_dicom_order(volume.voxels, volume.affine, slice_axis)
    stored = _stored(voxels, volume.modality)
    steps_mm, origin_mm = lps_from_affine(affine)
    window = np.percentile(voxels[::4, ::4, ::2], _SHOWN_PERCENT).astype(np.float64)
    for number in range(stored.shape[2]):
        dataset = _dataset(volume.modality, series, number)
        _set_plane(dataset, steps_mm, origin_mm + number * steps_mm[:, 2])
        _set_acquisition(dataset, series, steps_mm, window)
        _set_pixels(dataset, stored[:, :, number].T)
        stream = io.BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        yield stream.getvalue()


def _stored(voxels: Float32, modality: Modality) -> NDArray[np.uint16]:
    values = np.rint(voxels) - (_CT_INTERCEPT if modality is Modality.CT else 0)
    if values.min() < 0 or values.max() > _MAX_STORED:
        low, high = float(voxels.min()), float(voxels.max())
        raise SettingError(f"voxels must fit into 16 bits of DICOM's {modality.name}, got values {low:g} to {high:g}")
    return values.astype(np.uint16)


def _dataset(modality: Modality, series: Series, number: int) -> FileDataset:
    """Make the data set of an instance: patient, study, series and equipment, marked as those of a phantom."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage if modality is Modality.CT else MRImageStorage
    meta.MediaStorageSOPInstanceUID = UID(project_uid(_Kind.INSTANCE, f"{series.patient}/{series.scan}/{number}"))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(project_uid(_Kind.IMPLEMENTATION, "spondyl"))
    meta.ImplementationVersionName = "SPONDYL"
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = project_uid(_Kind.STUDY, series.patient)
    dataset.SeriesInstanceUID = project_uid(_Kind.SERIES, f"{series.patient}/{series.scan}")
    dataset.FrameOfReferenceUID = project_uid(_Kind.FRAME, series.patient)
    dataset.Modality = modality.name
    dataset.PatientName, dataset.PatientID = "Phantom", f"PHANTOM-{series.patient}"[:64]
    dataset.QualityControlSubject = "YES"
    dataset.Manufacturer, dataset.ManufacturerModelName = "Spondyl", "Phantom"
    dataset.SeriesDescription, dataset.StudyDescription = series.description[:64], "Synthetic spine, for research only"
    dataset.SeriesNumber, dataset.AcquisitionNumber, dataset.InstanceNumber = 1, 1, number + 1
    dataset.StudyID = "1"
    dataset.BodyPartExamined, dataset.PatientPosition = "SPINE", "HFS"
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    for empty in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"):
        setattr(dataset, empty, "")
    dataset.ReferringPhysicianName = dataset.PositionReferenceIndicator = ""
    return dataset


def _set_plane(dataset: FileDataset, steps_mm: Float, first_mm: Float) -> None:
    """Set the image plane, PS3.3 C.7.6.2; the pixels of a row are counted by the column index, and vice versa."""
    spacing_mm = np.linalg.norm(steps_mm, axis=0)
    directions = steps_mm / spacing_mm
    dataset.ImagePositionPatient = _decimals(first_mm)
    dataset.ImageOrientationPatient = _decimals([*directions[:, 0], *directions[:, 1]])
    dataset.PixelSpacing = _decimals([spacing_mm[1], spacing_mm[0]])
    dataset.SliceLocation = _decimals([float(first_mm @ np.cross(directions[:, 0], directions[:, 1]))])[0]


def _set_acquisition(dataset: FileDataset, series: Series, steps_mm: Float, window: Float) -> None:
    """Set the acquisition parameters and the window of the image."""
    step_mm = float(np.linalg.norm(steps_mm[:, 2]))
    low, high = (float(value) for value in window)
    dataset.WindowCenter, dataset.WindowWidth = _decimals([round((low + high) / 2), max(1, round(high - low))])
    if series.mr is None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = _CT_INTERCEPT, 1, "HU"
        dataset.SliceThickness, dataset.KVP = _decimals([step_mm])[0], 120
        return
    times = series.mr
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]  # the standard's word for a plain magnitude image
    dataset.ScanningSequence = ["GR" if times.is_gradient_echo else "SE", *(["IR"] if times.ti_ms else [])]
    dataset.SequenceVariant, dataset.ScanOptions, dataset.MRAcquisitionType = "NONE", "", "2D"
    dataset.RepetitionTime, dataset.EchoTime = _decimals([times.tr_ms, times.te_ms])
    dataset.EchoTrainLength = 1
    if times.ti_ms:
        dataset.InversionTime = _decimals([times.ti_ms])[0]
    dataset.FlipAngle, dataset.MagneticFieldStrength = _decimals([times.flip_deg, times.field_strength_t])
    dataset.SliceThickness, dataset.SpacingBetweenSlices = _decimals([times.slice_mm, step_mm])


def _set_pixels(dataset: FileDataset, image: NDArray[np.uint16]) -> None:
    dataset.Rows, dataset.Columns = image.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.PixelData = np.ascontiguousarray(image, dtype="<u2").tobytes()


def _decimals(values: object) -> list[str]:
    """Format decimal strings, as exactly as 16 characters allow."""
    from pydicom.valuerep import format_number_as_ds

    return [format_number_as_ds(float(value) + 0.0) for value in np.asarray(values, dtype=np.float64)]
