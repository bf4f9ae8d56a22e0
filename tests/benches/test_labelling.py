"""The comparison counts the levels that each method gives, of the patients it promises, and prints the counts."""

from dataclasses import replace

import numpy as np
import pytest

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import REGULAR, SIX_LUMBAR
from spondyl.benches.comparison import COMPARED
from spondyl.benches.labelling import compare_namers, name_and_score
from spondyl.identify.appearance import BodyEvidence
from spondyl.identify.beam import BeamCosts
from spondyl.identify.costs import OrderCosts
from spondyl.identify.height_map import HeightMapSettings
from spondyl.identify.methods.argmax import name_each
from spondyl.identify.methods.beam import BeamNamer
from spondyl.identify.methods.bilstm import RecurrentNamer
from spondyl.identify.methods.context import ContextNamer, refine_logits
from spondyl.identify.methods.order import OrderNamer
from spondyl.simulate.appearance import FAIR, GOOD, AppearanceSimulation
from spondyl.simulate.conditions import CONDITIONS, CONTROL, USUAL, draw_patients

SURE = AppearanceSimulation(
    slope=(3.0, 3.0), patient_bias_sd=0, bias_step_sd=0, vertebra_error_sd=0, noise_sd=0, outlier_share=0
)
HEIGHTS = HeightMapSettings(temperature=1.0)


def echo(picture):
    """A context network that changes nothing."""
    return np.log(picture + 1e-6)


def recurrent(features):
    """A bi-directional LSTM that repeats its input, and rejects nothing."""
    answers = features.copy()
    answers[..., -1] = -9
    return answers


NAMERS = {
    "order": OrderNamer(costs=OrderCosts()),
    "context": ContextNamer(context=echo, heights=HEIGHTS, costs=OrderCosts(outlier_probability=0.05)),
    "beam": BeamNamer(context=echo, heights=HEIGHTS, costs=BeamCosts(), min_score=0.0),
    "bilstm": RecurrentNamer(network=recurrent),
    "argmax": name_each,
}


def evidence_of(column) -> BodyEvidence:
    return BodyEvidence(
        logits=column.logits,
        positions_mm=column.positions_mm,
        scores=column.scores,
        tops_mm=column.tops_mm,
        bottoms_mm=column.bottoms_mm,
        height_mm=column.height_mm,
        room_mm=column.room_mm,
    )


def test_a_context_network_that_changes_nothing_is_read_at_the_detections_own_heights():
    column = next(iter(draw_patients(CONDITIONS[0], GOOD, 1, 5)))
    refined = refine_logits(evidence_of(column), echo, HEIGHTS)
    np.testing.assert_array_equal(refined.argmax(1), column.logits.argmax(1))


def test_every_method_names_a_regular_patient_rightly_whose_logits_are_right():
    for column in draw_patients(CONTROL, SURE, 4, 0):
        result = name_and_score(evidence_of(column), column.levels, REGULAR, NAMERS)
        assert {score.identification_rate for score in result.scores.values()} == {1.0}
        assert set(result.scores) == set(COMPARED)
        assert result.false == 0
        assert all(one.regular == 1 and one.false_positives == 0 for one in result.variants.values())
        assert len(result.claims["context"]) == len(column.levels)


def test_only_methods_that_can_reject_do():
    condition = next(one for one in CONDITIONS if one.false)
    total = sum_of(draw_patients(replace(condition, false=0.3), SURE, 12, 3))
    assert total.false > 15
    assert total.rejected["argmax"] == total.rejected["beam"] == total.rejected["bilstm"] == 0
    assert total.rejected["order"] > 0.7 * total.false
    assert total.scores["argmax"].identification_rate > 0.9


def test_only_the_exact_decoder_names_the_sixth_lumbar_vertebra():
    variant = replace(CONDITIONS[-1], numberings=(SIX_LUMBAR,))
    total = sum_of(draw_patients(variant, SURE, 10, 1))
    assert total.variants["order"].variants == 10
    assert total.variants["order"].sensitivity > 0.5  # two in five appear as a second S1
    bodies = total.scores["order"].truths
    assert total.scores["order"].identified > bodies - 8
    assert total.scores["argmax"].identified <= bodies - 10


def sum_of(columns):
    results = [name_and_score(evidence_of(one), one.levels, one.numbering, NAMERS) for one in columns]
    total = results[0]
    for result in results[1:]:
        total += result
    assert total.scores["argmax"].truths == sum(result.scores["argmax"].truths for result in results)
    return total


@pytest.mark.parametrize("condition", [*CONDITIONS, CONTROL], ids=lambda condition: condition.name)
def test_each_condition_shows_what_its_name_says(condition):
    columns = list(draw_patients(condition, FAIR, 60, 9))
    levels = [[level for level in column.levels if level is not None] for column in columns]
    ends = {Level.C2, Level.S1}
    if condition.name == "partial, no anchor":
        assert not any(ends & set(one) for one in levels)
    if condition.name == "partial, anchor":
        assert all(len(ends & set(one)) == 1 for one in levels)
    if condition.view is not CONDITIONS[0].view:
        assert {len(one) for one in levels} >= {5, 10} or all(one[-1] is Level.S1 for one in levels)
    assert (REGULAR in {column.numbering for column in columns}) is (condition is not CONDITIONS[-1])
    assert any(column.missed for column in columns) is (condition.dropped > 0)
    assert any(None in column.levels for column in columns) is (condition.false > 0)


def test_conditions_that_differ_in_detections_alone_show_the_same_patients():
    whole, dropped, false = (list(draw_patients(condition, GOOD, 8, 4)) for condition in USUAL[:3])
    for one, two, three in zip(whole, dropped, false, strict=True):
        assert set(two.levels) | set(two.missed) == set(one.levels) == set(three.levels) - {None}
        kept = [one.levels.index(level) for level in two.levels]
        np.testing.assert_array_equal(two.logits, one.logits[kept])


@pytest.mark.slow
def test_the_bench_prints_a_row_for_every_method_and_the_same_text_again():
    text = compare_namers(NAMERS, patients=2, fitted_to=1, choices={"temperature": (1.0,)})
    assert text == compare_namers(NAMERS, patients=2, fitted_to=1, choices={"temperature": (1.0,)})
    for name in COMPARED.values():
        assert text.count(f"| {name} ") >= 2  # one for each quality of the appearance network
    for condition in CONDITIONS:
        assert condition.name in text
