"""`spondyl bench disc-labelling`: disc points by every method, on fresh phantoms and real exams, beside the papers'."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from spondyl.benches.disc_labelling.finders import (
    BETWEEN_BODIES,
    Finders,
    VertebraSteps,
    open_finders,
    open_vertebra_steps,
)
from spondyl.benches.disc_labelling.measures import DiscMeasure, DiscMeasures, format_measures, measure_scans
from spondyl.benches.disc_labelling.published import PUBLISHED, describe_order
from spondyl.benches.disc_labelling.scans import (
    CONTRASTS,
    MASKED_SETS,
    PHANTOM_SEED,
    MarkedScan,
    list_fold,
    list_marked,
    list_phantoms,
    list_validation,
)
from spondyl.benches.table import BenchInput, BenchResult
from spondyl.datasets.source import FOLDS
from spondyl.metrics.discs import LEGACY_PIXEL_MM, MAX_MATCH_MM
from spondyl.nets.places import shipped_weights_folder, user_weights_folder
from spondyl.plan import Plan

__all__ = ["compare_disc_methods", "run_disc_labelling"]

PATIENTS = 200


def run_disc_labelling(given: BenchInput) -> BenchResult:
    """Measure every method that finds discs.

    The folder of the run holds the phantoms and, where there are any, further weights in `weights`: those of networks
    that no set of weights names (`trained-NETWORK`, as recipes write them) and of folds (`NAME-fold1` and so on).
    """
    with given.open_run() as run:
        return compare_disc_methods(given.plan, given.folder, run)


def compare_disc_methods(plan: Plan, data: Path, run: Path, *, patients: int = PATIENTS) -> BenchResult:
    """Measure every method on phantoms and real exams.

    Args:
        plan: the set of weights, the engine and the device.
        data: the folder that holds `mr/`.
        run: the folder of phantoms and further weights.
        patients: phantoms, each in two contrasts.

    Raises:
        InputError: an exam is missing or cannot be read.
        WeightsError: the weights of the plan's own methods are missing or damaged.
    """
    folders = (shipped_weights_folder(), user_weights_folder(), run / "weights")
    steps, finders = open_vertebra_steps(plan, folders), open_finders(plan, folders)
    phantoms = _measure_named(list_phantoms(run / "phantoms", patients), finders, steps)
    real = {name: measure_scans(list_validation(data, name), finders.found, steps) for name in MASKED_SETS}
    marked = _measure_named(list_marked(data), finders, steps)
    folds = [open_finders(plan, folders, fold=number) for number in range(1, FOLDS + 1)]
    crossed = {name: _measure_folds(data, name, folds, steps) for name in MASKED_SETS}
    parts = [_ABOUT.format(patients=patients, seed=PHANTOM_SEED), *finders.missing]
    for contrast in CONTRASTS:
        parts += [f"## Phantoms, {contrast}", format_measures(phantoms[contrast], contrast)]
    parts += ["## The papers' order", *_describe_orders(phantoms)]
    for name, measures in real.items():
        parts += [f"## {name}, validation part", format_measures(measures)]
    for name, measures in crossed.items():
        if measures:
            parts += [f"## {name}, every exam by a network that was not trained on it", format_measures(measures)]
    for name, measures in marked.items():
        parts += [f"## {name}", format_measures(measures)]
    used = dict.fromkeys(one for each in (finders, *folds) for one in each.weights)
    return BenchResult(text="\n\n".join(parts), weights=tuple(dict.fromkeys((*steps.weights, *used))))


_ABOUT = (
    "Discs located by every method, alone and with false points removed, and named by the plan's own method together "
    "with the vertebrae. Phantoms: {patients} patients in all fields of view, seeds from {seed}, which nothing is "
    "trained on, each painted once and scanned as T1 and T2 TSE; a disc is the space between two bodies. Real exams: "
    "the centroids of the discs' masks; posterior edges in `cervical_t2_01` and `PAM50_small`. "
    f"A point has found a disc when it is within {MAX_MATCH_MM:g} mm of it in three dimensions, matched one to one. "
    "FNR: missed discs, FPR: false points, both over all discs; named: found discs with their right name; DTT: "
    "distance of found discs, mean ± deviation (median). In plane: the same where only the sagittal plane counts, as "
    "in the papers, whose scans are one image; along: from head to foot alone; edge: of posterior edges. Discs that "
    "the scan cuts count for nothing, nor do points beyond the marked discs. In brackets: by the published code, a "
    "point is false more than 10 pixels from every disc and a disc missed more than 7 pixels from every point, from "
    f"head to foot alone (here pixels of {LEGACY_PIXEL_MM:g} mm), two points at one disc are both right, and its "
    "distances are of all discs. "
    f'"{BETWEEN_BODIES.capitalize()}": the middle of the space between two vertebrae of the plan, with no network of '
    "its own."
)


def _measure_named(
    scans: Iterator[tuple[str, MarkedScan]], finders: Finders, steps: VertebraSteps
) -> dict[str, dict[str, DiscMeasure]]:
    """Measure scans that come with the name of the group that they belong to."""
    measured: dict[str, list[DiscMeasures]] = defaultdict(list)
    for name, scan in scans:
        measured[name].append(measure_scans([scan], finders.found, steps))
    return {name: _sum_measures(measures) for name, measures in measured.items()}


def _measure_folds(data: Path, name: str, folds: list[Finders], steps: VertebraSteps) -> dict[str, DiscMeasure]:
    """Measure the methods that have weights for every fold, each exam by those that have not seen it."""
    common = [method for method in folds[0].found if all(method in each.found for each in folds)]
    if not common:
        return {}
    return _sum_measures(
        [
            measure_scans(list_fold(data, name, number), {method: each.found[method] for method in common}, steps)
            for number, each in enumerate(folds, start=1)
        ]
    )


def _sum_measures(measures: list[DiscMeasures]) -> dict[str, DiscMeasure]:
    filled = [each for each in measures if each]
    return {name: reduce(add, (each[name] for each in filled)) for name in (filled[0] if filled else ())}


def _describe_orders(phantoms: Mapping[str, DiscMeasures]) -> Iterator[str]:
    """Compare the order of the methods with the papers', by distance and by missed discs."""
    for contrast in CONTRASTS:
        rows = {
            row.title: phantoms[contrast][name].score
            for row in PUBLISHED
            if (name := next((one for one in row.measured if one in phantoms[contrast]), None)) is not None
        }
        distances = {title: float(np.mean(score.in_plane_mm)) for title, score in rows.items() if score.in_plane_mm}
        yield describe_order(contrast, "DTT", distances, {row.title: row.dtt_mm[contrast][0] for row in PUBLISHED})
        rates = {title: score.plane_false_negative_rate for title, score in rows.items()}
        yield describe_order(contrast, "FNR", rates, {row.title: row.fnr_percent[contrast] for row in PUBLISHED})
