"""Eager PyTorch: the reference on the CPU, and the engine for CUDA."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from spondyl.engine.contract import run_padded
from spondyl.errors import SettingError
from spondyl.types import Float32

__all__ = ["TorchEngine"]

_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


class TorchEngine:
    """A module in eager mode, channels last; in float32 on the CPU and bfloat16 on CUDA unless set otherwise.

    Args:
        module: changed in place: moved, put into evaluation mode.
        axes: number of axes of its input, 4 or 5.
        multiples: of which its spatial axes must be multiples; empty where their size is fixed.
        device: "cpu", "cuda" or "cuda:N".
        bfloat16: whether to compute in bfloat16; None: on CUDA only.

    Raises:
        SettingError: CUDA is requested and not available.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        axes: int = 4,
        multiples: tuple[int, ...] = (),
        device: str = "cpu",
        bfloat16: bool | None = None,
    ) -> None:
        self._device = torch.device(device)
        if self._device.type == "cuda" and not torch.cuda.is_available():
            raise SettingError(
                "device 'cuda' was requested, but this machine or this build of torch has none; choose device cpu"
            )
        halved = self._device.type == "cuda" if bfloat16 is None else bfloat16
        self._dtype = torch.bfloat16 if halved else torch.float32
        self._axes, self._multiples = axes, multiples
        self._module = module.eval().to(self._device, self._dtype, memory_format=_LAYOUTS[axes])  # type: ignore[call-overload]
        self.name = f"torch on {device}"
        self.precision = "bfloat16" if halved else "float32"

    def __call__(self, batch: Float32) -> Float32:
        """Run the network, see `contract.Engine`."""
        return run_padded(self._run, batch, self._multiples, self._axes)

    def _run(self, part: Float32) -> Float32:
        with torch.inference_mode():
            x = torch.from_numpy(part).to(self._device, self._dtype, memory_format=_LAYOUTS[self._axes])
            out: Float32 = self._module(x).to("cpu", torch.float32).numpy()
        return np.ascontiguousarray(out)
