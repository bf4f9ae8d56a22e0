"""The pipeline turns what the stages say into findings, keeps every doubt, and loses no place.

The stages themselves are replaced by ones that know the phantom's truth; each has its own tests.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from loaded_plans import plan_of_functions, plan_of_networks
from phantoms import lumbar
from spondyl import pipeline
from spondyl.anatomy.level import Level
from spondyl.errors import InputError, SettingError, WeightsError
from spondyl.findings import RESEARCH_USE, Findings, WeightsUsed
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance, polygon_centroids
from spondyl.geometry.resample import to_sagittal
from spondyl.geometry.resize import resize_slices
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.doubts import NO_ANCHOR
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.identify.misses import MissRates
from spondyl.imaging.volume import Modality, Volume
from spondyl.labelling import LEVELS as ALL_LEVELS
from spondyl.labelling import Labelling, MarkSequence
from spondyl.loaded_plan import LoadedPlan, load
from spondyl.locate.vfr import WORKING_MM
from spondyl.locate.vfr_targets import render_targets
from spondyl.nets.cards import Card
from spondyl.nets.places import user_weights_folder
from spondyl.nets.presets import build
from spondyl.nets.weight_sets import WeightSet, find_set, set_path
from spondyl.nets.weights import save
from spondyl.pipeline import analyze, analyze_file
from spondyl.plan import Plan
from spondyl.stage import Stage

LEVELS = [Level.L4, Level.L5, Level.S1]
CENTRES = np.array([[0.0, 5, 40], [0, 3, 5], [0, -5, -30]])
AFFINE = Affine.from_axes(np.eye(3), (4, 1, 1), (-26, -40, -60))
WEIGHTS = (WeightsUsed(name="spondyl-vfr", sha256="0" * 64),)


def a_volume(affine: Affine = AFFINE, shape: tuple[int, ...] = (14, 80, 120), **changes: object) -> Volume:
    voxels = np.random.default_rng(0).uniform(0, 100, shape).astype(np.float32)
    values: dict[str, object] = {"voxels": voxels, "affine": affine, "modality": Modality.MR, **changes}
    return Volume(**values)  # type: ignore[arg-type]


def instances_in(stack: SagittalStack) -> tuple[VertebraInstance, ...]:
    """A 30 x 24 mm quadrilateral around each centre, in the two slices nearest to it."""
    found = []
    for number, centre in enumerate(CENTRES):
        position, row, column = stack.affine.to_index(centre)
        first = int(np.floor(position))
        corners = np.array([[-12, 15], [12, 15], [12, -15], [-12, -15]]) / stack.pixel_mm + (row, column)
        outlines = np.stack([corners, corners])
        score = 1.0 + 1e-7 - number / 10
        found.append(VertebraInstance(slices=(first, first + 1), outlines=outlines, score=score, affine=stack.affine))
    return tuple(found)


def a_labelling(levels: list[Level | None], numberings: dict[str, float] | None = None) -> Labelling:
    marginals = np.zeros((len(levels), len(Level)))
    rejected = np.zeros(len(levels))
    for number, level in enumerate(levels):
        if level is None:
            rejected[number] = 1
        else:
            marginals[number, level.rank] = 0.9
            marginals[number, level.rank - 1] = 0.0995
            marginals[number, level.rank - 2] = 0.0005
    sequences = (MarkSequence(levels=tuple(levels), log_probability=-0.1),)
    return Labelling(
        sequences=sequences,
        marks=ALL_LEVELS,
        marginals=marginals,
        rejected=rejected,
        numberings=numberings or {"regular": 1.0},
        size=1.0,
    )


def plan_that_says(labelling: Labelling | None = None) -> LoadedPlan:
    """Methods that find the three bodies and name them so."""
    return plan_of_functions(instances_in, lambda bodies: labelling or a_labelling(list(LEVELS)), WEIGHTS)


def findings_of(volume: Volume, labelling: Labelling | None = None) -> Findings:
    return analyze(volume, loaded=plan_that_says(labelling)).findings


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flipped", [False, True])
def test_every_body_keeps_its_place_whatever_the_order_of_the_inputs_axes(axes: tuple[int, ...], flipped: bool) -> None:
    base = a_volume()
    index_map = np.zeros((4, 4))
    index_map[3, 3] = 1
    voxels = base.voxels.transpose(axes)
    for new, old in enumerate(axes):
        index_map[old, new] = 1
    if flipped:
        voxels = np.ascontiguousarray(voxels[::-1])
        index_map[:, 3] += index_map[:, 0] * (voxels.shape[0] - 1)
        index_map[:, 0] *= -1
    volume = Volume(voxels=voxels, affine=AFFINE @ index_map, modality=Modality.MR)
    findings = findings_of(volume)
    assert [vertebra.level for vertebra in findings.vertebrae] == LEVELS
    for vertebra, centre in zip(findings.vertebrae, CENTRES, strict=True):
        assert vertebra.centroid_mm[1:] == pytest.approx(centre[1:], abs=0.01)
        assert abs(vertebra.centroid_mm[0] - centre[0]) <= 2.01  # within half a slice
        outline = np.array(vertebra.outline_mm)
        assert outline.mean(axis=(0, 1)) == pytest.approx(vertebra.centroid_mm, abs=0.01)
        posterior_superior, anterior_inferior = outline[0, 0], outline[0, 2]
        assert posterior_superior[1] < anterior_inferior[1]
        assert posterior_superior[2] > anterior_inferior[2]
        axis = axes.index(0)
        for number, corners in zip(vertebra.slices, outline, strict=True):
            index = volume.affine.to_index(corners)[:, axis]
            assert index == pytest.approx(np.full(4, number), abs=1e-2)


def test_slices_of_an_averaged_scan_are_those_of_the_input() -> None:
    thin = Affine.from_axes(np.eye(3), (1, 1, 1), (-30, -40, -60))
    volume = a_volume(thin, (60, 80, 120))
    stack, notes = to_sagittal(volume.voxels, volume.affine)
    findings = findings_of(volume)
    assert set(notes) <= set(findings.warnings)
    assert stack.slice_mm == pytest.approx(3)
    for vertebra in findings.vertebrae:
        places = [thin.to_index(np.array(corners).mean(axis=0))[0] for corners in vertebra.outline_mm]
        assert np.abs(np.array(vertebra.slices) - places).max() <= 0.51


def test_probabilities_are_listed_from_a_thousandth_on_and_stay_within_one() -> None:
    vertebra = findings_of(a_volume()).vertebrae[0]
    assert vertebra.level_probabilities == {Level.L3: 0.0995, Level.L4: 0.9}
    assert vertebra.level_probability == 0.9
    assert vertebra.detection_score == 1.0


def test_a_rejected_candidate_is_no_vertebra() -> None:
    findings = findings_of(a_volume(), a_labelling([Level.L4, None, Level.L5]))
    assert [vertebra.level for vertebra in findings.vertebrae] == [Level.L4, Level.L5]
    assert findings.vertebrae[1].centroid_mm[2] == pytest.approx(CENTRES[2, 2])


@pytest.mark.parametrize(
    ("levels", "is_anchored"),
    [
        ([Level.L4, Level.L5, Level.S1], True),
        ([Level.C2, Level.C3, Level.C4], True),
        ([Level.T12, Level.L1, Level.L2], False),
    ],
)
def test_without_an_anchor_a_warning_says_so(levels: list[Level | None], is_anchored: bool) -> None:
    assert (NO_ANCHOR not in findings_of(a_volume(), a_labelling(levels)).warnings) == is_anchored


def test_an_unsure_end_of_the_column_is_no_anchor() -> None:
    sure = a_labelling(list(LEVELS))
    unsure = replace(sure, marginals=sure.marginals * 0.4, rejected=sure.rejected + 0.6)
    assert NO_ANCHOR in findings_of(a_volume(), unsure).warnings


def test_a_vertebra_that_was_probably_not_found_between_two_others_is_reported() -> None:
    labelling = replace(a_labelling(list(LEVELS)), missed={Level.L1: 0.873, Level.T12: 0.27, Level.T11: 0.19})
    assert [warning for warning in findings_of(a_volume(), labelling).warnings if "gap" in warning] == [
        "L1 lies in a gap between vertebrae that were found and was not found itself, probability 0.87",
        "T12 may lie in a gap between vertebrae that were found and was not found itself, probability 0.27",
    ]


def test_a_level_on_which_the_weights_were_not_trained_is_named() -> None:
    def warned(levels: list[Level | None], trained: tuple[Level, Level] | None) -> list[str]:
        labelling = replace(a_labelling(levels), trained_levels=trained)
        return [warning for warning in findings_of(a_volume(), labelling).warnings if "trained" in warning]

    thoracic = [Level.T8, Level.T9, Level.T10]
    assert warned(thoracic, (Level.T9, Level.S1)) == [
        "T8: the weights were trained on no level outside T9 to S1, so these levels rest on the distances "
        "between vertebrae alone"
    ]
    assert not warned(thoracic, None)
    assert not warned([Level.L6, Level.S1, Level.S2], (Level.T9, Level.S1))  # which look like L5 and S1


OWN_SETTINGS = {
    "vfr": {"working_mm": 1.3, "close_mm": 0.7},
    "appearance": {
        "uppermost_level": "T9",
        "lowest_level": "S1",
        "temperature": 4.0,
        "landmark_temperature": 2,
        "outlier_probability": 0.02,
        "miss_c2": 0.1,
        "miss_cervical": 0.2,
        "miss_thoracic": 0.3,
        "miss_lumbar": 0.4,
        "miss_s1": 0.5,
    },
    "context": {"temperature": 2.5, "outlier_probability": 0.05, "height_temperature": 1.5},
}


def keep_own_weights(settings: dict[str, dict[str, object]]) -> None:
    """Put random weights with these settings, and a set `mine` of them, where the user's own are."""
    for network, own in settings.items():
        preset = "spinenet" if network == "context" else "compact"
        facts = {"trained_on": ("nothing",), "metrics": {}, "commit": "", "recipe": "", "licence": ""}
        card = Card(name=f"mine-{network}", network=network, preset=preset, settings=own, **facts)
        save(build(network, preset), card, user_weights_folder())
    mine = WeightSet(
        name="mine",
        networks={network: f"mine-{network}" for network in settings},
        methods={"mr": {"locate": ("vfr",), "identify": ("context",)}},
    )
    path = set_path(user_weights_folder(), "mine")
    path.parent.mkdir(parents=True)
    path.write_text(mine.to_toml())


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPONDYL_HOME", str(tmp_path))


