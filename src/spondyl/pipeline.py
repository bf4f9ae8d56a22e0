"""From a scan to findings: plans, and their methods run one after the other.

Which methods there are is in `spondyl.methods`; in which order stages run, in `spondyl.stage`.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spondyl.errors import InputError, SettingError
from spondyl.imaging.modality import Modality
from spondyl.methods import Method, find_method
from spondyl.stage import Stage

if TYPE_CHECKING:
    from spondyl.findings import Findings, WeightsUsed
    from spondyl.imaging.volume import Volume
    from spondyl.nets.network import LoadedNetwork
    from spondyl.nets.weight_sets import WeightSet
    from spondyl.reading import Reading
    from spondyl.study import Study

__all__ = [
    "STEPS",
    "Analysis",
    "LoadedPlan",
    "Plan",
    "Step",
    "analyze",
    "analyze_file",
    "apply_step",
    "load",
    "read_study",
]

Progress = Callable[[str], None]
"""Called with the name of each step as it begins."""

STEPS = ("read", "sagittal", "networks", *Stage)
"""The steps of an analysis in their order; the stages among them are run by methods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The methods to run on a scan and the weights and machinery to run them with.

    A stage is given the names of its methods, separated by commas. They replace those methods of the set of weights
    that deal with the same structures; a stage that is None runs the methods for which the set of weights was made.

    Args:
        locate, refine, identify, segment, grade, measure: methods of each stage.
        weights: a set of weights.
        engine: what computes the networks.
        device: where.

    Raises:
        SettingError: a stage has no method of that name.
    """

    locate: str | None = None
    refine: str | None = None
    identify: str | None = None
    segment: str | None = None
    grade: str | None = None
    measure: str | None = None
    weights: str = "spondyl"
    engine: Literal["auto", "torch", "openvino"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        for stage in Stage:
            self.named(stage)

    def named(self, stage: Stage) -> tuple[Method, ...]:
        """The methods that the plan itself names for a stage."""
        names: str | None = getattr(self, stage)
        return () if names is None else tuple(find_method(stage, name.strip()) for name in names.split(","))

    def methods(self, modality: Modality, weights: WeightSet) -> tuple[Method, ...]:
        """The methods that run on scans of a modality, in the order in which they run.

        Raises:
            InputError: neither the plan nor the set of weights has methods for the modality.
            SettingError: two methods of a stage deal with one structure, or one takes no scans of the modality.
        """
        usual = weights.methods.get(modality, {})
        chosen = [method for stage in Stage for method in self._of_stage(stage, usual.get(stage, ()))]
        if not usual and not any(self.named(stage) for stage in Stage):
            raise InputError(
                f"the scan is {modality.name}, and the weights {weights.name!r} analyse "
                f"{' and '.join(key.upper() for key in weights.methods)} only; --modality overrides a wrong guess"
            )
        for method in chosen:
            if modality not in method.modalities:
                raise SettingError(f"--{method.stage} {method.name} takes no {modality.name} scans")
        return tuple(chosen)

    def _of_stage(self, stage: Stage, usual: tuple[str, ...]) -> Iterator[Method]:
        named = self.named(stage)
        taken = [structure for method in named for structure in method.structures]
        if len(set(taken)) < len(taken):
            names = ", ".join(method.name for method in named)
            raise SettingError(f"--{stage} takes one method for each kind of structure, got {names}")
        others = [find_method(stage, name) for name in usual]
        yield from (method for method in others if not method.structures & set(taken))
        yield from named


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A method with its networks loaded.

    Args:
        method: the method.
        run: its function, of the type that `spondyl.reading` has for its stage.
    """

    method: Method
    run: Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPlan:
    """A plan for one modality, ready to run on many scans.

    Args:
        modality: of the scans.
        steps: in the order in which they run.
        weights: what was loaded, and nothing else.
    """

    modality: Modality
    steps: tuple[Step, ...]
    weights: tuple[WeightsUsed, ...] = ()

    def step(self, stage: Stage) -> Step:
        """The only step of a stage.

        Raises:
            SettingError: the plan has none, or several.
        """
        found = [step for step in self.steps if step.method.stage is stage]
        if len(found) != 1:
            raise SettingError(f"one method of the stage {stage} is needed, the plan has {len(found)}")
        return found[0]


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
    for step in loaded.steps:
        with clock.step(step.method.stage, step.method.name):
            reading = apply_step(step, reading)
    return reading


def apply_step(step: Step, reading: Reading) -> Reading:
    """Run one method and add what it says to a reading."""
    match step.method.stage:
        case Stage.LOCATE:
            located = step.run(reading.study)
            return replace(reading, candidates={**reading.candidates, located.structure: located})
        case Stage.REFINE:
            refined = {
                structure: step.run(reading.study, found) if structure in step.method.structures else found
                for structure, found in reading.candidates.items()
            }
            return replace(reading, candidates=refined)
        case Stage.IDENTIFY:
            return replace(reading, labellings=step.run(reading.study, reading.candidates))
        case Stage.MEASURE:
            return replace(reading, measurements=(*reading.measurements, *step.run(reading)))
        case stage:
            raise SettingError(f"this version does not run the stage {stage}")


def load(plan: Plan, modality: Modality = Modality.MR) -> LoadedPlan:
    """Load the networks that a plan names, and no others; unchanged weights are loaded once.

    Raises:
        InputError: the plan has no methods for the modality.
        WeightsError: the weights are missing or damaged, or a card lacks a setting.
        SettingError: an engine or device that this machine does not have.
    """
    from spondyl.nets.cards import find_card
    from spondyl.nets.weight_sets import find_set

    weights = find_set(plan.weights)
    methods = plan.methods(modality, weights)
    roles = dict.fromkeys(role for method in methods for role in method.networks)
    cards = {role: find_card(weights.card_name(role)) for role in roles}
    texts = tuple((role, card.name, card.to_toml()) for role, card in cards.items())
    return _load_methods(methods, texts, plan.engine, plan.device, modality)


@lru_cache(maxsize=8)
def _load_methods(
    methods: tuple[Method, ...], cards: tuple[tuple[str, str, str], ...], engine: str, device: str, modality: Modality
) -> LoadedPlan:
    """Open methods with the networks of cards, given as role, name and text, since a card that changes is another."""
    from spondyl.findings import WeightsUsed

    networks = {role: _load_network(name, text, engine, device) for role, name, text in cards}
    return LoadedPlan(
        modality=modality,
        steps=tuple(Step(method=method, run=_open(method, networks)) for method in methods),
        weights=tuple(WeightsUsed(name=one.card.name, sha256=one.card.sha256) for one in networks.values()),
    )


@lru_cache(maxsize=16)
def _load_network(name: str, _text: str, engine: str, device: str) -> LoadedNetwork:
    from spondyl.engine.build import make_engine
    from spondyl.nets.cards import find_card
    from spondyl.nets.network import LoadedNetwork

    return LoadedNetwork(card=find_card(name), run=make_engine(name, engine, device))


def _open(method: Method, networks: Mapping[str, LoadedNetwork]) -> Callable[..., Any]:
    """The function of a method, with the networks that it asks for and no others."""
    module, _, function = method.opens.partition(":")
    opened: Callable[..., Any] = getattr(importlib.import_module(module), function)(
        {role: networks[role] for role in method.networks}
    )
    return opened
