"""A report shows what was found, where it was found, and is on disk whole or not at all."""

import csv
import errno
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from spondyl.anatomy.level import Level
from spondyl.errors import OutputError
from spondyl.findings import RESEARCH_USE, Disc, Findings, Grading, ImageGrid, Measurement, Software, Vertebra
from spondyl.geometry.affine import Affine
from spondyl.geometry.resample import to_sagittal
from spondyl.geometry.stack import SagittalStack
from spondyl.imaging.volume import Modality, Volume
from spondyl.reading import Reading
from spondyl.report.masks import rasterise
from spondyl.report.overview import draw_overview, follow_spine, slice_positions
from spondyl.report.page import html_report
from spondyl.report.tables import discs_csv, measurements_csv, vertebrae_csv
from spondyl.report.write import OUR_FILES, default_folder, require_usable_folder, write_report
from spondyl.study import Study

AFFINE = Affine.from_axes(np.eye(3), (4, 1, 1), (-18, -20, -30))


def a_volume(affine: Affine = AFFINE, shape: tuple[int, int, int] = (9, 60, 70)) -> Volume:
    voxels = np.random.default_rng(0).uniform(0, 100, shape).astype(np.float32)
    return Volume(voxels=voxels, affine=affine, modality=Modality.MR, source={"format": "nifti"})


def a_box(
    level: Level, low: tuple[float, float, float], high: tuple[float, float, float], affine: Affine, p: float = 0.9
) -> Vertebra:
    """A body that fills the box between two points in RAS mm, seen in each sagittal slice of the box."""
    left_right = np.arange(low[0], high[0] + 1e-6, affine.spacing_mm[0])
    corners = [(low[1], high[2]), (low[1], low[2]), (high[1], low[2]), (high[1], high[2])]
    first = round(float(affine.to_index(low)[0]))
    return Vertebra(
        level=level,
        level_probability=p,
        level_probabilities={level: p},
        detection_score=0.99,
        centroid_mm=tuple((np.array(low) + high) / 2),
        outline_mm=[[(x, a, s) for a, s in corners] for x in left_right],  # type: ignore[arg-type]
        slices=tuple(range(first, first + len(left_right))),
    )


def findings_of(volume: Volume, *vertebrae: Vertebra, **changes: object) -> Findings:
    grid = ImageGrid(
        modality="mr",
        shape=volume.voxels.shape,
        spacing_mm=tuple(volume.affine.spacing_mm),
        affine_ras=volume.affine.matrix.tolist(),
    )
    values: dict[str, object] = {"software": Software(version="0.1.0"), "input": volume.source, "image": grid}
    return Findings(**{**values, "vertebrae": vertebrae, **changes})  # type: ignore[arg-type]


def some_findings(volume: Volume) -> Findings:
    upper = a_box(Level.L4, (-10, -5, 5), (2, 25, 25), AFFINE)
    lower = a_box(Level.L5, (-10, -5, -22), (2, 25, -3), AFFINE, p=0.5)
    return findings_of(volume, upper, lower)


# --- where things are


def test_the_mask_of_a_box_is_the_box_on_the_inputs_own_grid() -> None:
    volume = a_volume()
    findings = findings_of(volume, a_box(Level.L4, (-10, -4.5, 4.5), (2, 24.5, 24.5), AFFINE))
    stack, _ = to_sagittal(volume.voxels, AFFINE)
    mask = rasterise(findings, volume.grid, stack.affine)
    expected = np.zeros_like(mask)
    expected[2:6, 16:45, 35:55] = 23  # -18 + 4 i in [-10, 2], -20 + j in (-4.5, 24.5), -30 + k in (4.5, 24.5)
    assert np.array_equal(mask, expected)