@pytest.mark.usefixtures("own_home")
def test_what_runs_is_what_the_set_was_made_for_with_the_settings_of_its_cards() -> None:
    keep_own_weights(OWN_SETTINGS)
    loaded = load(Plan(weights="mine", engine="torch"))
    assert [step.method.name for step in loaded.steps] == ["vfr", "context"]
    assert [used.name for used in loaded.weights] == ["mine-vfr", "mine-appearance", "mine-context"]
    identifier = loaded.step(Stage.IDENTIFY).run
    assert identifier.trained_levels == (Level.T9, Level.S1)
    assert identifier.namer.heights.temperature == 1.5
    assert (identifier.namer.costs.temperature, identifier.namer.costs.outlier_probability) == (2.5, 0.05)
    misses = MissRates(c2=0.1, cervical=0.2, thoracic=0.3, lumbar=0.4, s1=0.5)
    assert identifier.namer.costs.misses == misses
    ordered = load(Plan(weights="mine", engine="torch", identify="order"))
    assert [used.name for used in ordered.weights] == ["mine-vfr", "mine-appearance"]
    costs = ordered.step(Stage.IDENTIFY).run.namer.costs
    assert (costs.temperature, costs.landmark_temperature, costs.outlier_probability) == (4.0, 2.0, 0.02)
    assert costs.misses == misses


