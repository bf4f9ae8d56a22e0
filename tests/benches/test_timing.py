"""Processes are timed by themselves, and failures are reported."""

import os
import sys

import pytest

from spondyl.benches.timing import limited_cores, run_process
from spondyl.errors import SettingError


def test_a_processs_memory_and_time_are_its_own() -> None:
    code = "import time; block = bytearray(300_000_000); block[::4096] = block[::4096]; time.sleep(0.2)"
    run = run_process([sys.executable, "-c", code], os.environ)
    assert run.peak_gb > 0.3
    assert run.seconds > 0.2
    assert run.cpu_s > 0


def test_a_process_that_fails_is_an_error_with_its_last_words() -> None:
    code = "import sys; print('read', file=sys.stderr); sys.exit('no weights')"
    with pytest.raises(SettingError, match="status 1: no weights"):
        run_process([sys.executable, "-c", code], os.environ)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a system that pins processes")
def test_cores_are_given_back() -> None:
    before = os.sched_getaffinity(0)
    with limited_cores(1) as cores:
        assert cores == len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before
