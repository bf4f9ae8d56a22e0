"""Numbering variants, distances and disc names."""

import math
from itertools import pairwise

import pytest

from spondyl.anatomy.disc import Disc, discs_of
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import (
    ELEVEN_THORACIC,
    FOUR_LUMBAR,
    NUMBERINGS,
    REGULAR,
    SIX_LUMBAR,
    THIRTEEN_THORACIC,
    Numbering,
    levels_apart,
    list_levels,
    total_prior,
)
from spondyl.anatomy.spacing import VERSE20, VID, PairSpacing, SpacingTable
from spondyl.errors import SettingError


@pytest.mark.parametrize(
    ("numbering", "count"),
    [(REGULAR, 26), (ELEVEN_THORACIC, 25), (THIRTEEN_THORACIC, 27), (FOUR_LUMBAR, 25), (SIX_LUMBAR, 27)],
    ids=lambda value: value.name if isinstance(value, Numbering) else "",
)
def test_a_variant_runs_from_c1_to_s2_with_its_number_of_vertebrae(numbering, count):
    assert len(numbering.levels) == count
    assert (numbering.levels[0], numbering.levels[-1]) == (Level.C1, Level.S2)


def test_each_variant_differs_from_the_regular_column_by_one_vertebra():
    differences = [set(n.levels) ^ set(REGULAR.levels) for n in NUMBERINGS[1:]]
    assert differences == [{Level.T12}, {Level.T13}, {Level.L5}, {Level.L6}]


def test_priors_sum_to_one_and_the_regular_column_leads():
    assert total_prior(NUMBERINGS) == pytest.approx(1)
    assert max(NUMBERINGS, key=lambda n: n.prior) is REGULAR


@pytest.mark.parametrize("table", [VID, VERSE20], ids=["vid", "verse20"])
def test_a_spacing_table_knows_every_pair_of_every_variant_and_no_other(table):
    needed = {pair for numbering in NUMBERINGS for pair in pairwise(numbering.levels)}
    assert {(pair.upper, pair.lower) for pair in table.pairs} == needed


@pytest.mark.parametrize("table", [VID, VERSE20], ids=["vid", "verse20"])
def test_distances_grow_from_neck_to_loin(table):
    levels = [level for level in REGULAR.levels if Level.T1.rank <= level.rank <= Level.L3.rank]
    means = [table.between(a, b).mean_mm for a, b in pairwise(levels)]
    assert all(lower >= upper for upper, lower in pairwise(means))


def test_every_disc_is_named_by_its_levels_and_reads_back():
    for numbering in NUMBERINGS:
        discs = discs_of(numbering)
        assert str(discs[0]) == "C2/C3"
        assert str(discs[-1]) == "S1/S2"
        assert len(discs) == len(numbering.levels) - 2
        assert all(Disc.from_name(str(disc)) == disc for disc in discs)


@pytest.mark.parametrize("name", ["L4", "L4/L6", "L5/L4", "C1/C2", "L4-L5", "X1/X2", "", "L4/L5/S1"])
def test_a_name_of_no_disc_is_refused(name):
    with pytest.raises(SettingError, match="disc"):
        Disc.from_name(name)


def test_columns_and_tables_that_make_no_sense_are_refused():
    with pytest.raises(SettingError, match="descend"):
        Numbering(name="upside down", levels=(Level.L2, Level.L1), prior=0.5)
    with pytest.raises(SettingError, match="prior"):
        Numbering(name="never", levels=(Level.L1,), prior=0)
    with pytest.raises(SettingError, match="11 to 13"):
        list_levels(thoracic=14)
    with pytest.raises(SettingError, match="at least one"):
        total_prior(())
    with pytest.raises(SettingError, match="no spacing is known between L1 and L3"):
        VID.between(Level.L1, Level.L3)
    pair = PairSpacing(upper=Level.L1, lower=Level.L2, mean_mm=34, sd_mm=math.pi)
    with pytest.raises(SettingError, match="once"):
        SpacingTable(pairs=(pair, pair), within_patient=0.5)


def test_levels_are_as_far_apart_as_in_the_column_that_brings_them_nearest():
    assert levels_apart(Level.T12, Level.L1) == 1
    assert levels_apart(Level.L5, Level.S1) == 1
    assert levels_apart(Level.T11, Level.L1) == 1  # in a column of eleven thoracic vertebrae
    assert levels_apart(Level.T12, Level.T13) == 1
    assert levels_apart(Level.L2, Level.L2) == 0
    assert levels_apart(Level.C2, Level.C7) == 5
    for one in Level:
        for other in Level:
            assert levels_apart(one, other) == levels_apart(other, one)
            assert (levels_apart(one, other) == 0) == (one is other)
