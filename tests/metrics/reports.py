"""Reports with vertebrae at chosen places, for tests."""

from collections.abc import Mapping, Sequence

import numpy as np

from spondyl.anatomy.level import Level
from spondyl.findings import Findings, ImageGrid, Software, Vertebra
from spondyl.geometry.affine import Affine, Float

SHAPE = (11, 60, 90)
GRID = Affine.from_axes(np.eye(3), (4, 1.5, 1.5), (-20, -40, -70))
CENTRES: Mapping[Level, Float] = {
    Level.L3: np.array([0.0, 5, 40]),
    Level.L4: np.array([1.0, 3, 5]),
    Level.L5: np.array([0.0, -5, -30]),
}


def vertebra(
    level: Level, centre: Float, affine: Affine = GRID, axis: int = 0, slices: Sequence[int] | None = None
) -> Vertebra:
    """A square of 24 mm in the three slices of the grid, counted along `axis`, nearest to the centre."""
    index = affine.to_index(centre)
    middle = round(index[axis])
    numbers = (middle - 1, middle, middle + 1) if slices is None else slices
    anterior, up = np.array([0.0, 12, 0]), np.array([0.0, 0, 12])
    outlines = []
    for number in numbers:
        shift = affine.matrix[:3, axis] * (number - index[axis])
        corners = [centre + shift + offset for offset in (up - anterior, -up - anterior, anterior - up, up + anterior)]
        outlines.append([corner.tolist() for corner in corners])
    return Vertebra(
        level=level,
        level_probability=0.9,
        level_probabilities={level: 0.9},
        detection_score=0.9,
        centroid_mm=centre.tolist(),
        outline_mm=outlines,
        slices=tuple(numbers),
    )


def report(*vertebrae: Vertebra, affine: Affine = GRID, shape: tuple[int, int, int] = SHAPE) -> Findings:
    """A report of these vertebrae; of all `CENTRES` when there are none."""
    shown = vertebrae or tuple(vertebra(level, centre, affine) for level, centre in CENTRES.items())
    return Findings(
        software=Software(version="0"),
        input={},
        image=ImageGrid(
            modality="mr", shape=shape, spacing_mm=affine.spacing_mm.tolist(), affine_ras=affine.matrix.tolist()
        ),
        vertebrae=shown,
    )
