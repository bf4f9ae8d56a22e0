"""Weights and cards: what is saved comes back, what is wrong is refused, what is shipped is in budget."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from spondyl.errors import OutputError, WeightsError
from spondyl.nets.cards import Card, find_card, list_cards, read_card
from spondyl.nets.context import Context
from spondyl.nets.places import cache_folder, shipped_weights_folder, user_weights_folder
from spondyl.nets.presets import NETWORKS, build, network_entry
from spondyl.nets.weights import describe_difference, expected_shapes, load, load_card, save

CARD = Card(
    name="context-test",
    network="context",
    preset="spinenet",
    trained_on=('Doe et al. 2020, "Spines"', "Łukasz 2021"),
    metrics={"validation, by patient": {"idr_percent": 96.5, "le_mm": 1.25}, "test": {"loss": 1e-5}},
    commit="abc",
    recipe="spondyl train context\n--seed 1",
    licence="Apache-2.0",
    settings={"spacing_mm": 1.2, "levels": 24, "flip": True, "norm": "p1-p99"},
)


def context(seed: int = 0) -> Context:
    torch.manual_seed(seed)
    return Context()


@given(st.text(max_size=20), st.floats(allow_nan=False), st.dictionaries(st.text(max_size=5), st.integers()))
def test_a_card_reads_back_as_written(text: str, number: float, settings: dict[str, int]) -> None:
    settings = {key: value % 2**63 for key, value in settings.items()}  # TOML's integers have 64 bits
    card = replace(CARD, recipe=text, metrics={text: {text: number}}, settings=settings)
    table = tomllib.loads(card.to_toml())
    assert (table["recipe"], table["metrics"], table.get("settings", {})) == (text, card.metrics, settings)


def test_saved_weights_come_back_at_half_precision(tmp_path: Path) -> None:
    module = context()
    card = save(module, CARD, tmp_path / "new")
    assert read_card(card.card_path) == card
    assert card.metrics == CARD.metrics
    loaded = load(CARD.name, (tmp_path / "new",))
    assert not loaded.training
    for key, tensor in module.state_dict().items():
        expected = tensor.half().float() if tensor.dim() > 1 else tensor
        assert torch.equal(loaded.state_dict()[key], expected)
    assert list((tmp_path / "new").glob(".*")) == []


def test_loading_computes_what_the_module_computed(tmp_path: Path) -> None:
    module, x = context().eval(), torch.rand(1, 1, 64, 24)
    loaded = load_card(save(module, CARD, tmp_path))
    with torch.inference_mode():
        expected, got = module(x), loaded(x)
    # half precision rounds each weight by at most 2^-11; nine layers add up to less than nine times that
    assert float((got - expected).abs().max()) < 9 * 2**-11 * float(expected.abs().max())


def test_a_loaded_network_can_be_trained_on(tmp_path: Path) -> None:
    loaded = load_card(save(context(), CARD, tmp_path)).train()
    loaded(torch.rand(2, 1, 32, 24)).square().mean().backward()
    assert all(p.grad is not None for p in loaded.parameters())


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    card = save(context(), CARD, tmp_path)
    content = bytearray(card.weights_path.read_bytes())
    content[-1] ^= 1
    card.weights_path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged or replaced"):
        load_card(card)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    card = save(context(), CARD, tmp_path)
    with pytest.raises(WeightsError, match=r"do not fit appearance \(compact\): .* tensors missing"):
        load_card(replace(card, network="appearance", preset="compact"))


def test_a_module_that_is_not_what_its_card_says_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is not appearance"):
        save(context(), replace(CARD, network="appearance", preset="compact"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_numbers_beyond_half_precision_are_not_saved(tmp_path: Path) -> None:
    module = context()
    module.conv_mid.weight.data[0, 0, 0, 0] = 70000
    with pytest.raises(WeightsError, match=r"conv_mid\.weight"):
        save(module, CARD, tmp_path)


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        save(context(), CARD, tmp_path / "file" / "folder")


def test_a_missing_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    save(context(), CARD, tmp_path)
    with pytest.raises(WeightsError, match="no weights named 'vfr'; known are: context-test"):
        find_card("vfr", (tmp_path,))


def test_a_card_without_its_weights_is_refused(tmp_path: Path) -> None:
    save(context(), CARD, tmp_path).weights_path.unlink()
    with pytest.raises(WeightsError, match="missing beside their card"):
        load(CARD.name, (tmp_path,))


def test_two_cards_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save(context(), CARD, tmp_path / folder)
    with pytest.raises(WeightsError, match="two cards are named 'context-test'"):
        list_cards((tmp_path / "a", tmp_path / "b"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("network =", "networks =", "lacks network"),
        ('commit = "abc"', "commit = 3", "another type: commit"),
        ("[settings]", "[colours]", "unknown or of another type: colours"),
        ('commit = "abc"', "commit = ", "cannot be read"),
        ('"context"', '"contexts"', "no network 'contexts'"),
        ('"spinenet"', '"huge"', "no preset 'huge'"),
    ],
)
def test_a_damaged_card_is_refused_with_its_fault(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "context-test.toml"
    path.write_text(CARD.to_toml().replace(old, new))
    with pytest.raises(WeightsError, match=said):
        read_card(path)


@pytest.mark.parametrize("name", ["", "../context", "Context", "a b"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(WeightsError, match="must consist of small letters"):
        replace(CARD, name=name)


def test_the_users_folders_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("SPONDYL_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert user_weights_folder() == tmp_path / "data" / "spondyl" / "weights"
    assert cache_folder() == tmp_path / "cache" / "spondyl"
    monkeypatch.setenv("SPONDYL_HOME", str(tmp_path / "home"))
    assert user_weights_folder() == tmp_path / "home" / "weights"
    assert cache_folder() == tmp_path / "home" / "cache"


@pytest.mark.parametrize(("network", "preset"), [(n, p) for n, e in NETWORKS.items() for p in e.presets])
def test_every_preset_builds_and_takes_its_example(network: str, preset: str) -> None:
    entry = network_entry(network, preset)
    assert all(source.is_file() for source in entry.sources)
    with torch.device("meta"):
        out = build(network, preset).eval()(torch.empty(entry.example_shape[preset]))
    assert out.shape[0] == 1


def test_a_difference_names_the_first_tensors_of_each_kind() -> None:
    expected = expected_shapes("context", "spinenet")
    state = {key: torch.empty(shape) for key, shape in expected.items() if not key.startswith("conv1")}
    state |= {"extra": torch.empty(1), "conv8.bias": torch.empty(2)}
    said = describe_difference(state, expected)
    assert "2 tensors missing (conv1.weight, conv1.bias)" in said
    assert "1 tensors unknown (extra)" in said
    assert "conv8.bias (2,) instead of (1,)" in said


def test_shipped_files_keep_to_the_budget() -> None:
    sizes = [path.stat().st_size for path in shipped_weights_folder().glob("*.safetensors")]
    assert all(size <= 30e6 for size in sizes)
    assert sum(sizes) <= 120e6


def test_every_shipped_card_loads_and_says_what_it_was_trained_on() -> None:
    cards = list_cards((shipped_weights_folder(),))
    assert {path.stem for path in shipped_weights_folder().glob("*.safetensors")} == {card.name for card in cards}
    for card in cards:
        load_card(card)
        assert card.trained_on, f"{card.name} does not say what it was trained on"
        assert card.metrics, f"{card.name} has no measured metrics"
        assert all((card.commit, card.recipe, card.licence))


def test_shipped_kernels_are_in_half_precision() -> None:
    for path in shipped_weights_folder().glob("*.safetensors"):
        state = safetensors.torch.load_file(path)
        assert all(t.dtype == torch.float16 for t in state.values() if t.dim() > 1), path.name
