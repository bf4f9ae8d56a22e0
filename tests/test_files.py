"""Files and folders appear whole or not at all, whenever their writer fails or is killed."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spondyl.errors import OutputError
from spondyl.files import new_file, new_files, new_folder

WRITER = """
import os, signal, sys
from pathlib import Path
from spondyl.files import new_files, new_folder

step, kind, place = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
steps = 0

def kill_at_the_step(event, _):
    global steps
    if event in ("os.mkdir", "os.rename", "os.rmdir", "os.remove", "shutil.rmtree"):
        if steps == step:
            os.kill(os.getpid(), signal.SIGKILL)
        steps += 1

sys.addaudithook(kill_at_the_step)
if kind == "folder":
    with new_folder(place / "report", "it") as fresh:
        (fresh / "a").write_text("new")
        (fresh / "b").write_text("new")
else:
    with new_files(place, "it") as fresh:
        (fresh / "a").write_text("new")
        (fresh / "b").write_text("new")
"""
MAX_STEPS = 30


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def killed_at_each_step(place: Path, kind: str) -> Iterator[int]:
    """Run a writer anew until it is no longer killed, one step later each time."""
    for step in range(MAX_STEPS):
        done = subprocess.run([sys.executable, "-c", WRITER, str(step), kind, str(place)], check=False)
        if done.returncode == 0:
            return
        assert done.returncode == -signal.SIGKILL
        yield step
    pytest.fail("the writer never ends")


def report(place: Path, state: str) -> None:
    with new_folder(place / "report", "it") as fresh:
        for name in "ab":
            (fresh / name).write_text(state)


def test_a_folder_is_replaced_as_a_whole_and_its_parents_are_made(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "place"
    report(place, "old")
    with new_folder(place / "report", "it") as fresh:
        (fresh / "a").write_text("new")
        assert contents(place / "report") == {"a": "old", "b": "old"}
    assert contents(tmp_path) == {"deep/place/report/a": "new"}


def test_a_file_replaces_another_in_one_step(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with new_file(tmp_path / "deep" / "file", "it") as path:
            path.write_text(text)
    assert contents(tmp_path) == {"deep/file": "new"}


@pytest.mark.parametrize("writes", [new_folder, new_file])
def test_a_block_that_fails_changes_nothing(tmp_path: Path, writes: object) -> None:
    with pytest.raises(KeyboardInterrupt), writes(tmp_path / "deep" / "place", "it"):  # type: ignore[operator]
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", [0, 1])
def test_a_move_that_fails_is_undone(tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    report(tmp_path, "old")
    fail_at(step, monkeypatch)
    with pytest.raises(OutputError, match="it cannot be written: the disk is full"):
        report(tmp_path, "new")
    assert contents(tmp_path) == {"report/a": "old", "report/b": "old"}


def fail_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one of the next moves fail, and those after it work."""
    moves = iter(range(99))

    def failing(name: str) -> None:
        move = getattr(Path, name)

        def fails(path: Path, target: Path) -> Path:
            if next(moves) == step:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return move(path, target)

        monkeypatch.setattr(Path, name, fails)

    failing("rename")
    failing("replace")


def test_a_kill_at_any_step_loses_neither_folder_and_the_next_writer_beside_clears_up(tmp_path: Path) -> None:
    old, new = {"a": "old", "b": "old"}, {"a": "new", "b": "new"}
    seen = []
    report(tmp_path, "old")
    for _ in killed_at_each_step(tmp_path, "folder"):
        left = tmp_path / "report"
        if not left.exists():
            kept = contents(tmp_path).items()
            assert {path.rpartition("/")[2]: text for path, text in kept if "/old/" in path} == old
            assert {path.rpartition("/")[2]: text for path, text in kept if "/new/" in path} == new
        with new_file(tmp_path / "sibling", "it") as path:
            path.write_text("")
        assert {path.name for path in tmp_path.iterdir()} == {"report", "sibling"}
        assert contents(left) in (old, new)
        seen.append(contents(left)["a"])
        report(tmp_path, "old")
    assert seen == sorted(seen, reverse=True)
    assert set(seen) == {"old", "new"}


def test_files_that_belong_together_appear_together_whenever_their_writer_is_killed(tmp_path: Path) -> None:
    seen = set()
    for _ in killed_at_each_step(tmp_path, "files"):
        with new_file(tmp_path / "sibling", "it") as path:
            path.write_text("")
        names = {path.name for path in tmp_path.iterdir()} - {"sibling"}
        assert names in (set(), {"a", "b"})
        seen.add(len(names))
        for name in names:
            (tmp_path / name).unlink()
    assert seen == {0, 2}


def test_what_a_living_writer_has_begun_is_left_alone(tmp_path: Path) -> None:
    with new_folder(tmp_path / "first", "it") as first:
        (first / "a").write_text("1")
        report(tmp_path, "2")
        assert contents(first) == {"a": "1"}
    assert contents(tmp_path) == {"first/a": "1", "report/a": "2", "report/b": "2"}


def test_a_place_that_was_taken_meanwhile_is_not_overwritten_by_what_a_killed_writer_left(tmp_path: Path) -> None:
    dead = tmp_path / ".spondyl-01234567-fresh"
    for part in ("old", "new"):
        (dead / part / "report").mkdir(parents=True)
        (dead / part / "report" / "a").write_text(part)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "mine").write_text("mine")
    with new_file(tmp_path / "sibling", "it") as path:
        path.write_text("")
    assert contents(tmp_path / "report") == {"mine": "mine"}
    assert contents(dead) == {"old/report/a": "old", "new/report/a": "new"}


def test_only_our_own_leftovers_are_removed(tmp_path: Path) -> None:
    strange = [".spondyl-fresh", ".spondyl-0123456-fresh", "spondyl-01234567-fresh", ".spondyl-01234567-fresh.bak"]
    for name in strange:
        (tmp_path / name).mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine")
    (tmp_path / ".spondyl-0123abcd-fresh").symlink_to(elsewhere)
    report(tmp_path, "new")
    assert {path.name for path in tmp_path.iterdir()} == {*strange, "elsewhere", "report", ".spondyl-0123abcd-fresh"}
    assert contents(elsewhere) == {"mine": "mine"}


@contextmanager
def refusing(code: int) -> Iterator[None]:
    raise OSError(code, os.strerror(code), "/a/secret/path")
    yield


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EIO, "the system refused it"),
    ],
)
def test_the_reason_of_a_refusal_is_said_without_a_path(tmp_path: Path, code: int, reason: str) -> None:
    with pytest.raises(OutputError) as caught, new_files(tmp_path, "the phantom"), refusing(code):
        pass
    assert str(caught.value) == f"the phantom cannot be written: {reason}"


def test_a_folder_that_is_missing_or_a_file_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="the folder that it belongs in is missing"), new_files(tmp_path / "no", "it"):
        pass
    with pytest.raises(OutputError, match="part of its path is a file"), new_file(tmp_path / "file" / "f", "it"):
        pass


def test_an_interrupt_while_a_staging_folder_is_removed_lets_none_of_it_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, interrupts = shutil.rmtree, iter([KeyboardInterrupt])

    def interrupted(path: Path, **options: bool) -> None:
        if (interrupt := next(interrupts, None)) is not None:
            raise interrupt
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "out", "the output folder") as folder:
        (folder / "a").write_text("a")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
