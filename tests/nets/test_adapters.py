"""Importing the published SpineNetV2 checkpoints: exact or not at all."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor

from spondyl.errors import WeightsError
from spondyl.nets.adapters import _recognise, import_spinenet
from spondyl.nets.appearance import SPINENET, Appearance
from spondyl.nets.context import Context
from spondyl.nets.weights import expected_shapes, list_cards, load

NETWORKS = ("vfr", "appearance", "context", "grading")


def checkpoint(path: Path, state: dict[str, Tensor], prefix: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"net": {prefix + key: value for key, value in state.items()}, "epoch": 3, "loss": 0.5}, path)


def test_checkpoints_come_over_exactly_whatever_their_names(tmp_path: Path) -> None:
    context, appearance = Context(), Appearance(SPINENET)
    checkpoint(tmp_path / "in" / "appearance" / "a.pt", context.state_dict(), prefix="module.")
    checkpoint(tmp_path / "in" / "b.pth", appearance.state_dict())
    cards = import_spinenet(tmp_path / "in", tmp_path / "store")
    assert {card.network for card in cards} == {"context", "appearance"}
    assert all("non-commercial" in card.licence for card in cards)
    for module, network in ((context, "context"), (appearance, "appearance")):
        loaded = load(f"spinenet-official-{network}", (tmp_path / "store",)).state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in module.state_dict().items())


def test_the_users_own_store_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPONDYL_HOME", str(tmp_path / "home"))
    checkpoint(tmp_path / "c.pt", Context().state_dict())
    import_spinenet(tmp_path)
    assert "spinenet-official-context" in [card.name for card in list_cards()]


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_is_recognised_by_its_tensors(network: str) -> None:
    state = {key: torch.empty(shape, device="meta") for key, shape in expected_shapes(network, "spinenet").items()}
    assert _recognise(state, Path("x.pt")) == network


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("conv_mid.bias"), r"nearest to 'context' but has 1 tensors missing \(conv_mid.bias\)"),
        (lambda s: s.update(extra=torch.zeros(1)), r"1 tensors unknown \(extra\)"),
        (lambda s: s.update({"conv8.bias": torch.zeros(3)}), r"conv8.bias \(3,\) instead of \(1,\)"),
    ],
)
def test_a_checkpoint_that_departs_is_refused_and_nothing_is_written(tmp_path: Path, change, said: str) -> None:
    checkpoint(tmp_path / "in" / "a.pt", Appearance(SPINENET).state_dict())
    state = dict(Context().state_dict())
    change(state)
    checkpoint(tmp_path / "in" / "c.pt", state)
    with pytest.raises(WeightsError, match=said):
        import_spinenet(tmp_path / "in", tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "c.pt").write_bytes(pickle.dumps({"net": Evil()}, protocol=2))
    with pytest.raises(WeightsError, match="cannot be read as a checkpoint"):
        import_spinenet(tmp_path, tmp_path / "store")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"c\.pt cannot be read as a checkpoint"):
        import_spinenet(tmp_path, tmp_path / "store")


def test_a_checkpoint_without_a_state_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {}}, tmp_path / "c.pt")
    with pytest.raises(WeightsError, match="no state under 'net'"):
        import_spinenet(tmp_path, tmp_path / "store")


def test_two_files_of_one_network_are_refused(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        checkpoint(tmp_path / name, Context().state_dict())
    with pytest.raises(WeightsError, match="both hold the network 'context'"):
        import_spinenet(tmp_path, tmp_path / "store")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no checkpoint"):
        import_spinenet(tmp_path, tmp_path / "store")