@pytest.mark.usefixtures("own_home")
@pytest.mark.parametrize(
    ("network", "setting"), [("vfr", "close_mm"), ("appearance", "temperature"), ("context", "height_temperature")]
)
def test_a_card_without_a_needed_setting_is_refused(network: str, setting: str) -> None:
    own = {name: dict(each) for name, each in OWN_SETTINGS.items()}
    del own[network][setting]
    keep_own_weights(own)
    with pytest.raises(WeightsError, match=f"the card 'mine-{network}' lacks the setting {setting}"):
        load(Plan(weights="mine", engine="torch"))


@pytest.mark.usefixtures("own_home")
def test_a_card_with_a_setting_that_nobody_reads_is_refused() -> None:
    keep_own_weights(OWN_SETTINGS | {"vfr": {**OWN_SETTINGS["vfr"], "wroking_mm": 1.2}})
    with pytest.raises(WeightsError, match="settings that this method does not know: wroking_mm"):
        load(Plan(weights="mine", engine="torch"))


def test_a_plan_loads_only_what_it_names() -> None:
    names = [used.name for used in load(Plan()).weights]
    assert names == ["spondyl-vfr", "spondyl-msa-net", "spondyl-appearance"]
    assert load(Plan()) is load(Plan())


@pytest.mark.parametrize(("probability", "verb"), [(0.35, "may"), (0.8, "seems to")])
def test_a_likely_numbering_variant_is_named(probability: float, verb: str) -> None:
    variants = {"regular": 0.95 - probability, "six lumbar vertebrae": probability, "eleven thoracic vertebrae": 0.05}
    warnings = findings_of(a_volume(), a_labelling(list(LEVELS), variants)).warnings
    assert [warning for warning in warnings if "column" in warning] == [
        f"the column {verb} have six lumbar vertebrae, probability {probability:.2f}"
    ]


def test_what_the_reader_said_comes_first_and_research_use_last() -> None:
    volume = a_volume(warnings=("the modality was guessed from the values: MR",), source={"format": "nifti"})
    findings = findings_of(volume)
    assert findings.warnings == ("the modality was guessed from the values: MR", RESEARCH_USE)
    assert findings.input == {"format": "nifti"}
    assert findings.software.weights == WEIGHTS
    assert findings.image.shape == (14, 80, 120)
    assert np.array_equal(findings.image.affine_ras, AFFINE.matrix)


