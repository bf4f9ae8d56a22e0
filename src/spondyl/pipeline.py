"""From a scan to findings: the only place that knows which stages there are and in which order they run.

Stages are imported when they run, so that asking what a plan allows costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from spondyl import __version__
from spondyl.anatomy.level import Level
from spondyl.errors import InputError, SettingError
from spondyl.findings import RESEARCH_USE, Findings, ImageGrid, Software, Vertebra, WeightsUsed
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.resample import sagittal_axes, to_sagittal
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.crops import COMPACT, OFFICIAL, CropGrid
from spondyl.identify.evidence import STAND_INS
from spondyl.identify.height_map import HeightMapSettings
from spondyl.identify.order import OrderCosts
from spondyl.imaging.volume import Modality, Volume
from spondyl.nets.cards import Setting

if TYPE_CHECKING:
    from spondyl.identify.labelling import Labelling

__all__ = [
    "METHODS",
    "NO_ANCHOR",
    "Network",
    "Networks",
    "Plan",
    "analyze",
    "analyze_file",
    "identify",
    "load_networks",
]

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""One network on one engine: a batch in, its output, float32."""

Progress = Callable[[str], None]
"""Told the name of each stage as it begins."""

METHODS = {"locate": ("vfr", "vfr-patches"), "identify": ("order", "context")}
"""The methods of each stage that this version has; vfr-patches and context are the paper's ways, overlapping patches
and a context network before the ordered decoder."""

NO_ANCHOR = (
    "neither the sacrum nor C2 is in view: the levels are told by looks and spacing alone, and all may be off by one"
)
_ANCHORS = {Level.C1, Level.C2, Level.S1, Level.S2}
_SURE_ANCHOR = 0.5
"""An end of the column that is named with less is no anchor."""

_NOTABLE_VARIANT = 0.2
"""From this probability on a reader should know that the column may be numbered otherwise."""

_SHOWN_PROBABILITY = 1e-3

