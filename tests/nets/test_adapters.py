"""Importing the published SpineNetV2 checkpoints: exact or not at all."""

import pickle
import resource
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from spondyl.errors import OutputError, WeightsError
from spondyl.imaging.modality import Modality
from spondyl.nets import adapters
from spondyl.nets.adapters import _recognise, import_spinenet
from spondyl.nets.appearance import SPINENET, Appearance
from spondyl.nets.cards import file_sha256, read_card
from spondyl.nets.context import Context
from spondyl.nets.weight_sets import find_set
from spondyl.nets.weights import expected_shapes, list_cards, load
from spondyl.plan import Plan

NETWORKS = ("vfr", "appearance", "context", "grading")


def checkpoint(path: Path, state: dict[str, Tensor], prefix: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"net": {prefix + key: value for key, value in state.items()}, "epoch": 3, "loss": 0.5}, path)


def test_checkpoints_come_over_exactly_whatever_their_names(published: Path, tmp_path: Path) -> None:
    context, appearance = Context(), Appearance(SPINENET)
    checkpoint(published / PUBLISHED["appearance"], context.state_dict(), prefix="module.")
    (published / PUBLISHED["context"]).unlink()
    checkpoint(published / "b.pth", appearance.state_dict())
    cards = import_spinenet(published, tmp_path / "store")
    assert {card.network for card in cards} == set(PUBLISHED)
    assert all("non-commercial" in card.licence for card in cards)
    for module, network in ((context, "context"), (appearance, "appearance")):
        loaded = load(f"spinenet-official-{network}", (tmp_path / "store",)).state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in module.state_dict().items())


def test_the_users_own_store_is_the_default_and_a_set_of_weights_names_them(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPONDYL_HOME", str(tmp_path / "home"))
    import_spinenet(published)
    names = {card.name for card in list_cards()}
    weights = find_set("spinenet-official")
    assert set(weights.networks.values()) <= names
    plan = Plan(weights="spinenet-official")
    assert [method.name for method in plan.methods(Modality.MR, weights)] == ["spinenet", "spinenet"]


@pytest.mark.parametrize("network", ["vfr", "appearance", "context", "grading"])
def test_a_folder_that_lacks_a_network_is_refused(published: Path, tmp_path: Path, network: str) -> None:
    (published / PUBLISHED[network]).unlink()
    with pytest.raises(WeightsError, match=f"the folder lacks the checkpoint of {network}; give all 4"):
        import_spinenet(published, tmp_path / "store")
    assert not (tmp_path / "store").exists()


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
    with pytest.raises(WeightsError, match="both contain the network 'context'"):
        import_spinenet(tmp_path, tmp_path / "store")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no checkpoint"):
        import_spinenet(tmp_path, tmp_path / "store")


PUBLISHED = {
    "vfr": "detect-vfr/ckpt435.pt",
    "appearance": "appearance/ckpt187.pt",
    "context": "context/ckpt16.pt",
    "grading": "grading/ckpt1.pt",
}


@pytest.fixture
def miniature(monkeypatch: pytest.MonkeyPatch) -> None:
    """No edge of a tensor of the two large networks is longer than 2, so that they take no space."""
    monkeypatch.setattr(adapters, "expected_shapes", small_shapes)


@cache
def small_shapes(network: str, preset: str) -> dict[str, tuple[int, ...]]:
    shapes = expected_shapes(network, preset)
    if network in ("appearance", "context"):
        return shapes
    return {key: tuple(min(n, 2) for n in shape) for key, shape in shapes.items()}


def published_state(network: str) -> dict[str, Tensor]:
    shapes = adapters.expected_shapes(network, "spinenet")
    return {
        key: torch.tensor(7) if key.endswith("num_batches_tracked") else torch.rand(shape)
        for key, shape in shapes.items()
    }


def save_published(folder: Path, network: str, state: dict[str, Tensor]) -> None:
    path = folder / PUBLISHED[network]
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = {"loss": np.float64(0.25), "epoch": np.int64(3)}
    layout = {"model_weights": state, "epoch_no": 1} if network == "grading" else {"net": state, **numbers}
    torch.save(layout, path)


@pytest.fixture
def published(miniature: None, tmp_path: Path) -> Path:
    """A folder as it is published, but for the size of the tensors."""
    for network in PUBLISHED:
        save_published(tmp_path / "in", network, published_state(network))
    return tmp_path / "in"


def content(folder: Path) -> dict[str, str]:
    """Digests of the files in a folder, hidden ones too."""
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_published_folder_is_imported_as_it_is(published: Path, tmp_path: Path) -> None:
    cards = import_spinenet(published, tmp_path / "store")
    assert {card.network for card in cards} == set(PUBLISHED)
    assert sorted(content(tmp_path / "store")) == sorted(
        [
            "sets/spinenet-official.toml",
            *(f"spinenet-official-{network}.{kind}" for network in PUBLISHED for kind in ("safetensors", "toml")),
        ]
    )
    for card in cards:
        assert read_card(tmp_path / "store" / f"{card.name}.toml") == card
        assert file_sha256(card.weights_path) == card.sha256


def test_each_setting_is_on_the_cards_of_the_networks_whose_users_read_it(published: Path, tmp_path: Path) -> None:
    settings = {card.network: card.settings for card in import_spinenet(published, tmp_path / "store")}
    assert settings["vfr"] == settings["grading"] == {}
    assert settings["appearance"]["temperature"] == settings["context"]["temperature"] == 10
    assert settings["context"]["height_temperature"] == 10
    assert (settings["appearance"]["uppermost_level"], settings["appearance"]["lowest_level"]) == ("C2", "S1")


@pytest.mark.parametrize("core", ["core", "_core"])
@pytest.mark.parametrize("number", [np.float64(0.5), np.float32(0.5), np.int64(3), np.int32(3), np.float16(1)])
def test_numbers_may_be_scalars_of_either_numpy(published: Path, tmp_path: Path, core: str, number: np.generic) -> None:
    torch.save({"net": Context().state_dict(), "loss": number}, tmp_path / "new.pt")
    with zipfile.ZipFile(tmp_path / "new.pt") as new, zipfile.ZipFile(published / PUBLISHED["context"], "w") as old:
        for member in new.infolist():
            data = new.read(member)
            assert member.filename != "new/data.pkl" or b"numpy._core.multiarray" in data
            old.writestr(member, data.replace(b"numpy._core.multiarray", f"numpy.{core}.multiarray".encode()))
    assert len(import_spinenet(published, tmp_path / "store")) == len(PUBLISHED)


def test_other_objects_of_numpy_are_refused(tmp_path: Path) -> None:
    torch.save({"net": Context().state_dict(), "loss": np.array([0.5], dtype=object)}, tmp_path / "c.pt")
    with pytest.raises(WeightsError, match="cannot be read as a checkpoint"):
        import_spinenet(tmp_path, tmp_path / "store")


def half_a_storage(state: dict[str, Tensor]) -> None:
    state["conv2.bias"] = state["conv1.bias"][:]


def as_integers(state: dict[str, Tensor]) -> None:
    state["conv1.bias"] = state["conv1.bias"].long()


def as_sparse(state: dict[str, Tensor]) -> None:
    state["conv1.bias"] = state["conv1.bias"].to_sparse()


def as_floats(state: dict[str, Tensor]) -> None:
    state["bnrm1.num_batches_tracked"] = torch.tensor(7.0)


def not_a_number(state: dict[str, Tensor]) -> None:
    state["conv1.bias"][0] = torch.nan


def infinite(state: dict[str, Tensor]) -> None:
    state["conv1.bias"][0] = -torch.inf


def in_eight_bits(state: dict[str, Tensor]) -> None:
    state["conv1.bias"] = state["conv1.bias"].to(torch.float8_e4m3fn)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (half_a_storage, r"conv1\.bias and conv2\.bias in one storage"),
        (as_integers, r"conv1\.bias as a tensor of int64"),
        (as_sparse, r"conv1\.bias as a tensor"),
        (as_floats, r"bnrm1\.num_batches_tracked as a tensor of float32"),
        (not_a_number, r"numbers in conv1\.bias that are not finite"),
        (infinite, r"numbers in conv1\.bias that are not finite"),
        (in_eight_bits, r"conv1\.bias as a tensor of float8"),
    ],
)
def test_a_tensor_that_is_no_weight_is_refused_and_nothing_is_written(
    published: Path, tmp_path: Path, spoil: Callable[[dict[str, Tensor]], None], said: str
) -> None:
    state = published_state("context")
    spoil(state)
    save_published(published, "context", state)
    with pytest.raises(WeightsError, match=rf"context/ckpt16\.pt contains .*{said}.*; give a folder"):
        import_spinenet(published, tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "other", [{"optimiser": {"lr": 0.1}}, {"net": {"layer.weight": torch.zeros(3)}}, torch.zeros(4), [1, 2], "a text"]
)
def test_another_checkpoint_beside_them_is_named_and_nothing_is_written(
    published: Path, tmp_path: Path, other: object
) -> None:
    torch.save(other, published / "other.pt")
    with pytest.raises(WeightsError, match=r"^other\.pt .*give a folder that holds the published checkpoints and no"):
        import_spinenet(published, tmp_path / "store")
    assert not (tmp_path / "store").exists()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files cannot grow beyond so many bytes, as on a disk that runs full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("is_installed", [False, True])
