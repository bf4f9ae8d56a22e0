"""Discs that are marked by a point each, in the codes of the Spinal Cord Toolbox and Spine Generic."""

from __future__ import annotations

import numpy as np

from spondyl.anatomy.codes import SCT_DISCS
from spondyl.anatomy.disc import Disc
from spondyl.geometry.affine import Float
from spondyl.imaging.labels import LabelMap

__all__ = ["find_disc_points"]


def find_disc_points(labels: LabelMap) -> dict[Disc, Float]:
    """Find marked discs, (3,) RAS mm each: the middle of the voxels with a disc's code of the Spinal Cord Toolbox."""
    return {
        disc: labels.affine.to_world(np.argwhere(labels.codes == code).mean(axis=0))
        for code, disc in SCT_DISCS.items()
        if (labels.codes == code).any()
    }
