"""The interface of all engines, and their common code: padding to the network's multiples and bounded batches."""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType
from typing import Protocol

import numpy as np

from spondyl.errors import SettingError
from spondyl.types import Float32

__all__ = ["VALUES_PER_RUN", "Engine", "run_padded"]

VALUES_PER_RUN = 2**20
"""The number of values that run at once, 16 slices of 256 x 256; more needs more memory and is no faster."""


class Engine(Protocol):
    """A network ready to run.

    Attributes:
        name: "torch" or "openvino", with the device.
        precision: "float32" or "bfloat16", of most of the arithmetic.
    """

    name: str
    precision: str

    def __call__(self, batch: Float32) -> Float32:
        """Run the network.

        Args:
            batch: (N, C, *spatial), float32, any N and, where the network is convolutional, any spatial size.

        Returns:
            (N, ...), float32; spatial axes as those of the input where the network keeps them.

        Raises:
            SettingError: the array's axes do not fit the network.
        """


def run_padded(run: Callable[[Float32], Float32], batch: Float32, multiples: tuple[int, ...], axes: int) -> Float32:
    """Pad a batch with zeros to the multiples of the network, run it in parts of bounded size, and crop the result.

    Args:
        run: the network, (N, C, *spatial) to (N, ...).
        batch: (N, C, *spatial).
        multiples: of which each spatial axis must be a multiple; empty where the spatial size is fixed.
        axes: number of axes of the network's input.

    Raises:
        SettingError: another number of axes, or an axis of length 0.
    """
    if batch.ndim != axes or 0 in batch.shape[1:]:
        raise SettingError(f"the network takes {axes} axes, none of them empty, got shape {batch.shape}")
    size = batch.shape[2:]
    margins = [(0, -n % m) for n, m in zip(size, multiples, strict=False)]
    if any(after for _, after in margins):
        batch = np.pad(batch, [(0, 0), (0, 0), *margins])
    count = batch.shape[0]
    if count == 0:  # run one item to know the shape of the empty result
        batch = np.zeros((1, *batch.shape[1:]), np.float32)
    out = np.concatenate([run(part) for part in _split(np.ascontiguousarray(batch, dtype=np.float32))])[:count]
    kept: list[EllipsisType | slice] = [..., *(slice(n) for n in size)]
    return np.ascontiguousarray(out[tuple(kept)]) if multiples else out


def _split(batch: Float32) -> list[Float32]:
    """Split the batch into parts of nearly equal length, of at least one item each."""
    values = int(np.prod(batch.shape[1:]))
    return np.array_split(batch, min(-(-batch.shape[0] * values // VALUES_PER_RUN), batch.shape[0]))
