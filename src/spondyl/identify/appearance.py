"""The evidence of the appearance network, from which every method of identification starts.

A method is an `AppearanceIdentifier` with a `Namer` of its own. A namer takes only logits, positions and scores, not
images, so that it runs on simulated columns as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.errors import SettingError, WeightsError
from spondyl.geometry.instance import VertebraInstance, centroids_ras_mm
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.costs import OrderCosts
from spondyl.identify.crops import CROPS, CropGrid, appearance_crops
from spondyl.identify.disc_names import name_discs
from spondyl.identify.evidence import DISC_COLUMNS, OFFICIAL_COLUMNS
from spondyl.identify.misses import MissRates, measure_room
from spondyl.identify.weights import Detections
from spondyl.labelling import Labelling, Labellings, MarkSequence
from spondyl.nets.network import LoadedNetwork, Network
from spondyl.nets.settings import read_settings
from spondyl.reading import Candidates
from spondyl.stage import Structure
from spondyl.study import Study
from spondyl.types import Float, Index

__all__ = [
    "AppearanceIdentifier",
    "AppearanceSettings",
    "BodyEvidence",
    "ChainNamer",
    "Namer",
    "body_evidence",
    "find_discs",
    "open_appearance",
]

Mark = TypeVar("Mark", Level, Disc)


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyEvidence:
    """The evidence about n detected bodies that have no names yet, from head to foot.

    Args:
        logits: (n, columns) of the appearance network, columns as `OFFICIAL_COLUMNS`.
        positions_mm: (n, 3) centroids, mm, in any frame.
        scores: (n,) detection scores in [0, 1].
        tops_mm: (n,) upper edges, mm down from the top of the scan.
        bottoms_mm: (n,) lower edges.
        height_mm: of the scan.
        room_mm: (n, 2) distance that the column runs on above and below each body inside the scan, as `measure_room`.
    """

    logits: Float
    positions_mm: Float
    scores: Float
    tops_mm: Float
    bottoms_mm: Float
    height_mm: float
    room_mm: Float

    def to_detections(self, logits: Float | None = None) -> Detections:
        """Convert to the decoder's candidates, with other logits where they are given."""
        return Detections(
            log_probabilities=self.logits if logits is None else logits,
            scores=self.scores,
            positions_mm=self.positions_mm,
            depths_mm=np.maximum.accumulate((self.tops_mm + self.bottoms_mm) / 2),
            room_mm=self.room_mm,
        )


Namer = Callable[[BodyEvidence], Labelling[Level]]
"""A function that names bodies, at least one of them."""