def test_a_disk_that_runs_full_half_way_leaves_what_was_there(
    published: Path, tmp_path: Path, is_installed: bool
) -> None:
    if is_installed:
        import_spinenet(published, tmp_path / "store")
        checkpoint(published / PUBLISHED["context"], Context().state_dict())
    before = content(tmp_path)
    with largest_file(5_000_000), pytest.raises(OutputError, match="cannot be written"):
        import_spinenet(published, tmp_path / "store")
    assert content(tmp_path) == before
    assert (tmp_path / "store").exists() == is_installed
    assert len(import_spinenet(published, tmp_path / "store")) == len(PUBLISHED)


@pytest.mark.parametrize(("failing", "is_installed"), [(1, True), (2, True), (9, True), (18, True), (9, False)])
def test_a_move_that_fails_is_taken_back(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, is_installed: bool
) -> None:
    if is_installed:
        import_spinenet(published, tmp_path / "store")
    before = content(tmp_path / "store")
    for network in PUBLISHED:
        save_published(published, network, published_state(network))
    moves = []
    replace = Path.replace

    def failing_replace(self: Path, target: Path) -> Path:
        moves.extend([self] if "-fresh" not in str(self) else [])
        if len(moves) == failing and moves[-1] is self:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing_replace)
    with pytest.raises(OutputError, match="the weights cannot be written: the disk is full"):
        import_spinenet(published, tmp_path / "store")
    assert content(tmp_path / "store") == before
    assert (tmp_path / "store").exists() == is_installed


def test_what_a_killed_import_left_is_removed_by_the_next(published: Path, tmp_path: Path) -> None:
    left = tmp_path / "store" / ".importing" / "spinenet-official-vfr.safetensors"
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(1000))
    import_spinenet(published, tmp_path / "store")
    assert not left.parent.exists()


def test_a_store_that_cannot_be_made_is_one_sentence(published: Path, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        import_spinenet(published, tmp_path / "store")
