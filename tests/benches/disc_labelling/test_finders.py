"""Methods are opened from the table with the weights that there are; the reference needs bodies alone."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from learn.painted import LEVELS, bodies, painted_exam
from spondyl.anatomy.level import Level
from spondyl.benches.disc_labelling import finders
from spondyl.benches.disc_labelling.finders import (
    BETWEEN_BODIES,
    find_between_bodies,
    open_finders,
    open_vertebra_steps,
)
from spondyl.datasets.source import outline_spaces
from spondyl.geometry.points import Landmarks
from spondyl.imaging.modality import Modality
from spondyl.labelling import LEVELS as ALL_LEVELS
from spondyl.labelling import Labelling, Labellings, MarkSequence
from spondyl.methods import Method
from spondyl.metrics.discs import find_outline_points
from spondyl.nets.cards import find_card
from spondyl.nets.network import LoadedNetwork
from spondyl.nets.places import shipped_weights_folder
from spondyl.plan import Plan
from spondyl.reading import Candidates, Reading
from spondyl.stage import Stage, Structure
from spondyl.study import Study


def labelling(levels: tuple[Level | None, ...]) -> Labellings:
    n = len(levels)
    return Labellings(
        vertebrae=Labelling(
            sequences=(MarkSequence(levels=levels, log_probability=0.0),),
            marks=ALL_LEVELS,
            marginals=np.zeros((n, len(ALL_LEVELS))),
            rejected=np.zeros(n),
        )
    )


def reading(levels: tuple[Level | None, ...] = LEVELS) -> Reading:
    exam = painted_exam()
    found = Candidates.from_bodies(tuple(exam.outlined_bodies().values()))
    return Reading(
        study=Study.from_sagittal(exam.stack), candidates={Structure.VERTEBRA: found}, labellings=labelling(levels)
    )


def test_the_reference_lies_where_the_space_between_outlined_bodies_does() -> None:
    exam = painted_exam()
    found = find_between_bodies(reading())
    centres, edges = find_outline_points(outline_spaces(exam.outlines), exam.stack.affine)
    assert found.centres_ras_mm == pytest.approx(centres.points_ras_mm)
    assert found.posterior_ras_mm == pytest.approx(edges.points_ras_mm)
    facing = bodies()[0][1], bodies()[1][0]
    assert exam.stack.affine.to_index(found.posterior_ras_mm[0])[1:] == pytest.approx(np.mean(facing, axis=0))


def test_a_body_that_is_rejected_bounds_no_space() -> None:
    assert len(find_between_bodies(reading((Level.L2, Level.L3, None)))) == 1
    assert len(find_between_bodies(reading((Level.L2, None, None)))) == 0


def line(stage: Stage, name: str, *networks: str) -> Method:
    return Method(stage, name, frozenset({Structure.DISC}), frozenset({Modality.MR}), networks, "a:b", "")


def two_points(roles: Mapping[str, LoadedNetwork]) -> Candidates:
    points = np.array([[0.0, 0, 0], [len(roles), 0, -30]])
    return Candidates(structure=Structure.DISC, centres=Landmarks(points_ras_mm=points, scores=np.ones(2)))


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two methods that find discs, one of them by a network that no set of weights has, and one that refines them."""
    lines = (line(Stage.LOCATE, "dots"), line(Stage.LOCATE, "net", "new"), line(Stage.REFINE, "look-once"))

    def open_line(method: Method, networks: Mapping[str, LoadedNetwork]) -> object:
        if method.stage is Stage.REFINE:
            return lambda _study, found: Candidates(
                structure=Structure.DISC,
                centres=Landmarks(points_ras_mm=found.centres_ras_mm[:1], scores=found.scores[:1]),
            )
        return lambda _study: two_points(networks)

    monkeypatch.setattr(finders, "methods_of", lambda stage: tuple(one for one in lines if one.stage is stage))
    monkeypatch.setattr(finders, "find_method", lambda _stage, _name: lines[-1])
    monkeypatch.setattr(finders, "open_method", open_line)
    monkeypatch.setattr(finders, "make_engine", lambda *_arguments, **_keywords: lambda batch: batch)


def put_card(folder: Path, name: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(find_card("spondyl-vfr").to_toml())
    (folder / f"{name}.safetensors").write_bytes(b"")


@pytest.mark.usefixtures("table")
def test_every_method_is_opened_alone_and_refined_and_one_without_weights_is_reported(tmp_path: Path) -> None:
    opened = open_finders(Plan(), (tmp_path,))
    assert list(opened.found) == [BETWEEN_BODIES, "dots", "dots + look-once"]
    assert [len(opened.found[name](reading())) for name in ("dots", "dots + look-once")] == [2, 1]
    assert opened.missing == ("net: not measured, its weights are missing or do not fit the network.",)
    assert opened.weights == ()


@pytest.mark.usefixtures("table")
def test_weights_that_a_recipe_wrote_serve_a_method_that_no_set_names(tmp_path: Path) -> None:
    put_card(tmp_path / "weights", "trained-new")
    opened = open_finders(Plan(), (tmp_path / "weights",))
    assert not opened.missing
    assert [used.name for used in opened.weights] == ["trained-new"]
    assert opened.found["net"](reading()).centres_ras_mm[1, 0] == 1


@pytest.mark.usefixtures("table")
def test_a_refinement_without_weights_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(finders, "find_method", lambda stage, name: line(stage, name, "points"))
    opened = open_finders(Plan(), (tmp_path,))
    assert list(opened.found) == [BETWEEN_BODIES, "dots"]
    assert opened.missing[0].startswith("look-once: not measured")


@pytest.mark.usefixtures("table")
def test_vertebrae_are_found_and_named_by_the_methods_of_the_plan_whatever_finds_discs(tmp_path: Path) -> None:
    steps = open_vertebra_steps(Plan(identify="argmax", locate="hourglass"), (shipped_weights_folder(), tmp_path))
    assert (steps.locate.method.name, steps.identify.method.name) == ("vfr", "argmax")
    assert [used.name for used in steps.weights] == ["spondyl-vfr", "spondyl-appearance"]


@pytest.mark.usefixtures("table")
def test_a_fold_has_methods_with_networks_of_its_own_alone(tmp_path: Path) -> None:
    put_card(tmp_path / "weights", "trained-new")
    put_card(tmp_path / "weights", "trained-new-fold2")
    first, second = (open_finders(Plan(), (tmp_path / "weights",), fold=number) for number in (1, 2))
    assert not first.found
    assert list(second.found) == ["net", "net + look-once"]
    assert [used.name for used in second.weights] == ["trained-new-fold2"]
