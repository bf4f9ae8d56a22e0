"""`spondyl train` refuses what it cannot train, and leaves weights with a whole card where it is told."""

import re
import subprocess
from functools import partial

import pytest
import torch
from torch import nn

import spondyl
from learn.painted import painted_exam
from spondyl.errors import InputError, SettingError
from spondyl.learn.provenance import SIMULATED, commit
from spondyl.learn.recipes import table as recipes
from spondyl.learn.recipes.table import STEPS, run_recipe
from spondyl.learn.trainer import validate
from spondyl.nets.cards import Card, read_card


def test_an_unknown_recipe_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(SettingError, match="vfr, appearance, context, bilstm, got 'grading'"):
        run_recipe("grading", [("exams", tmp_path)], tmp_path / "run")


def test_an_unknown_kind_of_data_is_refused(tmp_path):
    with pytest.raises(SettingError, match="must be exams:PATH or phantoms:PATH, got the kind 'pictures'"):
        run_recipe("vfr", [("exams", tmp_path), ("pictures", tmp_path)], tmp_path / "run")


@pytest.mark.parametrize("name", ["vfr", "appearance"])
def test_a_recipe_that_needs_scans_is_refused_without(tmp_path, name):
    with pytest.raises(SettingError, match=f"{name} needs labelled scans"):
        run_recipe(name, [], tmp_path / "run")


def test_a_folder_without_scans_is_refused_and_leaves_no_run(tmp_path):
    with pytest.raises(InputError, match="no exams"):
        run_recipe("appearance", [("exams", tmp_path)], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_recipe_has_its_network_and_steps():
    assert set(STEPS) == set(recipes._PRESETS) == {"vfr", "appearance", "context", "bilstm"}
    # so that the last step is also the last checkpoint
    assert all(steps % 100 == 0 for steps in STEPS.values())


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
    monkeypatch.setattr(recipes, "validate", partial(validate, batches=1))
    monkeypatch.setattr(recipes, "build", lambda name, preset: Rows())
    monkeypatch.setattr(recipes, "save", lambda network, card, folder: calls.append((network.mix.weight, card, folder)))
    return calls


def test_weights_are_written_after_the_last_step_and_depend_on_the_seed(tmp_path, written):
    for run, seed in (("one", 0), ("same", 0), ("other", 1)):
        run_recipe("context", [], tmp_path / run, steps=2, seed=seed)
    (one, card, folder), (same, *_), (other, *_) = written
    torch.testing.assert_close(same, one, atol=0, rtol=0)
    assert (other - one).abs().max() > 1e-3
    assert folder == tmp_path / "one"
    assert (card.network, card.preset) == ("context", "spinenet")
    assert "--steps 2 --seed 0" in card.recipe


def test_training_goes_on_from_given_weights(tmp_path, written, monkeypatch):
    given = Rows()
    monkeypatch.setattr(recipes, "find_card", lambda name: card_of("context"))
    monkeypatch.setattr(recipes, "load_card", lambda card: given)
    run_recipe("context", [], tmp_path, start="trained-context", steps=1)
    assert written[0][0] is given.mix.weight
    card = written[0][1]
    assert card.recipe.endswith("--start trained-context (sha256 5e1f)")
    assert card.trained_on == ("columns of another age; licence: none stated", *SIMULATED)


def test_a_card_of_simulated_columns_says_all_that_running_and_repeating_take(tmp_path, written):
    run_recipe("context", [], tmp_path, steps=1)
    card = written[0][1]
    assert card.settings == {"temperature": 1.0, "outlier_probability": 0.01, "height_temperature": 1.0}
    assert set(card.metrics) == {"validation, simulated columns"}
    measured = card.metrics["validation, simulated columns"]
    assert measured["loss"] > 0
    assert 0 <= measured["accuracy_percent"] <= 100
    assert card.commit == commit()
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
    monkeypatch.setattr(recipes, "load_exams", lambda folder, part: exams[part])
    monkeypatch.setattr(recipes, "build", lambda name, preset: Pixels(outputs))
    run_recipe(name, [("exams", tmp_path / "scans")], tmp_path / "run", steps=1, seed=3)
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


def test_phantoms_are_measured_on_patients_that_nobody_learnt_from(tmp_path, written, monkeypatch):
    asked = []

    def load(folder, seeds):
        asked.append(set(seeds))
        return {"lumbar": [painted_exam(f"phantom_{seed:06}_{scan}") for seed in seeds[:2] for scan in (0, 1)]}

    monkeypatch.setattr(recipes, "make_phantoms", lambda folder, seeds: None)
    monkeypatch.setattr(recipes, "load_phantoms", load)
    monkeypatch.setattr(recipes, "build", lambda name, preset: Pixels(24))
    run_recipe("appearance", [("phantoms", tmp_path)], tmp_path / "run", steps=1)
    training, validation = asked
    assert not training & validation
    card = written[0][1]
    assert set(card.metrics) == {"validation, 8 phantoms, augmented"}
    assert ": 2 patients drawn from published morphometry, seeds 0 to 239, 4 scans; licence:" in card.trained_on[0]


def test_a_written_card_is_read_back_whole(tmp_path, written):
    run_recipe("context", [], tmp_path, steps=1)
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
    assert commit() == spondyl.__version__
    git(tmp_path, "init")
    assert commit() == spondyl.__version__  # nothing is committed
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "first")
    assert re.fullmatch("[0-9a-f]{7,}", commit())
    (tmp_path / "notes.txt").write_text("no source")
    assert not commit().endswith("+changes")
    (source.parent / "new.py").write_text("")
    assert re.fullmatch(r"[0-9a-f]{7,}\+changes", commit())


def test_weights_of_another_network_are_no_start(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "find_card", lambda name: card_of("vfr"))
    with pytest.raises(SettingError, match=r"holds the network vfr \(spinenet\), not context \(spinenet\)"):
        run_recipe("context", [], tmp_path, start="vfr-official", steps=1)


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
