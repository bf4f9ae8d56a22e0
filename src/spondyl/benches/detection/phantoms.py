"""Detection and naming on fresh phantoms of every field of view: what `spondyl bench spinenet-detection` adds to it.

Phantoms show what the few real exams at hand do not: necks, chests, whole spines, numbering variants, and the truth of
every level.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import reduce
from itertools import chain, cycle, repeat
from multiprocessing import get_context
from operator import add

from spondyl.anatomy.landmarks import is_detected, variant_is_identifiable
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import NUMBERINGS
from spondyl.benches.comparison import COMPARED, DEFAULT, load_comparison
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.stack import SagittalStack
from spondyl.metrics.calibration import calibration_line
from spondyl.metrics.naming import RECOGNISED, VariantTally, claims
from spondyl.metrics.tables import SCORE_HEADER, markdown_table, score_cells
from spondyl.metrics.vertebrae import VertebraScore, score_vertebrae
from spondyl.phantom.options import IDENTIFIABLE_VARIANTS, PhantomOptions, Variant
from spondyl.phantom.patient import make_phantom
from spondyl.phantom.scanner.protocol import FieldOfView
from spondyl.plan import Plan
from spondyl.stage import Structure
from spondyl.study import Study

__all__ = [
    "PatientMeasure",
    "fresh_phantoms",
    "measure_phantoms",
    "phantom_bench",
    "phantom_tables",
    "variant_line",
    "variant_phantoms",
]

_FRESH = 1_000_000
"""First seed of the phantoms that are measured; recipes train on small ones."""

PATIENTS, ODD_PATIENTS = 100, 60

_VARIANTS = tuple(
    (variant, field)
    for field in (FieldOfView.WHOLE, FieldOfView.LUMBAR)
    for variant in Variant
    if variant in IDENTIFIABLE_VARIANTS[field]
)
"""Numbering variants, each in every field of view that can tell it."""

_NUMBERINGS = {numbering.name: numbering for numbering in NUMBERINGS}


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientMeasure:
    """What was found in one phantom.

    Args:
        field: what the scan was meant to show.
        scores: by method.
        claims: probability of each level that the default method gave, and whether it is right.
        has_anchor: whether C2 or S1 is in view.
        tally: whether its numbering was recognised, where the scan can tell.
    """

    field: FieldOfView
    scores: Mapping[str, VertebraScore]
    claims: tuple[tuple[float, bool], ...]
    has_anchor: bool
    tally: VariantTally


def fresh_phantoms(field: FieldOfView, count: int, *, first_seed: int = _FRESH) -> list[PhantomOptions]:
    """Phantoms that no recipe has seen, in all kinds of scans of one field of view."""
    return [PhantomOptions(seed=first_seed + number, field=field, is_varied=True) for number in range(count)]


def variant_phantoms(count: int, *, first_seed: int = 2 * _FRESH) -> list[PhantomOptions]:
    """Patients with an odd numbering, each in turn, in fields of view that can tell it."""
    turns = zip(range(first_seed, first_seed + count), cycle(_VARIANTS), strict=False)
    return [PhantomOptions(seed=seed, field=field, variant=variant) for seed, (variant, field) in turns]


def measure_phantoms(options: Sequence[PhantomOptions], plan: Plan | None = None) -> list[PatientMeasure]:
    """Make phantoms, find and name their vertebrae by every method, and compare with the truth, on all processors.

    Raises:
        WeightsError: the plan's weights are missing or damaged.
    """
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(_measure, options, repeat(plan or Plan())))


def _measure(options: PhantomOptions, plan: Plan) -> PatientMeasure:
    phantom = make_phantom(options)
    stack = SagittalStack(voxels=phantom.volume.voxels, affine=phantom.volume.affine)
    shown = {v.level: v.instance for v in phantom.truth.vertebrae if v.instance is not None}
    whole = {v.level: shown[v.level] for v in phantom.truth.vertebrae if v.is_whole and is_detected(v.level)}
    readings = load_comparison(plan).readings(Study.from_sagittal(stack))
    found = readings[DEFAULT].candidates[Structure.VERTEBRA].bodies
    labellings = {name: reading.labellings.vertebrae for name, reading in readings.items()}
    labelling = labellings[DEFAULT]
    numbering = _NUMBERINGS[phantom.truth.numbering]
    telling = labelling is not None and variant_is_identifiable(numbering, whole)
    return PatientMeasure(
        field=options.field,
        scores={
            name: score_vertebrae(whole, found, () if one is None else one.levels) for name, one in labellings.items()
        },
        claims=() if labelling is None else tuple(claims(labelling, tuple(_level_of(body, shown) for body in found))),
        has_anchor=labelling is not None and (Level.C2 in whole or Level.S1 in whole),
        tally=VariantTally.of(labelling, numbering) if labelling is not None and telling else VariantTally(),
    )


def _level_of(body: VertebraInstance, shown: Mapping[Level, VertebraInstance]) -> Level | None:
    """The vertebra whose middle a detection holds."""
    for level, true in shown.items():
        if score_vertebrae({level: true}, [body], [level]).found:
            return level
    return None


def phantom_bench(plan: Plan, *, patients: int = PATIENTS, odd: int = ODD_PATIENTS) -> str:
    """Measure on fresh phantoms.

    Args:
        plan: what to measure.
        patients: of each field of view.
        odd: further ones that all have a numbering variant; they count for nothing else.

    Returns:
        Markdown.

    Raises:
        WeightsError: the plan's weights are missing or damaged.
    """
    options = [one for field in FieldOfView for one in fresh_phantoms(field, patients)]
    measures = measure_phantoms([*options, *variant_phantoms(odd)], plan)
    tally = reduce(add, (measure.tally for measure in measures))
    return "\n\n".join(
        [
            f"Phantoms, {patients} of each field of view, seeds from {_FRESH}; {odd} more with odd numberings.",
            phantom_tables(measures[: len(options)]),
            variant_line(tally),
        ]
    )


def phantom_tables(measures: Sequence[PatientMeasure]) -> str:
    """Scores by field of view and method, recognised variants, and how far probabilities hold, as Markdown."""
    rows = [
        (f"{field}: {title}", *score_cells(reduce(add, (measure.scores[name] for measure in of))))
        for field in FieldOfView
        if (of := [measure for measure in measures if measure.field is field])
        for name, title in COMPARED.items()
    ]
    lines = [markdown_table(("phantoms and method", *SCORE_HEADER), rows)]
    for name, of in _calibration_groups(measures):
        lines.append(calibration_line(name, list(chain.from_iterable(measure.claims for measure in of))))
    return "\n\n".join(lines)


def variant_line(tally: VariantTally) -> str:
    """How surely odd numberings are recognised where they can be, as a sentence."""
    return (
        f"Numbering variants, where the extra vertebra (or what stands beside the missing one) and an anchor are in "
        f"view: {tally.odd} odd patients, {tally.sensitivity:.2f} recognised by name at a probability of {RECOGNISED} "
        f"or more; {tally.regular} regular ones, specificity {tally.specificity:.3f}."
    )


def _calibration_groups(measures: Sequence[PatientMeasure]) -> Iterator[tuple[str, list[PatientMeasure]]]:
    yield "all phantoms", list(measures)
    yield "phantoms that show neither C2 nor S1", [measure for measure in measures if not measure.has_anchor]
