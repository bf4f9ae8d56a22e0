"""Programs run and timed as processes of their own, on few processor cores."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from spondyl.errors import SettingError

__all__ = ["Run", "find_processor_name", "limited_cores", "run_process"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process: wall time, processors' time, and the most memory that it held."""

    seconds: float
    cpu_s: float
    peak_gb: float


def run_process(command: Sequence[str], environment: Mapping[str, str]) -> Run:
    """Run a program to its end.

    Raises:
        SettingError: it fails.
    """
    with TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 3):
            errors.seek(0)
            reason = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise SettingError(f"a timed program failed, status {process.returncode}: {reason}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return Run(seconds=seconds, cpu_s=cpu_s, peak_gb=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9)


@contextmanager
def limited_cores(wanted: int) -> Iterator[int]:
    """Keep this process and those it starts on a number of cores, where the system allows it."""
    if not hasattr(os, "sched_setaffinity"):
        yield os.cpu_count() or 1
        return
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(usable)[:wanted]))
    try:
        yield min(wanted, len(usable))
    finally:
        os.sched_setaffinity(0, usable)


def find_processor_name() -> str:
    """The name by which the system knows the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "an unnamed processor"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "an unnamed processor"
