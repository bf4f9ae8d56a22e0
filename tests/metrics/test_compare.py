"""Reports meet their truth in the scan's own slices, and only what belongs together is compared."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from metrics.reports import CENTRES, GRID, SHAPE, report, vertebra
from phantoms import lumbar
from spondyl.anatomy.codes import verse_code
from spondyl.anatomy.level import Level
from spondyl.errors import InputError, SettingError, SpondylError
from spondyl.findings import Findings, Vertebra
from spondyl.geometry.affine import Affine
from spondyl.geometry.resample import sagittal_axes
from spondyl.imaging.write import to_nifti_gz
from spondyl.metrics.compare import compare, score_report
from spondyl.phantom.patient import Phantom
from spondyl.phantom.write import Format, write_phantom


def write_report(folder: Path, case: str, findings: Findings | None = None) -> Path:
    path = folder / f"{case}_spondyl" / "report.json"
    path.parent.mkdir(parents=True)
    path.write_text((findings or report()).to_json())
    return path


def write_centroids(path: Path) -> Path:
    path.write_text(json.dumps({"centroids_ras_mm": {level: list(point) for level, point in CENTRES.items()}}))
    return path


def write_mask(path: Path) -> Path:
    """A sphere of 8 mm around each centre."""
    voxels = np.zeros(SHAPE, np.uint8)
    places = GRID.to_world(np.moveaxis(np.indices(SHAPE), 0, -1))
    for level, centre in CENTRES.items():
        voxels[np.linalg.norm(places - centre, axis=-1) < 8] = verse_code(level)
    path.write_bytes(to_nifti_gz(voxels, GRID))
    return path


def rows(table: str) -> dict[str, list[str]]:
    """Cells by the first of each line of a table."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return {first: others for first, *others in lines[2:]}


# Scores


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1), (1, -1, 1), (-1, -1, -1)])
@pytest.mark.parametrize("turn", [0.0, 0.25])
def test_what_is_where_the_truth_is_is_found_whatever_the_order_of_the_scans_axes(
    axis: int, flips: tuple[int, ...], turn: float
) -> None:
    cos, sin = np.cos(turn), np.sin(turn)
    directions = np.roll(np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]), axis, axis=1) * flips
    spacing = np.roll([4.0, 1.5, 1.5], axis)
    middle = directions * spacing @ (60, 60, 60)
    affine = Affine.from_axes(directions, spacing, -middle)
    found = [vertebra(level, centre, affine, axis) for level, centre in CENTRES.items()]
    score = score_report(report(*found, affine=affine), CENTRES)
    assert (score.found, score.identified, score.correct, score.detections) == (3, 3, 3, 3)
    assert max(score.errors_mm) < 1e-2


def test_a_wrong_name_is_found_but_not_identified() -> None:
    found = [vertebra(Level.L2, CENTRES[Level.L3]), vertebra(Level.L5, CENTRES[Level.L5])]
    score = score_report(report(*found), CENTRES)
    assert (score.truths, score.found, score.identified, score.nearly_identified) == (3, 2, 1, 2)


def test_two_outlines_around_one_centre_find_nothing() -> None:
    found = [vertebra(Level.L4, CENTRES[Level.L4]), vertebra(Level.L3, CENTRES[Level.L4] + np.array([0, 2, 2]))]
    assert score_report(report(*found), CENTRES).found == 0


def test_the_outline_of_the_slice_nearest_to_the_centre_decides() -> None:
    """The body leans: in its outer slices its outline is elsewhere."""
    centre = CENTRES[Level.L4]
    upright, far = vertebra(Level.L4, centre), vertebra(Level.L4, centre + np.array([0, 40, 0]))
    for middle, outer, found in ((upright, far, 1), (far, upright, 0)):
        outlines = (outer.outline_mm[0], middle.outline_mm[1], outer.outline_mm[2])
        leaning = upright.model_copy(update={"outline_mm": outlines})
        assert score_report(report(leaning), CENTRES).found == found


def test_the_error_is_the_distance_within_the_slice() -> None:
    found = vertebra(Level.L4, CENTRES[Level.L4] + np.array([3, 3, 4]))
    assert score_report(report(found), CENTRES).errors_mm == pytest.approx((5.0,), abs=1e-2)


# Files


