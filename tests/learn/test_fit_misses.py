"""Miss rates are counted by groups of levels, and every kind of data counts alike."""

import pytest

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import REGULAR
from spondyl.errors import SettingError
from spondyl.identify.misses import MissRates
from spondyl.learn.fit_misses import estimate_misses

DETECTED = REGULAR.levels[1:-1]


def scans(count: int, missed: dict[Level, int]) -> list[dict[Level, bool]]:
    """Scans of a whole column, of which the first few miss these levels."""
    return [{level: number >= missed.get(level, 0) for level in DETECTED} for number in range(count)]


def test_a_kind_with_few_misses_has_one_rate():
    rates = estimate_misses([scans(20, {Level.C2: 3, Level.S1: 1})])
    pooled = round(5 / (20 * 24 + 2), 4)
    assert rates == MissRates(c2=pooled, cervical=pooled, thoracic=pooled, lumbar=pooled, s1=pooled)


def test_a_kind_with_many_misses_has_a_rate_for_each_group_of_enough_bodies():
    rates = estimate_misses([scans(98, {Level.C2: 9, Level.L3: 4, Level.L5: 1})])
    assert rates == MissRates(c2=0.1, cervical=0.002, thoracic=0.0008, lumbar=0.0122, s1=0.01)


def test_kinds_count_alike_whatever_their_size():
    few, many = scans(5, {}), scans(200, {Level.C2: 20})
    one, other = estimate_misses([few]), estimate_misses([many])
    assert estimate_misses([few, many, []]).c2 == pytest.approx((one.c2 + other.c2) / 2, abs=1e-4)


def test_no_body_is_refused():
    with pytest.raises(SettingError, match="got none"):
        estimate_misses([[{}], []])
