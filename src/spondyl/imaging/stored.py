"""The image in a NIfTI or MetaImage file, before it is known to be a scan or a label map."""

from __future__ import annotations

from dataclasses import dataclass

from spondyl.geometry.affine import Affine
from spondyl.imaging.modality import Modality
from spondyl.imaging.volume import Volume, guess_modality
from spondyl.types import Float32

__all__ = ["StoredImage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """The image in a NIfTI or MetaImage file.

    Args:
        format: "nifti" or "metaimage".
        frames: number of volumes in the file.
        voxels: the first of them, (i, j, k), float32, rescaled.
        affine: (i, j, k) to RAS mm.
        warnings: assumptions of the reader, one sentence each.
    """

    format: str
    frames: int
    voxels: Float32
    affine: Affine
    warnings: tuple[str, ...]

    def to_volume(self, modality: Modality | None) -> Volume:
        """Convert the image to a scan; a modality that is not given is guessed from the values, with a warning.

        Raises:
            InputError: the values are not finite, or all equal.
        """
        warnings = (f"the first of {self.frames} frames was read", *self.warnings) if self.frames > 1 else self.warnings
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
