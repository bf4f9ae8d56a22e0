"""OpenVINO on the CPU: the default engine; it needs no torch."""

from __future__ import annotations

import hashlib
import io
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spondyl.engine.cache import read_cached, write_cached
from spondyl.engine.contract import run_padded
from spondyl.engine.runtime import openvino
from spondyl.engine.topology import bind, topology
from spondyl.errors import SettingError
from spondyl.nets.presets import network_entry
from spondyl.types import Float32

__all__ = ["OpenVinoEngine", "processor_has_bfloat16"]

_MAX_CACHED_BYTES = 100e6
"""The size up to which compiled networks are cached; reading hundreds of megabytes is no quicker than compiling."""

_PROCESSOR = {"vendor_id", "cpu family", "model", "model name", "cache size", "flags", "Features", "CPU part"}
"""The lines of /proc/cpuinfo on which a compiled network depends; the others change with time and processor."""

_KEPT_KERNELS = 100
"""The number of cached kernels, one for each shape; OpenVINO's 5000 take half a gigabyte after 150 scans."""


class OpenVinoEngine:
    """A network compiled for this processor, once for all shapes.

    Args:
        network: a key of `presets.NETWORKS`.
        preset: its size.
        state: its tensors by name, any float type.
        bfloat16: whether to compute in bfloat16; None: where the processor has it and the network tolerates it.
        threads: largest number of threads; None: as many as this process may use.
        weights_sha256: of the file that holds the tensors; the compiled network is cached under it, or not when None.

    Raises:
        WeightsError: the network is unknown, or a tensor is missing or of another shape.
    """

    def __init__(
        self,
        network: str,
        preset: str,
        state: Mapping[str, NDArray[Any]],
        *,
        bfloat16: bool | None = None,
        threads: int | None = None,
        weights_sha256: str | None = None,
    ) -> None:
        entry = network_entry(network, preset)
        halved = processor_has_bfloat16() and entry.tolerates_bfloat16 if bfloat16 is None else bfloat16
        example = entry.example_shape[preset]
        self._axes, self._multiples = len(example), entry.multiples
        self._fixed = None if entry.multiples else example[1:]
        graph = _Graph(
            name=f"{network}-{preset}",
            xml=topology(network, preset),
            state=state,
            shape=(-1, 1, *([-1] * len(entry.multiples) or example[2:])),
        )
        settings = _settings(halved, threads or _usable_processors())
        is_small = sum(value.nbytes for value in state.values()) < _MAX_CACHED_BYTES
        if weights_sha256 is not None and is_small:
            self._compiled = _compile_cached(graph, settings, weights_sha256)
        else:
            self._compiled = _compile(graph, settings)
        self.name = "openvino on cpu"
        self.precision = "bfloat16" if halved else "float32"

    def __call__(self, batch: Float32) -> Float32:
        """Run the network, see `contract.Engine`."""
        if batch.ndim == self._axes and (batch.shape[1] != 1 or batch.shape[1:] != (self._fixed or batch.shape[1:])):
            raise SettingError(f"the network takes (N, *{self._fixed or (1, '…')}), got shape {batch.shape}")
        return run_padded(self._run, batch, self._multiples, self._axes)

    def _run(self, part: Float32) -> Float32:
        # the result outlives the request that computed it, so it is copied out of its buffer
        return np.array(self._compiled([part])[0], dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Graph:
    """The input of the compiler: a topology, its tensors, and its input's shape, -1 where any length is allowed."""

    name: str
    xml: bytes
    state: Mapping[str, NDArray[Any]]
    shape: tuple[int, ...]


def _settings(halved: bool, threads: int) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if halved else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "CPU_RUNTIME_CACHE_CAPACITY": _KEPT_KERNELS,
        "ENABLE_HYPER_THREADING": True,  # a virtual processor may be half a core; use all
    }


def _compile(graph: _Graph, settings: dict[str, Any]) -> openvino.CompiledModel:
    model = bind(graph.xml, graph.state)
    model.reshape(list(graph.shape))
    return _core().compile_model(model, "CPU", settings)


@cache
def _core() -> openvino.Core:
    """Return the only core of this process, which is never closed.

    The CPU plugin of a core sets an alternate stack for signals and restores the previous one at its end. If several
    cores end in another order than they began, a stack remains that no longer exists, and the next signal (Ctrl-C)
    crashes the process.
    """
    return openvino.Core()


def _compile_cached(graph: _Graph, settings: dict[str, Any], weights_sha256: str) -> openvino.CompiledModel:
    """Compile, or import a cached result of the same input; OpenVINO's own cache does not check what it reads."""
    source = hashlib.sha256(graph.xml).hexdigest()
    key = "\n".join(map(str, (openvino.get_version(), _processor(), settings, graph.shape, source, weights_sha256)))
    content = read_cached("openvino", graph.name, key)
    if content is not None:
        with suppress(RuntimeError):
            return _core().import_model(content, "CPU", settings)
    compiled = _compile(graph, settings)
    exported = io.BytesIO()
    compiled.export_model(exported)
    write_cached("openvino", graph.name, key, exported.getvalue())
    return compiled


@cache
def _processor() -> str:
    """Describe this processor and its instruction sets, as far as the system tells."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    named = [line for line in first.splitlines() if line.partition(":")[0].strip() in _PROCESSOR]
    return "\n".join([platform.machine(), *named])


def processor_has_bfloat16() -> bool:
    """Tell whether the processor has native bfloat16 products, AVX512-BF16 or AMX; False where that is unknown."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(_processor().split())


def _usable_processors() -> int:
    """Count the processors that this process may use, which containers and `taskset` restrict."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
