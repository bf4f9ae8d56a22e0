"""`spondyl bench hostile`: worst time, worst memory and exit statuses of the command line on hostile inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from spondyl.benches.hostile.case import Case
from spondyl.benches.hostile.catalogue import list_cases
from spondyl.benches.hostile.runner import Result, Runner, open_runner
from spondyl.benches.table import BenchInput, BenchResult
from spondyl.benches.timing import find_processor_name
from spondyl.metrics.tables import format_table

__all__ = ["format_results", "run_cases", "run_hostile"]

_AT_ONCE = 2
_LARGE_VOXELS = 10**7
"""Scans from here on are run alone, since two of them may not fit into the memory."""

_HEADER = ("family", "cases", "exit statuses", "worst time", "worst memory", "not handled")
_ABOUT = (
    "Each case is an input, or a state of the machine, that is given to `spondyl analyze` as a process of its own. A "
    "case is handled when the exit status is right for it; a refusal is one sentence and leaves nothing behind; a "
    "report is valid and whole, and the findings of an honest scan in another form are those of the scan; no "
    "traceback, control character, name or number of the planted patient comes out; no connection is opened; and the "
    "run takes no more than 60 s and 2 GB, or 1.5 GB and 40 bytes a voxel for an honest large scan."
)


def run_hostile(_given: BenchInput) -> BenchResult:
    """Run every case; the text names those that were not handled, the weights are those that read the honest scan.

    Raises:
        SettingError: the honest scan itself is not analysed.
    """
    with open_runner() as runner:
        used = () if runner.base is None else runner.base.software.weights
        return BenchResult(text=format_results(run_cases(runner, list_cases())), weights=used)


def run_cases(runner: Runner, cases: Sequence[Case]) -> list[Result]:
    """Run cases, two at a time but for large scans; the results keep their order."""
    large = [case for case in cases if case.voxels >= _LARGE_VOXELS]
    small = [case for case in cases if case.voxels < _LARGE_VOXELS]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            results = dict(zip(map(_key, small), pool.map(runner.run, small), strict=True))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # or Ctrl-C would wait for every case
            raise
    results |= {_key(case): runner.run(case) for case in large}
    return [results[_key(case)] for case in cases]


def format_results(results: Sequence[Result]) -> str:
    """The results as text: one row for each family, one for all, and a line for each case that was not handled."""
    families = dict.fromkeys(result.case.family for result in results)
    rows = [_row(family, [r for r in results if r.case.family == family]) for family in families]
    rows.append(_row("all", results))
    failed = [f"- {r.case.family}, {r.case.name}: {'; '.join(r.faults)}" for r in results if r.faults]
    skipped = [f"- {r.case.family}, {r.case.name}: {r.obstacle}" for r in results if r.obstacle]
    parts = [_ABOUT, f"Two at a time on {find_processor_name()}.", format_table(_HEADER, rows)]
    parts += ["Not handled:\n\n" + "\n".join(failed)] if failed else []
    parts += ["Not run on this machine:\n\n" + "\n".join(skipped)] if skipped else []
    return "\n\n".join(parts)


def _row(name: str, results: Sequence[Result]) -> tuple[str, ...]:
    run = [result for result in results if result.statuses]
    return (
        name,
        str(len(run)),
        _counted(status for result in run for status in result.statuses),
        f"{max((result.seconds for result in run), default=0):.1f} s",
        f"{max((result.peak_gb for result in run), default=0):.2f} GB",
        str(sum(bool(result.faults) for result in run)),
    )


def _counted(statuses: Iterable[int]) -> str:
    return ", ".join(f"{status} ({count}x)" for status, count in sorted(Counter(statuses).items()))


def _key(case: Case) -> tuple[str, str]:
    return case.family, case.name