ChainNamer = Callable[[BodyEvidence | None, Detections], Labellings]
"""A function that names bodies and discs as one chain, at least one disc; None where no body was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppearanceSettings:
    """The settings in the card of an appearance network.

    Args:
        uppermost_level: the uppermost level that the network was trained on.
        lowest_level: the lowest one.
        temperature: see `OrderCosts`.
        landmark_temperature: see `OrderCosts`.
        outlier_probability: see `OrderCosts`.
        miss_c2, miss_cervical, miss_thoracic, miss_lumbar, miss_s1: see `MissRates`; of the detector that finds the
            bodies for this network.
        shift_sd: see `OrderCosts`.
    """

    uppermost_level: str
    lowest_level: str
    temperature: float
    landmark_temperature: float
    outlier_probability: float
    miss_c2: float
    miss_cervical: float
    miss_thoracic: float
    miss_lumbar: float
    miss_s1: float
    shift_sd: float = 0.0

    @property
    def trained_levels(self) -> tuple[Level, Level]:
        """The uppermost and the lowest level that the network was trained on."""
        return Level(self.uppermost_level), Level(self.lowest_level)

    @property
    def misses(self) -> MissRates:
        """The share of bodies that are not detected."""
        return MissRates(
            c2=self.miss_c2,
            cervical=self.miss_cervical,
            thoracic=self.miss_thoracic,
            lumbar=self.miss_lumbar,
            s1=self.miss_s1,
        )

    @property
    def costs(self) -> OrderCosts:
        """The settings of the ordered decoder for this network."""
        return OrderCosts(
            temperature=self.temperature,
            landmark_temperature=self.landmark_temperature,
            outlier_probability=self.outlier_probability,
            shift_sd=self.shift_sd,
            misses=self.misses,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AppearanceIdentifier:
    """Names vertebrae by the appearance network and a namer, and discs with them or by the vertebrae on either side.

    Args:
        appearance: crops (n, 1, size, size, slices) to logits (n, columns).
        crops: size and extent of the crops, as the network was trained.
        namer: names the bodies.
        chain_namer: names bodies and discs together where there are discs; None where the method cannot.
        trained_levels: the uppermost and the lowest level that the network was trained on.
    """

    appearance: Network
    crops: CropGrid
    namer: Namer
    chain_namer: ChainNamer | None = None
    trained_levels: tuple[Level, Level] | None = None

    def __call__(self, study: Study, candidates: Mapping[Structure, Candidates]) -> Labellings:
        """Name the candidates; those for vertebrae need outlines.

        Raises:
            SettingError: the network returns another shape.
        """
        stack, bodies, discs = study.sagittal, candidates.get(Structure.VERTEBRA), candidates.get(Structure.DISC)
        evidence, order = None, np.zeros(0, dtype=np.intp)
        if bodies is not None and len(bodies):
            order = np.argsort([body.centroid_index[1] for body in bodies.bodies], kind="stable")
            evidence = body_evidence(stack, [bodies.bodies[i] for i in order], self.appearance, self.crops)
        if discs is None or not len(discs):
            return self._finish(Labellings(vertebrae=None if evidence is None else self.namer(evidence)), order)
        # a scan in which bodies were sought and none was found, of a head or a knee, shows no disc either
        if self.chain_namer is not None and (bodies is None or evidence is not None):
            found, disc_order = find_discs(stack, discs)
            return self._finish(self.chain_namer(evidence, found), order, disc_order)
        named = self._finish(Labellings(vertebrae=None if evidence is None else self.namer(evidence)), order)
        return replace(named, discs=name_discs(discs, bodies, named.vertebrae))

    def _finish(self, named: Labellings, order: Index, disc_order: Index | None = None) -> Labellings:
        """Put the names of candidates, which were sorted from head to foot, in the order of the candidates."""
        vertebrae, discs = named.vertebrae, named.discs
        if vertebrae is not None:
            vertebrae = _reorder(replace(vertebrae, trained_levels=self.trained_levels), np.argsort(order))
        if discs is not None and disc_order is not None:
            discs = _reorder(discs, np.argsort(disc_order))
        return Labellings(vertebrae=vertebrae, discs=discs)


def open_appearance(
    networks: Mapping[str, LoadedNetwork], namer: Namer, chain_namer: ChainNamer | None = None
) -> AppearanceIdentifier:
    """Make an identifier from the appearance network of a plan and a namer.

    Raises:
        WeightsError: the card of the network lacks a setting, or its preset has no crops.
    """
    network = networks["appearance"]
    settings = read_settings(network.card, AppearanceSettings)
    if network.card.preset not in CROPS:
        raise WeightsError(f"no crops are known for appearance networks of preset {network.card.preset!r}")
    return AppearanceIdentifier(
        appearance=network.run,
        crops=CROPS[network.card.preset],
        namer=namer,
        chain_namer=chain_namer,
        trained_levels=settings.trained_levels,
    )


def body_evidence(
    stack: SagittalStack, bodies: Sequence[VertebraInstance], appearance: Network, crops: CropGrid
) -> BodyEvidence:
    """Run the appearance network on n bodies, given from head to foot.

    Raises:
        SettingError: the network returns another shape than (n, columns).
    """
    logits = appearance(appearance_crops(stack, bodies, crops)[:, None])
    if logits.shape != (len(bodies), len(OFFICIAL_COLUMNS)):
        raise SettingError(
            f"the appearance network must return ({len(bodies)}, {len(OFFICIAL_COLUMNS)}), got {logits.shape}"
        )
    row_mm = float(stack.pixel_mm[0])
    edges = (np.array([body.middle_outline[:, 0] for body in bodies]) + 0.5) * row_mm
    return BodyEvidence(
        logits=np.asarray(logits, dtype=np.float64),
        positions_mm=centroids_ras_mm(bodies),
        scores=np.array([body.score for body in bodies]),
        tops_mm=edges.min(axis=1),
        bottoms_mm=edges.max(axis=1),
        height_mm=stack.voxels.shape[1] * row_mm,
        room_mm=_measure_room(stack, np.array([body.centroid_index for body in bodies]).reshape(-1, 3)),
    )


def find_discs(stack: SagittalStack, discs: Candidates) -> tuple[Detections, Index]:
    """Convert candidates for discs to the decoder's, sorted from head to foot, and return the order."""
    centres = stack.affine.to_index(discs.centres_ras_mm)
    order = np.argsort(centres[:, 1], kind="stable")
    logits = np.zeros((len(discs), len(DISC_COLUMNS))) if discs.logits is None else discs.logits
    found = Detections(
        log_probabilities=logits[order],
        scores=discs.scores[order],
        positions_mm=discs.centres_ras_mm[order],
        depths_mm=(centres[order, 1] + 0.5) * float(stack.pixel_mm[0]),
        room_mm=_measure_room(stack, centres[order]),
    )
    return found, order


def _measure_room(stack: SagittalStack, centres: Float) -> Float:
    """Measure the room between centres, as indices (n, 3), and the edges; bodies may reach into slices beside them."""
    spacing = stack.affine.spacing_mm
    low, high = -0.5 * spacing, (np.array(stack.voxels.shape) - 0.5) * spacing
    beside = (_HALF_WIDTH_MM, 0, 0)
    return measure_room(centres * spacing, low - beside, high + beside)


_HALF_WIDTH_MM = 20.0
"""Half the width of a lumbar body, which slices to one side of its centre still show."""


def _reorder(labelling: Labelling[Mark], places: Index) -> Labelling[Mark]:
    """Put candidate `places[i]` of a labelling at place i."""
    sequences = tuple(
        MarkSequence(levels=tuple(s.levels[i] for i in places), log_probability=s.log_probability)
        for s in labelling.sequences
    )
    return replace(
        labelling, sequences=sequences, marginals=labelling.marginals[places], rejected=labelling.rejected[places]
    )
