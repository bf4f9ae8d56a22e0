"""`spondyl bench disc-networks`: parameters and time of every network that locates discs, on two CPU cores."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from spondyl.benches.table import BenchInput, BenchResult
from spondyl.benches.timing import find_processor_name, limited_cores
from spondyl.engine.build import make_engine
from spondyl.engine.contract import Engine
from spondyl.learn.recipes.table import RECIPES
from spondyl.metrics.tables import format_table
from spondyl.nets.cards import Card
from spondyl.nets.presets import NETWORKS, build
from spondyl.plan import Plan

__all__ = ["NetworkCost", "list_disc_networks", "measure_cost", "run_disc_networks"]

CORES = 2
_EDGE, _BATCH, _REPEATS = 256, 8, 7

_PUBLISHED = {
    ("hourglass", "paper"): "6.57 M",
    ("attention-hourglass", "paper"): "6.63 M",
    ("msa-net", "paper"): "2.96 M, 30 ms on an RTX 3090, batch of 16",
}
"""Parameters and time that are stated, or counted in the published code (of the hourglasses)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCost:
    """The size of a network and the time that it takes.

    Args:
        parameters: number of trained values.
        single_ms: median time of one image.
        batch_ms: median time of one image in a batch.
        engine: name and precision of the engine.
    """

    parameters: int
    single_ms: float
    batch_ms: float
    engine: str


def run_disc_networks(given: BenchInput) -> BenchResult:
    """Count and time every network and preset, with random weights, through the engine of the plan.

    Raises:
        MissingExtraError: PyTorch is not installed.
    """
    with limited_cores(CORES) as cores:
        costs = {key: measure_cost(*key, given.plan) for key in list_disc_networks()}
    rows = [
        (
            f"{network}, {preset}",
            f"{cost.parameters / 1e6:.2f} M",
            f"{cost.single_ms:.1f}",
            f"{cost.batch_ms:.1f}",
            _PUBLISHED.get((network, preset), "-"),
        )
        for (network, preset), cost in costs.items()
    ]
    header = ("network and preset", "parameters", "ms, one image", f"ms an image, batch of {_BATCH}", "published")
    engines = ", ".join(dict.fromkeys(cost.engine for cost in costs.values()))
    about = (
        f"Images of {_EDGE}x{_EDGE} pixels, random weights, {engines}, {cores} cores of {find_processor_name()}; "
        f"median of {_REPEATS}."
    )
    return BenchResult(text=f"{about}\n\n{format_table(header, rows)}")


def list_disc_networks() -> list[tuple[str, str]]:
    """List the networks that the recipe of disc networks trains, with each of their presets."""
    names = [recipe.name for recipe in RECIPES if recipe.opens.endswith(":train_discs")]
    return [(name, preset) for name in names for preset in NETWORKS[name].presets]


def measure_cost(network: str, preset: str, plan: Plan, *, edge: int = _EDGE) -> NetworkCost:
    """Count the parameters of a network and time it.

    Args:
        network: a key of `presets.NETWORKS`.
        preset: its size.
        plan: the engine and the device.
        edge: of the images, pixels.

    Raises:
        MissingExtraError: PyTorch is not installed.
    """
    module = build(network, preset)
    from spondyl.nets.weights import save  # needs what `build` has found to be there

    card = Card(
        name="timed",
        network=network,
        preset=preset,
        trained_on=(),
        metrics={},
        commit="",
        recipe="random weights",
        licence="none",
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        save(module, card, folder)
        engine = make_engine(card.name, plan.engine, plan.device, folders=(folder,))
    single, batch = (_time_ms(engine, count, edge) for count in (1, _BATCH))
    return NetworkCost(
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        single_ms=single,
        batch_ms=batch,
        engine=f"{engine.name} in {engine.precision}",
    )


def _time_ms(engine: Engine, count: int, edge: int) -> float:
    """Time an image in a batch of so many, ms; the first run is not counted."""
    images = np.random.default_rng(0).random((count, 1, edge, edge), dtype=np.float32)
    times = []
    for _ in range(_REPEATS + 1):
        start = time.perf_counter()
        engine(images)
        times.append(1000 * (time.perf_counter() - start) / count)
    return median(times[1:])
