"""The benchmarks: the one table that `spondyl bench NAME` reads.

A benchmark is one file and one line here. Nothing is imported before a benchmark is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from spondyl.errors import SettingError, find_named

if TYPE_CHECKING:
    from spondyl.findings import WeightsUsed
    from spondyl.plan import Plan

__all__ = ["BENCHES", "Bench", "BenchInput", "BenchResult", "find_bench"]


@dataclass(frozen=True, slots=True)
class Bench:
    """One benchmark.

    Args:
        name: its name on the command line; no other benchmark has it.
        needs_data: whether it reads labelled scans.
        opens: "module:function"; the function takes a `BenchInput` and returns a `BenchResult`.
        summary: a few words for the help.
    """

    name: str
    needs_data: bool
    opens: str
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchInput:
    """The plan that a benchmark measures, the labelled scans, and a place for what it makes.

    Args:
        plan: the plan to be measured.
        data: the folder of the scans; None for a benchmark that needs none.
        run: the folder in which a long benchmark keeps what it makes, such as phantoms and trained networks, and goes
            on with what it finds; a temporary one when None.
    """

    plan: Plan
    data: Path | None = None
    run: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder of the scans.

        Raises:
            SettingError: the benchmark was not given one.
        """
        if self.data is None:
            raise SettingError("this benchmark needs labelled scans, and its line in the table does not say so")
        return self.data

    @contextmanager
    def open_run(self) -> Iterator[Path]:
        """Give the folder of the run; a temporary one is removed at the end."""
        if self.run is not None:
            self.run.mkdir(parents=True, exist_ok=True)
            yield self.run
            return
        with TemporaryDirectory() as folder:
            yield Path(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """The outcome of a benchmark.

    Args:
        text: the table with what it was measured on, as Markdown.
        weights: the weights that were run.
    """

    text: str
    weights: tuple[WeightsUsed, ...] = ()


_FOLDER = "spondyl.benches"

BENCHES: tuple[Bench, ...] = (
    Bench("spinenet-detection", True, f"{_FOLDER}.detection.bench:run_detection", "vertebrae found and named"),
    Bench("speed", False, f"{_FOLDER}.speed:run_speed", "time and memory of an analysis"),
    Bench("labelling", False, f"{_FOLDER}.labelling:run_labelling", "naming methods on simulated columns"),
    Bench("phantom-realism", True, f"{_FOLDER}.realism.bench:run_realism", "phantoms beside real spines"),
    Bench("phantom-speed", False, f"{_FOLDER}.phantom_speed:run_phantom_speed", "time and memory of a phantom"),
    Bench("disc-labelling", True, f"{_FOLDER}.disc_labelling.bench:run_disc_labelling", "discs found and named"),
    Bench("look-once-table2", True, f"{_FOLDER}.look_once.table2:run_table2", "false disc points removed, by method"),
    Bench("look-once-fig8", False, f"{_FOLDER}.look_once.fig8:run_fig8", "time of removing false disc points"),
    Bench("disc-networks", False, f"{_FOLDER}.disc_networks:run_disc_networks", "size and time of disc networks"),
    Bench("msa-ablation", False, f"{_FOLDER}.msa_ablation:run_msa_ablation", "the parts of MSA-Net"),
    Bench("hostile", False, f"{_FOLDER}.hostile.bench:run_hostile", "the command line on hostile inputs"),
)


def find_bench(name: str) -> Bench:
    """The benchmark that has a name.

    Raises:
        SettingError: there is none.
    """
    return find_named(BENCHES, name, "NAME")
