"""What holds for all tests."""

import os

from hypothesis import settings

# Two busy cores make any time limit a coin toss; slowness is measured by `spondyl bench speed`, not here.
settings.register_profile("spondyl", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("spondyl")
os.environ.setdefault("OMP_NUM_THREADS", "1")
