"""One contract for all engines: what eager PyTorch computes, whatever the size, the batch or the precision."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spondyl.engine import contract
from spondyl.engine.build import make_engine
from spondyl.engine.contract import Engine
from spondyl.engine.openvino_engine import OpenVinoEngine, processor_has_bfloat16
from spondyl.engine.torch_engine import TorchEngine
from spondyl.errors import SettingError, WeightsError
from spondyl.nets.presets import build, network_entry
from spondyl.types import Float32

CASES = {
    "vfr-compact": (3, 1, 64, 96),
    "appearance-compact": (5, 1, 64, 64, 8),
    "appearance-spinenet": (1, 1, 224, 224, 16),
    "context-spinenet": (2, 1, 48, 24),
    "bilstm-compact": (3, 1, 7, 25),
    "look-once-compact": (3, 1, 9, 2),
    "look-once-equivariant": (3, 1, 9, 2),
    "look-once-20-published": (3, 1, 20, 2),
}
# How many roundings lie one after another: of each convolution the kernel and what it is applied to.
DEPTH = {
    "vfr-compact": 2 * 27,
    "appearance-compact": 2 * 7,
    "appearance-spinenet": 2 * 7,
    "context-spinenet": 2 * 9,
    "bilstm-compact": 2 * (2 * 7 + 1),  # both layers once for each of seven detections, then the head
    "look-once-compact": 2 * (1 + 2 + 4 * 6 + 2),  # points, pairs, six products in each of four rounds, the head
    "look-once-equivariant": 2 * 16,  # six layers align, six follow, three relate, one is the head
    "look-once-20-published": 2 * 15,
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPONDYL_HOME", str(tmp_path_factory.getbasetemp() / "home"))


@cache
def module(case: str) -> nn.Module:
    """Random weights with batch statistics, scales and signs as training leaves them."""
    torch.manual_seed(3)
    made = build(*case.rsplit("-", 1))
    for layer in made.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(layer.running_mean, 0, 0.2)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            layer.weight.data *= torch.where(torch.rand_like(layer.weight) < 0.2, -1.0, 1.0)
            nn.init.normal_(layer.bias, 0, 0.2)
    return made.eval()


@cache
def engine(kind: str, case: str, bfloat16: bool = False) -> Engine:
    if kind == "torch":
        entry = network_entry(*case.rsplit("-", 1))
        own = build(*case.rsplit("-", 1))
        own.load_state_dict(module(case).state_dict())
        return TorchEngine(own, axes=len(CASES[case]), multiples=entry.multiples, bfloat16=bfloat16)
    state = {key: value.numpy() for key, value in module(case).state_dict().items()}
    return OpenVinoEngine(*case.rsplit("-", 1), state, bfloat16=bfloat16, threads=1)


def noise(shape: tuple[int, ...], seed: int = 0) -> Float32:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def reference(case: str, x: Float32) -> Float32:
    with torch.inference_mode():
        return module(case)(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["torch", "openvino"])
def test_float32_is_the_reference_to_four_digits(kind: str, case: str) -> None:
    x = noise(CASES[case])
    expected = reference(case, x)
    got = engine(kind, case)(x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("look-once")])  # never run in it
def test_bfloat16_departs_by_its_rounding_only(case: str) -> None:
    if not processor_has_bfloat16():
        pytest.skip("this processor has no bfloat16")
    x = noise(CASES[case])
    expected = reference(case, x)
    departure = engine("openvino", case, bfloat16=True)(x) - expected
    # one rounding is at most 2^-9 of a value, roundings are independent, and so add up as the root of their number;
    # relative to the root mean square of the values, not to their deviation, for it is values that are rounded
    allowed = 2**-9 * np.sqrt(DEPTH[case]) * np.sqrt(np.mean(expected**2))
    assert np.sqrt(np.mean(departure**2)) < allowed


@pytest.mark.parametrize("kind", ["torch", "openvino"])
@pytest.mark.parametrize(("case", "size"), [("vfr-compact", (50, 81)), ("context-spinenet", (37, 19))])
def test_any_size_is_the_reference_on_a_zero_padded_image_cropped_back(
    kind: str, case: str, size: tuple[int, int]
) -> None:
    x = noise((2, 1, *size))
    multiples = network_entry(*case.rsplit("-", 1)).multiples
    padded = np.pad(x, [(0, 0), (0, 0), *((0, -n % m) for n, m in zip(size, multiples, strict=True))])
    expected = reference(case, padded)[..., : size[0], : size[1]]
    got = engine(kind, case)(x)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert got.shape[2:] == size


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["torch", "openvino"])
def test_a_batch_in_parts_gives_what_it_gives_whole(kind: str, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = noise((5, *CASES[case][1:])) if case != "appearance-spinenet" else noise(CASES[case])
    whole = engine(kind, case)(x)
    monkeypatch.setattr(contract, "VALUES_PER_RUN", 2 * x[0].size)
    np.testing.assert_allclose(engine(kind, case)(x), whole, rtol=0, atol=1e-5 * np.abs(whole).max())


@pytest.mark.parametrize("case", ["vfr-compact", "appearance-compact"])
@pytest.mark.parametrize("kind", ["torch", "openvino"])
def test_results_do_not_change_afterwards_nor_the_input(kind: str, case: str) -> None:
    x = noise(CASES[case])
    before = x.copy()
    first = engine(kind, case)(x)
    kept = first.copy()
    engine(kind, case)(noise(CASES[case], seed=1))
    assert np.array_equal(first, kept)
    assert np.array_equal(x, before)


@pytest.mark.parametrize("case", ["vfr-compact", "appearance-compact"])
@pytest.mark.parametrize("kind", ["torch", "openvino"])
def test_nothing_in_gives_nothing_out_in_the_right_shape(kind: str, case: str) -> None:
    empty = engine(kind, case)(noise((0, *CASES[case][1:])))
    assert empty.shape == (0, *reference(case, noise((1, *CASES[case][1:]))).shape[1:])


@pytest.mark.parametrize("kind", ["torch", "openvino"])
@pytest.mark.parametrize(
    ("case", "shape"),
    [
        ("vfr-compact", (64, 64)),
        ("vfr-compact", (1, 3, 64, 64)),
        ("vfr-compact", (1, 1, 0, 64)),
        ("appearance-compact", (1, 1, 64, 64, 9)),
    ],
)
def test_other_axes_are_refused(kind: str, case: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(SettingError, match="got"):
        engine(kind, case)(np.zeros(shape, np.float32))


def test_the_context_network_is_not_halved_unless_told_so() -> None:
    state = {key: value.numpy() for key, value in module("context-spinenet").state_dict().items()}
    assert OpenVinoEngine("context", "spinenet", state).precision == "float32"


def test_weights_that_lack_a_tensor_are_refused() -> None:
    state = {key: value.numpy() for key, value in module("context-spinenet").state_dict().items()}
    del state["conv_mid.weight"]
    with pytest.raises(WeightsError, match=r"needs tensor conv_mid\.weight of shape \(128, 128, 3, 3\)"):
        OpenVinoEngine("context", "spinenet", state)


@pytest.fixture
def shelf(tmp_path: Path) -> tuple[Path]:
    from spondyl.nets.cards import Card
    from spondyl.nets.weights import save

    card = Card(
        name="mine", network="context", preset="spinenet", trained_on=(), metrics={}, commit="", recipe="", licence=""
    )
    save(module("context-spinenet"), card, tmp_path)
    return (tmp_path,)


@pytest.mark.parametrize("kind", ["auto", "openvino", "torch"])
def test_an_engine_is_made_from_the_name_of_weights(kind: str, shelf: tuple[Path]) -> None:
    x = noise(CASES["context-spinenet"])
    expected = reference("context-spinenet", x)
    got = make_engine("mine", kind, "cpu", folders=shelf)(x)
    # the stored weights are rounded to half precision: 2^-11 in each of nine layers
    np.testing.assert_allclose(got, expected, rtol=0, atol=9 * 2**-11 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("kind", "device", "said"),
    [
        ("onnx", "cpu", "engine must be one of auto, torch, openvino"),
        ("auto", "tpu", "device must be auto, cpu, cuda"),
        ("openvino", "cuda", "runs on the CPU"),
    ],
)
def test_an_engine_that_cannot_be_is_refused(kind: str, device: str, said: str, shelf: tuple[Path]) -> None:
    with pytest.raises(SettingError, match=said):
        make_engine("mine", kind, device, folders=shelf)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_that_is_not_there_is_refused(shelf: tuple[Path]) -> None:
    with pytest.raises(SettingError, match="has none"):
        make_engine("mine", "torch", "cuda", folders=shelf)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("bfloat16", [False, True])
def test_cuda_is_the_reference_within_its_precision(case: str, bfloat16: bool) -> None:
    x = noise(CASES[case])
    expected = reference(case, x)
    own = build(*case.rsplit("-", 1))
    own.load_state_dict(module(case).state_dict())
    multiples = network_entry(*case.rsplit("-", 1)).multiples
    cuda = TorchEngine(own, axes=x.ndim, multiples=multiples, device="cuda", bfloat16=bfloat16)
    # float32 convolutions on CUDA may use TF32, which keeps 10 bits of mantissa
    rounding = 2**-9 if bfloat16 else 2**-11
    allowed = rounding * np.sqrt(DEPTH[case]) * np.sqrt(np.mean(expected**2))
    assert np.sqrt(np.mean((cuda(x) - expected) ** 2)) < allowed


def test_openvino_runs_without_importing_torch(shelf: tuple[Path]) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path; from spondyl.engine.build import make_engine\n"
        f"e = make_engine('mine', 'openvino', folders=(Path({str(shelf[0])!r}),))\n"
        "e(np.zeros((1, 1, 32, 24), np.float32)); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ), timeout=60)
