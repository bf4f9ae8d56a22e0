"""The modality of a scan, in a file of its own that does not import numpy."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Modality"]


class Modality(StrEnum):
    """The modality of a scan."""

    MR = "mr"
    CT = "ct"
