"""A phantom made from its options: a patient is drawn, then scanned.

Every stage has its own random numbers, so that the same seed gives the same patient in every modality, field of view
and sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.imaging.volume import Modality, Volume
from spondyl.phantom.column.column import Column, ColumnPlan, place_column
from spondyl.phantom.column.draw import draw_plan
from spondyl.phantom.options import PhantomOptions
from spondyl.phantom.pathology.draw import apply_slip, draw_fracture, draw_pathology
from spondyl.phantom.pathology.pathology import Pathology, apply_pathology
from spondyl.phantom.scanner.ct import acquire_ct
from spondyl.phantom.scanner.draw import draw_ct_protocol, draw_mr_protocol
from spondyl.phantom.scanner.mr import acquire_mr
from spondyl.phantom.scanner.partial_volume import find_supersampling
from spondyl.phantom.scanner.protocol import CtProtocol, GridShape, MrProtocol
from spondyl.phantom.scene.scene import PaintGrid, PartIds, Scene, voxelise
from spondyl.phantom.spine.spine import build_scene
from spondyl.phantom.surroundings.surroundings import draw_surroundings
from spondyl.phantom.truth import PhantomTruth, collect_truth, make_masks

__all__ = ["Patient", "Phantom", "draw_protocol", "make_paint_grid", "make_patient", "make_phantom", "scan_patient"]

_PLAN, _PATHOLOGY, _REQUESTS, _SURROUNDINGS, _SHAPE, _PROTOCOL, _ACQUISITION = range(7)
"""The stages that draw; a number is never reused, or patients would change."""

_THIN_MM = 2.0
"""The slice thickness up to which slices are painted once; thicker ones have three layers, as a body's wall bends."""

_CT_PAINT_MM = 1.0
"""The spacing at which CT is painted; with a finer one a whole spine would not fit into the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A patient before any scan.

    Args:
        column: the column, placed, as its pathology changes it.
        pathology: pathology of the spine.
        scene: solids to paint.
    """

    column: Column
    pathology: Pathology
    scene: Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """A synthetic scan with its truth.

    Args:
        volume: the scan; MR in the order of a sagittal stack, CT with axes to left, posterior and superior.
        truth: truth of the scan.
        protocol: protocol of the scan.
        options: options it was made from.
    """

    volume: Volume
    truth: PhantomTruth
    protocol: MrProtocol | CtProtocol
    options: PhantomOptions


def make_phantom(options: PhantomOptions) -> Phantom:
    """Draw a patient and scan it; the same options give the same phantom.

    Raises:
        SettingError: requested pathology is in a vertebra that this patient or this field of view lacks.
    """
    return scan_patient(make_patient(options), options)


def make_patient(options: PhantomOptions) -> Patient:
    """Draw a patient.

    Args:
        options: options, of which those of the scan do not matter.

    Raises:
        SettingError: requested pathology is in a vertebra that this patient lacks.
    """
    plan = draw_plan(
        _stage_rng(options, _PLAN),
        numbering=options.variant.numbering if options.variant else None,
        transition=options.variant.transition if options.variant else None,
        scoliosis_cobb_deg=options.scoliosis_cobb_deg,
    )
    drawn = draw_pathology(_stage_rng(options, _PATHOLOGY), plan, severity=options.severity, screws=options.screws)
    pathology = _add_requested(drawn, plan, options)
    column = place_column(apply_pathology(plan, pathology))
    surroundings = draw_surroundings(column, _stage_rng(options, _SURROUNDINGS))
    return Patient(
        column=column,
        pathology=pathology,
        scene=build_scene(column, pathology, surroundings, _stage_rng(options, _SHAPE)),
    )


def scan_patient(patient: Patient, options: PhantomOptions) -> Phantom:
    """Scan a patient.

    Args:
        patient: patient drawn with these or other options.
        options: options, of which only those of the scan matter.

    Raises:
        SettingError: requested pathology is in a vertebra that this scan does not show.
    """
    protocol = draw_protocol(patient, options)
    ids = voxelise(patient.scene, make_paint_grid(protocol))
    masks = make_masks(_find_centres_in_view(ids, protocol), patient.scene.parts, patient.column.plan.transition)
    truth = collect_truth(patient.column, patient.pathology, protocol.affine, masks)
    _require_in_view(truth, options)
    return Phantom(
        volume=_make_volume(_acquire(ids, patient.scene, protocol, options), protocol.affine, options),
        truth=truth,
        protocol=protocol,
        options=options,
    )


def _stage_rng(options: PhantomOptions, stage: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(options.seed, spawn_key=(stage,)))


