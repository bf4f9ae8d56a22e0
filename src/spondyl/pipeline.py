"""The analysis of a scan: the methods of a plan run one after the other.

Which methods there are is in `spondyl.methods`; in which order stages run, in `spondyl.stage`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from spondyl.imaging.modality import Modality
from spondyl.loaded_plan import LoadedPlan, load
from spondyl.plan import Plan
from spondyl.stage import Stage

if TYPE_CHECKING:
    from spondyl.findings import Findings
    from spondyl.imaging.volume import Volume
    from spondyl.reading import Reading
    from spondyl.study import Study

__all__ = ["STEPS", "Analysis", "Progress", "analyze", "analyze_file", "read_study"]

Progress = Callable[[str], None]
"""Called with the name of each step as it begins."""

STEPS = ("read", "sagittal", "networks", *Stage)
"""The steps of an analysis in their order; the stages among them are run by methods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """The result of an analysis.

    Args:
        findings: what was found, as the report has it.
        reading: what the stages handed on, with the scan.
    """

    findings: Findings
    reading: Reading


@dataclass(slots=True)
class _Clock:
    """Times the steps and announces that they begin."""

    tell: Progress | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, method: str = "") -> Iterator[None]:
        if self.tell is not None:
            self.tell(f"{name} {method}".strip())
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def analyze_file(
    path: Path, plan: Plan | None = None, *, modality: Modality | None = None, tell: Progress | None = None
) -> Analysis:
    """Read a scan and analyse it.

    Args:
        path: a file, folder or archive.
        plan: the default plan when None.
        modality: MR or CT where the caller knows it.
        tell: called with the name of each step as it begins.

    Raises:
        InputError: nothing that can be read as one scan, or a scan that the plan cannot analyse.
        WeightsError: the plan's weights are missing or damaged.
    """
    from spondyl.imaging.read import read_volume

    clock = _Clock(tell)
    with clock.step("read"):
        volume = read_volume(path, modality=modality)
    return _analyze(volume, plan or Plan(), None, clock)


def analyze(
    volume: Volume, plan: Plan | None = None, *, loaded: LoadedPlan | None = None, tell: Progress | None = None
) -> Analysis:
    """Analyse a scan that has been read.

    Args:
        volume: the scan.
        plan: the default plan when None.
        loaded: a plan that is already loaded, in place of `plan`.
        tell: called with the name of each step as it begins.

    Raises:
        InputError: a scan that the plan cannot analyse.
        WeightsError: the plan's weights are missing or damaged.
    """
    return _analyze(volume, plan or Plan(), loaded, _Clock(tell))


def _analyze(volume: Volume, plan: Plan, loaded: LoadedPlan | None, clock: _Clock) -> Analysis:
    from spondyl.assemble import assemble_findings
    from spondyl.nets.weight_sets import find_set
    from spondyl.study import Study

    if loaded is None:
        plan.methods(volume.modality, find_set(plan.weights))  # refuses before any work
    with clock.step("sagittal"):
        study = Study.from_volume(volume)
    if loaded is None:
        with clock.step("networks"):
            loaded = load(plan, volume.modality)
    reading = _run(study, loaded, clock)
    findings = assemble_findings(reading, weights=loaded.weights, seconds=clock.seconds)
    return Analysis(findings=findings, reading=reading)


def read_study(study: Study, loaded: LoadedPlan) -> Reading:
    """Run the methods of a loaded plan on a study."""
    return _run(study, loaded, _Clock(None))


def _run(study: Study, loaded: LoadedPlan, clock: _Clock) -> Reading:
    from spondyl.reading import Reading

    reading = Reading(study=study)
    stages = [step.method.stage for step in loaded.steps]
    for step in loaded.steps:
        is_alone = stages.count(step.method.stage) == 1
        with clock.step(step.method.stage, "" if is_alone else step.method.name):
            reading = step.apply(reading)
    return reading
