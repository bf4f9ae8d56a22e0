"""A cache costs time, never truth: what is not exactly what was kept is as good as nothing."""

import os
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spondyl.engine import cache, openvino_engine
from spondyl.engine.build import make_engine
from spondyl.engine.cache import read_cached, write_cached
from spondyl.nets.cards import Card
from spondyl.nets.presets import build
from spondyl.nets.weights import save
from spondyl.types import Float32

BATCH = np.random.default_rng(0).random((2, 1, 32, 24), dtype=np.float32)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPONDYL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets of weights of one network."""
    folder = tmp_path_factory.mktemp("weights")
    for seed, name in enumerate(("mine", "other")):
        torch.manual_seed(seed)
        card = Card(
            name=name, network="context", preset="spinenet", trained_on=(), metrics={}, commit="", recipe="", licence=""
        )
        save(build("context", "spinenet"), card, folder)
    return folder


def result(shelf: Path, name: str = "mine", **settings: object) -> Float32:
    return make_engine(name, "openvino", "cpu", folders=(shelf,), **{"threads": 1, **settings})(BATCH)  # type: ignore[arg-type]


@pytest.fixture
def uncached(shelf: Path) -> Float32:
    """What is computed where nothing is kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPONDYL_HOME", os.devnull)
        return result(shelf)


def blobs(home: Path) -> list[Path]:
    return sorted((home / "cache/openvino").iterdir())


def nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_engine, "_compile", lambda *_: pytest.fail("compiled though it is kept"))