def _add_requested(drawn: Pathology, plan: ColumnPlan, options: PhantomOptions) -> Pathology:
    """Add the requested pathology to the drawn one."""
    rng, levels = _stage_rng(options, _REQUESTS), plan.numbering.levels
    discs, fractures = dict(drawn.discs), dict(drawn.fractures)
    for fracture in options.fractures:
        if fracture.level not in levels:
            raise SettingError(f"fracture must be in a vertebra that this patient has, got {fracture.level}")
        fractures[fracture.level] = draw_fracture(rng, kind=fracture.kind, grade=fracture.grade)
    for slip in options.slips:
        if slip.disc not in discs:
            raise SettingError(f"slip must be at a disc that this patient has, got {slip.disc}")
        canal_depth_mm = plan.sizes[levels.index(slip.disc.lower)].canal_depth_mm
        discs[slip.disc] = apply_slip(discs[slip.disc], slip.slip_mm, canal_depth_mm)
    return replace(drawn, discs=discs, fractures=fractures)


def _require_in_view(truth: PhantomTruth, options: PhantomOptions) -> None:
    """Refuse pathology that the scan does not show.

    Raises:
        SettingError: a requested vertebra lies outside the scan.
    """
    seen = {vertebra.level for vertebra in truth.vertebrae}
    requested = [("fracture", fracture.level) for fracture in options.fractures]
    requested += [("slip", slip.disc.upper) for slip in options.slips]
    requested += [("screws", level) for level in options.screws or ()]
    for name, level in requested:
        if level not in seen:
            ends = f"{truth.vertebrae[0].level} to {truth.vertebrae[-1].level}" if truth.vertebrae else "nothing"
            raise SettingError(f"{name} must be in the field of view, which shows {ends}, got {level}")


def draw_protocol(patient: Patient, options: PhantomOptions) -> MrProtocol | CtProtocol:
    """Draw the protocol of a scan with these options."""
    rng = _stage_rng(options, _PROTOCOL)
    if options.modality is Modality.CT:
        return draw_ct_protocol(
            rng, patient.column, options.field, spacing_mm=options.spacing_mm, is_varied=options.is_varied
        )
    return draw_mr_protocol(
        rng,
        patient.column,
        options.field,
        sequence=options.sequence,
        spacing_mm=options.spacing_mm,
        is_varied=options.is_varied,
    )


def make_paint_grid(protocol: MrProtocol | CtProtocol) -> PaintGrid:
    """Make the grid to paint on: MR pixels in four, thick slices in three layers; CT at about a millimetre."""
    if isinstance(protocol, CtProtocol):
        i, j, k = np.maximum(1, np.rint(protocol.affine.spacing_mm / _CT_PAINT_MM)).astype(int).tolist()
        return PaintGrid(affine=protocol.affine, shape=protocol.shape, supersampling=(i, j, k))
    excited = protocol.excited
    return PaintGrid(
        affine=excited.affine,
        shape=excited.shape,
        supersampling=(3 if protocol.slice_mm > _THIN_MM else 1, 2, 2),
        filled=min(1.0, protocol.slice_mm / float(protocol.affine.spacing_mm[0])),
    )


def _acquire(
    ids: PartIds, scene: Scene, protocol: MrProtocol | CtProtocol, options: PhantomOptions
) -> NDArray[np.float32]:
    rng = _stage_rng(options, _ACQUISITION)
    if isinstance(protocol, CtProtocol):
        return acquire_ct(ids, scene.parts, protocol, rng)
    return acquire_mr(ids, scene.parts, protocol, rng)


def _make_volume(voxels: NDArray[np.float32], affine: Affine, options: PhantomOptions) -> Volume:
    source: dict[str, str | int | float] = {"format": "phantom", "seed": options.seed}
    return Volume(voxels=voxels, affine=affine, modality=options.modality, source=source)


def _find_centres_in_view(ids: PartIds, protocol: MrProtocol | CtProtocol) -> PartIds:
    """Find the part in the middle of each voxel of the image, without tissue that only wraps around into it."""
    if isinstance(protocol, CtProtocol):
        return _vote_centres(ids, protocol.shape)
    inner = tuple(slice(beyond, -beyond or None) for beyond in protocol.margin)
    return _vote_centres(ids, protocol.excited.shape)[inner]


def _vote_centres(ids: PartIds, shape: GridShape) -> PartIds:
    """Find the part in the middle of each voxel: the most frequent one among the sub-voxels around the middle."""
    steps = find_supersampling(ids.shape, shape)
    starts = product(*(_find_middle(step) for step in steps))
    around = [ids[a :: steps[0], b :: steps[1], c :: steps[2]] for a, b, c in starts]
    centres = around[0].copy()
    differs = np.logical_or.reduce([ids_around != centres for ids_around in around])
    rivals = np.stack([ids_around[differs] for ids_around in around])
    votes = np.stack([(rivals == rival).sum(axis=0) for rival in rivals])
    centres[differs] = np.take_along_axis(rivals, votes.argmax(axis=0)[None], axis=0)[0]
    return centres


def _find_middle(factor: int) -> tuple[int, ...]:
    """Return the middle one or two of this many sub-voxels."""
    return (factor // 2,) if factor % 2 else (factor // 2 - 1, factor // 2)
