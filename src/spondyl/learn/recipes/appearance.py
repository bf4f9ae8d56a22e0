"""The recipe of the appearance network: augmented crops around true bodies, and one training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as nnf

from spondyl.anatomy.landmarks import STAND_INS
from spondyl.datasets.source import Exam
from spondyl.geometry.affine import Float
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.crops import COMPACT, CropGrid, appearance_crops
from spondyl.identify.targets import level_classes
from spondyl.learn.augment import Augmentation, remap_intensities
from spondyl.learn.recipes.table import TrainingRequest
from spondyl.learn.trainer import Recipe, Stream
from spondyl.learn.training import UNCOUNTED_MISSES, UNFITTED_DECODER, NetworkTraining, train_network
from spondyl.nets.cards import Setting

__all__ = ["AppearanceRecipe", "CropBatch", "CropStream", "train_appearance"]

_JITTER = 0.05
"""Standard deviation of a corner's place over the body's edge: about the detector's own error (1 to 2 mm of 35)."""

_SCALE = 0.12
"""Half-width of a body's and its crop's change of size, natural logarithm."""

_TURN_DEG = 12.0

_MAX_BODIES = 8
"""Most bodies of one exam in a batch; all bodies of a whole spine add little to some of them."""


def train_appearance(request: TrainingRequest) -> None:
    """Train the appearance network."""
    training = NetworkTraining(
        network="appearance",
        preset="compact",
        steps=1200,
        recipe=AppearanceRecipe,
        stream=lambda groups, seed: CropStream(groups, exams_per_batch=6, seed=seed),
        settings=_settings,
        needs_bodies=True,
    )
    train_network(training, request)


def _settings(exams: Sequence[Exam]) -> dict[str, Setting]:
    """The levels that the network was trained on, and settings of a decoder that nothing has been fitted to yet."""
    trained = {STAND_INS.get(level, level) for exam in exams for level in exam.outlines.levels[exam.outlines.certain]}
    first, *_, last = sorted(trained, key=lambda level: level.rank) * 2
    return {
        "uppermost_level": str(first),
        "lowest_level": str(last),
        **UNFITTED_DECODER,
        "landmark_temperature": UNFITTED_DECODER["temperature"],
        **UNCOUNTED_MISSES,
    }


class CropBatch(NamedTuple):
    """Crops (n, 1, size, size, slices) and the column of the level of each, or of its stand-in, (n,)."""

    crops: Tensor
    classes: Tensor


