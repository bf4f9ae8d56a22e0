"""The syntax trees of the package, for the tests that read its code; parsed once, when a test asks for them."""

import ast
from functools import cache
from pathlib import Path

import spondyl

__all__ = ["ROOT", "module_name", "trees"]

ROOT = Path(spondyl.__file__).parent


@cache
def trees() -> dict[Path, ast.Module]:
    """The tree of each file, by its path below the package."""
    return {path.relative_to(ROOT): ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}


def module_name(path: Path) -> str:
    """The name of the module in a file: "spondyl.nets.vfr" for "nets/vfr.py"."""
    return ".".join(("spondyl", *path.with_suffix("").parts)).removesuffix(".__init__")
