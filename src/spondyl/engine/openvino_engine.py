"""OpenVINO on the CPU: the default engine; it needs no torch."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from spondyl.engine.contract import FloatArray, run_padded
from spondyl.engine.topology import bind, topology
from spondyl.errors import SettingError
from spondyl.nets.places import cache_folder
from spondyl.nets.presets import network_entry

__all__ = ["OpenVinoEngine", "processor_has_bfloat16"]

_LOG = logging.getLogger(__name__)
# Compiled models of big networks are not cached: reading hundreds of megabytes back is no quicker than compiling.
_CACHED_BYTES_AT_MOST = 100e6
# Kernels are made for each shape; its own 5000 of them are half a gigabyte after 150 scans of different sizes.
_KEPT_KERNELS = 100


class OpenVinoEngine:
    """A network compiled for this processor, once for all shapes.

    Args:
        network: a key of `presets.NETWORKS`.
        preset: which size of it.
        state: its tensors by name, any float type.
        bfloat16: whether to compute in bfloat16; None: where the processor has it and the network tolerates it.
        threads: at most so many; None: as many as this process may use.

    Raises:
        WeightsError: no such network, or a tensor is missing or of another shape.
    """

    def __init__(
        self,
        network: str,
        preset: str,
        state: Mapping[str, NDArray[Any]],
        *,
        bfloat16: bool | None = None,
        threads: int | None = None,
    ) -> None:
        entry = network_entry(network, preset)
        halved = processor_has_bfloat16() and entry.tolerates_bfloat16 if bfloat16 is None else bfloat16
        example = entry.example_shape[preset]
        self._axes, self._multiples = len(example), entry.multiples
        self._fixed = None if entry.multiples else example[1:]
        model = bind(topology(network, preset), state)
        model.reshape([-1, 1, *([-1] * len(entry.multiples) or example[2:])])
        size = sum(value.nbytes for value in state.values())
        self._compiled = _compile(model, halved, threads or _usable_processors(), cached=size < _CACHED_BYTES_AT_MOST)
        self.name = "openvino on cpu"
        self.precision = "bfloat16" if halved else "float32"

    def __call__(self, batch: FloatArray) -> FloatArray:
        """See `contract.Engine`."""
        if batch.ndim == self._axes and (batch.shape[1] != 1 or batch.shape[1:] != (self._fixed or batch.shape[1:])):
            raise SettingError(f"the network takes (N, *{self._fixed or (1, '…')}), got shape {batch.shape}")
        return run_padded(self._run, batch, self._multiples, self._axes)

    def _run(self, part: FloatArray) -> FloatArray:
        # the result outlives the request that computed it, so it is copied out of its buffer
        return np.array(self._compiled([part])[0], dtype=np.float32)


def _compile(model: openvino.Model, halved: bool, threads: int, *, cached: bool) -> openvino.CompiledModel:
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "bf16" if halved else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "CPU_RUNTIME_CACHE_CAPACITY": _KEPT_KERNELS,
        "ENABLE_HYPER_THREADING": True,  # a virtual processor may be half a core; all that we may use count
    }
    folder = _writable(cache_folder() / "openvino") if cached else None
    if folder is not None:
        settings["CACHE_DIR"] = str(folder)
    return _core().compile_model(model, "CPU", settings)


@cache
def _core() -> openvino.Core:
    """The one core of this process, never ended.

    A core's CPU plugin sets an alternate stack for signals and restores the one before when it ends. Of several cores
    that end in another order than they began, a stack is left that no longer exists, and the next signal (Ctrl-C)
    crashes the process.
    """
    return openvino.Core()


def _writable(folder: Path) -> Path | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
        reason = "the folder is read-only"
    except OSError as error:
        reason = error.strerror or "the folder cannot be made"
    _LOG.warning("compiled networks are not cached in %s: %s", folder, reason)
    return None


@cache
def processor_has_bfloat16() -> bool:
    """Whether products of bfloat16 are native here: AVX512-BF16 or AMX; False where the system does not say."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return False
    return bool(words & {"avx512_bf16", "amx_bf16"})


def _usable_processors() -> int:
    """The processors that this process may run on, which containers and `taskset` restrict."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
