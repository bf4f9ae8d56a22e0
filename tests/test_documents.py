"""What the documents promise is there."""

import re
import tomllib
from pathlib import Path

import pytest

from spondyl import __version__, cli
from spondyl.report.write import OUR_FILES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^spondyl (\w+)", README, re.MULTILINE))))
def test_every_command_of_the_readme_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert not left.value.code
    said = capsys.readouterr().out
    usage = next(line for line in README.splitlines() if line.startswith(f"spondyl {command}"))
    assert all(option in said for option in re.findall(r"--[a-z]+", usage))


def test_every_file_of_the_readme_is_one_of_ours() -> None:
    named = set(re.findall(r"^\| `([\w.]+)` \|", README, re.MULTILINE))
    assert named
    assert named <= OUR_FILES


def test_torch_is_pinned_for_setups_within_the_packages_own_range() -> None:
    pinned = re.search(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    ranges = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    lower = next(re.match(r"torch>=([\d.]+),<(\d+)$", line) for line in ranges if line.startswith("torch"))
    assert lower
    assert pinned[1].startswith(lower[1])
