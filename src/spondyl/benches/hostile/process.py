"""A command run in a session of its own, timed, its memory watched, and ended where it goes beyond its bounds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from spondyl.benches.hostile.case import Interrupt

__all__ = ["Outcome", "run_bounded"]

_POLL_S, _EAGER_POLL_S = 0.02, 0.001
_MAX_KEPT_BYTES = 1 << 20
"""Most bytes that are read from each stream; the rest is discarded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of a command.

    Args:
        status: its exit status, negative for a signal.
        seconds: wall time.
        peak_gb: the most memory that it held.
        stdout, stderr: what it said.
        stopped: why it was ended from outside; empty when it was not.
    """

    status: int
    seconds: float
    peak_gb: float
    stdout: str
    stderr: str
    stopped: str = ""


def run_bounded(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    limit_s: float,
    limit_gb: float,
    broken: Sequence[str] = (),
    interrupt: Interrupt | None = None,
    results: Path | None = None,
) -> Outcome:
    """Run a command to its end, or to the end of its time or memory.

    Args:
        command: the program and its arguments.
        folder: its current directory.
        environment: all of it.
        limit_s: wall time.
        limit_gb: of memory, in GB of 10^9 bytes.
        broken: the streams that are pipes nobody reads.
        interrupt: a signal to be sent.
        results: the folder that the signal may wait for.
    """
    with TemporaryFile() as said, TemporaryFile() as complained, _broken_pipe() as pipe:
        held = _entries(results) if interrupt else set()
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=pipe if "stdout" in broken else said,
            stderr=pipe if "stderr" in broken else complained,
            start_new_session=True,
        )
        watch = _Watch(
            process.pid, start, limit_s, limit_gb, interrupt, lambda: _is_due(interrupt, complained, results, held)
        )
        try:
            status, peak_gb = watch.until_end()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # whatever it started and left
        process.returncode = status
        seconds = time.perf_counter() - start
        return Outcome(
            status=status,
            seconds=seconds,
            peak_gb=peak_gb,
            stdout=_text(said),
            stderr=_text(complained),
            stopped=watch.stopped,
        )


@dataclass(slots=True)
class _Watch:
    """Waits for a process, ends it where it goes beyond its bounds, and sends it a signal once that is due."""

    pid: int
    start: float
    limit_s: float
    limit_gb: float
    interrupt: Interrupt | None
    is_due: Callable[[], bool]
    stopped: str = ""

    def until_end(self) -> tuple[int, float]:
        """The exit status and the most memory held, GB."""
        due_s: float | None = None
        while True:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                unit = 1 if sys.platform == "darwin" else 1024
                return os.waitstatus_to_exitcode(status), usage.ru_maxrss * unit / 1e9
            self._stop_beyond_bounds()
            if self.interrupt and due_s is None and self.is_due():
                due_s = time.perf_counter() + self.interrupt.delay_s
            if self.interrupt and due_s is not None and time.perf_counter() >= due_s:
                os.kill(self.pid, self.interrupt.signal)
                self.interrupt = None
            time.sleep(_EAGER_POLL_S if self.interrupt else _POLL_S)

    def _stop_beyond_bounds(self) -> None:
        reason = ""
        if time.perf_counter() - self.start > self.limit_s:
            reason = f"not done after {self.limit_s:.0f} s"
        elif _resident_gb(self.pid) > self.limit_gb:
            reason = f"more than {self.limit_gb:.1f} GB of memory"
        if reason and not self.stopped:
            self.stopped = reason
            os.killpg(self.pid, signal.SIGKILL)


def _is_due(interrupt: Interrupt | None, stderr: IO[bytes], results: Path | None, held: set[Path]) -> bool:
    if interrupt is None:
        return False
    if interrupt.at == "writing":
        return _entries(results) != held
    said = os.pread(stderr.fileno(), _MAX_KEPT_BYTES, 0).splitlines()
    return any(line.split(b" ")[0] == interrupt.at.encode() for line in said)


def _entries(folder: Path | None) -> set[Path]:
    return set() if folder is None else set(folder.iterdir())


def _resident_gb(pid: int) -> float:
    """Memory held now; 0 where the system has no /proc, and only the peak is judged."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9


@contextmanager
def _broken_pipe() -> Iterator[int]:
    """The writing end of a pipe whose reading end is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


def _text(stream: IO[bytes]) -> str:
    return os.pread(stream.fileno(), _MAX_KEPT_BYTES, 0).decode(errors="surrogateescape")
