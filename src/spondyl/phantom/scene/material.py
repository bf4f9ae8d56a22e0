"""The materials that a voxel of a phantom can consist of, and their properties in a scanner."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from spondyl.errors import SettingError

__all__ = ["Material", "Tissue"]


class Tissue(StrEnum):
    """The kinds of tissue; a domain-randomised scan gives each a signal of its own."""

    AIR = "air"
    SKIN = "skin"
    FAT = "fat"
    MUSCLE = "muscle"
    LIGAMENT = "ligament"
    CORTICAL_BONE = "cortical bone"
    MARROW = "marrow"
    ENDPLATE = "endplate"
    ANNULUS = "annulus"
    NUCLEUS = "nucleus"
    CARTILAGE = "cartilage"
    CSF = "cerebrospinal fluid"
    CORD = "cord"
    NERVE = "nerve"
    BRAIN = "brain"
    EPIDURAL_FAT = "epidural fat"
    BLOOD = "blood"
    VEIN = "vein"
    ORGAN = "organ"
    BOWEL = "bowel"
    LUNG = "lung"
    METAL = "metal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A tissue with its magnetic and radiological properties.

    Args:
        tissue: kind of tissue.
        proton_density: density of water and fat together, relative to cerebrospinal fluid, 0 to 1.2.
        t1_ms, t2_ms, t2_star_ms: relaxation times of its water at 1.5 T.
        fat_fraction: share of its signal that comes from fat, 0 to 1; the acquisition adds fat's own relaxation.
        hu: mean attenuation in CT, HU.
        texture: relative standard deviation of its signal from place to place, 0 for none.
        is_flowing: True for moving blood or CSF, which loses signal in spin echoes and causes ghosts.

    Raises:
        SettingError: a number is outside its range.
    """

    tissue: Tissue
    proton_density: float
    t1_ms: float
    t2_ms: float
    t2_star_ms: float
    fat_fraction: float = 0.0
    hu: float = 40.0
    texture: float = 0.0
    is_flowing: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.proton_density <= 1.2 and 0 <= self.fat_fraction <= 1 and self.texture >= 0):
            raise SettingError(f"a material of {self.tissue} has a density, fat fraction or texture outside its range")
        if min(self.t1_ms, self.t2_ms, self.t2_star_ms) <= 0:
            raise SettingError(f"relaxation times of {self.tissue} must be positive, in ms")
