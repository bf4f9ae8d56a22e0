"""Run a benchmark by name, keep its table under `benchmarks/`, show it."""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name

from spondyl import __version__
from spondyl.benches.table import Bench, BenchInput, BenchResult, find_bench
from spondyl.errors import OutputError, SettingError
from spondyl.findings import WeightsUsed
from spondyl.plan import Plan

__all__ = ["run_bench"]


def run_bench(name: str, *, data: Path | None = None, run: Path | None = None) -> str:
    """Run a benchmark.

    Args:
        name: of a line of `BENCHES`.
        data: where the labelled scans are; the folder `shared/data` beside the checkout when None.
        run: where a long benchmark keeps what it makes; a temporary folder when None.

    Returns:
        The table with what it was measured on. It is also written to `benchmarks/NAME.md` of the checkout in which the
        current directory lies; nowhere when it lies in none.

    Raises:
        SettingError: there is no such benchmark, or its data are not given and not beside the checkout.
        InputError: the data cannot be read.
        WeightsError: the weights are missing or damaged.
        OutputError: the table cannot be written.
    """
    bench = find_bench(name)
    checkout = _find_checkout(Path.cwd())
    given = BenchInput(plan=Plan(), data=_find_data(bench, data, checkout), run=run)
    result: BenchResult = resolve_name(bench.opens)(given)
    text = f"# {name}\n\n{_describe_origin(name, result.weights)}\n\n{result.text}\n"
    if checkout is not None:
        _keep(text, checkout / "benchmarks" / f"{name}.md")
    return text.rstrip("\n")


def _find_data(bench: Bench, given: Path | None, checkout: Path | None) -> Path | None:
    if not bench.needs_data:
        return None
    folder = checkout.parent / "shared" / "data" if given is None and checkout is not None else given
    if folder is None or not folder.is_dir():
        raise SettingError("this benchmark needs labelled scans: name their folder with --data")
    return folder


def _find_checkout(folder: Path) -> Path | None:
    """The nearest folder, upwards, that is a checkout of Spondyl."""
    for place in (folder, *folder.parents):
        if (place / "src" / "spondyl" / "benches").is_dir():
            return place
    return None


def _describe_origin(name: str, used: tuple[WeightsUsed, ...]) -> str:
    """The command and weights that make the table again; no date, so that the same numbers give the same file."""
    made = f"Printed by `spondyl bench {name}`, Spondyl {__version__}."
    if not used:
        return made
    lines = "\n".join(f"- {weights.name}: sha256 {weights.sha256}" for weights in used)
    return f"{made} Weights:\n\n{lines}"


def _keep(text: str, path: Path) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the table cannot be written under benchmarks/: {error.strerror}") from error