@settings(max_examples=25)
@given(
    st.permutations((0, 1, 2)), st.lists(st.booleans(), min_size=3, max_size=3), st.floats(-0.3, 0.3), st.floats(1, 3.5)
)
def test_the_mask_has_the_bodys_volume_and_centre_on_any_grid(
    axes: list[int], flips: list[bool], angle: float, slice_mm: float
) -> None:
    spacing = np.array([slice_mm, 1.0, 1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    signs = np.where(flips, -1.0, 1.0)
    directions = (turn * signs)[:, axes]
    shape = np.array([round(80 / slice_mm), 80, 80])[axes]
    straight = Affine.from_axes(directions, spacing[axes], (0, 0, 0))
    affine = Affine.from_axes(directions, spacing[axes], -straight.to_world((shape - 1) / 2))
    volume = a_volume(affine, tuple(int(n) for n in shape))
    stack, _ = to_sagittal(volume.voxels, affine)
    half = np.array([20 / stack.slice_mm // 1 * stack.slice_mm, 15, 12])
    middle = (np.array(stack.voxels.shape) - 1) // 2
    centre = stack.affine.to_world(middle)
    steps = np.arange(-half[0], half[0] + 1e-6, stack.slice_mm)
    corners = np.array([[r * 12, c * 15] for r, c in ((-1, 1), (1, 1), (1, -1), (-1, -1))])
    outlines = [
        [
            tuple(stack.affine.to_world([middle[0] + x / stack.slice_mm, middle[1] + r, middle[2] + c]))
            for r, c in corners
        ]
        for x in steps
    ]
    vertebra = a_box(Level.L1, (0, 0, 0), (0, 1, 1), AFFINE).model_copy(
        update={"outline_mm": outlines, "centroid_mm": tuple(centre), "slices": tuple(range(len(steps)))}
    )
    mask = rasterise(findings_of(volume, vertebra), volume.grid, stack.affine)
    found = np.argwhere(mask == 20)
    voxel_mm3 = abs(np.linalg.det(affine.matrix[:3, :3]))
    expected_mm3 = len(steps) * stack.slice_mm * 24 * 30
    assert len(found) * voxel_mm3 == pytest.approx(expected_mm3, rel=0.12)  # an edge voxel more or less on each side
    assert np.abs(affine.to_world(found.mean(axis=0)) - centre).max() <= 0.5 * stack.slice_mm + 0.6


def test_a_mask_filled_in_parts_is_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    volume = a_volume()
    stack, _ = to_sagittal(volume.voxels, AFFINE)
    whole = rasterise(some_findings(volume), volume.grid, stack.affine)
    monkeypatch.setattr("spondyl.report.masks._MAX_POINTS", 97)
    assert whole.any()
    assert np.array_equal(rasterise(some_findings(volume), volume.grid, stack.affine), whole)


def test_a_mask_is_cut_at_the_border_and_empty_findings_give_an_empty_one() -> None:
    volume = a_volume()
    stack, _ = to_sagittal(volume.voxels, AFFINE)
    outside = findings_of(volume, a_box(Level.S2, (-10, 20, 30), (2, 60, 60), AFFINE))
    mask = rasterise(outside, volume.grid, stack.affine)
    assert set(np.unique(mask)) == {0, 26}
    assert not rasterise(findings_of(volume), volume.grid, stack.affine).any()


def test_the_overview_follows_a_scoliotic_spine_and_stays_in_one_slice_of_a_straight_one() -> None:
    voxels = np.zeros((9, 50, 20), np.float32)
    for row in range(50):
        voxels[int(np.clip(round(2 + (row - 10) / 30 * 4), 2, 6)), row, :] = 1  # the spine wanders from slice 2 to 6
    affine = Affine.from_axes([[-1, 0, 0], [0, 0, -1], [0, -1, 0]], (4, 1, 1), (0, 0, 0))
    stack = SagittalStack(voxels=voxels, affine=affine)

    positions = slice_positions(np.array([(2.0, 10, 10), (6.0, 40, 10)]), voxels.shape)
    assert positions[[0, 10, 25, 40, 49]] == pytest.approx([2, 2, 4, 6, 6], abs=1e-3)
    assert follow_spine(stack, positions).min() >= 0.49  # never more than half a slice from the spine
    assert set(slice_positions(np.array([(4.4, 10, 10), (3.8, 40, 10)]), voxels.shape)) == {4.0}
    assert set(slice_positions(np.empty((0, 3)), voxels.shape)) == {4.0}


# --- what is shown


def test_a_disc_is_marked_at_its_centre_and_its_posterior_edge_and_nowhere_else() -> None:
    volume = a_volume()
    stack, _ = to_sagittal(volume.voxels, AFFINE)
    disc = Disc(level="L4/L5", centroid_mm=(-4.0, 14.0, 0.0), posterior_mm=(-4.0, 2.0, 1.0), probability=0.9)
    without, marked = (
        255 * imread(io.BytesIO(draw_overview(findings_of(volume, discs=discs), stack)))[..., :3].mean(-1)
        for discs in ((), (disc,))
    )
    changed = np.abs(marked - without)[: len(marked) * 3 // 4]  # below it stands whether anything was found
    rows, columns = np.nonzero(changed > 40)
    height_mm, top_mm = volume.voxels.shape[2], -30 + volume.voxels.shape[2] - 0.5
    shown_mm = top_mm - rows / marked.shape[0] * height_mm
    assert shown_mm.min() > -4
    assert shown_mm.max() < 5
    centre_row = round((top_mm - 0.0) / height_mm * marked.shape[0])
    assert changed[centre_row - 3 : centre_row + 4].max() > 80
    assert np.ptp(columns) / marked.shape[0] * height_mm > 12  # from the centre to the edge, and on to the name


def test_the_overview_is_a_png_with_coloured_outlines_and_the_same_bytes_each_time() -> None:
    volume = a_volume()
    stack, _ = to_sagittal(volume.voxels, AFFINE)
    findings = some_findings(volume)
    picture = draw_overview(findings, stack)
    assert picture.startswith(b"\x89PNG")
    assert picture == draw_overview(findings, stack)
    pixels = imread(io.BytesIO(picture))[..., :3]
    amber = (np.abs(pixels - np.array([1, 0.69, 0])) < 0.05).all(axis=-1)
    assert amber.sum() > 500
    empty = imread(io.BytesIO(draw_overview(findings_of(volume), stack)))[..., :3]
    assert not (np.ptp(empty, axis=-1) > 0.1).any()


def test_the_page_needs_nothing_else_and_says_what_it_is() -> None:
    volume = a_volume()
    page = html_report(some_findings(volume), b"\x89PNG")
    assert "http" not in page
    assert "<script" not in page
    assert 'src="data:image/png;base64,' in page
    assert RESEARCH_USE in page
    assert "L5?" in page
    assert "L4?" not in page


def test_the_page_escapes_what_a_scan_says() -> None:
    volume = a_volume()
    hostile = findings_of(volume, input={"format": "<script>alert(1)</script>"}, warnings=("<b>x",))
    page = html_report(hostile, b"")
    assert "<script" not in page
    assert "<b>x" not in page
    assert "No vertebra was found" in page


def test_the_page_shows_discs_and_measurements_when_there_are_any() -> None:
    volume = a_volume()
    page = html_report(
        findings_of(
            volume,
            discs=(Disc(level="L4/L5", centroid_mm=(0, 0, 0), probability=0.8),),
            measurements=(Measurement(name="height", level="L4", value=27.53, unit="mm", method="outline"),),
        ),
        b"",
    )
    assert "L4/L5" in page
    assert "27.5 mm" in page


def test_the_tables_can_be_read_back() -> None:
    volume = a_volume()
    findings = some_findings(volume)
    rows = list(csv.DictReader(vertebrae_csv(findings).splitlines()))
    assert [row["level"] for row in rows] == ["L4", "L5"]
    assert float(rows[0]["centroid_s_mm"]) == 15
    assert (rows[0]["first_slice"], rows[0]["last_slice"]) == ("2", "5")
    graded = Disc(
        level="L4/L5",
        centroid_mm=(1, 2, 3),
        probability=0.9,
        gradings={"pfirrmann": Grading(grade=3, probabilities=(0, 0.2, 0.8, 0, 0))},
    )
    bare = Disc(level="L5/S1", centroid_mm=(1, 2, 3), probability=0.9)
    discs = list(csv.DictReader(discs_csv(findings_of(volume, discs=(graded, bare))).splitlines()))
    assert [(row["pfirrmann"], row["pfirrmann_probability"]) for row in discs] == [("3", "0.8"), ("", "")]
    height = Measurement(name="height", level="L4", value=27.5, unit="mm", method="outline")
    assert measurements_csv(findings_of(volume, measurements=(height,))).splitlines() == [
        "name,level,value,unit,method",
        "height,L4,27.5,mm,outline",
    ]


# --- on disk


def test_a_report_holds_the_files_of_the_contract(tmp_path: Path) -> None:
    volume = a_volume()
    write_report(some_findings(volume), Reading(study=Study.from_volume(volume)), tmp_path / "new" / "out")
    out = tmp_path / "new" / "out"
    assert {path.name for path in out.iterdir()} == {
        "report.json",
        "vertebrae.csv",
        "segmentation.nii.gz",
        "overview.png",
        "report.html",
    }
    assert {path.name for path in out.parent.iterdir()} == {"out"}
    assert Findings.from_json((out / "report.json").read_bytes()) == some_findings(volume)
    mask = nib.load(out / "segmentation.nii.gz")
    assert np.allclose(mask.affine, volume.affine.matrix)
    assert mask.shape == volume.voxels.shape
    assert set(np.unique(np.asarray(mask.dataobj))) == {0, 23, 24}


def test_an_empty_report_is_written_without_a_mask(tmp_path: Path) -> None:
    volume = a_volume()
    write_report(findings_of(volume), Reading(study=Study.from_volume(volume)), tmp_path / "out")
    assert json.loads((tmp_path / "out/report.json").read_text())["vertebrae"] == []
    assert not (tmp_path / "out/segmentation.nii.gz").exists()


def test_an_earlier_report_is_replaced_as_a_whole(tmp_path: Path) -> None:
    volume = a_volume()
    write_report(some_findings(volume), Reading(study=Study.from_volume(volume)), tmp_path / "out")
    write_report(findings_of(volume), Reading(study=Study.from_volume(volume)), tmp_path / "out")
    assert not (tmp_path / "out/segmentation.nii.gz").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    volume = a_volume()
    write_report(findings_of(volume), Reading(study=Study.from_volume(volume)), tmp_path / "out")
    assert (tmp_path / "out/report.json").exists()


def a_file(folder: Path) -> None:
    folder.write_text("x")


def foreign_files(folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("x")


def a_report_with_a_foreign_file(folder: Path) -> None:
    volume = a_volume()
    write_report(findings_of(volume), Reading(study=Study.from_volume(volume)), folder)
    (folder / "notes.txt").write_text("x")


def a_report_of_something_else(folder: Path) -> None:
    folder.mkdir()
    (folder / "report.json").write_text('{"schema": "other"}')


@pytest.mark.parametrize("occupy", [a_file, foreign_files, a_report_with_a_foreign_file, a_report_of_something_else])
def test_whatever_is_no_earlier_report_is_left_alone(tmp_path: Path, occupy: Callable[[Path], None]) -> None:
    out = tmp_path / "out"
    occupy(out)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    volume = a_volume()
    with pytest.raises(OutputError, match="the output"):
        write_report(findings_of(volume), Reading(study=Study.from_volume(volume)), out)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "system refused"),
    ],
)
@pytest.mark.parametrize("had_report", [True, False])
def test_a_failing_disk_leaves_nothing_behind_and_the_earlier_report_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, reason: str, had_report: bool
) -> None:
    volume = a_volume()
    out = tmp_path / "new" / "out"
    if had_report:
        write_report(some_findings(volume), Reading(study=Study.from_volume(volume)), out)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    written: list[str] = []

    def fail_at_the_third(path: Path, content: bytes) -> int:
        written.append(path.name)
        if len(written) == 3:
            raise OSError(code, os.strerror(code), str(path))
        with path.open("wb") as file:
            return file.write(content)

    monkeypatch.setattr(Path, "write_bytes", fail_at_the_third)
    with pytest.raises(OutputError, match=reason) as caught:
        write_report(findings_of(volume), Reading(study=Study.from_volume(volume)), out)
    assert str(tmp_path) not in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert had_report or not list(tmp_path.iterdir())


def test_a_failing_exchange_restores_the_earlier_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = a_volume()
    out = tmp_path / "out"
    write_report(some_findings(volume), Reading(study=Study.from_volume(volume)), out)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def fail(path: Path, target: Path) -> Path:
        raise OSError(errno.EIO, "x")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OutputError, match="system refused"):
        write_report(findings_of(volume), Reading(study=Study.from_volume(volume)), out)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_folder_below_a_file_or_without_permission_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="part of its path is a file"):
        require_usable_folder(tmp_path / "file" / "out")
    (tmp_path / "shut").mkdir(mode=0o500)
    if os.geteuid() == 0:
        pytest.skip("the superuser may write anywhere")
    with pytest.raises(OutputError, match="no permission"):
        require_usable_folder(tmp_path / "shut" / "out")


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("scan.nii.gz", "scan_spondyl"),
        ("scan.mha", "scan_spondyl"),
        ("IM0001", "IM0001_spondyl"),
        (".gz", ".gz_spondyl"),
    ],
)
def test_the_default_folder_is_named_for_the_input_and_lies_beside_it(tmp_path: Path, name: str, folder: str) -> None:
    (tmp_path / name).write_text("x")
    assert default_folder(tmp_path / name) == (tmp_path / folder).resolve()
    (tmp_path / "study.zip").mkdir()
    assert default_folder(tmp_path / "study.zip").name == "study.zip_spondyl"


def test_every_file_that_is_written_may_be_replaced() -> None:
    assert {"report.json", "vertebrae.csv", "discs.csv", "measurements.csv", "segmentation.nii.gz"} <= OUR_FILES
