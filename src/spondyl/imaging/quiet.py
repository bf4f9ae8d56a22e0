"""Keep what the C libraries of decoders print from the user: nobody can act on it, and it may quote the file."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["decoders_silenced"]

_STDERR = 2
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def decoders_silenced() -> Iterator[None]:
    """Lead the process's standard error to nowhere while the block runs, which should decode and do nothing else.

    Where standard error is closed there is nothing to lead away. Blocks of several threads run one after another.
    """
    with _ONE_AT_A_TIME:
        with suppress(OSError, ValueError, AttributeError):  # closed, or None
            sys.stderr.flush()
        try:
            saved = os.dup(_STDERR)
        except OSError:
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, _STDERR)
            os.close(nowhere)
            yield
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)