def test_every_stage_is_told_and_timed() -> None:
    heard: list[str] = []
    findings = analyze(a_volume(), loaded=plan_that_says(), tell=heard.append).findings
    assert heard == ["sagittal", "locate", "identify"]
    assert list(findings.timing_s) == ["sagittal", "locate", "identify"]


def test_nothing_found_is_an_empty_report() -> None:
    nothing = plan_of_functions(lambda stack: (), lambda bodies: pytest.fail("there was nothing to name"))
    findings = analyze(a_volume(), loaded=nothing).findings
    assert findings.is_empty
    assert findings.warnings == (RESEARCH_USE,)


def test_ct_is_refused_before_any_work() -> None:
    with pytest.raises(InputError, match="the scan is CT, and the weights 'spondyl' analyse MR only"):
        analyze(a_volume(modality=Modality.CT))


@pytest.mark.parametrize("stage", ["locate", "identify"])
def test_a_plan_names_the_methods_that_there_are(stage: str) -> None:
    with pytest.raises(SettingError, match=f"--{stage} must be one of"):
        Plan(**{stage: "magic"})  # type: ignore[arg-type]


def test_a_file_is_read_analysed_and_handed_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spondyl.imaging.write import to_nifti_gz

    volume = a_volume()
    (tmp_path / "scan.nii.gz").write_bytes(to_nifti_gz(volume.voxels, volume.affine))
    monkeypatch.setattr(pipeline, "load", lambda plan, modality: plan_that_says())
    analysis = analyze_file(tmp_path / "scan.nii.gz", modality=Modality.MR)
    assert np.array_equal(analysis.reading.study.volume.voxels, volume.voxels)
    assert list(analysis.findings.timing_s) == ["read", "sagittal", "networks", "locate", "identify"]


def test_a_named_method_replaces_the_sets_own_for_its_structures() -> None:
    weights = find_set("spondyl")
    names = [method.name for method in Plan().methods(Modality.MR, weights)]
    assert names == ["vfr", "msa-net", "order"]
    replaced = [method.name for method in Plan(locate="vfr-patches").methods(Modality.MR, weights)]
    assert replaced == ["msa-net", "vfr-patches", "order"]
    with pytest.raises(SettingError, match="one method for each kind of structure, got vfr, vfr-patches"):
        Plan(locate="vfr,vfr-patches").methods(Modality.MR, weights)
    with pytest.raises(SettingError, match="--locate vfr takes no CT scans"):
        Plan(locate="vfr").methods(Modality.CT, weights)


def test_the_real_stages_find_the_phantom_where_it_is_when_the_networks_are_right() -> None:
    """Only the networks are replaced, by ones that draw the phantom's truth; everything between is what users run."""
    phantom = lumbar()
    stack, _ = to_sagittal(phantom.volume.voxels, phantom.volume.affine)
    whole = {vertebra.level: vertebra for vertebra in phantom.truth.vertebrae if vertebra.is_whole}
    seen = [level for level in whole if Level.T12.rank <= level.rank <= Level.S1.rank]
    _, scale = resize_slices(stack.voxels, stack.pixel_mm, WORKING_MM)
    indices = np.stack([stack.affine.to_index(whole[level].corners_ras_mm)[:, 1:] for level in seen])
    corners = torch.from_numpy((indices + 0.5) / scale - 0.5).float()

    def vfr(slices: NDArray[np.float32]) -> NDArray[np.float32]:
        targets, _ = render_targets(corners[None], torch.ones(1, len(seen), dtype=torch.bool), slices.shape[2:])
        maps = np.zeros((len(slices), 13, *slices.shape[2:]), np.float32)
        maps[4:11] = targets.numpy()  # seven of the fifteen slices cut the bodies
        return maps

    def appearance(crops: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = np.zeros((len(crops), len(OFFICIAL_COLUMNS)), np.float32)
        for number, level in enumerate(seen):
            logits[number, OFFICIAL_COLUMNS.index(level)] = 60
        return logits

    findings = analyze(phantom.volume, loaded=plan_of_networks(vfr, appearance)).findings
    assert [vertebra.level for vertebra in findings.vertebrae] == seen
    assert NO_ANCHOR not in findings.warnings
    for vertebra in findings.vertebrae:
        corners = whole[vertebra.level].corners_ras_mm
        in_plane = stack.affine.to_index(vertebra.centroid_mm)[1:] * stack.pixel_mm
        expected = polygon_centroids(stack.affine.to_index(corners)[:, 1:]) * stack.pixel_mm
        assert np.linalg.norm(in_plane - expected) < 0.5
        assert vertebra.slices == tuple(range(4, 11))
        outline = stack.affine.to_index(np.array(vertebra.outline_mm)[3])[:, 1:]
        assert np.abs((outline - stack.affine.to_index(corners)[:, 1:]) * stack.pixel_mm).max() < 0.6
