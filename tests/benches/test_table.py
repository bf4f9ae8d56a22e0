"""The table of benchmarks: unique names, lines that open, and one line that is a benchmark everywhere."""

import inspect
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

from spondyl import cli
from spondyl.benches import run, table
from spondyl.benches.run import run_bench
from spondyl.benches.table import BENCHES, Bench, BenchInput, BenchResult, find_bench
from spondyl.errors import OutputError, SettingError
from spondyl.findings import WeightsUsed
from spondyl.plan import Plan

WEIGHTS = (WeightsUsed(name="spondyl-vfr", sha256="ab" * 32),)


def echo(given: BenchInput) -> BenchResult:
    """A benchmark that measures the name of its data."""
    return BenchResult(text=f"| {given.folder.name} |", weights=WEIGHTS)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a benchmark `echo`, and the current directory deep in it."""
    root = tmp_path / "checkout"
    (root / "src" / "spondyl" / "benches").mkdir(parents=True)
    monkeypatch.chdir(root / "src")
    monkeypatch.setattr(table, "BENCHES", (*BENCHES, Bench("echo", True, f"{__name__}:echo", "an echo")))
    monkeypatch.setattr(run, "resolve_name", lambda opens: echo)
    return root


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.name)
def test_every_line_opens_a_function_of_one_input(bench: Bench) -> None:
    assert find_bench(bench.name) is bench
    assert list(inspect.signature(resolve_name(bench.opens)).parameters) in (["given"], ["_given"])


def test_two_benchmarks_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "BENCHES", (*BENCHES, BENCHES[0]))
    with pytest.raises(SettingError, match="two lines of a table have one name"):
        find_bench("speed")


def test_the_table_is_returned_and_kept_with_its_provenance(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "shared" / "data").mkdir(parents=True)
    text = run_bench("echo")
    assert (checkout / "benchmarks" / "echo.md").read_text() == text + "\n"
    assert text.startswith("# echo\n\nPrinted by `spondyl bench echo`, Spondyl ")
    assert f"- spondyl-vfr: sha256 {'ab' * 32}\n" in text
    assert text.endswith("| data |")
    assert run_bench("echo") == text  # nothing that changes from run to run


def test_data_elsewhere_are_named(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert run_bench("echo", data=tmp_path / "mine").endswith("| mine |")


@pytest.mark.parametrize("data", [None, Path("nowhere")])
def test_missing_data_are_an_error_that_names_the_option(checkout: Path, data: Path | None) -> None:
    with pytest.raises(SettingError, match="--data"):
        run_bench("echo", data=data)
    assert not (checkout / "benchmarks").exists()


def test_a_benchmark_whose_line_asks_for_no_data_has_none() -> None:
    with pytest.raises(SettingError, match="its line in the table does not say so"):
        echo(BenchInput(plan=Plan()))


def test_a_run_keeps_what_was_made_in_the_folder_that_was_named(tmp_path: Path) -> None:
    for given in (BenchInput(plan=Plan(), run=tmp_path / "run"), BenchInput(plan=Plan())):
        with given.open_run() as folder:
            (folder / "made").touch()
        assert (folder / "made").exists() == (given.run is not None)


def test_outside_a_checkout_nothing_is_written(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_bench("echo", data=tmp_path).endswith(f"| {tmp_path.name} |")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkout"]


def test_an_unknown_benchmark_is_refused_with_what_there_is_to_measure() -> None:
    with pytest.raises(SettingError, match=r"spinenet-detection \(vertebrae found and named\), speed \(.*got 'beauty'"):
        run_bench("beauty")


def test_without_a_name_the_benchmarks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["bench"])
    assert not left.value.code
    assert capsys.readouterr().out.splitlines() == [f"{bench.name}: {bench.summary}" for bench in BENCHES]


def test_a_table_that_cannot_be_kept_is_an_error(checkout: Path, tmp_path: Path) -> None:
    (checkout / "benchmarks").write_text("a file")
    with pytest.raises(OutputError, match="benchmarks/"):
        run_bench("echo", data=tmp_path)


A_BENCH = '''
"""A benchmark of the plan's own weights."""
from spondyl.benches.table import BenchResult

def run_name(given):
    return BenchResult(text=f"| {given.plan.weights} |")
'''
ONE_LINE = """
import sys
from spondyl.benches import table
table.BENCHES += (table.Bench("name", False, "name_bench:run_name", "the name of the weights"),)
from spondyl import cli
cli.main(sys.argv[1:])
"""


def test_one_file_and_one_line_are_a_benchmark_everywhere(tmp_path: Path) -> None:
    (tmp_path / "name_bench.py").write_text(A_BENCH)
    (tmp_path / "main.py").write_text(ONE_LINE)

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(tmp_path / "main.py"), "bench", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert "name: the name of the weights" in " ".join(call("--help").stdout.split())
    assert "name (the name of the weights), got 'beauty'" in call("beauty").stderr
    done = call("name")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("| spondyl |\n")
