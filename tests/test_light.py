"""Without PyTorch, Spondyl analyses as it does with it; what needs PyTorch says which command installs it."""

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import spondyl
from phantoms import lumbar
from spondyl.benches import phantom_speed
from spondyl.benches import speed as speed_bench
from spondyl.engine.build import _uses_cuda
from spondyl.errors import requiring
from spondyl.findings import Findings
from spondyl.imaging.read import read_volume
from spondyl.phantom.write import Format, write_phantom
from spondyl.pipeline import analyze

WITH_TORCH = {
    "benches.look_once.networks",
    "benches.msa_ablation",
    "benches.rate",
    "engine.torch_engine",
    "learn.augment",
    "learn.recipes.appearance",
    "learn.recipes.bilstm",
    "learn.recipes.context",
    "learn.recipes.discs",
    "learn.recipes.look_once",
    "learn.recipes.vfr",
    "learn.simulated",
    "learn.trainer",
    "learn.training",
    "locate.disc_losses",
    "locate.disc_targets",
    "locate.vfr_targets",
    "nets.adapters",
    "nets.appearance",
    "nets.attention_hourglass",
    "nets.bilstm",
    "nets.context",
    "nets.countception",
    "nets.disc_network",
    "nets.grading",
    "nets.hca_net",
    "nets.hourglass",
    "nets.look_once",
    "nets.msa_net",
    "nets.shape_unet",
    "nets.swin_net",
    "nets.unet",
    "nets.vfr",
    "nets.weights",
}
"""The modules that cannot be imported without PyTorch: networks, training and PyTorch's own engine."""

WORKING = (
    "analyze scan.nii.gz -o report",
    "evaluate report scan_truth.json",
    "models list",
    "models show spondyl-vfr",
    "phantom made.nii.gz --spacing 4",
    "schema",
)
REFUSED = {
    "analyze scan.nii.gz --engine torch": "torch",
    "analyze scan.nii.gz --device cuda": "torch",
    "models import spinenet .": "torch",
    "train context -o run": "train",
}
"""Command: the extra that it needs."""

RUN_WITHOUT_TORCH = """
import contextlib, importlib, io, json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "lightning"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from spondyl import cli
answers = {}
for command in json.loads(sys.argv[1]):
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            cli.main(command.split())
        except SystemExit as left:
            answers[command] = left.code or 0, out.getvalue(), error.getvalue()
unimportable = []
for name in json.loads(sys.argv[2]):
    try:
        importlib.import_module(f"spondyl.{name}")
    except ModuleNotFoundError:
        unimportable.append(name)
print(json.dumps([answers, unimportable]))
"""


class Answer(NamedTuple):
    """What a command left: its exit status and what it said."""

    status: int
    out: str
    error: str


class Session(NamedTuple):
    """What happened where PyTorch cannot be imported."""

    folder: Path
    answers: dict[str, Answer]
    unimportable: set[str]


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("light")
    write_phantom(lumbar(), folder / "scan.nii.gz", Format.NIFTI)
    root = Path(spondyl.__file__).parent
    modules = [".".join(path.relative_to(root).with_suffix("").parts) for path in sorted(root.rglob("*.py"))]
    asked = [json.dumps([*WORKING, *REFUSED]), json.dumps([name for name in modules if "__" not in name])]
    code = [sys.executable, "-c", RUN_WITHOUT_TORCH, *asked]
    done = subprocess.run(code, cwd=folder, capture_output=True, text=True, check=True)
    answers, unimportable = json.loads(done.stdout)
    return Session(folder, {command: Answer(*answer) for command, answer in answers.items()}, set(unimportable))


@pytest.mark.parametrize("command", WORKING)
def test_analysing_making_and_comparing_work_without_torch(without_torch: Session, command: str) -> None:
    answer = without_torch.answers[command]
    assert answer.status == 0, answer.error
    assert answer.out or command.startswith("phantom")


@pytest.mark.parametrize("command", REFUSED)
def test_what_needs_torch_says_in_one_sentence_how_to_install_it(without_torch: Session, command: str) -> None:
    answer = without_torch.answers[command]
    said = [line for line in answer.error.splitlines() if line.startswith("spondyl: ")]
    assert answer.status == 2
    assert len(said) == 1
    assert said[0].endswith(f"pip install 'spondyl[{REFUSED[command]}]'")


def test_findings_are_the_same_without_torch(without_torch: Session) -> None:
    here = analyze(read_volume(without_torch.folder / "scan.nii.gz")).findings
    there = Findings.from_json((without_torch.folder / "report" / "report.json").read_bytes())
    assert len(there.vertebrae) > 5
    assert there.vertebrae == here.vertebrae
    assert there.warnings == here.warnings


def test_only_networks_training_and_their_engine_import_torch(without_torch: Session) -> None:
    assert without_torch.unimportable == WITH_TORCH


@pytest.mark.parametrize(
    ("module", "measure", "extra"),
    [
        ("spondyl.benches.rate", lambda folder: speed_bench._rate_sentence(None, None), "torch"),
        ("spondyl.learn.recipes.vfr", phantom_speed._slices_per_second, "train"),
    ],
)
def test_a_bench_says_what_it_could_not_measure_without_torch(
    module: str, measure: Callable[[Path], str], extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert re.search(rf"not measured: .* needs PyTorch.*'spondyl\[{extra}\]'", measure(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_auto_is_the_cpu_where_there_is_a_gpu_but_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: True)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert not _uses_cuda("auto")


def test_a_fault_of_our_own_is_no_missing_package() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"spondyl\.nonsense"), requiring("torch", "this"):
        importlib.import_module("spondyl.nonsense")
