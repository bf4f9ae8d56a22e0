"""The bench on phantoms: fresh patients, and tables that say what was counted."""

from dataclasses import replace

import pytest

from spondyl.benches.comparison import COMPARED, DEFAULT, load_comparison
from spondyl.benches.detection.phantoms import (
    PatientMeasure,
    describe_variants,
    format_measures,
    list_fresh_phantoms,
    list_variant_phantoms,
)
from spondyl.datasets.phantoms import PHANTOM_SEEDS
from spondyl.errors import WeightsError
from spondyl.metrics.naming import VariantTally
from spondyl.metrics.vertebrae import VertebraScore
from spondyl.phantom.options import Variant
from spondyl.phantom.scanner.protocol import FieldOfView
from spondyl.plan import Plan

ALL_RIGHT = VertebraScore(
    truths=10, detections=10, found=10, correct=10, identified=10, nearly_identified=10, errors_mm=(1.0,) * 10
)


def a_measure(field: FieldOfView = FieldOfView.WHOLE, *, has_anchor: bool = True, held: bool = True) -> PatientMeasure:
    scores = dict.fromkeys(COMPARED, ALL_RIGHT) | {"argmax": replace(ALL_RIGHT, identified=8)}
    return PatientMeasure(
        field=field,
        scores=scores,
        claims=((0.9, held),) * 10,
        has_anchor=has_anchor,
        tally=VariantTally(regular=1),
    )


@pytest.mark.parametrize("field", FieldOfView)
def test_measured_patients_are_in_no_part_that_recipes_read(field: FieldOfView) -> None:
    options = list_fresh_phantoms(field, 100)
    assert len({one.seed for one in options}) == 100
    assert not {one.seed for one in options} & {seed for seeds in PHANTOM_SEEDS.values() for seed in seeds}
    assert {one.field for one in options} == {field}
    assert all(one.is_varied for one in options)


def test_every_variant_occurs_where_it_can_be_identified() -> None:
    options = list_variant_phantoms(12)
    assert len({one.seed for one in options}) == 12
    assert {(one.variant, one.field) for one in options} == {
        *((variant, FieldOfView.WHOLE) for variant in (Variant.T11, Variant.T13, Variant.L4, Variant.L6)),
        *((variant, FieldOfView.LUMBAR) for variant in (Variant.L4, Variant.L6)),
    }


def test_scores_of_patients_add_up_in_their_fields_row() -> None:
    table = format_measures([a_measure(), a_measure(), a_measure(FieldOfView.CERVICAL)])
    rows = {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("|")}
    assert rows[f"whole: {COMPARED[DEFAULT]}"].split("|")[2].strip() == "20"
    assert rows[f"whole: {COMPARED['argmax']}"].split("|")[5].strip() == "80.0"
    assert rows[f"cervical: {COMPARED[DEFAULT]}"].split("|")[2].strip() == "10"
    assert not any(name.startswith("lumbar") for name in rows)


def test_partial_views_are_calibrated_by_themselves() -> None:
    table = format_measures([a_measure(), a_measure(has_anchor=False, held=False)])
    whole, partial = [line for line in table.splitlines() if line.startswith("`level_probability`")]
    assert "20 bodies: 0.900 in the mean, 0.500 of the levels right" in whole
    assert "10 bodies: 0.900 in the mean, 0.000 of the levels right, expected calibration error 0.900" in partial


def test_the_sentence_on_variants_counts_both_kinds_of_patients() -> None:
    line = describe_variants(VariantTally(variants=10, named=7, noticed=9, regular=100, false_positives=1))
    assert "10 patients with a variant, 0.70 recognised by name" in line
    assert "specificity 0.990" in line


def test_missing_weights_are_reported_at_once() -> None:
    with pytest.raises(WeightsError, match="no set of weights named 'absent'"):
        load_comparison(Plan(weights="absent"))
