"""What every engine is, and what they share: padding to the network's multiples and bounded batches."""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType
from typing import Protocol

import numpy as np

from spondyl.errors import SettingError
from spondyl.types import Float32

__all__ = ["VALUES_PER_RUN", "Engine", "run_padded"]

# What runs at once: 16 slices of 256 x 256. More gains no speed and costs memory in proportion.
VALUES_PER_RUN = 2**20


class Engine(Protocol):
    """A network ready to run.

    Attributes:
        name: "torch" or "openvino", with the device.
        precision: "float32" or "bfloat16", in which most of the arithmetic is done.
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
    """Pad with zeros to what the network can halve, run in parts of bounded size, crop back.

    Args:
        run: the network, (N, C, *spatial) to (N, ...).
        batch: (N, C, *spatial).
        multiples: what each spatial axis must be a multiple of; empty where the spatial size is fixed.
        axes: how many axes the network's input has.

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
    if count == 0:  # nothing to compute, but the shape of nothing must be known
        batch = np.zeros((1, *batch.shape[1:]), np.float32)
    out = np.concatenate([run(part) for part in _parts(np.ascontiguousarray(batch, dtype=np.float32))])[:count]
    kept: list[EllipsisType | slice] = [..., *(slice(n) for n in size)]
    return np.ascontiguousarray(out[tuple(kept)]) if multiples else out


def _parts(batch: Float32) -> list[Float32]:
    """The batch in parts of nearly equal length, at least one item each."""
    values = int(np.prod(batch.shape[1:]))
    return np.array_split(batch, min(-(-batch.shape[0] * values // VALUES_PER_RUN), batch.shape[0]))
