"""Plans with their networks loaded, ready to run on many scans."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spondyl.errors import SettingError
from spondyl.imaging.modality import Modality
from spondyl.methods import Method
from spondyl.plan import Plan
from spondyl.stage import Stage

if TYPE_CHECKING:
    from spondyl.findings import WeightsUsed
    from spondyl.nets.network import LoadedNetwork
    from spondyl.reading import Reading

__all__ = ["LoadedPlan", "Step", "load", "open_method"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A method with its networks loaded.

    Args:
        method: the method.
        run: its function, of the type that `spondyl.reading` has for its stage.
    """

    method: Method
    run: Callable[..., Any]

    def apply(self, reading: Reading) -> Reading:
        """Run the method and add what it finds to a reading."""
        match self.method.stage:
            case Stage.LOCATE:
                located = self.run(reading.study)
                return replace(reading, candidates={**reading.candidates, located.structure: located})
            case Stage.REFINE:
                refined = {
                    structure: self.run(reading.study, found) if structure in self.method.structures else found
                    for structure, found in reading.candidates.items()
                }
                return replace(reading, candidates=refined)
            case Stage.IDENTIFY:
                return replace(reading, labellings=self.run(reading.study, reading.candidates))
            case Stage.MEASURE:
                return replace(reading, measurements=(*reading.measurements, *self.run(reading)))
            case stage:
                raise SettingError(f"this version does not run the stage {stage}")


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

    def steps_before(self, stage: Stage) -> tuple[Step, ...]:
        """The steps of all earlier stages."""
        earlier = list(Stage)[: list(Stage).index(stage)]
        return tuple(step for step in self.steps if step.method.stage in earlier)


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
        steps=tuple(Step(method=method, run=open_method(method, networks)) for method in methods),
        weights=tuple(WeightsUsed(name=one.card.name, sha256=one.card.sha256) for one in networks.values()),
    )


@lru_cache(maxsize=16)
def _load_network(name: str, _text: str, engine: str, device: str) -> LoadedNetwork:
    from spondyl.engine.build import make_engine
    from spondyl.nets.cards import find_card
    from spondyl.nets.network import LoadedNetwork

    return LoadedNetwork(card=find_card(name), run=make_engine(name, engine, device))


def open_method(method: Method, networks: Mapping[str, LoadedNetwork]) -> Callable[..., Any]:
    """The function of a method, with the networks that it asks for and no others."""
    module, _, function = method.opens.partition(":")
    opened: Callable[..., Any] = getattr(importlib.import_module(module), function)(
        {role: networks[role] for role in method.networks}
    )
    return opened
