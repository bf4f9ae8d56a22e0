"""`spondyl train` refuses what it cannot train, and leaves weights with a whole card in the folder of the run."""

import inspect
import re
import subprocess
from dataclasses import replace
from functools import partial
from pkgutil import resolve_name

import pytest
import torch
from torch import nn

import spondyl
from learn.painted import painted_exam
from spondyl.datasets import exams as exam_files
from spondyl.datasets import phantoms
from spondyl.datasets.source import BodyOutlines
from spondyl.errors import InputError, SettingError
from spondyl.learn import training
from spondyl.learn.provenance import find_commit
from spondyl.learn.recipes import table
from spondyl.learn.recipes.table import RECIPES, RecipeEntry, TrainingRequest, find_recipe, run_recipe
from spondyl.learn.simulated import SIMULATED
from spondyl.learn.trainer import validate
from spondyl.nets.cards import Card, read_card
from spondyl.nets.presets import network_entry


def run(recipe, sources, folder, **options):
    run_recipe(TrainingRequest(recipe=recipe, sources=tuple(sources), run=folder, **options))


def test_an_unknown_recipe_is_refused_with_the_known_ones(tmp_path):
    names = r", ".join(rf"{entry.name} \(.+\)" for entry in RECIPES)
    with pytest.raises(SettingError, match=f"{names}, got 'grading'"):
        run("grading", [("exams", tmp_path)], tmp_path / "run")


def test_an_unknown_kind_of_data_is_refused(tmp_path):
    with pytest.raises(SettingError, match=r"must be one of exams \(.+\), phantoms \(.+\), got 'pictures'"):
        run("vfr", [("exams", tmp_path), ("pictures", tmp_path)], tmp_path / "run")


@pytest.mark.parametrize("name", [entry.name for entry in RECIPES if entry.needs_data])
def test_a_recipe_that_needs_scans_is_refused_without(tmp_path, name):
    with pytest.raises(SettingError, match=f"{name} needs labelled scans: --data exams:PATH or --data phantoms:PATH"):
        run(name, [], tmp_path / "run")


def test_a_recipe_that_simulates_its_data_is_refused_with_scans(tmp_path):
    with pytest.raises(SettingError, match="the recipe context simulates its data: leave --data out"):
        run("context", [("exams", tmp_path)], tmp_path / "run")


