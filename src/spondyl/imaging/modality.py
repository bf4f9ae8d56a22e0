"""How a scan was made; apart from the volume, so that asking for it costs no numpy."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Modality"]


class Modality(StrEnum):
    """How a scan was made."""

    MR = "mr"
    CT = "ct"
