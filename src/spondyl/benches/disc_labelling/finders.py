"""The methods that find discs, each opened with its weights, and the reference that needs no method of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from spondyl.engine.build import make_engine
from spondyl.errors import WeightsError
from spondyl.findings import WeightsUsed
from spondyl.geometry.instance import VertebraInstance, polygon_centroids
from spondyl.geometry.points import Landmarks
from spondyl.imaging.modality import Modality
from spondyl.loaded_plan import Step, open_method
from spondyl.methods import Method, find_method, methods_of
from spondyl.nets.cards import Card, find_card
from spondyl.nets.network import LoadedNetwork
from spondyl.nets.weight_sets import find_set
from spondyl.plan import Plan
from spondyl.reading import Candidates, Locate, Reading, Refine
from spondyl.stage import Stage, Structure

__all__ = [
    "BETWEEN_BODIES",
    "Find",
    "Finders",
    "VertebraSteps",
    "find_between_bodies",
    "open_finders",
    "open_vertebra_steps",
]

BETWEEN_BODIES = "between bodies"
"""The name of the reference: a disc in the middle of the space between each two neighbouring bodies."""

REFINEMENT = "look-once"
"""The method of the stage refine with which each method is measured as well."""

_MISSING = "{name}: not measured, its weights are missing or do not fit the network."
"""An error's own message may name a folder of this machine."""

Find = Callable[[Reading], Candidates]
"""A function that finds the discs of a scan whose vertebrae are located and named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finders:
    """The methods that can be measured, and those that cannot.

    Args:
        found: by name, in the order of their rows.
        missing: a sentence for each method whose weights are missing.
        weights: of the networks that were loaded.
    """

    found: Mapping[str, Find]
    missing: tuple[str, ...] = ()
    weights: tuple[WeightsUsed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VertebraSteps:
    """The steps of a plan that deal with vertebrae.

    Args:
        locate: locates them.
        identify: names them, and discs.
        weights: of their networks.
    """

    locate: Step
    identify: Step
    weights: tuple[WeightsUsed, ...] = ()


@dataclass(slots=True)
class _Weights:
    """The networks of a plan's set of weights, or of one fold, loaded when a method asks for them."""

    plan: Plan
    folders: tuple[Path, ...]
    fold: int | None
    used: dict[str, WeightsUsed] = field(default_factory=dict)

    def open(self, method: Method) -> Callable[..., Any]:
        return open_method(method, {role: self._load(role) for role in method.networks})

    def _load(self, role: str) -> LoadedNetwork:
        card = self._find(role)
        self.used[card.name] = WeightsUsed(name=card.name, sha256=card.sha256)
        engine = make_engine(card.name, self.plan.engine, self.plan.device, folders=self.folders)
        return LoadedNetwork(card=card, run=engine)

    def _find(self, role: str) -> Card:
        """Find the card that the set of weights names for a role, or else the one that its recipe writes."""
        named = find_set(self.plan.weights).networks.get(role)
        suffix = "" if self.fold is None else f"-fold{self.fold}"
        if named is not None and (self.fold is None or self._has(f"{named}{suffix}")):
            return find_card(f"{named}{suffix}", self.folders)
        return find_card(f"trained-{role}{suffix}", self.folders)

    def _has(self, name: str) -> bool:
        return any((folder / f"{name}.toml").is_file() for folder in self.folders)


def open_vertebra_steps(plan: Plan, folders: tuple[Path, ...]) -> VertebraSteps:
    """Open the methods by which a plan locates and names vertebrae.

    Raises:
        WeightsError: their weights are missing or damaged.
    """
    weights = _Weights(plan, folders, None)
    methods = plan.methods(Modality.MR, find_set(plan.weights))
    steps = {
        method.stage: Step(method=method, run=weights.open(method))
        for method in methods
        if Structure.VERTEBRA in method.structures and method.stage in (Stage.LOCATE, Stage.IDENTIFY)
    }
    return VertebraSteps(
        locate=steps[Stage.LOCATE], identify=steps[Stage.IDENTIFY], weights=tuple(weights.used.values())
    )


def open_finders(plan: Plan, folders: tuple[Path, ...], *, fold: int | None = None) -> Finders:
    """Open every method that finds discs, alone and refined, and the reference.

    Args:
        plan: the set of weights, the engine and the device.
        folders: searched for cards.
        fold: number of the fold of which the networks have seen no exam, `NAME-fold1` and so on. Methods without
            networks and the reference are then left out.
    """
    weights, refining = _Weights(plan, folders, fold), _Weights(plan, folders, None)
    refine = _open_refinement(refining)
    missing = [_MISSING.format(name=REFINEMENT)] if refine is None else []
    found: dict[str, Find] = {} if fold else {BETWEEN_BODIES: find_between_bodies}
    for method in methods_of(Stage.LOCATE):
        if Structure.DISC not in method.structures or (fold and not method.networks):
            continue
        try:
            locate = weights.open(method)
        except WeightsError:
            missing.append(_MISSING.format(name=method.name))
            continue
        found[method.name] = _as_find(locate)
        if refine is not None:
            found[f"{method.name} + {REFINEMENT}"] = _as_find(locate, refine)
    used = weights.used | refining.used
    return Finders(found=found, missing=tuple(missing), weights=tuple(used.values()))


def _open_refinement(weights: _Weights) -> Refine | None:
    try:
        return weights.open(find_method(Stage.REFINE, REFINEMENT))
    except WeightsError:
        return None


def _as_find(locate: Locate, refine: Refine | None = None) -> Find:
    def find(reading: Reading) -> Candidates:
        found = locate(reading.study)
        return found if refine is None else refine(reading.study, found)

    return find


def find_between_bodies(reading: Reading) -> Candidates:
    """Place a disc in the middle of the space between each two neighbouring bodies that are named.

    Its posterior edge lies in the middle between the posterior corners that face each other; slices that show both
    bodies count.
    """
    located, labelling = reading.candidates[Structure.VERTEBRA].bodies, reading.labellings.vertebrae
    levels = () if labelling is None else labelling.levels
    named = [body for body, level in zip(located, levels, strict=labelling is not None) if level is not None]
    bodies = sorted(named, key=lambda body: body.centroid_index[1])
    points = np.array([point for pair in pairwise(bodies) for point in _find_space(*pair)]).reshape(-1, 2, 3)
    ras_mm = reading.study.sagittal.affine.to_world(points)
    return Candidates(
        structure=Structure.DISC,
        centres=Landmarks(points_ras_mm=ras_mm[:, 0], scores=np.ones(len(ras_mm))),
        posterior_ras_mm=ras_mm[:, 1],
    )


def _find_space(upper: VertebraInstance, lower: VertebraInstance) -> Iterator[list[list[float]]]:
    """Yield the centre and the posterior edge of the space between two bodies as (slice, row, column)."""
    both = sorted(set(upper.slices) & set(lower.slices))
    if not both:
        return
    above = upper.outlines[[upper.slices.index(k) for k in both]]
    below = lower.outlines[[lower.slices.index(k) for k in both]]
    space = np.stack([above[:, 1], below[:, 0], below[:, 3], above[:, 2]], axis=1)
    middle = float(np.mean(both))
    centre, edge = polygon_centroids(space).mean(0), space[:, :2].mean((0, 1))
    yield [[middle, *centre.tolist()], [middle, *edge.tolist()]]