class CropStream(Stream[CropBatch]):
    """Augmented crops.

    Args:
        exams: groups of exams; each group is drawn from equally often, whatever its size.
        exams_per_batch: number of exams whose bodies make a batch.
        seed: of all randomness.
        grid: size and reach of the crops.
    """

    def __init__(
        self, exams: Sequence[Sequence[Exam]], *, exams_per_batch: int, seed: int, grid: CropGrid = COMPACT
    ) -> None:
        super().__init__(seed)
        self.groups = [[(exam.stack, exam.bodies()) for exam in group] for group in exams]
        self.exams_per_batch, self.grid = exams_per_batch, grid
        self.augmentation = Augmentation()

    def draw(self, rng: np.random.Generator) -> CropBatch:
        """Draw the bodies of a few exams."""
        drawn = [self._exam(rng) for _ in range(self.exams_per_batch)]
        return CropBatch(torch.cat([crops for crops, _ in drawn]), torch.cat([classes for _, classes in drawn]))

    def _exam(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        group = self.groups[rng.integers(len(self.groups))]
        stack, bodies = group[rng.integers(len(group))]
        view = _cut_field_of_view(stack, rng) if rng.random() < 0.5 else stack
        shown = {level: body for level, body in bodies.items() if _is_in_view(body, view)}
        if not shown:  # the window lies above or below all that is labelled
            view, shown = stack, bodies
        if len(shown) > _MAX_BODIES:
            chosen = sorted(rng.permutation(len(shown))[:_MAX_BODIES])
            shown = {level: shown[level] for level in [list(shown)[place] for place in chosen]}
        moved = [_move(body, view, rng) for body in shown.values()]
        crops = appearance_crops(view, moved, replace(self.grid, through_plane_margin=float(rng.uniform(0.2, 0.8))))
        if rng.random() < 0.5:
            crops = crops[..., ::-1].copy()
        changed = _change_contrast(torch.as_tensor(crops), self.augmentation, rng)
        return changed[:, None], torch.as_tensor(level_classes([STAND_INS.get(level, level) for level in shown]))


def _cut_field_of_view(stack: SagittalStack, rng: np.random.Generator) -> SagittalStack:
    """Blank everything above and below a random window of 12 cm or more."""
    rows = stack.voxels.shape[1]
    least = min(rows, int(120 / stack.pixel_mm[0]))
    height = int(rng.integers(least, rows + 1))
    top = int(rng.integers(0, rows - height + 1))
    voxels = np.full_like(stack.voxels, stack.voxels.min())
    voxels[:, top : top + height] = stack.voxels[:, top : top + height]
    return SagittalStack(voxels=voxels, affine=stack.affine)


def _is_in_view(body: VertebraInstance, stack: SagittalStack) -> bool:
    row, column = np.clip(body.centroid_index[1:].round().astype(int), 0, np.array(stack.voxels.shape[1:]) - 1)
    return bool(np.ptp(stack.voxels[body.slices[0], row, max(0, column - 5) : column + 6]) > 0)


def _move(body: VertebraInstance, stack: SagittalStack, rng: np.random.Generator) -> VertebraInstance:
    """Perturb a body as a detector might outline it: turned, resized, corners moved, a few lateral slices missed."""
    outlines = body.outlines * stack.pixel_mm
    centre = outlines.mean((0, 1))
    angle = np.deg2rad(rng.uniform(-_TURN_DEG, _TURN_DEG))
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    turn *= np.exp(rng.uniform(-_SCALE, _SCALE))
    edge = float(np.ptp(outlines, axis=(0, 1)).mean())
    moved: Float = (outlines - centre) @ turn.T + centre + rng.normal(0, _JITTER * edge, (4, 2))
    first = int(rng.integers(0, 1 + len(body.slices) // 4))
    last = len(body.slices) - int(rng.integers(0, 1 + len(body.slices) // 4))
    return replace(body, slices=body.slices[first:last], outlines=moved[first:last] / stack.pixel_mm)


def _change_contrast(crops: Tensor, how: Augmentation, rng: np.random.Generator) -> Tensor:
    """Draw one contrast for all crops of an exam; body contrast, noise and blur for each crop."""
    top = float(torch.quantile(crops.flatten()[::11], 0.99).clamp(min=0.1))
    images = (crops / top).clamp(0, 1.5)
    if rng.random() < how.contrast:
        images = remap_intensities(images, rng)
    if rng.random() < how.tissue:
        body = _middle_third(images.shape[1])[..., None]
        images = images * (1 + body * rng.uniform(-0.6, 0.6)) + body * rng.uniform(-0.1, 0.3)
    if rng.random() < 0.3:
        coarse = [int(n / rng.uniform(1, 2)) for n in images.shape[1:3]]
        slices = images.permute(0, 3, 1, 2)
        small = nnf.interpolate(slices, coarse, mode="area")
        images = nnf.interpolate(small, slices.shape[2:], mode="bilinear").permute(0, 2, 3, 1)
    sigma = float(np.exp(rng.uniform(np.log(0.005), np.log(0.1))))
    noise = rng.normal(0, sigma * float(images.max()), images.shape)
    images = (images + torch.as_tensor(noise, dtype=torch.float32)).abs()
    lowest = images.flatten(1).amin(1)[:, None, None, None]
    high = torch.quantile((images - lowest).flatten(1)[:, ::7], 0.95, dim=1)[:, None, None, None].clamp(min=1e-3)
    return (images - lowest) / high


def _middle_third(size: int) -> Tensor:
    """Draw a soft mask (size, size) of the part of a crop that holds its body."""
    ramp = torch.sigmoid((size / 6 - (torch.arange(size) - (size - 1) / 2).abs()) / 1.5)
    return ramp[:, None] * ramp


class AppearanceRecipe(Recipe):
    """Learns levels from crops by cross entropy (section 4.4.2).

    The network maps (n, 1, size, size, slices) to (n, 24) logits.
    """

    def training_step(self, batch: CropBatch, _index: int) -> Tensor:
        """Loss of one batch."""
        logits = self.network(batch.crops).float()
        loss = nnf.cross_entropy(logits, batch.classes, label_smoothing=0.05)
        self.log("loss", loss)
        self.log("accuracy", (logits.argmax(1) == batch.classes).float().mean())
        return loss
