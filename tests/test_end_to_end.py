"""Whatever is given to the command line, it answers in one sentence and leaves nothing half-written.

The readers' own tests know every shape of damage; here each kind of bad input goes the whole way, once.
"""

import errno
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from imaging.dicom_files import AXIAL, PATIENT, SAGITTAL, write_series
from loaded_plans import plan_of_networks
from spondyl import cli, pipeline
from spondyl.findings import Findings
from spondyl.geometry.affine import Affine
from spondyl.imaging import archive
from spondyl.imaging.write import to_nifti_gz
from spondyl.nets.cards import list_cards
from spondyl.nets.places import shipped_weights_folder
from spondyl.pipeline import STEPS

SAGITTAL_GRID = Affine.from_axes(np.eye(3), (4, 1.5, 1.5), (-20, -60, -80))
SHAPE = (11, 80, 110)
SEES_NOTHING = plan_of_networks(
    vfr=lambda batch: np.zeros((len(batch), 13, *batch.shape[2:]), np.float32),
    appearance=lambda crops: pytest.fail("nothing was found"),
)

Maker = Callable[[Path], object]
"""Makes the bad input at a path that does not exist yet."""


def run(*arguments: str | Path) -> int:
    """The exit status of the command line, run in this process."""
    with pytest.raises(SystemExit) as left:
        cli.main([str(argument) for argument in arguments])
    code = left.value.code
    return code if isinstance(code, int) else 0


def the_sentence(error: str) -> str:
    """What is said on stderr besides the names of the stages: one line, and no traceback."""
    said = [line for line in error.splitlines() if line.split()[0] not in (*STEPS, "report")]
    assert len(said) == 1, error
    assert said[0].startswith("spondyl: ")
    return said[0].removeprefix("spondyl: ")


def nifti(path: Path, voxels: NDArray[np.generic], affine: Affine = SAGITTAL_GRID) -> Path:
    path.write_bytes(to_nifti_gz(voxels, affine))
    return path


def noise(shape: tuple[int, ...] = SHAPE) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


# Bad input: status 2


def folder_of_texts(path: Path) -> None:
    path.mkdir()
    (path / f"{PATIENT}.txt").write_text("not an image")


def truncated(path: Path) -> None:
    nifti(path, noise())
    path.write_bytes(path.read_bytes()[:5000])


def corrupt(path: Path) -> None:
    nifti(path, noise())
    content = bytearray(path.read_bytes())
    content[9000] ^= 8
    path.write_bytes(content)


def not_numbers(path: Path) -> None:
    voxels = noise()
    voxels[3, 4, 5] = np.nan
    nifti(path, voxels)


def axial_localiser(path: Path) -> None:
    write_series(path, replace(AXIAL, step_mm=(0, 0, 10), slices=5))


def a_billion_voxels(path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_data_shape((1000, 1000, 1000))
    header["magic"], header["vox_offset"] = b"n+1", 352
    path.write_bytes(header.binaryblock + bytes(8))


def unreadable_transfer_syntax(path: Path) -> None:
    for file in write_series(path, SAGITTAL):
        dataset = dcmread(file)
        dataset.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)  # RLE, then called a video
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"
        dataset.save_as(file)


