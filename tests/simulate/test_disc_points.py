"""Simulated disc candidates keep the distances of the authors' program, and lie where they should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.simulate import disc_points
from spondyl.simulate.disc_points import (
    ADDED,
    ANY_FIELD,
    HARD,
    PAPER_FIELD,
    PIXEL_MM,
    TOTAL,
    FalsePoints,
    FieldOfView,
    add_false_points,
    choose_section,
    draw_chain,
    find_chains,
)


def section(rng, field=PAPER_FIELD):
    return choose_section(draw_chain(rng).points_mm, rng, field)


def distances(points, others):
    return np.linalg.norm(points[:, None] - others[None], axis=2)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), count=st.integers(11, 30), in_total=st.booleans())
def test_false_points_keep_the_distances_of_the_authors_program(seed, count, in_total):
    rng = np.random.default_rng(seed)
    discs = section(rng)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disc_points, "_JITTER_MM", 0.0)
        drawn = add_false_points(discs, FalsePoints(count=count, in_total=in_total), rng)
    false = drawn.points_mm[~drawn.is_disc]
    assert len(false) == count - in_total * len(discs)
    assert drawn.is_disc.sum() == len(discs)
    assert distances(drawn.points_mm[drawn.is_disc], discs).min(0).max() == 0
    assert distances(false, discs).min(initial=np.inf) > 17.92 * PIXEL_MM
    assert (distances(false, false) + 999 * np.eye(len(false))).min(initial=np.inf) > 15.36 * PIXEL_MM
    assert (false >= 0).all()
    assert (false <= 255 * PIXEL_MM).all()


def test_all_points_are_shifted_by_an_error_of_one_pixel():
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(150):
        discs = section(rng)
        drawn = add_false_points(discs, FalsePoints(count=0), rng)
        nearest = distances(drawn.points_mm, discs).argmin(1)
        errors.append(drawn.points_mm - discs[nearest])
    assert np.concatenate(errors).std() == pytest.approx(PIXEL_MM, rel=0.06)


def test_the_offsets_have_the_distribution_of_numpys_generator_for_such_a_covariance():
    """NumPy warns of a covariance that is none, and takes the roots of its singular values and their right vectors."""
    covariances = np.random.default_rng(1).random((4000, 2, 2))
    with pytest.warns(RuntimeWarning, match="not symmetric positive-semidefinite"):
        theirs = np.array([np.random.RandomState(0).multivariate_normal([0, 0], c, 1)[0] for c in covariances[:1]])
    _, roots, axes = np.linalg.svd(covariances[0])
    ours = (np.random.RandomState(0).standard_normal(2) * np.sqrt(roots)) @ axes
    np.testing.assert_allclose(theirs[0], ours, atol=1e-12)


@pytest.mark.parametrize(("how", "count"), [(TOTAL, 20), (ADDED, None), (HARD, None)])
def test_both_readings_and_the_harder_one_are_as_they_are_called(how, count):
    rng = np.random.default_rng(2)
    for _ in range(30):
        discs = section(rng)
        drawn = add_false_points(discs, how, rng)
        false = int((~drawn.is_disc).sum())
        assert len(drawn.points_mm) == count or (false == 20 if how is ADDED else false >= 20 or how is TOTAL)
        assert drawn.is_disc.sum() <= len(discs)
        assert drawn.is_disc.sum() >= 3


def test_false_points_between_discs_and_missed_discs_are_as_frequent_as_asked_for():
    rng = np.random.default_rng(3)
    how = FalsePoints(count=0, between=0.25, missed=0.15)
    discs = [section(rng) for _ in range(300)]
    drawn = [add_false_points(one, how, rng) for one in discs]
    gaps = sum(len(one) - 1 for one in discs)
    assert sum((~one.is_disc).sum() for one in drawn) / gaps == pytest.approx(0.25, abs=0.03)
    assert sum(one.is_disc.sum() for one in drawn) / (gaps + len(discs)) == pytest.approx(0.85, abs=0.03)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_a_section_is_neighbouring_discs_inside_the_field_of_view(seed):
    rng = np.random.default_rng(seed)
    chain = draw_chain(rng).points_mm
    for field in (PAPER_FIELD, ANY_FIELD):
        chosen = choose_section(chain, rng, field)
        assert len(chosen) <= field.max_discs
        assert (chosen >= 0).all()
        assert (chosen <= field.edge_mm).all()
        runs = [chain[first : first + len(chosen)] for first in range(len(chain) - len(chosen) + 1)]
        assert any(np.allclose(np.diff(run, axis=0), np.diff(chosen, axis=0)) for run in runs)


def test_discs_are_midpoints_in_chains_without_gaps_and_without_the_dens():
    levels = [Level.C1, Level.C2, Level.C3, Level.C4, Level.T11, Level.L1, Level.S1]
    centres = np.stack([np.zeros(7), np.arange(7.0), -20.0 * np.arange(7)], axis=1)
    upper, lower = find_chains(levels, centres)
    assert upper.uppers == (Level.C2, Level.C3)
    np.testing.assert_allclose(upper.points_mm, [[30, -1.5], [50, -2.5]])
    assert lower.uppers == (Level.T11,)  # eleven thoracic vertebrae; L1 has no disc with S1


def test_more_discs_than_points_in_total_are_refused():
    with pytest.raises(SettingError, match="21 discs are more than 20 points in total"):
        add_false_points(np.stack([np.arange(21.0), np.zeros(21)], axis=1), TOTAL, np.random.default_rng(0))


def test_more_false_points_than_fit_are_refused(monkeypatch):
    monkeypatch.setattr(disc_points, "_MAX_ROUNDS", 50)
    field = FieldOfView(edge_mm=60, min_discs=1, max_discs=2)
    with pytest.raises(SettingError, match=r"holds only \d+ of 40 false points"):
        add_false_points(np.array([[30.0, 30.0]]), FalsePoints(count=40), np.random.default_rng(0), field)


def test_a_chain_too_short_for_a_section_is_refused():
    with pytest.raises(SettingError, match="a chain of 5 discs or more, got 4"):
        choose_section(np.zeros((4, 2)), np.random.default_rng(0))


@pytest.mark.parametrize("wrong", [{"count": -1}, {"count": 1, "between": 1.5}, {"count": 1, "missed": 1.0}])
def test_chances_that_are_none_are_refused(wrong):
    with pytest.raises(SettingError, match="a count of at least 0 and chances from 0 to 1"):
        FalsePoints(**wrong)


@pytest.mark.parametrize("wrong", [(0.0, 1, 2), (10.0, 0, 2), (10.0, 3, 2)])
def test_a_field_of_view_that_shows_nothing_is_refused(wrong):
    edge, fewest, most = wrong
    with pytest.raises(SettingError, match="a field of view needs an edge above 0 mm"):
        FieldOfView(edge_mm=edge, min_discs=fewest, max_discs=most)
