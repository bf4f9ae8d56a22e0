"""Graphs without weights: shipped ones are fresh, stale ones are never used."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spondyl.engine import topology as module
from spondyl.engine.topology import SHIPPED, bind, record, source_digest, topology
from spondyl.errors import WeightsError
from spondyl.nets import presets
from spondyl.nets.presets import NETWORKS, build

PRESETS = [(network, preset) for network, entry in NETWORKS.items() for preset in entry.presets]


@pytest.mark.parametrize(("network", "preset"), PRESETS)
def test_the_shipped_graph_is_that_of_the_source(
    network: str, preset: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPONDYL_HOME", str(tmp_path))
    monkeypatch.setattr(module, "record", lambda *_: pytest.fail("stale: run python -m spondyl.engine.topology"))
    xml = topology(network, preset)
    assert source_digest(network, preset).encode() in xml
    with torch.device("meta"):
        state = build(network, preset).state_dict()
    named = {data.get("tensor") for _, data in module._constants(module.ET.fromstring(xml))} - {None}
    assert named == {key for key in state if not key.endswith("num_batches_tracked")}


def test_a_changed_source_is_recorded_anew_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPONDYL_HOME", str(tmp_path))
    source = tmp_path / "context.py"
    source.write_text(NETWORKS["context"].sources[0].read_text() + "\n# changed\n")
    monkeypatch.setitem(presets.NETWORKS, "context", replace(NETWORKS["context"], sources=(source,)))
    first = topology("context", "spinenet")
    monkeypatch.setattr(module, "record", lambda *_: pytest.fail("recorded twice"))
    assert topology("context", "spinenet") == first


def test_recording_gives_the_shipped_graph() -> None:
    shipped = module._read(SHIPPED / "context-spinenet.xml.gz")
    torch.manual_seed(0)
    net = build("context", "spinenet").eval()
    state = {key: value.numpy() for key, value in net.state_dict().items()}
    x = np.random.default_rng(0).random((1, 1, 32, 24), dtype=np.float32)
    import openvino

    outs = [
        openvino.Core().compile_model(bind(xml, state), "CPU")(x)[0] for xml in (shipped, record("context", "spinenet"))
    ]
    np.testing.assert_array_equal(*outs)


def test_a_damaged_shipped_graph_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPONDYL_HOME", str(tmp_path))
    monkeypatch.setattr(module, "SHIPPED", tmp_path)
    (tmp_path / "context-spinenet.xml.gz").write_bytes(b"\x1f\x8b broken")
    assert source_digest("context", "spinenet").encode() in topology("context", "spinenet")


def test_half_precision_tensors_are_bound_as_float32() -> None:
    net = build("context", "spinenet").eval()
    state = {key: value.numpy() for key, value in net.state_dict().items()}
    halved = {key: value.astype(np.float16) if value.ndim > 1 else value for key, value in state.items()}
    bound = bind(topology("context", "spinenet"), halved)
    kernels = [op.data for op in bound.get_ops() if op.get_friendly_name() == "self.conv1.weight"]
    np.testing.assert_array_equal(kernels[0], halved["conv1.weight"].astype(np.float32))


def test_a_tensor_of_another_shape_is_refused() -> None:
    state = {key: value.numpy() for key, value in build("context", "spinenet").state_dict().items()}
    state["conv8.bias"] = np.zeros(2, np.float32)
    with pytest.raises(WeightsError, match=r"conv8\.bias of shape \(1,\)"):
        bind(topology("context", "spinenet"), state)
