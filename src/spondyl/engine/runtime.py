"""The OpenVINO runtime without its telemetry; all of Spondyl imports OpenVINO from here.

`import openvino` also imports `openvino_telemetry`, where that is installed: it is on by default, looks up a host on
the network and writes a client id to `~/intel`. If it cannot be imported, OpenVINO uses a stub of its own that
sends nothing, for the lifetime of the process. Only a program that imported OpenVINO before Spondyl keeps the
telemetry.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["openvino"]


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Make a module unimportable for the duration of the block; a program that has imported it keeps it."""
    absent = object()
    before = sys.modules.get(module, absent)
    sys.modules[module] = None  # type: ignore[assignment]  # Python's mark of a module that cannot be imported
    try:
        yield
    finally:
        del sys.modules[module]
        if before is not absent:
            sys.modules[module] = before  # type: ignore[assignment]


with _without("openvino_telemetry"):
    import openvino
