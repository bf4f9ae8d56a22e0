"""A phantom on disk reads back with its truth, is the same for the same seed, and appears whole or not at all."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from phantoms import lumbar, made
from spondyl.datasets.truth import read_truth
from spondyl.errors import OutputError
from spondyl.imaging.read import read_volume
from spondyl.imaging.volume import Modality
from spondyl.phantom.truth_document import SCHEMA
from spondyl.phantom.write import Format, require_new, write_phantom


def scan_path(folder: Path, format_: Format) -> Path:
    return folder / ("p.nii.gz" if format_ is Format.NIFTI else "p")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("format_", list(Format))
def test_scan_masks_and_truth_lie_in_one_place(tmp_path: Path, format_: Format) -> None:
    phantom = lumbar()
    write_phantom(phantom, scan_path(tmp_path, format_), format_)
    scan = read_volume(scan_path(tmp_path, format_), modality=Modality.MR)
    assert scan.warnings == ()
    document = json.loads((tmp_path / "p_truth.json").read_bytes())
    assert document["image"]["shape"] == list(scan.voxels.shape)
    np.testing.assert_allclose(document["image"]["affine_ras"], scan.affine.matrix, atol=1e-9)
    for name, mask in (("seg", phantom.truth.masks.instances), ("subregions", phantom.truth.masks.subregions)):
        read = read_volume(tmp_path / f"p_{name}.nii.gz", modality=Modality.MR)
        np.testing.assert_allclose(read.affine.matrix, scan.affine.matrix, atol=1e-4)  # NIfTI stores single precision
        indices = phantom.volume.affine.to_world(np.argwhere(mask > 0)[::97])
        i, j, k = np.round(read.affine.to_index(indices)).astype(int).T
        np.testing.assert_array_equal(read.voxels[i, j, k], mask[mask > 0][::97])
        assert (read.voxels > 0).sum() == (mask > 0).sum()
        ours, theirs = (np.round(grid.to_index(indices)).astype(int).T for grid in (phantom.volume.affine, scan.affine))
        np.testing.assert_array_equal(scan.voxels[tuple(theirs)], phantom.volume.voxels[tuple(ours)])


@pytest.mark.slow
def test_ct_keeps_its_values_in_dicom(tmp_path: Path) -> None:
    phantom = made(modality="ct", seed=4, severity=0)
    write_phantom(phantom, tmp_path / "p", Format.DICOM)
    read = read_volume(tmp_path / "p")
    np.testing.assert_array_equal(read.voxels, phantom.volume.voxels)
    np.testing.assert_allclose(read.affine.matrix, phantom.volume.affine.matrix, atol=1e-9)


@pytest.mark.parametrize("format_", list(Format))
def test_the_same_phantom_gives_the_same_bytes(tmp_path: Path, format_: Format) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write_phantom(lumbar(), scan_path(tmp_path / name, format_), format_)
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_the_truth_names_every_vertebra_and_disc_with_its_grades(tmp_path: Path) -> None:
    phantom = made(seed=1, variant="regular", severity=0.9, fractures=("L2:crush:2",))
    write_phantom(phantom, tmp_path / "p.nii.gz", Format.NIFTI)
    document = json.loads((tmp_path / "p_truth.json").read_bytes())
    assert document["schema"] == SCHEMA == "spondyl.phantom/1"
    by_level = {vertebra["level"]: vertebra for vertebra in document["vertebrae"]}
    assert by_level["L2"]["fracture"]["kind"] == "crush"
    for vertebra in phantom.truth.vertebrae:
        written = by_level[vertebra.level]
        np.testing.assert_allclose(written["corners_mm"], vertebra.corners_ras_mm, atol=6e-4)
        assert vertebra.instance is not None
        outlines = vertebra.instance.outlines_ras_mm
        np.testing.assert_allclose(written["outline_mm"], outlines, atol=6e-4)
    discs = {disc["level"]: disc for disc in document["discs"]}
    for truth in phantom.truth.discs:
        written = discs[str(truth.disc)]
        assert (written["pfirrmann"], written["narrowing"]) == (truth.state.pfirrmann, truth.state.narrowing)
        np.testing.assert_allclose(written["posterior_edge_mm"], truth.posterior_edge_ras_mm, atol=6e-4)
    centroids = read_truth(tmp_path / "p_truth.json")
    assert {str(level) for level in centroids} == set(by_level)  # type: ignore[union-attr]


@pytest.mark.parametrize("taken", ["p.nii.gz", "p_seg.nii.gz", "p_subregions.nii.gz", "p_truth.json"])
def test_nothing_is_overwritten(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("mine")
    for attempt in (
        lambda: require_new(tmp_path / "p.nii.gz", Format.NIFTI),
        lambda: write_phantom(lumbar(), tmp_path / "p.nii.gz", Format.NIFTI),
    ):
        with pytest.raises(OutputError, match="would overwrite"):
            attempt()
    assert contents(tmp_path) == {taken: b"mine"}


@pytest.mark.parametrize(
    ("name", "format_"), [("p.nii", Format.NIFTI), (".nii.gz", Format.NIFTI), ("..", Format.DICOM)]
)
def test_a_name_that_does_not_fit_is_refused(tmp_path: Path, name: str, format_: Format) -> None:
    with pytest.raises(OutputError, match="the phantom needs the name of a new"):
        require_new(tmp_path / name, format_)


def test_a_missing_folder_is_refused_before_a_phantom_is_made(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        require_new(tmp_path / "missing" / "p.nii.gz", Format.NIFTI)
    require_new(tmp_path / "p.nii.gz", Format.NIFTI)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [240, 300])  # the masks' names are longer than the scan's
def test_a_name_that_is_too_long_is_refused_before_a_phantom_is_made(tmp_path: Path, length: int) -> None:
    with pytest.raises(OutputError, match="cannot be written: its name is too long"):
        require_new(tmp_path / ("a" * length + ".nii.gz"), Format.NIFTI)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failing", range(4))
def test_a_failure_half_way_leaves_nothing(tmp_path: Path, failing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(99))
    replace = Path.replace

    def fails(path: Path, target: Path) -> Path:
        if next(calls) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OutputError, match="the disk is full"):
        write_phantom(lumbar(), tmp_path / "p", Format.DICOM)
    assert list(tmp_path.iterdir()) == []
