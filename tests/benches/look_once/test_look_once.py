"""The benches of Look-Once: patients apart, baselines that know what their rows say, verdicts computed from results."""

import numpy as np
import pytest

from spondyl.anatomy.level import Level
from spondyl.benches.look_once import fig8
from spondyl.benches.look_once.judges import fit_worth, make_judges, straighten
from spondyl.benches.look_once.spines import fit_skeleton, read_split_spines, split_spines
from spondyl.benches.look_once.table2 import SETTINGS, compare_judges, describe_gain
from spondyl.errors import InputError
from spondyl.metrics.candidates import mean_score, score_kept
from spondyl.refine.skeleton import MEAN_COLUMN, Skeleton
from spondyl.simulate.disc_points import TOTAL, DiscChain, draw_chain, draw_image


def spines(count, first=0):
    drawn = [draw_chain(np.random.default_rng(seed)) for seed in range(count)]
    return [[DiscChain(uppers=one.uppers[first:], points_mm=one.points_mm[first:])] for one in drawn]


def test_a_patient_scanned_twice_is_not_on_both_sides_of_the_split():
    once = spines(60)
    again = [[DiscChain(uppers=one.uppers[:9], points_mm=one.points_mm[:9] + 50)] for (one,) in once]
    split = split_spines([*once, *again])
    assert split.left_out > 5
    trained = {chain.points_mm[:2].tobytes() for chain in split.train}
    assert not any((chain.points_mm[:2] + shift).tobytes() in trained for chain in split.test for shift in (0, 50, -50))
    assert len(split.train) + len(split.test) + split.left_out == 120


def test_the_skeleton_is_fitted_to_regular_columns_alone():
    regular = [one for (one,) in spines(40, first=3) if one.uppers[-1] is Level.L5 and len(one.uppers) == 20]
    cervical = [
        DiscChain(uppers=(Level.C2, Level.C3), points_mm=np.array([[0.0, 0], [20, 0]])),
        DiscChain(uppers=(Level.C3, Level.C4, Level.C5), points_mm=np.array([[0.0, 0], [9, 1], [18, 2]])),
    ]
    eleven = DiscChain(uppers=(Level.T11, Level.L1), points_mm=np.array([[0.0, 0], [900, 0]]))
    places = fit_skeleton([*regular, *cervical, eleven])
    np.testing.assert_allclose(np.diff(places, axis=0)[:3], [[20, 0], [9, 1], [9, 1]])
    assert np.ptp(np.diff(places, axis=0)[:, 0]) < 40


def test_a_folder_without_coordinates_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no vid_training\.csv in the folder coordinates"):
        read_split_spines(tmp_path)


def test_straightened_discs_lie_on_one_line_and_false_points_at_their_distance_from_it():
    chain = draw_chain(np.random.default_rng(0))
    image = draw_image([chain], TOTAL, np.random.default_rng(1))
    straight = straighten(image)
    np.testing.assert_allclose(straight[image.is_disc, 1], 0, atol=1e-9)
    np.testing.assert_array_equal(straight[:, 0], image.points_mm[:, 0])
    assert np.abs(straight[~image.is_disc, 1]).max() > 20


def test_a_point_is_worth_what_gives_the_best_f1():
    rng = np.random.default_rng(2)
    images = [draw_image([draw_chain(rng)], TOTAL, rng) for _ in range(2)]
    skeleton = Skeleton(places_mm=MEAN_COLUMN.places_mm[:14], starts=(0, 3), worth=99.0)
    fitted = fit_worth(skeleton, images)
    assert fitted.worth < 99

    def f1(judge):
        return mean_score(score_kept(judge(image), image.is_disc) for image in images).f1

    judges = make_judges(skeleton.places_mm, images)
    assert f1(judges["told"]) > f1(judges["condition"])
    assert all(judges["told"](image).sum() == image.is_disc.sum() for image in images)


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [([0.03, 0.02, 0.025], "it pays"), ([-0.03, -0.02, -0.025], "it harms"), ([0.03, -0.03, 0.01], "no difference")],
)
def test_a_gain_is_what_exceeds_its_error(differences, verdict):
    assert describe_gain(np.array(differences)).endswith(verdict)


@pytest.mark.slow
def test_the_table_has_every_method_and_says_what_the_figures_say():
    split = split_spines(spines(30))
    text = compare_judges(split, lambda image: image.is_disc, seeds=2, shown=(128, 128), drawn=20, images=3)
    for name in SETTINGS:
        assert f"## {name}" in text
    perfect = [line for line in text.splitlines() if line.count("1.000 ± 0.000") == 5]
    assert sum("proposed, as shipped" in line for line in perfect) == 3  # the truth itself stands in for it here
    assert text.count("| published geometry, normalised by the truth") == 1
    assert "the proposed network has a lower F1 than:" in text
    assert text.count("(standard error)") == 9


def test_the_timed_image_has_the_false_points_that_it_is_timed_with():
    for false in (1, 100):
        assert len(fig8.draw_points(false)) == fig8.DISCS + false
