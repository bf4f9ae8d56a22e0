"""Plans: the methods, weights and engine that run on a scan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from spondyl.errors import InputError, SettingError
from spondyl.imaging.modality import Modality
from spondyl.methods import Method, find_method
from spondyl.stage import Stage

if TYPE_CHECKING:
    from spondyl.nets.weight_sets import WeightSet

__all__ = ["Plan"]


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
