"""The table of methods: names are unique, every line opens, and one more line is a method everywhere."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from phantoms import lumbar
from spondyl import methods
from spondyl.errors import SettingError
from spondyl.findings import Findings
from spondyl.imaging.write import to_nifti_gz
from spondyl.methods import METHODS, find_method, methods_of
from spondyl.nets.places import shipped_weights_folder
from spondyl.nets.presets import NETWORKS
from spondyl.nets.weight_sets import list_sets
from spondyl.plan import Plan
from spondyl.stage import Stage

A_DISC_METHOD = '''
"""A disc in the middle of every second slice of the scan, found by the detector's own weights."""
from spondyl.geometry.points import Landmarks
from spondyl.reading import Candidates
from spondyl.stage import Structure
import numpy as np

def open_middles(networks):
    assert list(networks) == ["context"]
    def locate(study):
        middle = study.sagittal.affine.to_world((np.array(study.sagittal.voxels.shape) - 1) / 2)
        points = middle + np.outer(np.arange(-60, 61, 4.0), (0, 0, 1))
        return Candidates(structure=Structure.DISC,
                          centres=Landmarks(points_ras_mm=points, scores=np.ones(len(points))),
                          posterior_ras_mm=points - (0, 10, 0))
    return locate
'''
ONE_LINE = """
import sys
from spondyl import methods
from spondyl.imaging.modality import Modality
from spondyl.stage import Stage, Structure
methods.METHODS += (methods.Method(Stage.LOCATE, "middles", frozenset({Structure.DISC}), frozenset({Modality.MR}),
                                   ("context",), "disc_middles:open_middles", "the middle of the scan"),)
from spondyl import cli
cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize("method", METHODS, ids=lambda method: f"{method.stage}-{method.name}")
def test_every_line_names_a_function_and_networks_that_there_are(method: methods.Method) -> None:
    module, _, function = method.opens.partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    assert set(method.networks) <= set(NETWORKS)
    assert method.structures
    assert method.modalities


def test_two_methods_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "METHODS", (*METHODS, METHODS[0]))
    with pytest.raises(SettingError, match="two methods of the stage locate have one name"):
        methods_of(Stage.LOCATE)


@pytest.mark.parametrize("stage", Stage)
def test_a_plan_has_a_field_for_every_stage_and_knows_its_methods(stage: Stage) -> None:
    for method in methods_of(stage):
        assert find_method(stage, method.name) is method
        assert Plan(**{stage: method.name}).named(stage) == (method,)
    with pytest.raises(SettingError, match=f"--{stage}"):
        Plan(**{stage: "magic"})


def test_the_shipped_sets_are_made_for_methods_that_there_are_and_have_their_networks() -> None:
    for weights in list_sets((shipped_weights_folder(),)).values():
        for stages in weights.methods.values():
            for stage, names in stages.items():
                for name in names:
                    for role in find_method(Stage(stage), name).networks:
                        assert weights.card_name(role)


@pytest.fixture
def spondyl_with_discs(tmp_path: Path) -> list[str]:
    """A command line with one more method, made of one file and one line."""
    (tmp_path / "disc_middles.py").write_text(A_DISC_METHOD)
    (tmp_path / "main.py").write_text(ONE_LINE)
    return [sys.executable, str(tmp_path / "main.py")]


def test_one_file_and_one_line_are_a_method_everywhere(spondyl_with_discs: list[str], tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*spondyl_with_discs, *arguments], capture_output=True, text=True, check=False)

    volume = lumbar().volume
    scan = tmp_path / "scan.nii.gz"
    scan.write_bytes(to_nifti_gz(volume.voxels, volume.affine))
    assert "middles: the middle of the scan" in " ".join(run("analyze", "--help").stdout.split())
    refused = run("analyze", str(scan), "--locate", "magic")
    assert refused.returncode == 2
    assert "--locate must be one of vfr, vfr-patches, spinenet, msa-net" in refused.stderr
    assert "middles, got 'magic'" in refused.stderr
    done = run("analyze", str(scan), "--locate", "middles", "-o", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "locate middles" in done.stderr.splitlines()
    report = Findings.from_json((tmp_path / "out" / "report.json").read_bytes())
    assert [used.name for used in report.software.weights] == [
        "spondyl-vfr",
        "spondyl-context",
        "spondyl-appearance",
    ]
    assert len(report.vertebrae) >= 5  # the default method still finds them
    assert {"L2/L3", "L3/L4"} & {disc.level for disc in report.discs}
    assert all(disc.posterior_mm[1] == pytest.approx(disc.centroid_mm[1] - 10, abs=0.01) for disc in report.discs)
    assert (tmp_path / "out" / "discs.csv").exists()