@pytest.mark.parametrize("kind", ["mask", "names", "list"])
def test_every_kind_of_truth_says_the_same(tmp_path: Path, kind: str) -> None:
    predicted = write_report(tmp_path, "case")
    if kind == "mask":
        truth = write_mask(tmp_path / "truth.nii.gz")
    elif kind == "names":
        truth = write_centroids(tmp_path / "truth.json")
    else:
        turned = {level: GRID.to_index(centre) for level, centre in CENTRES.items()}
        entries = [  # axes turned to point back, down and to the right, as VerSe's files do
            {"label": verse_code(level), "X": SHAPE[1] - 1 - j, "Y": SHAPE[2] - 1 - k, "Z": i}
            for level, (i, j, k) in turned.items()
        ]
        truth = tmp_path / "truth.json"
        truth.write_text(json.dumps([{"direction": ["P", "I", "R"]}, *entries]))
    (cells,) = rows(compare(predicted, truth)).values()
    assert cells[:5] == ["3", "100.0", "100.0", "100.0", "100.0"]
    assert float(cells[5].split()[0]) < 0.5


def test_folders_are_matched_by_name_and_pooled(tmp_path: Path) -> None:
    for case in ("a", "sub-01_T2w"):
        write_report(tmp_path / "out", case)
    (tmp_path / "out" / "c.json").write_text(report(vertebra(Level.L4, CENTRES[Level.L5])).to_json())
    truths = tmp_path / "truths"
    truths.mkdir()
    write_mask(truths / "a_seg.nii.gz")
    (truths / "a.nii.gz").write_bytes(b"the scan itself")
    write_mask(truths / "sub-01_seg-vert_msk.nii.gz")
    write_centroids(truths / "c.json")
    write_centroids(truths / "d.json")
    table = compare(tmp_path / "out", truths)
    found = rows(table)
    assert set(found) == {"a", "sub-01", "c", "all 3"}
    assert found["all 3"][0] == "9"
    assert found["c"][3:5] == ["0.0", "33.3"]
    assert found["all 3"][3] == "66.7"
    assert table.endswith("\n\nnot counted: 1 truths without a report")


def test_the_folder_that_analyze_wrote_is_a_report(tmp_path: Path) -> None:
    predicted = write_report(tmp_path, "case")
    truth = write_centroids(tmp_path / "truth.json")
    assert compare(predicted.parent, truth) == compare(predicted, truth)


def test_reports_without_a_truth_are_counted_and_left_out(tmp_path: Path) -> None:
    for case in "abc":
        write_report(tmp_path / "out", case)
    (tmp_path / "truths").mkdir()
    write_centroids(tmp_path / "truths" / "a.json")
    table = compare(tmp_path / "out", tmp_path / "truths")
    assert set(rows(table)) == {"a"}
    assert table.endswith("\n\nnot counted: 2 reports without a truth")


def test_an_empty_mask_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "a_seg.nii.gz").write_bytes(to_nifti_gz(np.zeros(SHAPE, np.uint8), GRID))
    (cells,) = rows(compare(write_report(tmp_path, "a"), tmp_path / "a_seg.nii.gz")).values()
    assert cells == ["0", "-", "-", "-", "-", "-"]


# Phantoms


