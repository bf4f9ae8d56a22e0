"""Identification as the published SpineNetV2 program does it, for the published weights."""

from __future__ import annotations

from collections.abc import Mapping

from spondyl.identify.disc_names import name_discs
from spondyl.identify.published import label
from spondyl.labelling import Labellings
from spondyl.nets.network import LoadedNetwork
from spondyl.reading import Candidates, Identify
from spondyl.stage import Structure
from spondyl.study import Study

__all__ = ["open_published"]


def open_published(networks: Mapping[str, LoadedNetwork]) -> Identify:
    """Open the method; the networks must be of the published size."""
    appearance, context = (networks[role].require_preset("spinenet").run for role in ("appearance", "context"))

    def identify(study: Study, candidates: Mapping[Structure, Candidates]) -> Labellings:
        bodies, discs = candidates.get(Structure.VERTEBRA), candidates.get(Structure.DISC)
        vertebrae = None
        if bodies is not None and len(bodies):
            vertebrae = label(study.sagittal, bodies.bodies, appearance, context)
        named = None if discs is None or not len(discs) else name_discs(discs, bodies, vertebrae)
        return Labellings(vertebrae=vertebrae, discs=named)

    return identify
