"""Findings serialise to the contract's keys and nothing else, come back equal, and hold no patient."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spondyl.anatomy.level import Level
from spondyl.errors import InputError
from spondyl.findings import (
    RESEARCH_USE,
    Disc,
    Findings,
    Grading,
    ImageGrid,
    Measurement,
    Software,
    Vertebra,
    WeightsUsed,
    findings_schema,
)

OUTLINE = ((0.0, -10.0, 20.0), (0.0, -10.0, 0.0), (0.0, 20.0, 0.0), (0.0, 20.0, 20.0))
GRID = ImageGrid(
    modality="mr",
    shape=(15, 384, 384),
    spacing_mm=(4.0, 0.7, 0.7),
    affine_ras=((4, 0, 0, -30), (0, 0.7, 0, -100), (0, 0, 0.7, -120), (0, 0, 0, 1)),
)


def a_vertebra(**changes: object) -> Vertebra:
    given_values: dict[str, object] = {
        "level": Level.L4,
        "level_probability": 0.97,
        "level_probabilities": {Level.L5: 0.03, Level.L4: 0.97},
        "detection_score": 0.99,
        "centroid_mm": (0.0, 5.0, 10.0),
        "outline_mm": (OUTLINE, OUTLINE),
        "slices": (7, 8),
    }
    return Vertebra(**{**given_values, **changes})  # type: ignore[arg-type]


def some_findings() -> Findings:
    return Findings(
        software=Software(version="0.1.0", weights=(WeightsUsed(name="vfr", sha256="0" * 64),)),
        input={"format": "nifti", "slices": 15},
        image=GRID,
        vertebrae=(a_vertebra(),),
        discs=(
            Disc(
                level="L4/L5",
                centroid_mm=(0, 0, -5),
                probability=0.9,
                gradings={"pfirrmann": Grading(grade=3, probabilities=(0, 0.1, 0.9, 0, 0))},
            ),
        ),
        measurements=(Measurement(name="height", level="L4", value=27.5, unit="mm", method="outline"),),
        timing_s={"locate": 0.51},
    )


def test_the_report_has_exactly_the_keys_of_the_contract() -> None:
    report = json.loads(some_findings().to_json())
    assert list(report) == [
        "schema",
        "software",
        "input",
        "image",
        "vertebrae",
        "discs",
        "measurements",
        "warnings",
        "timing_s",
    ]
    assert report["schema"] == "spondyl.findings/1"
    assert list(report["software"]) == ["version", "weights"]
    assert list(report["software"]["weights"][0]) == ["name", "sha256"]
    assert list(report["image"]) == ["modality", "shape", "spacing_mm", "affine_ras"]
    assert list(report["vertebrae"][0]) == [
        "level",
        "level_probability",
        "level_probabilities",
        "detection_score",
        "centroid_mm",
        "outline_mm",
        "slices",
    ]
    assert list(report["discs"][0]) == ["level", "centroid_mm", "posterior_mm", "probability", "gradings"]
    assert list(report["discs"][0]["gradings"]["pfirrmann"]) == ["grade", "probabilities"]
    assert list(report["measurements"][0]) == ["name", "level", "value", "unit", "method"]


def test_an_empty_report_has_the_same_keys_and_says_research_use() -> None:
    empty = Findings(software=Software(version="0.1.0"), input={}, image=GRID)
    assert list(json.loads(empty.to_json())) == list(json.loads(some_findings().to_json()))
    assert empty.is_empty
    assert empty.warnings == (RESEARCH_USE,)
    assert not some_findings().is_empty


@given(
    st.lists(st.floats(-3000, 3000), min_size=3, max_size=3),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_findings_equal_what_is_read_back_from_their_json(centroid: list[float], score: float, p: float) -> None:
    vertebra = a_vertebra(
        centroid_mm=tuple(centroid), detection_score=score, level_probability=p, level_probabilities={Level.T1: p}
    )
    findings = some_findings().model_copy(update={"vertebrae": (vertebra,)})
    assert Findings.from_json(findings.to_json()) == findings


def test_level_probabilities_run_from_head_to_foot() -> None:
    report = json.loads(some_findings().to_json())
    assert list(report["vertebrae"][0]["level_probabilities"]) == ["L4", "L5"]


def test_the_schema_names_every_key_as_required_and_closes_every_object() -> None:
    schema = findings_schema()
    assert schema["required"] == list(json.loads(some_findings().to_json()))
    objects = [schema, *(part for part in schema["$defs"].values() if part["type"] == "object")]  # type: ignore[attr-defined]
    assert len(objects) == 8
    assert all(part["additionalProperties"] is False for part in objects)
    assert all(sorted(part["required"]) == sorted(part["properties"]) for part in objects)


def test_findings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        some_findings().vertebrae[0].level = Level.L5  # type: ignore[misc]


@pytest.mark.parametrize(
    "key", ["patient_name", "PatientID", "birth_date", "accession_number", "series_uid", "path", "file_name"]
)
def test_the_input_part_refuses_keys_that_could_identify_a_patient(key: str) -> None:
    with pytest.raises(ValidationError, match="could identify a patient"):
        Findings(software=Software(version="0"), input={key: "x"}, image=GRID)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"level_probability": 1.2}, "less than or equal to 1"),
        ({"detection_score": -0.1}, "greater than or equal to 0"),
        ({"centroid_mm": (0.0, float("nan"), 0.0)}, "finite"),
        ({"slices": (7,)}, "as many outlines"),
        ({"slices": (-1, 7)}, "greater than or equal to 0"),
        ({"outline_mm": (), "slices": ()}, "at least 1"),
        ({"level": "L9"}, "Input should be"),
        ({"patient": "x"}, "Extra inputs"),
    ],
)
def test_a_vertebra_refuses(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        a_vertebra(**changes)


@pytest.mark.parametrize("name", ["L4", "L4-L5", "X1/X2", "L4/L5/S1"])
def test_a_disc_is_named_by_two_levels(name: str) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        Disc(level=name, centroid_mm=(0, 0, 0), probability=1)


@pytest.mark.parametrize(("text", "where"), [("{", "the document"), ('{"schema": "other/1"}', "schema")])
def test_reading_what_is_no_report_names_the_place_and_repeats_no_content(text: str, where: str) -> None:
    with pytest.raises(InputError, match=f"not a spondyl.findings/1 report: {where}"):
        Findings.from_json(text)
