"""The methods that identify vertebrae, side by side on the same candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from spondyl.findings import WeightsUsed
from spondyl.identify.appearance import AppearanceIdentifier, Namer
from spondyl.loaded_plan import Step, load
from spondyl.methods import find_method
from spondyl.plan import Plan
from spondyl.reading import Reading
from spondyl.stage import Stage
from spondyl.study import Study

__all__ = ["COMPARED", "DEFAULT", "EXACT_DECODERS", "Comparison", "load_comparison"]

COMPARED: Mapping[str, str] = {
    name: find_method(Stage.IDENTIFY, name).summary for name in ("argmax", "bilstm", "beam", "context", "order")
}
"""The methods that run on Spondyl's own weights, with their names in tables."""

DEFAULT = "order"
"""The method whose probabilities are checked for calibration."""

EXACT_DECODERS = ("context", "order")
"""The methods that give every level a probability over all numberings of the column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A plan whose candidates are named by every method.

    Args:
        locating: the steps before identification.
        identifying: the last step, by method.
        weights: of all of them.
    """

    locating: tuple[Step, ...]
    identifying: Mapping[str, Step]
    weights: tuple[WeightsUsed, ...]

    def readings(self, study: Study) -> dict[str, Reading]:
        """Locate once, and name the candidates by every method."""
        reading = Reading(study=study)
        for step in self.locating:
            reading = step.apply(reading)
        return {name: step.apply(reading) for name, step in self.identifying.items()}

    def namers(self) -> dict[str, Namer]:
        """The functions that name bodies from their evidence, by method."""
        runs = {name: step.run for name, step in self.identifying.items()}
        return {name: run.namer for name, run in runs.items() if isinstance(run, AppearanceIdentifier)}


@lru_cache(maxsize=4)
def load_comparison(plan: Plan) -> Comparison:
    """Load a plan once for every compared method; the same plan is loaded once.

    Raises:
        WeightsError: weights are missing or damaged.
    """
    loaded = {name: load(replace(plan, identify=name)) for name in COMPARED}
    return Comparison(
        locating=loaded[DEFAULT].steps_before(Stage.IDENTIFY),
        identifying={name: plan.step(Stage.IDENTIFY) for name, plan in loaded.items()},
        weights=tuple(dict.fromkeys(used for plan in loaded.values() for used in plan.weights)),
    )
