"""The detection benchmark measures every decoder on the same bodies; its networks predict the truth here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from real_data import DATA, needs_real_data
from spondyl.anatomy.level import Level
from spondyl.benches.comparison import COMPARED, DEFAULT, Comparison
from spondyl.benches.detection import exams as detection
from spondyl.benches.detection.exams import POOLED, SETS, measure_exam, tabulate_exams
from spondyl.datasets.exams import find_part
from spondyl.datasets.source import BodyOutlines, Exam
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.loaded_plan import Step, open_method
from spondyl.methods import find_method
from spondyl.nets.cards import find_card
from spondyl.nets.network import LoadedNetwork
from spondyl.reading import Candidates
from spondyl.stage import Stage

LEVELS = (Level.L3, Level.L4, Level.L5, Level.S1)
AFFINE = Affine.from_axes([[-1, 0, 0], [0, 0, -1], [0, -1, 0]], (4, 1, 1), (0, 0, 0))


def an_exam(name: str = "a") -> Exam:
    """Four bodies 36 mm apart, in slices 2 to 4."""
    square = np.array([[-12.0, 16], [12, 16], [12, -16], [-12, -16]])
    corners = [square + np.array([30 + 36 * number, 40]) for number in range(4) for _ in range(3)]
    return Exam(
        name=name,
        patient=name,
        stack=SagittalStack(voxels=np.random.default_rng(0).random((7, 170, 80), dtype=np.float32), affine=AFFINE),
        outlines=BodyOutlines(
            corners=np.stack(corners),
            slices=np.array([2, 3, 4] * 4),
            levels=np.array([level for level in LEVELS for _ in range(3)], dtype=object),
            certain=np.ones(12, bool),
        ),
    )


def repeating(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """A recurrent network that predicts what the appearance network predicted, and rejects nothing."""
    return np.concatenate([features[..., :-1], np.full_like(features[..., :1], -9)], axis=-1)


def comparison_of(levels: Mapping[int, Level], bodies: Sequence[VertebraInstance] | None = None) -> Comparison:
    """Every method on networks that name the n-th body from the head; all true bodies are found unless given.

    The context network sharpens what it is shown.
    """
    found = tuple(an_exam().bodies().values()) if bodies is None else tuple(bodies)

    def appearance(crops: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = np.zeros((len(crops), len(OFFICIAL_COLUMNS)), np.float32)
        for number, level in levels.items():
            logits[number, OFFICIAL_COLUMNS.index(level)] = 60
        return logits

    runs = {"appearance": appearance, "context": lambda picture: 400 * picture, "bilstm": repeating}
    networks = {role: LoadedNetwork(card=find_card(f"spondyl-{role}"), run=run) for role, run in runs.items()}
    locate = Step(
        method=find_method(Stage.LOCATE, "vfr"),
        run=lambda _study: Candidates.from_bodies(found),
    )
    methods = [find_method(Stage.IDENTIFY, name) for name in COMPARED]
    return Comparison(
        locating=(locate,),
        identifying={method.name: Step(method=method, run=open_method(method, networks)) for method in methods},
        weights=(),
    )


RIGHT = dict(enumerate(LEVELS))


def test_right_networks_score_fully_and_surely_with_every_decoder() -> None:
    measured = measure_exam(an_exam(), comparison_of(RIGHT))
    assert set(measured.scores) == set(COMPARED)
    for score in measured.scores.values():
        assert (score.truths, score.found, score.identified, score.detections) == (4, 4, 4, 4)
        assert score.localisation_error_mm == (0, 0)
    assert [held for _, held in measured.claims] == [True] * 4
    assert min(probability for probability, _ in measured.claims) > 0.9


def test_one_wrong_prediction_changes_only_methods_that_decode_nothing() -> None:
    predicted = dict(enumerate(LEVELS)) | {1: Level.T4}
    scores = measure_exam(an_exam(), comparison_of(predicted)).scores
    assert scores["argmax"].identified == scores["bilstm"].identified == 3
    assert {scores[name].identified for name in ("context", "order")} == {4}
    assert scores["beam"].nearly_identified >= 3


def test_a_column_named_one_level_off_is_claimed_wrongly() -> None:
    above = {number: Level(list(Level)[level.rank - 1]) for number, level in enumerate(LEVELS[:3])}
    measured = measure_exam(an_exam(), comparison_of(above | {3: Level.L5}))
    assert measured.scores[DEFAULT].identified == 0
    assert [held for _, held in measured.claims] == [False] * measured.scores[DEFAULT].found


def test_an_exam_in_which_nothing_is_found_counts_its_bodies() -> None:
    measured = measure_exam(an_exam(), comparison_of({}, bodies=()))
    assert all((score.truths, score.found) == (4, 0) for score in measured.scores.values())
    assert measured.claims == ()


def test_a_body_that_two_others_cover_makes_no_claim() -> None:
    bodies = list(an_exam().bodies().values())
    doubled = replace(bodies[1], outlines=bodies[1].outlines + 4, score=0.9)
    predicted = dict(enumerate((Level.L2, Level.L3, Level.L4, Level.L5, Level.S1)))
    measured = measure_exam(an_exam(), comparison_of(predicted, (*bodies[:2], doubled, *bodies[2:])))
    assert len(measured.claims) == measured.scores[DEFAULT].found == 3


def test_the_table_has_every_set_decoder_and_published_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "load_exams", lambda folder, part: [an_exam(f"{folder.name}_{part}")])
    text = tabulate_exams(Path("data"), comparison_of(RIGHT))
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("|")}
    pooled = " + ".join(POOLED)
    assert {f"{part}: {name}" for part in (*SETS, pooled) for name in COMPARED.values()} <= set(rows)
    assert [cell.strip() for cell in rows[f"{pooled}: {COMPARED[DEFAULT]}"].split("|")[2:-1]] == [
        "8",
        *["100.0"] * 4,
        "0.0 ± 0.0",
    ]
    assert sum(name.startswith("published") for name in rows) == 3
    assert "lumbar_t2: validation;" in text  # the exams by name
    assert f"on {pooled}, 8 found bodies" in text


@needs_real_data
@pytest.mark.parametrize(("name", "least"), [("lumbar_t2", 3), ("lumbar_gre", 6)])
def test_enough_exams_were_kept_from_training(name: str, least: int) -> None:
    exams = [path.stem for path in (DATA / "mr" / name).glob("*.json")]
    assert sum(find_part(exam) == detection.PART for exam in exams) >= least