def overwrite(count: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        content[middle : middle + count] = bytes(byte ^ 0x55 for byte in content[middle : middle + count])
        path.write_bytes(content)

    return damage


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").touch()


def make_dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere" / "at all")


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def test_what_is_kept_gives_the_same_and_is_not_compiled(
    shelf: Path, uncached: Float32, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold = result(shelf)
    nothing_is_compiled(monkeypatch)
    np.testing.assert_array_equal(result(shelf), cold)
    np.testing.assert_array_equal(cold, uncached)


@pytest.mark.parametrize(
    "damage",
    [overwrite(5), overwrite(50), truncate, lambda path: path.write_bytes(b""), make_dangling, make_pipe],
    ids=["5 bytes", "50 bytes", "truncated", "empty", "dangling", "pipe"],
)
def test_a_damaged_network_is_compiled_anew_and_replaced(
    damage: Callable[[Path], None], shelf: Path, home: Path, uncached: Float32, monkeypatch: pytest.MonkeyPatch
) -> None:
    result(shelf)
    (blob,) = blobs(home)
    damage(blob)
    np.testing.assert_array_equal(result(shelf), uncached)
    assert blobs(home) == [blob]
    nothing_is_compiled(monkeypatch)
    np.testing.assert_array_equal(result(shelf), uncached)


def test_a_folder_in_the_place_of_a_network_is_left_alone(shelf: Path, home: Path, uncached: Float32) -> None:
    result(shelf)
    (blob,) = blobs(home)
    make_folder(blob)
    np.testing.assert_array_equal(result(shelf), uncached)
    assert blobs(home) == [blob]


def test_networks_that_are_exchanged_are_compiled_anew(shelf: Path, home: Path, uncached: Float32) -> None:
    result(shelf)
    other = result(shelf, "other")
    assert np.abs(other - uncached).max() > 0.01
    first, second = blobs(home)
    first.rename(home / "kept")
    second.rename(first)
    (home / "kept").rename(second)
    np.testing.assert_array_equal(result(shelf), uncached)
    np.testing.assert_array_equal(result(shelf, "other"), other)


@pytest.mark.parametrize(
    ("where", "name", "answer"),
    [(openvino_engine.openvino, "get_version", "2025.0.0"), (openvino_engine, "_processor", "another processor")],
    ids=["version", "processor"],
)
def test_a_network_of_another_version_or_processor_is_not_used(
    where: object, name: str, answer: str, shelf: Path, home: Path, uncached: Float32
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, name, lambda: answer)
        result(shelf)
    (foreign,) = blobs(home)
    content = foreign.read_bytes()
    result(shelf)
    (own,) = set(blobs(home)) - {foreign}
    assert own.read_bytes() != content
    own.write_bytes(content)
    np.testing.assert_array_equal(result(shelf), uncached)
    assert own.read_bytes() != content


def test_threads_and_precision_are_kept_apart(shelf: Path, home: Path) -> None:
    for settings in ({"threads": 1}, {"threads": 2}, {"bfloat16": True}, {"bfloat16": False}):
        result(shelf, **settings)
    assert len(blobs(home)) == 3  # the network is not halved unless told so


def test_a_kept_network_that_openvino_refuses_is_compiled_anew(
    shelf: Path, home: Path, uncached: Float32, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_engine, "read_cached", lambda *_: b"no network")
    np.testing.assert_array_equal(result(shelf), uncached)


def test_a_cache_that_cannot_be_written_is_said_and_does_no_harm(
    shelf: Path, uncached: Float32, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPONDYL_HOME", str(tmp_path / "file"))
    np.testing.assert_array_equal(result(shelf), uncached)
    result(shelf)
    assert caplog.text.count("cannot be written, so each start takes longer") == 1


def test_a_cache_folder_that_is_a_link_to_nowhere_does_no_harm(shelf: Path, home: Path, uncached: Float32) -> None:
    home.mkdir()
    (home / "cache").symlink_to(home / "nowhere")
    np.testing.assert_array_equal(result(shelf), uncached)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file grows beyond a few kilobytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_does_no_harm_and_leaves_nothing(shelf: Path, home: Path, uncached: Float32) -> None:
    with full_disk():
        np.testing.assert_array_equal(result(shelf), uncached)
    assert not blobs(home)


def test_a_read_only_cache_is_read(shelf: Path, home: Path, uncached: Float32, monkeypatch: pytest.MonkeyPatch) -> None:
    result(shelf)
    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(cache, "_replace", refuse)  # as root may write anywhere
    nothing_is_compiled(monkeypatch)
    np.testing.assert_array_equal(result(shelf), uncached)


def test_a_read_only_cache_that_is_damaged_does_no_harm(
    shelf: Path, home: Path, uncached: Float32, monkeypatch: pytest.MonkeyPatch
) -> None:
    result(shelf)
    overwrite(5)(blobs(home)[0])
    monkeypatch.setattr(cache, "_replace", refuse)
    np.testing.assert_array_equal(result(shelf), uncached)


def refuse(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


@given(content=st.binary(max_size=40), place=st.integers(min_value=0), change=st.integers(1, 255))
def test_any_byte_that_changes_is_noticed(content: bytes, place: int, change: int) -> None:
    write_cached("bytes", "some", "key", content)
    assert read_cached("bytes", "some", "key") == content
    path = cache._path("bytes", "some", "key")
    kept = bytearray(path.read_bytes())
    kept[place % len(kept)] ^= change
    path.write_bytes(kept)
    assert read_cached("bytes", "some", "key") is None


def test_content_under_one_key_is_not_that_of_another() -> None:
    write_cached("bytes", "some", "key", b"content")
    cache._path("bytes", "some", "key").rename(cache._path("bytes", "some", "other"))
    assert read_cached("bytes", "some", "other") is None


def test_files_used_longest_ago_go_first_and_those_of_killed_processes_too(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MAX_FOLDER_BYTES", 500)
    folder = home / "cache/bytes"
    folder.mkdir(parents=True)
    (folder / "killed.partial").write_bytes(bytes(100))
    (folder / "notes.txt").write_bytes(bytes(1000))
    for age, name in enumerate(("old", "older", "oldest")):
        write_cached("bytes", name, "key", bytes(100))
        os.utime(cache._path("bytes", name, "key"), (1000 - age, 1000 - age))
    os.utime(folder / "killed.partial", (1, 1))
    assert read_cached("bytes", "oldest", "key") is not None  # and is the newest now
    write_cached("bytes", "new", "key", bytes(200))
    left = {path.name.split("-")[0] for path in folder.iterdir()}
    assert left == {"new", "oldest", "old", "notes.txt"}


def test_writing_and_reading_at_once_never_gives_half_a_file() -> None:
    content = os.urandom(2**20)
    write_cached("bytes", "some", "key", content)
    writers = [threading.Thread(target=write_cached, args=("bytes", "some", "key", content)) for _ in range(8)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert read_cached("bytes", "some", "key") == content
    assert [path.suffix for path in cache._path("bytes", "some", "key").parent.iterdir()] == [".blob"]
