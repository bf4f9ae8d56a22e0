"""The room of a column inside the field of view, places inside it, and miss rates."""

import numpy as np
import pytest

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import REGULAR
from spondyl.errors import SettingError
from spondyl.identify.misses import MissRates, inside_probability, measure_room

LOW, HIGH = (-50.0, 0.0, -100.0), (50.0, 300.0, 100.0)


def test_a_straight_column_runs_on_to_the_edges():
    points = np.array([(0.0, row, 0.0) for row in (40, 70, 100, 130)])
    np.testing.assert_allclose(measure_room(points, LOW, HIGH), [(40, 260), (70, 230), (100, 200), (130, 170)])


def test_an_inclined_column_has_a_longer_way_and_may_leave_by_the_side():
    points = np.array([(0.0, row, row * 0.75) for row in (40, 60, 80)])
    room = measure_room(points, LOW, HIGH)
    assert room[0, 0] == pytest.approx(40 * 1.25)
    assert room[2, 1] == pytest.approx(40 * 5 / 3)  # by the third axis, 40 mm on


def test_the_direction_is_that_of_the_last_bodies():
    points = np.array([(0.0, 20.0, 0.0), (0.0, 50.0, 0.0), (0.0, 80.0, 0.0), (0.0, 100.0, 30.0)])
    move = points[3] - points[1]
    assert measure_room(points, LOW, HIGH)[3, 1] == pytest.approx(70 / move[2] * np.linalg.norm(move))


@pytest.mark.parametrize("points", [[(0.0, 60.0, 0.0)], [(0.0, 60.0, 0.0)] * 3])
def test_a_column_without_a_direction_runs_down_the_scan(points):
    np.testing.assert_allclose(measure_room(np.array(points), LOW, HIGH)[0], (60, 240))


def test_turning_a_scan_upside_down_exchanges_the_ends():
    rng = np.random.default_rng(0)
    points = np.cumsum(rng.normal((0, 25, 0), 3, (8, 3)), axis=0)
    turned = points[::-1] * (1, -1, 1)
    room = measure_room(points, LOW, HIGH)
    exchanged = measure_room(turned, (-50, -300, -100), (50, 0, 100))
    np.testing.assert_allclose(exchanged, room[::-1, ::-1])


def test_no_point_has_no_room():
    assert measure_room(np.zeros((0, 3)), LOW, HIGH).shape == (0, 2)


def test_a_place_well_inside_is_inside_and_one_beyond_the_edge_is_not():
    inside = inside_probability(np.array([0.0, 33.0, 80.0]), np.array([30.0, 60.0]), np.array([1.0, 2.0]))
    np.testing.assert_allclose(inside, [(0, 0), (0.5, 0), (1, 1)], atol=1e-3)
    assert (np.diff(inside, axis=0) >= 0).all()


def test_a_far_place_is_less_certain_than_a_near_one():
    near, far = (
        inside_probability(np.array([d + 10.0]), np.array([d]), np.array([d / 30]))[0, 0] for d in (30.0, 120.0)
    )
    assert near > far > 0.5


def test_every_level_that_detectors_find_has_the_rate_of_its_group_and_the_others_are_always_missed():
    rates = MissRates(c2=0.1, cervical=0.2, thoracic=0.3, lumbar=0.4, s1=0.5)
    found = [rates.of(level) for level in REGULAR.levels]
    assert found == [1.0, 0.1, *[0.2] * 5, *[0.3] * 12, *[0.4] * 5, 0.5, 1.0]
    assert (rates.of(Level.T13), rates.of(Level.L6)) == (0.3, 0.4)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
def test_a_rate_that_makes_an_explanation_impossible_or_free_is_refused(rate):
    with pytest.raises(SettingError, match="between 0 and 1"):
        MissRates(lumbar=rate)
