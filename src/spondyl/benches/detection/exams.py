"""Vertebrae found and named in real exams, beside Table 2 of SpineNetV2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

from spondyl.anatomy.level import Level
from spondyl.benches.comparison import COMPARED, DEFAULT, Comparison
from spondyl.datasets.exams import load_exams
from spondyl.datasets.source import Exam, SplitPart
from spondyl.geometry.instance import VertebraInstance
from spondyl.labelling import Labelling
from spondyl.metrics.calibration import describe_calibration
from spondyl.metrics.tables import SCORE_HEADER, format_score, format_table
from spondyl.metrics.vertebrae import VertebraScore, score_vertebrae
from spondyl.stage import Structure
from spondyl.study import Study

__all__ = ["SETS", "ExamMeasure", "measure_exam", "tabulate_exams"]

SETS = ("lumbar_t2", "lumbar_gre", "discs_t2")
POOLED = ("lumbar_t2", "lumbar_gre")
"""The sets whose bodies somebody else has segmented; in discs_t2 they are outlined for this project only."""

PART = SplitPart.VALIDATION

_PAPER_ROWS = (
    ("published: OWS, 37 whole spines", "888", "99.0", "98.1", "96.5", "97.3", "2.4 ± 1.3"),
    ("published: Genodisc, 421 lumbar", "2947", "99.7", "99.7", "98.4", "99.7", "1.6 ± 1.1"),
    ("published: Zukić, 17 lumbar", "154", "99.3", "98.7", "90.9", "98.7", "2.0 ± 1.5"),
)
"""SpineNetV2's Table 2 (Windsor et al. 2022), on exams that are not ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamMeasure:
    """Scores of each method and the calibration of the default method over some exams; measures add up.

    Args:
        scores: by method.
        claims: probability of the level of each found body, and whether it was the right one.
    """

    scores: Mapping[str, VertebraScore]
    claims: tuple[tuple[float, bool], ...]

    def __add__(self, other: ExamMeasure) -> ExamMeasure:
        return ExamMeasure(
            scores={name: score + other.scores[name] for name, score in self.scores.items()},
            claims=self.claims + other.claims,
        )


def tabulate_exams(data: Path, comparison: Comparison) -> str:
    """Measure on the validation part of the published split.

    Args:
        data: the folder that holds `mr/lumbar_t2` and so on.
        comparison: the methods to measure.

    Returns:
        What was read, the table and the calibration, as Markdown.

    Raises:
        InputError: a set is missing, or an exam in it cannot be read.
    """
    exams = {name: list(load_exams(data / "mr" / name, PART)) for name in SETS}
    measured = {name: reduce(add, (measure_exam(exam, comparison) for exam in exams[name])) for name in SETS}
    pooled = reduce(add, (measured[name] for name in POOLED))
    both = " + ".join(POOLED)
    parts = {**measured, both: pooled}
    rows = [
        (f"{part}: {title}", *format_score(whole.scores[name]))
        for part, whole in parts.items()
        for name, title in COMPARED.items()
    ]
    return "\n\n".join(
        [
            _describe_exams(exams),
            format_table(("set and decoder", *SCORE_HEADER), [*rows, *_PAPER_ROWS]),
            *([describe_calibration(both, pooled.claims, bodies="found bodies")] if pooled.claims else []),
        ]
    )


def measure_exam(exam: Exam, comparison: Comparison) -> ExamMeasure:
    """Find the vertebrae of one exam, name them by every method, and compare with the truth."""
    truth = exam.bodies()
    readings = comparison.readings(Study.from_sagittal(exam.stack))
    found = readings[DEFAULT].candidates[Structure.VERTEBRA].bodies
    labellings = {name: reading.labellings.vertebrae for name, reading in readings.items()}
    labelling = labellings[DEFAULT]
    scores = {
        name: score_vertebrae(truth, found, () if given is None else given.levels) for name, given in labellings.items()
    }
    return ExamMeasure(scores=scores, claims=() if labelling is None else tuple(_found_claims(truth, found, labelling)))


def _found_claims(
    truth: Mapping[Level, VertebraInstance],
    found: Sequence[VertebraInstance],
    labelling: Labelling[Level],
) -> Iterator[tuple[float, bool]]:
    """List probability and rightness of the level of each body that alone contains a true centroid."""
    reported = [i for i, level in enumerate(labelling.levels) if level is not None]
    for level, true in truth.items():
        holding = [i for i in reported if score_vertebrae({level: true}, [found[i]], [labelling.levels[i]]).found]
        if len(holding) == 1:
            yield float(labelling.level_probability[holding[0]]), labelling.levels[holding[0]] is level


def _describe_exams(exams: Mapping[str, Sequence[Exam]]) -> str:
    named = "; ".join(
        f"{name}: {', '.join(exam.name.removeprefix(f'{name}_') for exam in chosen)}" for name, chosen in exams.items()
    )
    return f"Exams of the {PART} part of `datasets/split.json`, split by patient, never trained on: {named}."
