"""`spondyl bench spinenet-detection`: vertebrae found and named in real exams and in fresh phantoms."""

from __future__ import annotations

from spondyl.benches.comparison import load_comparison
from spondyl.benches.detection.discs import tabulate_discs
from spondyl.benches.detection.exams import tabulate_exams
from spondyl.benches.detection.phantoms import tabulate_phantoms
from spondyl.benches.table import BenchInput, BenchResult
from spondyl.loaded_plan import load

__all__ = ["run_detection"]


def run_detection(given: BenchInput) -> BenchResult:
    """Measure on labelled exams, on exams whose discs are marked, and on fresh phantoms."""
    comparison = load_comparison(given.plan)
    parts = (
        tabulate_exams(given.folder, comparison),
        tabulate_discs(given.folder, load(given.plan)),
        tabulate_phantoms(given.plan),
    )
    return BenchResult(text="\n\n".join(part for part in parts if part), weights=comparison.weights)
