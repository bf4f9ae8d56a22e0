"""Random geometry and contrast for training slices, a batch at a time.

Contrast must not be learnt: the same bodies appear bright, dark, or like their surroundings in T1, T2, STIR, GRE,
water and fat images. So intensities are mapped by a random curve, bodies and discs are shifted against their
surroundings, and coil shading, noise, blur and coarse sampling are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as nnf

__all__ = ["Augmentation", "SlicePlacement", "draw_soft_masks", "randomise_contrast", "remap_intensities"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """The strength of augmentation; each number is the half-width or probability of a uniform draw.

    Args:
        rotation_deg: turn in the plane.
        log_scale: natural logarithm of the zoom.
        stretch: relative change of the rows' spacing against the columns'.
        bend_mm: amplitude of a sideways wave along the column.
        shift: displacement over the image's edge.
        contrast: probability that intensities are mapped by a random curve.
        tissue: probability that bodies, or discs, are shifted against their surroundings.
    """

    rotation_deg: float = 25.0
    log_scale: float = 0.3
    stretch: float = 0.12
    bend_mm: float = 8.0
    shift: float = 0.15
    contrast: float = 0.85
    tissue: float = 0.5


class SlicePlacement:
    """Random maps between output pixels and source pixels, one for each slice of a batch.

    An output pixel (row, column) is first bent, ``column + wave(row)``, then mapped by an affine to the source.

    Args:
        centres: (batch, 2) source (row, column) that lands about the middle of the output, shifted and bent.
        pixel_mm: (batch, 2) source spacing.
        size: edge of the square output, pixels.
        working_mm: spacing of the output.
    """

    def __init__(
        self,
        centres: Tensor,
        pixel_mm: Tensor,
        size: int,
        working_mm: float,
        how: Augmentation,
        rng: np.random.Generator,
    ) -> None:
        batch = len(centres)

        def uniform(half_width: float) -> Tensor:
            return torch.as_tensor(rng.uniform(-half_width, half_width, batch), dtype=torch.float32)

        angle = torch.deg2rad(uniform(how.rotation_deg))
        zoom = torch.exp(uniform(how.log_scale))
        stretch = 1 + uniform(how.stretch)
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).view(batch, 2, 2)
        scale = torch.stack([zoom * stretch, zoom], -1) * working_mm
        self.matrix = turn * scale[:, None, :] / pixel_mm[:, :, None]
        middle = torch.stack([uniform(how.shift), uniform(how.shift)], -1) * size + (size - 1) / 2
        self.offset = centres - (self.matrix @ middle[..., None])[..., 0]
        self.amplitude = uniform(how.bend_mm) / working_mm
        self.frequency = torch.as_tensor(2 * np.pi / rng.uniform(0.5, 2.0, batch) / size, dtype=torch.float32)
        self.phase = uniform(np.pi)
        self.size = size

    def output_to_source(self, points: Tensor) -> Tensor:
        """Map output points (batch, ..., 2), as (row, column), to the source."""
        rows, columns = points[..., 0], points[..., 1]
        bent = torch.stack([rows, columns + self._wave(rows)], -1)
        return torch.einsum("bij,b...j->b...i", self.matrix, bent) + _each(self.offset, bent)

    def source_to_output(self, points: Tensor) -> Tensor:
        """Map source points (batch, ..., 2) to the output; the inverse of `output_to_source`."""
        inverse = torch.linalg.inv(self.matrix)
        bent = torch.einsum("bij,b...j->b...i", inverse, points - _each(self.offset, points))
        rows, columns = bent[..., 0], bent[..., 1]
        return torch.stack([rows, columns - self._wave(rows)], -1)

    def sample(self, images: Sequence[Tensor]) -> Tensor:
        """Interpolate source slices, each (rows, columns) of its own size, into (batch, size, size); zero outside."""
        axis = torch.arange(self.size, dtype=torch.float32)
        pixels = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
        places = self.output_to_source(pixels.expand(len(images), -1, -1, -1))
        return torch.stack([_interpolate(image, at) for image, at in zip(images, places, strict=True)])

    def _wave(self, rows: Tensor) -> Tensor:
        frequency, phase = _each(self.frequency, rows), _each(self.phase, rows)
        return _each(self.amplitude, rows) * torch.sin(frequency * rows + phase)


def _each(values: Tensor, like: Tensor) -> Tensor:
    """Reshape one value or vector for each slice of the batch to broadcast with the points or rows in `like`."""
    batch, *rest = values.shape
    return values.view(batch, *[1] * (like.ndim - values.ndim), *rest)


def _interpolate(image: Tensor, places: Tensor) -> Tensor:
    edges = torch.tensor(image.shape, dtype=torch.float32)
    normal = 2 * places / (edges - 1).clamp(min=1) - 1
    return nnf.grid_sample(image[None, None], normal.flip(-1)[None], align_corners=True)[0, 0]


def draw_soft_masks(corners: Tensor, size: int, softness: float = 0.7, grow: float = 0.0) -> Tensor:
    """Draw soft masks of convex quadrilaterals, 1 inside, 0 outside.

    Args:
        corners: (m, 4, 2) as (row, column), in either sense.
        size: edge of the square image.
        softness: width of the transition, pixels.
        grow: distance by which each edge is pushed outward, pixels.

    Returns:
        (m, size, size).
    """
    axis = torch.arange(size, dtype=torch.float32)
    start, edge = corners, corners.roll(-1, 1) - corners
    normal = torch.stack([-edge[..., 1], edge[..., 0]], -1)
    normal = normal / normal.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    middle = corners.mean(1, keepdim=True)
    outward = torch.sign(((start - middle) * normal).sum(-1, keepdim=True))
    normal = normal * outward
    offset = (start * normal).sum(-1) + grow
    depth = offset[:, :, None, None] - normal[..., 0, None, None] * axis[:, None] - normal[..., 1, None, None] * axis
    return torch.sigmoid(depth.amin(1) / softness)


def randomise_contrast(
    images: Tensor, bodies: Tensor, discs: Tensor, how: Augmentation, rng: np.random.Generator
) -> Tensor:
    """Give each slice a contrast, noise and blur of its own.

    Args:
        images: (batch, size, size), about 0 to 1.
        bodies, discs: (batch, size, size) soft masks.

    Returns:
        (batch, size, size), normalised again as `locate.vfr.normalise` does at inference, times a random brightness.
    """
    out = []
    for image, body, disc in zip(images, bodies, discs, strict=True):
        tissue = remap_intensities(image, rng) if rng.random() < how.contrast else image
        for mask in (body, disc):
            if rng.random() < how.tissue:
                gain, lift = rng.uniform(0.3, 1.6), rng.uniform(-0.15, 0.35)
                tissue = tissue * (1 + mask * (gain - 1)) + mask * lift
        out.append(_acquire(tissue, rng))
    stacked = torch.stack(out)
    low = torch.as_tensor(rng.uniform(-0.03, 0.03, len(out)), dtype=torch.float32)[:, None, None]
    high = torch.quantile(stacked.flatten(1)[:, ::7], 0.995, dim=1)[:, None, None].clamp(min=0.05)
    brightness = torch.as_tensor(np.exp(rng.uniform(*_LOG_BRIGHTNESS, len(out))), dtype=torch.float32)[:, None, None]
    return ((stacked / high).clamp(0, 1.5) * brightness + low).clamp(0, 1.5)


_LOG_BRIGHTNESS = (-1.0, 0.35)
"""Range of the logarithm of the brightness: far from the coil, or beside a bright head, a column is dark."""


def remap_intensities(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Map intensities 0 to 1 by a random curve that keeps air dark; half of the curves reverse some intensities."""
    knots = int(rng.integers(3, 7))
    heights = rng.uniform(0, 1, knots)
    if rng.random() < 0.5:
        heights = np.sort(heights)
    heights = np.concatenate([[0.0], heights])
    places = np.concatenate([[0.0], np.sort(rng.uniform(0.03, 1.0, knots - 1)), [1.0]])
    x = image.clamp(0, 1).numpy() ** float(np.exp(rng.uniform(-0.5, 0.5)))
    return torch.as_tensor(np.interp(x, places, heights).astype(np.float32))


