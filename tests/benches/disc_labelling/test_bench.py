"""Every set, method and published row is in the tables, and each exam is measured by networks that have not seen it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learn.painted import painted_exam
from loaded_plans import plan_of_functions
from spondyl.anatomy.disc import Disc
from spondyl.benches.disc_labelling import bench
from spondyl.benches.disc_labelling.bench import compare_disc_methods
from spondyl.benches.disc_labelling.finders import BETWEEN_BODIES, Find, Finders, VertebraSteps, find_between_bodies
from spondyl.benches.disc_labelling.measures import format_measures, measure_scans
from spondyl.benches.disc_labelling.scans import PHANTOM_SEED, MarkedScan, find_mask_points, list_phantoms
from spondyl.datasets.phantoms import PHANTOM_SEEDS
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.points import Landmarks
from spondyl.imaging.labels import LabelMap
from spondyl.labelling import LEVELS, Labelling, Labellings, MarkSequence
from spondyl.metrics.discs import find_outline_points
from spondyl.plan import Plan
from spondyl.reading import Candidates, Reading
from spondyl.stage import Structure
from spondyl.study import Study

EXAM = painted_exam()
L2_L3, L3_L4 = Disc.from_name("L2/L3"), Disc.from_name("L3/L4")


def scan() -> MarkedScan:
    centres, edges = find_outline_points(EXAM.disc_outlines(), EXAM.stack.affine)
    return MarkedScan(study=Study.from_sagittal(EXAM.stack), truth=centres, edges=edges)


def name_all(found: tuple[VertebraInstance, ...]) -> Labelling:
    """Every body gets its level, and each disc with it the name between."""
    levels = tuple(EXAM.bodies())
    marginals = np.zeros((len(found), len(LEVELS)))
    marginals[range(len(found)), [LEVELS.index(level) for level in levels]] = 1
    return Labelling(
        sequences=(MarkSequence(levels=levels, log_probability=0.0),),
        marks=LEVELS,
        marginals=marginals,
        rejected=np.zeros(len(found)),
    )


def vertebra_steps() -> VertebraSteps:
    """Steps that find the true bodies, name them, and name the uppermost disc wrongly."""
    plan = plan_of_functions(lambda _stack: tuple(EXAM.bodies().values()), name_all)
    locate, identify = plan.steps

    def run(_study: Study, candidates: Mapping[Structure, Candidates]) -> Labellings:
        vertebrae = name_all(candidates[Structure.VERTEBRA].bodies)
        if Structure.DISC not in candidates:
            return Labellings(vertebrae=vertebrae)
        n = len(candidates[Structure.DISC])
        names = (L3_L4,) * n
        discs = Labelling(
            sequences=(MarkSequence(levels=names, log_probability=0.0),),
            marks=(L2_L3, L3_L4),
            marginals=np.ones((n, 2)) / 2,
            rejected=np.zeros(n),
        )
        return Labellings(vertebrae=vertebrae, discs=discs)

    return VertebraSteps(locate=locate, identify=replace(identify, run=run))


def too_low(reading: Reading) -> Candidates:
    """The true discs, 2 mm too low, and no posterior edges."""
    found = find_between_bodies(reading)
    points = found.centres_ras_mm - (0, 0, 2)
    return Candidates(structure=Structure.DISC, centres=Landmarks(points_ras_mm=points, scores=found.scores))


FINDERS: Mapping[str, Find] = {BETWEEN_BODIES: find_between_bodies, "msa-net": too_low, "hourglass": too_low}


def cells(text: str, name: str) -> list[str]:
    (row,) = (line for line in text.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in row.split("|")[2:-1]]


def test_measures_of_two_scans_add_up_and_are_printed() -> None:
    measures = measure_scans([scan(), scan()], FINDERS, vertebra_steps())
    text, exact = format_measures(measures, "T1"), "0.00 ± 0.00 (0.00)"
    assert cells(text, BETWEEN_BODIES) == [
        "4", "50.00", "0.00", "0.00", exact, "0.00", "0.00", exact, exact, exact, "0.00", "0.00", "0.00", "0.00",
    ]  # fmt: skip
    lower = cells(text, "msa-net")
    assert [lower[place] for place in (4, 7, 8)] == ["2.00 ± 0.00 (2.00)"] * 3
    assert lower[9] == "-"  # the centres lie too far from the edges
    assert lower[12:] == ["2.00", "2.00"]
    assert cells(text, "published: MSA-Net")[5:8] == ["0.28", "0.00", "0.98 ± 1.12"]


def test_scans_with_edges_alone_are_measured_by_their_edges() -> None:
    edges = scan().edges
    assert edges is not None
    marked = replace(scan(), truth=edges, marks_edges=True)
    measures = measure_scans([marked], FINDERS, vertebra_steps())
    assert measures[BETWEEN_BODIES].score.false_negative_rate == 0
    assert measures["msa-net"].score.false_negative_rate == 1


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """One scan of each kind; the folds that exams were asked for are listed."""
    asked: list[tuple[str, int]] = []

    def list_fold(_data: Path, name: str, fold: int) -> list[MarkedScan]:
        asked.append((name, fold))
        return [scan()] if fold < 3 else []

    def open_finders(_plan: Plan, _folders: tuple[Path, ...], *, fold: int | None = None) -> Finders:
        missing = ("swin-net: not measured, there are no weights",)
        return Finders(found=FINDERS, missing=missing) if fold is None else Finders(found={"msa-net": too_low})

    monkeypatch.setattr(bench, "open_vertebra_steps", lambda _plan, _folders: vertebra_steps())
    monkeypatch.setattr(bench, "open_finders", open_finders)
    monkeypatch.setattr(bench, "list_phantoms", lambda _folder, count: [("T1", scan()), ("T2", scan())] * count)
    monkeypatch.setattr(bench, "list_validation", lambda _data, _name: [scan()])
    monkeypatch.setattr(bench, "list_marked", lambda _data: [("neck", scan())])
    monkeypatch.setattr(bench, "list_fold", list_fold)
    return asked


def test_every_set_has_a_table_and_the_orders_are_described(stubbed: list[tuple[str, int]]) -> None:
    text = compare_disc_methods(Plan(), Path("data"), Path("run"), patients=2).text
    sections = {part.partition("\n")[0]: part for part in text.split("\n## ")}
    assert cells(sections["Phantoms, T1"], "msa-net")[0] == "4"
    assert cells(sections["neck"], "hourglass")[0] == "2"
    assert cells(sections["spider, every exam by a network that was not trained on it"], "msa-net")[0] == "4"
    assert BETWEEN_BODIES not in sections["spider, every exam by a network that was not trained on it"]
    assert "swin-net: not measured" in text
    assert sections["The papers' order"].count("is not confirmed, 0 of 1 pairs") == 4  # both are equally far off
    assert stubbed == [(name, fold) for name in ("spider", "discs_t2") for fold in (1, 2, 3)]


def test_a_mask_that_reaches_the_edge_is_uncertain_and_the_others_have_their_centroids() -> None:
    codes = np.zeros((5, 30, 40), np.uint16)
    codes[1:4, 10:20, 36:40] = 120  # L1/L2, cut by the upper edge: the last axis runs to the head
    codes[1:4, 10:21, 20:23] = 121
    codes[2, 0:5, 5:7] = 22  # a body
    points = find_mask_points(LabelMap(codes=codes, affine=Affine.from_axes(np.eye(3), (4, 1, 1), (0, 0, 0))))
    assert points.discs == (Disc.from_name("L1/L2"), L2_L3)
    assert points.certain.tolist() == [False, True]
    assert points.points_ras_mm[1] == pytest.approx([8, 15, 21])


def test_no_training_draws_the_phantoms() -> None:
    assert all(max(seeds) < PHANTOM_SEED for seeds in PHANTOM_SEEDS.values())


@pytest.mark.slow
def test_a_fresh_phantom_is_scanned_twice_with_one_truth(tmp_path: Path) -> None:
    (first, t1), (second, t2) = list_phantoms(tmp_path, 1)
    assert (first, second) == ("T1", "T2")
    assert np.array_equal(t1.truth.points_ras_mm, t2.truth.points_ras_mm)
    assert t1.truth.certain.sum() >= 3
