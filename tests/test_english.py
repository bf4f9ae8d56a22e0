"""Docstrings are whole sentences, names are the usual ones, and the library does nothing that only a program may.

What is not so yet is counted in `NOT_YET`, which is to end up empty.
"""

import ast
import re
from collections.abc import Callable, Iterator

import pytest

from source_trees import ROOT, trees

ROOMS = sorted({path.stem for path in ROOT.iterdir() if path.is_dir() or path.suffix == ".py"} - {"__pycache__"})

HALF_CLAUSE = re.compile(
    r"\.\.\.|\W*(and|as|at|because|besides|but|by|for|from|how|in|of|on|or|out|since|so|than|to|told|what|when|where|"
    r"whether|which|who|whom|whose|why|with)\b",
    re.IGNORECASE,
)
"""A clause begins in these ways that another one must complete."""

HOMELY = re.compile(r"(MOST|LEAST)_\w+|\w+_(MOST|LEAST)|(\w+_)?(odd|ODD)(_\w+)?")
"""Bounds are `MAX_` and `MIN_`, and a patient has a numbering variant."""

PROGRAMS = {"cli", "terminal", "__main__"}
"""These run as a process, and end it."""


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines and texts of the docstrings of modules, classes and functions, and of those below constants."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        is_documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        for place, statement in enumerate(body):
            is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            follows = is_documented if place == 0 else isinstance(body[place - 1], (ast.Assign, ast.AnnAssign))
            if is_text and follows and isinstance(statement.value.value, str):
                yield statement.lineno, statement.value.value


def half_clauses(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for line, text in docstrings(tree):
        if HALF_CLAUSE.match(text):
            yield line, text.partition("\n")[0]


def homely_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names that are given, wherever they are used."""
    for node in ast.walk(tree):
        given = [getattr(node, "name", None), getattr(node, "arg", None)]
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            given.append(node.id)
        yield from ((node.lineno, name) for name in given if name and HOMELY.fullmatch(name))


def shortcuts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        is_call = isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "exit", "sys.exit", "os._exit")
        is_exit = isinstance(node, ast.Raise) and node.exc is not None and "SystemExit" in ast.unparse(node.exc)
        if is_call or is_exit or isinstance(node, ast.Assert):
            yield node.lineno, ast.unparse(node)


Check = Callable[[ast.AST], Iterator[tuple[int, str]]]
CHECKS: tuple[Check, ...] = (half_clauses, homely_names, shortcuts)

NOT_YET: dict[Check, dict[str, int]] = {}
"""How many of each the rooms may still have that nobody has rewritten yet.

The numbers only fall: whoever rewrites some lowers the number, and whoever rewrites the last deletes the line. With the
line deleted, the test lists what is left.
"""


def found(check: Check, room: str) -> list[str]:
    """Everything that a check finds in a room, with its place."""
    files = {path: tree for path, tree in trees().items() if path.parts[0].removesuffix(".py") == room}
    return [f"{path}:{line}: {text}" for path, tree in files.items() for line, text in check(tree)]


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_room_reads_as_agreed(check: Check, room: str) -> None:
    if check is shortcuts and room in PROGRAMS:
        return
    left = found(check, room)
    assert len(left) <= NOT_YET.get(check, {}).get(room, 0), "\n".join(left)


@pytest.mark.parametrize(
    ("check", "source", "is_caught"),
    [
        (half_clauses, '"""What names bodies."""', True),
        (half_clauses, 'def f():\n    """... and so on."""', True),
        (half_clauses, 'class C:\n    """Of each body."""', True),
        (half_clauses, 'LIMIT = 3\n"""So many are kept."""', True),
        (half_clauses, '"""The names of bodies, as they are written."""\nLIMIT = 3\n"""Kept bodies."""', False),
        (half_clauses, 'f()\n"""What no tool takes for a docstring."""', False),
        (homely_names, "MOST_WAYS = 4", True),
        (homely_names, "def f(odd): ...", True),
        (homely_names, "f(is_odd=True)", True),
        (homely_names, "for odd_patients in (): ...", True),
        (homely_names, "def read_at_most(model, goddess): ...", False),
        (shortcuts, "assert x", True),
        (shortcuts, "print(x, file=log)", True),
        (shortcuts, "raise SystemExit(2)", True),
        (shortcuts, "raise ValueError", False),
    ],
)
def test_the_checks_see_what_they_are_for(check: Check, source: str, is_caught: bool) -> None:
    assert bool(list(check(ast.parse(source)))) is is_caught
