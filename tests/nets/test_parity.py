"""The four networks compute what the published SpineNetV2 networks compute.

The published weights cannot be shipped, so parity is held on weights and inputs made by rule: sines of an index. The
expected numbers, taken once from the published networks, are in `spinenet_parity.json`.
"""

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spondyl.nets import appearance, context, grading, vfr

FACTS = json.loads((Path(__file__).parent / "spinenet_parity.json").read_text())
SPECS = Path(__file__).parents[3] / "shared" / "specs"
BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "vfr": lambda: vfr.Vfr(vfr.SPINENET),
    "appearance": lambda: appearance.Appearance(appearance.SPINENET),
    "context": context.Context,
    "grading": grading.Grading,
}


def fill_by_rule(module: nn.Module) -> None:
    """Tensor i of the sorted state, flat element j: a function of sin(0.7 j + 0.13 i), by the tensor's kind."""
    state = module.state_dict()
    for index, name in enumerate(sorted(state)):
        tensor = state[name]
        if not tensor.is_floating_point():
            continue
        wave = np.sin(0.7 * np.arange(tensor.numel(), dtype=np.float64) + 0.13 * index)
        if name.endswith("running_var"):
            values = 1 + 0.2 * wave
        elif tensor.dim() > 1:
            values = wave * np.sqrt(2 / (tensor.numel() / tensor.shape[0]))
        else:
            values = 1 + 0.1 * wave if name.endswith("weight") else 0.05 * wave
        tensor.copy_(torch.from_numpy(values.astype(np.float32)).reshape(tensor.shape))


def rule_input(shape: list[int]) -> Tensor:
    index = np.arange(np.prod(shape), dtype=np.float64)
    return torch.from_numpy((0.5 + 0.5 * np.sin(0.01 * index) * np.cos(0.003 * index)).astype(np.float32)).reshape(
        shape
    )


@cache
def shapes(name: str) -> dict[str, list[int]]:
    with torch.device("meta"):
        module = BUILDERS[name]()
    return {key: list(tensor.shape) for key, tensor in module.state_dict().items()}


def outputs(name: str, input_shape: list[int]) -> list[Tensor]:
    with torch.device("meta"):  # random numbers that the rule replaces would take seconds
        module = BUILDERS[name]()
    module = module.to_empty(device="cpu").eval()
    fill_by_rule(module)
    with torch.inference_mode():
        out = module(rule_input(input_shape))
    return list(grading.split_gradings(out).values()) if name == "grading" else [out]


def compare(tensor: Tensor, expected: dict[str, Any], tolerance: float) -> None:
    assert list(tensor.shape) == expected["shape"]
    flat = tensor.double().flatten()
    for index, value in expected["samples"].items():
        assert flat[int(index)].item() == pytest.approx(value, abs=tolerance * expected["std"])
    assert flat.mean().item() == pytest.approx(expected["mean"], abs=tolerance * expected["std"])
    assert flat.std().item() == pytest.approx(expected["std"], rel=tolerance)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_tensors_have_the_published_names_and_shapes(name: str) -> None:
    lines = "".join(f"{key} {shape}\n" for key, shape in sorted(shapes(name).items()))
    assert len(shapes(name)) == FACTS["networks"][name]["tensor_count"]
    assert hashlib.sha256(lines.encode()).hexdigest() == FACTS["networks"][name]["tensors"]


@pytest.mark.parametrize("name", BUILDERS)
def test_the_parameters_count_as_published(name: str) -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in BUILDERS[name]().parameters())
    assert count == FACTS["networks"][name]["parameters"]


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDERS)
def test_the_outputs_are_those_of_the_published_network(name: str) -> None:
    facts = FACTS["networks"][name]
    got = outputs(name, facts["input_shape"])
    for tensor, expected in zip(got, facts["outputs"], strict=True):
        compare(tensor, expected, FACTS["tolerance"])


@pytest.mark.parametrize("name", BUILDERS)
def test_the_facts_kept_here_are_those_of_the_specification(name: str) -> None:
    if not SPECS.is_dir():
        pytest.skip("the specification pages are not beside this checkout")
    tensors = json.loads((SPECS / "spinenet_state_dict.json").read_text())[name]
    spec = json.loads((SPECS / "spinenet_parity.json").read_text())["models"][name]
    assert shapes(name) == tensors
    assert all(spec[key] == FACTS["networks"][name][key] for key in ("input_shape", "parameters", "outputs"))
