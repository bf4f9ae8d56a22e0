"""The benchmarks: the one table that `spondyl bench NAME` reads.

A benchmark is one file and one line here. Nothing is imported before a benchmark is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
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
    """The plan that a benchmark measures, and the labelled scans.

    Args:
        plan: the plan to be measured.
        data: the folder of the scans; None for a benchmark that needs none.
    """

    plan: Plan
    data: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder of the scans.

        Raises:
            SettingError: the benchmark was not given one.
        """
        if self.data is None:
            raise SettingError("this benchmark needs labelled scans, and its line in the table does not say so")
        return self.data


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
    Bench("look-once-table2", True, f"{_FOLDER}.look_once.table2:run_table2", "false disc points removed, by method"),
    Bench("look-once-fig8", False, f"{_FOLDER}.look_once.fig8:run_fig8", "time of removing false disc points"),
    Bench("hostile", False, f"{_FOLDER}.hostile.bench:run_hostile", "the command line on hostile inputs"),
)


def find_bench(name: str) -> Bench:
    """The benchmark that has a name.

    Raises:
        SettingError: there is none.
    """
    return find_named(BENCHES, name, "NAME")
