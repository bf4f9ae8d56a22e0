"""The command line keeps its contract: exit statuses, one sentence on stderr, nothing half-written."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from loaded_plans import plan_of_functions
from spondyl import __version__, cli, pipeline
from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.findings import Findings, findings_schema
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.stack import SagittalStack
from spondyl.imaging.write import to_nifti_gz
from spondyl.labelling import LEVELS, Labelling, MarkSequence
from spondyl.loaded_plan import LoadedPlan

HEAVY = ("torch", "scipy", "pydicom", "matplotlib", "openvino", "highdicom", "skimage", "nibabel", "lightning")
PATIENT = "Doe_Jane_19700101"


def run(*arguments: str | Path) -> int:
    """The exit status of the command line, run in this process."""
    with pytest.raises(SystemExit) as left:
        cli.main([str(argument) for argument in arguments])
    code = left.value.code
    return code if isinstance(code, int) else 0


def one_body(stack: SagittalStack) -> tuple[VertebraInstance, ...]:
    corners = np.array([[20.0, 40], [40, 40], [40, 10], [20, 10]])
    return (VertebraInstance(slices=(3,), outlines=corners[None], score=0.9, affine=stack.affine),)


def as_l4(_bodies: object) -> Labelling:
    marginals = np.zeros((1, len(Level)))
    marginals[0, Level.L4.rank] = 1
    return Labelling(
        sequences=(MarkSequence(levels=(Level.L4,), log_probability=0.0),),
        marks=LEVELS,
        marginals=marginals,
        rejected=np.zeros(1),
        numberings={"regular": 1.0},
        size=1.0,
    )


@pytest.fixture
def scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A readable scan, named as hospitals do, and stages that find one body in it."""
    monkeypatch.setattr(pipeline, "load", lambda plan, modality: plan_of_functions(one_body, as_l4))
    voxels = np.random.default_rng(0).integers(0, 100, (8, 60, 60), dtype=np.int16)
    path = tmp_path / f"{PATIENT}.nii.gz"
    path.write_bytes(to_nifti_gz(voxels, Affine.from_axes(np.eye(3), (4, 1, 1), (0, 0, 0))))
    return path


def test_starting_imports_nothing_heavy() -> None:
    code = f"import spondyl, spondyl.cli, sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_and_version_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    said = capsys.readouterr().out
    for command in ("analyze", "phantom", "train", "evaluate", "bench", "models", "schema"):
        assert command in said
    assert run("--version") == 0
    assert capsys.readouterr().out == f"spondyl {__version__}\n"


def test_the_schema_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema") == 0
    assert json.loads(capsys.readouterr().out) == findings_schema()


def test_a_scan_becomes_a_report_and_a_summary(scan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = scan.parent / "result"
    assert run("analyze", scan, "-o", out) == 0
    said = capsys.readouterr()
    assert said.out.startswith("L4   1.000\n")
    assert "warning: For research use only" in said.err
    assert [line for line in said.err.splitlines() if not line.startswith("warning")] == [
        "read",
        "sagittal",
        "networks",
        "locate",
        "identify",
        "report",
    ]
    report = Findings.from_json((out / "report.json").read_bytes())
    assert [vertebra.level for vertebra in report.vertebrae] == [Level.L4]


def test_a_name_that_could_steer_a_terminal_is_shown_escaped(scan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = scan.parent / "a\x1b[2J\nb\udcff"
    assert run("analyze", scan, "-o", out) == 0
    assert capsys.readouterr().out.endswith("a\\x1b[2J\\nb\\udcff\n")
    assert (out / "report.json").exists()
    assert run("a\n\x1b[2J") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_report_lies_beside_the_input_by_default(scan: Path) -> None:
    assert run("analyze", scan) == 0
    assert (scan.parent / f"{PATIENT}_spondyl" / "report.json").exists()


def test_no_file_of_a_report_names_the_input(scan: Path) -> None:
    out = scan.parent / "result"
    assert run("analyze", scan, "-o", out) == 0
    for path in out.iterdir():
        assert PATIENT.encode() not in path.read_bytes()


def test_nothing_found_is_status_3_with_a_valid_empty_report(
    scan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pipeline, "load", lambda plan, modality: plan_of_functions(lambda stack: (), as_l4))
    out = scan.parent / "result"
    assert run("analyze", scan, "-o", out) == 3
    assert "no vertebra was found" in capsys.readouterr().err
    assert Findings.from_json((out / "report.json").read_bytes()).is_empty


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--stages", "locate,grade"], "--stages must be locate,identify"),
        (["--segment", "safnet"], "--segment: this version has no method that does it"),
        (["--locate", "boxes"], "--locate must be one of vfr, vfr-patches"),
        (["--identify", "message-fusion"], "--identify must be one of order, context, beam, bilstm, argmax"),
        (["--modality", "ct"], "analyse MR only"),
    ],
)
def test_what_this_version_lacks_is_refused_in_one_sentence(
    scan: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("analyze", scan, *options) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("spondyl:")]
    assert len(said) == 1
    assert sentence in said[0]
    assert list(scan.parent.iterdir()) == [scan]


@pytest.mark.parametrize("arguments", [["analyze"], ["analyze", "a", "--engine", "steam"], ["analyse", "a"]])
def test_wrong_usage_is_status_2_and_one_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("spondyl: ")


