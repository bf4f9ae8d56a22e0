"""Interpolation agrees with PyTorch's, which the published program uses."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from spondyl.geometry.interpolate import resize_bicubic, resize_bilinear, sample_bicubic


def random_pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("new", [(224, 224), (7, 90), (1, 3), (31, 17)])
@pytest.mark.parametrize(("resize", "mode"), [(resize_bicubic, "bicubic"), (resize_bilinear, "bilinear")])
def test_resizing_is_that_of_pytorch_without_aligned_corners(resize, mode, new):
    pictures = random_pictures(31, 17, 5)
    batch = torch.as_tensor(pictures).double().permute(2, 0, 1)[None]
    expected = functional.interpolate(batch, new, mode=mode, align_corners=False)[0].permute(1, 2, 0)
    np.testing.assert_allclose(resize(pictures, new), expected, atol=1e-5)
    np.testing.assert_allclose(resize(pictures[..., 0], new), expected[..., 0], atol=1e-5)


def test_sampling_is_that_of_pytorch_with_zeros_outside():
    pictures = random_pictures(20, 30, 3)
    at_row = np.random.default_rng(1).uniform(-4, 24, (9, 11))
    at_column = np.random.default_rng(2).uniform(-4, 34, (9, 11))
    grid = torch.as_tensor(np.stack([at_column / 29, at_row / 19], axis=-1))[None] * 2 - 1
    batch = torch.as_tensor(pictures).double().permute(2, 0, 1)[None]
    expected = functional.grid_sample(batch, grid, mode="bicubic", padding_mode="zeros", align_corners=True)
    np.testing.assert_allclose(sample_bicubic(pictures, at_row, at_column), expected[0].permute(1, 2, 0), atol=1e-5)


def test_sampling_at_the_pixels_gives_the_pixels():
    pictures = random_pictures(6, 8, 2)
    rows, columns = np.meshgrid(np.arange(6.0), np.arange(8.0), indexing="ij")
    np.testing.assert_array_equal(sample_bicubic(pictures, rows, columns), pictures)
