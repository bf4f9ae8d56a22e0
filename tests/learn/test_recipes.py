"""`spondyl train` refuses what it cannot train, and leaves weights where it is told."""

import pytest
import torch
from torch import nn

from spondyl.errors import InputError, SettingError
from spondyl.learn import recipes
from spondyl.learn.recipes import STEPS, run_recipe
from spondyl.nets.cards import Card


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
    assert "--start trained-context" in written[0][1].recipe


def test_weights_of_another_network_are_no_start(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "find_card", lambda name: card_of("vfr"))
    with pytest.raises(SettingError, match=r"holds the network vfr \(spinenet\), not context \(spinenet\)"):
        run_recipe("context", [], tmp_path, start="vfr-official", steps=1)


def card_of(network: str) -> Card:
    return Card(
        name="given",
        network=network,
        preset="spinenet",
        trained_on=(),
        metrics={},
        commit="",
        recipe="",
        licence="none",
    )
