"""Scores of each method on marked scans, and their tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spondyl.benches.disc_labelling.finders import Find, VertebraSteps
from spondyl.benches.disc_labelling.published import PUBLISHED
from spondyl.benches.disc_labelling.scans import MarkedScan
from spondyl.loaded_plan import Step
from spondyl.metrics.discs import DiscPoints, DiscScore, score_discs
from spondyl.metrics.tables import format_table
from spondyl.reading import Candidates, Reading
from spondyl.stage import Structure
from spondyl.types import Float

__all__ = ["DiscMeasure", "DiscMeasures", "format_measures", "measure_scans"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscMeasure:
    """The scores of one method over some scans; measures add up.

    Args:
        score: of the centres, or of the posterior edges where only these are marked.
        edges: of the posterior edges; None where they are not known.
    """

    score: DiscScore
    edges: DiscScore | None

    def __add__(self, other: DiscMeasure) -> DiscMeasure:
        edges = None if self.edges is None or other.edges is None else self.edges + other.edges
        return DiscMeasure(score=self.score + other.score, edges=edges)


DiscMeasures = Mapping[str, DiscMeasure]
"""Measures by the name of the method."""


def measure_scans(
    scans: Iterable[MarkedScan], finders: Mapping[str, Find], steps: VertebraSteps
) -> dict[str, DiscMeasure]:
    """Find and name the discs of some scans by every method, and compare with the truth.

    Args:
        scans: scans with truth; none gives no measure.
        finders: the methods.
        steps: locate and name the vertebrae, once for all methods, and name the discs of each.
    """
    measures: dict[str, DiscMeasure] = {}
    for scan in scans:
        reading = steps.identify.apply(steps.locate.apply(Reading(study=scan.study)))
        for name, find in finders.items():
            measure = _measure(scan, find(reading), reading, steps.identify)
            measures[name] = measures[name] + measure if name in measures else measure
    return measures


def _measure(scan: MarkedScan, found: Candidates, reading: Reading, identify: Step) -> DiscMeasure:
    named = identify.run(reading.study, {**reading.candidates, Structure.DISC: found}).discs
    names = (None,) * len(found) if named is None else named.levels
    edges_mm = found.centres_ras_mm if found.posterior_ras_mm is None else found.posterior_ras_mm

    def score(truth: DiscPoints, points_mm: Float) -> DiscScore:
        return score_discs(truth, points_mm, names, reading.study.sagittal.affine)

    return DiscMeasure(
        score=score(scan.truth, edges_mm if scan.marks_edges else found.centres_ras_mm),
        edges=None if scan.edges is None else score(scan.edges, edges_mm),
    )


_HEADER = ("method", "discs", "named %", "FNR %", "FPR %", "DTT mm")
_IN_PLANE = ("in plane: FNR %", "FPR %", "DTT mm", "along mm", "edge mm")
_LEGACY = ("FNR %", "FPR %", "median mm", "along mm")


def format_measures(measures: DiscMeasures, contrast: str | None = None) -> str:
    """Format a table with a row for each method; with a contrast, the published rows follow.

    The last four columns, in brackets, are by the published code's rules.
    """
    header = (*_HEADER, *_IN_PLANE, *(f"({title})" for title in _LEGACY))
    rows = [(name, *_cells(measure)) for name, measure in measures.items()]
    return format_table(header, [*rows, *(() if contrast is None else _published_rows(contrast))])


def _cells(measure: DiscMeasure) -> tuple[str, ...]:
    score, legacy = measure.score, measure.score.legacy
    return (
        str(score.truths),
        _percent(score.naming_rate),
        _percent(score.false_negative_rate),
        _percent(score.false_positive_rate),
        _distance(score.distances_mm),
        _percent(score.plane_false_negative_rate),
        _percent(score.plane_false_positive_rate),
        _distance(score.in_plane_mm),
        _distance(score.along_mm),
        "-" if measure.edges is None else _distance(measure.edges.in_plane_mm),
        _percent(legacy.missed / legacy.truths if legacy.truths else float("nan")),
        _percent(legacy.false / legacy.truths if legacy.truths else float("nan")),
        f"{np.median(legacy.distances_mm):.2f}" if legacy.distances_mm else "-",
        f"{np.mean(legacy.along_mm):.2f}" if legacy.along_mm else "-",
    )


def _published_rows(contrast: str) -> Iterable[Sequence[str]]:
    for row in PUBLISHED:
        mean, deviation = row.dtt_mm[contrast]
        false = row.fpr_percent[contrast]
        spread = "" if np.isnan(deviation) else f" ± {deviation:.2f}"
        rates = (f"{row.fnr_percent[contrast]:.2f}", "-" if false is None else f"{false:.2f}")
        yield (f"published: {row.title}", "-", *["-"] * 4, *rates, f"{mean:.2f}{spread}", *["-"] * 6)


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.2f}"


def _distance(values_mm: Sequence[float]) -> str:
    """Format mean, deviation and median."""
    if not values_mm:
        return "-"
    return f"{np.mean(values_mm):.2f} ± {np.std(values_mm):.2f} ({np.median(values_mm):.2f})"
