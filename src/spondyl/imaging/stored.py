"""The image in a file of one volume, before anybody has said whether it is a scan or a label map."""

from __future__ import annotations

from dataclasses import dataclass

from spondyl.geometry.affine import Affine
from spondyl.imaging.modality import Modality
from spondyl.imaging.volume import Volume, guess_modality
from spondyl.types import Float32

__all__ = ["StoredImage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """A NIfTI or MetaImage file as read.

    Args:
        format: "nifti" or "metaimage".
        frames: how many volumes the file holds.
        voxels: the first of them, (i, j, k), float32, rescaled.
        affine: (i, j, k) to RAS mm.
        warnings: what the reader assumed, one sentence each.
    """

    format: str
    frames: int
    voxels: Float32
    affine: Affine
    warnings: tuple[str, ...]

    def to_volume(self, modality: Modality | None) -> Volume:
        """The image as a scan; without a modality it is guessed from the values, with a warning.

        Raises:
            InputError: the values are not finite, or all equal.
        """
        warnings = (f"first of {self.frames} frames taken", *self.warnings) if self.frames > 1 else self.warnings
        if modality is None:
            modality, guessed = guess_modality(self.voxels)
            warnings += guessed
        return Volume(
            voxels=self.voxels,
            affine=self.affine,
            modality=modality,
            source={"format": self.format, "files": 1},
            warnings=warnings,
        )
