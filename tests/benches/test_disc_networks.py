"""Every disc network is counted and timed, and the counts are those of its tensors."""

import re

import numpy as np
import pytest
from torch import nn

from spondyl.benches import disc_networks
from spondyl.benches.disc_networks import list_disc_networks, measure_cost, run_disc_networks
from spondyl.benches.table import BenchInput
from spondyl.nets.presets import NETWORKS
from spondyl.plan import Plan


class Counting:
    """An engine that keeps the shapes of its batches."""

    name, precision = "counting", "float32"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        self.shapes.append(batch.shape)
        return batch


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    monkeypatch.setattr(disc_networks, "make_engine", lambda *_arguments, **_keywords: counting)
    return counting


def test_networks_of_the_papers_are_measured_in_every_size() -> None:
    listed = list_disc_networks()
    assert {("hourglass", "paper"), ("msa-net", "compact")} <= set(listed)
    assert all(preset in NETWORKS[network].presets for network, preset in listed)
    assert not {"vfr", "appearance", "context"} & {network for network, _ in listed}


def test_parameters_are_counted_and_images_timed_alone_and_in_batches(
    engine: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disc_networks, "build", lambda _network, _preset: nn.Conv2d(1, 4, 3))
    monkeypatch.setattr("spondyl.nets.weights.save", lambda *_arguments: None)
    cost = measure_cost("hourglass", "compact", Plan(), edge=32)
    assert cost.parameters == 4 * 9 + 4
    assert engine.shapes == [(1, 1, 32, 32)] * 8 + [(8, 1, 32, 32)] * 8
    assert cost.engine == "counting in float32"
    assert cost.single_ms > 0


def test_every_network_has_a_row(engine: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disc_networks, "list_disc_networks", lambda: [("msa-net", "compact"), ("hourglass", "compact")])
    text = run_disc_networks(BenchInput(plan=Plan())).text
    assert re.findall(r"^\| (\S+, \w+) ", text, re.MULTILINE) == ["msa-net, compact", "hourglass, compact"]
