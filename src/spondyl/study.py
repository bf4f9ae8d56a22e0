"""The input of the stages: a scan with its sagittal stack, made once."""

from __future__ import annotations

from dataclasses import dataclass

from spondyl.geometry.resample import to_sagittal
from spondyl.geometry.stack import SagittalStack
from spondyl.imaging.volume import Modality, Volume

__all__ = ["Study"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One scan of one patient.

    Args:
        volume: the scan on its own grid.
        sagittal: the same scan in sagittal order.
        warnings: one sentence for each thing that was interpolated or averaged on the way to the sagittal stack.
    """

    volume: Volume
    sagittal: SagittalStack
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_volume(cls, volume: Volume) -> Study:
        """Bring a scan into sagittal order.

        Raises:
            InputError: the scan is too coarse or too short to be viewed from the side.
        """
        sagittal, warnings = to_sagittal(volume.voxels, volume.affine)
        return cls(volume=volume, sagittal=sagittal, warnings=warnings)

    @classmethod
    def from_sagittal(cls, sagittal: SagittalStack) -> Study:
        """A study of an MR scan that is in sagittal order already, such as a labelled exam or a phantom.

        Raises:
            InputError: voxels are not finite, or all equal.
        """
        volume = Volume(voxels=sagittal.voxels, affine=sagittal.affine, modality=Modality.MR)
        return cls(volume=volume, sagittal=sagittal)
