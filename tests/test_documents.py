"""What the documents promise is there."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lowest_versions import lowest_versions
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


def test_torch_is_an_extra_within_whose_range_setups_pin_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {Requirement(line).name for line in project["dependencies"]}
    assert not needed & {"torch", "lightning"}
    extras = project["optional-dependencies"]
    assert "spondyl[torch]" in extras["train"]
    pinned = re.search(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert [Requirement(line).specifier.contains(pinned[1]) for line in extras["torch"]] == [True]


def test_every_dependency_has_a_lowest_version_to_be_tested_with() -> None:
    lowest = lowest_versions(ROOT / "pyproject.toml")
    assert lowest["numpy"] == "2.0.0"
    assert not {"torch", "spondyl"} & lowest.keys()


def test_a_dependency_without_a_lower_bound_is_refused(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\ndependencies = ["numpy>=2", "scipy"]\n[project.optional-dependencies]\n')
    with pytest.raises(ValueError, match="'scipy' has no lower bound"):
        lowest_versions(project)
