"""The process and its terminal: what is printed, what Ctrl-C does, and how it ends.

Whatever is printed is free of control characters, which could steer a terminal, and of characters that its encoding
lacks. Notes on stderr may be lost, if nobody can read them; they never stop the work.
"""

from __future__ import annotations

import atexit
import gc
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EBADF
from types import FrameType
from typing import NoReturn, TextIO

from spondyl.errors import OutputError
from spondyl.files import REASONS

__all__ = [
    "INTERRUPTED",
    "Lossy",
    "explained_ends",
    "interrupted_status",
    "note",
    "printable",
    "raise_if_interrupted",
    "run_as_process",
    "show",
]

INTERRUPTED = "interrupted; nothing half-written is left"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SIGNALLED = 128
"""Exit status of a process that a signal ends, less the signal's number: the shells' convention."""

_SIGPIPE = 13
_REPEAT_S = 1.0
"""Signals within this time of the first mean the same; the work is being cleaned up."""

_LOST_AGAIN_S = 0.2
"""Time until a lost interrupt is raised again; Python has left the place that could not raise it by then."""

_WRITE_ERRORS = REASONS | {EBADF: "it is closed"}


@dataclass(slots=True)
class _Interrupt:
    """The first signal that asked this process to end, and when one last did."""

    number: int | None = None
    time_s: float = -math.inf


_interrupt = _Interrupt()


def printable(text: str) -> str:
    """Escape everything that does not show as one character, as in `\\x1b` or `\\n`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def show(text: str) -> None:
    """Print lines on stdout.

    Raises:
        OSError: they cannot be written, or stdout is closed.
    """
    if sys.stdout is None:
        raise OSError(EBADF, os.strerror(EBADF))
    _write(sys.stdout, text)


def note(text: str) -> None:
    """Print lines on stderr, if they can be written."""
    if sys.stderr is not None:
        _write(Lossy(sys.stderr), text)


def _write(stream: TextIO | Lossy, text: str) -> None:
    lines = "".join(f"{printable(line)}\n" for line in text.split("\n"))
    encoding = stream.encoding or "utf-8"
    stream.write(lines.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


class Lossy:
    """A text stream on which what cannot be written is lost."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:
        """The stream's own."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Write, or lose."""
        with suppress(OSError, ValueError):  # ValueError: closed
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or lose."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def raise_if_interrupted() -> None:
    """Interrupt again if the process was asked to end and a library has swallowed that.

    Raises:
        KeyboardInterrupt: the process was asked to end.
    """
    if _interrupt.number is not None:
        raise KeyboardInterrupt


def interrupted_status() -> int:
    """The exit status of this process after it was asked to end."""
    return _SIGNALLED + (_interrupt.number or signal.SIGINT)


@contextmanager
def explained_ends() -> Iterator[None]:
    """Name the true cause of an error that a library or the standard output made of it.

    Raises:
        KeyboardInterrupt: the process was asked to end, whatever became of that on its way.
        SystemExit: nobody reads the standard output any more; status 141, as if SIGPIPE had ended the process.
        OutputError: the standard output cannot be written.
    """
    try:
        yield
    except BaseException as error:
        if _interrupt.number is not None:
            raise KeyboardInterrupt from error
        if isinstance(error.__context__ if isinstance(error, SystemExit) else error, BrokenPipeError):
            raise SystemExit(_SIGNALLED + _SIGPIPE) from error
        if isinstance(error, OSError) and error.filename is None and error.errno in _WRITE_ERRORS:
            raise OutputError(f"the output cannot be written: {_WRITE_ERRORS[error.errno]}") from error
        raise


def run_as_process(command: Callable[[], object]) -> NoReturn:
    """Run what makes up this process; SIGINT and SIGTERM end it in one line, with everything cleaned up.

    The process ends without Python's own tearing down, in which a loaded inference engine may crash.

    Args:
        command: ends by returning or by SystemExit.
    """
    _open_missing_streams()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_restore_signals)
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _interrupt_once)
    sys.unraisablehook = _repeat_lost_interrupt
    threading.excepthook = _complain_unless_interrupted
    status: object = 0
    try:
        command()
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:
        note(f"spondyl: {INTERRUPTED}")
        status = interrupted_status()
    if _interrupt.number is not None:
        gc.collect()  # ends context managers that the interrupt left suspended, so that they clean up
    _leave(status if isinstance(status, int) else 0)


def _interrupt_once(number: int, _frame: FrameType | None) -> None:
    now = time.monotonic()
    if now - _interrupt.time_s < _REPEAT_S:
        return
    _interrupt.number, _interrupt.time_s = _interrupt.number or number, now
    raise KeyboardInterrupt


def _repeat_lost_interrupt(lost: sys.UnraisableHookArgs) -> None:
    """Interrupt again where Python could not raise, as in a weak reference's callback."""
    if not issubclass(lost.exc_type, KeyboardInterrupt) or _interrupt.number is None:
        sys.__unraisablehook__(lost)
        return
    _interrupt.time_s = -math.inf
    threading.Timer(_LOST_AGAIN_S, os.kill, (os.getpid(), _interrupt.number)).start()


def _complain_unless_interrupted(error: threading.ExceptHookArgs) -> None:
    """Be silent about threads whose work has been taken from them."""
    if _interrupt.number is None:
        threading.__excepthook__(error)


def _restore_signals() -> None:
    """Let a child process end as any other does."""
    for number in _SIGNALS:
        if signal.getsignal(number) is _interrupt_once:
            signal.signal(number, signal.SIG_DFL)


def _open_missing_streams() -> None:
    """Open nothing as each closed standard stream, or the next file that is opened would take its place."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if sys.stderr is None:  # older releases of NumPy cannot be imported without it
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # as long as the process


def _leave(status: int) -> NoReturn:
    for number in _SIGNALS:
        signal.signal(number, lambda *_: os._exit(status))
    atexit._run_exitfuncs()
    os._exit(status)
