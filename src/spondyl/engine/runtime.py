"""The OpenVINO runtime, imported without its telemetry; every use of OpenVINO in Spondyl imports it from here.

`import openvino` also imports `openvino_telemetry`, where that is installed: it is on by default, looks up a host on
the network and writes a client id to `~/intel`. While it cannot be imported, OpenVINO uses a stub of its own that
sends nothing, for the whole life of the process. Only a program that imported OpenVINO before Spondyl keeps what it
loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["openvino"]


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Make a module unimportable for a while; a program that has it keeps it."""
    absent = object()
    before = sys.modules.get(module, absent)
    sys.modules[module] = None  # type: ignore[assignment]  # how Python marks what cannot be imported
    try:
        yield
    finally:
        del sys.modules[module]
        if before is not absent:
            sys.modules[module] = before  # type: ignore[assignment]


with _without("openvino_telemetry"):
    import openvino