def test_without_arguments_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x1f\x8b broken"])
def test_an_unreadable_input_is_one_sentence_without_its_name(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"{PATIENT}.nii.gz"
    path.write_bytes(content)
    assert run("analyze", path) == 2
    error = capsys.readouterr().err
    assert error.count("spondyl:") == 1
    assert "Traceback" not in error
    assert PATIENT not in error
    assert list(tmp_path.iterdir()) == [path]


def test_an_occupied_folder_is_refused_before_the_scan_is_read(scan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("analyze", scan, "-o", scan.parent) == 2
    assert "read" not in capsys.readouterr().err.splitlines()


def test_a_fault_is_status_1_without_values_unless_debugging(
    scan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(plan: object, modality: object) -> LoadedPlan:
        raise ValueError(PATIENT)

    monkeypatch.setattr(pipeline, "load", fail)
    assert run("analyze", scan) == 1
    error = capsys.readouterr().err
    assert "a fault of Spondyl's own (ValueError)" in error
    assert PATIENT not in error
    assert list(scan.parent.iterdir()) == [scan]
    monkeypatch.setenv(cli.DEBUG, "1")
    assert run("analyze", scan) == 1
    assert "Traceback" in capsys.readouterr().err


def test_too_little_memory_is_said(
    scan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(plan: object, modality: object) -> LoadedPlan:
        raise MemoryError

    monkeypatch.setattr(pipeline, "load", fail)
    assert run("analyze", scan) == 2
    assert "memory" in capsys.readouterr().err


FOUR = ["p.nii.gz", "p_seg.nii.gz", "p_subregions.nii.gz", "p_truth.json"]


def test_a_phantom_is_made_with_its_truth_and_not_overwritten(tmp_path: Path) -> None:
    from spondyl.imaging.read import read_volume

    out = tmp_path / "p.nii.gz"
    options = ["--seed", "1", "--spacing", "3", "--variant", "L6", "--sequence", "stir", "--fracture", "L1:crush:3"]
    assert run("phantom", out, *options) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == FOUR
    truth = json.loads((tmp_path / "p_truth.json").read_bytes())
    assert truth["options"]["variant"] == "L6"
    assert next(v for v in truth["vertebrae"] if v["level"] == "L1")["fracture"]["kind"] == "crush"
    assert read_volume(out).affine.spacing_mm[1:] == pytest.approx(3)
    first = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert run("phantom", out) == 2
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_a_phantom_is_a_dicom_series_that_can_be_analysed(scan: Path, tmp_path: Path) -> None:
    series = scan.parent / "p"
    assert run("phantom", series, "--format", "dicom", "--modality", "mr", "--fov", "cervical", "--spacing", "3") == 0
    assert all(path.suffix == ".dcm" for path in series.iterdir())
    assert run("analyze", series, "-o", tmp_path / "report") == 0
    report = Findings.from_json((tmp_path / "report" / "report.json").read_bytes())
    assert report.input["files"] == len(list(series.iterdir()))
    assert not [warning for warning in report.warnings if "ignored" in warning or "interpolated" in warning]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--cobb", "200"], "cobb must be between 0 and 90 degrees, got 200"),
        (
            ["--variant", "L6", "--fov", "cervical"],
            "variant L6 can only be seen with fov lumbar or whole, got cervical",
        ),
        (["--spacing", "-1"], "spacing must be between 0.3 and 5 mm, got -1"),
        (["--seed", "-1"], "seed must be between 0 and"),
        (["--modality", "ct", "--sequence", "t2"], "sequence is for modality mr only"),
        (["--screws", "C4"], 'screws must be in a vertebra from T1 to S2, got "C4"'),
    ],
)
def test_an_impossible_phantom_is_refused_in_one_sentence(
    tmp_path: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("phantom", tmp_path / "p.nii.gz", *options) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert sentence in said[0]
    assert list(tmp_path.iterdir()) == []


def test_a_phantom_for_which_there_is_no_place_is_not_even_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from spondyl.phantom import patient

    monkeypatch.setattr(patient, "make_phantom", lambda options: pytest.fail("was made"))
    assert run("phantom", tmp_path / "missing" / "p.nii.gz") == 2
    assert run("phantom", tmp_path / "p.nii") == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert list(tmp_path.iterdir()) == []


def test_models_lists_shows_and_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPONDYL_HOME", str(tmp_path))
    assert run("models", "list") == 0
    assert run("models", "show", "no-such-weights") == 2
    (tmp_path / "empty").mkdir()
    assert run("models", "import", "spinenet", tmp_path / "empty") == 2


@pytest.mark.parametrize("text", ["exams", ":path", "kind:"])
def test_training_data_are_a_kind_and_a_path(text: str, tmp_path: Path) -> None:
    assert run("train", "vfr", "--data", text, "-o", tmp_path) == 2


def test_a_command_whose_part_is_missing_says_what_to_do() -> None:
    with pytest.raises(SettingError, match="this version has no 'dream' yet"):
        cli._later("spondyl.dream", "dream")
    with pytest.raises(ImportError, match=r"pip install 'spondyl\[train\]'"):
        cli._later("a_package_that_nobody_has", "train")
