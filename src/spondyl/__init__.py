"""Spondyl reads spinal MR: vertebrae and levels, with a probability on every statement. Not a medical device.

What is listed in `__all__` is imported when it is first asked for, so that `import spondyl` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spondyl.findings import Findings
    from spondyl.imaging.read import read_volume
    from spondyl.imaging.volume import Modality, Volume
    from spondyl.loaded_plan import load
    from spondyl.pipeline import Analysis, analyze, analyze_file
    from spondyl.plan import Plan

__version__ = "0.1.0"

__all__ = ["Analysis", "Findings", "Modality", "Plan", "Volume", "analyze", "analyze_file", "load", "read_volume"]

_HOMES = {
    "Analysis": "spondyl.pipeline",
    "Findings": "spondyl.findings",
    "Modality": "spondyl.imaging.modality",
    "Plan": "spondyl.plan",
    "Volume": "spondyl.imaging.volume",
    "analyze": "spondyl.pipeline",
    "analyze_file": "spondyl.pipeline",
    "load": "spondyl.loaded_plan",
    "read_volume": "spondyl.imaging.read",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'spondyl' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
