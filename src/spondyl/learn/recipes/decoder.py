"""The recipe of the ordered decoder's settings: fitted to an appearance network on the detector's candidates.

The detector's miss rates are counted first; then temperatures and chances of error are chosen.

The network itself stays as it is; its weights are written again under a card with the fitted settings. Fitting uses the
calibration part of the data, and draws nothing at random: the same data and weights give the same card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import pairwise

from spondyl.anatomy.landmarks import is_detected
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import is_possible_pair
from spondyl.datasets.source import Exam, Source, SplitPart
from spondyl.engine.build import make_engine
from spondyl.errors import InputError, SettingError
from spondyl.files import new_file
from spondyl.geometry.affine import Float
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.appearance import AppearanceIdentifier, AppearanceSettings, body_evidence, open_appearance
from spondyl.identify.methods.order import OrderNamer
from spondyl.learn.fit_decoder import CHOICES, CalibrationExample, CalibrationFit, fit_calibration
from spondyl.learn.fit_misses import estimate_misses
from spondyl.learn.provenance import describe_command, find_commit
from spondyl.learn.recipes.table import TrainingRequest
from spondyl.loaded_plan import Step, load
from spondyl.metrics.vertebrae import contains
from spondyl.nets.cards import Card, find_card, verify
from spondyl.nets.network import LoadedNetwork
from spondyl.nets.settings import read_settings
from spondyl.plan import Plan
from spondyl.reading import Reading
from spondyl.stage import Stage, Structure
from spondyl.study import Study

__all__ = ["make_example", "train_decoder", "true_levels"]

CARD_NAME = "fitted-appearance"


def train_decoder(request: TrainingRequest) -> None:
    """Fit the settings, and write the network's weights with their new card.

    Raises:
        SettingError: no appearance network to start from, an option that has no effect here, or too few patients with
            detections.
        WeightsError: there are no weights of that name, or they are damaged.
        InputError: the data cannot be read, or have no exam to fit to.
    """
    if request.start is None:
        raise SettingError("the recipe decoder fits to an appearance network: name its weights with --start")
    if request.steps is not None or request.seed:
        raise SettingError("the recipe decoder has no steps and draws nothing at random: leave --steps and --seed out")
    card = verify(find_card(request.start))
    if card.network != "appearance":
        raise SettingError(f"{card.name} holds the network {card.network}, and the decoder is fitted to appearance")
    costs = read_settings(card, AppearanceSettings).costs
    network = LoadedNetwork(card=card, run=make_engine(card.name))
    identifier = open_appearance({"appearance": network}, OrderNamer(costs=costs))
    locating = load(Plan()).steps_before(Stage.IDENTIFY)
    sources = request.open(SplitPart.CALIBRATION)
    kinds: dict[str, list[CalibrationExample]] = {}
    for (kind, _), source in zip(request.sources, sources, strict=True):
        found = (make_example(exam, locating, identifier) for exam in source.exams)
        kinds.setdefault(kind, []).extend(example for example in found if example is not None)
    examples = [example for of_kind in kinds.values() for example in of_kind]
    if not examples:
        raise InputError("the data hold no exam of the calibration part in which a body is detected")
    misses = estimate_misses([[example.detected for example in of_kind] for of_kind in kinds.values()])
    fitted = _make_card(card, fit_calibration(examples, replace(costs, misses=misses), CHOICES), sources, request)
    what = f"the weights {fitted.name}"
    with new_file(fitted.card_path, what) as card_file, new_file(fitted.weights_path, what) as weights_file:
        weights_file.write_bytes(card.weights_path.read_bytes())
        card_file.write_text(fitted.to_toml(), encoding="utf-8")


def make_example(exam: Exam, locating: Sequence[Step], identifier: AppearanceIdentifier) -> CalibrationExample | None:
    """Detect the bodies of an exam and run the appearance network on them; None where no body is detected.

    Args:
        exam: a scan with outlines.
        locating: the steps that detect bodies.
        identifier: holds the appearance network.
    """
    reading = Reading(study=Study.from_sagittal(exam.stack))
    for step in locating:
        reading = step.apply(reading)
    bodies = sorted(reading.candidates[Structure.VERTEBRA].bodies, key=lambda body: float(body.centroid_index[1]))
    if not bodies:
        return None
    evidence = body_evidence(exam.stack, bodies, identifier.appearance, identifier.crops)
    levels = true_levels(exam, bodies)
    return CalibrationExample(
        patient=exam.patient,
        logits=evidence.logits,
        positions_mm=evidence.positions_mm,
        scores=evidence.scores,
        room_mm=evidence.room_mm,
        levels=tuple(level for level, _ in levels),
        known=tuple(is_known for _, is_known in levels),
        detected={
            level: any(contains(body, candidate.centroid_index) for candidate in bodies)
            for level, body in exam.bodies().items()
            if is_detected(level) and _is_whole(body, exam.stack)
        },
    )


_CUT_MM = 2.0
"""A body whose outline comes so near to the upper or the lower edge of the scan may be cut by it."""


def _is_whole(body: VertebraInstance, stack: SagittalStack) -> bool:
    """Tell whether a body lies wholly between the upper and the lower edge of a scan."""
    rows = body.outlines[..., 0]
    margin = _CUT_MM / stack.pixel_mm[0] - 0.5
    return bool(rows.min() > margin and rows.max() < stack.voxels.shape[1] - 1 - margin)


def true_levels(exam: Exam, candidates: Sequence[VertebraInstance]) -> list[tuple[Level | None, bool]]:
    """Find the true level of each candidate, None for no vertebra, and whether the truth is known.

    A candidate is the labelled body whose outline contains its centre, and no vertebra where it lies between two
    labelled neighbours and in no outline. Elsewhere, and in an uncertain outline, its truth is not known, since scans
    show bodies that nobody outlined.
    """
    bodies, outlined = exam.bodies(), exam.outlined_bodies()
    return [_true_level(candidate.centroid_index, bodies, outlined) for candidate in candidates]


def _true_level(
    centre: Float, bodies: Mapping[Level, VertebraInstance], outlined: Mapping[Level, VertebraInstance]
) -> tuple[Level | None, bool]:
    for level, body in bodies.items():
        if contains(body, centre):
            return level, True
    if any(contains(body, centre) for body in outlined.values()):
        return None, False
    rows = {level: float(body.centroid_index[1]) for level, body in outlined.items()}
    return None, any(
        bool(rows[upper] <= centre[1] <= rows[lower]) and is_possible_pair(upper, lower)
        for upper, lower in pairwise(rows)
    )


def _make_card(card: Card, fit: CalibrationFit, sources: Sequence[Source], request: TrainingRequest) -> Card:
    """The network's card with fitted settings; the digest stays, since the weights do."""
    misses = {f"miss_{name}": rate for name, rate in asdict(fit.costs.misses).items()}
    fitted = {name: getattr(fit.costs, name) for name in CHOICES} | misses
    before, after = fit.log_likelihood
    measured = {
        "log_likelihood_before": round(before, 4),
        "log_likelihood_after": round(after, 4),
        "expected_calibration_error_before": round(fit.before.expected_error, 4),
        "expected_calibration_error_after": round(fit.after.expected_error, 4),
    }
    names = " and ".join(source.name for source in sources)
    command = describe_command(request.recipe, request.sources, start=card)
    sentences = (f"settings of the decoder fitted on: {line}" for source in sources for line in source.sentences)
    return replace(
        card,
        name=CARD_NAME,
        trained_on=tuple(dict.fromkeys((*card.trained_on, *sentences))),
        metrics={**card.metrics, f"calibration, {names}, cross-fitted": measured},
        commit=find_commit(),
        recipe=f"{command}; the weights themselves, of commit {card.commit}: {card.recipe}",
        settings=card.settings | fitted,
        folder=request.run,
    )
