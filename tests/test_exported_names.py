"""Every module lists what it offers in `__all__`, and offers what it lists."""

import ast
from collections.abc import Iterator
from functools import cache

import pytest

from source_trees import ROOT, module_name, trees

MODULES = sorted({module_name(path.relative_to(ROOT)) for path in ROOT.rglob("*.py")} - {"spondyl"})
PASSED_ON = {
    "spondyl.geometry.affine": {"Float"},  # for the rooms that have not turned to `spondyl.types` yet
    "spondyl.imaging.volume": {"Modality"},  # no volume is made without one
    "spondyl.engine.runtime": {"openvino"},  # imported there once, with its messages silenced
    "spondyl.nets.weights": {"find_card", "list_cards"},  # those who load weights look for their cards
}
"""Names that a module lists besides its own, with the reason."""


def is_command(node: ast.stmt) -> bool:
    """A command of the command line is called by its name there, not from Python."""
    calls = [each for each in getattr(node, "decorator_list", ()) if isinstance(each, ast.Call)]
    return any(ast.unparse(call.func).endswith(".command") for call in calls)


def public(names: Iterator[str]) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def functions_and_classes(tree: ast.Module) -> set[str]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return public(node.name for node in tree.body if isinstance(node, kinds) and not is_command(node))


def constants(tree: ast.Module) -> set[str]:
    """Names that a module assigns: numbers, tables and aliases of types."""
    targets = [
        target
        for node in tree.body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return public(node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))


def listed(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


@cache
def modules() -> dict[str, ast.Module]:
    return {module_name(path): tree for path, tree in trees().items()}


@cache
def imported_names() -> dict[str, set[str]]:
    """By module, the names that other modules of the package import from it."""
    found: dict[str, set[str]] = {module: set() for module in modules()}
    for tree in modules().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in found:
                names = public(alias.name for alias in node.names)
                found[node.module] |= {name for name in names if f"{node.module}.{name}" not in found}
    return found


def disagreement(module: str, tree: ast.Module, imported: set[str]) -> set[str]:
    """What is public and not listed, or listed and not public.

    Functions and classes without an underscore are public. A constant is once another module imports it, and may be
    listed before.
    """
    own, assigned, names = functions_and_classes(tree), constants(tree), set(listed(tree))
    wrongly_listed = names - own - assigned - PASSED_ON.get(module, set())
    return wrongly_listed | (own - names) | (imported - names)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_lists_its_public_names(module: str) -> None:
    tree = modules()[module]
    assert disagreement(module, tree, imported_names()[module]) == set()
    assert len(set(listed(tree))) == len(listed(tree))
    assert sum(ast.unparse(node).startswith("__all__ =") for node in tree.body) <= 1


def test_no_module_passes_on_what_nobody_asks_it_for() -> None:
    for module, names in PASSED_ON.items():
        assert names <= set(listed(modules()[module]))


@pytest.mark.parametrize(
    ("source", "imported", "found"),
    [
        ("def f(): ...", set(), {"f"}),
        ("class C: ...\n__all__ = ['C', 'D']", set(), {"D"}),
        ("SIZE = 3\n_N: int = 4\n__all__ = []", set(), set()),
        ("SIZE: int = 3\n__all__ = []", {"SIZE"}, {"SIZE"}),
        ("A, B = 1, 2\n__all__ = ['A', 'B']", {"A"}, set()),
        ("from os import sep\n__all__ = ['sep']", {"sep"}, {"sep"}),
        ("@app.command('list')\ndef list_all(): ...", set(), set()),
    ],
)
def test_the_test_sees_what_is_public(source: str, imported: set[str], found: set[str]) -> None:
    assert disagreement("spondyl.module", ast.parse(source), imported) == found
