"""Exams whose pixels show exactly what their outlines say."""

import numpy as np
from skimage.draw import polygon

from spondyl.anatomy.level import Level
from spondyl.datasets.source import BodyOutlines, Exam
from spondyl.geometry.affine import Affine
from spondyl.geometry.stack import SagittalStack

LEVELS = (Level.L2, Level.L3, Level.L4)
PIXEL_MM = (0.8, 1.0)
CERTAIN_SLICES = (1, 2, 3)
"""Slices, of five, in which the bodies are certain; in the others they are excluded from the loss."""


def bodies() -> np.ndarray:
    """Three leaning quadrilaterals (3, 4, 2) in pixels, head to foot."""
    one_mm = np.array([(-14.0, 18.0), (15.0, 15.0), (13.0, -18.0), (-15.0, -16.0)])
    centres_mm = np.array([(40.0, 70.0), (78.0, 64.0), (116.0, 66.0)])
    return (one_mm + centres_mm[:, None]) / PIXEL_MM


def painted_exam(name: str = "painted", *, slice_mm: float = 4.0) -> Exam:
    """A stack in which the three bodies are bright, in every slice."""
    image = np.random.default_rng(0).uniform(0, 0.04, (260, 140)).astype(np.float32)
    for body in bodies():
        image[polygon(*body.T, image.shape)] += 1
    directions = np.array([(-1.0, 0, 0), (0, 0, -1.0), (0, -1.0, 0)]).T
    affine = Affine.from_axes(directions, (slice_mm, *PIXEL_MM), (0, 0, 0))
    rows = [(body, k, level) for k in range(5) for body, level in zip(bodies(), LEVELS, strict=True)]
    slices = np.array([k for _, k, _ in rows])
    return Exam(
        name=name,
        patient=name.rpartition("_")[0],
        stack=SagittalStack(voxels=np.tile(image, (5, 1, 1)), affine=affine),
        outlines=BodyOutlines(
            corners=np.stack([body for body, _, _ in rows]),
            slices=slices,
            levels=np.array([level for _, _, level in rows], dtype=object),
            certain=np.isin(slices, CERTAIN_SLICES),
        ),
    )
