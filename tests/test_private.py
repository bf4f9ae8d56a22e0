"""No connection is opened and nothing is left outside the report and our own cache, whoever the user is."""

import ast
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import spondyl
from phantoms import lumbar
from spondyl.engine import runtime
from spondyl.imaging.write import to_nifti_gz

NO_SOCKETS = """
import os, sys

def refuse(event, arguments):
    if event.startswith("socket."):
        os.write(2, event.encode())
        os._exit(99)

sys.addaudithook(refuse)
"""
UNKNOWN_USER = """
import pwd

def nobody(user):
    raise KeyError(user)

pwd.getpwuid = nobody
"""


class Place:
    """A home, a folder for temporary files and a working directory, all empty, and a Python that opens no socket."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("home", "temporary", "work", "hooks"):
            (root / name).mkdir()
        (root / "hooks" / "sitecustomize.py").write_text(NO_SOCKETS)
        self.environment = {
            "PATH": os.environ["PATH"],  # and no more: in continuous integration the telemetry is silent by itself
            "PYTHONPATH": os.pathsep.join([str(root / "hooks"), str(Path(spondyl.__file__).parents[1])]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(root / "home"),
            "TMPDIR": str(root / "temporary"),
        }

    def start(self, *arguments: str | Path, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        command = [*prefix, sys.executable, *map(str, arguments)]
        pipe = subprocess.PIPE
        work = self.root / "work"
        return subprocess.Popen(command, env=self.environment, cwd=work, stdout=pipe, stderr=pipe, text=True)

    def run(self, *arguments: str | Path, prefix: tuple[str, ...] = ()) -> str:
        return finish(self.start(*arguments, prefix=prefix))

    def left(self) -> set[str]:
        """The folders two levels below the home, and whatever else is there."""
        home = {"/".join(path.relative_to(self.root).parts[:3]) for path in (self.root / "home").rglob("*")}
        rest = [path for name in ("temporary", "work") for path in (self.root / name).rglob("*")]
        return (home - {"home/.cache"}) | {path.relative_to(self.root).as_posix() for path in rest}


def finish(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=100)
    assert process.returncode == 0, error
    return out


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    volume = lumbar().volume
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    path.write_bytes(to_nifti_gz(np.rint(volume.voxels).astype(np.int16), volume.affine))
    return path


def found(report: Path) -> object:
    """The findings without the times they took."""
    return {key: value for key, value in json.loads((report / "report.json").read_text()).items() if key != "timing_s"}


def unprivileged() -> tuple[str, ...]:
    """What a command begins with that must not pass locked doors, as root does."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root passes every locked door, and there is no setpriv to stop it")
    return ("setpriv", "--inh-caps=-all", "--bounding-set=-all")


@pytest.mark.slow
def test_analysing_opens_no_socket_and_leaves_only_our_cache_cold_parallel_and_warm(place: Place, scan: Path) -> None:
    analyze = ("-m", "spondyl.cli", "analyze", scan, "-o")
    for process in [place.start(*analyze, place.root / f"cold{i}") for i in range(2)]:
        finish(process)
    place.run(*analyze, place.root / "warm")
    assert place.left() == {"home/.cache/spondyl"}
    assert found(place.root / "cold0") == found(place.root / "cold1") == found(place.root / "warm")
    assert len(json.loads((place.root / "warm/report.json").read_text())["vertebrae"]) >= 7


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "from spondyl.engine.build import make_engine; make_engine('spondyl-context', 'openvino')",
        "from spondyl.engine.topology import record; record('context', 'spinenet')",
    ],
)
def test_the_interface_for_programs_opens_no_socket_either(place: Place, code: str) -> None:
    telemetry = "[name for name in sys.modules if name.startswith('openvino_telemetry')]"
    assert place.run("-c", f"import sys; {code}; print({telemetry})").strip() == "[]"
    assert place.left() <= {"home/.cache/spondyl"}


def test_a_program_keeps_the_modules_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ModuleType("theirs")
    monkeypatch.setitem(sys.modules, "theirs", theirs)
    with runtime._without("theirs"), pytest.raises(ImportError):
        importlib.import_module("theirs")
    assert sys.modules["theirs"] is theirs
    with runtime._without("not_there"):
        pass
    assert "not_there" not in sys.modules


def test_openvino_is_imported_in_one_place() -> None:
    importing = set()
    for path in Path(spondyl.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "openvino" for name in names):
                importing.add(path.name)
    assert importing == {"runtime.py", "topology.py"}  # the second parts of it, in a function that is tested above


@pytest.mark.slow
def test_a_home_that_cannot_be_entered_costs_no_result(place: Place, scan: Path) -> None:
    (place.root / "home").chmod(0)
    try:
        place.run("-m", "spondyl.cli", "analyze", scan, "-o", place.root / "report", prefix=unprivileged())
    finally:
        (place.root / "home").chmod(0o700)
    assert not place.left()
    assert (place.root / "report/overview.png").is_file()


@pytest.mark.slow
def test_a_user_without_a_home_gets_a_report(place: Place, scan: Path) -> None:
    del place.environment["HOME"]
    (place.root / "hooks" / "sitecustomize.py").write_text(NO_SOCKETS + UNKNOWN_USER)
    place.run("-m", "spondyl.cli", "analyze", scan, "-o", place.root / "report")
    assert not place.left()
    assert (place.root / "report/overview.png").is_file()


FONT_CODE = """
import io, os, sys
from spondyl.report.fonts import import_matplotlib
before = dict(os.environ)
import_matplotlib()
assert dict(os.environ) == before
from matplotlib.figure import Figure
figure = Figure()
figure.text(0, 0, "L4", fontweight="bold")
figure.savefig(io.BytesIO(), format="png")
"""


@pytest.mark.slow
def test_a_damaged_list_of_fonts_is_made_anew(place: Place) -> None:
    place.run("-c", FONT_CODE)
    (fonts,) = (place.root / "home/.cache/spondyl/matplotlib").glob("fontlist-*.json")
    fonts.write_text(fonts.read_text().replace('"scalable"', '"scaleless"'))  # read as it is, but no size to draw in
    place.run("-c", FONT_CODE)
    assert "scaleless" not in fonts.read_text()
    assert place.left() == {"home/.cache/spondyl"}


@pytest.mark.slow
def test_a_list_of_fonts_that_is_whole_is_kept(place: Place) -> None:
    place.run("-c", FONT_CODE)
    folder = place.root / "home/.cache/spondyl/matplotlib"
    made = {path: path.stat().st_ino for path in folder.iterdir()}
    place.run("-c", FONT_CODE)
    assert {path: path.stat().st_ino for path in folder.iterdir()} == made
