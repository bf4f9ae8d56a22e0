"""The values that stages pass on: candidates, labellings, and the reading that collects them.

The types of the stages' functions stand at the end of the file. Every value is frozen; a stage returns a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from spondyl.errors import SettingError
from spondyl.findings import Measurement
from spondyl.geometry.instance import VertebraInstance, centroids_ras_mm
from spondyl.geometry.points import Landmarks
from spondyl.labelling import Labellings
from spondyl.stage import Structure
from spondyl.study import Study
from spondyl.types import Float

__all__ = ["Candidates", "Identify", "Locate", "Measure", "Reading", "Refine"]


_DISCS = 23
"""The discs of a regular spine that networks locate, C2/C3 to L5/S1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Detections of one kind of structure that have no names yet, from head to foot.

    Args:
        structure: what they may be.
        centres: their n middles, with detection scores.
        bodies: their outlines in the sagittal stack, one for each candidate; empty where the method gives none.
        posterior_ras_mm: (n, 3) posterior edges of discs; None where the method gives none.
        logits: (n, 23) evidence of the level of discs, C2/C3 to L5/S1, nats; rows need not be normalised. None where
            the method gives none.

    Raises:
        SettingError: the numbers of centres, outlines, edges and rows of evidence disagree.
    """

    structure: Structure
    centres: Landmarks
    bodies: tuple[VertebraInstance, ...] = ()
    posterior_ras_mm: Float | None = None
    logits: Float | None = None

    def __post_init__(self) -> None:
        n = len(self.centres)
        edges = self.centres_ras_mm if self.posterior_ras_mm is None else self.posterior_ras_mm
        if edges.shape != (n, 3) or len(self.bodies) not in (0, n):
            raise SettingError(
                f"{n} candidates need as many edges and outlines, got {len(edges)} and {len(self.bodies)}"
            )
        if self.logits is not None and self.logits.shape != (n, _DISCS):
            raise SettingError(f"{n} candidates need evidence of shape ({n}, {_DISCS}), got {self.logits.shape}")

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def centres_ras_mm(self) -> Float:
        """The middles of the candidates, (n, 3) RAS mm."""
        return self.centres.points_ras_mm

    @property
    def scores(self) -> Float:
        """The detection scores of the candidates, (n,) in [0, 1]."""
        return self.centres.scores

    @classmethod
    def from_bodies(cls, bodies: Sequence[VertebraInstance]) -> Self:
        """Make candidates for vertebrae from the outlines of bodies in one sagittal stack."""
        centres = Landmarks(points_ras_mm=centroids_ras_mm(bodies), scores=np.array([body.score for body in bodies]))
        return cls(structure=Structure.VERTEBRA, centres=centres, bodies=tuple(bodies))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The results of the stages on a study so far.

    Args:
        study: the scan.
        candidates: what was located, by structure.
        labellings: the names of the candidates.
        measurements: what was measured.
    """

    study: Study
    candidates: Mapping[Structure, Candidates] = field(default_factory=dict)
    labellings: Labellings = field(default_factory=Labellings)
    measurements: tuple[Measurement, ...] = ()


Locate = Callable[[Study], Candidates]
Refine = Callable[[Study, Candidates], Candidates]
Identify = Callable[[Study, Mapping[Structure, Candidates]], Labellings]
Measure = Callable[[Reading], tuple[Measurement, ...]]
