"""The decoder's recipe: truth of candidates, and a card that says what was fitted and repeats itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import REGULAR
from spondyl.datasets import exams as exam_files
from spondyl.datasets import phantoms
from spondyl.datasets.source import BodyOutlines, Exam, SplitPart
from spondyl.errors import InputError, SettingError
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.appearance import AppearanceIdentifier, AppearanceSettings
from spondyl.identify.crops import COMPACT
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.identify.methods.argmax import name_each
from spondyl.identify.misses import MissRates
from spondyl.imaging.modality import Modality
from spondyl.learn.fit_decoder import CalibrationExample, fit_calibration
from spondyl.learn.recipes import decoder
from spondyl.learn.recipes.decoder import make_example, true_levels
from spondyl.learn.recipes.table import TrainingRequest, run_recipe
from spondyl.loaded_plan import LoadedPlan, Step
from spondyl.methods import find_method
from spondyl.nets.cards import Card, find_card, read_card, verify
from spondyl.nets.settings import read_settings
from spondyl.reading import Candidates
from spondyl.stage import Stage

AFFINE = Affine.from_axes([[-1, 0, 0], [0, 0, -1], [0, -1, 0]], (4, 1, 1), (0, 0, 0))
SQUARE = np.array([[-12.0, 16], [12, 16], [12, -16], [-12, -16]])


def body_at(row: float, score: float = 0.95) -> VertebraInstance:
    """A body in the slices 2 to 4 of a stack."""
    return VertebraInstance(
        slices=(2, 3, 4), outlines=np.stack([SQUARE + np.array([row, 40])] * 3), score=score, affine=AFFINE
    )


def exam_of(levels: list[Level], uncertain: list[Level] = (), patient: str = "a") -> Exam:
    """Bodies 30 mm apart, the first at row 30."""
    rows = [
        (SQUARE + np.array([30 + 30 * place, 40]), k, level) for place, level in enumerate(levels) for k in (2, 3, 4)
    ]
    names = np.array([level for _, _, level in rows], dtype=object)
    return Exam(
        name=patient,
        patient=patient,
        stack=SagittalStack(
            voxels=np.random.default_rng(0).random((7, 60 + 30 * len(levels), 80), dtype=np.float32), affine=AFFINE
        ),
        outlines=BodyOutlines(
            corners=np.stack([corners for corners, _, _ in rows]),
            slices=np.array([k for _, k, _ in rows]),
            levels=names,
            certain=np.array([level not in uncertain for level in names]),
        ),
    )


T12, L1, L2, L3, L4 = REGULAR.levels[REGULAR.levels.index(Level.T12) :][:5]


def test_a_candidate_is_the_labelled_body_that_contains_its_centre() -> None:
    assert true_levels(exam_of([L1, L2, L3]), [body_at(35), body_at(60), body_at(82)]) == [
        (L1, True),
        (L2, True),
        (L3, True),
    ]


def test_a_candidate_between_labelled_bodies_is_no_vertebra() -> None:
    exam = exam_of([L1, L2, L3])
    beside = VertebraInstance(
        slices=(2, 3, 4), outlines=np.stack([SQUARE + np.array([60, 75])] * 3), score=0.5, affine=AFFINE
    )
    assert true_levels(exam, [beside, body_at(45)]) == [(None, True), (None, True)]


def test_nothing_is_known_of_candidates_beyond_the_labelled_bodies_or_in_an_uncertain_outline() -> None:
    exam = exam_of([T12, L1, L2, L3, L4], uncertain=[T12, L2, L4])
    candidates = [body_at(2), body_at(30), body_at(60), body_at(90), body_at(120), body_at(150), body_at(180)]
    assert true_levels(exam, candidates) == [
        (None, False),
        (None, False),
        (L1, True),
        (None, False),
        (L3, True),
        (None, False),
        (None, False),
    ]


def test_nothing_is_known_of_a_candidate_in_a_gap_of_the_labels() -> None:
    exam = exam_of([T12, L2, L3])
    beside = VertebraInstance(
        slices=(2, 3, 4), outlines=np.stack([SQUARE + np.array([75, 75])] * 3), score=0.5, affine=AFFINE
    )
    assert true_levels(exam, [body_at(45), beside]) == [(None, False), (None, True)]


def locating(found: dict[str, list[VertebraInstance]], exams: list[Exam]) -> tuple[Step, ...]:
    """A detector that finds these candidates in the exams of these patients."""
    stacks = {id(exam.stack.voxels): found[exam.patient] for exam in exams}
    return (
        Step(
            method=find_method(Stage.LOCATE, "vfr"),
            run=lambda study: Candidates.from_bodies(stacks[id(study.sagittal.voxels)]),
        ),
    )


def test_the_decoder_reads_candidates_from_head_to_foot_and_knows_which_count() -> None:
    exam = exam_of([L1, L2, L3])

    def count(crops: np.ndarray) -> np.ndarray:
        return np.arange(len(crops) * 24, dtype=np.float32).reshape(-1, 24)

    identifier = AppearanceIdentifier(appearance=count, crops=COMPACT, namer=name_each)
    steps = locating({"a": [body_at(90, 0.8), body_at(3, 0.4), body_at(30, 0.9)]}, [exam])
    example = make_example(exam, steps, identifier)
    assert example is not None
    assert example.levels == (None, L1, L3)
    assert example.counted == (False, True, True)
    assert example.scores.tolist() == [0.4, 0.9, 0.8]
    assert np.diff(example.positions_mm[:, 2]).tolist() == [-27, -60]
    assert example.logits.shape == (3, 24)
    np.testing.assert_allclose(example.room_mm, [(3.5, 146), (30.5, 119), (90.5, 59)], atol=0.6)
    assert example.detected == {L1: True, L2: False, L3: True}
    assert make_example(exam, locating({"a": []}, [exam]), identifier) is None


def test_bodies_that_the_scan_cuts_are_not_counted_as_misses() -> None:
    exam = exam_of([L1, L2, L3])
    cut = replace(exam, stack=replace(exam.stack, voxels=exam.stack.voxels[:, :103]))
    identifier = AppearanceIdentifier(
        appearance=lambda crops: np.zeros((len(crops), 24), dtype=np.float32), crops=COMPACT, namer=name_each
    )
    example = make_example(cut, locating({"a": [body_at(60)]}, [cut]), identifier)
    assert example is not None
    assert example.detected == {L1: False, L2: True}


def exams_and_logits(patients: int) -> tuple[list[Exam], dict[str, np.ndarray]]:
    """Exams of five bodies, and logits with which half of the bodies appear one level off."""
    rng = np.random.default_rng(0)
    exams, logits = [], {}
    columns = np.array([REGULAR.levels.index(level) for level in OFFICIAL_COLUMNS])
    for number in range(patients):
        start = int(rng.integers(6, 13))
        exams.append(exam_of(list(REGULAR.levels[start : start + 5]), patient=f"p{number}"))
        apparent = np.arange(start, start + 5) + rng.choice(3, 5, p=(0.25, 0.5, 0.25)) - 1
        logits[f"p{number}"] = -2.0 * np.abs(columns - apparent[:, None])
    return exams, logits


CHOICES = {
    "shift_sd": (0.0,),
    "temperature": (0.5, 2.0),
    "landmark_temperature": (1.0,),
    "outlier_probability": (0.01, 0.1),
}


@pytest.fixture
def fitting(monkeypatch: pytest.MonkeyPatch) -> list[Exam]:
    """Exams as the calibration part of any folder of phantoms, with a detector that finds all and one more."""
    exams, logits = exams_and_logits(6)
    order = iter([])

    def start() -> LoadedPlan:
        nonlocal order
        order = iter([logits[exam.patient] for exam in exams])
        return LoadedPlan(modality=Modality.MR, steps=locating(found, exams))

    found = {exam.patient: [*exam.bodies().values(), body_at(5)] for exam in exams}
    monkeypatch.setattr(decoder, "load", lambda plan: start())
    monkeypatch.setattr(
        decoder,
        "make_engine",
        lambda name: lambda crops: np.concatenate([np.zeros((1, 24)), next(order)]).astype(np.float32),
    )
    monkeypatch.setattr(phantoms, "make_phantoms", lambda folder, seeds: None)
    monkeypatch.setattr(
        phantoms,
        "load_phantoms",
        lambda folder, seeds: {"lumbar": exams} if seeds == phantoms.PHANTOM_SEEDS[SplitPart.CALIBRATION] else {},
    )
    monkeypatch.setattr(decoder, "CHOICES", CHOICES)
    return exams


def fit(run: Path, **options: object) -> Card:
    given = {"start": "spondyl-appearance", "sources": (("phantoms", run.parent / "kept"),)} | options
    run_recipe(TrainingRequest(recipe="decoder", run=run, **given))  # type: ignore[arg-type]
    return read_card(run / "fitted-appearance.toml")


def test_the_card_holds_the_settings_of_the_best_fit_and_its_measures(fitting: list[Exam], tmp_path: Path) -> None:
    shipped = find_card("spondyl-appearance")
    _, logits = exams_and_logits(6)
    rows = np.array([5, *range(30, 180, 30)])
    rate = round(1 / (6 * 5 + 2), 4)
    costs = replace(
        read_settings(shipped, AppearanceSettings).costs,
        misses=MissRates(c2=rate, cervical=rate, thoracic=rate, lumbar=rate, s1=rate),
    )
    best = fit_calibration(
        [
            CalibrationExample(
                patient=exam.patient,
                logits=np.concatenate([np.zeros((1, 24)), logits[exam.patient]]),
                positions_mm=np.outer(rows, (0, 0, -1)),
                scores=np.array([0.95] + [1.0] * 5),
                room_mm=np.stack([rows + 0.5, 209.5 - rows], axis=1),
                levels=(None, *exam.bodies()),
                known=(False,) + (True,) * 5,
            )
            for exam in fitting
        ],
        costs,
        CHOICES,
    )
    card = fit(tmp_path / "run")
    misses = {f"miss_{name}": rate for name in ("c2", "cervical", "thoracic", "lumbar", "s1")}
    assert card.settings == shipped.settings | {name: getattr(best.costs, name) for name in CHOICES} | misses
    (measured,) = [table for name, table in card.metrics.items() if name not in shipped.metrics]
    assert measured == pytest.approx(
        {
            "log_likelihood_before": best.log_likelihood[0],
            "log_likelihood_after": best.log_likelihood[1],
            "expected_calibration_error_before": best.before.expected_error,
            "expected_calibration_error_after": best.after.expected_error,
        },
        abs=1e-4,
    )
    assert measured["log_likelihood_after"] > measured["log_likelihood_before"]


def test_the_card_says_what_was_run_on_which_weights_and_data(fitting: list[Exam], tmp_path: Path) -> None:
    shipped, card = find_card("spondyl-appearance"), fit(tmp_path / "run")
    assert set(card.metrics) == {*shipped.metrics, "calibration, 116 phantoms, cross-fitted"}
    assert card.trained_on[: len(shipped.trained_on)] == shipped.trained_on
    assert "settings of the decoder fitted on: Spondyl's own phantoms" in card.trained_on[-1]
    assert "seeds 248 to 363" in card.trained_on[-1]
    assert card.recipe.startswith(
        f"spondyl train decoder --data phantoms:kept --start spondyl-appearance (sha256 {shipped.sha256}); the weights"
    )
    assert card.recipe.endswith(shipped.recipe)
    assert (card.network, card.preset, card.licence) == (shipped.network, shipped.preset, shipped.licence)


def test_the_weights_are_those_of_the_start_and_the_card_is_the_same_again(fitting: list[Exam], tmp_path: Path) -> None:
    first, second = fit(tmp_path / "one"), fit(tmp_path / "two")
    assert first == second
    assert verify(first).weights_path.read_bytes() == find_card("spondyl-appearance").weights_path.read_bytes()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"start": None}, "name its weights with --start"),
        ({"start": "spondyl-vfr"}, "holds the network vfr"),
        ({"steps": 5}, "leave --steps and --seed out"),
        ({"seed": 5}, "leave --steps and --seed out"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=sentence):
        fit(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_data_without_exams_to_fit_to_are_refused(
    fitting: list[Exam], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exam_files, "load_exams", lambda folder, part: [])
    with pytest.raises(InputError, match="no exam of the calibration part"):
        fit(tmp_path / "run", sources=(("exams", tmp_path),))


def test_exams_are_fitted_to_in_their_validation_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(exam_files, "load_exams", lambda folder, part: asked.append(part) or [exam_of([L1])])
    source = exam_files.open_exams(tmp_path, SplitPart.CALIBRATION)
    assert asked == [SplitPart.VALIDATION]
    assert "1 patient of the validation split" in source.sentences[0]


def test_no_patient_is_in_two_parts() -> None:
    seeds = [seed for part in phantoms.PHANTOM_SEEDS.values() for seed in part]
    assert len(set(seeds)) == len(seeds)
    assert set(phantoms.PHANTOM_SEEDS) == set(SplitPart)
