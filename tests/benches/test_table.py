"""A benchmark by name: run, shown, and kept where a checkout is."""

from pathlib import Path

import pytest

from spondyl.benches import table as benches
from spondyl.benches.table import run_bench
from spondyl.errors import OutputError, SettingError
from spondyl.findings import WeightsUsed

WEIGHTS = (WeightsUsed(name="spondyl-vfr", sha256="ab" * 32),)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a benchmark `echo`, which says where its data are, and the current directory deep in it."""
    root = tmp_path / "checkout"
    (root / "src" / "spondyl" / "benches").mkdir(parents=True)
    monkeypatch.chdir(root / "src")
    monkeypatch.setitem(benches.BENCHES, "echo", lambda data, root: (f"| {benches._data(data, root).name} |", WEIGHTS))
    return root


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


def test_outside_a_checkout_nothing_is_written(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_bench("echo", data=tmp_path).endswith(f"| {tmp_path.name} |")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkout"]


def test_an_unknown_benchmark_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(SettingError, match="spinenet-detection, speed"):
        run_bench("beauty")


def test_a_table_that_cannot_be_kept_is_an_error(checkout: Path, tmp_path: Path) -> None:
    (checkout / "benchmarks").write_text("a file")
    with pytest.raises(OutputError, match="benchmarks/"):
        run_bench("echo", data=tmp_path)
