"""Disc spaces lie between neighbouring bodies of a slice, and labelled discs take their place."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from learn.painted import LEVELS, bodies, painted_exam
from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.datasets.source import DiscOutlines, outline_spaces

NAMES = [Disc(upper, lower) for upper, lower in pairwise(LEVELS)]


def test_a_space_joins_the_facing_corners_of_its_neighbours_in_every_slice():
    spaces = outline_spaces(painted_exam().outlines)
    assert sorted(zip(spaces.slices.tolist(), spaces.discs.astype(str), strict=True)) == [
        (k, str(name)) for k in range(5) for name in NAMES
    ]
    for corners, disc in zip(spaces.corners, spaces.discs, strict=True):
        upper, lower = bodies()[LEVELS.index(disc.upper)], bodies()[LEVELS.index(disc.lower)]
        posterior_upper, posterior_lower, anterior_lower, anterior_upper = corners
        np.testing.assert_array_equal((posterior_upper, anterior_upper), upper[1:3])
        np.testing.assert_array_equal((posterior_lower, anterior_lower), lower[[0, 3]])


def test_a_space_is_certain_where_both_bodies_are():
    outlines = painted_exam().outlines
    certain = outlines.certain & ~((outlines.levels == Level.L3) & (outlines.slices == 2))
    spaces = outline_spaces(replace(outlines, certain=certain))
    assert set(spaces.slices[spaces.certain]) == {1, 3}


def test_bodies_that_are_no_neighbours_have_no_space_between_them():
    outlines = painted_exam().outlines
    kept = outlines.levels != Level.L3
    rows = {name: getattr(outlines, name)[kept] for name in ("corners", "slices", "levels", "certain")}
    assert len(outline_spaces(replace(outlines, **rows)).discs) == 0


def test_a_labelled_disc_replaces_the_space_and_the_others_stay():
    labelled = DiscOutlines(
        corners=np.zeros((1, 4, 2)),
        slices=np.array([2]),
        discs=np.array([NAMES[0]], dtype=object),
        certain=np.array([True]),
    )
    discs = replace(painted_exam(), discs=labelled).disc_outlines()
    assert (discs.discs == NAMES[0]).sum() == 1
    assert (discs.discs == NAMES[1]).sum() == 5
