"""Networks that locate discs run on OpenVINO as they do in PyTorch, at any size and in bfloat16."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from spondyl.engine.openvino_engine import OpenVinoEngine, processor_has_bfloat16
from spondyl.nets.disc_network import HEAT_MAPS, count_scores
from spondyl.nets.presets import build
from spondyl.types import Float32

pytestmark = pytest.mark.slow

NAMES = ("unet", "shape-unet", "hourglass", "attention-hourglass", "hca-net", "msa-net", "countception", "swin-net")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPONDYL_HOME", str(tmp_path_factory.getbasetemp() / "home"))


@cache
def module(name: str) -> nn.Module:
    """Random weights with statistics of the batch such that heat takes all values from 0 to 1."""
    torch.manual_seed(3)
    made = build(name, "compact")
    for layer in made.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(layer.running_mean, 0, 0.2)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.normal_(layer.bias, 0, 0.2)
        if isinstance(layer, nn.Conv2d) and layer.out_channels == count_scores(HEAT_MAPS):
            nn.init.zeros_(layer.bias)
    return made.eval()


def heat(name: str, images: Float32) -> Float32:
    with torch.inference_mode():
        return module(name)(torch.from_numpy(images)).numpy()


def engine(name: str, *, bfloat16: bool = False) -> OpenVinoEngine:
    state = {key: value.numpy() for key, value in module(name).state_dict().items()}
    return OpenVinoEngine(name, "compact", state, bfloat16=bfloat16, threads=1)


def noise(*shape: int) -> Float32:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_the_reference_at_sizes_that_were_not_traced(name: str) -> None:
    images = noise(2, 1, 128, 64)
    np.testing.assert_allclose(engine(name)(images), heat(name, images), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_departs_little(name: str) -> None:
    if not processor_has_bfloat16():
        pytest.skip("this processor has no bfloat16")
    images = noise(1, 1, 64, 128)
    departure = engine(name, bfloat16=True)(images) - heat(name, images)
    assert np.sqrt(np.mean(departure**2)) < 0.01
