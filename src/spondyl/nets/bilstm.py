"""The recurrent baseline of SpineNetV2 (Windsor et al. 2022, section 5.1), which labels a sequence of detections.

The paper describes it in two sentences: a bi-directional LSTM takes the prediction of the appearance network for each
vertebra and outputs a label for each. Size and depth are chosen here. Departures, all in its favour: its input has
the distances between detections, and it has a class for detections that are no vertebra.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from spondyl.errors import SettingError

__all__ = ["COMPACT", "BiLstm", "BiLstmPreset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BiLstmPreset:
    """The settings of one size of the network.

    Args:
        columns: number of levels of the appearance network.
        hidden: width of one direction.
        layers: number of layers.

    Raises:
        SettingError: a number is below 1.
    """

    columns: int = 24
    hidden: int = 96
    layers: int = 2

    def __post_init__(self) -> None:
        if min(self.columns, self.hidden, self.layers) < 1:
            raise SettingError("columns, hidden and layers of a bi-LSTM must be at least 1")


COMPACT = BiLstmPreset()


class BiLstm(nn.Module):
    """The network, 0.32 million parameters.

    Args:
        preset: its size.
    """

    def __init__(self, preset: BiLstmPreset = COMPACT) -> None:
        super().__init__()
        self.preset = preset
        width = preset.columns + 1
        self.lstm = nn.LSTM(width, preset.hidden, preset.layers, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * preset.hidden, width)

    def forward(self, features_b1nc: Tensor, lengths_b: Tensor | None = None) -> Tensor:
        """Compute the level logits of each detection, top to bottom.

        Args:
            features_b1nc: (B, 1, n, columns + 1), as `identify.bilstm.sequence_features` makes them; engines expect
                the axis of length 1 of every network.
            lengths_b: (B,) int64 on the CPU, number of detections in each sequence, if sequences are padded at their
                ends; None if all have n.

        Returns:
            (B, 1, n, columns + 1), not normalised; the last column is for detections that are no vertebra. Rows
            beyond a sequence's length are undefined.

        Raises:
            SettingError: another number of columns.
        """
        if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]  # torch's own export lacks both
            self._check_input(features_b1nc)
        sequence = features_b1nc[:, 0]
        if lengths_b is None:
            hidden, _ = self.lstm(sequence)
        else:
            packed = pack_padded_sequence(sequence, lengths_b, batch_first=True, enforce_sorted=False)
            hidden, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=sequence.shape[1])
        logits: Tensor = self.head(hidden)
        return logits[:, None]

    def _check_input(self, features_b1nc: Tensor) -> None:
        shape, width = tuple(features_b1nc.shape), self.preset.columns + 1
        if len(shape) != 4 or shape[1] != 1 or shape[3] != width:
            raise SettingError(f"features must be (B, 1, n, {width}), got {shape}")
