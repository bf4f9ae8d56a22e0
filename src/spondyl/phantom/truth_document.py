"""The truth of a phantom as JSON, schema `spondyl.phantom/1`: points in RAS mm, levels by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TypeAlias

import numpy as np

from spondyl import __version__
from spondyl.geometry.affine import Affine, Float
from spondyl.phantom.options import PhantomOptions, sequence_name
from spondyl.phantom.patient import Phantom
from spondyl.phantom.protocol import CtProtocol, MrProtocol
from spondyl.phantom.truth import DiscTruth, PhantomTruth, VertebraTruth

__all__ = ["SCHEMA", "truth_json"]

SCHEMA = "spondyl.phantom/1"

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"

_DECIMALS = 3  # a micrometre


def truth_json(phantom: Phantom, affine: Affine, shape: tuple[int, ...]) -> str:
    """Write down everything that is true of a phantom but its masks.

    `centroids_ras_mm` lists the bodies in view by level, as `spondyl evaluate` reads a truth.

    Args:
        phantom: of which the truth is.
        affine, shape: of the scan as its file holds it.
    """
    truth = phantom.truth
    document: dict[str, Json] = {
        "schema": SCHEMA,
        "software": {"version": __version__},
        "options": _options(phantom.options),
        "image": {
            "modality": str(phantom.options.modality),
            "shape": list(shape),
            "spacing_mm": _numbers(affine.spacing_mm),
            "affine_ras": affine.matrix.tolist(),
            "protocol": _protocol(phantom.protocol),
        },
        "numbering": truth.numbering,
        "transition": str(truth.transition),
        "curves": {name: round(angle, _DECIMALS) for name, angle in asdict(truth.angles).items()},
        "centroids_ras_mm": {
            vertebra.level: _numbers(vertebra.centroid_ras_mm)
            for vertebra in truth.vertebrae
            if vertebra.instance is not None
        },
        "vertebrae": [_vertebra(vertebra, truth) for vertebra in truth.vertebrae],
        "discs": [_disc(disc) for disc in truth.discs],
    }
    return json.dumps(document, indent=1) + "\n"


def _vertebra(vertebra: VertebraTruth, truth: PhantomTruth) -> Json:
    instance = vertebra.instance
    outlines = [] if instance is None else _numbers(instance.outlines_ras_mm)
    return {
        "level": vertebra.level,
        "is_whole": vertebra.is_whole,
        "centroid_mm": _numbers(vertebra.centroid_ras_mm),
        "corners_mm": _numbers(vertebra.corners_ras_mm),
        "pedicles_mm": None if vertebra.pedicles_ras_mm is None else _numbers(vertebra.pedicles_ras_mm),
        "slices": [] if instance is None else list(instance.slices),
        "outline_mm": outlines,
        "fracture": None if vertebra.fracture is None else _rounded(asdict(vertebra.fracture)),
        "has_screws": vertebra.has_screws,
    }


def _disc(disc: DiscTruth) -> Json:
    return {
        "level": str(disc.disc),
        "centre_mm": _numbers(disc.centre_ras_mm),
        "posterior_edge_mm": _numbers(disc.posterior_edge_ras_mm),
        **_rounded(asdict(disc.state)),
    }


def _options(options: PhantomOptions) -> Json:
    """What was asked for, in the words of the command line."""
    return {
        "seed": options.seed,
        "modality": str(options.modality),
        "fov": str(options.field),
        "sequence": None if options.sequence is None else sequence_name(options.sequence),
        "spacing_mm": options.spacing_mm,
        "variant": options.variant,
        "cobb_deg": options.scoliosis_cobb_deg,
        "severity": options.severity,
        "fractures": [str(wish) for wish in options.fractures],
        "slips": [str(wish) for wish in options.slips],
        "screws": None if options.screws is None else list(options.screws),
        "is_varied": options.is_varied,
    }


def _protocol(protocol: MrProtocol | CtProtocol) -> Json:
    if isinstance(protocol, CtProtocol):
        return {"kernel": str(protocol.kernel), "noise_hu": round(protocol.noise_hu, _DECIMALS)}
    contrast = _rounded(asdict(protocol.contrast))
    return {**contrast, "slice_mm": round(protocol.slice_mm, _DECIMALS)}


def _rounded(values: Mapping[str, Json]) -> dict[str, Json]:
    """The same with rounded numbers, also in what is nested."""
    return {name: _round(value) for name, value in values.items()}


def _round(value: Json) -> Json:
    if isinstance(value, float):
        return round(value, _DECIMALS)
    if isinstance(value, Mapping):
        return _rounded(value)
    return [_round(item) for item in value] if isinstance(value, tuple) else value


def _numbers(points: Float | Iterable[float]) -> Json:
    values: Json = (np.round(np.asarray(points), _DECIMALS) + 0.0).tolist()
    return values