_FITTED = ("temperature", "landmark_temperature", "outlier_probability", "shift_sd")
"""Settings of the ordered decoder that are fitted to a network and stand in its card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run on a scan.

    Args:
        locate: method that finds bodies; the one that the weights were trained for when None.
        identify: method that names them; "context" for the published weights, else "order" when None.
        weights: the set of weights: files named `<set>-vfr`, `<set>-appearance`, `<set>-context`.
        engine: what computes the networks.
        device: where.

    Raises:
        SettingError: a method that this version does not have.
    """

    locate: str | None = None
    identify: str | None = None
    weights: str = "spondyl"
    engine: Literal["auto", "torch", "openvino"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        if self.locate is None:
            trained_for = "vfr-patches" if self.weights == "spinenet-official" else "vfr"
            object.__setattr__(self, "locate", trained_for)
        if self.identify is None:
            object.__setattr__(self, "identify", "context" if self.weights == "spinenet-official" else "order")
        for stage, known in METHODS.items():
            if getattr(self, stage) not in known:
                raise SettingError(f"--{stage} must be one of {', '.join(known)}, got {getattr(self, stage)!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """The networks that a plan runs.

    Args:
        vfr: (n, 1, rows, columns) to (n, 13, rows, columns).
        appearance: crops to level logits.
        context: height-probability maps to refined ones.
        crops: what the appearance network looks at.
        heights: how the context network's maps are drawn.
        costs: the ordered decoder's settings where it reads the appearance network.
        context_costs: its settings where it reads the context network.
        taught: the levels that they were trained on, the uppermost and the lowest; None where that is every level.
        weights: what they were loaded from.
    """

    vfr: Network
    appearance: Network
    context: Network
    crops: CropGrid
    heights: HeightMapSettings = field(default_factory=HeightMapSettings)
    costs: OrderCosts = field(default_factory=OrderCosts)
    context_costs: OrderCosts = field(default_factory=OrderCosts)
    taught: tuple[Level, Level] | None = None
    weights: tuple[WeightsUsed, ...] = ()


@dataclass(slots=True)
class _Clock:
    """Times the stages and tells that they begin."""

    tell: Progress | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        if self.tell is not None:
            self.tell(name)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def analyze_file(
    path: Path,
    plan: Plan | None = None,
    *,
    modality: Modality | None = None,
    networks: Networks | None = None,
    tell: Progress | None = None,
) -> tuple[Findings, Volume]:
    """Read a scan and analyse it.

    Args:
        path: a file, folder or archive.
        plan: what to run; the default plan when None.
        modality: MR or CT where the caller knows it.
        networks: as `load_networks` gives them, for many scans in a row; loaded for this one when None.
        tell: hears the name of each stage as it begins.

    Returns:
        What was found, and the scan in which it was.

    Raises:
        InputError: nothing that can be read as one scan, or a scan that this version cannot analyse.
        WeightsError: the plan's weights are missing or damaged.
    """
    from spondyl.imaging.read import read_volume

    clock = _Clock(tell)
    with clock.stage("read"):
        volume = read_volume(path, modality=modality)
    return _analyze(volume, plan or Plan(), networks, clock), volume


def analyze(
    volume: Volume, plan: Plan | None = None, *, networks: Networks | None = None, tell: Progress | None = None
) -> Findings:
    """Analyse a scan that has been read; arguments and errors as for `analyze_file`."""
    return _analyze(volume, plan or Plan(), networks, _Clock(tell))


def load_networks(plan: Plan) -> Networks:
    """Load the plan's weights onto its engine.

    Raises:
        WeightsError: weights are missing or damaged.
        SettingError: an engine or device that this machine does not have.
    """
    from spondyl.engine.build import make_engine
    from spondyl.nets.cards import find_card

    cards = [find_card(f"{plan.weights}-{network}") for network in ("vfr", "appearance", "context")]
    vfr, appearance, context = (make_engine(card.name, plan.engine, plan.device) for card in cards)
    return Networks(
        vfr=vfr,
        appearance=appearance,
        context=context,
        crops=OFFICIAL if cards[1].preset == "spinenet" else COMPACT,
        heights=_heights(cards[2].settings),
        costs=_costs(cards[1].settings),
        context_costs=_costs(cards[2].settings),
        taught=_taught(cards[1].settings),
        weights=tuple(WeightsUsed(name=card.name, sha256=card.sha256) for card in cards),
    )


def _heights(settings: Mapping[str, Setting]) -> HeightMapSettings:
    """How a context network's card says its maps are drawn; as published where it is silent."""
    own = HeightMapSettings()
    return replace(own, temperature=float(settings.get("height_temperature", own.temperature)))


def _costs(settings: Mapping[str, Setting]) -> OrderCosts:
    """The decoder's settings that a network's card holds; the decoder's own where it is silent."""
    fitted = {name: float(settings[name]) for name in _FITTED if name in settings}
    return replace(OrderCosts(), **fitted)  # type: ignore[arg-type]  # all of these are numbers


def _taught(settings: Mapping[str, Setting]) -> tuple[Level, Level] | None:
    """The uppermost and the lowest level that an appearance network's card says it was taught."""
    if "uppermost_level" not in settings:
        return None
    return Level(str(settings["uppermost_level"])), Level(str(settings["lowest_level"]))


def _analyze(volume: Volume, plan: Plan, networks: Networks | None, clock: _Clock) -> Findings:
    if volume.modality is not Modality.MR:
        raise InputError("the scan is CT, and this version analyses MR only; --modality mr overrides a wrong guess")
    with clock.stage("sagittal"):
        stack, resampling = to_sagittal(volume.voxels, volume.affine)
    if networks is None:
        with clock.stage("networks"):
            networks = load_networks(plan)
    with clock.stage("locate"):
        instances = _locate(stack, plan, networks)
    vertebrae: tuple[Vertebra, ...] = ()
    warnings = (*volume.warnings, *resampling)
    if instances:
        with clock.stage("identify"):
            labelling = identify(stack, instances, networks, with_context=plan.identify == "context")
        vertebrae = _vertebrae(instances, labelling, stack, volume)
        warnings += _doubts(vertebrae, labelling, networks.taught)
    return Findings(
        software=Software(version=__version__, weights=networks.weights),
        input=volume.source,
        image=_grid(volume),
        vertebrae=vertebrae,
        warnings=(*dict.fromkeys(warnings), RESEARCH_USE),
        timing_s=clock.seconds,
    )


def _locate(stack: SagittalStack, plan: Plan, networks: Networks) -> tuple[VertebraInstance, ...]:
    from spondyl.locate.vfr import detect, detect_in_patches

    find = detect_in_patches if plan.locate == "vfr-patches" else detect
    return find(stack, networks.vfr)


def identify(
    stack: SagittalStack, instances: Sequence[VertebraInstance], networks: Networks, *, with_context: bool = False
) -> Labelling:
    """Name the vertebrae of a scan with a plan's networks, as `identify.context.label_instances` does.

    Args:
        stack: the scan.
        instances: its vertebrae; the answer keeps their order.
        networks: what to run, and how the decoder is set.
        with_context: whether the context network refines what the appearance network says.
    """
    from spondyl.identify.context import label_instances

    return label_instances(
        stack,
        instances,
        networks.appearance,
        networks.context if with_context else None,
        networks.context_costs if with_context else networks.costs,
        crops=networks.crops,
        heights=networks.heights,
    )


def _vertebrae(
    instances: tuple[VertebraInstance, ...], labelling: Labelling, stack: SagittalStack, volume: Volume
) -> tuple[Vertebra, ...]:
    """One vertebra for each candidate that was given a level."""
    return tuple(
        _vertebra(instance, level, labelling, number, stack, volume)
        for number, (instance, level) in enumerate(zip(instances, labelling.levels, strict=True))
        if level is not None
    )


def _vertebra(
    instance: VertebraInstance, level: Level, labelling: Labelling, number: int, stack: SagittalStack, volume: Volume
) -> Vertebra:
    slices = _input_slices(instance.slices, stack, volume.affine, volume.voxels.shape)
    outlines = instance.outlines_ras_mm(stack.affine)
    ascending = sorted(range(len(slices)), key=lambda place: slices[place])
    others = labelling.level_probabilities(number, _SHOWN_PROBABILITY)
    return Vertebra(
        level=level,
        level_probability=_unit(labelling.level_probability[number]),
        level_probabilities={other: _unit(probability) for other, probability in others.items()},
        detection_score=_unit(instance.score),
        centroid_mm=stack.affine.to_world(instance.centroid_index).tolist(),
        outline_mm=outlines[ascending].tolist(),
        slices=tuple(slices[place] for place in ascending),
    )


def _input_slices(
    slices: tuple[int, ...], stack: SagittalStack, affine: Affine, shape: tuple[int, ...]
) -> tuple[int, ...]:
    """The nearest index of each stack slice along the input's axis that runs most nearly from left to right."""
    axis = sagittal_axes(affine)[0]
    middle = (np.array(stack.voxels.shape[1:]) - 1) / 2
    centres = stack.affine.to_world([(number, *middle) for number in slices])
    indices = np.clip(np.rint(affine.to_index(centres)[:, axis]), 0, shape[axis] - 1)
    return tuple(int(index) for index in indices)


def _doubts(
    vertebrae: tuple[Vertebra, ...], labelling: Labelling, taught: tuple[Level, Level] | None
) -> tuple[str, ...]:
    """What a reader must know before trusting the levels."""
    doubts: tuple[str, ...] = ()
    if taught is not None:
        first, last = taught
        looks = {v.level: STAND_INS.get(v.level, v.level) for v in vertebrae}
        strange = [level for level, like in looks.items() if not first.rank <= like.rank <= last.rank]
        if strange:
            doubts += (
                f"{', '.join(strange)}: the weights were taught no level outside {first} to {last}, "
                "so these levels rest on the distances between vertebrae alone",
            )
    anchors = {v.level for v in vertebrae if v.level in _ANCHORS and v.level_probability >= _SURE_ANCHOR}
    if vertebrae and not anchors:
        doubts += (NO_ANCHOR,)
    for name, probability in labelling.numberings.items():
        if name != "regular" and probability >= _NOTABLE_VARIANT:
            verb = "seems to" if probability >= 0.5 else "may"
            doubts += (f"the column {verb} have {name}, probability {probability:.2f}",)
    return doubts


def _grid(volume: Volume) -> ImageGrid:
    i, j, k = volume.voxels.shape
    return ImageGrid(
        modality=volume.modality.value,
        shape=(i, j, k),
        spacing_mm=volume.affine.spacing_mm.tolist(),
        affine_ras=volume.affine.matrix.tolist(),
    )


def _unit(probability: float) -> float:
    """Within [0, 1], which sums of rounded numbers and regressed heat may leave by a hair."""
    return min(1.0, max(0.0, float(probability)))
