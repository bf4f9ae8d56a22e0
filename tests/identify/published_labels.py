"""A slow second implementation of the published crops and height map: the oracle of `identify.published`.

Every slice is rotated whole, cut and resized in double precision; points are (x, y) as in the published program.
"""

import numpy as np
import torch
from torch.nn import functional


def rotation(outline_xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle of the top edge, and the matrix that levels that edge; outlines run rt, rb, lb, lt."""
    right, left = outline_xy[0], outline_xy[3]
    angle = np.tanh((right[1] - left[1]) / (right[0] - left[0]))
    return (right + left) / 2, np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def rotated_scan(scan_hws: np.ndarray, middle: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    height, width, count = scan_hws.shape
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    source = (np.stack([x, y], -1) - middle) @ np.linalg.inv(matrix).T + middle
    grid = torch.as_tensor(source / (width - 1, height - 1) * 2 - 1)[None]
    slices = [torch.as_tensor(scan_hws[..., k].astype(np.float64))[None, None] for k in range(count)]
    options = {"mode": "bicubic", "padding_mode": "zeros", "align_corners": True}
    return np.stack([functional.grid_sample(one, grid, **options)[0, 0].numpy() for one in slices], -1)


def crop(scan_hws: np.ndarray, outline_xy: np.ndarray) -> np.ndarray:
    """The crop (224, 224, 16) of a vertebra whose square lies in the scan, or leaves it at one side."""
    middle, matrix = rotation(outline_xy)
    box = (outline_xy - middle) @ matrix.T + middle
    edge = max(np.ptp(box[:, 0]), np.ptp(box[:, 1]))
    x0, y0 = int(box[3, 0] - edge), int(box[3, 1] - edge)
    x1, y1 = int(x0 + 3 * edge), int(y0 + 3 * edge)
    scan = rotated_scan(scan_hws, middle, matrix)
    above = max(0, -y0)
    cut = scan[max(0, y0) : y1, max(0, x0) : x1]
    cut = np.concatenate([np.zeros((above, *cut.shape[1:])), cut])
    resized = functional.interpolate(
        torch.as_tensor(cut).permute(2, 0, 1)[:, None], (224, 224), mode="bicubic", align_corners=False
    )[:, 0].numpy()
    count = len(resized)
    planes = []
    for i in range(16):
        at = i * count / 16
        low, high = int(np.floor(at)), min(int(np.ceil(at)), count - 1)
        planes.append(resized[low] if low == high else resized[low] * (high - at) + resized[high] * (at - low))
    volume = np.stack(planes, -1)
    return (volume - volume.min()) / (np.percentile(volume, 95) + 0.000001)


def height_map(probabilities: np.ndarray, outlines_xy: np.ndarray, pixel_mm: float, rows: int) -> np.ndarray:
    height = int(rows * pixel_mm)
    picture = np.zeros((height + (-height) % 256, probabilities.shape[1]))
    for values, outline in zip(probabilities, outlines_xy, strict=True):
        y = outline[:, 1] * pixel_mm
        centre, half_of_half = int(np.mean(y)), int((np.max(y) - np.min(y)) / 2 / 2)
        for row in range(centre - half_of_half, centre + half_of_half):
            if 0 <= row < height and centre - half_of_half >= 0:
                picture[row] = values
    return picture
