"""The published decoders."""

import itertools

import numpy as np
import pytest

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.identify.beam import PAPER, BeamCosts, argmax_levels, beam_search
from spondyl.identify.evidence import OFFICIAL_COLUMNS

FIVE = (Level.S1, Level.L5, Level.L4, Level.L3, Level.L2)


def exhaustive(log_probabilities, costs):
    """Cheapest cost over every sequence, penalties as the module's docstring words them."""
    rows = log_probabilities - np.log(np.exp(log_probabilities).sum(1, keepdims=True))
    best = np.inf
    for path in itertools.product(range(5), repeat=len(rows)):
        cost = -sum(rows[i, column] for i, column in enumerate(path))
        for i, (above, below) in enumerate(itertools.pairwise(path)):
            if above == below == 0:
                cost += costs.double_end
            elif below >= above:
                cost += costs.disorder
            if i and path[i - 1] == above == below:
                cost += costs.disorder
            cost += (costs.skip or 0) if abs(below - above) > 1 else 0
        best = min(best, cost)
    return best


@pytest.mark.parametrize(
    "costs", [BeamCosts(), BeamCosts(skip=None, disorder=3.0, double_end=1.0), BeamCosts(skip=2.0)]
)
def test_a_beam_wide_enough_finds_the_cheapest_of_all_sequences(costs):
    rng = np.random.default_rng(1)
    for n in range(1, 5):
        evidence = rng.normal(size=(n, 5)) * 3
        _, cost = beam_search(evidence, FIVE, costs)
        assert cost == pytest.approx(exhaustive(evidence, costs), abs=1e-9)


def test_the_networks_columns_run_from_s1_up_to_c2():
    assert [OFFICIAL_COLUMNS[i] for i in (0, 1, 6, 18, 23)] == [Level.S1, Level.L5, Level.T12, Level.C7, Level.C2]
    assert len(OFFICIAL_COLUMNS) == 24


def test_a_wrong_level_in_the_middle_is_put_in_order_where_argmax_repeats_it():
    truth = (Level.L1, Level.L2, Level.L3, Level.L4, Level.L5, Level.S1)
    evidence = np.zeros((6, 24))
    for i, level in enumerate(truth):
        evidence[i, OFFICIAL_COLUMNS.index(level)] = 5.0
    evidence[2] = 0
    evidence[2, OFFICIAL_COLUMNS.index(Level.L2)] = 2.0
    assert argmax_levels(evidence)[2] is Level.L2
    assert beam_search(evidence)[0] == truth


def test_a_second_s1_is_read_as_s2_and_costs_nothing_in_the_paper():
    evidence = np.zeros((3, 24))
    evidence[0, 1] = evidence[1, 0] = evidence[2, 0] = 8.0
    levels, cost = beam_search(evidence, costs=PAPER)
    assert levels == (Level.L5, Level.S1, Level.S2)
    assert cost < 0.1


def test_a_second_c3_is_read_as_c2_where_the_columns_end_at_c3():
    columns = OFFICIAL_COLUMNS[:-1]
    evidence = np.zeros((3, 23))
    evidence[0, 22] = evidence[1, 22] = evidence[2, 21] = 8.0
    assert beam_search(evidence, columns, PAPER)[0] == (Level.C2, Level.C3, Level.C4)


def test_more_candidates_than_levels_are_forbidden_by_the_paper_and_paid_for_in_the_code():
    evidence = np.zeros((26, 24))
    assert len(beam_search(evidence)[0]) == 26
    with pytest.raises(SettingError, match="no order of levels is possible"):
        beam_search(evidence, costs=PAPER)


def test_no_candidate_and_nonsense():
    assert beam_search(np.zeros((0, 24))) == ((), 0.0)
    with pytest.raises(SettingError, match="one column per level"):
        beam_search(np.zeros((2, 23)))
    with pytest.raises(SettingError, match="NaN"):
        argmax_levels(np.full((1, 24), np.nan))
    with pytest.raises(SettingError, match="width"):
        BeamCosts(width=0)