def _acquire(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Add coil shading, coarse sampling, blur and Rician noise."""
    size = image.shape[-1]
    if rng.random() < 0.6:
        coarse = torch.as_tensor(rng.normal(0, rng.uniform(0.1, 0.5), (1, 1, 4, 3)), dtype=torch.float32)
        image = image * nnf.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)[0, 0].exp()
    if rng.random() < 0.35:
        edges = [int(size / rng.uniform(1.0, 2.0)) for _ in range(2)]
        small = nnf.interpolate(image[None, None], edges, mode="area")
        image = nnf.interpolate(small, (size, size), mode="bicubic", align_corners=False)[0, 0].clamp(min=0)
    if rng.random() < 0.3:
        image = _blur(image, float(rng.uniform(0.4, 1.2)))
    if rng.random() < 0.2:  # unsharp masking, as scanners and archives apply it
        image = (image + rng.uniform(0.3, 1.2) * (image - _blur(image, 1.0))).clamp(min=0)
    if rng.random() < 0.6:
        sigma = float(np.exp(rng.uniform(np.log(0.004), np.log(0.08)))) * float(image.max())
        noise = torch.as_tensor(rng.normal(0, sigma, (2, size, size)), dtype=torch.float32)
        image = ((image + noise[0]) ** 2 + noise[1] ** 2).sqrt()
    return image


def _blur(image: Tensor, sigma: float) -> Tensor:
    reach = int(3 * sigma + 1)
    x = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum())[None, None, None]
    padded = nnf.pad(image[None, None], (reach,) * 4, mode="reflect")
    return nnf.conv2d(nnf.conv2d(padded, kernel), kernel.transpose(2, 3))[0, 0]
