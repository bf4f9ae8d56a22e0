"""DICOM files written by hand: planes in LPS, pixels that follow the ramp, and one place for each thing to distort."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)
from scipy.spatial.transform import Rotation

from ramps import ramp

Edit = Callable[[Dataset, int], None]
PATIENT = "Roe^Jane"
"""Written to every file, so that tests can search for it in what comes out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planes:
    """A stack of image planes in LPS mm, by the attributes of DICOM's image plane module."""

    along_row: tuple[float, float, float]
    down_column: tuple[float, float, float]
    step_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float] = (-20.0, -35.0, 60.0)
    row_mm: float = 4.0
    column_mm: float = 3.0
    rows: int = 14
    columns: int = 12
    slices: int = 7

    def position(self, number: float) -> NDArray[np.float64]:
        """Centre of the first pixel of a slice, LPS mm."""
        return np.array(self.origin_mm) + number * np.array(self.step_mm)

    def pixels_ras(self, number: float) -> NDArray[np.float64]:
        """Centres of all pixels of a slice, (rows, columns, 3), RAS mm: PS3.3, equation C.7.6.2.1-1."""
        row, column = np.mgrid[: self.rows, : self.columns]
        lps = (
            self.position(number)
            + column[..., None] * self.column_mm * np.array(self.along_row)
            + row[..., None] * self.row_mm * np.array(self.down_column)
        )
        return np.asarray(lps * (-1, -1, 1))

    def turned(self, *degrees: float) -> "Planes":
        """Rotated about the world's axes x, y, z in turn."""
        turn = Rotation.from_euler("xyz", degrees, degrees=True)
        vectors = {name: tuple(turn.apply(getattr(self, name))) for name in ("along_row", "down_column", "step_mm")}
        return replace(self, **vectors)  # type: ignore[arg-type]


SAGITTAL = Planes(along_row=(0, 1, 0), down_column=(0, 0, -1), step_mm=(4, 0, 0))
CORONAL = Planes(along_row=(1, 0, 0), down_column=(0, 0, -1), step_mm=(0, 1.5, 0), slices=20)
AXIAL = Planes(along_row=(1, 0, 0), down_column=(0, 1, 0), step_mm=(0, 0, 1.5), slices=20)


def image(planes: Planes, number: float, *, ct: bool = False) -> FileDataset:
    """One slice as a data set in memory, unsigned 16 bit, its values the ramp's to a tenth."""
    dataset = _object(CTImageStorage if ct else MRImageStorage)
    dataset.Modality = "CT" if ct else "MR"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if ct else "M"]
    dataset.ImagePositionPatient = [f"{mm:.6f}" for mm in planes.position(number)]
    dataset.ImageOrientationPatient = [f"{cosine:.9f}" for cosine in (*planes.along_row, *planes.down_column)]
    dataset.PixelSpacing = [planes.row_mm, planes.column_mm]
    dataset.SliceThickness = float(np.linalg.norm(planes.step_mm))
    dataset.RescaleSlope, dataset.RescaleIntercept = 0.1, 100
    stored = np.round((ramp(planes.pixels_ras(number)) - 100) / 0.1)
    set_pixels(dataset, stored.astype(np.uint16))
    return dataset


def set_pixels(dataset: Dataset, stored: NDArray[Any], bits: int = 16) -> None:
    """Put integers into a data set, native, with the attributes that describe them."""
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.PixelData = stored.tobytes()


def write_series(
    folder: Path,
    planes: Planes,
    *,
    numbers: Iterable[float] | None = None,
    edit: Edit | None = None,
    ct: bool = False,
    name: str = "",
) -> list[Path]:
    """Write slices with file names and instance numbers that contradict their order.

    Args:
        folder: made where needed.
        planes: where the slices lie.
        numbers: which of them, also fractions; all by default.
        edit: changes each data set before it is written.
        ct: CT in place of MR.
        name: a prefix that keeps series apart in one folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = list(range(planes.slices) if numbers is None else numbers)
    places = list(range(len(wanted)))
    random.Random(7).shuffle(places)
    series, paths = generate_uid(), []
    for place, number in zip(places, wanted, strict=True):
        dataset = image(planes, number, ct=ct)
        dataset.SeriesInstanceUID, dataset.InstanceNumber = series, place + 1
        if edit:
            edit(dataset, int(number))
        paths.append(folder / f"{name}IM{place:04d}")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def enhanced(planes: Planes, *, echoes: int = 1) -> FileDataset:
    """An enhanced multi-frame MR whose frames are in no order; of each further echo the values are negated."""
    dataset = _object(EnhancedMRImageStorage)
    dataset.Modality, dataset.ImageType = "MR", ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    shared = Dataset()
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [*planes.along_row, *planes.down_column]
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = [planes.row_mm, planes.column_mm]
    shared.PixelMeasuresSequence[0].SliceThickness = 4
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = [(number, echo) for number in range(planes.slices) for echo in range(echoes)]
    random.Random(3).shuffle(frames)
    dataset.PerFrameFunctionalGroupsSequence = [_frame(planes, number, echo) for number, echo in frames]
    stored = [np.round(ramp(planes.pixels_ras(number)) / 0.1 + 5000 * echo) for number, echo in frames]
    set_pixels(dataset, np.array(stored).astype(np.uint16))
    dataset.NumberOfFrames = len(frames)
    return dataset


def _frame(planes: Planes, number: int, echo: int) -> Dataset:
    frame, position, values, echo_item = Dataset(), Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = [float(mm) for mm in planes.position(number)]
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 0.1, 0, "US"
    echo_item.EffectiveEchoTime = 20.0 + 60.0 * echo
    frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [position], [values]
    frame.MREchoSequence = [echo_item]
    return frame


def _object(storage_class: UID) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = storage_class, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = generate_uid(), generate_uid()
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = PATIENT, "ID-4711", "19700101"
    dataset.SeriesDescription, dataset.SeriesNumber, dataset.InstanceNumber = f"spine of {PATIENT}", 4, 1
    return dataset