def report_of(phantom: Phantom) -> Findings:
    """Everything that is true of a phantom's bodies, as a report."""
    affine = phantom.volume.affine
    axis = sagittal_axes(affine)[0]
    vertebrae = []
    for true in phantom.truth.vertebrae:
        if true.instance is not None:
            outlines = true.instance.outlines_ras_mm
            slices = affine.to_index(outlines.mean(axis=1))[:, axis].round().astype(int)
            order = np.argsort(slices)
            shown = vertebra(true.level, true.centroid_ras_mm)
            changes = {"outline_mm": outlines[order].tolist(), "slices": tuple(slices[order].tolist())}
            vertebrae.append(Vertebra.model_validate(shown.model_dump() | changes))
    return report(*vertebrae, affine=affine, shape=phantom.volume.voxels.shape)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a phantom was written, and then analysed without a fault."""
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantom(lumbar(), folder / "p.nii.gz", Format.NIFTI)
    write_report(folder, "p", report_of(lumbar()))
    return folder


@pytest.mark.parametrize("truth", ["p_truth.json", "p_seg.nii.gz", "."])
def test_a_phantoms_own_truth_is_exact_in_each_of_its_forms(written: Path, truth: str) -> None:
    table = compare(written / "p_spondyl", written / truth)
    assert rows(table)["p"][1:5] == ["100.0"] * 4
    assert table == compare(written / "p_spondyl", written / "p_truth.json")


def test_a_mask_of_whole_vertebrae_alone_is_compared_by_its_bodies(written: Path, tmp_path: Path) -> None:
    mask = tmp_path / "p_seg.nii.gz"
    mask.write_bytes((written / "p_seg.nii.gz").read_bytes())
    cells = rows(compare(written / "p_spondyl", mask))["p"]
    assert cells[1:5] == ["100.0"] * 4
    assert float(cells[5].split()[0]) < 1.5


def test_reports_are_found_among_a_phantoms_own_files(written: Path) -> None:
    assert set(rows(compare(written, written))) == {"p"}


def test_one_report_and_a_folder_of_one_case_belong_together(written: Path, tmp_path: Path) -> None:
    predicted = write_report(tmp_path, "any", report_of(lumbar()))
    (cells,) = rows(compare(predicted.parent, written)).values()
    assert cells[1:5] == ["100.0"] * 4


def test_comparing_needs_neither_torch_nor_lightning(written: Path) -> None:
    blocked = "import sys; sys.modules |= dict.fromkeys(('torch', 'lightning', 'openvino'))"
    call = f"from spondyl.cli import main; main(['evaluate', {str(written / 'p_spondyl')!r}, {str(written)!r}])"
    done = subprocess.run([sys.executable, "-c", f"{blocked}; {call}"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "100.0" in done.stdout


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"centroids_ras_mm": []}', "centroids must be"),
        (b'{"centroids_ras_mm": {"L1": [1, 2, 1' + b"0" * 400 + b"]}}", "centroids must be"),
        (b"{}", "centroids must be"),
        (b'{"centroids_ras_mm": {"L1/L2": [1, 2, 3]}}', "centroids must be"),
        (b'{"centroids_ras_mm": {"L1": [1, 2]}}', "centroids must be"),
        (b'{"centroids_ras_mm": {"L1": [1, 2, NaN]}}', "centroids must be"),
        (b'{"centroids_ras_mm": {}}', "names no vertebra"),
        (b'[{"direction": ["P", "I", "P"]}]', "centroids must be"),
        (b'[{"direction": ["P", "I", "R"]}, {"label": 20, "X": 1}]', "centroids must be"),
        (b'[{"direction": ["P", "I", "R"]}, {"label": 99, "X": 1, "Y": 1, "Z": 1}]', "names no vertebra"),
        (b"[]", "centroids must be"),
    ],
)
def test_what_is_no_truth_is_refused_in_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    truth = tmp_path / "truth.json"
    truth.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        compare(write_report(tmp_path, "case"), truth)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def one_truth_for_two(folder: Path) -> tuple[Path, Path]:
    for case in "ab":
        write_report(folder / "out", case)
    return folder / "out", write_centroids(folder / "a.json")


def no_truth_of_the_name(folder: Path) -> tuple[Path, Path]:
    write_report(folder / "out", "a")
    (folder / "truths").mkdir()
    write_centroids(folder / "truths" / "b.json")
    write_centroids(folder / "truths" / "c.json")
    return folder / "out", folder / "truths"


def two_of_a_name(folder: Path) -> tuple[Path, Path]:
    write_report(folder / "out", "a")
    (folder / "out" / "a.json").write_text(report().to_json())
    return folder / "out", folder


def no_report(folder: Path) -> tuple[Path, Path]:
    return folder, write_centroids(folder.parent / "a.json")


def no_truth(folder: Path) -> tuple[Path, Path]:
    return write_report(folder, "a"), folder / "missing"


def the_scan_as_truth(folder: Path) -> tuple[Path, Path]:
    scan = np.random.default_rng(0).integers(0, 1000, SHAPE).astype(np.int16)
    (folder / "a.nii.gz").write_bytes(to_nifti_gz(scan, GRID))
    return write_report(folder, "a"), folder / "a.nii.gz"


def a_mask_of_other_codes(folder: Path) -> tuple[Path, Path]:
    (folder / "a.nii.gz").write_bytes(to_nifti_gz(np.full(SHAPE, 100, np.uint8), GRID))
    return write_report(folder, "a"), folder / "a.nii.gz"


def another_json(folder: Path) -> tuple[Path, Path]:
    return write_centroids(folder / "a.json"), write_centroids(folder / "b.json")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (one_truth_for_two, "2 reports and one truth"),
        (no_truth_of_the_name, "1 reports have no truth"),
        (the_scan_as_truth, "is it a scan"),
        (a_mask_of_other_codes, "names no vertebra"),
        (two_of_a_name, "2 reports are of only 1 cases"),
        (no_report, "there is no report"),
        (no_truth, "neither a mask nor a JSON"),
        (another_json, "is not a spondyl.findings/1 report"),
    ],
)
def test_what_does_not_belong_together_is_refused(tmp_path: Path, given, sentence: str) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    with pytest.raises(SpondylError, match=sentence) as caught:
        compare(*given(folder))
    assert isinstance(caught.value, InputError | SettingError)
