"""Levels counted by hand, variants recognised, and what a scan must show for a variant to be identifiable."""

import numpy as np
import pytest

from spondyl.anatomy.landmarks import variant_is_identifiable
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import ELEVEN_THORACIC, FOUR_LUMBAR, NUMBERINGS, REGULAR, SIX_LUMBAR, THIRTEEN_THORACIC
from spondyl.labelling import LEVELS, Labelling, MarkSequence
from spondyl.metrics.naming import (
    VariantTally,
    level_claims,
    recognised_variant,
    score_levels,
)

T11, T12, T13, L1, L2, L5, L6, S1 = (Level(name) for name in ("T11", "T12", "T13", "L1", "L2", "L5", "L6", "S1"))


def test_names_are_counted_over_the_bodies_that_are_there():
    score = score_levels((T11, T12, None, S1, L2, None), (T11, L1, L2, L5, None, None))
    assert (score.truths, score.found, score.identified, score.nearly_identified) == (4, 3, 1, 3)
    assert score.detections == 4
    assert score.identification_rate == 0.25


def labelling(*levels: Level | None, probability: float = 0.9, **numberings: float) -> Labelling:
    marginals = np.zeros((len(levels), len(Level)))
    for place, level in enumerate(levels):
        if level is not None:
            marginals[place, level.rank] = probability
    return Labelling(
        sequences=(MarkSequence(levels=levels, log_probability=-0.1),),
        marks=LEVELS,
        marginals=marginals,
        rejected=1 - marginals.sum(1),
        numberings={n.name: numberings.get(n.name.split()[0], 0.0) for n in NUMBERINGS},
        size=1.0,
    )


def test_only_levels_that_are_given_are_claims():
    assert level_claims(labelling(T12, None, L2), (T12, L1, L5)) == [(0.9, True), (0.9, False)]


def test_detections_of_which_nothing_is_known_are_no_claims():
    assert level_claims(labelling(T12, L1, L2), (T12, None, L5), known=(True, False, False)) == [(0.9, True)]


@pytest.mark.parametrize(
    ("probabilities", "claimed"),
    [
        ({"regular": 0.4, "six": 0.6}, SIX_LUMBAR.name),
        ({"regular": 0.6, "six": 0.4}, None),
        ({"regular": 0.3, "six": 0.4, "four": 0.3}, None),
    ],
)
def test_a_variant_is_claimed_when_it_is_likelier_than_all_else(probabilities, claimed):
    assert recognised_variant(labelling(L5, **probabilities)) == claimed


def test_tallies_count_what_was_named_and_what_was_noticed():
    six, regular = labelling(L5, six=0.9), labelling(L5, regular=0.9)
    counted = (
        VariantTally.from_labelling(six, SIX_LUMBAR)
        + VariantTally.from_labelling(six, FOUR_LUMBAR)
        + VariantTally.from_labelling(regular, FOUR_LUMBAR)
        + VariantTally.from_labelling(six, REGULAR)
        + VariantTally.from_labelling(regular, REGULAR)
    )
    assert counted == VariantTally(variants=3, named=1, noticed=2, regular=2, false_positives=1)
    assert (counted.sensitivity, counted.detection, counted.specificity) == pytest.approx((1 / 3, 2 / 3, 1 / 2))
    assert np.isnan(VariantTally().sensitivity)


@pytest.mark.parametrize(
    ("numbering", "first", "last", "is_identifiable"),
    [
        (THIRTEEN_THORACIC, "C2", "L1", True),
        (THIRTEEN_THORACIC, "C2", "T13", False),
        (THIRTEEN_THORACIC, "T1", "S1", False),
        (SIX_LUMBAR, "T12", "S1", True),
        (SIX_LUMBAR, "T12", "L6", False),
        (SIX_LUMBAR, "L1", "S1", False),
        (ELEVEN_THORACIC, "C2", "S1", True),
        (ELEVEN_THORACIC, "T9", "S1", False),
        (FOUR_LUMBAR, "T12", "S1", True),
        (FOUR_LUMBAR, "L1", "S1", False),
        (REGULAR, "T12", "S1", True),
        (REGULAR, "C2", "L5", False),
    ],
)
def test_a_scan_identifies_a_variant_by_an_anchor_and_the_place_where_it_differs(
    numbering, first, last, is_identifiable
):
    levels = numbering.levels
    seen = levels[levels.index(Level(first)) : levels.index(Level(last)) + 1]
    assert variant_is_identifiable(numbering, seen) is is_identifiable
