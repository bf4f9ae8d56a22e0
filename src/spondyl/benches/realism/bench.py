"""`spondyl bench phantom-realism`: sizes and brightness of phantoms beside those of real spines."""

from __future__ import annotations

from spondyl.benches.realism.intensities import compare_intensities
from spondyl.benches.realism.sizes import compare_sizes
from spondyl.benches.table import BenchInput, BenchResult

__all__ = ["run_realism"]


def run_realism(given: BenchInput) -> BenchResult:
    """Compare sizes, then brightness."""
    return BenchResult(text=f"{compare_sizes(given.folder)}\n\n{compare_intensities(given.folder)}\n")