def zip_that_leads_out(name: str) -> Maker:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as out:
            out.writestr(zipfile.ZipInfo(name), to_nifti_gz(noise(), SAGITTAL_GRID))

    return make


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a.nii", bytes(4 * 2**20))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "no such file"),
        (Path.mkdir, "the folder is empty"),
        (folder_of_texts, "none of the 1 files"),
        (truncated, "damaged or truncated"),
        (corrupt, "damaged or truncated"),
        (not_numbers, "not numbers"),
        (lambda path: nifti(path, np.full(SHAPE, 7, np.int16)), "constant"),
        (lambda path: nifti(path, noise((80, 110, 1))), "three dimensions"),
        (axial_localiser, "axial stack"),
        (a_billion_voxels, "too large"),
        (unreadable_transfer_syntax, "cannot be decoded"),
        (zip_that_leads_out("../a.nii.gz"), "absolute path"),
        (zip_that_leads_out("/tmp/a.nii.gz"), "absolute path"),
        (zip_bomb, "would unpack to"),
        (lambda path: nifti(path, noise() * 3000 - 1000), "the scan is CT"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(
    tmp_path: Path,
    make: Maker,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(archive, "RATIO_COUNTS_FROM_BYTES", 2**20)  # a small bomb will do
    monkeypatch.setattr(pipeline, "load", lambda plan, modality: pytest.fail("networks were loaded for this"))
    path = tmp_path / f"{PATIENT}.nii.gz"
    make(path)
    before = {file: file.is_file() and file.read_bytes() for file in tmp_path.rglob("*")}
    assert run("analyze", path) == 2
    said = capsys.readouterr()
    assert sentence in the_sentence(said.err)
    assert PATIENT not in said.err + said.out
    assert not said.out
    assert {file: file.is_file() and file.read_bytes() for file in tmp_path.rglob("*")} == before


# Output that cannot be written: status 2


@pytest.fixture
def scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A readable scan in which the networks see nothing."""
    monkeypatch.setattr(pipeline, "load", lambda plan, modality: SEES_NOTHING)
    return nifti(tmp_path / "scan.nii.gz", noise())


@pytest.mark.slow
def test_a_full_disk_is_said_and_leaves_nothing(
    scan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, content: bytes) -> int:
        path.open("wb").close()  # the name fits on the disk, its content does not
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert run("analyze", scan, "-o", scan.parent / "deep" / "result") == 2
    assert "the disk is full" in the_sentence(capsys.readouterr().err)
    assert list(scan.parent.iterdir()) == [scan]
    assert run("phantom", scan.parent / "phantom.nii.gz") == 2
    assert "the disk is full" in the_sentence(capsys.readouterr().err)
    assert list(scan.parent.iterdir()) == [scan]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root, who may write anywhere, steps down for as long."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("command", ["analyze", "phantom"])
def test_without_permission_to_write_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setattr(pipeline, "load", lambda plan, modality: SEES_NOTHING)
    with TemporaryDirectory() as base:
        path = nifti(Path(base) / "scan.nii.gz", noise())
        Path(base).chmod(0o555)
        with as_nobody():
            status = run("analyze", path) if command == "analyze" else run("phantom", Path(base) / "p.nii.gz")
        assert status == 2
        assert "permission" in the_sentence(capsys.readouterr().err).lower()
        assert list(Path(base).iterdir()) == [path]
        Path(base).chmod(0o755)


# Scans of something else: status 3


def a_head() -> NDArray[np.float32]:
    """Brain, skull and scalp as shells around the middle."""
    place = np.moveaxis(np.indices((15, 160, 160)), 0, -1) - (7, 80, 80)
    radius = np.linalg.norm(place / (9, 62, 70), axis=-1)
    tissue = np.select([radius < 0.82, radius < 0.88, radius < 1], [0.6, 0.05, 0.9], 0)
    return np.asarray(tissue * (0.8 + 0.4 * noise((15, 160, 160))), dtype=np.float32)


def a_knee() -> NDArray[np.float32]:
    """Two bones end to end with a gap of cartilage, in muscle and fat."""
    place = np.moveaxis(np.indices((15, 160, 160)), 0, -1) - (7, 80, 80)
    across, along = np.hypot(place[..., 0] * 4, place[..., 1]), np.abs(place[..., 2])
    bone = (across < 18 + 14 * np.exp(-along / 18)) & (along > 3)
    tissue = np.select([bone, across < 34, across < 60, across < 66], [0.7, 0.15, 0.3, 0.9], 0)
    return np.asarray(tissue * (0.8 + 0.4 * noise((15, 160, 160))), dtype=np.float32)


def assert_says_that_nothing_was_found(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = path.parent / "result"
    assert run("analyze", path, "-o", out) == 3
    assert "no vertebra was found" in capsys.readouterr().err
    report = Findings.from_json((out / "report.json").read_bytes())
    assert report.is_empty
    assert {file.name for file in out.iterdir()} == {"report.json", "report.html", "vertebrae.csv", "overview.png"}


def test_networks_that_see_nothing_give_a_valid_empty_report(scan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_says_that_nothing_was_found(scan, capsys)


SHIPPED = {card.name for card in list_cards((shipped_weights_folder(),))}


@pytest.mark.skipif(
    not {"spondyl-vfr", "spondyl-appearance", "spondyl-context"} <= SHIPPED,
    reason="needs the weights of the package, which this checkout does not hold",
)
@pytest.mark.parametrize("draw", [a_head, a_knee])
def test_a_scan_of_another_part_of_the_body_is_read_and_nothing_found(
    tmp_path: Path, draw: Callable[[], NDArray[np.float32]], capsys: pytest.CaptureFixture[str]
) -> None:
    grid = Affine.from_axes(np.eye(3), (5, 1.4, 1.4), (0, 0, 0))
    assert_says_that_nothing_was_found(nifti(tmp_path / "scan.nii.gz", draw(), grid), capsys)


def test_a_file_that_may_not_be_read_is_refused_without_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with TemporaryDirectory() as base:
        path = nifti(Path(base) / f"{PATIENT}.nii.gz", noise())
        Path(base).chmod(0o755)
        path.chmod(0)
        with as_nobody():
            status = run("analyze", path, "-o", tmp_path / "out")
    assert status == 2
    said = capsys.readouterr().err
    assert PATIENT not in said
    assert len([line for line in said.splitlines() if line.startswith("spondyl: ")]) == 1
