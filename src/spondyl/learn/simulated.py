"""The sources and the training step that all recipes on simulated columns share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor
from torch.nn import functional as nnf

from spondyl.identify.targets import IGNORED
from spondyl.learn.trainer import Recipe

__all__ = ["SIMULATED", "SimulatedRecipe"]

SIMULATED = (
    "columns simulated from published spacings (anatomy/spacing.py): VID, ImFusion; licence: CC BY-SA 4.0",
    "columns simulated from published spacings (anatomy/spacing.py): VerSe, Sekuboyina et al. 2021; "
    "licence: CC BY-SA 4.0",
)
"""Sources of the simulated columns, one sentence each for the card."""


class SimulatedRecipe(Recipe):
    """Learns the class of each row by cross entropy over the classes of each supervised row."""

    @abstractmethod
    def predict_rows(self, batch: Any) -> Tensor:
        """Logits (batch, rows, classes) of one batch."""

    def training_step(self, batch: Any, _index: int) -> Tensor:
        """Loss of one batch whose `classes` (batch, rows) hold `IGNORED` where a row is not supervised."""
        logits = self.predict_rows(batch).float()
        loss = nnf.cross_entropy(logits.permute(0, 2, 1), batch.classes, ignore_index=IGNORED)
        known = batch.classes != IGNORED
        self.log("loss", loss)
        self.log("accuracy", (logits.argmax(-1) == batch.classes)[known].float().mean())
        return loss
