"""The facts that a card states of a training besides its data: the code that ran, and the command to run it again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import spondyl
from spondyl.nets.cards import Card

__all__ = ["describe_command", "find_commit"]


def find_commit() -> str:
    """The commit of the checkout that runs, with "+changes" where its sources differ; the version outside of one."""
    root = Path(spondyl.__file__).parents[2]
    if not (root / ".git").exists():
        return spondyl.__version__
    try:
        head = _git(root, "rev-parse", "--short", "HEAD")
        changes = _git(root, "status", "--porcelain", "--", "src")
    except (OSError, subprocess.SubprocessError):
        return spondyl.__version__
    return f"{head}+changes" if changes else head


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def describe_command(
    recipe: str, sources: tuple[tuple[str, Path], ...], *, start: Card | None = None, options: str = ""
) -> str:
    """The command that runs a recipe again, with the digest of the weights that it starts from.

    Args:
        recipe: its name.
        sources: kind and folder of the data.
        start: the card of the weights to start from.
        options: further options.
    """
    data = "".join(f" --data {kind}:{folder.resolve().name}" for kind, folder in sources)
    started = "" if start is None else f" --start {start.name} (sha256 {start.sha256})"
    return f"spondyl train {recipe}{data}{options}{started}"
