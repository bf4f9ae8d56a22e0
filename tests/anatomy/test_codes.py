"""Codes of public data sets, against the numbers that their documentation prints."""

import pytest

from spondyl.anatomy import codes
from spondyl.anatomy.codes import Structure, Subregion
from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.errors import SettingError


@pytest.mark.parametrize(
    ("scheme", "code", "level"),
    [
        (codes.VERSE, 1, Level.C1),
        (codes.VERSE, 7, Level.C7),
        (codes.VERSE, 8, Level.T1),
        (codes.VERSE, 19, Level.T12),
        (codes.VERSE, 20, Level.L1),
        (codes.VERSE, 25, Level.L6),
        (codes.VERSE, 26, Level.S1),
        (codes.VERSE, 28, Level.T13),
        (codes.TOTAL_SEGMENTATOR, 26, Level.S1),
        (codes.TOTAL_SEGMENTATOR, 27, Level.L5),
        (codes.TOTAL_SEGMENTATOR, 32, Level.T12),
        (codes.TOTAL_SEGMENTATOR, 44, Level.C7),
        (codes.TOTAL_SEGMENTATOR, 50, Level.C1),
        (codes.MRSPINESEG, 1, Level.S1),
        (codes.MRSPINESEG, 2, Level.L5),
        (codes.MRSPINESEG, 7, Level.T12),
        (codes.MRSPINESEG, 10, Level.T9),
    ],
)
def test_a_vertebra_code_reads_as_its_documentation_says(scheme, code, level):
    assert codes.level_of(code, scheme) is level


@pytest.mark.parametrize(
    ("scheme", "code", "name"),
    [
        (codes.SCT_DISCS, 3, "C2/C3"),
        (codes.SCT_DISCS, 8, "C7/T1"),
        (codes.SCT_DISCS, 10, "T2/T3"),
        (codes.SCT_DISCS, 20, "T12/L1"),
        (codes.SCT_DISCS, 25, "L5/S1"),
        (codes.MRSPINESEG_DISCS, 11, "L5/S1"),
        (codes.MRSPINESEG_DISCS, 16, "T12/L1"),
        (codes.MRSPINESEG_DISCS, 19, "T9/T10"),
    ],
)
def test_a_disc_code_reads_as_its_documentation_says(scheme, code, name):
    assert str(scheme[code]) == name


@pytest.mark.parametrize("scheme", [codes.VERSE, codes.TOTAL_SEGMENTATOR, codes.MRSPINESEG, codes.MRSPINESEG_DISCS])
def test_no_two_codes_of_a_scheme_mean_the_same(scheme):
    assert len(set(scheme.values())) == len(scheme)


def test_schemes_of_discs_end_where_their_documentation_ends():
    assert (min(codes.SCT_DISCS), max(codes.SCT_DISCS)) == (3, 25)
    assert (min(codes.MRSPINESEG_DISCS), max(codes.MRSPINESEG_DISCS)) == (11, 19)


def test_every_level_has_a_verse_code_that_reads_back_and_the_sacrum_shares_one():
    for level in Level:
        expected = Level.S1 if level is Level.S2 else level
        assert codes.VERSE[codes.verse_code(level)] is expected


def test_a_disc_is_written_as_a_hundred_plus_the_vertebra_above():
    assert codes.disc_code(Disc(Level.L4, Level.L5)) == 123
    assert codes.disc_code(Disc.from_name("T12/L1")) == 119


def test_spider_codes_count_from_the_lowest():
    assert codes.read_spider(1) == codes.SpiderCode(Structure.VERTEBRA, 1)
    assert codes.read_spider(107) == codes.SpiderCode(Structure.PARTIAL_VERTEBRA, 7)
    assert codes.read_spider(201) == codes.SpiderCode(Structure.DISC, 1)
    assert codes.read_spider(100).structure is Structure.CANAL
    assert codes.spider_level(1) is Level.L5
    assert codes.spider_level(6) is Level.T12
    assert codes.spider_level(1, lowest=Level.S1) is Level.S1


@pytest.mark.parametrize("code", [0, 26, 126, 200, 226, 300, -1])
def test_codes_that_spider_does_not_have_are_refused(code):
    with pytest.raises(SettingError, match="SPIDER"):
        codes.read_spider(code)


def test_places_past_the_top_of_the_column_and_unknown_codes_are_refused():
    with pytest.raises(SettingError, match="no vertebra at place 25"):
        codes.spider_level(25)
    with pytest.raises(SettingError, match="not a level of the regular column"):
        codes.spider_level(1, lowest=Level.L6)
    with pytest.raises(SettingError, match="27 is no vertebra"):
        codes.level_of(27, codes.VERSE)


@pytest.mark.parametrize(
    ("code", "subregion"),
    [
        (26, Subregion.SACRUM),
        (41, Subregion.ARCH),
        (43, Subregion.TRANSVERSE_LEFT),
        (46, Subregion.SUPERIOR_ARTICULAR_RIGHT),
        (48, Subregion.INFERIOR_ARTICULAR_RIGHT),
        (49, Subregion.BODY),
        (60, Subregion.CORD),
        (61, Subregion.CANAL),
        (100, Subregion.ANNULUS),
    ],
)
def test_a_subregion_has_the_code_that_its_documentation_says(code, subregion):
    assert codes.SUBREGIONS[code] is subregion


def test_every_subregion_of_masks_has_one_code_that_reads_back():
    coded = set(Subregion) - {Subregion.COCCYX, Subregion.RIB, Subregion.IMPLANT}
    assert {subregion: codes.SUBREGIONS[codes.subregion_code(subregion)] for subregion in coded} == {
        subregion: subregion for subregion in coded
    }


def test_masks_of_subregions_leave_out_coccyx_ribs_and_implants():
    assert [codes.subregion_code(part) for part in (Subregion.COCCYX, Subregion.RIB, Subregion.IMPLANT)] == [0, 0, 0]
