"""The truth of a phantom as JSON, schema `spondyl.phantom/1`: points in RAS mm, levels by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TypeAlias

import numpy as np

from spondyl import __version__
from spondyl.geometry.affine import Affine, Float
from spondyl.phantom.options import PhantomOptions, format_sequence
from spondyl.phantom.patient import Phantom
from spondyl.phantom.scanner.protocol import CtProtocol, MrProtocol
from spondyl.phantom.truth import DiscTruth, PhantomTruth, VertebraTruth

__all__ = ["SCHEMA", "format_truth"]

SCHEMA = "spondyl.phantom/1"

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"

_DECIMALS = 3  # a micrometre


def format_truth(phantom: Phantom, affine: Affine, shape: tuple[int, ...]) -> str:
    """Format the truth of a phantom as JSON, without its masks.

    `centroids_ras_mm` lists the bodies in view by level, as `spondyl evaluate` reads a truth.

    Args:
        phantom: phantom with its truth.
        affine, shape: grid of the scan as its file holds it.
    """
    truth = phantom.truth
    document: dict[str, Json] = {
        "schema": SCHEMA,
        "software": {"version": __version__},
        "options": _format_options(phantom.options),
        "image": {
            "modality": str(phantom.options.modality),
            "shape": list(shape),
            "spacing_mm": _to_numbers(affine.spacing_mm),
            "affine_ras": affine.matrix.tolist(),
            "protocol": _format_protocol(phantom.protocol),
        },
        "numbering": truth.numbering,
        "transition": str(truth.transition),
        "curves": {name: round(angle, _DECIMALS) for name, angle in asdict(truth.angles).items()},
        "centroids_ras_mm": {
            vertebra.level: _to_numbers(vertebra.centroid_ras_mm)
            for vertebra in truth.vertebrae
            if vertebra.instance is not None
        },
        "vertebrae": [_format_vertebra(vertebra, truth) for vertebra in truth.vertebrae],
        "discs": [_format_disc(disc) for disc in truth.discs],
    }
    return json.dumps(document, indent=1) + "\n"


def _format_vertebra(vertebra: VertebraTruth, truth: PhantomTruth) -> Json:
    instance = vertebra.instance
    outlines = [] if instance is None else _to_numbers(instance.outlines_ras_mm)
    return {
        "level": vertebra.level,
        "is_whole": vertebra.is_whole,
        "centroid_mm": _to_numbers(vertebra.centroid_ras_mm),
        "corners_mm": _to_numbers(vertebra.corners_ras_mm),
        "pedicles_mm": None if vertebra.pedicles_ras_mm is None else _to_numbers(vertebra.pedicles_ras_mm),
        "slices": [] if instance is None else list(instance.slices),
        "outline_mm": outlines,
        "fracture": None if vertebra.fracture is None else _round_values(asdict(vertebra.fracture)),
        "has_screws": vertebra.has_screws,
    }


def _format_disc(disc: DiscTruth) -> Json:
    return {
        "level": str(disc.disc),
        "centre_mm": _to_numbers(disc.centre_ras_mm),
        "posterior_edge_mm": _to_numbers(disc.posterior_edge_ras_mm),
        **_round_values(asdict(disc.state)),
    }


def _format_options(options: PhantomOptions) -> Json:
    """Format the options in the words of the command line."""
    return {
        "seed": options.seed,
        "modality": str(options.modality),
        "fov": str(options.field),
        "sequence": None if options.sequence is None else format_sequence(options.sequence),
        "spacing_mm": options.spacing_mm,
        "variant": options.variant,
        "cobb_deg": options.scoliosis_cobb_deg,
        "severity": options.severity,
        "fractures": [str(fracture) for fracture in options.fractures],
        "slips": [str(slip) for slip in options.slips],
        "screws": None if options.screws is None else list(options.screws),
        "is_varied": options.is_varied,
    }


def _format_protocol(protocol: MrProtocol | CtProtocol) -> Json:
    if isinstance(protocol, CtProtocol):
        return {"kernel": str(protocol.kernel), "noise_hu": round(protocol.noise_hu, _DECIMALS)}
    contrast = _round_values(asdict(protocol.contrast))
    return {**contrast, "slice_mm": round(protocol.slice_mm, _DECIMALS)}


def _round_values(values: Mapping[str, Json]) -> dict[str, Json]:
    """Round the numbers, also nested ones."""
    return {name: _round(value) for name, value in values.items()}


def _round(value: Json) -> Json:
    if isinstance(value, float):
        return round(value, _DECIMALS)
    if isinstance(value, Mapping):
        return _round_values(value)
    return [_round(item) for item in value] if isinstance(value, tuple) else value


def _to_numbers(points: Float | Iterable[float]) -> Json:
    values: Json = (np.round(np.asarray(points), _DECIMALS) + 0.0).tolist()
    return values
