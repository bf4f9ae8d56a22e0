"""The benchmarks by name: run one, keep its table under `benchmarks/`, show it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spondyl import __version__
from spondyl.errors import OutputError, SettingError
from spondyl.findings import WeightsUsed
from spondyl.plan import Plan

__all__ = ["BENCHES", "run_bench"]


def run_bench(name: str, *, data: Path | None = None) -> str:
    """Run a benchmark.

    Args:
        name: a key of `BENCHES`.
        data: where the labelled scans are; the folder `shared/data` beside the checkout when None.

    Returns:
        The table with what it was measured on. It is also written to `benchmarks/NAME.md` of the checkout in which the
        current directory lies; nowhere when it lies in none.

    Raises:
        SettingError: there is no such benchmark, or its data are not given and not beside the checkout.
        InputError: the data cannot be read.
        WeightsError: the weights are missing or damaged.
        OutputError: the table cannot be written.
    """
    if name not in BENCHES:
        raise SettingError(f"the benchmarks are {', '.join(BENCHES)}, got {name!r}")
    checkout = _checkout(Path.cwd())
    body, used = BENCHES[name](data, checkout)
    text = f"# {name}\n\n{_provenance(name, used)}\n\n{body}\n"
    if checkout is not None:
        _keep(text, checkout / "benchmarks" / f"{name}.md")
    return text.rstrip("\n")


def _run_detection(data: Path | None, checkout: Path | None) -> tuple[str, Used]:
    from spondyl.benches.comparison import load_comparison
    from spondyl.benches.detection.discs import disc_point_bench
    from spondyl.benches.detection.exams import detection_bench
    from spondyl.benches.detection.phantoms import phantom_bench
    from spondyl.loaded_plan import load

    folder = _data(data, checkout)
    comparison = load_comparison(Plan())
    parts = (detection_bench(folder, comparison), disc_point_bench(folder, load(Plan())), phantom_bench(Plan()))
    return "\n\n".join(parts), comparison.weights


def _run_speed(_data: Path | None, _checkout: Path | None) -> tuple[str, Used]:
    from spondyl.benches.speed import speed_bench

    return speed_bench(Plan())


def _run_phantom_speed(_data: Path | None, _checkout: Path | None) -> tuple[str, Used]:
    from spondyl.benches.phantom_speed import phantom_speed

    return phantom_speed(), ()


def _run_hostile(_data: Path | None, _checkout: Path | None) -> tuple[str, Used]:
    from spondyl.benches.hostile.bench import hostile_bench

    return hostile_bench()


def _run_realism(data: Path | None, checkout: Path | None) -> tuple[str, Used]:
    from spondyl.benches.realism.intensities import phantom_intensities
    from spondyl.benches.realism.sizes import phantom_realism

    return phantom_realism(_data(data, checkout), intensities=phantom_intensities), ()


def _run_labelling(_data: Path | None, _checkout: Path | None) -> tuple[str, Used]:
    from spondyl.benches.comparison import load_comparison
    from spondyl.benches.labelling import labelling_bench

    comparison = load_comparison(Plan())
    simulated = [used for used in comparison.weights if "appearance" not in used.name and "vfr" not in used.name]
    return labelling_bench(comparison.namers()), tuple(simulated)


Used = tuple[WeightsUsed, ...]

BENCHES: dict[str, Callable[[Path | None, Path | None], tuple[str, Used]]] = {
    "spinenet-detection": _run_detection,
    "speed": _run_speed,
    "labelling": _run_labelling,
    "phantom-realism": _run_realism,
    "phantom-speed": _run_phantom_speed,
    "hostile": _run_hostile,
}
"""Each takes the data folder and the checkout, and gives a text and the weights that it ran."""


def _data(given: Path | None, checkout: Path | None) -> Path:
    folder = checkout.parent / "shared" / "data" if given is None and checkout is not None else given
    if folder is None or not folder.is_dir():
        raise SettingError("this benchmark needs labelled scans: name their folder with --data")
    return folder


def _checkout(folder: Path) -> Path | None:
    """The nearest folder, upwards, that is a checkout of Spondyl."""
    for place in (folder, *folder.parents):
        if (place / "src" / "spondyl" / "benches").is_dir():
            return place
    return None


def _provenance(name: str, used: Used) -> str:
    """How to make the table again; no date, so that the same numbers give the same file."""
    made = f"Printed by `spondyl bench {name}`, Spondyl {__version__}."
    if not used:
        return made
    weights = "\n".join(f"- {one.name}: sha256 {one.sha256}" for one in used)
    return f"{made} Weights:\n\n{weights}"


def _keep(text: str, path: Path) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the table cannot be written under benchmarks/: {error.strerror}") from error
