"""Suppression of what the C libraries of decoders print: nobody can act on it, and it may quote the file."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["silence_decoders"]

_STDERR = 2
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def silence_decoders() -> Iterator[None]:
    """Discard the process's standard error for the duration of the block, which should decode and do nothing else.

    Nothing is done where standard error is closed. Blocks of several threads run one after another.
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
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, _STDERR)
            os.close(devnull)
            yield
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)
