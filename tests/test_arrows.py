"""The rooms of the design import only what stands above them; the arrows are those of DESIGN's table."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import spondyl

ROOT = Path(spondyl.__file__).parent

SCIENCE = ("locate", "refine", "identify", "segment", "grade")
SEAMS = ("stage", "study", "labelling", "reading")
FOUNDATION = (
    "anatomy",
    "geometry",
    "imaging",
    "phantom",
    "nets",
    "engine",
    *SEAMS,
    *SCIENCE,
    "measure",
    "findings",
    "assemble",
    "methods",
    "plan",
    "loaded_plan",
)
WAYS_OUT = ("report", "serve", "node", "cohort")

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "errors": (),
    "files": (),
    "types": (),
    "anatomy": (),
    "geometry": ("anatomy",),
    "imaging": ("geometry",),
    "phantom": ("anatomy", "geometry", "imaging"),
    "nets": (),
    "engine": ("nets",),
    "findings": ("anatomy", "geometry"),
    "stage": (),
    "methods": ("stage", "imaging"),
    "study": ("geometry", "imaging"),
    "labelling": ("anatomy",),
    "reading": ("geometry", "findings", "stage", "study", "labelling"),
    **dict.fromkeys(SCIENCE, ("nets", "geometry", "anatomy", *SEAMS)),
    "measure": ("geometry", "anatomy", *SEAMS),
    "assemble": ("anatomy", "geometry", "imaging", "findings", "identify", *SEAMS),
    "plan": ("imaging", "methods", "nets", "stage"),
    "loaded_plan": ("engine", "findings", "imaging", "methods", "nets", "plan", "reading", "stage"),
    "pipeline": FOUNDATION,
    "datasets": (*FOUNDATION,),
    "simulate": (*FOUNDATION,),
    "metrics": (*FOUNDATION, "datasets"),
    "learn": (*FOUNDATION, "datasets", "simulate", "metrics"),
    "benches": (*FOUNDATION, "pipeline", "datasets", "simulate", "metrics", "learn"),
    **dict.fromkeys(WAYS_OUT, (*FOUNDATION, "pipeline")),
    "terminal": (),
    "cli": (*FOUNDATION, "pipeline", "datasets", "learn", "metrics", "benches", *WAYS_OUT, "terminal"),
    "__main__": ("terminal", "cli"),
}
"""Whom each room may import besides itself, `errors`, `files`, `types` and the version in `spondyl/__init__.py`.

`phantom` and `engine` stand where the design names them only in words: beside `imaging`, and behind `nets`.
"""

FILES = sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    """The first part of a module's path below the package."""
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imported_rooms(tree: ast.AST) -> Iterator[str]:
    """Rooms that a module imports, anywhere in it, for types alone as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            module = (node.module or "").split(".")
            names = [alias.name for alias in node.names] if module == ["spondyl"] else module[1:2]
            yield from (name for name in names if module[0] == "spondyl" and not name.startswith("__"))
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("spondyl."))


def forbidden(path: Path, source: str) -> set[str]:
    """Rooms that a file imports and must not."""
    room = room_of(path)
    return set(imported_rooms(ast.parse(source))) - {room, "errors", "files", "types", *MAY_IMPORT[room]}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_rooms_above_its_own(path: Path) -> None:
    if path == ROOT / "__init__.py":
        return  # the public face imports the rooms whose names it shows, when they are asked for
    assert room_of(path) in MAY_IMPORT, "a room that the design does not have"
    assert not forbidden(path, path.read_text())


@pytest.mark.parametrize(
    ("room", "source", "caught"),
    [
        ("geometry", "from spondyl.imaging.volume import Volume", {"imaging"}),
        ("geometry", "def f():\n    import spondyl.nets.vfr", {"nets"}),
        ("nets", "from spondyl import pipeline, __version__", {"pipeline"}),
        ("locate", "if TYPE_CHECKING:\n    from spondyl.learn import exams", {"learn"}),
        ("locate", "from spondyl.geometry.stack import SagittalStack\nfrom spondyl.errors import InputError", set()),
        ("pipeline", "from spondyl.report.write import write_report", {"report"}),
    ],
)
def test_the_test_sees_every_kind_of_import(room: str, source: str, caught: set[str]) -> None:
    assert forbidden(ROOT / room / "module.py", source) == caught


def test_nothing_is_called_after_its_having_no_place() -> None:
    names = {path.stem for path in ROOT.rglob("*")}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


def test_no_file_is_too_long_to_be_read() -> None:
    """Four hundred lines is the house's limit for one concept."""
    assert not [path.name for path in FILES if len(path.read_text().splitlines()) > 400]


INSIDE_PHANTOM: dict[str, tuple[str, ...]] = {
    "column": (),
    "scene": ("column",),
    "pathology": ("column", "scene"),
    "spine": ("column", "scene", "pathology"),
    "surroundings": ("column", "scene", "spine"),
    "scanner": ("column", "scene"),
    "options": ("column", "pathology", "scanner"),
    "truth": ("column", "scene", "pathology", "spine", "scanner"),
    "patient": ("column", "scene", "pathology", "spine", "surroundings", "scanner", "options", "truth"),
    "truth_document": ("scanner", "options", "truth", "patient"),
    "write": ("scanner", "options", "truth", "patient", "truth_document"),
    "__init__": (),
}
"""Whom each part of `phantom` may import besides itself: anatomy before painting, painting before scanning."""

PHANTOM = ROOT / "phantom"


def forbidden_in_phantom(path: Path, source: str) -> set[str]:
    """Parts of `phantom` that one of its files imports and must not."""
    part = path.relative_to(PHANTOM).parts[0].removesuffix(".py")
    modules: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            modules += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
    inner = {module.split(".")[2] for module in modules if module.startswith("spondyl.phantom.")}
    return inner - {part, *INSIDE_PHANTOM[part]}


@pytest.mark.parametrize("path", sorted(PHANTOM.rglob("*.py")), ids=lambda path: str(path.relative_to(PHANTOM)))
def test_a_file_of_the_phantom_imports_only_parts_before_its_own(path: Path) -> None:
    assert not forbidden_in_phantom(path, path.read_text())


@pytest.mark.parametrize(
    ("file", "source", "caught"),
    [
        ("column/draw.py", "from spondyl.phantom.pathology.pathology import Pathology", {"pathology"}),
        ("scene/draft.py", "def f():\n    import spondyl.phantom.spine.arch", {"spine"}),
        ("scanner/mr.py", "from spondyl.phantom import options", {"options"}),
        ("spine/arch.py", "from spondyl.phantom.column.column import Column\nimport spondyl.phantom.spine", set()),
    ],
)
def test_the_test_of_the_phantom_sees_every_kind_of_import(file: str, source: str, caught: set[str]) -> None:
    assert forbidden_in_phantom(PHANTOM / file, source) == caught
