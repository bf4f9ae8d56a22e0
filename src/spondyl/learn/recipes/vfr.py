"""The recipe of the vector-field regression network: a stream of training slices, and one training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spondyl.datasets.source import Exam
from spondyl.learn.augment import Augmentation, SlicePlacement, draw_soft_masks, randomise_contrast
from spondyl.learn.recipes.table import TrainingRequest
from spondyl.learn.trainer import Recipe, Stream
from spondyl.learn.training import NetworkTraining, train_network
from spondyl.locate.vfr import CLOSE_MM, WORKING_MM, normalise
from spondyl.locate.vfr_targets import render_targets, vfr_loss

__all__ = ["SliceStream", "VfrBatch", "VfrRecipe", "train_vfr"]

_SLICE_SHARES = (0.6, 0.3, 0.1)
"""Shares of slices in which all bodies are certain (hand-drawn S1 is, in three), any is, or any is outlined.

Drawn evenly, S1 came once for every four lumbar bodies of its exam, and a network so trained missed it.
"""

_UNCERTAIN_MARGIN_PX = 4.0
"""Margin around an uncertain body that is excluded from the loss: its corners' heat reaches about one sigma (3.7
pixels) beyond."""


def train_vfr(request: TrainingRequest) -> None:
    """Train the detector."""
    training = NetworkTraining(
        network="vfr",
        preset="compact",
        steps=4800,
        recipe=VfrRecipe,
        stream=lambda groups, seed: SliceStream(groups, batch=16, size=224, seed=seed),
        settings=lambda _: {"working_mm": WORKING_MM, "close_mm": CLOSE_MM},
        needs_bodies=True,
    )
    train_network(training, request)


class VfrBatch(NamedTuple):
    """Training slices with their truth; a tuple, because Lightning moves tuples between devices.

    Args:
        images: (batch, 1, size, size).
        corners: (batch, n, 4, 2) as (row, column), pixels.
        certain: (batch, n), True for a body to be found; False for padding and for bodies excluded from the loss.
        supervised: (batch, 1, size, size), False where no error counts.
    """

    images: Tensor
    corners: Tensor
    certain: Tensor
    supervised: Tensor


class SliceStream(Stream[VfrBatch]):
    """Augmented slices.

    Args:
        exams: groups of exams; each group is drawn from equally often, whatever its size.
        batch: slices for each step.
        size: edge of a training slice, pixels of `locate.vfr.WORKING_MM`.
        seed: of all randomness.
    """

    def __init__(self, exams: Sequence[Sequence[Exam]], *, batch: int, size: int, seed: int) -> None:
        super().__init__(seed)
        self.groups = [[_Prepared(exam) for exam in group] for group in exams]
        self.batch, self.size = batch, size
        self.augmentation = Augmentation()

    def draw(self, rng: np.random.Generator) -> VfrBatch:
        """Draw one batch."""
        views = [self._view(rng) for _ in range(self.batch)]
        n = max(len(view.corners) for view in views)
        corners = torch.zeros(self.batch, n, 4, 2)
        certain = torch.zeros(self.batch, n, dtype=torch.bool)
        centres = torch.zeros(self.batch, 2)
        for b, view in enumerate(views):
            corners[b, : len(view.corners)] = torch.as_tensor(view.corners, dtype=torch.float32)
            certain[b, : len(view.corners)] = torch.as_tensor(view.certain)
            centres[b] = torch.as_tensor(view.corners[rng.integers(len(view.corners))].mean(0))
        pixel_mm = torch.as_tensor(np.stack([view.pixel_mm for view in views]), dtype=torch.float32)
        placement = SlicePlacement(centres, pixel_mm, self.size, WORKING_MM, self.augmentation, rng)
        images = placement.sample([torch.as_tensor(view.image) for view in views])
        corners = placement.source_to_output(corners)
        masks = [self._masks(corners[b, : len(view.corners)], view) for b, view in enumerate(views)]
        bodies, discs, supervised = (torch.stack(kind) for kind in zip(*masks, strict=True))
        images = randomise_contrast(images, bodies, discs, self.augmentation, rng)
        return VfrBatch(images=images[:, None], corners=corners, certain=certain, supervised=supervised[:, None])

    def _view(self, rng: np.random.Generator) -> _View:
        group = self.groups[rng.integers(len(self.groups))]
        return group[rng.integers(len(group))].view(rng)

    def _masks(self, corners: Tensor, view: _View) -> tuple[Tensor, Tensor, Tensor]:
        inside = draw_soft_masks(corners, self.size)
        upper, lower = corners[:-1], corners[1:]
        spaces = torch.stack([upper[:, 2], upper[:, 1], lower[:, 0], lower[:, 3]], 1)
        discs = draw_soft_masks(spaces, self.size).amax(0) if len(spaces) else torch.zeros(self.size, self.size)
        uncertain = corners[torch.as_tensor(~view.certain)]
        supervised = torch.ones(self.size, self.size, dtype=torch.bool)
        if len(uncertain):
            supervised = draw_soft_masks(uncertain, self.size, grow=_UNCERTAIN_MARGIN_PX).amax(0) < 0.5
        return inside.amax(0), discs, supervised


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    image: NDArray[np.float32]
    corners: NDArray[np.float64]
    certain: NDArray[np.bool_]
    pixel_mm: NDArray[np.float64]


class _Prepared:
    """An exam with its intensities normalised once, and its outlines by slice, head to foot."""

    def __init__(self, exam: Exam) -> None:
        self.voxels = normalise(exam.stack.voxels).astype(np.float16)  # hundreds of exams must fit in memory
        self.pixel_mm = exam.stack.pixel_mm
        self.slice_mm = exam.stack.slice_mm
        o = exam.outlines
        order = np.argsort([level.rank for level in o.levels], kind="stable")
        self.corners, self.slices, self.certain = o.corners[order], o.slices[order], o.certain[order]
        self.with_any = np.unique(self.slices)
        bodies = np.array([self.certain[self.slices == k].sum() for k in self.with_any])
        self.with_bodies, self.with_all = self.with_any[bodies > 0], self.with_any[bodies == bodies.max()]

    def view(self, rng: np.random.Generator) -> _View:
        slices = (self.with_all, self.with_bodies, self.with_any)[rng.choice(3, p=_SLICE_SHARES)]
        k = int(rng.choice(slices))
        image = self.voxels[k].astype(np.float32)
        if self.slice_mm < 3 and rng.random() < 0.5:  # a thicker slice
            image = self.voxels[max(0, k - 1) : k + 2].mean(0, dtype=np.float32)
        here = self.slices == k
        corners, certain = self.corners[here], self.certain[here]
        unlabelled = self._extrapolate_above(corners)
        return _View(
            image=image,
            corners=np.concatenate([unlabelled, corners]),
            certain=np.concatenate([np.zeros(len(unlabelled), bool), certain]),
            pixel_mm=self.pixel_mm,
        )

    def _extrapolate_above(self, corners: NDArray[np.float64]) -> NDArray[np.float64]:
        """Extrapolate the outline of the body above the topmost labelled one, which may show in part."""
        if len(corners) < 2:
            return np.empty((0, 4, 2))
        return np.asarray(corners[:1] + corners[0].mean(0) - corners[1].mean(0))


class VfrRecipe(Recipe):
    """Learns with SpineNetV2's loss; the network maps (batch, 1, rows, columns) to (batch, 13, rows, columns)."""

    def __init__(self, network: nn.Module, *, steps: int, learning_rate: float = 1e-3) -> None:
        # torch's stubs leave the keyword out
        channels_last = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(channels_last, steps=steps, learning_rate=learning_rate)

    def training_step(self, batch: VfrBatch, _index: int) -> Tensor:
        """Loss of one batch."""
        rows, columns = batch.images.shape[2:]
        targets, near = render_targets(batch.corners, batch.certain, (rows, columns))
        output = self.network(batch.images.contiguous(memory_format=torch.channels_last)).float()
        loss = vfr_loss(output, targets, near, batch.supervised)
        self.log("loss", loss)
        return loss
