"""The rate of a network, arithmetic per second, beside that of a large matrix product on the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from spondyl.engine.contract import Engine
from spondyl.nets.presets import build

__all__ = ["Rate", "count_gflop", "measure_rate"]

_MATRIX_EDGE = 2048  # beyond this the product's rate no longer grows, on two cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One measurement; GFLOP counts a multiplication and an addition as two.

    Args:
        engine: name of the engine.
        precision: in which it computes.
        shape: (N, C, *spatial) of the batch.
        seconds: best time of the batch.
        network_gflops: 10^9 operations per second that the network reaches.
        matrix_gflops: the rate of a large matrix product in the same precision, measured alternately.
    """

    engine: str
    precision: str
    shape: tuple[int, ...]
    seconds: float
    network_gflops: float
    matrix_gflops: float

    @property
    def share(self) -> float:
        """The network's rate over the matrix product's."""
        return self.network_gflops / self.matrix_gflops


def measure_rate(
    engine: Engine, network: str, preset: str, shape: tuple[int, ...] = (15, 1, 256, 256), repeats: int = 5
) -> Rate:
    """Measure an engine on a batch of noise, alternating with matrix products so that both meet the same machine.

    Args:
        engine: runs the network of that name and preset.
        network: a key of `presets.NETWORKS`.
        preset: which size of it.
        shape: (N, C, *spatial) of the batch.
        repeats: of each; the best counts.

    Raises:
        WeightsError: no network or preset of that name.
        SettingError: the shape does not fit the network.
    """
    device = "cuda" if "cuda" in engine.name else "cpu"
    batch = np.random.default_rng(0).random(shape, dtype=np.float32)
    product = _product(getattr(torch, engine.precision), device)
    times = [(_seconds(lambda: engine(batch)), _seconds(product)) for _ in range(repeats + 1)][1:]
    network_s, product_s = (min(column) for column in zip(*times, strict=True))
    return Rate(
        engine=engine.name,
        precision=engine.precision,
        shape=shape,
        seconds=network_s,
        network_gflops=count_gflop(network, preset, shape) / network_s,
        matrix_gflops=2 * _MATRIX_EDGE**3 / 1e9 / product_s,
    )


def count_gflop(network: str, preset: str, shape: tuple[int, ...]) -> float:
    """Count the network's arithmetic on one batch, 10^9 operations, without running it.

    Raises:
        WeightsError: no network or preset of that name.
        SettingError: the shape does not fit the network.
    """
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build(network, preset).eval()(torch.empty(shape))
    return float(counter.get_total_flops() / 1e9)


def _product(dtype: torch.dtype, device: str) -> Callable[[], object]:
    a, b = (torch.rand(_MATRIX_EDGE, _MATRIX_EDGE, device=device).to(dtype) for _ in range(2))

    def product() -> float:
        return float((a @ b)[0, 0])  # reading one number waits for the device

    return product


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
