"""The recipe of every network that locates discs: augmented sagittal images with disc points, and one training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as nnf

from spondyl.anatomy.disc import Disc
from spondyl.datasets.source import Exam
from spondyl.geometry.instance import polygon_centroids
from spondyl.learn.augment import Augmentation, SlicePlacement, draw_soft_masks, randomise_contrast
from spondyl.learn.recipes.table import TrainingRequest
from spondyl.learn.trainer import Recipe, Stream
from spondyl.learn.training import NetworkTraining, train_network
from spondyl.locate.disc_channels import POSTERIOR_CHANNEL, channel_of
from spondyl.locate.disc_losses import TEMPERATURE, heat_loss, prototype_contrast
from spondyl.locate.disc_targets import render_disc_heat
from spondyl.locate.discs import CLOSE_MM, SLAB_MM, WORKING_MM
from spondyl.locate.vfr import normalise
from spondyl.nets.disc_network import DiscNetwork

__all__ = ["CONTRAST_WEIGHT", "DiscBatch", "DiscRecipe", "DiscStream", "train_discs"]

_SLICE_SHARES = (0.75, 0.15, 0.1)
"""Shares of slices in which most discs are certain, in which any is outlined, and of any slice at all."""

_UNCERTAIN_MARGIN_PX = 8.0
"""Margin around an uncertain disc that is excluded from the loss; heat reaches about two sigma (6 pixels) beyond."""

VARIANCE_PX = 10.0
"""Variance of a disc's heat, in squared pixels of `WORKING_MM` (the paper's "radius 10")."""

CONTRAST_WEIGHT = 0.1
"""The weight of the contrastive loss (MSA-Net's lambda)."""

_LOG_SCALE = 0.5
"""Half-width of the change of size: a close look at a neck shows discs as large as lumbar ones."""

_EMBEDDING = 32
"""The dimensions to which embeddings are projected for the contrast, in training alone."""


def train_discs(request: TrainingRequest) -> None:
    """Train the network that has the name of the recipe."""
    training = NetworkTraining(
        network=request.recipe,
        preset="compact",
        steps=2000,
        recipe=DiscRecipe,
        stream=lambda groups, seed: DiscStream(groups, batch=8, size=256, seed=seed),
        settings=lambda _: {"working_mm": WORKING_MM, "close_mm": CLOSE_MM, "slab_mm": SLAB_MM},
    )
    train_network(training, request)


class DiscBatch(NamedTuple):
    """Training images with their discs; a tuple, because Lightning moves tuples between devices.

    Args:
        images: (batch, 1, size, 3/4 size): a column is higher than wide.
        points: (batch, n, 2) as (row, column), pixels: centres of discs and then posterior edges.
        channels: (batch, n) of each point; negative for padding.
        supervised: as the images, False where no error counts.
    """

    images: Tensor
    points: Tensor
    channels: Tensor
    supervised: Tensor


class DiscStream(Stream[DiscBatch]):
    """Augmented images: slabs of one or more sagittal slices around a random disc.

    Args:
        exams: groups of exams; each group is drawn from equally often, whatever its size.
        batch: images for each step.
        size: height of an image, pixels of `locate.discs.WORKING_MM`.
        seed: of all randomness.
    """

    def __init__(self, exams: Sequence[Sequence[Exam]], *, batch: int, size: int, seed: int) -> None:
        super().__init__(seed)
        self.groups = [[_Prepared(exam) for exam in group] for group in exams]
        self.batch, self.size = batch, size
        self.augmentation = Augmentation(log_scale=_LOG_SCALE)

    def draw(self, rng: np.random.Generator) -> DiscBatch:
        """Draw one batch."""
        groups = [self.groups[rng.integers(len(self.groups))] for _ in range(self.batch)]
        views = [group[rng.integers(len(group))].view(rng) for group in groups]
        centres = torch.as_tensor(np.stack([view.centre for view in views]), dtype=torch.float32)
        pixel_mm = torch.as_tensor(np.stack([view.pixel_mm for view in views]), dtype=torch.float32)
        placement = SlicePlacement(centres, pixel_mm, self.size, WORKING_MM, self.augmentation, rng)
        images = placement.sample([torch.as_tensor(view.image) for view in views])
        discs = _place([view.discs for view in views], placement)
        bodies = _place([view.bodies for view in views], placement)
        masks = [
            torch.stack([_draw(body, self.size), _draw(disc[view.certain], self.size)])
            for body, disc, view in zip(bodies, discs, views, strict=True)
        ]
        body_masks, disc_masks = torch.stack(masks, 1)
        images = randomise_contrast(images, body_masks, disc_masks, self.augmentation, rng)
        supervised = [
            _draw(disc[~view.certain], self.size, _UNCERTAIN_MARGIN_PX) < 0.5
            for disc, view in zip(discs, views, strict=True)
        ]
        points, channels = _pad([_points(disc, view) for disc, view in zip(discs, views, strict=True)])
        margin = self.size // 8
        middle = slice(margin, self.size - margin)
        return DiscBatch(
            images=images[:, None, :, middle],
            points=points - torch.tensor([0.0, margin]),
            channels=channels,
            supervised=torch.stack(supervised)[:, None, :, middle],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One image with the outlines in it, (n, 4, 2) each, and the point about which it is cut out."""

    image: NDArray[np.float32]
    discs: NDArray[np.float64]
    channels: NDArray[np.intp]
    certain: NDArray[np.bool_]
    bodies: NDArray[np.float64]
    centre: NDArray[np.float64]
    pixel_mm: NDArray[np.float64]


def _place(outlines: Sequence[NDArray[np.float64]], placement: SlicePlacement) -> list[Tensor]:
    """Map outlines (n, 4, 2) of each view to its output image."""
    padded = torch.zeros(len(outlines), max(map(len, outlines)), 4, 2)
    for b, corners in enumerate(outlines):
        padded[b, : len(corners)] = torch.as_tensor(corners, dtype=torch.float32)
    placed = placement.source_to_output(padded)
    return [placed[b, : len(corners)] for b, corners in enumerate(outlines)]


def _draw(corners: Tensor, size: int, grow: float = 0.0) -> Tensor:
    """Draw a soft mask (size, size) of all outlines."""
    return draw_soft_masks(corners, size, grow=grow).amax(0) if len(corners) else torch.zeros(size, size)


def _points(corners: Tensor, view: _View) -> tuple[Tensor, Tensor]:
    """List centres and posterior edges of the certain discs with their channels."""
    certain = torch.as_tensor(view.certain)
    shown = corners[certain]
    # a wedge's centroid, which masks have as well, lies up to 2 mm before the mean of its corners
    centres = torch.as_tensor(polygon_centroids(shown.double().numpy())).to(shown)
    edges = shown[:, :2].mean(1)
    channels = torch.as_tensor(view.channels)[certain]
    return torch.cat([centres, edges]), torch.cat([channels, torch.full_like(channels, POSTERIOR_CHANNEL)])


def _pad(points: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    n = max(len(places) for places, _ in points)
    padded, channels = torch.zeros(len(points), n, 2), torch.full((len(points), n), -1)
    for b, (places, of) in enumerate(points):
        padded[b, : len(places)], channels[b, : len(of)] = places, of
    return padded, channels


class _Prepared:
    """An exam with its intensities normalised once, and its outlines, head to foot in each slice."""

    def __init__(self, exam: Exam) -> None:
        self.voxels = normalise(exam.stack.voxels).astype(np.float16)  # hundreds of exams must fit in memory
        self.pixel_mm, self.slice_mm = exam.stack.pixel_mm, exam.stack.slice_mm
        self.bodies = exam.outlines
        discs = exam.disc_outlines()
        order = np.argsort([disc.upper.rank for disc in discs.discs], kind="stable")
        self.corners, self.slices = discs.corners[order], discs.slices[order]
        channels = [_channel(disc) for disc in discs.discs[order]]
        self.channels = np.array(channels, dtype=np.intp)
        self.certain = discs.certain[order] & (self.channels >= 0)
        everywhere = np.arange(len(self.voxels))
        counts = np.bincount(self.slices[self.certain], minlength=len(self.voxels))
        with_any = np.unique(self.slices)
        self.kinds = (np.flatnonzero(2 * counts >= max(1, counts.max())), with_any, everywhere)

    def view(self, rng: np.random.Generator) -> _View:
        kind = self.kinds[rng.choice(3, p=_SLICE_SHARES)]
        k = int(rng.choice(kind if len(kind) else self.kinds[-1]))
        reach = int(rng.uniform(0, SLAB_MM) / 2 / self.slice_mm + 0.5)
        here = self.slices == k
        above, below = _extrapolate(self.corners[here])
        corners = np.concatenate([above, self.corners[here], below])
        anywhere = self.corners if len(self.corners) else np.array(self.voxels.shape[1:])[None, None] / 2
        return _View(
            image=self.voxels[max(0, k - reach) : k + reach + 1].mean(0, dtype=np.float32),
            discs=corners,
            channels=np.pad(self.channels[here], (len(above), len(below)), constant_values=-1),
            certain=np.pad(self.certain[here], (len(above), len(below))),
            bodies=self.bodies.corners[self.bodies.slices == k],
            centre=anywhere[rng.integers(len(anywhere))].mean(0),
            pixel_mm=self.pixel_mm,
        )


def _channel(disc: Disc) -> int:
    """The channel of a disc; -1 where it has none."""
    channel = channel_of(disc)
    return -1 if channel is None else channel


def _extrapolate(corners: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Outline the disc above the uppermost labelled one and the one below the lowest, which may show unlabelled."""
    if len(corners) < 2:
        return np.empty((0, 4, 2)), np.empty((0, 4, 2))
    up, down = corners[0] - corners[1], corners[-1] - corners[-2]
    return corners[:1] + up.mean(0), corners[-1:] + down.mean(0)


class DiscRecipe(Recipe):
    """Learns heat by its mean squared error, and embeddings by contrast where the network has any.

    The network maps (batch, 1, rows, columns) to (batch, 24, rows / stride, columns / stride).

    Args:
        network: the network to train.
        steps, learning_rate: see `Recipe`.
        contrast_weight: weight of the contrastive loss.
        temperature: of the contrast.
    """

    network: DiscNetwork

    def __init__(
        self,
        network: DiscNetwork,
        *,
        steps: int,
        learning_rate: float = 1e-3,
        contrast_weight: float = CONTRAST_WEIGHT,
        temperature: float = TEMPERATURE,
    ) -> None:
        # torch's stubs leave the keyword out
        channels_last = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(channels_last, steps=steps, learning_rate=learning_rate)
        self.contrast_weight, self.temperature = contrast_weight, temperature
        width = network.embedding_channels if contrast_weight else 0
        self.projection = (
            nn.Sequential(nn.Conv2d(width, _EMBEDDING, 1), nn.ReLU(inplace=True), nn.Conv2d(_EMBEDDING, _EMBEDDING, 1))
            if width
            else None
        )

    def training_step(self, batch: DiscBatch, _index: int) -> Tensor:
        """Loss of one batch: the mean over the stacks, and the embeddings' contrast."""
        predicted = self.network.predict(batch.images.contiguous(memory_format=torch.channels_last))
        rows, columns = predicted.heat[-1].shape[-2:]
        stride = batch.images.shape[-1] // columns
        target = render_disc_heat(
            batch.points,
            batch.channels,
            (rows, columns),
            stride=stride,
            variance_px=VARIANCE_PX,
            count=POSTERIOR_CHANNEL + 1,
        )
        supervised = nnf.max_pool2d(batch.supervised.float(), stride) > 0
        errors = [
            heat_loss(heat.float(), target, supervised) + heat_loss(_merge(heat.float()), _merge(target), supervised)
            for heat in predicted.heat
        ]
        loss = torch.stack(errors).mean()
        self.log("loss", loss)
        if predicted.embeddings is not None and self.projection is not None:
            embeddings = self.projection(predicted.embeddings).float()
            contrast = prototype_contrast(embeddings, target, supervised, temperature=self.temperature)
            loss = loss + self.contrast_weight * contrast
        return loss


def _merge(heat: Tensor) -> Tensor:
    """Sum the heat of all discs, whatever their names, beside that of the edges."""
    return torch.cat([heat[:, :-1].sum(1, keepdim=True), heat[:, -1:]], 1)
