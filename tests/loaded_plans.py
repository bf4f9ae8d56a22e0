"""Loaded plans whose methods or networks are the test's own."""

from collections.abc import Callable, Sequence

from spondyl.findings import WeightsUsed
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.methods.order import open_order
from spondyl.imaging.modality import Modality
from spondyl.labelling import Labelling, Labellings
from spondyl.loaded_plan import LoadedPlan, Step
from spondyl.locate.vfr import open_whole
from spondyl.methods import find_method
from spondyl.nets.cards import find_card
from spondyl.nets.network import LoadedNetwork, Network
from spondyl.reading import Candidates
from spondyl.stage import Stage


def plan_of_functions(
    locate: Callable[[SagittalStack], Sequence[VertebraInstance]],
    identify: Callable[[Sequence[VertebraInstance]], Labelling],
    weights: tuple[WeightsUsed, ...] = (),
) -> LoadedPlan:
    """A plan whose methods are these functions, under the names of the default ones."""
    steps = (
        Step(
            method=find_method(Stage.LOCATE, "vfr"),
            run=lambda study: Candidates.from_bodies(locate(study.sagittal)),
        ),
        Step(
            method=find_method(Stage.IDENTIFY, "order"),
            run=lambda study, candidates: Labellings(
                vertebrae=identify(bodies) if (bodies := candidates["vertebra"].bodies) else None
            ),
        ),
    )
    return LoadedPlan(modality=Modality.MR, steps=steps, weights=weights)


def plan_of_networks(vfr: Network, appearance: Network) -> LoadedPlan:
    """The default methods with these networks, under the shipped cards."""
    networks = {
        "vfr": LoadedNetwork(card=find_card("spondyl-vfr"), run=vfr),
        "appearance": LoadedNetwork(card=find_card("spondyl-appearance"), run=appearance),
    }
    steps = (
        Step(method=find_method(Stage.LOCATE, "vfr"), run=open_whole(networks)),
        Step(method=find_method(Stage.IDENTIFY, "order"), run=open_order(networks)),
    )
    return LoadedPlan(modality=Modality.MR, steps=steps)