@pytest.mark.parametrize("name", ["appearance", "vfr"])
def test_a_folder_without_scans_is_refused_and_leaves_no_run(tmp_path, name):
    with pytest.raises(InputError, match="no exams"):
        run(name, [("exams", tmp_path)], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_data_without_training_exams_are_refused_and_leave_no_run(tmp_path, monkeypatch):
    monkeypatch.setattr(exam_files, "load_exams", lambda folder, part: [])
    with pytest.raises(InputError, match="no exam of the training part"):
        run("appearance", [("exams", tmp_path)], tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["appearance", "vfr"])
def test_exams_with_disc_points_alone_are_refused_where_bodies_are_needed(tmp_path, monkeypatch, name):
    whole = painted_exam()
    outlines = whole.outlines
    nothing = {field: getattr(outlines, field)[:0] for field in outlines.__slots__}
    pointed = replace(whole, outlines=BodyOutlines(**nothing), discs=whole.disc_outlines())
    monkeypatch.setattr(exam_files, "load_exams", lambda folder, part: [whole, pointed])
    with pytest.raises(InputError, match=f"the recipe {name} needs outlined bodies"):
        run(name, [("exams", tmp_path)], tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("entry", RECIPES, ids=lambda entry: entry.name)
def test_every_line_opens_a_function_of_one_request(entry: RecipeEntry):
    assert find_recipe(entry.name) is entry
    assert list(inspect.signature(resolve_name(entry.opens)).parameters) == ["request"]


def test_two_recipes_of_one_name_are_refused(monkeypatch):
    monkeypatch.setattr(table, "RECIPES", (*RECIPES, RECIPES[0]))
    with pytest.raises(SettingError, match="two lines of a table have one name"):
        find_recipe("vfr")


@pytest.mark.parametrize("entry", [entry for entry in RECIPES if entry.name != "decoder"], ids=lambda entry: entry.name)
def test_every_network_that_is_trained_has_its_preset_and_a_checkpoint_at_the_last_step(entry, monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(f"{entry.opens.partition(':')[0]}.train_network", lambda how, request: made.append(how))
    resolve_name(entry.opens)(TrainingRequest(recipe=entry.name, run=tmp_path))
    (how,) = made
    assert how.network == entry.name
    assert network_entry(how.network, how.preset)
    assert how.steps % 100 == 0
    assert bool(how.simulated) is not entry.needs_data


class Rows(nn.Module):
    """The smallest network that reads a height map."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(24, 24)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.mix(maps)


@pytest.fixture
def written(monkeypatch):
    """What was saved: (weights, card, folder) of every run."""
    calls = []
    monkeypatch.setattr(training, "validate", partial(validate, batches=1))
    monkeypatch.setattr(training, "build", lambda name, preset: Rows())
    monkeypatch.setattr(training, "save", lambda network, *rest: calls.append((network.mix.weight, *rest)))
    return calls


@pytest.mark.slow
def test_weights_are_written_after_the_last_step_and_depend_on_the_seed(tmp_path, written):
    for folder, seed in (("one", 0), ("same", 0), ("other", 1)):
        run("context", [], tmp_path / folder, steps=2, seed=seed)
    (one, card, folder), (same, *_), (other, *_) = written
    torch.testing.assert_close(same, one, atol=0, rtol=0)
    assert (other - one).abs().max() > 1e-3
    assert folder == tmp_path / "one"
    assert (card.network, card.preset) == ("context", "spinenet")
    assert "--steps 2 --seed 0" in card.recipe


def test_training_goes_on_from_given_weights(tmp_path, written, monkeypatch):
    given = Rows()
    monkeypatch.setattr(training, "find_card", lambda name: card_of("context"))
    monkeypatch.setattr(training, "load_card", lambda card: given)
    run("context", [], tmp_path, start="trained-context", steps=1)
    assert written[0][0] is given.mix.weight
    card = written[0][1]
    assert card.recipe.endswith("--start trained-context (sha256 5e1f)")
    assert card.trained_on == ("columns of another age; licence: none stated", *SIMULATED)


def test_a_card_of_simulated_columns_says_all_that_running_and_repeating_take(tmp_path, written):
    run("context", [], tmp_path, steps=1)
    card = written[0][1]
    assert card.settings == {"temperature": 1.0, "outlier_probability": 0.01, "height_temperature": 1.0}
    assert set(card.metrics) == {"validation, simulated columns"}
    measured = card.metrics["validation, simulated columns"]
    assert measured["loss"] > 0
    assert 0 <= measured["accuracy_percent"] <= 100
    assert card.commit == find_commit()
    assert card.recipe == "spondyl train context --steps 1 --seed 0"
    assert all("; licence: " in sentence for sentence in card.trained_on)


class Pixels(nn.Module):
    """The smallest network that reads slices, or crops."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.mix = nn.Linear(1, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.dim() == 5:
            return self.mix(images.mean((2, 3, 4)))
        return self.mix(images.movedim(1, -1)).movedim(-1, 1)


@pytest.mark.parametrize(
    ("name", "outputs", "settings", "measures"),
    [
        ("vfr", 13, {"working_mm": 1.2, "close_mm": 0.6}, {"loss"}),
        (
            "appearance",
            24,
            {
                "uppermost_level": "L2",
                "lowest_level": "L4",
                "temperature": 1.0,
                "landmark_temperature": 1.0,
                "outlier_probability": 0.01,
                "miss_c2": 0.02,
                "miss_cervical": 0.02,
                "miss_thoracic": 0.02,
                "miss_lumbar": 0.02,
                "miss_s1": 0.02,
            },
            {"loss", "accuracy_percent"},
        ),
    ],
)
def test_a_card_of_labelled_scans_names_their_licence_and_what_was_measured_on_which(
    tmp_path, written, monkeypatch, name, outputs, settings, measures
):
    exams = {
        "train": [painted_exam("lumbar_t2_02"), painted_exam("lumbar_t2_04"), painted_exam("own_1")],
        "validation": [painted_exam("lumbar_t2_05")],
    }
    monkeypatch.setattr(exam_files, "load_exams", lambda folder, part: exams[part])
    monkeypatch.setattr(training, "build", lambda name, preset: Pixels(outputs))
    run(name, [("exams", tmp_path / "scans")], tmp_path / "run", steps=1, seed=3)
    card = written[0][1]
    assert card.settings == settings
    ((split, measured),) = card.metrics.items()
    assert split == "validation, 1 exam of scans, augmented"
    assert set(measured) == measures
    chu, own, *_ = card.trained_on
    assert chu.startswith("Chu et al. 2015, doi 10.1371/journal.pone.0143327: lumbar T2, 2 patients of the training")
    assert "; licence: none stated where it was taken from, a repository under GPL-3.0" in chu
    assert own == "labelled scans, 1 patient of the training split; licence: none stated"
    assert card.recipe == f"spondyl train {name} --data exams:scans --steps 1 --seed 3"


def test_phantoms_are_measured_on_patients_that_are_not_trained_on(tmp_path, written, monkeypatch):
    asked = []

    def load(folder, seeds):
        asked.append(set(seeds))
        return {"lumbar": [painted_exam(f"phantom_{seed:06}_{scan}") for seed in seeds[:2] for scan in (0, 1)]}

    monkeypatch.setattr(phantoms, "make_phantoms", lambda folder, seeds: None)
    monkeypatch.setattr(phantoms, "load_phantoms", load)
    monkeypatch.setattr(training, "build", lambda name, preset: Pixels(24))
    run("appearance", [("phantoms", tmp_path)], tmp_path / "run", steps=1)
    trained, validated = asked
    assert not trained & validated
    card = written[0][1]
    assert set(card.metrics) == {"validation, 8 phantoms, augmented"}
    assert ": 2 patients drawn from published morphometry, seeds 0 to 239, 4 scans; licence:" in card.trained_on[0]


def test_a_written_card_is_read_back_whole(tmp_path, written):
    run("context", [], tmp_path, steps=1)
    card = written[0][1]
    path = tmp_path / f"{card.name}.toml"
    path.write_text(card.to_toml())
    assert read_card(path) == card


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


def test_the_commit_is_that_of_the_checkout_and_says_when_its_sources_differ(tmp_path, monkeypatch):
    source = tmp_path / "src" / "spondyl" / "__init__.py"
    source.parent.mkdir(parents=True)
    source.write_text("")
    monkeypatch.setattr(spondyl, "__file__", str(source))
    assert find_commit() == spondyl.__version__
    git(tmp_path, "init")
    assert find_commit() == spondyl.__version__  # nothing is committed
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "first")
    assert re.fullmatch("[0-9a-f]{7,}", find_commit())
    (tmp_path / "notes.txt").write_text("no source")
    assert not find_commit().endswith("+changes")
    (source.parent / "new.py").write_text("")
    assert re.fullmatch(r"[0-9a-f]{7,}\+changes", find_commit())


def test_weights_of_another_network_are_no_start(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "find_card", lambda name: card_of("vfr"))
    with pytest.raises(SettingError, match=r"holds the network vfr \(spinenet\), not context \(spinenet\)"):
        run("context", [], tmp_path, start="vfr-official", steps=1)


def card_of(network: str) -> Card:
    return Card(
        name="trained-context",
        network=network,
        preset="spinenet",
        trained_on=("columns of another age; licence: none stated",),
        metrics={},
        commit="",
        recipe="",
        licence="none",
        sha256="5e1f",
    )
