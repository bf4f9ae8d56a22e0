"""The tables of sizes keep the order of anatomy."""

from itertools import pairwise

import numpy as np
import pytest

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import NUMBERINGS, Numbering
from spondyl.phantom.column.morphometry import (
    DISC_VARIATION,
    LEVEL_SD,
    MEAN_SIZES,
    SIZE_VARIATIONS,
    get_tilt_step,
    mean_disc_height_mm,
)


def test_every_size_has_one_variation() -> None:
    names = [name for group in SIZE_VARIATIONS for name in group]
    assert sorted(names) == sorted(MEAN_SIZES[Level.L1].__dataclass_fields__)
    assert set(LEVEL_SD) <= set(names)


def test_no_variation_exceeds_a_fifth() -> None:
    for variation in (*SIZE_VARIATIONS.values(), DISC_VARIATION):
        total = np.linalg.norm((variation.patient_sd, variation.smooth_sd, variation.level_sd))
        assert 0 < total < 0.2


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("upper_depth_mm", Level.L3),
        ("lower_depth_mm", Level.L2),
        ("upper_width_mm", Level.L5),
        ("lower_width_mm", Level.L5),
    ],
)
def test_endplates_grow_down_from_t4(name: str, last: Level) -> None:
    values = [getattr(MEAN_SIZES[level], name) for level in tuple(Level)[Level.T4.rank : last.rank + 1]]
    assert values == sorted(values)


def test_discs_are_lowest_in_the_chest_and_highest_at_l4_l5() -> None:
    heights = {
        (upper, lower): mean_disc_height_mm(upper, lower) for upper, lower in pairwise(NUMBERINGS[0].levels[1:-1])
    }
    assert max(heights, key=heights.__getitem__) == (Level.L4, Level.L5)
    upper, lower = min(heights, key=heights.__getitem__)
    assert Level.T2.rank < upper.rank < lower.rank < Level.T8.rank


@pytest.mark.parametrize("numbering", NUMBERINGS, ids=lambda numbering: numbering.name)
def test_the_mean_column_is_lordotic_kyphotic_and_lordotic_in_every_numbering(numbering: Numbering) -> None:
    def turn_deg(first: Level, last: Level) -> float:
        levels = numbering.levels[numbering.levels.index(first) : numbering.levels.index(last) + 1]
        return sum(get_tilt_step(*pair).mean_deg for pair in pairwise(levels))

    assert turn_deg(Level.C2, Level.C7) > 0
    assert -50 < turn_deg(Level.T3, Level.L1) < -20
    assert 45 < turn_deg(Level.L1, Level.S1) < 90


def test_bodies_are_wedged_forward_in_the_chest_and_backward_at_l5() -> None:
    assert all(MEAN_SIZES[level].wedge_deg < 0 for level in (Level.T5, Level.T8, Level.T12))
    assert MEAN_SIZES[Level.L5].wedge_deg > 5
    assert abs(MEAN_SIZES[Level.L2].wedge_deg) < 1


def test_the_mean_canal_fits_between_the_mean_pedicles() -> None:
    for level, size in MEAN_SIZES.items():
        if Level.C2.rank <= level.rank <= Level.L5.rank:
            assert size.pedicle_distance_mm - size.pedicle_width_mm >= size.canal_width_mm - 1.5, level
