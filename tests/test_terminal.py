"""What is printed steers no terminal and fails on none."""

import io
import os
import sys
from errno import EIO, ENOSPC
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondyl import terminal
from spondyl.errors import OutputError
from spondyl.terminal import Lossy, explained_ends, note, printable, show


class Broken(io.StringIO):
    """A stream that a full disk or a dead terminal lies behind."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self._code = code

    def write(self, text: str) -> int:
        raise OSError(self._code, os.strerror(self._code))


@given(st.text(st.characters()))
def test_only_printable_characters_are_printed_and_those_as_they_are(text: str) -> None:
    assert printable(text).isprintable()
    assert printable("".join(c for c in text if c.isprintable())) == "".join(c for c in text if c.isprintable())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("line\nline\r", r"line\nline\r"),
        ("\udcff", r"\udcff"),
        ("\u202etxt.exe", r"\u202etxt.exe"),
        ("\x9b2J\x07", r"\x9b2J\x07"),
        ("Größe ½ 脊椎", "Größe ½ 脊椎"),
    ],
)
def test_control_characters_and_undecodable_names_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_stay_lines_and_an_encoding_that_lacks_a_character_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding="ascii"))
    show("±1\n\x1b[2J")
    assert content.getvalue() == b"\\xb11\n\\x1b[2J\n"


@pytest.mark.parametrize("stream", [None, Broken(ENOSPC), Broken(EIO)])
def test_a_note_that_nobody_can_read_is_lost(stream: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    note("locate")


def test_a_progress_bar_on_a_dead_terminal_is_lost() -> None:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=Lossy(Broken(EIO)), force_terminal=True)) as bar:  # type: ignore[arg-type]
        bar.update(bar.add_task("read"), completed=1, refresh=True)


@pytest.mark.parametrize(
    ("stream", "sentence"), [(None, "it is closed"), (Broken(ENOSPC), "the disk is full"), (Broken(EIO), "refused it")]
)
def test_what_stdout_does_not_take_is_an_output_error(
    stream: object, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(OutputError, match=f"the output cannot be written: .*{sentence}"), explained_ends():
        show("L4")


def test_an_error_of_a_file_is_not_taken_for_one_of_stdout() -> None:
    with pytest.raises(FileNotFoundError), explained_ends():
        Path("/no/such/file").read_bytes()


def test_whatever_an_interrupt_became_on_its_way_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal._interrupt, "number", 15)
    with pytest.raises(KeyboardInterrupt), explained_ends():
        raise ImportError("initialization failed")
    assert terminal.interrupted_status() == 143


def test_an_interrupt_that_a_library_swallowed_is_raised_at_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.raise_if_interrupted()
    monkeypatch.setattr(terminal, "_interrupt", terminal._Interrupt(number=2))
    with pytest.raises(KeyboardInterrupt):
        terminal.raise_if_interrupted()
