"""The pipeline turns what the stages say into findings, keeps every doubt, and loses no place.

The stages themselves are replaced by ones that know the phantom's truth; each has its own tests.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from phantoms import lumbar
from spondyl import pipeline
from spondyl.anatomy.level import Level
from spondyl.errors import InputError, SettingError
from spondyl.findings import RESEARCH_USE, WeightsUsed
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance, polygon_centroids
from spondyl.geometry.resample import to_sagittal
from spondyl.geometry.resize import resize_slices
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.crops import COMPACT
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.identify.height_map import HeightMapSettings
from spondyl.identify.labelling import Labelling, LevelSequence
from spondyl.imaging.volume import Modality, Volume
from spondyl.locate.vfr import WORKING_MM
from spondyl.locate.vfr_targets import render_targets
from spondyl.nets.cards import Card
from spondyl.nets.places import user_weights_folder
from spondyl.nets.presets import build
from spondyl.nets.weights import save
from spondyl.pipeline import NO_ANCHOR, Networks, Plan, analyze, analyze_file, load_networks

LEVELS = [Level.L4, Level.L5, Level.S1]
CENTRES = np.array([[0.0, 5, 40], [0, 3, 5], [0, -5, -30]])
AFFINE = Affine.from_axes(np.eye(3), (4, 1, 1), (-26, -40, -60))
NETWORKS = Networks(
    vfr=lambda x: x,
    appearance=lambda x: x,
    context=lambda x: x,
    crops=COMPACT,
    weights=(WeightsUsed(name="spondyl-vfr", sha256="0" * 64),),
)


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
        found.append(VertebraInstance(slices=(first, first + 1), outlines=outlines, score=1.0 + 1e-7 - number / 10))
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
    sequences = (LevelSequence(levels=tuple(levels), log_probability=-0.1),)
    return Labelling(
        sequences=sequences,
        marginals=marginals,
        rejected=rejected,
        numberings=numberings or {"regular": 1.0},
        size=1.0,
    )


@pytest.fixture
def knowing_stages(monkeypatch: pytest.MonkeyPatch) -> dict[str, Labelling]:
    """Stages that find the three bodies and label them as the test says."""
    said = {"labelling": a_labelling(list(LEVELS))}
    monkeypatch.setattr(pipeline, "_locate", lambda stack, plan, networks: instances_in(stack))
    monkeypatch.setattr(pipeline, "identify", lambda stack, instances, networks, **_: said["labelling"])
    return said


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.usefixtures("knowing_stages")
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
    findings = analyze(volume, networks=NETWORKS)
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


@pytest.mark.usefixtures("knowing_stages")
def test_slices_of_an_averaged_scan_are_those_of_the_input() -> None:
    thin = Affine.from_axes(np.eye(3), (1, 1, 1), (-30, -40, -60))
    volume = a_volume(thin, (60, 80, 120))
    stack, notes = to_sagittal(volume.voxels, volume.affine)
    findings = analyze(volume, networks=NETWORKS)
    assert set(notes) <= set(findings.warnings)
    assert stack.slice_mm == pytest.approx(3)
    for vertebra in findings.vertebrae:
        places = [thin.to_index(np.array(corners).mean(axis=0))[0] for corners in vertebra.outline_mm]
        assert np.abs(np.array(vertebra.slices) - places).max() <= 0.51


@pytest.mark.usefixtures("knowing_stages")
def test_probabilities_are_listed_from_a_thousandth_on_and_stay_within_one() -> None:
    vertebra = analyze(a_volume(), networks=NETWORKS).vertebrae[0]
    assert vertebra.level_probabilities == {Level.L3: 0.0995, Level.L4: 0.9}
    assert vertebra.level_probability == 0.9
    assert vertebra.detection_score == 1.0


def test_a_rejected_candidate_is_no_vertebra(knowing_stages: dict[str, Labelling]) -> None:
    knowing_stages["labelling"] = a_labelling([Level.L4, None, Level.L5])
    findings = analyze(a_volume(), networks=NETWORKS)
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
def test_without_an_anchor_a_warning_says_so(
    knowing_stages: dict[str, Labelling], levels: list[Level | None], is_anchored: bool
) -> None:
    knowing_stages["labelling"] = a_labelling(levels)
    assert (NO_ANCHOR not in analyze(a_volume(), networks=NETWORKS).warnings) == is_anchored


def test_an_unsure_end_of_the_column_is_no_anchor(knowing_stages: dict[str, Labelling]) -> None:
    unsure = a_labelling(list(LEVELS))
    knowing_stages["labelling"] = replace(unsure, marginals=unsure.marginals * 0.4, rejected=unsure.rejected + 0.6)
    assert NO_ANCHOR in analyze(a_volume(), networks=NETWORKS).warnings


def test_a_level_that_the_weights_were_not_taught_is_named(knowing_stages: dict[str, Labelling]) -> None:
    knowing_stages["labelling"] = a_labelling([Level.T8, Level.T9, Level.T10])
    lumbar = replace(NETWORKS, taught=(Level.T9, Level.S1))
    warned = [warning for warning in analyze(a_volume(), networks=lumbar).warnings if "taught" in warning]
    assert warned == [
        "T8: the weights were taught no level outside T9 to S1, so these levels rest on the distances "
        "between vertebrae alone"
    ]
    assert not any("taught" in warning for warning in analyze(a_volume(), networks=NETWORKS).warnings)
    knowing_stages["labelling"] = a_labelling([Level.L6, Level.S1, Level.S2])  # which look like L5 and S1
    assert not [warning for warning in analyze(a_volume(), networks=lumbar).warnings if "taught" in warning]


def test_the_context_network_is_shown_maps_drawn_as_its_card_says() -> None:
    volume = a_volume()
    stack, _ = to_sagittal(volume.voxels, volume.affine)
    bodies = [replace(body, score=0.9) for body in instances_in(stack)]
    seen: list[NDArray[np.float32]] = []

    def appearance(crops: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.eye(len(OFFICIAL_COLUMNS), dtype=np.float32)[: len(crops)] * 4

    def context(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(picture)
        return picture

    for temperature in (1.0, 10.0):
        heights = HeightMapSettings(temperature=temperature)
        networks = replace(NETWORKS, appearance=appearance, context=context, heights=heights)
        pipeline.identify(stack, bodies, networks, with_context=True)
        others = len(OFFICIAL_COLUMNS) - 1
        expected = np.exp(4 / temperature) / (np.exp(4 / temperature) + others)
        assert seen[-1].max() == pytest.approx(expected, rel=1e-5)


def test_cards_carry_the_decoders_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPONDYL_HOME", str(tmp_path))
    own = {
        "vfr": {},
        "appearance": {"uppermost_level": "T9", "lowest_level": "S1", "temperature": 4.0, "outlier_probability": 0.02},
        "context": {"temperature": 2.5, "outlier_probability": 0.05, "height_temperature": 1.5},
    }
    for network, settings in own.items():
        preset = "spinenet" if network == "context" else "compact"
        facts = {"trained_on": ("nothing",), "metrics": {}, "commit": "", "recipe": "", "licence": ""}
        card = Card(name=f"mine-{network}", network=network, preset=preset, settings=settings, **facts)
        save(build(network, preset), card, user_weights_folder())
    networks = load_networks(Plan(weights="mine", engine="torch"))
    assert (networks.costs.temperature, networks.costs.outlier_probability) == (4.0, 0.02)
    assert (networks.context_costs.temperature, networks.context_costs.outlier_probability) == (2.5, 0.05)
    assert networks.heights.temperature == 1.5
    assert networks.taught == (Level.T9, Level.S1)


@pytest.mark.parametrize(("probability", "verb"), [(0.35, "may"), (0.8, "seems to")])
def test_a_likely_numbering_variant_is_named(
    knowing_stages: dict[str, Labelling], probability: float, verb: str
) -> None:
    variants = {"regular": 0.95 - probability, "six lumbar vertebrae": probability, "eleven thoracic vertebrae": 0.05}
    knowing_stages["labelling"] = a_labelling(list(LEVELS), variants)
    warnings = analyze(a_volume(), networks=NETWORKS).warnings
    assert [warning for warning in warnings if "column" in warning] == [
        f"the column {verb} have six lumbar vertebrae, probability {probability:.2f}"
    ]


@pytest.mark.usefixtures("knowing_stages")
def test_what_the_reader_said_comes_first_and_research_use_last() -> None:
    volume = a_volume(warnings=("modality guessed from the values: MR",), source={"format": "nifti"})
    findings = analyze(volume, networks=NETWORKS)
    assert findings.warnings == ("modality guessed from the values: MR", RESEARCH_USE)
    assert findings.input == {"format": "nifti"}
    assert findings.software.weights == NETWORKS.weights
    assert findings.image.shape == (14, 80, 120)
    assert np.array_equal(findings.image.affine_ras, AFFINE.matrix)


@pytest.mark.usefixtures("knowing_stages")
def test_every_stage_is_told_and_timed() -> None:
    heard: list[str] = []
    findings = analyze(a_volume(), networks=NETWORKS, tell=heard.append)
    assert heard == ["sagittal", "locate", "identify"]
    assert list(findings.timing_s) == heard


def test_nothing_found_is_an_empty_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_locate", lambda stack, plan, networks: ())
    findings = analyze(a_volume(), networks=NETWORKS)
    assert findings.is_empty
    assert findings.warnings == (RESEARCH_USE,)


def test_ct_is_refused_before_any_work() -> None:
    with pytest.raises(InputError, match="this version analyses MR only"):
        analyze(a_volume(modality=Modality.CT), networks=NETWORKS)


@pytest.mark.parametrize("stage", ["locate", "identify"])
def test_a_plan_names_the_methods_that_there_are(stage: str) -> None:
    with pytest.raises(SettingError, match=f"--{stage} must be one of"):
        Plan(**{stage: "magic"})  # type: ignore[arg-type]


@pytest.mark.usefixtures("knowing_stages")
def test_a_file_is_read_analysed_and_handed_back(tmp_path: Path) -> None:
    from spondyl.imaging.write import to_nifti_gz

    volume = a_volume()
    (tmp_path / "scan.nii.gz").write_bytes(to_nifti_gz(volume.voxels, volume.affine))
    findings, read = analyze_file(tmp_path / "scan.nii.gz", networks=NETWORKS, modality=Modality.MR)
    assert np.array_equal(read.voxels, volume.voxels)
    assert list(findings.timing_s) == ["read", "sagittal", "locate", "identify"]


def test_published_weights_are_run_on_patches_as_they_were_trained() -> None:
    assert Plan().locate == "vfr"
    assert Plan(weights="spinenet-official").locate == "vfr-patches"
    assert Plan(weights="spinenet-official", locate="vfr").locate == "vfr"


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

    networks = Networks(vfr=vfr, appearance=appearance, context=lambda picture: 400 * picture, crops=COMPACT)
    findings = analyze(phantom.volume, networks=networks)
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
