"""Losses of the networks that locate discs (Look-Once; MSA-Net, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as nnf

__all__ = ["TEMPERATURE", "heat_loss", "prototype_contrast"]

DISC_HEAT = 0.3
"""A place belongs to the disc whose heat is highest there, if it is above this."""

TEMPERATURE = 0.1
"""The contrast's temperature; the paper finds little difference between its values."""

_DISTANCE_WEIGHT = 0.5
"""The weight of the prototypes' distance; not legible in the paper."""


def heat_loss(heat: Tensor, target: Tensor, supervised: Tensor) -> Tensor:
    """Compute the squared error of heat maps over the squared target, so that no heat at all has a loss of 1.

    It is the papers' mean squared error but for a factor, which keeps it of the size of the contrast whatever the
    number of channels and pixels.

    Args:
        heat, target: (batch, channels, rows, columns).
        supervised: (batch, 1 or channels, rows, columns), 0 or False where no error counts.
    """
    squared = ((heat - target) ** 2 * supervised).sum()
    return squared / (target**2 * supervised).sum().clamp(min=1.0)


def prototype_contrast(
    embeddings: Tensor, target: Tensor, supervised: Tensor, *, temperature: float = TEMPERATURE
) -> Tensor:
    """Compute the contrastive loss between places and the prototypes of the discs and of the background.

    A prototype is the mean embedding of a class in the batch. Each place is drawn to the prototype of its class and
    away from the others (L_align); prototypes are driven apart (L_proto, the mean positive cosine of each pair). As
    many places of the background as of all discs count, evenly spread, so that it does not outweigh them; places near a
    disc belong to neither. Embeddings are averaged after they are scaled to length 1. The text names the classes both
    "disc and non-disc" and each disc; here, each disc is one, and the background.

    Args:
        embeddings: (batch, dimensions, rows, columns).
        target: (batch, discs + 1, rows, columns) heat; the last channel, of posterior edges, is not used.
        supervised: (batch, 1, rows, columns), False where the truth is unknown.
        temperature: divisor of the cosines.
    """
    hottest, disc = target[:, :-1].max(1)
    is_known = supervised[:, 0].bool()
    is_disc = (hottest > DISC_HEAT) & is_known
    background = torch.nonzero(((hottest < DISC_HEAT / 6) & is_known).flatten())[:, 0]
    count = int(is_disc.sum())
    if count == 0 or len(background) == 0:
        return embeddings.sum() * 0
    chosen = background[torch.linspace(0, len(background) - 1, min(count, len(background))).long()]
    vectors = nnf.normalize(embeddings.permute(0, 2, 3, 1).flatten(0, 2), dim=1)
    places = torch.cat([vectors[is_disc.flatten()], vectors[chosen]])
    _, classes = torch.unique(torch.cat([disc[is_disc], torch.full_like(chosen, target.shape[1])]), return_inverse=True)
    members = nnf.one_hot(classes).to(places.dtype)
    prototypes = nnf.normalize(members.T @ places, dim=1)
    align = nnf.cross_entropy(places @ prototypes.T / temperature, classes)
    cosines = prototypes @ prototypes.T
    others = ~torch.eye(len(prototypes), dtype=torch.bool, device=cosines.device)
    return align + _DISTANCE_WEIGHT * cosines[others].clamp(min=0).mean()
