"""As a process of its own, Spondyl ends cleanly when it is interrupted, killed, or nobody reads what it says."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from phantoms import made
from spondyl.findings import Findings
from spondyl.nets.cards import list_cards
from spondyl.nets.places import shipped_weights_folder
from spondyl.phantom.write import Format, write_phantom

SHIPPED = {card.name for card in list_cards((shipped_weights_folder(),))}
WITH_WEIGHTS = pytest.mark.skipif(
    not {"spondyl-vfr", "spondyl-appearance", "spondyl-context"} <= SHIPPED,
    reason="needs the weights of the package, which this checkout does not hold",
)
SPONDYL = (sys.executable, "-m", "spondyl")
LINE = "spondyl: interrupted; nothing half-written is left"


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    write_phantom(made(seed=1, variant="regular", severity=0), path, Format.NIFTI)
    return path


def shell(script: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as "$@" of a shell script, which connects its streams."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}", "bash", *SPONDYL, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def analysing(scan: Path, out: Path, stage: str) -> Iterator[subprocess.Popen[str]]:
    """An analysis that has begun a stage."""
    command = [*SPONDYL, "analyze", str(scan), "-o", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(line.split()[:1] == [stage] for line in process.stderr)
        yield process


@pytest.mark.slow
@WITH_WEIGHTS
@pytest.mark.parametrize("stage", ["read", "sagittal", "networks", "locate", "identify", "report"])
def test_an_interrupt_in_any_stage_is_one_line_and_leaves_nothing(scan: Path, stage: str, tmp_path: Path) -> None:
    with analysing(scan, tmp_path / "deep" / "out", stage) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        said, error = process.communicate()
    later = ("networks", "locate", "identify", "report")
    assert [line for line in error.splitlines() if not line.startswith(later)] == [LINE]
    assert process.returncode == 130
    assert said == ""
    assert list(tmp_path.iterdir()) == []


LOST = """
import signal, time, weakref
from spondyl.terminal import run_as_process

class Target:
    pass

def command():
    target = Target()
    reference = weakref.ref(target, lambda _: signal.raise_signal(signal.SIGINT))
    del target
    time.sleep(60)

run_as_process(command)
"""


def test_an_interrupt_where_python_cannot_raise_is_not_lost() -> None:
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (130, f"{LINE}\n")


@WITH_WEIGHTS
def test_a_termination_is_clean_too(scan: Path, tmp_path: Path) -> None:
    with analysing(scan, tmp_path / "out", "networks") as process:
        process.terminate()
        assert process.communicate()[1].splitlines()[-1] == LINE
    assert process.returncode == 143
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@WITH_WEIGHTS
@pytest.mark.parametrize(
    "streams",
    ['"$@" 2>/dev/full | true', '"$@" >/dev/full', '"$@" <&- >&- 2>&-'],
)
def test_a_report_is_written_whoever_listens(scan: Path, streams: str, tmp_path: Path) -> None:
    done = shell(streams, "analyze", scan, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert not Findings.from_json((tmp_path / "out" / "report.json").read_bytes()).is_empty
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("arguments", [["schema"], ["--help"], ["models", "list"]])
def test_a_reader_that_leaves_is_no_error_to_speak_of_and_a_full_disk_is(arguments: list[str]) -> None:
    left = shell('"$@" | true', *arguments)
    assert (left.returncode, left.stderr) == (141, "")
    full = shell('"$@" >/dev/full', *arguments)
    assert (full.returncode, full.stderr) == (2, "spondyl: the output cannot be written: the disk is full\n")


def test_a_name_is_shown_escaped_in_any_encoding() -> None:
    done = shell("\"$@\" $'\\x1b[31m\\xc3\\xa9\\xff'", "models", "show", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert r"\x1b[31m\xe9\udcff" in done.stderr.replace("\\\\", "\\")
    assert len(done.stderr.splitlines()) == 1
