"""The process that `spondyl` and `python -m spondyl` start; all other imports follow once Ctrl-C is clean."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["main"]


def main() -> None:
    """Run the command line and end the process with its exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _end_at_once)
    from spondyl.terminal import run_as_process

    run_as_process(_run)


def _run() -> None:
    from spondyl.cli import main

    main()


def _end_at_once(number: int, _frame: FrameType | None) -> None:
    """End before anything has begun; in the midst of an import an exception may become any other."""
    try:
        os.write(2, b"spondyl: interrupted\n")
    finally:
        os._exit(128 + number)


if __name__ == "__main__":
    main()
