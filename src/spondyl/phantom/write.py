"""A phantom on disk, all of it or nothing: the scan as NIfTI or DICOM, its masks and its truth beside it.

`NAME.nii.gz` (or the DICOM folder `NAME`), `NAME_seg.nii.gz`, `NAME_subregions.nii.gz`, `NAME_truth.json`. The masks
lie on the grid that a reader makes of the scan. The truth lies beside a DICOM folder, not in it, so that the folder
holds one series and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spondyl.errors import OutputError
from spondyl.files import new_files, refused
from spondyl.geometry.affine import Affine
from spondyl.imaging.dicom.write import MrTimes, Series, in_dicom_order, to_dicom_slices
from spondyl.imaging.volume import Modality
from spondyl.imaging.write import to_nifti_gz
from spondyl.phantom.options import PhantomOptions
from spondyl.phantom.patient import Phantom
from spondyl.phantom.scanner.protocol import MrProtocol
from spondyl.phantom.truth import Masks
from spondyl.phantom.truth_document import format_truth

__all__ = ["Format", "require_new", "write_phantom"]

_NIFTI = ".nii.gz"
_WHAT = "the phantom"


class Format(StrEnum):
    """The formats of a scan."""

    NIFTI = "nifti"
    DICOM = "dicom"


@dataclass(frozen=True, slots=True)
class _Paths:
    scan: Path
    instances: Path
    subregions: Path
    truth: Path

    @classmethod
    def at(cls, out: Path, format_: Format) -> _Paths:
        """Return all paths that are written for one name.

        Raises:
            OutputError: the name does not fit a file or folder of this format.
        """
        name = out.name.removesuffix(_NIFTI)
        if format_ is Format.NIFTI and (name == out.name or not name):
            raise OutputError("the phantom needs the name of a new file that ends in .nii.gz")
        if not name or out.name == "..":
            raise OutputError("the phantom needs the name of a new folder")
        parts = (f"{name}_seg{_NIFTI}", f"{name}_subregions{_NIFTI}", f"{name}_truth.json")
        return cls(out, *(out.with_name(part) for part in parts))

    def all(self) -> tuple[Path, ...]:
        return self.scan, self.instances, self.subregions, self.truth


def require_new(out: Path, format_: Format) -> None:
    """Refuse a place where a phantom cannot be written, before one is made.

    Raises:
        OutputError: the name is taken, or nothing can be written there.
    """
    with _staging(_Paths.at(out, format_)):
        pass


def write_phantom(phantom: Phantom, out: Path, format_: Format) -> None:
    """Write a phantom; the same one gives the same bytes.

    Args:
        phantom: phantom to write.
        out: the scan's file, ending in .nii.gz, or DICOM folder; must not be there yet.
        format_: format of the scan; masks are always NIfTI.

    Raises:
        OutputError: it cannot be written there; nothing is left behind.
    """
    paths = _Paths.at(out, format_)
    with _staging(paths) as fresh:
        grid = _arrange_as_read(phantom, format_)
        if format_ is Format.DICOM:
            _write_series(phantom, fresh / paths.scan.name)
        else:
            scan = to_nifti_gz(_to_integers(phantom.volume.voxels), grid.affine)
            (fresh / paths.scan.name).write_bytes(scan)
        (fresh / paths.instances.name).write_bytes(to_nifti_gz(grid.masks.instances, grid.affine))
        (fresh / paths.subregions.name).write_bytes(to_nifti_gz(grid.masks.subregions, grid.affine))
        document = format_truth(phantom, grid.affine, grid.masks.instances.shape)
        (fresh / paths.truth.name).write_bytes(document.encode())


@dataclass(frozen=True, slots=True)
class _WrittenMasks:
    """The masks on the grid that a reader makes of the scan."""

    masks: Masks
    affine: Affine


def _arrange_as_read(phantom: Phantom, format_: Format) -> _WrittenMasks:
    masks, affine = phantom.truth.masks, phantom.volume.affine
    if format_ is Format.NIFTI:
        return _WrittenMasks(masks, affine)
    axis = _get_slice_axis(phantom)
    instances, turned = in_dicom_order(masks.instances, affine, axis)
    subregions, _ = in_dicom_order(masks.subregions, affine, axis)
    return _WrittenMasks(Masks(instances=instances, subregions=subregions), turned)


@contextmanager
def _staging(paths: _Paths) -> Iterator[Path]:
    """Open a folder beside the scan whose content takes its place when the block ends well, and is gone otherwise.

    Raises:
        OutputError: one of the names is taken, or something cannot be written.
    """
    _require_free(paths)
    with new_files(paths.scan.parent, _WHAT) as fresh:
        yield fresh


def _require_free(paths: _Paths) -> None:
    """Refuse to overwrite; a name never enters a message."""
    for kind, path in zip(("a scan", "a mask", "a mask", "a truth"), paths.all(), strict=True):
        try:
            path.lstat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise refused(_WHAT, error) from error
        raise OutputError(f"the phantom would overwrite {kind}; name another file or folder")


def _to_integers(voxels: NDArray[np.float32]) -> NDArray[np.integer]:
    """Convert to the smallest integer type that all readers of NIfTI know; scans hold whole numbers."""
    largest = np.abs(voxels).max()
    return np.rint(voxels).astype(np.int16 if largest <= np.iinfo(np.int16).max else np.int32)


def _get_slice_axis(phantom: Phantom) -> int:
    return 0 if phantom.volume.modality is Modality.MR else 2


def _write_series(phantom: Phantom, folder: Path) -> None:
    folder.mkdir()
    slices = to_dicom_slices(phantom.volume, _describe_series(phantom), slice_axis=_get_slice_axis(phantom))
    for number, content in enumerate(slices, start=1):
        (folder / f"IM{number:04}.dcm").write_bytes(content)


def _describe_series(phantom: Phantom) -> Series:
    """Name a series by its content: the same patient shares a study and its space with itself, and with nobody else."""
    options, volume = phantom.options, phantom.volume
    patient = hashlib.sha256(repr(_get_patient_options(options)).encode()).hexdigest()[:16]
    scan = hashlib.sha256(volume.voxels.tobytes() + volume.affine.matrix.tobytes()).hexdigest()
    protocol = phantom.protocol
    what = protocol.sequence if isinstance(protocol, MrProtocol) else f"CT {protocol.kernel}"
    return Series(
        patient=f"{options.seed}-{patient}",
        scan=scan,
        description=f"{what} {options.field}",
        mr=_get_times(protocol) if isinstance(protocol, MrProtocol) else None,
    )


def _get_patient_options(options: PhantomOptions) -> tuple[object, ...]:
    """Return the options that make the patient, without those of the scan."""
    return (
        options.seed,
        options.variant,
        options.scoliosis_cobb_deg,
        options.severity,
        options.fractures,
        options.slips,
        options.screws,
    )


def _get_times(protocol: MrProtocol) -> MrTimes:
    contrast = protocol.contrast
    return MrTimes(
        tr_ms=contrast.tr_ms,
        te_ms=contrast.te_ms,
        ti_ms=contrast.ti_ms,
        flip_deg=contrast.flip_deg,
        field_strength_t=contrast.field_strength_t,
        is_gradient_echo=contrast.sequence.is_gradient_echo,
        slice_mm=protocol.slice_mm,
    )
