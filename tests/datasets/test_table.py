"""The table of data kinds: unique names, lines that open, and one line that is a kind of data everywhere."""

import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

from spondyl.datasets import table
from spondyl.datasets.table import KINDS, DataKind, find_kind
from spondyl.errors import SettingError

A_KIND = '''
"""Pictures of nothing, with an outline."""
import numpy as np
from spondyl.anatomy.level import Level
from spondyl.datasets.source import Exam, BodyOutlines, Source
from spondyl.geometry.affine import Affine
from spondyl.geometry.stack import SagittalStack

def open_pictures(folder, part):
    affine = Affine.from_axes([[-1, 0, 0], [0, 0, -1], [0, -1, 0]], (4, 1, 1), (0, 0, 0))
    stack = SagittalStack(voxels=np.zeros((3, 9, 9), np.float32), affine=affine)
    outlines = BodyOutlines(corners=np.zeros((1, 4, 2)), slices=np.array([1]), certain=np.ones(1, bool),
                            levels=np.array([Level.L3], dtype=object))
    exam = Exam(name="nothing", patient="nobody", stack=stack, outlines=outlines)
    return Source(name=f"pictures of {folder.name}", groups=((exam,),), sentences=("pictures; licence: none stated",))
'''
A_RECIPE = '''
"""A recipe that shows what it is given."""
from spondyl.datasets.source import SplitPart

def show(request):
    (source,) = request.open(SplitPart.TRAINING)
    print(source.name, *[exam.name for exam in source.exams], *source.sentences, request.run.name)
'''
TWO_LINES = """
import sys
from spondyl.datasets import table as kinds
kinds.KINDS += (kinds.DataKind("pictures", "pictures:open_pictures", "pictures of nothing"),)
from spondyl.learn.recipes import table as recipes
recipes.RECIPES += (recipes.RecipeEntry("show", True, "show:show", "shows its data"),)
from spondyl import cli
cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_line_names_a_function_that_there_is(kind: DataKind) -> None:
    assert callable(resolve_name(kind.opens))
    assert find_kind(kind.name) is kind


def test_two_kinds_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "KINDS", (*KINDS, KINDS[0]))
    with pytest.raises(SettingError, match="two lines of a table have one name"):
        find_kind("exams")


def test_one_file_and_one_line_are_a_kind_of_data_or_a_recipe_everywhere(tmp_path: Path) -> None:
    for name, text in {"pictures.py": A_KIND, "show.py": A_RECIPE, "main.py": TWO_LINES}.items():
        (tmp_path / name).write_text(text)

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(tmp_path / "main.py"), "train", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    helped = " ".join(call("--help").stdout.split())
    assert "pictures: pictures of nothing" in helped
    assert "show: shows its data" in helped
    assert "pictures (pictures of nothing), got 'films'" in call("show", "--data", "films:here", "-o", "run").stderr
    assert "show (shows its data), got 'dance'" in call("dance", "-o", "run").stderr
    assert (
        "--data phantoms:PATH or --data spine-generic:PATH or --data pictures:PATH" in call("show", "-o", "run").stderr
    )
    done = call("show", "--data", f"pictures:{tmp_path}", "-o", "run")
    assert done.stdout.split("\n")[0] == f"pictures of {tmp_path.name} nothing pictures; licence: none stated run", (
        done.stderr
    )
