"""Types and shapes are checked in the tests, and only there."""

import subprocess
import sys
from typing import Annotated

import numpy as np
import pytest
from jaxtyping import TypeCheckError, jaxtyped

from checked_shapes import ROOMS, check
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance, polygon_areas
from spondyl.geometry.interpolate import sample_bicubic
from spondyl.geometry.resize import resize_slices
from spondyl.identify.costs import OrderCosts
from spondyl.identify.evidence import log_softmax
from spondyl.identify.height_map import read_rows
from spondyl.types import Float

SLICES = np.zeros((2, 5, 5), np.float32)
ROWS = np.zeros((4, 24))


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: resize_slices(SLICES[0], np.ones(2), 1.0), "slices"),
        (lambda: resize_slices(SLICES, np.ones(3), 1.0), "pixel_mm"),
        (lambda: resize_slices(SLICES.astype(np.float64), np.ones(2), 1.0), "slices"),
        (lambda: sample_bicubic(SLICES, np.zeros((3, 4)), np.zeros((4, 3))), "at_column"),
        (lambda: polygon_areas(np.zeros((4, 3))), "polygons"),
        (lambda: OrderCosts().rejections(ROWS), "scores"),
        (lambda: read_rows(ROWS, np.zeros((1, 3))), "centroids_mm"),
        (lambda: log_softmax(ROWS.tolist()), "logits"),
        (
            lambda: VertebraInstance(slices=(0,), outlines=np.zeros((1, 4, 2)), score="high", affine=Affine(np.eye(4))),
            "score",
        ),
    ],
)
def test_a_wrong_shape_or_type_is_caught(call, argument):
    with pytest.raises(TypeCheckError, match=f"whilst typechecking parameter '{argument}'"):
        call()


@jaxtyped(typechecker=check)
def transposed(matrix: Annotated[Float, "n m"]) -> tuple[Annotated[Float, "n m"] | None, int]:
    return matrix.T, 0


def test_a_wrong_result_is_caught_in_any_part_of_it():
    transposed(np.eye(3))
    with pytest.raises(TypeCheckError, match=r"the return value of .*transposed"):
        transposed(np.ones((2, 3)))


def test_outside_the_tests_nothing_is_checked_and_neither_package_imported():
    code = f"""
import importlib, pkgutil, sys, numpy as np, spondyl
for room in {ROOMS}:
    package = importlib.import_module("spondyl." + room)
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), package.__name__ + "."):
        if module.name != "spondyl.locate.vfr_targets":  # needs PyTorch
            importlib.import_module(module.name)
from spondyl.identify.costs import OrderCosts
print(OrderCosts().rejections(np.ones((4, 2))).shape, {{"jaxtyping", "beartype"}} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(4, 2) set()"
