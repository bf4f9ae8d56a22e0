"""`spondyl bench labelling`: the methods that name vertebrae, compared on simulated columns.

Detection and appearance are simulated, so that only the naming is compared, under one difficulty at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

from spondyl.anatomy.landmarks import variant_is_identifiable
from spondyl.anatomy.numbering import Numbering
from spondyl.benches.comparison import COMPARED, EXACT_DECODERS, load_comparison
from spondyl.benches.table import BenchInput, BenchResult
from spondyl.errors import SettingError
from spondyl.geometry.affine import Float
from spondyl.identify.appearance import BodyEvidence, Namer
from spondyl.identify.beam import BeamCosts
from spondyl.identify.costs import OrderCosts
from spondyl.identify.methods.beam import BeamNamer
from spondyl.identify.methods.context import ContextNamer, refine_logits
from spondyl.identify.methods.order import OrderNamer
from spondyl.labelling import Levels
from spondyl.learn.fit_decoder import CHOICES, CalibrationExample, CalibrationFit, fit_calibration
from spondyl.metrics.calibration import measure_calibration
from spondyl.metrics.naming import VariantTally, level_claims, score_levels
from spondyl.metrics.tables import format_table
from spondyl.metrics.vertebrae import VertebraScore
from spondyl.simulate.appearance import FAIR, GOOD, AppearanceSimulation
from spondyl.simulate.columns import SimulatedColumn
from spondyl.simulate.conditions import CONDITIONS, CONTROL, USUAL, Condition, draw_patients

__all__ = ["NamingResult", "compare_namers", "name_and_score", "run_labelling"]

PATIENTS = 300
"""Patients of each condition and each quality of the appearance network."""

FITTED_TO = 30
"""Patients of each condition to which the decoder is fitted."""

_FITTING_SEED, _MEASURING_SEED = 20_001, 20_002
"""Seeds that no recipe is run with, so nothing measured has been trained on."""

_QUALITIES: Mapping[str, AppearanceSimulation] = {"good": GOOD, "fair": FAIR}


@dataclass(frozen=True, slots=True, kw_only=True)
class NamingResult:
    """The results of all methods on some scans; results add up.

    Args:
        scores: by method.
        claims: of each exact decoder: probability of each level, and whether it was right.
        variants: of each exact decoder, over the scans that can identify the numbering.
        rejected: by method: false detections that it rejected.
        false: number of false detections.
    """

    scores: Mapping[str, VertebraScore]
    claims: Mapping[str, tuple[tuple[float, bool], ...]]
    variants: Mapping[str, VariantTally]
    rejected: Mapping[str, int]
    false: int

    def __add__(self, other: NamingResult) -> NamingResult:
        return NamingResult(
            scores={name: score + other.scores[name] for name, score in self.scores.items()},
            claims={name: made + other.claims[name] for name, made in self.claims.items()},
            variants={name: tally + other.variants[name] for name, tally in self.variants.items()},
            rejected={name: count + other.rejected[name] for name, count in self.rejected.items()},
            false=self.false + other.false,
        )


def run_labelling(given: BenchInput) -> BenchResult:
    """Compare the methods of a plan; the weights are those of the networks that are not simulated."""
    comparison = load_comparison(given.plan)
    used = [used for used in comparison.weights if "appearance" not in used.name and "vfr" not in used.name]
    return BenchResult(text=compare_namers(comparison.namers()), weights=tuple(used))


def name_and_score(
    evidence: BodyEvidence, true: Levels, numbering: Numbering, namers: Mapping[str, Namer]
) -> NamingResult:
    """Name the detections of one scan, simulated or not, by every method and compare with the truth.

    Args:
        evidence: the detections.
        true: the true level of each; None for no vertebra.
        numbering: of the patient's whole column.
        namers: the methods.
    """
    labellings = {name: namer(evidence) for name, namer in namers.items()}
    levels = {name: labelling.levels for name, labelling in labellings.items()}
    exact = {name: labellings[name] for name in EXACT_DECODERS}
    is_identifiable = variant_is_identifiable(numbering, true)
    return NamingResult(
        scores={name: score_levels(given, true) for name, given in levels.items()},
        claims={name: tuple(level_claims(labelling, true)) for name, labelling in exact.items()},
        variants={
            name: VariantTally.from_labelling(labelling, numbering) if is_identifiable else VariantTally()
            for name, labelling in exact.items()
        },
        rejected={
            name: sum(level is None and truth is None for level, truth in zip(given, true, strict=True))
            for name, given in levels.items()
        },
        false=sum(level is None for level in true),
    )


def compare_namers(
    namers: Mapping[str, Namer],
    *,
    patients: int = PATIENTS,
    fitted_to: int = FITTED_TO,
    choices: Mapping[str, Sequence[float]] = CHOICES,
) -> str:
    """Compare the methods.

    Args:
        namers: the methods of `comparison.COMPARED`; the exact decoders among them are fitted anew, since the
            appearance network is simulated.
        patients: of each condition.
        fitted_to: patients of each condition to which the decoder is fitted; none of them is measured.
        choices: values to try in fitting, as for `fit_calibration`.

    Returns:
        The conditions, and for each quality of the appearance network the tables, as Markdown.

    Raises:
        SettingError: the namers are not those of `COMPARED`.
    """
    context = namers["context"]
    if set(namers) != set(COMPARED) or not isinstance(context, ContextNamer):
        raise SettingError(f"the methods to compare are {', '.join(COMPARED)}, got {', '.join(namers)}")
    parts = [_ABOUT.format(patients=patients, fitted=fitted_to * len(USUAL))]
    for name, simulation in _QUALITIES.items():
        patients_of = _Patients(context=context, simulation=simulation)
        fits = {method: patients_of.fit(method, fitted_to, choices) for method in EXACT_DECODERS}
        fitted = {**namers, **_fitted_namers(context, {method: fit.costs for method, fit in fits.items()})}
        measured = {each.name: patients_of.measure(each, fitted, patients) for each in (*CONDITIONS, CONTROL)}
        parts += [f"## A {name} appearance network", _names_table(measured), _rejections(measured)]
        parts += [_variants(measured), _calibration_table(measured), _settings(fits, choices)]
    return "\n\n".join(parts)


def _fitted_namers(context: ContextNamer, costs: Mapping[str, OrderCosts]) -> dict[str, Namer]:
    """Make the methods whose settings depend on the appearance network; the beam search names every detection here."""
    return {
        "order": OrderNamer(costs=costs["order"]),
        "context": replace(context, costs=costs["context"]),
        "beam": BeamNamer(context=context.context, heights=context.heights, costs=_BEAM, min_score=0.0),
    }


_BEAM = BeamCosts(skip=4.0)
"""The reference code's penalties except that of a skip: its 100 nats forbid one wherever a detection was lost, and with
4, as in the exact decoder, the beam search does better in every condition."""

_ABOUT = (
    "Columns simulated from published spacings (`simulate/columns.py`), {patients} patients of each condition, drawn "
    "with a seed that no recipe trains with; the appearance network is simulated (`simulate/appearance.py`). IDR / "
    "IDR±1 in % of the true bodies that were detected: the share named rightly, or at most one off. The exact decoder "
    "is fitted to {fitted} other patients; the bi-directional LSTM and the context network are trained on networks of "
    "every quality. In the first five conditions variants are as frequent as among people; the sixth holds nothing "
    "else."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Patients:
    """Simulated patients with the logits of one simulated appearance network."""

    context: ContextNamer
    simulation: AppearanceSimulation

    def draw(self, condition: Condition, count: int, seed: int) -> Iterator[tuple[SimulatedColumn, BodyEvidence]]:
        for column in draw_patients(condition, self.simulation, count, seed):
            yield (
                column,
                BodyEvidence(
                    logits=column.logits,
                    positions_mm=column.positions_mm,
                    scores=column.scores,
                    tops_mm=column.tops_mm,
                    bottoms_mm=column.bottoms_mm,
                    height_mm=column.height_mm,
                    room_mm=column.room_mm,
                ),
            )

    def fit(self, method: str, count: int, choices: Mapping[str, Sequence[float]]) -> CalibrationFit:
        """Fit the decoder for the context or the appearance network to patients of the usual conditions."""
        examples = [
            CalibrationExample(
                patient=f"{condition.name} {number}",
                logits=evidence.logits if method == "order" else self._refine(evidence),
                positions_mm=column.positions_mm,
                scores=column.scores,
                room_mm=column.room_mm,
                levels=column.levels,
            )
            for condition in USUAL
            for number, (column, evidence) in enumerate(self.draw(condition, count, _FITTING_SEED))
        ]
        return fit_calibration(examples, choices=choices)

    def _refine(self, evidence: BodyEvidence) -> Float:
        return refine_logits(evidence, self.context.context, self.context.heights)

    def measure(self, condition: Condition, namers: Mapping[str, Namer], count: int) -> NamingResult:
        drawn = self.draw(condition, count, _MEASURING_SEED)
        return reduce(
            add, (name_and_score(evidence, column.levels, column.numbering, namers) for column, evidence in drawn)
        )


def _names_table(measured: Mapping[str, NamingResult]) -> str:
    results = [measured[condition.name] for condition in CONDITIONS]
    bodies = ("bodies", *(str(result.scores["order"].truths) for result in results))
    rows = [(title, *(_shares(result.scores[name]) for result in results)) for name, title in COMPARED.items()]
    return format_table(("method", *(condition.name for condition in CONDITIONS)), [bodies, *rows])


def _shares(score: VertebraScore) -> str:
    return f"{100 * score.identification_rate:.1f} / {100 * score.near_identification_rate:.1f}"


def _rejections(measured: Mapping[str, NamingResult]) -> str:
    total = reduce(add, measured.values())
    shares = "; ".join(
        f"{title} {100 * total.rejected[name] / max(total.false, 1):.0f} %" for name, title in COMPARED.items()
    )
    return f"Of {total.false} false detections are rejected: {shares}."


def _variants(measured: Mapping[str, NamingResult]) -> str:
    tallies = [
        (method, reduce(add, (result.variants[method] for result in measured.values()))) for method in EXACT_DECODERS
    ]
    rows = [
        (
            COMPARED[method],
            str(tally.variants),
            _percent(tally.sensitivity),
            _percent(tally.detection),
            str(tally.regular),
            _percent(tally.specificity),
        )
        for method, tally in tallies
    ]
    header = ("numbering variants", "variants", "named %", "noticed %", "regular", "specificity %")
    return format_table(header, rows)


def _calibration_table(measured: Mapping[str, NamingResult]) -> str:
    results = {condition.name: measured[condition.name] for condition in USUAL}
    results["all five"] = reduce(add, results.values())
    rows = [
        (COMPARED[method], *(_error(result.claims[method]) for result in results.values())) for method in EXACT_DECODERS
    ]
    return format_table(("expected calibration error", *results), rows)


def _error(made: Sequence[tuple[float, bool]]) -> str:
    probabilities, outcomes = zip(*made, strict=True)
    return f"{measure_calibration(probabilities, outcomes).expected_error:.3f}"


def _settings(fits: Mapping[str, CalibrationFit], names: Iterable[str]) -> str:
    settings = [
        f"{COMPARED[method]}: " + ", ".join(f"{name} {getattr(fit.costs, name):g}" for name in names)
        for method, fit in fits.items()
    ]
    return f"Fitted settings. {'; '.join(settings)}."


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
