"""Requests that no patient or scan can fulfil are refused by name and range before anything is drawn."""

import pytest

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.imaging.volume import Modality
from spondyl.phantom.column.column import Transition
from spondyl.phantom.options import FractureWish, PhantomOptions, SlipWish, Variant
from spondyl.phantom.pathology.pathology import FractureKind
from spondyl.phantom.scanner.protocol import FieldOfView
from spondyl.phantom.scanner.sequence import PulseSequence


def test_words_of_the_command_line_become_options() -> None:
    read = PhantomOptions.from_text(
        seed=7,
        field="whole",
        sequence="dixon-water",
        spacing_mm=1.0,
        variant="L6",
        cobb_deg=20,
        severity=0.5,
        fractures=("L1", "T8:crush", "T12:wedge:3"),
        slips=("L4/L5:6.5",),
        screws="L4, L5",
        is_varied=True,
    )
    assert read == PhantomOptions(
        seed=7,
        field=FieldOfView.WHOLE,
        sequence=PulseSequence.DIXON_WATER,
        spacing_mm=1.0,
        variant=Variant.L6,
        scoliosis_cobb_deg=20,
        severity=0.5,
        fractures=(
            FractureWish(level=Level.L1),
            FractureWish(level=Level.T8, kind=FractureKind.CRUSH),
            FractureWish(level=Level.T12, kind=FractureKind.WEDGE, grade=3),
        ),
        slips=(SlipWish(disc=Disc(Level.L4, Level.L5), slip_mm=6.5),),
        screws=(Level.L4, Level.L5),
        is_varied=True,
    )


def test_requested_pathology_is_written_as_it_is_read() -> None:
    for text in ("L1", "T8:crush", "T12:wedge:3"):
        assert str(FractureWish.from_text(text)) == text
    assert str(SlipWish.from_text("L4/L5:6.5")) == "L4/L5:6.5"


def test_what_is_not_said_is_left_to_chance_and_none_means_none() -> None:
    assert PhantomOptions.from_text() == PhantomOptions()
    assert PhantomOptions.from_text(screws="none").screws == ()
    assert PhantomOptions.from_text(sequence="t2").sequence is PulseSequence.T2_TSE
    assert PhantomOptions.from_text(modality="ct").modality is Modality.CT


def test_every_sequence_can_be_asked_for_by_its_members_name() -> None:
    for sequence in PulseSequence:
        name = sequence.name.lower().replace("_", "-")
        assert PhantomOptions.from_text(sequence=name).sequence is sequence


@pytest.mark.parametrize(
    ("variant", "extra", "missing", "transition"),
    [
        ("regular", (), (), Transition.NONE),
        ("T11", (), ("T12",), Transition.NONE),
        ("T13", ("T13",), (), Transition.NONE),
        ("L4", (), ("L5",), Transition.NONE),
        ("L6", ("L6",), (), Transition.NONE),
        ("sacralised", (), (), Transition.SACRALISED),
        ("lumbarised", (), (), Transition.LUMBARISED),
    ],
)
def test_a_variant_is_named_for_the_vertebra_that_is_more_or_last(
    variant: str, extra: tuple[str, ...], missing: tuple[str, ...], transition: Transition
) -> None:
    levels = set(Variant(variant).numbering.levels)
    regular = set(Variant.REGULAR.numbering.levels)
    assert levels - regular == set(extra)
    assert regular - levels == set(missing)
    assert Variant(variant).transition is transition


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seed": -1}, "seed must be between 0 and 9223372036854775807, got -1"),
        ({"spacing_mm": -1.0}, "spacing must be between 0.3 and 5 mm, got -1.0"),
        ({"spacing_mm": float("nan")}, "spacing must be between 0.3 and 5 mm, got nan"),
        ({"cobb_deg": 200.0}, "cobb must be between 0 and 90 degrees, got 200"),
        ({"severity": 1.5}, "severity must be between 0 and 1, got 1.5"),
        ({"modality": "us"}, 'modality must be one of mr, ct, got "us"'),
        ({"field": "knee"}, 'fov must be one of lumbar, cervical, thoracic, whole, got "knee"'),
        ({"sequence": "t9"}, "sequence must be one of t1, t2, t1-tse"),
        ({"modality": "ct", "sequence": "t2"}, "sequence is for modality mr only, got t2-tse with ct"),
        ({"variant": "L7"}, 'variant must be one of regular, T11, .*, got "L7"'),
        ({"variant": "L6", "field": "cervical"}, "variant L6 can only be seen with fov lumbar or whole, got cervical"),
        ({"variant": "sacralised", "field": "thoracic"}, "variant sacralised can only be seen with fov lumbar or"),
        ({"variant": "T13", "field": "cervical"}, "variant T13 can only be seen with fov lumbar or thoracic or whole"),
        ({"fractures": ("T40",)}, 'fracture must be in a vertebra from C3 to L6, got "T40"'),
        ({"fractures": ("C1",)}, 'fracture must be in a vertebra from C3 to L6, got "C1"'),
        ({"fractures": ("S1",)}, 'fracture must be in a vertebra from C3 to L6, got "S1"'),
        ({"fractures": ("L1:twist",)}, "fracture kind must be one of wedge, biconcave, crush"),
        ({"fractures": ("L1:wedge:4",)}, "grade of a fracture must be 1, 2 or 3, got 4"),
        ({"fractures": ("L1:wedge:two",)}, "fracture must be written as"),
        ({"fractures": ("L1:wedge:1:1",)}, "fracture must be written as"),
        ({"slips": ("L4/L5:-3",)}, "slip must be between 0 and 20 mm, got -3"),
        ({"slips": ("L4/L5",)}, "slip must be written as"),
        ({"slips": ("L3/L5:4",)}, "no disc between L3 and L5"),
        ({"fractures": ("L1", "L1:crush:2")}, "fracture must name each place once, got L1, L1"),
        ({"slips": ("L4/L5:3", "L4/L5:4")}, "slip must name each place once"),
        ({"slips": ("S1/S2:4",)}, "slip must be at a disc from C2/C3 to the one above S1, got S1/S2"),
        ({"screws": "C5"}, 'screws must be in a vertebra from T1 to S2, got "C5"'),
        ({"screws": "L9"}, 'screws must be in a vertebra from T1 to S2, got "L9"'),
        ({"screws": "L4,"}, 'screws must be in a vertebra from T1 to S2, got ""'),
        ({"screws": "L4,L4"}, "screws must name each place once, got L4, L4"),
    ],
)
def test_an_impossible_request_is_refused_in_a_sentence_that_names_it_and_its_range(
    options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SettingError, match=sentence):
        PhantomOptions.from_text(**options)  # type: ignore[arg-type]
