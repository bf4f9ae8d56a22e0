"""What holds for all tests."""

import os
import random

import pytest
from hypothesis import settings
from jaxtyping import config, install_import_hook

from checked_shapes import ROOMS

# Two busy cores make any time limit a coin toss; slowness is measured by `spondyl bench speed`, not here.
settings.register_profile("spondyl", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("spondyl")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before anything of ours is imported.
install_import_hook([f"spondyl.{room}" for room in ROOMS], "checked_shapes.check")
config.update("jaxtyping_remove_typechecker_stack", True)  # the message says all


@pytest.fixture(autouse=True)
def _same_items_checked() -> None:
    """beartype checks one item of a list, drawn with `random`: the same one in every run."""
    random.seed(0)


@pytest.fixture
def unchecked_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that give a wrong type on purpose, since a user's program may, and the code itself refuses it."""
    monkeypatch.setattr(config, "jaxtyping_disable", True)
