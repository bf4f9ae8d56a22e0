"""Vertebrae found and named in fresh phantoms of every field of view.

Phantoms show what few real exams do: cervical, thoracic and whole spines, numbering variants, and the true level of
every vertebra.
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
from spondyl.metrics.calibration import describe_calibration
from spondyl.metrics.naming import RECOGNISED, VariantTally, level_claims
from spondyl.metrics.tables import SCORE_HEADER, format_score, format_table
from spondyl.metrics.vertebrae import VertebraScore, score_vertebrae
from spondyl.phantom.options import IDENTIFIABLE_VARIANTS, PhantomOptions, Variant
from spondyl.phantom.patient import make_phantom
from spondyl.phantom.scanner.protocol import FieldOfView
from spondyl.plan import Plan
from spondyl.stage import Structure
from spondyl.study import Study

__all__ = [
    "PatientMeasure",
    "describe_variants",
    "format_measures",
    "list_fresh_phantoms",
    "list_variant_phantoms",
    "measure_phantoms",
    "tabulate_phantoms",
]

_FRESH = 1_000_000
"""First seed of the phantoms that are measured; recipes train on small ones."""

PATIENTS, VARIANT_PATIENTS = 100, 60

_VARIANTS = tuple(
    (variant, field)
    for field in (FieldOfView.WHOLE, FieldOfView.LUMBAR)
    for variant in Variant
    if variant in IDENTIFIABLE_VARIANTS[field]
)
"""Numbering variants, each in every field of view that can identify it."""

_NUMBERINGS = {numbering.name: numbering for numbering in NUMBERINGS}


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientMeasure:
    """The measures of one phantom.

    Args:
        field: the field of view that was asked for.
        scores: by method.
        claims: probability of each level that the default method gave, and whether it is right.
        has_anchor: whether C2 or S1 is in view.
        tally: whether its numbering was recognised, where the scan can identify it.
    """

    field: FieldOfView
    scores: Mapping[str, VertebraScore]
    claims: tuple[tuple[float, bool], ...]
    has_anchor: bool
    tally: VariantTally


def list_fresh_phantoms(field: FieldOfView, count: int, *, first_seed: int = _FRESH) -> list[PhantomOptions]:
    """List phantoms that no recipe is trained on, in all kinds of scans of one field of view."""
    return [PhantomOptions(seed=first_seed + number, field=field, is_varied=True) for number in range(count)]


def list_variant_phantoms(count: int, *, first_seed: int = 2 * _FRESH) -> list[PhantomOptions]:
    """List patients with a numbering variant, each in turn, in fields of view that can identify it."""
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
    is_identifiable = labelling is not None and variant_is_identifiable(numbering, whole)
    return PatientMeasure(
        field=options.field,
        scores={
            name: score_vertebrae(whole, found, () if given is None else given.levels)
            for name, given in labellings.items()
        },
        claims=()
        if labelling is None
        else tuple(level_claims(labelling, tuple(_level_of(body, shown) for body in found))),
        has_anchor=labelling is not None and (Level.C2 in whole or Level.S1 in whole),
        tally=VariantTally.from_labelling(labelling, numbering)
        if labelling is not None and is_identifiable
        else VariantTally(),
    )


def _level_of(body: VertebraInstance, shown: Mapping[Level, VertebraInstance]) -> Level | None:
    """Find the vertebra whose middle a detection contains."""
    for level, true in shown.items():
        if score_vertebrae({level: true}, [body], [level]).found:
            return level
    return None


def tabulate_phantoms(plan: Plan, *, patients: int = PATIENTS, variants: int = VARIANT_PATIENTS) -> str:
    """Measure on fresh phantoms.

    Args:
        plan: the plan to measure.
        patients: of each field of view.
        variants: further patients, all with a numbering variant; they count for nothing else.

    Returns:
        Markdown.

    Raises:
        WeightsError: the plan's weights are missing or damaged.
    """
    options = [chosen for field in FieldOfView for chosen in list_fresh_phantoms(field, patients)]
    measures = measure_phantoms([*options, *list_variant_phantoms(variants)], plan)
    tally = reduce(add, (measure.tally for measure in measures))
    return "\n\n".join(
        [
            f"Phantoms, {patients} of each field of view, seeds from {_FRESH}; {variants} more, all with variants.",
            format_measures(measures[: len(options)]),
            describe_variants(tally),
        ]
    )


def format_measures(measures: Sequence[PatientMeasure]) -> str:
    """Format scores by field of view and method, and the calibration of probabilities, as Markdown."""
    rows = [
        (f"{field}: {title}", *format_score(reduce(add, (measure.scores[name] for measure in shown))))
        for field in FieldOfView
        if (shown := [measure for measure in measures if measure.field is field])
        for name, title in COMPARED.items()
    ]
    lines = [format_table(("phantoms and method", *SCORE_HEADER), rows)]
    for name, group in _calibration_groups(measures):
        lines.append(describe_calibration(name, list(chain.from_iterable(measure.claims for measure in group))))
    return "\n\n".join(lines)


def describe_variants(tally: VariantTally) -> str:
    """Describe in a sentence how often numbering variants are recognised where they can be identified."""
    return (
        f"Numbering variants, where the extra vertebra (or what stands beside the missing one) and an anchor are in "
        f"view: {tally.variants} patients with a variant, {tally.sensitivity:.2f} recognised by name at a probability "
        f"of {RECOGNISED} or more; {tally.regular} regular ones, specificity {tally.specificity:.3f}."
    )


def _calibration_groups(measures: Sequence[PatientMeasure]) -> Iterator[tuple[str, list[PatientMeasure]]]:
    yield "all phantoms", list(measures)
    yield "phantoms that show neither C2 nor S1", [measure for measure in measures if not measure.has_anchor]
